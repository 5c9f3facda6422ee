/* Each call of LMDB and of the system that the store makes goes wrong once: what was asked for is a no that says why, and the next try succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/store.h"
#include "tests/unit/base/faults.h"
#include "tests/unit/base/folder.h"

static const char *const tables[] = {"goods", "holds"};

struct fixture {
	char parent[FOLDER_TEXT_MAX], directory[FOLDER_TEXT_MAX + 16], other[FOLDER_TEXT_MAX + 16];
	struct store_options options;
	struct error error;
};

static int set_up(void **state)
{
	struct fixture *f = NEW(struct fixture);

	folder_make(f->parent);
	snprintf(f->directory, sizeof(f->directory), "%s/store", f->parent);
	snprintf(f->other, sizeof(f->other), "%s/other", f->parent);
	f->options = (struct store_options){.directory = f->directory,
		.service = "inventory",
		.format = 3,
		.shard = 1,
		.shards = 4,
		.map_bytes = 16 << 20,
		.tables = tables,
		.table_count = 2};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	folder_remove(f->parent);
	free(f);
	return 0;
}

static struct store *opened(struct fixture *f)
{
	struct store *store = store_open(&f->options, &f->error);

	if (!store)
		fail_msg("%s", f->error.text);
	return store;
}

/* Everything that can be done with a store, one after the other; false: something said no. */
static bool make(struct fixture *f)
{
	return store_create(&f->options, &f->error);
}

static bool open_and_close(struct fixture *f)
{
	struct store *store = store_open(&f->options, &f->error);

	store_close(store);
	return store != NULL;
}

static bool look(struct fixture *f)
{
	struct store *store = store_open_reading(&f->options, &f->error);

	store_close(store);
	return store != NULL;
}

static bool begin_again(struct fixture *f)
{
	return store_new_lineage(&f->options, &f->error);
}

static bool copy(struct fixture *f,
	bool (*with)(struct store *store, const struct store_options *to, struct error *error))
{
	struct store_options to = f->options;
	struct store *store;
	bool good;
	int fault = faults_paused();

	folder_remove(f->other);
	store = opened(f);
	to.directory = f->other;
	faults_go_on(fault);
	good = with(store, &to, &f->error);
	fault = faults_paused();
	store_close(store);
	faults_go_on(fault);
	return good;
}

static bool back_up_with(struct store *store, const struct store_options *to, struct error *error)
{
	return store_backup(store, to->directory, error);
}

static bool back_up(struct fixture *f)
{
	return copy(f, back_up_with);
}

static bool restore(struct fixture *f)
{
	return copy(f, store_restore);
}

/* Returns how many calls it makes that can fail. */
static int each_call_fails(struct fixture *f, bool (*run)(struct fixture *f), enum fault kind, bool may_pass)
{
	int n = 1;

	for (;; n++) {
		bool good;

		f->error.text[0] = '\0';
		faults_arm(kind, n);
		good = run(f);
		if (!faults_fired())
			break;
		if (good && !may_pass)
			fail_msg("fault %d of call %d was not noticed", kind, n);
		if (!good)
			assert_true(strlen(f->error.text) > 0);
	}
	return n - 1;
}

static void making_one_fails_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct stat status;

	for (int n = 1;; n++) {
		bool good;

		folder_remove(f->directory);
		faults_arm(FAULT_ERROR, n);
		good = make(f);
		if (!faults_fired()) {
			assert_true(good);
			break;
		}
		assert_false(good);
		if (stat(f->directory, &status) == 0 && !make(f)) /* again: it is whole, or made anew */
			assert_true(open_and_close(f));
	}
	assert_true(open_and_close(f));
}

static void opening_fails_with_words(void **state)
{
	struct fixture *f = *state;

	assert_true(make(f));
	assert_true(each_call_fails(f, open_and_close, FAULT_ERROR, false) > 10);
	for (enum fault kind = FAULT_ABSENT; kind < FAULT_KINDS; kind++)
		each_call_fails(f, open_and_close, kind, false);
	assert_true(each_call_fails(f, look, FAULT_ERROR, false) > 5);
	for (enum fault kind = FAULT_ABSENT; kind < FAULT_KINDS; kind++)
		each_call_fails(f, look, kind, false);
	assert_true(each_call_fails(f, begin_again, FAULT_ERROR, false) > 5);
	assert_true(open_and_close(f));
}

static void copies_are_whole_or_not_there(void **state)
{
	struct fixture *f = *state;

	assert_true(make(f));
	store_close(opened(f));
	assert_true(each_call_fails(f, back_up, FAULT_ERROR, false) > 2);
	assert_true(each_call_fails(f, restore, FAULT_ERROR, false) > 5);
}

/* The room is a hint: without an answer the free pages count as used, and the disk as full. */
static void room_that_cannot_be_seen_is_no_room(void **state)
{
	struct fixture *f = *state;
	struct store_usage usage, whole;
	struct store *store;

	assert_true(make(f));
	store = opened(f);
	store_usage(store, &whole);
	for (int n = 1;; n++) {
		faults_arm(FAULT_ERROR, n);
		store_usage(store, &usage);
		if (!faults_fired())
			break;
		assert_true(usage.used_bytes >= whole.used_bytes);
		assert_true(usage.disk_free_bytes <= whole.disk_free_bytes || usage.disk_free_bytes > 0);
	}
	for (int n = 1; faults_arm(FAULT_SHORT_VALUE, n), store_usage(store, &usage), faults_fired(); n++)
		assert_true(usage.used_bytes >= whole.used_bytes);
	store_close(store);
	store_close(NULL);
}

static void says(struct fixture *f, const char *what)
{
	if (!strstr(f->error.text, what))
		fail_msg("'%s' does not say '%s'", f->error.text, what);
}

/* Paths that lead nowhere: told, and nothing is left behind. */
static void paths_that_lead_nowhere_are_told(void **state)
{
	struct fixture *f = *state;
	struct store_options options = f->options;
	char *path = memory_format("%s/data.mdb", f->directory), far[5000];
	struct store *store;

	memset(far, 'x', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	options.directory = far;
	assert_null(store_open(&options, &f->error));
	says(f, "the path of");
	assert_false(store_create(&options, &f->error));
	far[4090] = '\0'; /* its folder can be named, its files can't */
	assert_null(store_open_reading(&options, &f->error));
	says(f, "the path of");
	mkdir(f->directory, 0700);
	mkdir(path, 0700);
	assert_false(open_and_close(f));
	says(f, "no file");
	rmdir(path);
	assert_true(make(f));
	store = opened(f);
	options.directory = f->directory;
	assert_null(store_open(&options, &f->error)); /* flock is of the open file, not of the process */
	says(f, "another process");
	options.directory = far;
	assert_false(store_backup(store, far, &f->error));
	says(f, "the path of");
	assert_false(store_restore(store, &options, &f->error));
	says(f, "the path of");
	assert_false(store_restore(store, &f->options, &f->error)); /* onto itself, which is in use */
	store_close(store);
	free(path);
}

/* Bytes where the identity's first ones are: whoever made this file, it was not us. */
static void an_identity_of_somebody_else_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t identity[96] = {0};
	struct store *store;
	MDB_txn *txn;

	assert_true(make(f));
	store = opened(f);
	assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
	assert_int_equal(store_meta_put(store, txn, "identity", identity, 80), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	store_close(store);
	assert_false(open_and_close(f));
	says(f, "identity can't be read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(making_one_fails_as_a_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(opening_fails_with_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(copies_are_whole_or_not_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_that_cannot_be_seen_is_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(paths_that_lead_nowhere_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_identity_of_somebody_else_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
