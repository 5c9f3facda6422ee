/* A stream that is kept open: messages in order, lost and found again, silence noticed, nothing after the end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "station.h"

struct fixture {
	struct station *station;
	struct peer peers[2];
	struct rpc_subscription *subscription;
	const char *text;
	int64_t silence_ms;
	uint64_t refuse_at; /* a position that the reader does not like */
	bool leave;	    /* at the next message */
	/* what was heard; written on the loop */
	uint64_t position;
	_Atomic uint32_t opens, messages, losses, port;
	_Atomic enum rpc_code why;
	_Atomic bool gap, left;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	peer_start(&fixture->peers[0]);
	fixture->station = station_new();
	fixture->text = "";
	fixture->silence_ms = 60000;
	*state = fixture;
	return 0;
}

static void leave_run(void *context)
{
	struct fixture *fixture = context;

	rpc_unsubscribe(fixture->subscription);
	fixture->subscription = NULL;
	fixture->left = true;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	station_do(fixture->station, leave_run, fixture);
	station_free(fixture->station);
	peer_free(&fixture->peers[0]);
	peer_free(&fixture->peers[1]);
	free(fixture);
	return 0;
}

static void on_open(void *context, ProtobufCMessage *message)
{
	struct fixture *fixture = context;
	Echo__WatchEchoRequest *request = (Echo__WatchEchoRequest *)message;

	request->after = fixture->position;
	request->text = (char *)fixture->text;
	atomic_fetch_add(&fixture->opens, 1);
}

static bool on_message(void *context, const ProtobufCMessage *message)
{
	struct fixture *fixture = context;
	const Echo__WatchEchoResponse *response = (const Echo__WatchEchoResponse *)message;

	if (fixture->leave) {
		leave_run(fixture);
		return false;
	}
	if (response->position != fixture->position + 1)
		fixture->gap = true;
	if (response->position == fixture->refuse_at) {
		fixture->refuse_at = 0;
		return false;
	}
	fixture->position = response->position;
	fixture->port = response->port;
	atomic_fetch_add(&fixture->messages, 1);
	return true;
}

static void on_lost(void *context, const struct rpc_status *why)
{
	struct fixture *fixture = context;

	fixture->why = why->code;
	atomic_fetch_add(&fixture->losses, 1);
}

static void subscribe_run(void *context)
{
	struct fixture *fixture = context;

	fixture->subscription = rpc_subscribe(&(struct rpc_subscription_options){
		.pool = fixture->station->pool,
		.service = &echo__echo_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&echo__echo_service__descriptor, "WatchEcho"),
		.shard = RPC_ANY_SHARD,
		.silence_ms = fixture->silence_ms,
		.open = on_open,
		.message = on_message,
		.lost = on_lost,
		.context = fixture,
		.message_arena_bytes_max = 65536,
	});
}

static void subscribe(struct fixture *fixture)
{
	station_do(fixture->station, subscribe_run, fixture);
}

static void more_messages(struct fixture *fixture)
{
	await_counter(&fixture->messages, fixture->messages + 3);
	assert_false(fixture->gap);
}

static void messages_come(void **state)
{
	struct fixture *fixture = *state;

	subscribe(fixture); /* before anybody is there */
	station_list(fixture->station, fixture->peers, 1, false);
	more_messages(fixture);
	assert_int_equal(fixture->opens, 1);
	assert_int_equal(fixture->losses, 0);
}

static void it_goes_on_where_it_was(void **state)
{
	struct fixture *fixture = *state;

	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	for (uint32_t i = 1; i <= 3; i++) {
		peer_kill(&fixture->peers[0]);
		await_counter(&fixture->losses, i);
		assert_int_equal(fixture->why, RPC_UNAVAILABLE);
		peer_start(&fixture->peers[0]);
		more_messages(fixture);
	}
}

static void an_end_is_a_loss(void **state)
{
	struct fixture *fixture = *state;

	fixture->text = "end";
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	await_counter(&fixture->losses, 3);
	assert_int_equal(fixture->why, RPC_OK);
	assert_true(fixture->messages >= 9);
	assert_false(fixture->gap);
}

static void silence_is_a_loss(void **state)
{
	struct fixture *fixture = *state;

	fixture->text = "silent";
	fixture->silence_ms = 100;
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	await_counter(&fixture->losses, 3);
	assert_int_equal(fixture->why, RPC_DEADLINE_EXCEEDED);
	await_counter(&fixture->messages, 4);
	assert_false(fixture->gap);
}

static void messages_break_the_silence(void **state)
{
	struct fixture *fixture = *state;
	int64_t ends_ns;

	fixture->silence_ms = 1500;
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	for (ends_ns = clock_mono_ns() + INT64_C(2000000000); clock_mono_ns() < ends_ns;)
		more_messages(fixture);
	assert_int_equal(fixture->losses, 0);
}

static void a_frozen_peer_is_a_loss(void **state)
{
	struct fixture *fixture = *state;

	fixture->silence_ms = 300;
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	peer_signal(&fixture->peers[0], SIGSTOP);
	await_counter(&fixture->losses, fixture->losses + 1);
	peer_signal(&fixture->peers[0], SIGCONT);
	more_messages(fixture);
}

static void the_reader_wants_a_new_one(void **state)
{
	struct fixture *fixture = *state;

	fixture->refuse_at = 5;
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	await_counter(&fixture->messages, 10);
	assert_int_equal(fixture->opens, 2);
	assert_int_equal(fixture->losses, 1);
	assert_int_equal(fixture->why, RPC_ABORTED);
	assert_false(fixture->gap);
}

static void a_message_too_large(void **state)
{
	struct fixture *fixture = *state;

	fixture->text = "large";
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	await_counter(&fixture->losses, 2);
	assert_int_equal(fixture->why, RPC_INTERNAL);
	assert_int_equal(fixture->messages, 0);
}

static void reopen_run(void *context)
{
	struct fixture *fixture = context;

	rpc_subscription_reopen(fixture->subscription);
}

static void reopened_by_its_owner(void **state)
{
	struct fixture *fixture = *state;

	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	station_do(fixture->station, reopen_run, fixture);
	await_counter(&fixture->opens, 2);
	more_messages(fixture);
	assert_int_equal(fixture->losses, 0);
}

static void it_moves_with_the_list(void **state)
{
	struct fixture *fixture = *state;

	peer_start(&fixture->peers[1]);
	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	assert_int_equal(fixture->port, fixture->peers[0].port);
	station_list(fixture->station, &fixture->peers[1], 1, false);
	await_counter(&fixture->losses, 1);
	more_messages(fixture);
	assert_int_equal(fixture->port, fixture->peers[1].port);
}

static bool has_left(void *context)
{
	struct fixture *fixture = context;

	return fixture->left;
}

static void set_leave_run(void *context)
{
	((struct fixture *)context)->leave = true;
}

static void left_from_a_message(void **state)
{
	struct fixture *fixture = *state;

	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	station_do(fixture->station, set_leave_run, fixture);
	await(has_left, fixture);
	rpc_pool_free(fixture->station->pool); /* waits for the stream's end */
	fixture->station->pool = NULL;
	assert_int_equal(fixture->losses, 0);
}

static void the_pool_goes_first(void **state)
{
	struct fixture *fixture = *state;

	station_list(fixture->station, fixture->peers, 1, false);
	subscribe(fixture);
	more_messages(fixture);
	rpc_pool_free(fixture->station->pool);
	fixture->station->pool = NULL;
	assert_int_equal(fixture->losses, 1);
	assert_int_equal(fixture->why, RPC_UNAVAILABLE);
	station_do(fixture->station, reopen_run, fixture); /* harmless */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(messages_come),
		TEST(it_goes_on_where_it_was),
		TEST(an_end_is_a_loss),
		TEST(silence_is_a_loss),
		TEST(messages_break_the_silence),
		TEST(a_frozen_peer_is_a_loss),
		TEST(the_reader_wants_a_new_one),
		TEST(a_message_too_large),
		TEST(reopened_by_its_owner),
		TEST(it_moves_with_the_list),
		TEST(left_from_a_message),
		TEST(the_pool_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
