#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/protector.h"
#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

/* The tick with its writer and its loop: what ends goes from the store and from memory, in steps. */

struct world {
	struct fixture f;
	struct protector protector;
	struct clock_manual clock;
	struct id incarnation;
};

static int64_t now_ms(void *domain)
{
	struct protector *protector = domain;

	return clock_wall_ms(protector->clock);
}

static void fatal(void *context, const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static int setup(void **state)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	fixture_init(&w.f);
	clock_manual_init(&w.clock, 1000, 0);
	id_random(&w.incarnation);
	w.protector.clock = &w.clock.base;
	w.protector.store = w.f.store;
	w.protector.history = w.f.history;
	w.protector.loop = rpc_loop_new("test");
	w.protector.bans = bans_new();
	w.protector.board =
		watch_board_new(&protector__watch_bans_response__descriptor, &w.incarnation, 100, 100);
	*state = &w;
	return 0;
}

static void start_writer(struct world *w)
{
	struct writer_options options = {.store = w->f.store,
		.domain = &w->protector,
		.group_max = 16,
		.queue_max = 16,
		.now_ms = now_ms,
		.tick = protector_tick,
		.rollback = protector_rollback,
		.committed = protector_committed,
		.fatal = fatal,
		.name = "writer"};

	w->protector.writer = writer_new(&options);
}

static int teardown(void **state)
{
	struct world *w = *state;

	writer_free(w->protector.writer);
	rpc_loop_free(w->protector.loop);
	watch_board_free(w->protector.board);
	bans_free(w->protector.bans);
	fixture_release(&w->f);
	return 0;
}

/* In store and memory, before the writer runs. */
static void add(struct world *w, uint64_t number, const char *subject, int64_t expire_ms, MDB_txn *txn)
{
	struct ban ban = make_ban(number, subject, BAN_DENIES, expire_ms);

	assert_int_equal(shelf_put(&w->f.history, txn, &ban, 0), 0);
	protector_put(&w->protector, &ban);
}

struct count_task {
	struct rpc_task task;
	struct world *world;
	size_t bans, shown;
	sem_t done;
};

static void count(struct rpc_task *task)
{
	struct count_task *counting = container_of(task, struct count_task, task);

	counting->bans = bans_count(counting->world->protector.bans, BANS_OWN);
	counting->shown = watch_board_count(counting->world->protector.board);
	sem_post(&counting->done);
}

/* Memory, seen from the loop that owns it. */
static size_t count_bans(struct world *w)
{
	struct count_task counting = {.task.run = count, .world = w};

	sem_init(&counting.done, 0, 0);
	rpc_post(w->protector.loop, &counting.task);
	sem_wait(&counting.done);
	sem_destroy(&counting.done);
	assert_int_equal(counting.bans, counting.shown);
	return counting.bans;
}

static void wait_for_bans(struct world *w, size_t expected)
{
	while (count_bans(w) != expected)
		writer_wake(w->protector.writer);
}

static void test_bans_end(void **state)
{
	struct world *w = *state;
	MDB_txn *txn = fixture_begin(&w->f);

	add(w, 1, "mallory", 2000, txn);
	add(w, 2, "trudy", 1000, txn); /* while the program was away */
	add(w, 3, "10.0.0.1", BANS_NEVER, txn);
	assert_int_equal(mdb_txn_commit(txn), 0);
	start_writer(w);
	wait_for_bans(w, 2);
	clock_manual_jump_wall(&w->clock, 999);
	writer_wake(w->protector.writer);
	assert_int_equal(count_bans(w), 2);
	clock_manual_jump_wall(&w->clock, 1);
	wait_for_bans(w, 1);
	assert_int_equal(fixture_rows(&w->f, 0), 1);
	assert_int_equal(fixture_rows(&w->f, 2), 0);
}

static void wait_for_rows(struct world *w, int table, size_t expected)
{
	while (fixture_rows(&w->f, table) != expected)
		writer_wake(w->protector.writer);
}

/* The tick erases and forgets too, each in its time. */
static void test_what_is_over_is_erased_and_forgotten(void **state)
{
	struct world *w = *state;
	MDB_txn *txn = fixture_begin(&w->f);

	add(w, 1, "mallory", 1500, txn);
	add(w, 2, "10.0.0.1", 500, txn);
	assert_int_equal(mdb_txn_commit(txn), 0);
	start_writer(w);
	wait_for_bans(w, 1);
	assert_int_equal(fixture_rows(&w->f, TABLE_ENDED_RAW), 1);
	clock_manual_jump_wall(&w->clock, 600); /* 1600: a second after the end of one */
	wait_for_bans(w, 0);
	wait_for_rows(w, TABLE_ENDED_RAW, 1);
	assert_int_equal(fixture_rows(&w->f, TABLE_ENDED), 2);
	clock_manual_jump_wall(&w->clock, 10000 - 600);
	wait_for_rows(w, TABLE_ENDED, 1);
	clock_manual_jump_wall(&w->clock, 500);
	wait_for_rows(w, TABLE_ENDED, 0);
}

static void test_many_end_in_steps(void **state)
{
	struct world *w = *state;
	MDB_txn *txn = fixture_begin(&w->f);
	char user[16];

	for (int i = 0; i < 3000; i++) {
		snprintf(user, sizeof(user), "user%d", i);
		add(w, 1 + (uint64_t)i, user, 500, txn);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	start_writer(w);
	wait_for_bans(w, 0);
	assert_int_equal(fixture_rows(&w->f, 1), 0);
}

/* What a group removed comes back when the group is not committed. */
static void test_rollback(void **state)
{
	struct world *w = *state;
	MDB_txn *txn = fixture_begin(&w->f);
	int64_t next_ms;
	bool changed;

	add(w, 1, "mallory", 500, txn);
	assert_int_equal(mdb_txn_commit(txn), 0);
	txn = fixture_begin(&w->f);
	assert_int_equal(protector_tick(&w->protector, txn, 1000, &next_ms, &changed), 0);
	assert_true(changed);
	mdb_txn_abort(txn);
	protector_rollback(&w->protector);
	protector_committed(&w->protector); /* nothing is left to tell */
	assert_int_equal(count_bans(w), 1);
	start_writer(w);
	wait_for_bans(w, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_bans_end),
		TEST(test_what_is_over_is_erased_and_forgotten),
		TEST(test_many_end_in_steps),
		TEST(test_rollback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
