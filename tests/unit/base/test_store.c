#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/store.h"
#include "tests/unit/base/folder.h"

static const char *const tables[] = {"goods", "holds"};

struct fixture {
	char parent[FOLDER_TEXT_MAX];
	char directory[FOLDER_TEXT_MAX + 16];
	struct store_options options;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	folder_make(f->parent);
	snprintf(f->directory, sizeof(f->directory), "%s/store", f->parent);
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

static void create(struct fixture *f)
{
	struct error error = {0};

	if (!store_create(&f->options, &error))
		fail_msg("%s", error.text);
}

static struct store *open_store(struct fixture *f)
{
	struct error error = {0};
	struct store *store = store_open(&f->options, &error);

	if (!store)
		fail_msg("%s", error.text);
	return store;
}

static void refuses(const struct store_options *options, const char *because)
{
	struct error error = {0};

	assert_null(store_open(options, &error));
	if (!strstr(error.text, because))
		fail_msg("'%s' does not say '%s'", error.text, because);
}

static void put(struct store *store, const char *key, const void *data, size_t size)
{
	MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v = {size, (void *)(uintptr_t)data};
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, store->tables[0], &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static bool has(struct store *store, const char *key)
{
	MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v;
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(store, &txn), 0);
	rc = mdb_get(txn, store->tables[0], &k, &v);
	mdb_txn_abort(txn);
	assert_true(rc == 0 || rc == MDB_NOTFOUND);
	return rc == 0;
}

static void opening_never_creates(void **state)
{
	struct fixture *f = *state;
	struct stat status;

	refuses(&f->options, "flashsale-inventory init --store");
	assert_int_not_equal(stat(f->directory, &status), 0);
	mkdir(f->directory, 0700);
	refuses(&f->options, "no store in");
}

static void a_second_create_leaves_the_first(void **state)
{
	struct fixture *f = *state;
	struct error error = {0};
	struct store *store;
	struct id lineage;

	create(f);
	store = open_store(f);
	lineage = store->lineage;
	put(store, "a", "1", 1);
	store_close(store);
	assert_false(store_create(&f->options, &error));
	assert_non_null(strstr(error.text, "exists already"));
	store = open_store(f);
	assert_true(has(store, "a"));
	assert_int_equal(id_compare(&lineage, &store->lineage), 0);
	store_close(store);
}

static void a_store_of_somebody_else_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_options other = f->options;

	create(f);
	other.service = "cart";
	refuses(&other, "belongs to the service inventory");
	other = f->options;
	other.format = 4;
	refuses(&other, "format 3");
	other = f->options;
	other.shard = 2;
	refuses(&other, "shard 1 of 4, the settings say shard 2 of 4");
	other = f->options;
	other.shards = 8;
	refuses(&other, "shard 1 of 4, the settings say shard 1 of 8");
	store_close(open_store(f)); /* none of that harmed it */
}

static void a_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *store;
	int status;
	pid_t child;

	create(f);
	store = open_store(f);
	child = fork();
	if (child == 0) {
		struct error error = {0};
		struct store *second = store_open(&f->options, &error);

		_exit(second ? 1 : strstr(error.text, "another process") ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	store_close(store);
	store_close(open_store(f));
}

static void overwrite(const char *path, off_t at, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, at), (ssize_t)size);
	close(fd);
}

static void data_path(struct fixture *f, char path[2 * FOLDER_TEXT_MAX])
{
	snprintf(path, 2 * FOLDER_TEXT_MAX, "%s/data.mdb", f->directory);
}

static void a_damaged_file_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[2 * FOLDER_TEXT_MAX], noise[8192];

	create(f);
	data_path(f, path);
	memset(noise, 0xa5, sizeof(noise));
	overwrite(path, 0, noise, sizeof(noise));
	refuses(&f->options, "damaged");
}

static void a_file_that_was_cut_off_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[2 * FOLDER_TEXT_MAX], key[32], value[1000] = {0};
	struct stat before, after;
	struct store *store;

	create(f);
	store = open_store(f);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "key%04d", i);
		put(store, key, value, sizeof(value));
	}
	store_close(store);
	data_path(f, path);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(truncate(path, before.st_size / 2 / 4096 * 4096), 0);
	assert_int_equal(stat(path, &before), 0);
	refuses(&f->options, "cut off");
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size); /* as it was: somebody may want to look at it */
}

static void an_empty_file_is_no_missing_store(void **state)
{
	struct fixture *f = *state;
	char path[2 * FOLDER_TEXT_MAX];
	struct error error = {0};

	create(f);
	data_path(f, path);
	assert_int_equal(truncate(path, 0), 0);
	refuses(&f->options, "its data file is empty (0 bytes)");
	assert_null(store_open_reading(&f->options, &error));
	assert_non_null(strstr(error.text, "its data file is empty (0 bytes)"));
	assert_int_equal(truncate(path, 4096), 0);
	refuses(&f->options, "damaged");
}

/* Whatever its shard; and nothing is written, not even a lock file beside a copy. */
static void looking_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_options options = f->options;
	char copy[FOLDER_TEXT_MAX + 16], path[2 * FOLDER_TEXT_MAX];
	struct store *store;
	struct id lineage;

	create(f);
	store = open_store(f);
	lineage = store->lineage;
	put(store, "kept", "1", 1);
	snprintf(copy, sizeof(copy), "%s/copy", f->parent);
	assert_true(store_backup(store, copy, NULL));
	store_close(store);
	options.directory = copy;
	options.shard = options.shards = 0;
	for (uint64_t i = 0; i < 2; i++) {
		store = store_open_reading(&options, NULL);
		assert_non_null(store);
		assert_int_equal(store->shard, 1);
		assert_int_equal(store->shards, 4);
		assert_int_equal(store->incarnation, 1);
		assert_int_equal(id_compare(&lineage, &store->lineage), 0);
		assert_true(has(store, "kept"));
		store_close(store);
	}
	snprintf(path, sizeof(path), "%s/lock.mdb", copy);
	assert_int_not_equal(access(path, F_OK), 0);
	snprintf(path, sizeof(path), "%s/flock", copy);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void a_restored_store_has_a_lineage_of_its_own(void **state)
{
	struct fixture *f = *state;
	struct store_options to = f->options;
	char target[FOLDER_TEXT_MAX + 16], staging[2 * FOLDER_TEXT_MAX];
	struct error error = {0};
	struct store *store;
	struct id lineage;

	create(f);
	store = open_store(f);
	lineage = store->lineage;
	put(store, "kept", "1", 1);
	snprintf(target, sizeof(target), "%s/target", f->parent);
	snprintf(staging, sizeof(staging), "%s/restoring", target);
	to.directory = target;
	mkdir(target, 0700); /* an empty volume, on which an earlier try was cut off */
	assert_true(store_backup(store, staging, NULL));
	assert_true(store_restore(store, &to, &error));
	assert_false(store_restore(store, &to, &error));
	assert_non_null(strstr(error.text, "already"));
	store_close(store);
	assert_int_not_equal(access(staging, F_OK), 0);
	f->options.directory = target;
	store = open_store(f);
	assert_true(has(store, "kept"));
	assert_int_not_equal(id_compare(&lineage, &store->lineage), 0);
	store_close(store);
}

static void lineage_stays_and_incarnation_ascends(void **state)
{
	struct fixture *f = *state;
	struct store *store;
	struct id lineage;

	create(f);
	for (uint64_t i = 1; i <= 3; i++) {
		store = open_store(f);
		assert_int_equal(store->incarnation, i);
		assert_false(id_is_zero(&store->lineage));
		if (i > 1)
			assert_int_equal(id_compare(&lineage, &store->lineage), 0);
		lineage = store->lineage;
		store_close(store);
	}
	assert_true(store_new_lineage(&f->options, NULL));
	store = open_store(f);
	assert_int_not_equal(id_compare(&lineage, &store->lineage), 0);
	store_close(store);
}

static void two_stores_have_different_lineages(void **state)
{
	struct fixture *f = *state;
	struct store *one, *two;
	char second[FOLDER_TEXT_MAX + 16];

	create(f);
	one = open_store(f);
	snprintf(second, sizeof(second), "%s/second", f->parent);
	f->options.directory = second;
	create(f);
	two = open_store(f);
	assert_int_not_equal(id_compare(&one->lineage, &two->lineage), 0);
	store_close(one);
	store_close(two);
}

static void a_backup_is_a_store_of_the_same_lineage(void **state)
{
	struct fixture *f = *state;
	char copy[FOLDER_TEXT_MAX + 16];
	struct error error = {0};
	struct store *store;
	struct id lineage;

	create(f);
	store = open_store(f);
	lineage = store->lineage;
	put(store, "kept", "1", 1);
	snprintf(copy, sizeof(copy), "%s/copy", f->parent);
	assert_true(store_backup(store, copy, &error));
	put(store, "later", "1", 1);
	assert_false(store_backup(store, copy, &error)); /* never over another */
	store_close(store);
	f->options.directory = copy;
	store = open_store(f);
	assert_true(has(store, "kept"));
	assert_false(has(store, "later"));
	assert_int_equal(id_compare(&lineage, &store->lineage), 0);
	store_close(store);
}

static void usage_counts_what_is_used(void **state)
{
	struct fixture *f = *state;
	struct store_usage before, full, emptied;
	char value[100000] = {0};
	struct store *store;
	MDB_txn *txn;

	create(f);
	store = open_store(f);
	store_usage(store, &before);
	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%d", i);
		put(store, key, value, sizeof(value));
	}
	store_usage(store, &full);
	assert_true(full.used_bytes - before.used_bytes >= 20 * (int64_t)sizeof(value));
	assert_int_equal(full.map_bytes, 16 << 20);
	assert_true(full.disk_free_bytes > 0);
	assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_drop(txn, store->tables[0], 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	put(store, "a", "1", 1);
	store_usage(store, &emptied);
	assert_true(emptied.used_bytes < before.used_bytes + 200000); /* free pages are room again */
	store_close(store);
}

static void meta_values_have_their_size(void **state)
{
	struct fixture *f = *state;
	struct store *store;
	uint64_t value = 7;
	uint8_t small[4];
	MDB_txn *txn;

	create(f);
	store = open_store(f);
	assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
	assert_int_equal(store_meta_get(store, txn, "time", &value, sizeof(value)), MDB_NOTFOUND);
	assert_int_equal(store_meta_put(store, txn, "time", &value, sizeof(value)), 0);
	value = 0;
	assert_int_equal(store_meta_get(store, txn, "time", &value, sizeof(value)), 0);
	assert_int_equal(value, 7);
	assert_int_equal(store_meta_get(store, txn, "time", small, sizeof(small)), MDB_CORRUPTED);
	mdb_txn_abort(txn);
	store_close(store);
}

static void big_endian_sorts_as_numbers(void **state)
{
	const uint64_t values[] = {0, 1, 255, 256, 65535, 1ull << 32, UINT64_MAX};
	uint8_t previous[8], bytes[8];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		store_put_be64(bytes, values[i]);
		assert_int_equal(store_get_be64(bytes), values[i]);
		if (i)
			assert_true(memcmp(previous, bytes, 8) < 0);
		memcpy(previous, bytes, 8);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opening_never_creates),
		TEST(a_second_create_leaves_the_first),
		TEST(a_store_of_somebody_else_is_refused),
		TEST(a_second_process_is_refused),
		TEST(a_damaged_file_is_refused),
		TEST(a_file_that_was_cut_off_is_refused),
		TEST(an_empty_file_is_no_missing_store),
		TEST(looking_changes_nothing),
		TEST(a_restored_store_has_a_lineage_of_its_own),
		TEST(lineage_stays_and_incarnation_ascends),
		TEST(two_stores_have_different_lineages),
		TEST(a_backup_is_a_store_of_the_same_lineage),
		TEST(usage_counts_what_is_used),
		TEST(meta_values_have_their_size),
		TEST(big_endian_sorts_as_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
