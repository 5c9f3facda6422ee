/* One call at a time: answers, errors, cancelling, and what a pool that ends does with it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "station.h"

#define LONG_MS 60000

struct fixture {
	struct station *station;
	struct peer peer;
	_Atomic uint32_t changes;
};

/* A request and what became of it. */
struct requested {
	struct rpc_request request;
	Echo__EchoRequest input;
	struct arena arena;
	struct rpc_pool *pool;
	_Atomic uint32_t came_back;
	char trace[64];
	char *text;
	uint32_t port; /* of who answered */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	peer_start(&fixture->peer);
	fixture->station = station_new();
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	station_free(fixture->station);
	peer_free(&fixture->peer);
	free(fixture);
	return 0;
}

static void requested_done(struct rpc_request *request)
{
	struct requested *requested = (struct requested *)request;
	const Echo__EchoResponse *output = (const Echo__EchoResponse *)request->output;

	if (output) {
		requested->text = output->text;
		requested->port = output->port;
		snprintf(requested->trace, sizeof(requested->trace), "%s", output->trace);
	}
	atomic_fetch_add(&requested->came_back, 1);
}

static void start_run(void *context)
{
	struct requested *requested = context;

	rpc_request_start(requested->pool, &requested->request);
	assert_int_equal(requested->came_back, 0);
}

static void cancel_run(void *context)
{
	struct requested *requested = context;

	rpc_request_cancel(&requested->request);
	assert_int_equal(requested->came_back, 0);
}

static void start_and_cancel_run(void *context)
{
	start_run(context);
	cancel_run(context);
	cancel_run(context);
}

static void fill(struct fixture *fixture, struct requested *requested, const char *text, int64_t patience_ms)
{
	memset(requested, 0, sizeof(*requested));
	echo__echo_request__init(&requested->input);
	requested->input.text = (char *)text;
	requested->pool = fixture->station->pool;
	arena_init(&requested->arena, 1024, 65536);
	requested->request = (struct rpc_request){
		.service = &echo__echo_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&echo__echo_service__descriptor, "Echo"),
		.input = &requested->input.base,
		.shard = RPC_ANY_SHARD,
		.deadline_ns = clock_mono_ns() + patience_ms * 1000000,
		.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		.arena = &requested->arena,
		.done = requested_done,
	};
}

static void start(struct fixture *fixture, struct requested *requested, const char *text, int64_t patience_ms)
{
	fill(fixture, requested, text, patience_ms);
	station_do(fixture->station, start_run, requested);
}

static void assert_came(struct requested *requested, enum rpc_code code, bool sent)
{
	await_counter(&requested->came_back, 1);
	assert_int_equal(requested->request.status.code, code);
	assert_int_equal(requested->request.sent, sent);
	assert_int_equal(requested->request.output != NULL, code == RPC_OK);
	assert_null(requested->request.call_);
	if (code == RPC_OK)
		assert_string_equal(requested->text, requested->input.text);
	assert_int_equal(requested->came_back, 1);
	arena_release(&requested->arena);
}

static void open_one(struct fixture *fixture)
{
	station_list(fixture->station, &fixture->peer, 1, false);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
}

static void an_answer(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	open_one(fixture);
	start(fixture, &requested, "hello", LONG_MS);
	assert_came(&requested, RPC_OK, true);
	assert_string_equal(requested.trace, requested.request.trace);
}

static void the_first_waits_for_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	for (int i = 0;; i++) {
		assert_true(i < 100);
		start(fixture, &requested, "hello", LONG_MS);
		station_list(fixture->station, &fixture->peer, 1, false);
		await_counter(&requested.came_back, 1);
		if (requested.request.sent)
			break;
		arena_release(&requested.arena);
		station_list(fixture->station, &fixture->peer, 0, false);
	}
	assert_came(&requested, RPC_OK, true);
}

static void one_instance_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	struct peer peers[2] = {fixture->peer};
	struct requested requested;
	char id[40];

	peer_start(&peers[1]);
	station_list(fixture->station, peers, 2, true);
	station_await_ready(fixture->station, 0);
	station_await_ready(fixture->station, 1);
	for (int i = 0; i < 20; i++) {
		snprintf(id, sizeof(id), "127.0.0.1:%d", peers[i % 2].port);
		fill(fixture, &requested, "you", LONG_MS);
		requested.request.instance = id;
		station_do(fixture->station, start_run, &requested);
		assert_came(&requested, RPC_OK, true);
		assert_int_equal(requested.port, peers[i % 2].port);
	}
	fill(fixture, &requested, "nobody", LONG_MS);
	requested.request.instance = "somebody-else";
	station_do(fixture->station, start_run, &requested);
	assert_came(&requested, RPC_UNAVAILABLE, false);
	assert_string_equal(requested.request.status.message, "somebody-else is not connected");
	peer_free(&peers[1]);
}

static void an_error_has_its_details(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	open_one(fixture);
	start(fixture, &requested, "fail", LONG_MS);
	assert_came(&requested, RPC_ABORTED, true);
	assert_string_equal(requested.request.status.reason, "IN_PROGRESS");
	assert_string_equal(requested.request.status.message, "as you wished");
	assert_int_equal(requested.request.status.retry_after_ms, 70);
}

static void an_answer_larger_than_the_arena(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	open_one(fixture);
	start(fixture, &requested, "large", LONG_MS);
	assert_came(&requested, RPC_INTERNAL, true);
}

static void nobody_there(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	start(fixture, &requested, "nothing known", LONG_MS);
	assert_came(&requested, RPC_UNAVAILABLE, false);
	start(fixture, &requested, "nothing known, impatient", 20);
	assert_came(&requested, RPC_DEADLINE_EXCEEDED, false);
	station_list(fixture->station, &fixture->peer, 0, false);
	start(fixture, &requested, "known to be none", LONG_MS);
	assert_came(&requested, RPC_UNAVAILABLE, false);
	start(fixture, &requested, "past", -1);
	assert_came(&requested, RPC_DEADLINE_EXCEEDED, false);
}

static void deadline_and_kill(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	open_one(fixture);
	start(fixture, &requested, "hang", 50);
	assert_came(&requested, RPC_DEADLINE_EXCEEDED, true);
	peer_await_hang(&fixture->peer);
	start(fixture, &requested, "hang", LONG_MS);
	peer_await_hang(&fixture->peer);
	peer_kill(&fixture->peer);
	assert_came(&requested, RPC_UNAVAILABLE, true);
}

static void cancelled(void **state)
{
	struct fixture *fixture = *state;
	struct requested requested;

	fill(fixture, &requested, "not yet", LONG_MS);
	station_do(fixture->station, start_and_cancel_run, &requested);
	assert_came(&requested, RPC_CANCELLED, false);
	open_one(fixture);
	start(fixture, &requested, "hang", LONG_MS);
	peer_await_hang(&fixture->peer);
	station_do(fixture->station, cancel_run, &requested);
	assert_came(&requested, RPC_CANCELLED, true);
	station_do(fixture->station, cancel_run, &(struct requested){.request.call_ = NULL});
}

static void freed_with_requests_open(void **state)
{
	struct fixture *fixture = *state;
	struct requested flying, waiting;

	open_one(fixture);
	start(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peer);
	station_list(fixture->station, &fixture->peer, 0, false);
	fill(fixture, &waiting, "waits", LONG_MS);
	station_do(fixture->station, start_run, &waiting);
	rpc_pool_free(fixture->station->pool);
	fixture->station->pool = NULL;
	assert_int_equal(flying.came_back + waiting.came_back, 2);
	assert_came(&flying, RPC_UNAVAILABLE, true);
	assert_came(&waiting, RPC_UNAVAILABLE, false);
}

static void count_change(void *context)
{
	struct fixture *fixture = context;

	atomic_fetch_add(&fixture->changes, 1);
}

static void next_change(struct fixture *fixture, uint32_t *known)
{
	await_counter(&fixture->changes, *known + 1);
	*known = fixture->changes;
}

static void changes_are_told(void **state)
{
	struct fixture *fixture = *state;
	uint32_t known = 0;

	rpc_pool_on_change(fixture->station->pool, count_change, fixture);
	next_change(fixture, &known); /* once soon */
	assert_int_equal(rpc_pool_count(fixture->station->pool), 0);
	open_one(fixture);
	assert_int_equal(rpc_pool_count(fixture->station->pool), 1);
	assert_true(fixture->changes > known);
	known = fixture->changes;
	peer_kill(&fixture->peer);
	next_change(fixture, &known); /* lost */
	peer_start(&fixture->peer);
	next_change(fixture, &known); /* back */
	station_list(fixture->station, &fixture->peer, 0, false);
	next_change(fixture, &known);
	assert_int_equal(rpc_pool_count(fixture->station->pool), 0);
}

static void addresses_that_do_not_resolve(void **state)
{
	struct fixture *fixture = *state;
	struct instance items[] = {
		{.id = "a",
			.address = "no-such-host.invalid:1",
			.admin_address = "",
			.version = "",
			.shard = -1},
		{.id = "b", .address = "999.999.999.999:1", .admin_address = "", .version = "", .shard = -1},
		{.id = "c", .address = "[::1]:1", .admin_address = "", .version = "", .shard = -1},
	};
	struct requested requested;

	catalog_put(&fixture->station->catalog, "echo", instances_make(items, 3, 0, NULL));
	start(fixture, &requested, "hello", 300);
	await_counter(&requested.came_back, 1);
	assert_false(requested.request.sent);
	arena_release(&requested.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(an_answer),
		TEST(the_first_waits_for_the_connection),
		TEST(one_instance_and_no_other),
		TEST(an_error_has_its_details),
		TEST(an_answer_larger_than_the_arena),
		TEST(nobody_there),
		TEST(deadline_and_kill),
		TEST(cancelled),
		TEST(freed_with_requests_open),
		TEST(changes_are_told),
		TEST(addresses_that_do_not_resolve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
