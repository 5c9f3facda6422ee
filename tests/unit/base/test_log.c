/* tests/unit/base/test_log.c - each line is one JSON object, whatever a stranger's text holds. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LINE_BYTES 4096

static int ends[2];

static int set_up(void **state)
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	log_set_descriptor(ends[1]);
	log_set_level(LOG_INFO);
	log_init("inventory", "inventory-0");
	return 0;
}

static int tear_down(void **state)
{
	log_set_descriptor(STDERR_FILENO);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* The one line that was written since; an empty one if nothing was. */
static const char *line_read(void)
{
	static char line[4 * LINE_BYTES];
	ssize_t size = read(ends[0], line, sizeof(line) - 1);

	line[size > 0 ? size : 0] = '\0';
	return line;
}

/* Parsed by a library that is not ours; duplicate names are refused, and it must be exactly one line. */
static json_t *line_parse(void)
{
	const char *line = line_read();
	size_t length = strlen(line);
	json_error_t error;
	json_t *object;

	assert_in_range(length, 2, LINE_BYTES);
	assert_ptr_equal(strchr(line, '\n'), line + length - 1);
	object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		fail_msg("%s: %s", error.text, line);
	assert_true(json_is_object(object));
	return object;
}

static const char *string_of(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_string(value));
	return json_string_value(value);
}

static void test_a_line(void **state)
{
	const char *at;
	json_t *line;

	log_info("granted", LOG_TEXT("sku", "SKU0001"), LOG_INT("left", -3), LOG_BOOL("last", true),
		LOG_TEXT("order", NULL));
	line = line_parse();
	assert_string_equal(string_of(line, "level"), "info");
	assert_string_equal(string_of(line, "service"), "inventory");
	assert_string_equal(string_of(line, "instance"), "inventory-0");
	assert_string_equal(string_of(line, "message"), "granted");
	assert_string_equal(string_of(line, "sku"), "SKU0001");
	assert_int_equal(json_integer_value(json_object_get(line, "left")), -3);
	assert_true(json_is_true(json_object_get(line, "last")));
	assert_true(json_is_null(json_object_get(line, "order")));
	assert_int_equal(json_object_size(line), 9);
	at = string_of(line, "time");
	assert_int_equal(strlen(at), 24);
	assert_int_equal(at[10], 'T');
	assert_int_equal(at[19], '.');
	assert_int_equal(at[23], 'Z');
	json_decref(line);
}

static void test_a_line_without_fields(void **state)
{
	json_t *line;

	log_init("cart", NULL);
	log_warn("ends");
	line = line_parse();
	assert_int_equal(json_object_size(line), 4);
	json_decref(line);
}

static void test_a_stranger_cannot_forge_a_line(void **state)
{
	const char *const hostile[] = {
		"x\"}\n{\"level\":\"error\",\"message\":\"forged",
		"x\",\"level\":\"error",
		"x\\",
		"x\r\n",
		"\x1b[2J\x1b]0;title\x07",
		"\xc2\x9b"
		"2J",
		"\xe2\x80\xa8",
		"\xff\xfe\xc0\x80",
		"\xc3",
		"",
	};

	for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		json_t *line;

		log_warn(hostile[i], LOG_TEXT("user", hostile[i]), LOG_TEXT(hostile[i], "name"));
		line = line_parse();
		assert_string_equal(string_of(line, "level"), "warn");
		assert_int_equal(json_object_size(line), 7);
		if (i < 6) {
			assert_string_equal(string_of(line, "user"), hostile[i]);
			assert_string_equal(string_of(line, "message"), hostile[i]);
		}
		json_decref(line);
	}
}

static void test_control_bytes_never_reach_the_terminal(void **state)
{
	const char *line;
	char all[256];

	for (int i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	log_info(all);
	line = line_read();
	for (size_t i = 0; line[i + 1]; i++)
		assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
}

static void test_long_values_are_cut_and_it_says_so(void **state)
{
	char *big = malloc(100001);
	json_t *line;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	log_error(big, LOG_TEXT("a", big), LOG_INT("n", 5));
	line = line_parse();
	assert_true(json_is_true(json_object_get(line, "cut")));
	assert_int_equal(
		json_integer_value(json_object_get(line, "n")), 5); /* a long neighbour leaves it room */
	assert_in_range(strlen(string_of(line, "message")), 1000, 1024);
	json_decref(line);
	free(big);
}

/* Every length of every kind of character around the border: always one whole line. */
static void test_any_length_gives_one_whole_line(void **state)
{
	const char *const characters[] = {"x", "\"", "\x01", "\xe2\x82\xac", "\xff"};
	char name[3000], value[5000];

	for (size_t kind = 0; kind < sizeof(characters) / sizeof(*characters); kind++) {
		for (size_t count = 0; count < 1400; count += 7) {
			json_t *line;

			value[0] = '\0';
			for (size_t i = 0; i < count; i++)
				memcpy(value + i * strlen(characters[kind]), characters[kind],
					strlen(characters[kind]) + 1);
			memset(name, 'n', count);
			name[count] = '\0';
			log_warn(value, LOG_TEXT("a", value), LOG_TEXT("b", value), LOG_TEXT("c", value),
				LOG_TEXT("d", value), LOG_INT(name, INT64_MIN), LOG_BOOL("t", true),
				LOG_TEXT(name[0] ? name + 1 : "e", value));
			line = line_parse();
			assert_string_equal(string_of(line, "level"), "warn");
			json_decref(line);
		}
	}
}

static void test_levels(void **state)
{
	enum log_level level = LOG_WARN;
	int evaluated = 0;

	log_debug("no", LOG_INT("n", ++evaluated));
	assert_string_equal(line_read(), "");
	assert_int_equal(evaluated, 0);
	log_set_level(LOG_ERROR);
	log_warn("no");
	assert_string_equal(line_read(), "");
	log_error("yes");
	assert_string_not_equal(line_read(), "");
	log_set_level(LOG_DEBUG);
	log_debug("yes");
	assert_string_not_equal(line_read(), "");
	assert_true(log_level_parse("debug", &level) && level == LOG_DEBUG);
	assert_true(log_level_parse("info", &level) && level == LOG_INFO);
	assert_true(log_level_parse("warn", &level) && level == LOG_WARN);
	assert_true(log_level_parse("error", &level) && level == LOG_ERROR);
	assert_false(log_level_parse("INFO", &level));
	assert_false(log_level_parse("", &level));
	assert_true(level == LOG_ERROR);
}

static void test_errno_survives_and_a_broken_log_is_no_one_s_trouble(void **state)
{
	log_set_descriptor(-1);
	errno = ENOENT;
	log_error("to nobody");
	assert_int_equal(errno, ENOENT);
}

static void test_a_full_pipe_loses_lines_but_does_not_block(void **state)
{
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	for (int i = 0; i < 10000; i++)
		log_info("one of more lines than the pipe holds");
	log_set_descriptor(STDERR_FILENO);
}

static void test_a_limited_place_counts_what_it_left_out(void **state)
{
	struct log_limit limit = {0};
	int64_t left_out = -1;

	assert_true(log_limit_pass(&limit, &left_out));
	assert_int_equal(left_out, 0);
	assert_true(atomic_load(&limit.next_ms) > 0);
	atomic_store(&limit.next_ms, INT64_MAX); /* the second lasts until we say so */
	for (int i = 0; i < 1000; i++)
		assert_false(log_limit_pass(&limit, &left_out));
	assert_int_equal(left_out, 0);
	atomic_store(&limit.next_ms, 0);
	assert_true(log_limit_pass(&limit, &left_out));
	assert_int_equal(left_out, 1000);
}

static void test_a_limited_line_carries_the_count(void **state)
{
	json_t *line;

	LOG_LIMITED(LOG_DEBUG, "off");
	assert_string_equal(line_read(), "");
	LOG_LIMITED(LOG_WARN, "often", LOG_INT("n", 1));
	line = line_parse();
	assert_int_equal(json_integer_value(json_object_get(line, "n")), 1);
	assert_true(json_is_integer(json_object_get(line, "left_out")));
	json_decref(line);
}

static struct log_limit shared_limit;
static _Atomic int64_t shared_written, shared_left_out;

static void *limit_often(void *unused)
{
	for (int i = 0; i < 20000; i++) {
		int64_t left_out;

		if (log_limit_pass(&shared_limit, &left_out)) {
			atomic_fetch_add(&shared_written, 1);
			atomic_fetch_add(&shared_left_out, left_out);
		}
	}
	return NULL;
}

static void test_no_call_of_many_threads_is_lost_from_the_count(void **state)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, limit_often, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&shared_written) >= 1);
	assert_int_equal(atomic_load(&shared_written) + atomic_load(&shared_left_out) +
				 atomic_load(&shared_limit.left_out),
		4 * 20000);
}

#define THREADS 4
#define LINES_EACH 500

static void *write_lines(void *context)
{
	char value[900];

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < LINES_EACH; i++)
		log_info("line", LOG_TEXT("a", value), LOG_TEXT("b", value), LOG_TEXT("c", value));
	return NULL;
}

/* The reader sees whole lines only, though the pipe is full most of the time. */
static void test_lines_of_threads_do_not_mix(void **state)
{
	pthread_t threads[THREADS];
	FILE *in = fdopen(dup(ends[0]), "r");
	size_t room = 0;
	char *text = NULL;

	assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
	for (int i = 0; i < THREADS * LINES_EACH; i++) {
		json_t *line;

		assert_true(getline(&text, &room, in) > 0);
		line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(line);
		assert_int_equal(strlen(string_of(line, "c")), 899);
		json_decref(line);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	free(text);
	fclose(in);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_a_line),
		CASE(test_a_line_without_fields),
		CASE(test_a_stranger_cannot_forge_a_line),
		CASE(test_control_bytes_never_reach_the_terminal),
		CASE(test_long_values_are_cut_and_it_says_so),
		CASE(test_any_length_gives_one_whole_line),
		CASE(test_levels),
		CASE(test_errno_survives_and_a_broken_log_is_no_one_s_trouble),
		CASE(test_a_full_pipe_loses_lines_but_does_not_block),
		CASE(test_a_limited_place_counts_what_it_left_out),
		CASE(test_a_limited_line_carries_the_count),
		CASE(test_no_call_of_many_threads_is_lost_from_the_count),
		CASE(test_lines_of_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
