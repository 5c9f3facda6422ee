#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/writer.h"
#include "tests/unit/base/folder.h"

/* Linked with --wrap=mdb_txn_commit: a commit can be made to fail. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
static _Atomic int commit_error;
static _Atomic int commits;

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	atomic_fetch_add(&commits, 1);
	if (atomic_load(&commit_error)) {
		mdb_txn_abort(txn);
		return atomic_exchange(&commit_error, 0);
	}
	return __real_mdb_txn_commit(txn);
}

static const char *const tables[] = {"rows"};

#define EVENTS_MAX 4096

struct fixture {
	char directory[FOLDER_TEXT_MAX];
	struct store_options store_options;
	struct store *store;
	struct writer *writer;
	struct clock_manual clock;

	/* The domain: a counter in memory and rows in the store. */
	int64_t counter, committed_counter;
	int64_t due_ms[64]; /* what tick ends, ascending; 0: none left */
	int due_next, tick_max;
	int rollbacks, groups, finishes;
	int finish_error;
	char events[EVENTS_MAX];	   /* one letter each: what happened, in which order */
	sem_t done, fatal, ticked, looked; /* looked: tick ran, whatever it found */
	_Atomic int answered;
	char why[200];
};

struct test_command {
	struct command command;
	struct fixture *fixture;
	char letter;
	int error; /* to return from apply, once per `errors` */
	int errors;
	sem_t *gate;	/* apply waits for it */
	sem_t *entered; /* apply says that it is there */
	int applied;
	size_t value_size;
	int64_t now_ms;
	enum writer_result result;
	_Atomic bool is_done;
};

static void note(struct fixture *f, char letter)
{
	size_t length = strlen(f->events);

	assert_true(length + 1 < EVENTS_MAX);
	f->events[length] = letter;
}

static int64_t domain_now(void *domain)
{
	struct fixture *f = domain;

	return clock_boot_ms(&f->clock.base);
}

static int domain_tick(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed)
{
	struct fixture *f = domain;
	int left = f->tick_max;

	sem_post(&f->looked);
	while (left > 0 && f->due_ms[f->due_next] && f->due_ms[f->due_next] <= now_ms) {
		MDB_val key = {sizeof(int), &f->due_next}, value = {1, (void *)"t"};
		int rc = mdb_put(txn, f->store->tables[0], &key, &value, 0);

		if (rc)
			return rc;
		f->due_next++;
		*ret_changed = true;
		note(f, 't');
		left--;
	}
	*ret_next_ms = f->due_ms[f->due_next] ? f->due_ms[f->due_next] : INT64_MAX;
	if (*ret_changed)
		sem_post(&f->ticked);
	return 0;
}

static int domain_finish(void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct fixture *f = domain;
	int error = f->finish_error;

	f->finish_error = 0;
	f->finishes++;
	return error;
}

static void domain_rollback(void *domain)
{
	struct fixture *f = domain;

	f->rollbacks++;
	f->counter = f->committed_counter;
	note(f, 'R');
}

static void domain_committed(void *domain)
{
	struct fixture *f = domain;

	f->groups++;
	f->committed_counter = f->counter;
	note(f, '|');
}

static void domain_fatal(void *context, const char *why)
{
	struct fixture *f = context;

	snprintf(f->why, sizeof(f->why), "%s", why);
	sem_post(&f->fatal);
	pthread_exit(NULL);
}

static int apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct test_command *c = container_of(command, struct test_command, command);
	struct fixture *f = domain;
	MDB_val key = {1, &c->letter}, value = {c->value_size, NULL};
	int rc;

	assert_ptr_equal(f, c->fixture);
	c->applied++;
	c->now_ms = now_ms;
	if (c->entered)
		sem_post(c->entered);
	if (c->gate)
		sem_wait(c->gate);
	f->counter++;
	note(f, c->letter);
	if (c->errors > 0) {
		c->errors--;
		return c->error;
	}
	rc = mdb_put(txn, f->store->tables[0], &key, &value, MDB_RESERVE);
	if (!rc)
		memset(value.mv_data, 0, value.mv_size);
	return rc;
}

static void done(struct command *command, enum writer_result result)
{
	struct test_command *c = container_of(command, struct test_command, command);

	c->result = result;
	note(c->fixture, (char)(c->letter - 'a' + 'A'));
	atomic_store(&c->is_done, true);
	atomic_fetch_add(&c->fixture->answered, 1);
	sem_post(&c->fixture->done);
}

static struct test_command make(struct fixture *f, char letter)
{
	return (struct test_command){.command = {.apply = apply, .done = done, .items = 1},
		.fixture = f,
		.letter = letter,
		.value_size = 8};
}

static void start(struct fixture *f, uint32_t group_max, uint32_t queue_max, bool with_tick)
{
	struct writer_options options = {.store = f->store,
		.domain = f,
		.group_max = group_max,
		.queue_max = queue_max,
		.now_ms = domain_now,
		.tick = with_tick ? domain_tick : NULL,
		.finish = domain_finish,
		.rollback = domain_rollback,
		.committed = domain_committed,
		.fatal = domain_fatal,
		.fatal_context = f,
		.name = "test"};

	f->writer = writer_new(&options);
}

static void wait_done(struct fixture *f, int count)
{
	for (int i = 0; i < count; i++)
		sem_wait(&f->done);
}

/* A command that sits in its own group until `gate` is posted, so that what follows gathers behind it. */
static void submit_blocker(struct fixture *f, struct test_command *blocker, sem_t *gate)
{
	sem_t entered;

	sem_init(&entered, 0, 0);
	*blocker = make(f, 'z');
	blocker->gate = gate;
	blocker->entered = &entered;
	assert_true(writer_submit(f->writer, &blocker->command));
	sem_wait(&entered);
	blocker->entered = NULL;
	sem_destroy(&entered);
}

static bool has(struct fixture *f, char letter)
{
	MDB_val key = {1, &letter}, value;
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(f->store, &txn), 0);
	rc = mdb_get(txn, f->store->tables[0], &key, &value);
	mdb_txn_abort(txn);
	return rc == 0;
}

static int set_up_sized(void **state, int64_t map_bytes)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error = {0};

	folder_make(f->directory);
	f->store_options = (struct store_options){.directory = f->directory,
		.service = "test",
		.format = 1,
		.shards = 1,
		.map_bytes = map_bytes,
		.tables = tables,
		.table_count = 1};
	assert_true(store_create(&f->store_options, &error));
	f->store = store_open(&f->store_options, &error);
	assert_non_null(f->store);
	clock_manual_init(&f->clock, 1000000, 1000);
	f->tick_max = 4;
	sem_init(&f->done, 0, 0);
	sem_init(&f->fatal, 0, 0);
	sem_init(&f->ticked, 0, 0);
	sem_init(&f->looked, 0, 0);
	atomic_store(&commits, 0);
	*state = f;
	return 0;
}

static int set_up(void **state)
{
	return set_up_sized(state, 16 << 20);
}

static int set_up_small(void **state)
{
	return set_up_sized(state, 128 << 10);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	writer_free(f->writer);
	store_close(f->store);
	folder_remove(f->directory);
	free(f);
	return 0;
}

static void a_lone_command_is_answered_after_its_commit(void **state)
{
	struct fixture *f = *state;
	struct test_command a = make(f, 'a');

	start(f, 100, 100, false);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_COMMITTED);
	assert_string_equal(f->events, "a|A");
	assert_true(has(f, 'a'));
	assert_int_equal(atomic_load(&commits), 1);
	assert_int_equal(f->finishes, 1);
}

static void what_waits_goes_in_one_group_in_order(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, commands[5];
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 100, 100, false);
	submit_blocker(f, &blocker, &gate);
	clock_manual_advance(&f->clock, 5);
	for (int i = 0; i < 5; i++) {
		commands[i] = make(f, (char)('a' + i));
		assert_true(writer_submit(f->writer, &commands[i].command));
	}
	assert_int_equal(writer_queued(f->writer), 5);
	sem_post(&gate);
	wait_done(f, 6);
	assert_string_equal(f->events, "z|Zabcde|ABCDE");
	assert_int_equal(f->groups, 2);
	for (int i = 0; i < 5; i++)
		assert_int_equal(commands[i].now_ms, 1005); /* one time a group */
	assert_int_equal(blocker.now_ms, 1000);
}

static void a_group_ends_at_its_items(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, commands[4];
	const uint32_t items[] = {6, 4, 1, 20}; /* 6+4 | 1 | 20 alone, though it is more than a group */
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 10, 100, false);
	submit_blocker(f, &blocker, &gate);
	for (int i = 0; i < 4; i++) {
		commands[i] = make(f, (char)('a' + i));
		commands[i].command.items = items[i];
		assert_true(writer_submit(f->writer, &commands[i].command));
	}
	sem_post(&gate);
	wait_done(f, 5);
	assert_string_equal(f->events, "z|Zab|ABc|Cd|D");
}

static void a_full_queue_refuses(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, commands[4];
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 10, 3, false);
	submit_blocker(f, &blocker, &gate);
	for (int i = 0; i < 4; i++) {
		commands[i] = make(f, (char)('a' + i));
		assert_int_equal(writer_submit(f->writer, &commands[i].command), i < 3);
	}
	sem_post(&gate);
	wait_done(f, 4);
	assert_string_equal(f->events, "z|Zabc|ABC");
	assert_int_equal(commands[3].applied, 0);
	assert_int_equal(writer_queued(f->writer), 0);
}

static void a_failed_put_is_a_definite_no_for_the_group(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 100, 100, false);
	submit_blocker(f, &blocker, &gate);
	b.error = MDB_BAD_VALSIZE;
	b.errors = 1;
	assert_true(writer_submit(f->writer, &a.command));
	assert_true(writer_submit(f->writer, &b.command));
	assert_true(writer_submit(f->writer, &c.command));
	sem_post(&gate);
	wait_done(f, 4);
	assert_int_equal(blocker.result, WRITER_COMMITTED);
	assert_int_equal(a.result, WRITER_FAILED);
	assert_int_equal(b.result, WRITER_FAILED);
	assert_int_equal(c.result, WRITER_FAILED);
	assert_string_equal(f->events, "z|ZabRABC");
	assert_int_equal(f->counter, 1);
	assert_false(has(f, 'a'));
	assert_int_equal(atomic_load(&commits), 1);
	/* and the next is served */
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_COMMITTED);
	assert_true(has(f, 'a'));
}

static void a_failed_finish_undoes_the_group(void **state)
{
	struct fixture *f = *state;
	struct test_command a = make(f, 'a');

	f->finish_error = MDB_BAD_TXN;
	start(f, 100, 100, false);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_FAILED);
	assert_int_equal(f->counter, 0);
	assert_false(has(f, 'a'));
}

static void a_full_map_refuses_only_what_grows(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, a = make(f, 'a'), b = make(f, 'b'), c = make(f, 'c');
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 100, 100, false);
	submit_blocker(f, &blocker, &gate);
	b.command.grows = true;
	b.value_size = 1 << 20; /* more than the map */
	assert_true(writer_submit(f->writer, &a.command));
	assert_true(writer_submit(f->writer, &b.command));
	assert_true(writer_submit(f->writer, &c.command));
	sem_post(&gate);
	wait_done(f, 4);
	assert_int_equal(a.result, WRITER_COMMITTED);
	assert_int_equal(b.result, WRITER_FULL);
	assert_int_equal(c.result, WRITER_COMMITTED);
	assert_string_equal(f->events, "z|ZabRac|ABC");
	assert_int_equal(f->counter, 3);
	assert_true(has(f, 'a') && has(f, 'c'));
	assert_false(has(f, 'b'));
}

static void a_map_that_is_full_for_all_refuses_all(void **state)
{
	struct fixture *f = *state;
	struct test_command a = make(f, 'a');

	start(f, 100, 100, false);
	a.value_size = 1 << 20;
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_FULL);
	assert_int_equal(f->counter, 0);
	a.value_size = 8;
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_COMMITTED);
}

static void a_map_found_full_at_the_commit_is_no_unknown(void **state)
{
	struct fixture *f = *state;
	struct test_command a = make(f, 'a');

	start(f, 100, 100, false);
	a.command.grows = true;
	atomic_store(&commit_error, MDB_MAP_FULL);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_int_equal(a.result, WRITER_FULL);
	assert_int_equal(f->counter, 0);
	assert_int_equal(sem_trywait(&f->fatal), -1);
}

static void a_failed_commit_answers_nothing(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, a = make(f, 'a'), b = make(f, 'b');
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 100, 100, false);
	submit_blocker(f, &blocker, &gate);
	assert_true(writer_submit(f->writer, &a.command));
	assert_true(writer_submit(f->writer, &b.command));
	atomic_store(&commit_error, EIO);
	sem_post(&gate);
	sem_wait(&f->fatal);
	assert_non_null(strstr(f->why, "unknown"));
	writer_free(f->writer); /* its thread is gone; joined, so nothing can be answered any more */
	f->writer = NULL;
	assert_int_equal(atomic_load(&f->answered), 0);
	assert_false(atomic_load(&blocker.is_done) || atomic_load(&a.is_done));
	assert_string_equal(f->events, "z");
}

static void tick_runs_when_its_time_has_come(void **state)
{
	struct fixture *f = *state;
	struct test_command a = make(f, 'a');

	f->due_ms[0] = 1100;
	f->due_ms[1] = 1200;
	start(f, 100, 100, true);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_string_equal(f->events, "a|A");
	clock_manual_jump_wall(&f->clock, 100000); /* not the domain's time */
	clock_manual_advance(&f->clock, 99);
	writer_wake(f->writer);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_string_equal(f->events, "a|Aa|A"); /* a millisecond early: no tick's event */
	clock_manual_advance(&f->clock, 1);
	writer_wake(f->writer);
	sem_wait(&f->ticked);
	assert_true(writer_submit(f->writer, &a.command));
	wait_done(f, 1);
	assert_string_equal(f->events, "a|Aa|At|a|A");
	clock_manual_advance(&f->clock, 100);
	sem_wait(&f->ticked); /* without a wake too: it looks at its clock now and then */
	writer_free(f->writer);
	f->writer = NULL;
	assert_string_equal(f->events, "a|Aa|At|a|At|");
}

static void tick_goes_in_bounded_steps_between_commands(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, a = make(f, 'a');
	sem_t gate;

	for (int i = 0; i < 10; i++)
		f->due_ms[i] = 1001;
	sem_init(&gate, 0, 0);
	start(f, 100, 100, true);
	submit_blocker(f, &blocker, &gate);
	clock_manual_advance(&f->clock, 1);
	assert_true(writer_submit(f->writer, &a.command));
	sem_post(&gate);
	wait_done(f, 2);
	for (int i = 0; i < 3; i++)
		sem_wait(&f->ticked);
	writer_free(f->writer);
	f->writer = NULL;
	/* four a transaction, the command in the first of them, the rest at once */
	assert_string_equal(f->events, "z|Ztttta|Atttt|tt|");
}

static void an_idle_tick_commits_nothing(void **state)
{
	struct fixture *f = *state;

	start(f, 100, 100, true);
	sem_wait(&f->looked);
	writer_wake(f->writer);
	sem_wait(&f->looked);
	writer_free(f->writer);
	f->writer = NULL;
	assert_int_equal(atomic_load(&commits), 0);
	assert_int_equal(f->finishes, 0);
}

static void free_applies_what_is_queued(void **state)
{
	struct fixture *f = *state;
	struct test_command blocker, commands[8];
	sem_t gate;

	sem_init(&gate, 0, 0);
	start(f, 3, 100, false);
	submit_blocker(f, &blocker, &gate);
	for (int i = 0; i < 8; i++) {
		commands[i] = make(f, (char)('a' + i));
		assert_true(writer_submit(f->writer, &commands[i].command));
	}
	sem_post(&gate);
	writer_free(f->writer);
	f->writer = NULL;
	assert_int_equal(atomic_load(&f->answered), 9);
	for (int i = 0; i < 8; i++)
		assert_int_equal(commands[i].result, WRITER_COMMITTED);
}

struct submitter {
	pthread_t thread;
	struct fixture *fixture;
	struct test_command commands[50];
	int taken;
};

static void *submit_many(void *argument)
{
	struct submitter *s = argument;

	for (int i = 0; i < 50; i++) {
		s->commands[i] = make(s->fixture, (char)('a' + i % 20));
		s->taken += writer_submit(s->fixture->writer, &s->commands[i].command);
	}
	return NULL;
}

static void many_threads_are_each_answered_once(void **state)
{
	struct fixture *f = *state;
	struct submitter *submitters = calloc(4, sizeof(*submitters));
	int taken = 0;

	start(f, 16, 1000, false);
	for (int i = 0; i < 4; i++) {
		submitters[i].fixture = f;
		pthread_create(&submitters[i].thread, NULL, submit_many, &submitters[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(submitters[i].thread, NULL);
		taken += submitters[i].taken;
	}
	assert_int_equal(taken, 200);
	wait_done(f, 200);
	assert_int_equal(f->counter, 200);
	writer_free(f->writer);
	f->writer = NULL;
	assert_int_equal(atomic_load(&f->answered), 200);
	free(submitters);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lone_command_is_answered_after_its_commit),
		TEST(what_waits_goes_in_one_group_in_order),
		TEST(a_group_ends_at_its_items),
		TEST(a_full_queue_refuses),
		TEST(a_failed_put_is_a_definite_no_for_the_group),
		TEST(a_failed_finish_undoes_the_group),
		TEST_SMALL(a_full_map_refuses_only_what_grows),
		TEST_SMALL(a_map_that_is_full_for_all_refuses_all),
		TEST(a_map_found_full_at_the_commit_is_no_unknown),
		TEST(a_failed_commit_answers_nothing),
		TEST(tick_runs_when_its_time_has_come),
		TEST(tick_goes_in_bounded_steps_between_commands),
		TEST(an_idle_tick_commits_nothing),
		TEST(free_applies_what_is_queued),
		TEST(many_threads_are_each_answered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
