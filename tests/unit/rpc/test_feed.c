/* A client stream that is kept open: what is told arrives in order, is asked for no faster than it is taken, and goes on after a loss. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/feed.h"
#include "station.h"

#define FILLER_BYTES 65536
/* What may lie between the asking and the reader: gRPC's and the kernel's buffers. */
#define UNDER_WAY_MAX 400

struct fixture {
	struct station *station;
	struct peer peers[2];
	struct rpc_feed *feed;
	const char *instance, *text;
	uint32_t limit; /* how much there is to tell */
	uint8_t filler[FILLER_BYTES];
	size_t filler_bytes;
	_Atomic uint32_t asked, opens, losses;
	_Atomic enum rpc_code why;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	peer_start(&fixture->peers[0]);
	fixture->station = station_new();
	fixture->text = "";
	fixture->limit = UINT32_MAX;
	*state = fixture;
	return 0;
}

static void free_run(void *context)
{
	struct fixture *fixture = context;

	rpc_feed_free(fixture->feed);
	fixture->feed = NULL;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	station_do(fixture->station, free_run, fixture);
	station_free(fixture->station);
	peer_free(&fixture->peers[0]);
	peer_free(&fixture->peers[1]);
	free(fixture);
	return 0;
}

static bool next(void *context, ProtobufCMessage *message)
{
	struct fixture *fixture = context;
	Echo__TellEchoRequest *request = (Echo__TellEchoRequest *)message;

	if (fixture->asked >= fixture->limit)
		return false;
	request->position = atomic_fetch_add(&fixture->asked, 1) + 1;
	request->text = (char *)(uintptr_t)fixture->text;
	request->filler.data = fixture->filler;
	request->filler.len = fixture->filler_bytes;
	return true;
}

static void opened(void *context)
{
	atomic_fetch_add(&((struct fixture *)context)->opens, 1);
}

static void lost(void *context, const struct rpc_status *why)
{
	struct fixture *fixture = context;

	fixture->why = why->code;
	atomic_fetch_add(&fixture->losses, 1);
}

static void feed_run(void *context)
{
	struct fixture *fixture = context;

	fixture->feed = rpc_feed_new(&(struct rpc_feed_options){
		.pool = fixture->station->pool,
		.service = &echo__echo_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&echo__echo_service__descriptor, "TellEcho"),
		.instance = fixture->instance,
		.next = next,
		.opened = opened,
		.lost = lost,
		.context = fixture,
	});
}

static void feed(struct fixture *fixture)
{
	station_do(fixture->station, feed_run, fixture);
}

struct more {
	struct fixture *fixture;
	uint32_t count;
};

static void more_run(void *context)
{
	const struct more *more = context;

	more->fixture->limit += more->count;
	rpc_feed_wake(more->fixture->feed);
}

static void tell_more(struct fixture *fixture, uint32_t count)
{
	struct more more = {fixture, count};

	station_do(fixture->station, more_run, &more);
}

static void everything_arrives_in_order(void **state)
{
	struct fixture *fixture = *state;

	fixture->limit = 1000;
	feed(fixture); /* before anybody is there */
	station_list(fixture->station, fixture->peers, 1, false);
	for (int i = 1; i <= 1000; i++)
		assert_int_equal(peer_read(&fixture->peers[0]), i);
	assert_int_equal(fixture->opens, 1);
	assert_int_equal(fixture->losses, 0);
}

static void what_comes_later_goes_when_it_is_woken(void **state)
{
	struct fixture *fixture = *state;

	fixture->limit = 0;
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	await_counter(&fixture->opens, 1);
	for (int i = 1; i <= 3; i++) {
		tell_more(fixture, 1);
		assert_int_equal(peer_read(&fixture->peers[0]), i);
	}
	assert_int_equal(fixture->asked, 3);
}

static void it_goes_on_after_a_loss(void **state)
{
	struct fixture *fixture = *state;

	fixture->limit = 0;
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	for (uint32_t i = 1; i <= 3; i++) {
		await_counter(&fixture->opens, i);
		tell_more(fixture, 1);
		assert_int_equal(peer_read(&fixture->peers[0]), i);
		peer_kill(&fixture->peers[0]);
		await_counter(&fixture->losses, i);
		assert_int_equal(fixture->why, RPC_UNAVAILABLE);
		peer_start(&fixture->peers[0]);
	}
}

static void a_frozen_reader_is_not_overrun_and_then_lost(void **state)
{
	struct fixture *fixture = *state;
	uint32_t asked;

	fixture->filler_bytes = FILLER_BYTES;
	station_list(fixture->station, fixture->peers, 1, false);
	fixture->text = "slow";
	feed(fixture);
	assert_int_equal(peer_read(&fixture->peers[0]), 1);
	peer_signal(&fixture->peers[0], SIGSTOP);
	asked = fixture->asked;
	await_counter(&fixture->losses, 1);
	assert_true(fixture->asked < asked + UNDER_WAY_MAX);
	asked = fixture->asked;
	peer_signal(&fixture->peers[0], SIGCONT);
	await_counter(&fixture->opens, 2);
	await_counter(&fixture->asked, asked + 1);
}

static void the_other_side_may_end_it(void **state)
{
	struct fixture *fixture = *state;

	fixture->limit = 1;
	fixture->text = "enough";
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	await_counter(&fixture->losses, 1);
	assert_int_equal(fixture->why, RPC_OK);
	await_counter(&fixture->opens, 2);
	fixture->text = "fail";
	tell_more(fixture, 1);
	await_counter(&fixture->losses, 2);
	assert_int_equal(fixture->why, RPC_ABORTED);
}

static void it_goes_to_its_instance(void **state)
{
	struct fixture *fixture = *state;
	char id[32];

	peer_start(&fixture->peers[1]);
	snprintf(id, sizeof(id), "127.0.0.1:%d", fixture->peers[1].port);
	fixture->instance = id;
	fixture->limit = 3;
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
	assert_int_equal(fixture->opens, 0);
	station_list(fixture->station, fixture->peers, 2, false);
	for (int i = 1; i <= 3; i++)
		assert_int_equal(peer_read(&fixture->peers[1]), i);
	station_list(fixture->station, fixture->peers, 1, false);
	await_counter(&fixture->losses, 1);
	assert_int_equal(fixture->why, RPC_UNAVAILABLE);
	assert_int_equal(fixture->opens, 1);
}

static void the_pool_goes_first(void **state)
{
	struct fixture *fixture = *state;

	fixture->text = "slow";
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	assert_int_equal(peer_read(&fixture->peers[0]), 1);
	rpc_pool_free(fixture->station->pool);
	fixture->station->pool = NULL;
	assert_int_equal(fixture->losses, 1);
	assert_int_equal(fixture->why, RPC_UNAVAILABLE);
	tell_more(fixture, 1); /* harmless */
}

static void it_is_freed_with_a_message_under_way(void **state)
{
	struct fixture *fixture = *state;

	fixture->text = "slow";
	fixture->filler_bytes = FILLER_BYTES;
	station_list(fixture->station, fixture->peers, 1, false);
	feed(fixture);
	assert_int_equal(peer_read(&fixture->peers[0]), 1);
	station_do(fixture->station, free_run, fixture);
	assert_int_equal(fixture->losses, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(everything_arrives_in_order),
		TEST(what_comes_later_goes_when_it_is_woken),
		TEST(it_goes_on_after_a_loss),
		TEST(a_frozen_reader_is_not_overrun_and_then_lost),
		TEST(the_other_side_may_end_it),
		TEST(it_goes_to_its_instance),
		TEST(the_pool_goes_first),
		TEST(it_is_freed_with_a_message_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
