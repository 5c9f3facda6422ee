/* Asks and how they come back: exactly once, in time, and honest about whether they left. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "station.h"

#define LONG_MS 60000
#define RPC_READY_WAIT_NS (100 * INT64_C(1000000)) /* what a call waits for a channel that is connecting */

struct fixture {
	struct station *station;
	struct peer peers[2];
	struct rpc_batcher *batcher;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	peer_start(&fixture->peers[0]);
	fixture->station = station_new();
	fixture->batcher = station_batcher(fixture->station, 64, 128);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->batcher)
		station_free_batcher(fixture->station, fixture->batcher);
	station_free(fixture->station);
	peer_free(&fixture->peers[0]);
	peer_free(&fixture->peers[1]);
	free(fixture);
	return 0;
}

static void send_one(struct fixture *fixture, struct asked *asked, const char *text, int64_t patience_ms)
{
	asked_init(asked, text, RPC_ANY_SHARD, patience_ms);
	asked_send(fixture->station, fixture->batcher, asked, 1);
}

static void open_one(struct fixture *fixture)
{
	station_list(fixture->station, fixture->peers, 1, false);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
}

static void assert_came(const struct asked *asked, enum rpc_code code, bool sent)
{
	assert_int_equal(asked_code(asked), code);
	assert_int_equal(asked->ask.sent, sent);
	assert_int_equal(asked->answered, code == RPC_OK);
}

static void asks_of_one_turn_leave_together(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[100];
	char text[24];

	open_one(fixture);
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "item %d", i);
		asked_init(&asked[i], text, RPC_ANY_SHARD, LONG_MS);
	}
	asked_send(fixture->station, fixture->batcher, asked, 100);
	for (int i = 0; i < 100; i++) {
		assert_came(&asked[i], RPC_OK, true);
		assert_int_equal(asked[i].items, i < 64 ? 64 : 36);
		assert_in_range(asked[i].timeout_ms, 1, LONG_MS);
	}
}

static void the_next_gathers_while_one_flies(void **state)
{
	struct fixture *fixture = *state;
	struct asked first, next[5];

	open_one(fixture);
	send_one(fixture, &first, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	for (int i = 0; i < 5; i++)
		send_one(fixture, &next[i], "next", LONG_MS);
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_came(&first, RPC_OK, true);
	for (int i = 0; i < 5; i++) {
		assert_came(&next[i], RPC_OK, true);
		assert_int_equal(next[i].items, 5);
	}
}

static void nothing_known_and_nobody_there(void **state)
{
	struct fixture *fixture = *state;
	struct asked early, late;

	send_one(fixture, &early, "early", LONG_MS);
	assert_came(&early, RPC_UNAVAILABLE, false);
	station_list(fixture->station, fixture->peers, 0, false);
	send_one(fixture, &late, "late", LONG_MS);
	assert_came(&late, RPC_UNAVAILABLE, false);
}

static void a_channel_that_is_connecting_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;

	/* asked before anything is known; sent when the list and the connection are there, which takes far less than the wait */
	for (int i = 0;; i++) {
		assert_true(i < 100);
		send_one(fixture, &asked, "first", LONG_MS);
		station_list(fixture->station, fixture->peers, 1, false);
		if (asked_code(&asked) == RPC_OK)
			break;
		assert_false(asked.ask.sent); /* a slow machine: once more with a pool that knows nothing */
		station_list(fixture->station, fixture->peers, 0, false);
	}
}

static void a_dead_instance_is_not_asked_until_it_is_back(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;
	int64_t began_ns, took_ns = INT64_MAX;

	open_one(fixture);
	peer_kill(&fixture->peers[0]);
	for (int i = 0; i < 50; i++) {
		began_ns = clock_mono_ns();
		send_one(fixture, &asked, "gone?", LONG_MS);
		assert_int_equal(asked_code(&asked), RPC_UNAVAILABLE);
		if (clock_mono_ns() - began_ns < took_ns)
			took_ns = clock_mono_ns() - began_ns;
	}
	assert_false(asked.ask.sent);
	assert_true(took_ns < RPC_READY_WAIT_NS); /* once it is known to be down, at once */
	peer_start(&fixture->peers[0]);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
}

static void killed_in_flight_is_unknown(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, queued[5];

	open_one(fixture);
	send_one(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	for (int i = 0; i < 5; i++)
		send_one(fixture, &queued[i], "queued", LONG_MS);
	peer_kill(&fixture->peers[0]);
	assert_came(&flying, RPC_UNAVAILABLE, true);
	for (int i = 0; i < 5; i++)
		assert_int_equal(asked_code(&queued[i]), RPC_UNAVAILABLE);
	peer_start(&fixture->peers[0]);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
	send_one(fixture, &flying, "again", LONG_MS);
	assert_came(&flying, RPC_OK, true);
}

static void a_frozen_peer_is_found(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;

	open_one(fixture);
	send_one(fixture, &asked, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	peer_signal(&fixture->peers[0], SIGSTOP);
	assert_came(&asked, RPC_UNAVAILABLE, true);
	assert_true(clock_mono_ns() < asked.ask.deadline_ns);
	peer_signal(&fixture->peers[0], SIGCONT);
	station_await_ready(fixture->station, RPC_ANY_SHARD);
}

static void a_full_queue_refuses(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, queued[129];

	open_one(fixture);
	send_one(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	for (int i = 0; i < 129; i++)
		asked_init(&queued[i], "queued", RPC_ANY_SHARD, LONG_MS);
	asked_send(fixture->station, fixture->batcher, queued, 129);
	assert_came(&queued[128], RPC_RESOURCE_EXHAUSTED, false);
	assert_string_equal(queued[128].ask.status.reason, "OVERLOADED");
	assert_int_equal(queued[127].came_back, 0);
	peer_signal(&fixture->peers[0], SIGUSR1);
	for (int i = 0; i < 128; i++)
		assert_came(&queued[i], RPC_OK, true);
}

static void expired_asks_are_not_sent(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, expired, patient, past;

	open_one(fixture);
	send_one(fixture, &past, "past", -1);
	assert_came(&past, RPC_DEADLINE_EXCEEDED, false);
	send_one(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	send_one(fixture, &patient, "patient", LONG_MS);
	send_one(fixture, &expired, "expired", 30);
	assert_came(&expired, RPC_DEADLINE_EXCEEDED, false); /* while the other still flies */
	assert_true(clock_mono_ns() >= expired.ask.deadline_ns);
	assert_int_equal(flying.came_back + patient.came_back, 0);
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_came(&patient, RPC_OK, true);
	assert_int_equal(patient.items, 1);
}

static void what_is_sent_has_time_left(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, queued[100];

	open_one(fixture);
	for (int round = 0; round < 5; round++) {
		send_one(fixture, &flying, "hang", LONG_MS);
		peer_await_hang(&fixture->peers[0]);
		for (int i = 0; i < 100; i++)
			asked_init(&queued[i], "soon", RPC_ANY_SHARD, i / 2);
		asked_send(fixture->station, fixture->batcher, queued, 100);
		asked_await(&queued[20 + round]); /* in the middle of their deadlines */
		peer_signal(&fixture->peers[0], SIGUSR1);
		for (int i = 0; i < 100; i++) {
			if (asked_code(&queued[i]) == RPC_OK)
				assert_in_range(queued[i].timeout_ms, 1, 50);
			else
				assert_int_equal(queued[i].ask.status.code, RPC_DEADLINE_EXCEEDED);
		}
		assert_came(&flying, RPC_OK, true);
	}
}

static void a_peer_that_never_answers(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];

	open_one(fixture);
	asked_init(&asked[0], "hang", RPC_ANY_SHARD, LONG_MS);
	asked_init(&asked[1], "one", RPC_ANY_SHARD, 50);
	asked_init(&asked[2], "two", RPC_ANY_SHARD, 100);
	asked_send(fixture->station, fixture->batcher, asked, 3);
	peer_await_hang(&fixture->peers[0]);
	assert_came(&asked[1], RPC_DEADLINE_EXCEEDED, true); /* each by its own deadline */
	assert_came(&asked[2], RPC_DEADLINE_EXCEEDED, true);
	assert_int_equal(asked[0].came_back, 0);
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_came(&asked[0], RPC_OK, true);
	send_one(fixture, &asked[0], "hang", 50);
	peer_await_hang(&fixture->peers[0]);
	assert_came(&asked[0], RPC_DEADLINE_EXCEEDED, true);
	assert_int_equal(asked[1].came_back + asked[2].came_back, 2);
}

static void errors_of_the_peer(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[2];

	open_one(fixture);
	asked_init(&asked[0], "fail", RPC_ANY_SHARD, LONG_MS);
	asked_init(&asked[1], "neighbour", RPC_ANY_SHARD, LONG_MS);
	asked_send(fixture->station, fixture->batcher, asked, 2);
	for (int i = 0; i < 2; i++) {
		assert_came(&asked[i], RPC_ABORTED, true);
		assert_string_equal(asked[i].ask.status.reason, "IN_PROGRESS");
		assert_int_equal(asked[i].ask.status.retry_after_ms, 70);
	}
}

static void wrong_answers(void **state)
{
	static const char *const texts[] = {"short", "long", "large"};
	struct fixture *fixture = *state;
	struct asked asked[2];

	open_one(fixture);
	for (int i = 0; i < 3; i++) {
		asked_init(&asked[0], texts[i], RPC_ANY_SHARD, LONG_MS);
		asked_init(&asked[1], "neighbour", RPC_ANY_SHARD, LONG_MS);
		asked_send(fixture->station, fixture->batcher, asked, 2);
		assert_came(&asked[0], RPC_INTERNAL, true);
		assert_came(&asked[1], RPC_INTERNAL, true);
	}
	send_one(fixture, &asked[0], "fine", LONG_MS); /* the arena is whole again */
	assert_came(&asked[0], RPC_OK, true);
}

static void shards_have_their_own(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];

	peer_start(&fixture->peers[1]);
	station_list(fixture->station, fixture->peers, 2, true);
	station_await_ready(fixture->station, 0);
	station_await_ready(fixture->station, 1);
	for (int i = 0; i < 3; i++)
		asked_init(&asked[i], "where", i, LONG_MS);
	asked_send(fixture->station, fixture->batcher, asked, 3);
	for (int i = 0; i < 2; i++) {
		assert_came(&asked[i], RPC_OK, true);
		assert_int_equal(asked[i].shard, i);
		assert_int_equal(asked[i].port, fixture->peers[i].port);
	}
	assert_came(&asked[2], RPC_UNAVAILABLE, false); /* never another shard */
	asked_init(&asked[0], "hang", 0, LONG_MS);
	asked_init(&asked[1], "past it", 1, LONG_MS);
	asked_send(fixture->station, fixture->batcher, asked, 2);
	peer_await_hang(&fixture->peers[0]);
	assert_came(&asked[1], RPC_OK, true);
	peer_kill(&fixture->peers[0]);
	assert_came(&asked[0], RPC_UNAVAILABLE, true);
	asked_init(&asked[1], "alone", 1, LONG_MS);
	asked_send(fixture->station, fixture->batcher, &asked[1], 1);
	assert_came(&asked[1], RPC_OK, true);
}

static void any_shard_takes_turns(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked;
	uint32_t last_port = 0;

	peer_start(&fixture->peers[1]);
	station_list(fixture->station, fixture->peers, 2, false);
	for (int in_turn = 0, i = 0; in_turn < 4; i++) { /* from when both are connected */
		assert_true(i < 10000);
		send_one(fixture, &asked, "turn", LONG_MS);
		asked_await(&asked);
		in_turn = asked.port && asked.port != last_port ? in_turn + 1 : 0;
		last_port = asked.port;
	}
	peer_kill(&fixture->peers[0]);
	for (int in_a_row = 0, i = 0; in_a_row < 10; i++) { /* the other one is avoided soon */
		assert_true(i < 100);
		send_one(fixture, &asked, "other", LONG_MS);
		in_a_row = asked_code(&asked) == RPC_OK ? in_a_row + 1 : 0;
	}
	assert_int_equal(asked.port, fixture->peers[1].port);
}

/* Both are connected when each has answered. */
static void await_both(struct fixture *fixture)
{
	struct asked asked;

	for (int seen = 0; seen != 3;) {
		send_one(fixture, &asked, "both?", LONG_MS);
		asked_await(&asked);
		for (int i = 0; i < 2; i++)
			seen |= asked.port == (uint32_t)fixture->peers[i].port ? 1 << i : 0;
	}
}

static void a_critical_one_is_the_last_resort(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[10];

	peer_start(&fixture->peers[1]);
	station_list(fixture->station, fixture->peers, 2, false);
	await_both(fixture);
	station_list_health(fixture->station, fixture->peers, 2, 1);
	for (int i = 0; i < 10; i++) {
		send_one(fixture, &asked[i], "who", LONG_MS);
		assert_came(&asked[i], RPC_OK, true);
		assert_int_equal(asked[i].port, fixture->peers[1].port);
	}
	station_list_health(fixture->station, fixture->peers, 2, 2);
	send_one(fixture, &asked[0], "who", LONG_MS);
	assert_came(&asked[0], RPC_OK, true);
}

static void who_was_unavailable_is_avoided(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];

	peer_start(&fixture->peers[1]);
	station_list(fixture->station, fixture->peers, 2, false);
	await_both(fixture);
	/* for 50 ms the other one is asked out of turn; a slow machine may need more than one try */
	for (int i = 0;; i++) {
		assert_true(i < 100);
		send_one(fixture, &asked[0], "away", LONG_MS);
		assert_came(&asked[0], RPC_UNAVAILABLE, true);
		for (int k = 1; k < 3; k++) {
			send_one(fixture, &asked[k], "who", LONG_MS);
			assert_came(&asked[k], RPC_OK, true);
		}
		if (asked[1].port == asked[2].port)
			break;
	}
}

static void the_list_changes_while_calls_fly(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, other;

	peer_start(&fixture->peers[1]);
	open_one(fixture);
	send_one(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	station_list(fixture->station, &fixture->peers[1], 1, false);
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_came(&flying, RPC_OK, true); /* on the channel that is no longer listed */
	assert_int_equal(flying.port, fixture->peers[0].port);
	for (int i = 0; i < 20; i++) {
		station_await_ready(fixture->station, RPC_ANY_SHARD);
		send_one(fixture, &other, "other", LONG_MS);
		assert_came(&other, RPC_OK, true);
		assert_int_equal(other.port, fixture->peers[(i + 1) % 2].port);
		station_list(fixture->station, &fixture->peers[i % 2], 1, false);
	}
}

static void freed_with_asks_open(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying[2], queued[3];

	open_one(fixture);
	asked_init(&flying[0], "hang", RPC_ANY_SHARD, LONG_MS);
	asked_init(&flying[1], "too", RPC_ANY_SHARD, LONG_MS);
	asked_send(fixture->station, fixture->batcher, flying, 2);
	peer_await_hang(&fixture->peers[0]);
	for (int i = 0; i < 3; i++)
		send_one(fixture, &queued[i], "queued", LONG_MS);
	station_free_batcher(fixture->station, fixture->batcher);
	fixture->batcher = NULL;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(flying[i].came_back, 1); /* before the free returned */
		assert_came(&flying[i], RPC_UNAVAILABLE, true);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(queued[i].came_back, 1);
		assert_came(&queued[i], RPC_UNAVAILABLE, false);
	}
	rpc_pool_free(fixture->station->pool);
	fixture->station->pool = NULL;
	assert_int_equal(flying[0].came_back + flying[1].came_back, 2);
}

static void the_pool_goes_first(void **state)
{
	struct fixture *fixture = *state;
	struct asked flying, queued, late;

	open_one(fixture);
	send_one(fixture, &flying, "hang", LONG_MS);
	peer_await_hang(&fixture->peers[0]);
	send_one(fixture, &queued, "queued", LONG_MS);
	rpc_pool_free(fixture->station->pool);
	fixture->station->pool = NULL;
	assert_came(&flying, RPC_UNAVAILABLE, true);
	assert_came(&queued, RPC_UNAVAILABLE, false);
	send_one(fixture, &late, "late", LONG_MS);
	assert_came(&late, RPC_UNAVAILABLE, false);
}

static void free_from_done(struct asked *asked)
{
	struct fixture *fixture = asked->context;

	rpc_batcher_free(fixture->batcher);
	fixture->batcher = NULL;
}

static void freed_by_an_answer(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];

	open_one(fixture);
	for (int i = 0; i < 3; i++)
		asked_init(&asked[i], i ? "rest" : "hang", RPC_ANY_SHARD, LONG_MS);
	asked[1].then = free_from_done;
	asked[1].context = fixture;
	asked_send(fixture->station, fixture->batcher, asked, 3);
	peer_await_hang(&fixture->peers[0]);
	peer_signal(&fixture->peers[0], SIGUSR1);
	assert_came(&asked[0], RPC_OK, true);
	assert_came(&asked[1], RPC_OK, true);
	assert_came(
		&asked[2], RPC_UNAVAILABLE, true); /* its answer was there: unknown is honest all the same */
}

static void freed_by_a_failure(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[3];

	station_list(fixture->station, fixture->peers, 0, false);
	for (int i = 0; i < 3; i++)
		asked_init(&asked[i], "nobody", RPC_ANY_SHARD, LONG_MS);
	asked[0].then = free_from_done;
	asked[0].context = fixture;
	asked_send(fixture->station, fixture->batcher, asked, 3);
	for (int i = 0; i < 3; i++)
		assert_came(&asked[i], RPC_UNAVAILABLE, false);
}

/* An answer that asks again: for ever, were it not counted. */
static void ask_again(struct asked *asked)
{
	struct fixture *fixture = asked->context;

	if (++asked->item.timeout_ms >= 1000)
		return;
	atomic_fetch_sub(&asked->came_back, 1);
	asked->ask.deadline_ns = clock_mono_ns() + LONG_MS * INT64_C(1000000);
	rpc_ask(fixture->batcher, &asked->ask);
}

static void answers_ask_again(void **state)
{
	struct fixture *fixture = *state;
	struct asked asked[10];

	open_one(fixture);
	for (int i = 0; i < 10; i++) {
		asked_init(&asked[i], "again", RPC_ANY_SHARD, LONG_MS);
		asked[i].then = ask_again;
		asked[i].context = fixture;
	}
	asked_send(fixture->station, fixture->batcher, asked, 10);
	for (int i = 0; i < 10; i++) {
		while (atomic_load(&asked[i].came_back) != 1)
			usleep(1000);
		assert_came(&asked[i], RPC_OK, true);
		assert_int_equal(asked[i].items, 10); /* what the answers of one batch ask goes together */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(asks_of_one_turn_leave_together),
		TEST(the_next_gathers_while_one_flies),
		TEST(nothing_known_and_nobody_there),
		TEST(a_channel_that_is_connecting_is_waited_for),
		TEST(a_dead_instance_is_not_asked_until_it_is_back),
		TEST(killed_in_flight_is_unknown),
		TEST(a_frozen_peer_is_found),
		TEST(a_full_queue_refuses),
		TEST(expired_asks_are_not_sent),
		TEST(what_is_sent_has_time_left),
		TEST(a_peer_that_never_answers),
		TEST(errors_of_the_peer),
		TEST(wrong_answers),
		TEST(shards_have_their_own),
		TEST(any_shard_takes_turns),
		TEST(a_critical_one_is_the_last_resort),
		TEST(who_was_unavailable_is_avoided),
		TEST(the_list_changes_while_calls_fly),
		TEST(freed_with_asks_open),
		TEST(the_pool_goes_first),
		TEST(freed_by_an_answer),
		TEST(freed_by_a_failure),
		TEST(answers_ask_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
