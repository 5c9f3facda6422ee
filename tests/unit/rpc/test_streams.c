#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* ---- out ---- */

static void start_count(struct trial *trial, struct client_call *call, uint32_t to, uint32_t size)
{
	Trial__CountRequest request = TRIAL__COUNT_REQUEST__INIT;

	request.to = to;
	request.size = size;
	client_start(call, &trial->client, TRIAL "Count", CLIENT_FOREVER, NULL);
	client_send_message(call, &request.base);
	client_half_close(call);
}

static uint32_t read_number(struct client_call *call)
{
	Trial__CountResponse *response;
	uint32_t number;

	if (!client_receive(call))
		return 0;
	response = client_unpack(call, &trial__count_response__descriptor);
	number = response->number;
	trial__count_response__free_unpacked(response, NULL);
	return number;
}

static void test_count(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	start_count(trial, &call, 100, 10);
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(read_number(&call), i);
	assert_int_equal(read_number(&call), 0);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
	assert_int_equal(trial->stream_ends, 1);
}

static void test_count_fails(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	start_count(trial, &call, 1000000007, 0);
	assert_int_equal(read_number(&call), 1);
	assert_int_equal(read_number(&call), 0);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_DATA_LOSS);
	assert_string_equal(status.message, "lost count");
	assert_int_equal(trial->stream_ends, 1);
}

/* Who does not read is not asked for more than the windows of the connection hold: far less than the whole. */
static void test_slow_reader(void **state)
{
	enum { SIZE = 256 * 1024, COUNT = 400 };
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;
	uint32_t before;

	start_count(trial, &call, COUNT, SIZE);
	assert_int_equal(read_number(&call), 1);
	for (int quiet = 0, pulls = 0; quiet < 20; quiet = pulls == (int)trial->pulls ? quiet + 1 : 0) {
		pulls = (int)trial->pulls;
		client_unary(&trial->client, TRIAL "Ask", "", 0, &status, NULL,
			NULL); /* the loop is alive all the while */
		assert_int_equal(status.code, RPC_OK);
	}
	before = trial->pulls;
	assert_true(before < COUNT / 2);
	for (uint32_t i = 2; i <= COUNT; i++)
		assert_int_equal(read_number(&call), i);
	assert_int_equal(read_number(&call), 0);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void test_reader_leaves(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	start_count(trial, &call, 0, 0); /* waits for ever */
	trial_await(&trial->pulls, 1);
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	trial_await(&trial->stream_ends, 1);
	start_count(trial, &call, 1000000, 100 * 1000); /* has more to tell than anybody reads */
	assert_int_equal(read_number(&call), 1);
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	trial_await(&trial->stream_ends, 2);
}

static void test_too_many_streams(void **state)
{
	struct trial *trial = *state;
	struct client_call calls[4], more;
	struct rpc_status status;

	for (uint32_t i = 0; i < 4; i++) {
		start_count(trial, &calls[i], 0, 0);
		trial_await(&trial->pulls, i + 1);
	}
	start_count(trial, &more, 1, 0);
	assert_int_equal(read_number(&more), 0);
	client_finish(&more, &status);
	assert_int_equal(status.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(status.reason, "OVERLOADED");
	for (int i = 0; i < 4; i++) {
		grpc_call_cancel(calls[i].call, NULL);
		client_finish(&calls[i], &status);
	}
	trial_await(&trial->stream_ends, 4);
}

/* ---- in ---- */

static void send_number(struct client_call *call, uint32_t number)
{
	Trial__AddRequest request = TRIAL__ADD_REQUEST__INIT;

	request.number = number;
	client_send_message(call, &request.base);
}

static void test_add(void **state)
{
	struct trial *trial = *state;
	Trial__AddResponse *response;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	for (uint32_t i = 100; i < 200; i++)
		send_number(&call, i);
	client_half_close(&call);
	assert_true(client_receive(&call));
	response = client_unpack(&call, &trial__add_response__descriptor);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
	assert_int_equal(response->messages, 100);
	assert_int_equal(response->sum, 14950);
	trial__add_response__free_unpacked(response, NULL);
	assert_int_equal(trial->stream_ends, 1);
}

static void test_add_nothing(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	client_half_close(&call);
	assert_true(client_receive(&call));
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void test_add_ends_early(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	send_number(&call, 1);
	send_number(&call, 13);
	assert_false(client_receive(&call));
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.field, "number");
	assert_int_equal(trial->stream_ends, 0); /* it ended by itself: no NULL after that */
}

static void test_add_bad_message(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	send_number(&call, 1);
	client_send(&call, "\x08\xff\xff\xff\xff\x7f", 6);
	assert_false(client_receive(&call));
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.field, "number");
	assert_int_equal(trial->stream_ends, 1); /* so that it lets go of its state */
	assert_int_equal(trial->pulls, 1);
}

static void test_add_sender_leaves(void **state)
{
	struct trial *trial = *state;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	send_number(&call, 1);
	trial_await(&trial->pulls, 1);
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	trial_await(&trial->stream_ends, 1); /* it hears the end all the same */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reader_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many_streams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_ends_early, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_bad_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_sender_leaves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
