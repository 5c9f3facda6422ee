/* The protector as a program: its detectors over gRPC, its lists by its own tools. It runs as a process of its own, which is killed like any other. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmocka_first.h"

#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/recording.h"
#include "rpc/caller.h"
#include "tests/unit/base/folder.h"

#define ARGUMENTS_MAX 20
#define OUTPUT_MAX 16384

int flashsale_protector(int argc, char **argv); /* main of protector/main.c */

static struct world {
	char folder[FOLDER_TEXT_MAX], store[FOLDER_TEXT_MAX + 16], list[FOLDER_TEXT_MAX + 16];
	char found[FOLDER_TEXT_MAX + 16], out[FOLDER_TEXT_MAX + 16], address[64];
	pid_t service;
	struct rpc_caller caller;
	struct arena arena;
} w;

/* ---- processes ---- */

static pid_t start(const char *const *arguments, int output)
{
	char *all[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "flashsale-protector"};
	pid_t child;

	for (int i = 0; arguments[i]; i++) {
		assert_true(i + 1 < ARGUMENTS_MAX);
		all[i + 1] = (char *)(uintptr_t)arguments[i];
	}
	child = fork();
	assert_true(child >= 0);
	if (child > 0)
		return child;
	dup2(output, 1);
	dup2(output, 2);
	execv("/proc/self/exe", all);
	_exit(127);
}

static char said[OUTPUT_MAX];

/* Its code; what it said is in `said`. */
static int run(const char *const *arguments)
{
	int output[2], status;
	size_t size = 0;
	ssize_t got;
	pid_t child;

	assert_int_equal(pipe(output), 0);
	child = start(arguments, output[1]);
	close(output[1]);
	while ((got = read(output[0], said + size, sizeof(said) - 1 - size)) > 0)
		size += (size_t)got;
	said[size] = '\0';
	close(output[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}
#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL})

static void start_service(void)
{
	w.service = start((const char *const[]){"--store", w.store, "--listen", w.address, "--admin",
				  "127.0.0.1:0", "--allow", "", "--store-size", "64m", "--bans-max", "8",
				  "--log-level", "error", "--drain-delay", "0ms", NULL},
		2);
}

static void end_service(int signal)
{
	int status;

	kill(w.service, signal);
	assert_int_equal(waitpid(w.service, &status, 0), w.service);
	assert_true(signal == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* One that nobody has, and nobody gets in the meantime: it was given out last. */
static void choose_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(w.address, sizeof(w.address), "127.0.0.1:%d", ntohs(address.sin_port));
	close(fd);
}

static int setup(void **state)
{
	struct service_settings settings = {.discovery_file = w.found, .shards = 1};
	char line[128];
	struct error error;

	folder_make(w.folder);
	snprintf(w.store, sizeof(w.store), "%s/store", w.folder);
	snprintf(w.list, sizeof(w.list), "%s/list", w.folder);
	snprintf(w.found, sizeof(w.found), "%s/found", w.folder);
	snprintf(w.out, sizeof(w.out), "%s/out", w.folder);
	choose_port();
	snprintf(line, sizeof(line), "protector %s\n", w.address);
	write_file(w.found, line);
	assert_int_equal(RUN("init", "--store", w.store, "--store-size", "64m"), 0);
	start_service();
	arena_init(&w.arena, 1 << 20, 1 << 24);
	assert_true(rpc_caller_open(&w.caller, &settings, "protector", "protector",
		&protector__protector_service__descriptor, &error));
	return 0;
}

static int teardown(void **state)
{
	rpc_caller_close(&w.caller);
	arena_release(&w.arena);
	end_service(SIGTERM);
	folder_remove(w.folder);
	return 0;
}

static struct rpc_status status;

static const void *call(const char *method, const void *request)
{
	return rpc_caller_call(&w.caller, RPC_ANY_SHARD, method, request, &w.arena, &status);
}

/* ---- detectors ---- */

static const Protector__Detector *get_detector(char *name)
{
	Protector__GetDetectorRequest request = PROTECTOR__GET_DETECTOR_REQUEST__INIT;
	const Protector__GetDetectorResponse *response;

	request.detector = name;
	response = call("GetDetector", &request);
	return response ? response->detector : NULL;
}

static char refusals[] = "refusals", unknown[] = "unknown";

static void test_detectors_are_listed(void **state)
{
	Protector__ListDetectorsRequest request = PROTECTOR__LIST_DETECTORS_REQUEST__INIT;
	const Protector__ListDetectorsResponse *response = call("ListDetectors", &request);

	assert_non_null(response);
	assert_int_equal(response->n_detectors, 8);
	assert_string_equal(response->detectors[0]->detector, "account-rate");
	assert_true(response->detectors[0]->ban > response->detectors[0]->slow);
	assert_int_equal(response->ladder->ban->seconds, 300);
	assert_null(get_detector(unknown));
	assert_int_equal(status.code, RPC_NOT_FOUND);
	assert_string_equal(get_detector(refusals)->detector, "refusals");
}

/* A change that was answered is there after the process was killed. */
static void test_a_change_is_stored_before_it_is_answered(void **state)
{
	Protector__UpdateDetectorRequest request = PROTECTOR__UPDATE_DETECTOR_REQUEST__INIT;
	Google__Protobuf__Duration window = GOOGLE__PROTOBUF__DURATION__INIT;
	Protector__UpdateLadderRequest lasting = PROTECTOR__UPDATE_LADDER_REQUEST__INIT;
	Protector__GetLadderRequest ask = PROTECTOR__GET_LADDER_REQUEST__INIT;
	const Protector__UpdateDetectorResponse *response;
	const Protector__UpdateLadderResponse *lasts;
	const Protector__Detector *detector;

	window.seconds = 7;
	request.detector = refusals;
	request.enabled_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__ENABLED_CHANGE_ENABLED;
	request.shadow_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__SHADOW_CHANGE_SHADOW;
	request.shadow = true;
	request.window = &window;
	request.least_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__LEAST_CHANGE_LEAST;
	request.slow_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__SLOW_CHANGE_SLOW;
	request.slow = 3;
	request.challenge_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__CHALLENGE_CHANGE_CHALLENGE;
	request.ban_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__BAN_CHANGE_BAN;
	request.ban = 5;
	response = call("UpdateDetector", &request);
	assert_non_null(response);
	assert_int_equal(response->detector->ban, 5);
	lasting.slow = &window;
	lasts = call("UpdateLadder", &lasting);
	assert_int_equal(lasts->ladder->slow->seconds, 7);
	end_service(SIGKILL);
	start_service();
	detector = get_detector(refusals);
	assert_non_null(detector);
	assert_true(!detector->enabled && detector->shadow && detector->window->seconds == 7);
	assert_true(detector->slow == 3 && !detector->challenge && detector->ban == 5);
	assert_int_equal(
		((const Protector__GetLadderResponse *)call("GetLadder", &ask))->ladder->slow->seconds, 7);
}

static void test_what_can_not_be_is_refused(void **state)
{
	Protector__UpdateDetectorRequest request = PROTECTOR__UPDATE_DETECTOR_REQUEST__INIT;
	Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
	Protector__UpdateLadderRequest lasting = PROTECTOR__UPDATE_LADDER_REQUEST__INIT;
	Protector__ListTopClientsRequest top = PROTECTOR__LIST_TOP_CLIENTS_REQUEST__INIT;
	static const Google__Protobuf__Duration none[] = {{.seconds = -1}, {.seconds = INT64_MAX},
		{.nanos = -1}, {.nanos = 1000000000}, {.seconds = 601}};

	request.detector = unknown;
	assert_null(call("UpdateDetector", &request));
	assert_int_equal(status.code, RPC_NOT_FOUND);
	request.detector = refusals;
	request.window = &duration;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		duration.seconds = none[i].seconds;
		duration.nanos = none[i].nanos;
		assert_null(call("UpdateDetector", &request));
		assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
		assert_non_null(strstr(status.message, "window"));
	}
	request.window = NULL;
	request.ban_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__BAN_CHANGE_BAN;
	request.ban = 1;
	assert_null(call("UpdateDetector", &request)); /* below the challenge */
	duration.seconds = duration.nanos = 0;
	lasting.ban = &duration;
	assert_null(call("UpdateLadder", &lasting));
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	top.count = 1001;
	assert_null(call("ListTopClients", &top));
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	top.count = 0;
	assert_non_null(call("ListTopClients", &top));
	assert_int_equal(get_detector(refusals)->window->seconds, 60);
}

/* ---- lists ---- */

static const char *contents(const char *path)
{
	static char text[OUTPUT_MAX];
	FILE *file = fopen(path, "re");
	size_t size;

	assert_non_null(file);
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	fclose(file);
	return text;
}

static void test_a_list_goes_in_and_out(void **state)
{
	write_file(w.list,
		"# bans\nuser:eve\n192.0.2.7 # one\n198.51.100.0/24\n"
		"{\"userID\":\"mallory\",\"effect\":\"BAN_EFFECT_SLOW\",\"reason\":\"much too fast\"}\n"
		"{\"userID\":\"robot\",\"source\":\"BAN_SOURCE_DETECTOR\"}\n");
	assert_int_equal(RUN("import", w.list, "--discovery-file", w.found, "--reason", "listed"), 0);
	assert_string_equal(said, "4 bans imported, 1 left out: no person made them\n");
	assert_int_equal(
		RUN("import", w.list, "--discovery-file", w.found), 0); /* again: they take their places */
	assert_int_equal(RUN("export", "--discovery-file", w.found), 0);
	assert_non_null(strstr(said, "user:eve\n"));
	assert_non_null(strstr(said, "192.0.2.7\n"));
	assert_non_null(strstr(said, "198.51.100.0/24\n"));
	assert_null(strstr(said, "mallory"));
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--effect", "slow", "--out", w.out), 0);
	assert_string_equal(contents(w.out), "user:mallory\n");
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--out", w.out), 1); /* it is there */
	assert_non_null(strstr(said, w.out));
	unlink(w.out);
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--json", "--out", w.out), 0);
	assert_non_null(strstr(contents(w.out), "\"reason\":\"much too fast\""));
	end_service(SIGTERM); /* what was exported goes into an empty one */
	folder_remove(w.store);
	assert_int_equal(RUN("init", "--store", w.store, "--store-size", "64m"), 0);
	start_service();
	assert_int_equal(RUN("import", w.out, "--discovery-file", w.found, "--expire", "1h"), 0);
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--effect", "slow"), 0);
	assert_string_equal(said, "user:mallory\n");
}

static void test_lists_that_are_refused(void **state)
{
	char many[1024] = "";

	write_file(w.list, "user:eve\nnonsense\n");
	assert_int_equal(RUN("import", w.list, "--discovery-file", w.found), 1);
	assert_non_null(strstr(said, ":2: "));
	for (int i = 0; i < 9; i++) /* one more than there may be */
		snprintf(many + strlen(many), 32, "user:number%d\n", i);
	write_file(w.list, many);
	assert_int_equal(RUN("import", w.list, "--discovery-file", w.found), 1);
	assert_non_null(strstr(said, "--bans-max"));
	assert_int_equal(RUN("import", "/nowhere", "--discovery-file", w.found), 2);
	assert_int_equal(RUN("import", "--discovery-file", w.found), 2);
	assert_int_equal(RUN("import", w.list), 2);
	assert_int_equal(RUN("import", w.list, "--discovery-file", w.found, "--effect", "charm"), 2);
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--effect", "charm"), 2);
	assert_int_equal(RUN("export"), 2);
	assert_int_equal(RUN("export", "--discovery-file", "/nowhere"), 2);
	assert_int_equal(RUN("export", "--discovery-file", w.found, "--json", "--out", "/nowhere/out"), 1);
}

/* A line a decision, whatever a shopper is called. */
static void test_a_replay_has_its_own_lines(void **state)
{
	static const char user[] = "eve\n\033[2Jadam";
	struct traffic traffic = {
		.user_id = {user, sizeof(user) - 1}, .kind = TRAFFIC_BUY, .counts_account = true};
	struct error error;
	struct recording_writer *writer = recording_create(w.out, &error);

	assert_non_null(writer);
	for (int i = 0; i < 400; i++) {
		traffic.time_us = INT64_C(1700000000000000) + i * INT64_C(5000);
		recording_write(writer, &traffic);
	}
	assert_true(recording_finish(writer, &error));
	assert_int_equal(RUN("replay", w.out), 0);
	assert_non_null(strstr(said, "account eve??[2Jadam  for "));
	assert_null(strstr(said, "\nadam"));
	assert_null(strchr(said, '\033'));
	assert_int_equal(RUN("replay", w.out, "--sums"), 0);
	assert_null(strstr(said, "account"));
	assert_non_null(strstr(said, "1 bans"));
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_detectors_are_listed),
		TEST(test_a_change_is_stored_before_it_is_answered),
		TEST(test_what_can_not_be_is_refused),
		TEST(test_a_list_goes_in_and_out),
		TEST(test_lists_that_are_refused),
		TEST(test_a_replay_has_its_own_lines),
	};

	if (argc > 1)
		return flashsale_protector(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
