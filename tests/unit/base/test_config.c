/* tests/unit/base/test_config.c - which source wins, what is refused and how it is said. */
#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/base/folder.h"

struct settings {
	char *listen;
	char *store;
	int64_t hold_ttl_ms;
	int64_t shards;
	int64_t map_bytes;
	bool demo;
};

#define SETTING(name_, kind_, member, ...) \
	{ \
		.name = (name_), .kind = (kind_), .offset = offsetof(struct settings, member), \
		.help = "help of " name_, ##__VA_ARGS__ \
	}
static const struct config_setting table[] = {
	SETTING("listen", CONFIG_TEXT, listen, .standard = "127.0.0.1:8083"),
	SETTING("store", CONFIG_TEXT, store, .optional = true),
	SETTING("hold-ttl", CONFIG_DURATION_MS, hold_ttl_ms, .standard = "10m", .min = 1000, .max = 86400000),
	SETTING("shards", CONFIG_INT, shards, .standard = "1", .min = 1, .max = 1024),
	SETTING("map-bytes", CONFIG_SIZE, map_bytes, .standard = "4g"),
	SETTING("demo", CONFIG_SWITCH, demo, .standard = "false"),
};
static const struct config config = {
	.program = "flashsale-test",
	.purpose = "tries settings",
	.settings = table,
	.count = sizeof(table) / sizeof(*table),
	.words = "[init]",
};

static char folder[FOLDER_TEXT_MAX];
static char path[FOLDER_TEXT_MAX + 16];
static struct settings settings;
static struct error error;
static char *arguments[64];
static int argument_count, first_word;

static int set_up(void **state)
{
	folder_make(folder);
	snprintf(path, sizeof(path), "%s/a.conf", folder);
	memset(&settings, 0, sizeof(settings));
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {
		"CONFIG", "LISTEN", "STORE", "HOLD_TTL", "SHARDS", "MAP_BYTES", "DEMO", "NONE"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char name[64];

		snprintf(name, sizeof(name), "FLASHSALE_CFG_%s", names[i]);
		unsetenv(name);
	}
	config_release(&config, &settings);
	folder_remove(folder);
	return 0;
}

static void write_file(const char *content, size_t size)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(content, 1, size, out), size);
	fclose(out);
}

/* Ends with NULL. Words are allowed. */
static enum config_result read_with(const char *first, ...)
{
	va_list list;

	argument_count = 0;
	arguments[argument_count++] = (char *)(uintptr_t) "program";
	va_start(list, first);
	for (const char *argument = first; argument; argument = va_arg(list, const char *))
		arguments[argument_count++] = (char *)(uintptr_t)argument;
	va_end(list);
	arguments[argument_count] = NULL;
	config_release(&config, &settings);
	return config_read(&config, argument_count, arguments, &settings, &first_word, &error);
}

/* With a file; the flags end with NULL. */
static enum config_result read_file(const char *content)
{
	write_file(content, strlen(content));
	return read_with("--config", path, NULL);
}

static void assert_says(enum config_result result, const char *part)
{
	assert_int_equal(result, CONFIG_ERROR);
	if (!strstr(error.text, part))
		fail_msg("\"%s\" does not say \"%s\"", error.text, part);
}

static void test_defaults(void **state)
{
	assert_int_equal(read_with(NULL), CONFIG_OK);
	assert_string_equal(settings.listen, "127.0.0.1:8083");
	assert_null(settings.store);
	assert_int_equal(settings.hold_ttl_ms, 600000);
	assert_int_equal(settings.shards, 1);
	assert_int_equal(settings.map_bytes, INT64_C(4) << 30);
	assert_false(settings.demo);
	assert_int_equal(first_word, 1);
}

static void test_flags_in_both_forms(void **state)
{
	assert_int_equal(read_with("--hold-ttl", "3s", "--listen=[::]:1", "--map-bytes=64k", "--demo",
				 "--store", "", NULL),
		CONFIG_OK);
	assert_int_equal(settings.hold_ttl_ms, 3000);
	assert_string_equal(settings.listen, "[::]:1");
	assert_int_equal(settings.map_bytes, 65536);
	assert_true(settings.demo);
	assert_string_equal(settings.store, "");
	assert_int_equal(
		read_with("--listen", "a=b", "--store=x=y", "--shards", "2", "--shards=3", NULL), CONFIG_OK);
	assert_string_equal(settings.listen, "a=b");
	assert_string_equal(settings.store, "x=y");
	assert_int_equal(settings.shards, 3);
}

static void test_switches(void **state)
{
	assert_int_equal(read_with("--demo=false", NULL), CONFIG_OK);
	assert_false(settings.demo);
	assert_int_equal(read_with("--demo", "true", NULL), CONFIG_OK);
	assert_true(settings.demo);
	assert_int_equal(read_with("--demo", "false", NULL), CONFIG_OK);
	assert_false(settings.demo);
	assert_int_equal(read_with("--demo", "init", NULL), CONFIG_OK); /* a word, no value of the switch */
	assert_true(settings.demo);
	assert_string_equal(arguments[first_word], "init");
	assert_says(read_with("--demo=yes", NULL), "--demo: 'yes' is not true or false");
}

/* Each source alone, then all of them, stronger ones over weaker ones. */
static void test_flags_over_file_over_environment_over_default(void **state)
{
	setenv("FLASHSALE_CFG_SHARDS", "2", 1);
	assert_int_equal(read_with(NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 2);
	assert_int_equal(read_file("shards = 3\n"), CONFIG_OK);
	assert_int_equal(settings.shards, 3);
	assert_int_equal(read_with("--shards", "4", "--config", path, NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 4);
	assert_int_equal(read_with("--config", path, "--shards", "4", NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 4);
	unsetenv("FLASHSALE_CFG_SHARDS");
	assert_int_equal(read_with("--config", path, NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 3);
	assert_int_equal(read_with(NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 1);
}

static void test_a_weaker_source_still_has_to_be_right(void **state)
{
	setenv("FLASHSALE_CFG_SHARDS", "many", 1);
	assert_says(read_with("--shards", "4", NULL), "FLASHSALE_CFG_SHARDS: 'many'");
}

static void test_the_file_s_form(void **state)
{
	assert_int_equal(read_file("# a comment\n\n  hold_ttl=5s\t# why\r\nlisten =  a b#c  \n"
				   "store=\n\tdemo = true\n#shards = 9\nshards = 7"),
		CONFIG_OK);
	assert_int_equal(settings.hold_ttl_ms, 5000);
	assert_string_equal(settings.listen, "a b#c");
	assert_string_equal(settings.store, "");
	assert_true(settings.demo);
	assert_int_equal(settings.shards, 7); /* the last line needs no line feed */
	assert_int_equal(read_file(""), CONFIG_OK);
}

static void test_the_file_s_mistakes_are_named_with_their_line(void **state)
{
	char place[sizeof(path) + 64];

	snprintf(place, sizeof(place), "%s:3: unknown name 'hold_tll'", path);
	assert_says(read_file("\n# x\nhold_tll = 3s\n"), place);
	assert_says(read_file("hold-ttl = 3s\n"), ":1: unknown name 'hold-ttl'");
	assert_says(read_file("config = x\n"), ":1: unknown name 'config'");
	snprintf(place, sizeof(place), "%s:2: hold_ttl: '3' is not a duration", path);
	assert_says(read_file("shards = 1\nhold_ttl = 3\n"), place);
	assert_says(read_file("shards = 1\nshards = 1\n"), ":2: 'shards' was set before, in line 1");
	assert_says(read_file("shards\n"), ":1: expected `name = value`, found 'shards'");
	assert_says(read_file("\n= 3\n"), ":2: expected `name = value`, found '= 3'");
	assert_says(read_file("shards =\n"), ":1: shards: '' is not a whole number");
}

static void test_files_that_cannot_be_settings(void **state)
{
	char *big = memory_new(70000);

	memset(big, '\n', 70000);
	write_file(big, 65536);
	assert_int_equal(read_with("--config", path, NULL), CONFIG_OK);
	write_file(big, 65537);
	assert_says(read_with("--config", path, NULL), "is longer than 65536 bytes");
	free(big);
	write_file("a\0b", 3);
	assert_says(read_with("--config", path, NULL), "not a text file");
	assert_says(read_with("--config", folder, NULL), "cannot read");
	assert_says(read_with("--config", "/nowhere/at.all", NULL),
		"settings file: cannot open /nowhere/at.all: No such file");
	assert_says(read_with("--config", NULL), "--config needs a value");
}

static void test_the_environment_can_name_the_file(void **state)
{
	write_file("shards = 3\n", 11);
	setenv("FLASHSALE_CFG_CONFIG", path, 1);
	assert_int_equal(read_with(NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 3);
	setenv("FLASHSALE_CFG_CONFIG", "/nowhere", 1);
	assert_int_equal(read_with("--config", path, NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 3);
}

static void test_unknown_names_are_refused_by_name(void **state)
{
	assert_says(read_with("--hold-tll", "3s", NULL), "unknown flag '--hold-tll'");
	assert_says(read_with("--hold_ttl", "3s", NULL), "unknown flag '--hold_ttl'");
	assert_says(read_with("--hold", "3s", NULL), "unknown flag '--hold'");
	assert_says(read_with("--hold-ttl-", "3s", NULL), "unknown flag '--hold-ttl-'");
	assert_says(read_with("-v", NULL), "unknown flag '-v'");
	assert_says(read_with("-shards", "1", NULL), "unknown flag '-shards'");
	assert_says(read_with("-a=b", NULL), "unknown flag '-a=b'");
	assert_says(read_with("-=", NULL), "unknown flag '-='");
	assert_says(read_with("--=", NULL), "unknown flag '--='");
	setenv("FLASHSALE_CFG_NONE", "1", 1);
	assert_says(read_with(NULL), "unknown environment variable FLASHSALE_CFG_NONE");
}

static void test_what_kubernetes_injects_is_not_ours(void **state)
{
	setenv("FLASHSALE_SHARDS", "tcp://10.0.0.1:8083", 1);
	setenv("FLASHSALE_INVENTORY_PORT", "tcp://10.0.0.1:8083", 1);
	assert_int_equal(read_with(NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 1);
	unsetenv("FLASHSALE_SHARDS");
	unsetenv("FLASHSALE_INVENTORY_PORT");
}

static void test_values_and_ranges(void **state)
{
	assert_says(read_with("--shards", "0", NULL), "--shards: '0' is out of range: 1 to 1024");
	assert_says(read_with("--shards=1025", NULL), "--shards: '1025' is out of range: 1 to 1024");
	assert_says(read_with("--shards=-1", NULL), "'-1' is out of range");
	assert_says(read_with("--shards= 1", NULL), "' 1' is not a whole number");
	assert_says(read_with("--shards=1x", NULL), "'1x' is not a whole number");
	assert_says(read_with("--shards=99999999999999999999", NULL), "is not a whole number");
	assert_says(read_with("--shards=-", NULL), "'-' is not a whole number");
	assert_says(read_with("--hold-ttl", "999ms", NULL), "'999ms' is out of range: 1s to 24h");
	assert_says(read_with("--hold-ttl", "25h", NULL), "'25h' is out of range: 1s to 24h");
	assert_says(read_with("--map-bytes", "1t", NULL), "'1t' is not a size");
	assert_says(read_with("--hold-ttl", NULL), "--hold-ttl needs a value");
	assert_says(read_with("--hold-ttl", "--demo", NULL), "--hold-ttl needs a value");
	setenv("FLASHSALE_CFG_HOLD_TTL", "soon", 1);
	assert_says(read_with(NULL), "environment variable FLASHSALE_CFG_HOLD_TTL: 'soon' is not a duration");
}

static void test_an_error_fills_nothing(void **state)
{
	struct settings before;

	memset(&settings, 0, sizeof(settings));
	memset(&before, 0, sizeof(before));
	assert_int_equal(read_with("--listen", "x", "--shards", "0", NULL), CONFIG_ERROR);
	assert_memory_equal(&settings, &before, sizeof(settings));
	assert_string_equal(arguments[1], "--listen"); /* nor is argv in another order */
}

static void test_words_go_to_the_end_in_their_order(void **state)
{
	assert_int_equal(
		read_with("init", "--shards", "2", "more", "--demo", "--", "--last", NULL), CONFIG_OK);
	assert_int_equal(settings.shards, 2);
	assert_int_equal(argument_count - first_word, 3);
	assert_string_equal(arguments[first_word], "init");
	assert_string_equal(arguments[first_word + 1], "more");
	assert_string_equal(arguments[first_word + 2], "--last");
	assert_string_equal(arguments[0], "program");
	assert_null(arguments[argument_count]);
	assert_int_equal(read_with("-", NULL), CONFIG_OK);
	assert_string_equal(arguments[first_word], "-");
}

static void test_words_are_refused_where_none_belong(void **state)
{
	char *argv[] = {arguments[0], (char *)(uintptr_t) "init", NULL};

	assert_says(config_read(&config, 2, argv, &settings, NULL, &error), "unexpected argument 'init'");
}

static void test_what_must_be_given(void **state)
{
	static const struct config_setting needed[] = {
		SETTING("store-path", CONFIG_TEXT, store),
		SETTING("shards", CONFIG_INT, shards, .optional = true),
	};
	static const struct config strict = {.program = "p", .purpose = "x", .settings = needed, .count = 2};
	char *argv[] = {arguments[0], (char *)(uintptr_t) "--store-path=here", NULL};
	struct settings target = {.shards = 9};

	assert_says(config_read(&strict, 1, argv, &target, NULL, &error),
		"--store-path must be given (or store_path in the settings file, or "
		"FLASHSALE_CFG_STORE_PATH");
	assert_int_equal(config_read(&strict, 2, argv, &target, NULL, &error), CONFIG_OK);
	assert_string_equal(target.store, "here");
	assert_int_equal(target.shards, 0); /* optional, no default */
	config_release(&strict, &target);
	assert_null(target.store);
}

static void test_help_always_wins_and_names_everything(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(read_with("--nonsense", "--help", NULL), CONFIG_HELP);
	assert_int_equal(read_with("-h", NULL), CONFIG_HELP);
	assert_int_equal(read_with("--", "--help", NULL), CONFIG_OK);
	config_print_help(&config, out);
	fclose(out);
	assert_non_null(strstr(text, "flashsale-test - tries settings"));
	assert_non_null(strstr(text, "usage: flashsale-test [init] [--name value]..."));
	assert_non_null(strstr(text, "--config FILE"));
	assert_non_null(strstr(text, "FLASHSALE_CFG_"));
	for (size_t i = 0; i < config.count; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "--%s ", table[i].name);
		assert_non_null(strstr(text, flag));
		assert_non_null(strstr(text, table[i].help));
	}
	assert_non_null(strstr(text, "; 1s to 24h (default: 10m)"));
	free(text);
}

static void test_durations(void **state)
{
	int64_t value = -1;

	assert_true(config_parse_duration_ms("250ms", &value) && value == 250);
	assert_true(config_parse_duration_ms("3s", &value) && value == 3000);
	assert_true(config_parse_duration_ms("10m", &value) && value == 600000);
	assert_true(config_parse_duration_ms("2h", &value) && value == 7200000);
	assert_true(config_parse_duration_ms("0s", &value) && value == 0);
	assert_true(config_parse_duration_ms("9223372036854775807ms", &value) && value == INT64_MAX);
	value = -1;
	for (const char *const *wrong = (const char *const[]){"", "3", "s", "-3s", "+3s", " 3s", "3 s", "3s ",
		     "3S", "1.5s", "3d", "3us", "1h30m", "9223372036854775808ms", "9223372036854775807s",
		     "0x3s", NULL};
		*wrong; wrong++)
		assert_false(config_parse_duration_ms(*wrong, &value));
	assert_int_equal(value, -1);
}

static void test_sizes(void **state)
{
	int64_t value = -1;

	assert_true(config_parse_size("512", &value) && value == 512);
	assert_true(config_parse_size("64k", &value) && value == 65536);
	assert_true(config_parse_size("16m", &value) && value == 16 << 20);
	assert_true(config_parse_size("4g", &value) && value == INT64_C(4) << 30);
	value = -1;
	for (const char *const *wrong = (const char *const[]){"", "k", "-1", "1kb", "1 k", "8589934592g",
		     "9223372036854775808", NULL};
		*wrong; wrong++)
		assert_false(config_parse_size(*wrong, &value));
	assert_int_equal(value, -1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_defaults),
		CASE(test_flags_in_both_forms),
		CASE(test_switches),
		CASE(test_flags_over_file_over_environment_over_default),
		CASE(test_a_weaker_source_still_has_to_be_right),
		CASE(test_the_file_s_form),
		CASE(test_the_file_s_mistakes_are_named_with_their_line),
		CASE(test_files_that_cannot_be_settings),
		CASE(test_the_environment_can_name_the_file),
		CASE(test_unknown_names_are_refused_by_name),
		CASE(test_what_kubernetes_injects_is_not_ours),
		CASE(test_values_and_ranges),
		CASE(test_an_error_fills_nothing),
		CASE(test_words_go_to_the_end_in_their_order),
		CASE(test_words_are_refused_where_none_belong),
		CASE(test_what_must_be_given),
		CASE(test_help_always_wins_and_names_everything),
		CASE(test_durations),
		CASE(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
