#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/metrics.h"
#include "trial.h"

static int setup(void **state)
{
	*state = trial_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	trial_free(*state);
	return 0;
}

static void ask_text(
	struct trial *trial, const char *path, const char *text, struct rpc_status *status, char *ret_text)
{
	Trial__AskRequest request = TRIAL__ASK_REQUEST__INIT;
	Trial__AskResponse *response = NULL;

	request.text = (char *)text;
	client_ask(&trial->client, path, &request.base, status, &trial__ask_response__descriptor, &response);
	if (response && ret_text)
		strcpy(ret_text, response->text);
	assert_int_equal(response != NULL, status->code == RPC_OK);
	if (response)
		trial__ask_response__free_unpacked(response, NULL);
}

static void test_answer(void **state)
{
	struct rpc_status status;
	char text[64];

	ask_text(*state, TRIAL "Ask", "hello", &status, text);
	assert_int_equal(status.code, RPC_OK);
	assert_string_equal(text, "hello");
}

static void test_answer_from_another_thread(void **state)
{
	struct rpc_status status;
	char text[64];

	for (int i = 0; i < 20; i++) {
		ask_text(*state, TRIAL "AskLater", "later", &status, text);
		assert_int_equal(status.code, RPC_OK);
		assert_string_equal(text, "later");
	}
	ask_text(*state, TRIAL "AskLater", "fail", &status, NULL);
	assert_int_equal(status.code, RPC_ABORTED);
	assert_string_equal(status.reason, "IN_PROGRESS");
	assert_string_equal(status.message, "from another thread");
	assert_int_equal(status.retry_after_ms, 1234);
}

static void test_refusals(void **state)
{
	struct rpc_status status;

	ask_text(*state, TRIAL "Ask", "refuse me", &status, NULL);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.reason, "INVALID");
	assert_string_equal(status.field, "items[0].sku");
	assert_string_equal(status.message, "no way");
	ask_text(*state, TRIAL "Ask", "nothing", &status, NULL);
	assert_int_equal(status.code, RPC_INTERNAL);
}

static void test_trace_and_deadline(void **state)
{
	static const char *const traces[] = {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"short", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0$"};
	struct trial *trial = *state;
	Trial__AskRequest request = TRIAL__ASK_REQUEST__INIT;
	struct rpc_status status;

	for (int i = 0; i < 3; i++) {
		Trial__AskResponse *response;
		struct client_call call;

		client_start(&call, &trial->client, TRIAL "Ask", i == 1 ? CLIENT_FOREVER : 20000, traces[i]);
		client_send_message(&call, &request.base);
		client_half_close(&call);
		assert_true(client_receive(&call));
		response = client_unpack(&call, &trial__ask_response__descriptor);
		client_finish(&call, &status);
		assert_string_equal(response->trace, i ? "" : traces[0]);
		assert_int_equal(response->has_deadline, i != 1);
		trial__ask_response__free_unpacked(response, NULL);
	}
}

static void test_unknown_method(void **state)
{
	struct rpc_status status;

	for (int i = 0; i < 20; i++) { /* more than are armed at once */
		ask_text(*state, TRIAL "Nothing", "", &status, NULL);
		assert_int_equal(status.code, RPC_UNIMPLEMENTED);
	}
	assert_non_null(strstr(status.message, TRIAL "Nothing"));
}

static void test_no_message(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Ask", 20000, NULL);
	client_half_close(&call);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_int_equal(trial->asks, 0);
}

static void test_bad_text(void **state)
{
	struct trial *trial = *state;
	struct rpc_status status;

	client_unary(&trial->client, TRIAL "Ask",
		"\x12\x05\x0a\x03"
		"a\0b",
		7, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.reason, "INVALID");
	assert_string_equal(status.field, "items[0].sku");
	client_unary(&trial->client, TRIAL "Ask", "\x0a\x01\xff", 3, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.field, "text");
	client_unary(&trial->client, TRIAL "Ask", "\x0a\x7f", 2, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_int_equal(trial->asks, 0);
}

/* On the wire, unpacked, in number: the function never sees it. */
static void test_too_large(void **state)
{
	struct trial *trial = *state;
	size_t size = trial_limits.request_bytes_max + 1000;
	char *bytes = memory_new(size);
	struct rpc_status status;

	client_unary(&trial->client, TRIAL "Ask", bytes, size, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_RESOURCE_EXHAUSTED);
	for (size_t i = 0; i < 2000; i += 2)
		bytes[i] = 0x12; /* items, empty */
	client_unary(&trial->client, TRIAL "Ask", bytes, 2002, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT); /* the last two are zero */
	bytes[2000] = 0x12;
	client_unary(&trial->client, TRIAL "Ask", bytes, 2002, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(status.field, "items[1000]");
	assert_int_equal(trial->asks, 0);
	client_unary(&trial->client, TRIAL "Ask", bytes, 2000, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_OK);
	free(bytes);
}

/* Unknown fields of three bytes each: protobuf-c makes objects of dozens of them, here they are dropped. */
static void test_unknown_fields_cost_nothing(void **state)
{
	struct trial *trial = *state;
	size_t size = 900 * 1000;
	char *bytes = memory_new(size);
	struct rpc_status status;

	for (size_t i = 0; i < size; i += 3)
		memcpy(bytes + i, "\xf8\x01\x01", 3);
	client_unary(&trial->client, TRIAL "Ask", bytes, size, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_OK);
	free(bytes);
}

/* A message that comes in many slices is put together. */
static void test_large_message(void **state)
{
	struct rpc_status status;
	size_t size = 500 * 1000;
	char *text = memory_new(size + 1), *back = memory_new(size + 1);

	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 23);
	ask_text(*state, TRIAL "Ask", text, &status, back);
	assert_int_equal(status.code, RPC_OK);
	assert_string_equal(text, back);
	free(text);
	free(back);
}

static void start_never(struct trial *trial, struct client_call *call, int deadline_ms)
{
	client_start(call, &trial->client, TRIAL "AskNever", deadline_ms, NULL);
	client_send(call, "", 0);
	client_half_close(call);
	sem_wait(&trial->kept_one);
}

static void let_go(struct rpc_call *call)
{
	struct rpc_status status;

	rpc_status_set(&status, RPC_NOT_FOUND, "", "let go");
	rpc_fail(call, &status);
}

static void await_abandoned(struct rpc_call *call)
{
	for (int i = 0; !rpc_abandoned(call); i++) {
		assert_true(i < CLIENT_WAIT_S * 1000);
		usleep(1000);
	}
}

static void test_client_leaves(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	start_never(trial, &call, CLIENT_FOREVER);
	assert_false(rpc_abandoned(trial->kept));
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_CANCELLED);
	await_abandoned(trial->kept);
	let_go(trial->kept);
}

static void test_deadline_passes(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	start_never(trial, &call, 200);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_DEADLINE_EXCEEDED);
	await_abandoned(trial->kept);
	let_go(trial->kept);
}

static void test_too_many_calls(void **state)
{
	enum { MAX = 8 };
	struct trial *trial = *state;
	struct client_call calls[MAX];
	struct rpc_call *kept[MAX];
	struct rpc_status status;

	for (int i = 0; i < MAX; i++) {
		start_never(trial, &calls[i], CLIENT_FOREVER);
		kept[i] = trial->kept;
	}
	ask_text(trial, TRIAL "Ask", "one more", &status, NULL);
	assert_int_equal(status.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(status.reason, "OVERLOADED");
	assert_true(status.retry_after_ms > 0);
	assert_int_equal(trial->asks, 0);
	client_unary(&trial->client, "/grpc.health.v1.Health/Check", "", 0, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_OK); /* health is not a call like others */
	for (int i = 0; i < MAX; i++) {
		let_go(kept[i]);
		client_finish(&calls[i], &status);
		assert_int_equal(status.code, RPC_NOT_FOUND);
	}
	ask_text(trial, TRIAL "Ask", "there is room again", &status, NULL);
	assert_int_equal(status.code, RPC_OK);
}

/* More at once than are armed. */
static void test_burst(void **state)
{
	enum { COUNT = 300 };
	struct rpc_limits limits = trial_limits;
	struct trial *trial;
	struct client_call *calls = NEW_ARRAY(COUNT, struct client_call);
	struct rpc_status status;

	limits.calls_max = COUNT;
	trial = trial_new(&limits);
	for (int i = 0; i < COUNT; i++) {
		client_start(&calls[i], &trial->client, TRIAL "Ask", CLIENT_FOREVER, NULL);
		client_send(&calls[i], "", 0);
		client_half_close(&calls[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_true(client_receive(&calls[i]));
		client_finish(&calls[i], &status);
		assert_int_equal(status.code, RPC_OK);
	}
	assert_int_equal(trial->asks, COUNT);
	trial_free(trial);
	free(calls);
}

enum { FRAME_HEAD = 9, FRAME_PING = 6, FRAME_GOAWAY = 7 };

/* The type and flags of the next HTTP/2 frame (RFC 9113, 4.1), what it carries is not looked at; false: none came in time. */
static bool receive_frame(int peer, uint8_t head[FRAME_HEAD])
{
	uint8_t payload[16384];
	size_t size;

	if (recv(peer, head, FRAME_HEAD, MSG_WAITALL) != FRAME_HEAD)
		return false;
	size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
	assert_true(size <= sizeof(payload));
	return recv(peer, payload, size, MSG_WAITALL) == (ssize_t)size;
}

/* One that has no call open, and answers nothing, is not pinged; and it may ping as often as it likes. */
static void test_idle_client(void **state)
{
	static const char preface[] =
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"; /* and no settings */
	static const uint8_t ping[FRAME_HEAD + 8] = {0, 0, 8, FRAME_PING};
	struct rpc_limits limits = trial_limits;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval patience = {.tv_usec = 300000}, forever = {.tv_sec = 0};
	struct trial *trial;
	int peer = socket(AF_INET, SOCK_STREAM, 0);
	uint8_t head[FRAME_HEAD];

	(void)state;
	limits.keepalive_ms = 20;
	trial = trial_new(&limits);
	to.sin_port = htons((uint16_t)rpc_server_port(trial->server));
	assert_int_equal(connect(peer, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(write(peer, preface, sizeof(preface)), sizeof(preface));
	setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	while (receive_frame(peer, head))
		assert_int_not_equal(head[3], FRAME_PING);

	setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	for (int pings = 0; pings < 20; pings++) {
		assert_int_equal(write(peer, ping, sizeof(ping)), sizeof(ping));
		do {
			assert_true(receive_frame(peer, head));
			assert_int_not_equal(head[3], FRAME_GOAWAY);
		} while (head[3] != FRAME_PING);
	}
	close(peer);
	trial_free(trial);
}

static void test_port_in_use(void **state)
{
	struct trial *trial = *state;
	struct rpc_server *second = rpc_server_new(trial->loop, &trial_limits);
	struct error error = {""};
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%d", rpc_server_port(trial->server));
	assert_false(rpc_listen(second, address, NULL, &error));
	assert_non_null(strstr(error.text, address));
	assert_non_null(strstr(error.text, "in use"));
	assert_false(rpc_listen(second, "no address", NULL, &error));
	assert_non_null(strstr(error.text, "no address"));
	rpc_server_free(second);
}

static void test_counters(void **state)
{
	struct rpc_status status;
	size_t size;
	char *text;

	ask_text(*state, TRIAL "Ask", "hello", &status, NULL);
	ask_text(*state, TRIAL "Ask", "refuse me", &status, NULL);
	text = metrics_text(&size);
	assert_non_null(
		strstr(text, "flashsale_rpc_server_calls_total{method=\"" TRIAL "Ask\",code=\"OK\"}"));
	assert_non_null(strstr(
		text, "flashsale_rpc_server_calls_total{method=\"" TRIAL "Ask\",code=\"INVALID_ARGUMENT\"}"));
	assert_non_null(strstr(text, "flashsale_rpc_server_seconds_count{method=\"" TRIAL "Ask\"}"));
	assert_non_null(strstr(text, "flashsale_rpc_server_in_flight{method=\"" TRIAL "Ask\"} 0"));
	free(text);
}

static void test_never_listened(void **state)
{
	struct rpc_loop *loop = rpc_loop_new("idle");
	struct rpc_server *server = rpc_server_new(loop, &rpc_limits_standard);

	rpc_server_set_serving(server, true);
	rpc_server_free(server);
	rpc_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answer_from_another_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trace_and_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_method, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_text, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_fields_cost_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_calls, setup, teardown),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_idle_client),
		cmocka_unit_test_setup_teardown(test_port_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
		cmocka_unit_test(test_never_listened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
