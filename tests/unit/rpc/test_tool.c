#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include <fcntl.h>

#include "rpc/tool.h"
#include "rpc/tool_shards.h"
#include "tests/unit/base/folder.h"

#define ROWS 400

/* A program of the test's own with a store and one tool more; each call is a child. */

static const char *const tables[] = {"rows"};
static char directory[FOLDER_TEXT_MAX], store_path[FOLDER_TEXT_MAX + 16], copy_path[FOLDER_TEXT_MAX + 16];

struct look_settings {
	char *word;
};
static const struct config_setting look_table[] = {
	{"word", CONFIG_TEXT, offsetof(struct look_settings, word), "none", false, 0, 0, "a word"},
};

/* Reads every row, and says how many there are. */
static int run_look(const struct tool_call *call)
{
	const struct look_settings *own = call->own;
	struct store *store = tool_open_reading(call, call->path ? call->path : call->common->store);
	MDB_val key, value;
	MDB_cursor *cursor;
	MDB_txn *txn;
	int rows = 0;

	if (!store)
		return TOOL_CANNOT;
	assert_int_equal(store_read_begin(store, &txn), 0);
	assert_int_equal(mdb_cursor_open(txn, store->tables[0], &cursor), 0);
	for (; mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0; rows++)
		assert_int_equal(value.mv_size ? ((const char *)value.mv_data)[value.mv_size - 1] : 0, 0);
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	printf("%d rows of shard %u, word %s\n", rows, store->shard, own->word);
	store_close(store);
	if (rows != ROWS) /* garbage can look like rows: then who knows what they must be tells */
		return tool_end(call, TOOL_CANNOT, "the rows are damaged");
	return TOOL_FINE;
}

static const struct service_tool tool_look = {.name = "look",
	.purpose = "looks",
	.path = "STORE",
	.settings = look_table,
	.settings_count = 1,
	.settings_bytes = sizeof(struct look_settings),
	.run = run_look};
/* Reads a page that the file no longer has. */
static int run_fault(const struct tool_call *call)
{
	struct store *store = tool_open_reading(call, call->path);
	char path[FOLDER_TEXT_MAX + 32];
	const volatile char *map;
	int fd;

	if (!store)
		return TOOL_NO;
	snprintf(path, sizeof(path), "%s/data.mdb", call->path);
	fd = open(path, O_RDWR);
	map = mmap(NULL, 16384, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(ftruncate(fd, 8192), 0);
	return map[8192];
}

static const struct service_tool tool_fault = {
	.name = "fault", .purpose = "faults", .path = "STORE", .run = run_fault};

/* Makes two shards of all those that are named. */
struct share_settings {
	char *from, *to;
	bool give_up;
};
static const struct config_setting share_table[] = {
	{"from", CONFIG_TEXT, offsetof(struct share_settings, from), NULL, false, 0, 0, "stores"},
	{"to", CONFIG_TEXT, offsetof(struct share_settings, to), NULL, false, 0, 0, "a folder"},
	{"give-up", CONFIG_SWITCH, offsetof(struct share_settings, give_up), NULL, true, 0, 0, "half way"},
};

static int run_share(const struct tool_call *call)
{
	const struct share_settings *own = call->own;
	struct tool_shards sources = {0}, targets = {0};
	int code = TOOL_CANNOT;

	if (tool_sources_open(call, own->from, &sources))
		code = tool_targets_make(call, own->to, 2, &targets) && !own->give_up &&
				       tool_targets_finish(call, &targets)
			       ? TOOL_FINE
			       : TOOL_NO;
	for (uint32_t i = 0; code == TOOL_FINE && i < sources.count; i++)
		printf("of shard %u\n", sources.stores[i]->shard);
	tool_shards_close(&targets);
	tool_shards_close(&sources);
	return code;
}

static const struct service_tool tool_share = {.name = "share",
	.purpose = "shares",
	.settings = share_table,
	.settings_count = 3,
	.settings_bytes = sizeof(struct share_settings),
	.run = run_share};
static const struct service_tool *const tools[] = {&tool_look, &tool_fault, &tool_share};

static int verified;
static int verify(struct store *backup, struct error *error)
{
	assert_non_null(backup);
	if (verified)
		error_set(error, "the test does not like it");
	return verified;
}

static bool start(struct service *service, struct error *error)
{
	return error_set(error, "nobody wants it to serve");
}

static struct service_definition definition = {
	.name = "test",
	.purpose = "to be tested",
	.listen = "127.0.0.1:0",
	.admin = "127.0.0.1:0",
	.sharded = true,
	.settings_bytes = sizeof(struct service_settings),
	.store_format = 1,
	.store_tables = tables,
	.store_table_count = 1,
	.store_size = "16m",
	.tools = tools,
	.tool_count = 3,
	.verify_store = verify,
	.restored = "Now do this and that.",
	.start = start,
};

#define ARGUMENTS_MAX 12

/* Runs the program in a child; `said` has what it printed and wrote. */
static void expect(int code, const char *wanted, const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 1] = {(char *)(uintptr_t) "flashsale-test"}, said[8192];
	int count = 1, ends[2], status;
	size_t at = 0;
	ssize_t got;
	va_list rest;
	pid_t child;

	va_start(rest, first);
	for (const char *a = first; a; a = va_arg(rest, const char *))
		arguments[count++] = (char *)(uintptr_t)a;
	va_end(rest);
	assert_true(count <= ARGUMENTS_MAX);
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		close(ends[0]);
		close(ends[1]);
		exit(service_run(&definition, count, arguments));
	}
	close(ends[1]);
	while (at < sizeof(said) - 1 && (got = read(ends[0], said + at, sizeof(said) - 1 - at)) > 0)
		at += (size_t)got;
	said[at] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != code || !strstr(said, wanted))
		fail_msg("ended with %x instead of %d, saying: %s", (unsigned)status, code, said);
}

/* In a child: LMDB wants to be opened once a process. */
static void fill(void)
{
	const struct store_options options = {.directory = store_path,
		.service = "test",
		.format = 1,
		.shard = 1,
		.shards = 4,
		.map_bytes = 16 << 20,
		.tables = tables,
		.table_count = 1};
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct store *store = store_create(&options, NULL) ? store_open(&options, NULL) : NULL;
		char key[16], value[500] = {0};
		MDB_txn *txn;

		if (!store)
			_exit(1);
		assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
		for (int i = 0; i < ROWS; i++) {
			MDB_val k = {(size_t)snprintf(key, sizeof(key), "%d", i), key},
				v = {sizeof(value), value};

			assert_int_equal(mdb_put(txn, store->tables[0], &k, &v, 0), 0);
		}
		assert_int_equal(mdb_txn_commit(txn), 0);
		store_close(store);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int setup(void **state)
{
	folder_make(directory);
	snprintf(store_path, sizeof(store_path), "%s/store", directory);
	snprintf(copy_path, sizeof(copy_path), "%s/copy", directory);
	verified = TOOL_FINE;
	fill();
	return 0;
}

static int teardown(void **state)
{
	folder_remove(directory);
	return 0;
}

static off_t data_size(const char *folder)
{
	char path[FOLDER_TEXT_MAX + 32];
	struct stat status;

	snprintf(path, sizeof(path), "%s/data.mdb", folder);
	return stat(path, &status) == 0 ? status.st_size : -1;
}

/* Whatever the settings say about shards: a tool takes what is there. */
static void test_calls(void **state)
{
	expect(0, "400 rows of shard 1, word none", "look", store_path, NULL);
	expect(0, "400 rows of shard 1, word up", "look", "--word=up", "--store", store_path, NULL);
	expect(0, "--word TEXT", "look", "--help", NULL);
	expect(0, "flashsale-test look", "--help", NULL);
	expect(2, "unexpected argument 'more'", "look", store_path, "more", NULL);
	expect(2, "unknown flag '--nonsense'", "look", "--nonsense", NULL);
	expect(2, "'look' must come first", "--store", store_path, "look", NULL);
	expect(2, "no store in", "look", copy_path, NULL);
}

static void test_a_backup_can_be_read_and_restored(void **state)
{
	char third[FOLDER_TEXT_MAX + 16];

	expect(2, "--to must be given", "backup", "--store", store_path, NULL);
	expect(2, "--store must be given", "backup", "--to", copy_path, NULL);
	expect(0, "shard 1 of 4", "backup", "--store", store_path, "--to", copy_path, NULL);
	expect(1, "can't be made", "backup", "--store", store_path, "--to", copy_path, NULL);
	expect(0, "400 rows", "look", copy_path, NULL);
	snprintf(third, sizeof(third), "%s/third", directory);
	verified = TOOL_NO;
	expect(1, "the test does not like it", "restore", "--from", copy_path, "--store", third, NULL);
	assert_int_equal(data_size(third), -1);
	verified = TOOL_FINE;
	expect(0, "Now do this and that.", "restore", "--from", copy_path, "--store", third, NULL);
	expect(0, "400 rows", "look", third, NULL);
	expect(1, "already", "restore", "--from", copy_path, "--store", third, NULL);
}

static void damage(off_t at, off_t size)
{
	char path[FOLDER_TEXT_MAX + 32], noise[4096];
	int fd;

	memset(noise, 0xa5, sizeof(noise));
	snprintf(path, sizeof(path), "%s/data.mdb", store_path);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	for (; size > 0; size -= 4096, at += 4096)
		assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
	close(fd);
}

static void cut(off_t size)
{
	char path[FOLDER_TEXT_MAX + 32];

	snprintf(path, sizeof(path), "%s/data.mdb", store_path);
	assert_int_equal(truncate(path, size), 0);
}

/* Every tool says what is wrong with the file, and none dies of it. */
static void test_bad_files(void **state)
{
	off_t size = data_size(store_path);

	damage(8192, size - 8192);
	expect(2, "damaged", "look", store_path, NULL);
	expect(2, "damaged", "backup", "--store", store_path, "--to", copy_path, NULL);
	cut(size / 4096 * 2048);
	expect(2, "restore a backup", "look", store_path, NULL);
	cut(4096);
	expect(2, "damaged", "look", store_path, NULL);
	cut(0);
	expect(2, "its data file is empty (0 bytes)", "look", store_path, NULL);
	expect(1, "its data file is empty (0 bytes)", "--store", store_path, NULL);
}

/* The pages of the rows only: the store opens, and reading ends at the first of them. */
static void test_a_page_that_cannot_be_read(void **state)
{
	off_t size = data_size(store_path);

	for (off_t at = 8192; at < size; at += 16 * 4096) {
		folder_remove(directory);
		folder_make(directory);
		snprintf(store_path, sizeof(store_path), "%s/store", directory);
		fill();
		damage(at, 16 * 4096 < size - at ? 16 * 4096 : size - at);
		expect(2, "damaged", "look", store_path, NULL);
	}
}

static void test_a_signal_names_the_place(void **state)
{
	expect(2, "near byte 8192", "fault", store_path, NULL);
}

static void test_other_shards(void **state)
{
	char first[FOLDER_TEXT_MAX + 16], second[FOLDER_TEXT_MAX + 16], both[2 * FOLDER_TEXT_MAX + 64];
	char new[FOLDER_TEXT_MAX + 16], inside[FOLDER_TEXT_MAX + 64], unfinished[FOLDER_TEXT_MAX + 32];

	snprintf(first, sizeof(first), "%s/first", directory);
	snprintf(second, sizeof(second), "%s/second", directory);
	snprintf(new, sizeof(new), "%s/new", directory);
	expect(2, "is shard 1 of 4, and 1 stores are named", "share", "--from", store_path, "--to", new,
		NULL);
	expect(0, "shard 1 of 2", "init", "--store", first, "--shard", "1", "--shards", "2", NULL);
	expect(0, "shard 0 of 2", "init", "--store", second, "--shard", "0", "--shards", "2", NULL);
	snprintf(both, sizeof(both), "%s,%s", first, first);
	expect(2, "in use by another process", "share", "--from", both, "--to", new, NULL);
	snprintf(both, sizeof(both), "%s,%s", first, copy_path);
	expect(2, "no store in", "share", "--from", both, "--to", new, NULL);
	expect(0, "", "backup", "--store", first, "--to", copy_path, NULL);
	expect(2, "are both shard 1", "share", "--from", both, "--to", new, NULL);

	/* What does not come to its end is gone; also what an earlier one has left. */
	snprintf(both, sizeof(both), "%s,%s", first, second);
	snprintf(unfinished, sizeof(unfinished), "%s.unfinished", new);
	expect(1, "", "share", "--from", both, "--to", new, "--give-up", NULL);
	assert_int_equal(access(new, F_OK) | access(unfinished, F_OK), -1);
	assert_int_equal(mkdir(unfinished, 0700), 0);
	snprintf(inside, sizeof(inside), "%s/7", unfinished);
	expect(0, "", "init", "--store", inside, NULL);
	expect(0, "of shard 0\nof shard 1\n", "share", "--from", both, "--to", new, NULL);
	assert_int_equal(access(unfinished, F_OK), -1);
	snprintf(inside, sizeof(inside), "%s/1", new);
	expect(2, "0 rows of shard 1", "look", inside, NULL);
	expect(1, "is there already", "share", "--from", both, "--to", new, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_calls),
		TEST(test_a_backup_can_be_read_and_restored),
		TEST(test_bad_files),
		TEST(test_a_page_that_cannot_be_read),
		TEST(test_a_signal_names_the_place),
		TEST(test_other_shards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
