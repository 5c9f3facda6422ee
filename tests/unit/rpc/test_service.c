#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>

#include "rpc/service.h"
#include "tests/unit/base/folder.h"

/* A program of the test's own, run as a child: what its hooks did comes back as letters through a pipe. */

struct settings {
	struct service_settings common;
	int64_t number;
};

static const struct config_setting own_settings[] = {
	{"number", CONFIG_INT, offsetof(struct settings, number), "7", false, 0, 9, "a number"},
};
static const char *const tables[] = {"rows"};

static int letters_fd;
static bool start_fails, serve, end_at_start;
static char directory[FOLDER_TEXT_MAX];

static void note(char letter)
{
	ssize_t written = write(letters_fd, &letter, 1);

	assert_int_equal(written, 1);
}

static bool check(const void *settings, struct error *error)
{
	const struct settings *own = settings;

	return own->number != 3 || error_set(error, "--number is 3, which is no number");
}

static bool start(struct service *service, struct error *error)
{
	const struct settings *own = service->settings;

	note('s');
	if (start_fails)
		return error_set(error, "the test wants it so");
	assert_true(service->store && service->loop && service->server && !service->discovery);
	assert_int_equal(service->common->shards, own->common.shards);
	assert_false(id_is_zero(&service->incarnation));
	note((char)('0' + own->number));
	service->state = &letters_fd;
	if (serve)
		service_set_serving(service, true);
	if (end_at_start)
		kill(getpid(), SIGTERM); /* it waits until somebody looks */
	return true;
}

static void stop(struct service *service)
{
	note(service->server && service->store && service->state == &letters_fd ? 'p' : '?');
	service_set_serving(service, true); /* too late: harmless */
}

static void release(struct service *service)
{
	note(service->store && service->loop ? 'r' : '?');
}

static struct service_definition definition = {
	.name = "test",
	.purpose = "to be tested",
	.listen = "127.0.0.1:0",
	.admin = "127.0.0.1:0",
	.sharded = true,
	.settings = own_settings,
	.settings_count = 1,
	.settings_bytes = sizeof(struct settings),
	.store_format = 1,
	.store_tables = tables,
	.store_table_count = 1,
	.store_size = "16m",
	.check = check,
	.start = start,
	.stop = stop,
	.release = release,
};

struct ending {
	int code;
	char letters[32];
	char said[8192]; /* on stdout and stderr */
};

static void read_all(int fd, char *to, size_t size)
{
	size_t at = 0;
	ssize_t got;

	while (at < size - 1 && (got = read(fd, to + at, size - 1 - at)) > 0)
		at += (size_t)got;
	to[at] = '\0';
	close(fd);
}

#define ARGUMENTS_MAX 12

/* Runs the program with these arguments, NULL at the end, to its end. */
static struct ending run(const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "flashsale-test"};
	int count = 1, letters[2], said[2], status;
	struct ending ending;
	va_list rest;
	pid_t child;

	va_start(rest, first);
	for (const char *a = first; a; a = va_arg(rest, const char *)) {
		assert_true(count < ARGUMENTS_MAX);
		arguments[count++] = (char *)(uintptr_t)a;
	}
	va_end(rest);
	assert_int_equal(pipe(letters), 0);
	assert_int_equal(pipe(said), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		letters_fd = letters[1];
		dup2(said[1], 1);
		dup2(said[1], 2);
		close(letters[0]);
		close(said[0]);
		close(said[1]);
		exit(service_run(&definition, count, arguments));
	}
	close(letters[1]);
	close(said[1]);
	read_all(said[0], ending.said, sizeof(ending.said));
	read_all(letters[0], ending.letters, sizeof(ending.letters));
	assert_int_equal(waitpid(child, &status, 0), child);
	ending.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	return ending;
}

static void expect(const struct ending *ending, int code, const char *letters, const char *said)
{
	if (ending->code != code || strcmp(ending->letters, letters) != 0 || !strstr(ending->said, said))
		fail_msg("ended with %d after '%s', saying: %s", ending->code, ending->letters, ending->said);
}

static int setup(void **state)
{
	folder_make(directory);
	start_fails = serve = false;
	end_at_start = true;
	definition.sharded = true;
	return 0;
}

static int teardown(void **state)
{
	folder_remove(directory);
	return 0;
}

static void test_help(void **state)
{
	struct ending ending = run("--help", NULL);

	expect(&ending, 0, "", "flashsale-test - to be tested");
	expect(&ending, 0, "", "[TOOL]");
	expect(&ending, 0, "", "flashsale-test init ");
	expect(&ending, 0, "", "--number NUMBER");
	expect(&ending, 0, "", "--drain-time");
}

static void test_settings_that_cannot_be(void **state)
{
	static const char *const wrong[][4] = {
		/* flag, value, what is said */
		{"--nonsense", "1", "nonsense"},
		{"--log-level", "loud", "expected debug, info, warn or error"},
		{"--listen", "8083", "expected HOST:PORT"},
		{"--listen", "127.0.0.1:x", "expected HOST:PORT"},
		{"--listen", "127.0.0.1:65536", "up to 65535"},
		{"--admin", ":1", "expected HOST:PORT"},
		{"--number", "10", "--number"},
		{"--number", "3", "which is no number"},
		{"--shard", "1", "with --shards 1 it can be 0 to 0"},
		{"--shards", "0", "--shards"},
	};
	struct ending ending = run(NULL, NULL);

	expect(&ending, 2, "", "--store must be given");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ending = run("--store", directory, wrong[i][0], wrong[i][1], NULL);
		expect(&ending, 2, "", wrong[i][2]);
	}
	ending = run("--store", directory, "inti", NULL);
	expect(&ending, 2, "", "unexpected argument 'inti'");
	ending = run("--store", directory, "init", "init", NULL);
	expect(&ending, 2, "", "unexpected argument 'init' after init");
	ending = run("--store", directory, "backup", NULL);
	expect(&ending, 2, "", "'backup' must come first");
	definition.sharded = false;
	ending = run("--store", directory, "--shards", "2", NULL);
	expect(&ending, 2, "", "--shards");
	ending = run("--store", directory, "--shard", "1", NULL);
	expect(&ending, 2, "", "one shard only");
}

static void test_a_store_is_made_once(void **state)
{
	struct ending ending = run("--store", directory, NULL);

	expect(&ending, 1, "", "flashsale-test init --store");
	ending = run("init", "--store", directory, "--shard", "1", "--shards", "2", NULL);
	expect(&ending, 0, "", "shard 1 of 2");
	ending = run("init", "--store", directory, NULL);
	expect(&ending, 1, "", "exists already");
	ending = run("--store", directory, NULL);
	expect(&ending, 1, "", "shard 1 of 2, the settings say shard 0 of 1");
	ending = run("--store", directory, "--shard", "1", "--shards", "2", NULL);
	expect(&ending, 0, "s7pr", "listening");
}

/* The service's settings are the tool's too; init may stand behind them. */
static void test_a_store_is_made_from_the_environment(void **state)
{
	struct ending ending = run("init", NULL);

	expect(&ending, 2, "", "--store must be given");
	setenv("FLASHSALE_CFG_STORE", directory, 1);
	setenv("FLASHSALE_CFG_NUMBER", "4", 1);
	ending = run("--shards", "2", "init", NULL);
	expect(&ending, 0, "", "shard 0 of 2");
	setenv("FLASHSALE_CFG_NUMBER", "3", 1);
	ending = run("init", NULL);
	expect(&ending, 2, "", "which is no number");
	unsetenv("FLASHSALE_CFG_NUMBER");
	unsetenv("FLASHSALE_CFG_STORE");
}

static void test_a_graceful_end(void **state)
{
	struct ending ending = run("init", "--store", directory, NULL);

	expect(&ending, 0, "", "made the store");
	ending = run("--store", directory, "--number", "4", NULL);
	expect(&ending, 0, "s4pr", "SIGTERM");
	serve = true;
	ending = run("--store", directory, NULL);
	expect(&ending, 0, "s7pr", "\"message\":\"ended\"");
}

static void test_a_start_that_fails(void **state)
{
	struct ending ending = run("init", "--store", directory, NULL);

	start_fails = true;
	ending = run("--store", directory, NULL);
	expect(&ending, 1, "s", "the test wants it so");
}

/* What came after start() fails: then what start() made is undone. */
static void test_a_port_in_use(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int taken = socket(AF_INET, SOCK_STREAM, 0);
	struct ending ending = run("init", "--store", directory, NULL);
	socklen_t size = sizeof(address);
	char text[64];

	assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(taken, 1), 0);
	assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(address.sin_port));
	end_at_start = false;
	ending = run("--store", directory, "--listen", text, NULL);
	expect(&ending, 1, "s7pr", "--listen");
	ending = run("--store", directory, "--admin", text, NULL);
	expect(&ending, 1, "s7pr", "--admin");
	close(taken);
}

static void test_a_discovery_file(void **state)
{
	struct ending ending = run("init", "--store", directory, NULL);

	ending = run("--store", directory, "--discovery-file", "/nowhere/at/all", NULL);
	expect(&ending, 1, "", "--discovery-file");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_help),
		TEST(test_settings_that_cannot_be),
		TEST(test_a_store_is_made_once),
		TEST(test_a_store_is_made_from_the_environment),
		TEST(test_a_graceful_end),
		TEST(test_a_start_that_fails),
		TEST(test_a_port_in_use),
		TEST(test_a_discovery_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
