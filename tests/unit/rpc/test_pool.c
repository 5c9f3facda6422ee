/* Which instance a call goes to, what is sent again, and how long a connection lives. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rpc/pool.h"
#include "station.h"

#define LONG_MS 60000
#define MANY 20

struct fixture {
	struct station *station;
	struct peer peers[2];
};

struct requested {
	struct rpc_request request;
	Echo__EchoRequest input;
	struct arena arena;
	struct rpc_pool *pool;
	_Atomic uint32_t came_back;
	uint32_t port;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	peer_start(&fixture->peers[0]);
	peer_start(&fixture->peers[1]);
	fixture->station = station_new();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	station_free(fixture->station);
	peer_free(&fixture->peers[0]);
	peer_free(&fixture->peers[1]);
	free(fixture);
	return 0;
}

static void requested_done(struct rpc_request *request)
{
	struct requested *requested = (struct requested *)request;

	if (request->output)
		requested->port = ((const Echo__EchoResponse *)request->output)->port;
	atomic_fetch_add(&requested->came_back, 1);
}

static void start_run(void *context)
{
	struct requested *requested = context;

	rpc_request_start(requested->pool, &requested->request);
}

static void start(struct fixture *fixture, struct requested *requested, const char *text, bool read)
{
	memset(requested, 0, sizeof(*requested));
	echo__echo_request__init(&requested->input);
	requested->input.text = (char *)text;
	requested->pool = fixture->station->pool;
	arena_init(&requested->arena, 1024, 65536);
	requested->request = (struct rpc_request){.service = &echo__echo_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&echo__echo_service__descriptor, "Echo"),
		.input = &requested->input.base,
		.shard = RPC_ANY_SHARD,
		.read = read,
		.deadline_ns = clock_mono_ns() + LONG_MS * INT64_C(1000000),
		.arena = &requested->arena,
		.done = requested_done};
	station_do(fixture->station, start_run, requested);
}

static enum rpc_code finish(struct requested *requested)
{
	await_counter(&requested->came_back, 1);
	assert_int_equal(requested->came_back, 1);
	arena_release(&requested->arena);
	return requested->request.status.code;
}

struct batching {
	struct station *station;
	struct rpc_batcher *batcher;
	bool read;
};

/* ---- what the pool knows, read on its loop ---- */

struct look {
	struct fixture *fixture;
	size_t ready, listed;
	int64_t youngest_ns, oldest_ns;
};

static void look_run(void *context)
{
	struct look *look = context;
	const struct rpc_channel *channel;

	look->ready = look->listed = 0;
	look->youngest_ns = 0;
	look->oldest_ns = INT64_MAX;
	TAILQ_FOREACH (channel, &look->fixture->station->pool->channels, link) {
		look->ready += channel->listed && channel->state == GRPC_CHANNEL_READY;
		look->listed += channel->listed;
		if (channel->born_ns > look->youngest_ns)
			look->youngest_ns = channel->born_ns;
		if (channel->born_ns < look->oldest_ns)
			look->oldest_ns = channel->born_ns;
	}
}

static bool two_are_ready(void *context)
{
	struct look *look = context;

	station_do(look->fixture->station, look_run, look);
	return look->ready == 2;
}

/* The first is kept busy by one call that hangs there. */
static void open_one_then_both(struct fixture *fixture, struct requested *hanging, int count, bool read)
{
	struct look look = {.fixture = fixture};

	station_list(fixture->station, fixture->peers, 1, false);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
	for (int i = 0; i < count; i++) {
		start(fixture, &hanging[i], "hang", read);
		peer_await_hang(&fixture->peers[0]);
	}
	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
}

static void the_less_busy_one(void **state)
{
	struct fixture *fixture = *state;
	struct requested hanging, requested;

	open_one_then_both(fixture, &hanging, 1, false);
	for (int i = 0; i < 50; i++) {
		start(fixture, &requested, "hello", false);
		assert_int_equal(finish(&requested), RPC_OK);
		assert_int_equal(requested.port, fixture->peers[1].port);
	}
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_int_equal(finish(&hanging), RPC_OK);
}

static void equals_share(void **state)
{
	struct fixture *fixture = *state;
	struct look look = {.fixture = fixture};
	struct requested requested;
	int first = 0;

	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	for (int i = 0; i < 200; i++) {
		start(fixture, &requested, "hello", false);
		assert_int_equal(finish(&requested), RPC_OK);
		first += requested.port == (uint32_t)fixture->peers[0].port;
	}
	assert_in_range(first, 40, 160); /* beyond that chance does not come in a lifetime */
}

/* The instance dies under a read: it goes to the other one, and comes back once. */
static void a_read_is_sent_again(void **state)
{
	struct fixture *fixture = *state;
	struct requested hanging;

	open_one_then_both(fixture, &hanging, 1, true);
	peer_kill(&fixture->peers[0]);
	peer_await_hang(&fixture->peers[1]);
	assert_int_equal(hanging.came_back, 0);
	peer_signal(&fixture->peers[1], SIGUSR1);
	assert_int_equal(finish(&hanging), RPC_OK);
	assert_true(hanging.request.sent);
	assert_int_equal(hanging.port, fixture->peers[1].port);
}

static void a_write_is_not(void **state)
{
	struct fixture *fixture = *state;
	struct requested hanging;

	open_one_then_both(fixture, &hanging, 1, false);
	peer_kill(&fixture->peers[0]);
	assert_int_equal(finish(&hanging), RPC_UNAVAILABLE);
	assert_true(hanging.request.sent);
}

static void make_batcher(void *context)
{
	struct batching *batching = context;

	batching->batcher = rpc_batcher_new(&(struct rpc_batcher_options){.pool = batching->station->pool,
		.service = &echo__echo_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&echo__echo_service__descriptor, "BatchEcho"),
		.items_max = 100,
		.in_flight_max = 1,
		.queue_max = 100,
		.arena_bytes_max = 1 << 20,
		.read = batching->read});
}

/* A batch goes again as well, without what could not wait for it. */
static void a_batch_of_reads_is_sent_again(void **state)
{
	struct fixture *fixture = *state;
	struct batching batching = {.station = fixture->station, .read = true};
	struct look look = {.fixture = fixture};
	struct asked asked[3];

	station_list(fixture->station, fixture->peers, 1, false);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
	station_do(fixture->station, make_batcher, &batching);
	asked_init(&asked[0], "hang", RPC_ANY_SHARD, LONG_MS);
	asked_init(&asked[1], "short of time", RPC_ANY_SHARD, 50);
	asked_init(&asked[2], "patient", RPC_ANY_SHARD, LONG_MS);
	asked_send(fixture->station, batching.batcher, asked, 3);
	peer_await_hang(&fixture->peers[0]);
	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	asked_await(&asked[1]);
	assert_int_equal(asked_code(&asked[1]), RPC_DEADLINE_EXCEEDED);
	peer_kill(&fixture->peers[0]);
	peer_await_hang(&fixture->peers[1]);
	peer_signal(&fixture->peers[1], SIGUSR1);
	asked_await(&asked[0]);
	asked_await(&asked[2]);
	for (int i = 0; i < 3; i += 2) {
		assert_int_equal(asked_code(&asked[i]), RPC_OK);
		assert_int_equal(asked[i].port, fixture->peers[1].port);
		assert_int_equal(asked[i].items, 2);
	}
	assert_int_equal(asked[1].came_back, 1);
	station_free_batcher(fixture->station, batching.batcher);
}

static void a_batch_of_writes_is_not(void **state)
{
	struct fixture *fixture = *state;
	struct batching batching = {.station = fixture->station};
	struct look look = {.fixture = fixture};
	struct asked asked;

	station_list(fixture->station, fixture->peers, 1, false);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
	station_do(fixture->station, make_batcher, &batching);
	asked_init(&asked, "hang", RPC_ANY_SHARD, LONG_MS);
	asked_send(fixture->station, batching.batcher, &asked, 1);
	peer_await_hang(&fixture->peers[0]);
	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	peer_kill(&fixture->peers[0]);
	asked_await(&asked);
	assert_int_equal(asked_code(&asked), RPC_UNAVAILABLE);
	assert_true(asked.ask.sent);
	station_free_batcher(fixture->station, batching.batcher);
}

/* Twice is enough: an answer of unavailability from both is one. */
static void a_read_is_sent_twice_at_most(void **state)
{
	struct fixture *fixture = *state;
	struct look look = {.fixture = fixture};
	struct requested requested;
	int64_t before;

	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	before = atomic_load(&rpc_pool_metrics(fixture->station->pool)->calls.value);
	start(fixture, &requested, "away", true);
	assert_int_equal(finish(&requested), RPC_UNAVAILABLE);
	assert_int_equal(atomic_load(&rpc_pool_metrics(fixture->station->pool)->calls.value), before + 2);
	/* cancelled, but not by us */
	start(fixture, &requested, "ending", true);
	assert_int_equal(finish(&requested), RPC_UNAVAILABLE);
	assert_int_equal(atomic_load(&rpc_pool_metrics(fixture->station->pool)->calls.value), before + 4);
}

/* Ten at first, and one more for ten calls: of twenty that fail together twelve go twice. */
static void the_budget_ends(void **state)
{
	struct fixture *fixture = *state;
	struct requested hanging[MANY];
	int back = 0;

	open_one_then_both(fixture, hanging, MANY, true);
	peer_kill(&fixture->peers[0]);
	for (int i = 0; i < 12; i++)
		peer_await_hang(&fixture->peers[1]);
	peer_signal(&fixture->peers[1], SIGUSR1);
	for (int i = 0; i < MANY; i++)
		back += finish(&hanging[i]) == RPC_UNAVAILABLE;
	/* those that were sent again earn something too */
	assert_in_range(back, 6, 8);
}

static void a_tenth_of_all_calls(void **state)
{
	struct client_metrics metrics = {0};
	struct rpc_pool pool = {.metrics = &metrics};
	int repeated = 0;

	for (int i = 0; i < 1000; i++) {
		rpc_pool_earn(&pool);
		repeated += rpc_pool_may_repeat(&pool);
	}
	assert_int_equal(repeated, 100);
	for (int i = 0; i < 1000000; i++)
		rpc_pool_earn(&pool);
	for (repeated = 0; rpc_pool_may_repeat(&pool); repeated++)
		;
	assert_int_equal(repeated, 100); /* quiet times save no more than that */
	rpc_pool_earn(&pool);
	pool.budget = 1000;
	pool.closing = true;
	assert_false(rpc_pool_may_repeat(&pool));
}

static void avoided_for_longer_each_time(void **state)
{
	const int64_t ms = 1000000;
	struct rpc_channel channel = {0};
	int64_t now = 1000 * ms;

	for (int64_t wait = 50; wait <= 3200; wait *= 2) {
		rpc_channel_judge(&channel, wait % 100 ? RPC_UNAVAILABLE : RPC_DEADLINE_EXCEEDED, now);
		assert_int_equal(channel.avoid_until_ns, now + wait * ms);
		rpc_channel_judge(&channel, RPC_UNAVAILABLE, now + 1); /* of the same moment */
		assert_int_equal(channel.avoid_until_ns, now + wait * ms);
		now = channel.avoid_until_ns;
	}
	rpc_channel_judge(&channel, RPC_UNAVAILABLE, now);
	assert_int_equal(channel.avoid_until_ns, now + 3200 * ms);
	rpc_channel_judge(&channel, RPC_NOT_FOUND, now + 1); /* an answer */
	assert_int_equal(channel.avoid_until_ns, 0);
	rpc_channel_judge(&channel, RPC_UNAVAILABLE, now);
	assert_int_equal(channel.avoid_until_ns, now + 50 * ms);
}

static void failing_ones_come_last(void **state)
{
	struct fixture *fixture = *state;
	struct look look = {.fixture = fixture};
	struct requested requested;
	struct rpc_channel *failing;

	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	failing = TAILQ_FIRST(&fixture->station->pool->channels); /* its list changes no more */
	for (int i = 0; i < 7; i++)
		rpc_channel_judge(failing, RPC_UNAVAILABLE, clock_mono_ns() + i * INT64_C(10000000000));
	for (int i = 0; i < 50; i++) {
		start(fixture, &requested, "hello", false);
		assert_int_equal(finish(&requested), RPC_OK);
		assert_int_not_equal(requested.port, atoi(strchr(failing->address, ':') + 1));
	}
}

static void age_run(void *context)
{
	struct fixture *fixture = context;

	rpc_pool_set_age(fixture->station->pool, 20);
}

/* Connections are made anew while calls go on: none fails, and there is one an instance. */
static void old_connections_are_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct look look = {.fixture = fixture};
	struct requested requested;
	int64_t born_ns, end_ns = clock_mono_ns() + STATION_WAIT_S * INT64_C(1000000000);

	station_list(fixture->station, fixture->peers, 2, false);
	await(two_are_ready, &look);
	born_ns = look.youngest_ns;
	station_do(fixture->station, age_run, fixture);
	do {
		start(fixture, &requested, "hello", false);
		assert_int_equal(finish(&requested), RPC_OK);
		station_do(fixture->station, look_run, &look);
		assert_int_equal(look.listed, 2);
		assert_true(clock_mono_ns() < end_ns);
	} while (look.oldest_ns <= born_ns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_less_busy_one),
		TEST(equals_share),
		TEST(a_read_is_sent_again),
		TEST(a_write_is_not),
		TEST(a_batch_of_reads_is_sent_again),
		TEST(a_batch_of_writes_is_not),
		TEST(a_read_is_sent_twice_at_most),
		TEST(the_budget_ends),
		cmocka_unit_test(a_tenth_of_all_calls),
		cmocka_unit_test(avoided_for_longer_each_time),
		TEST(failing_ones_come_last),
		TEST(old_connections_are_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
