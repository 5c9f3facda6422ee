#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "rpc/ask_lanes.h"

#define MS INT64_C(1000000)

struct fixture {
	struct ask_lanes lanes;
	struct client_metrics *metrics;
	struct rpc_ask asks[6];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->metrics = client_metrics_of("lanes");
	ask_lanes_init(&fixture->lanes, fixture->metrics);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	for (struct ask_lane *lane = fixture->lanes.first; lane; lane = lane->next) {
		while (ask_lane_take(lane))
			continue;
	}
	ask_lanes_release(&fixture->lanes);
	free(fixture);
	return 0;
}

static void put(struct fixture *fixture, int i, int32_t shard, int64_t deadline_ns)
{
	fixture->asks[i].deadline_ns = deadline_ns;
	ask_lane_put(ask_lanes_get(&fixture->lanes, shard), &fixture->asks[i]);
}

static void a_shard_keeps_its_lane(void **state)
{
	struct ask_lanes *lanes = &((struct fixture *)*state)->lanes;
	struct ask_lane *any = ask_lanes_get(lanes, RPC_ANY_SHARD), *seventh = ask_lanes_get(lanes, 7);

	assert_ptr_not_equal(any, seventh);
	ask_lanes_get(lanes, 1000);
	assert_ptr_equal(ask_lanes_get(lanes, RPC_ANY_SHARD), any);
	assert_ptr_equal(ask_lanes_get(lanes, 7), seventh);
	assert_int_equal(seventh->shard, 7);
}

static void what_waits_is_counted_over_all_lanes(void **state)
{
	struct fixture *fixture = *state;
	struct ask_lane *first = ask_lanes_get(&fixture->lanes, 0);

	put(fixture, 0, 0, 5 * MS);
	put(fixture, 1, 0, 500 * MS);
	put(fixture, 2, 3, 5 * MS);
	assert_int_equal(fixture->lanes.queued, 3);
	assert_ptr_equal(ask_lane_expire(first, 6 * MS), &fixture->asks[0]);
	assert_null(fixture->asks[0].next);
	assert_int_equal(fixture->lanes.queued, 2);
	assert_ptr_equal(ask_lane_take(first), &fixture->asks[1]);
	assert_null(ask_lane_take(first));
	assert_int_equal(fixture->lanes.queued, 1);
}

static void a_lane_tells_since_when_it_waits(void **state)
{
	struct fixture *fixture = *state;
	struct ask_lane *lane = ask_lanes_get(&fixture->lanes, 0);
	const int64_t before_ns = clock_mono_ns();

	assert_non_null(lane->since_ns);
	assert_int_equal(*lane->since_ns, 0);
	put(fixture, 0, 0, 5 * MS);
	put(fixture, 1, 0, 500 * MS);
	assert_true(*lane->since_ns >= before_ns);
	ask_lane_expire(lane, 6 * MS);
	assert_true(*lane->since_ns >= before_ns);
	ask_lane_take(lane);
	assert_int_equal(*lane->since_ns, 0);
	put(fixture, 2, 0, 5 * MS);
	ask_lane_expire(lane, 6 * MS);
	assert_int_equal(*lane->since_ns, 0);
}

static void the_earliest_of_all_is_next(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(ask_lanes_next_ns(&fixture->lanes), INT64_MAX);
	put(fixture, 0, 0, 500 * MS);
	assert_int_equal(ask_lanes_next_ns(&fixture->lanes), 500 * MS);
	put(fixture, 1, RPC_ANY_SHARD, 400 * MS);
	assert_int_equal(ask_lanes_next_ns(&fixture->lanes), 400 * MS);
	ask_lanes_get(&fixture->lanes, 0)->waiting_until_ns = 300 * MS;
	assert_int_equal(ask_lanes_next_ns(&fixture->lanes), 300 * MS);
	ask_lanes_get(&fixture->lanes, 0)->gather_until_ns = 2 * MS;
	assert_int_equal(ask_lanes_next_ns(&fixture->lanes), 2 * MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_shard_keeps_its_lane),
		TEST(what_waits_is_counted_over_all_lanes),
		TEST(a_lane_tells_since_when_it_waits),
		TEST(the_earliest_of_all_is_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
