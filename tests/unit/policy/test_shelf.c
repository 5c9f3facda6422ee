#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "policy/records.h"
#include "policy/shelf.h"
#include "tests/unit/base/folder.h"

struct fixture {
	char directory[FOLDER_TEXT_MAX];
	struct store_options options;
	struct store *store;
};

static void open_store(struct fixture *f)
{
	struct error error;

	f->store = store_open(&f->options, &error);
	assert_non_null(f->store);
}

static int setup(void **state)
{
	static struct fixture f;
	struct error error;

	folder_make(f.directory);
	f.options = (struct store_options){.directory = f.directory,
		.service = "policy",
		.format = POLICY_FORMAT,
		.shards = 1,
		.map_bytes = 64 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	assert_true(store_create(&f.options, &error));
	open_store(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	folder_remove(f->directory);
	return 0;
}

static void write_rule(struct fixture *f, const char *sku, int32_t level, uint32_t units)
{
	struct rule rule = {
		.level = level, .units = units, .open_ms = RULES_ALWAYS_OPEN, .close_ms = RULES_NEVER_CLOSED};
	MDB_txn *txn;

	snprintf(rule.sku, sizeof(rule.sku), "%s", sku);
	assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
	assert_int_equal(shelf_put(f->store, txn, &rule), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static uint32_t remove_rules(struct fixture *f, const char *sku, bool every, int32_t level)
{
	uint32_t removed;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
	assert_int_equal(every ? shelf_remove_sku(f->store, txn, sku, &removed)
			       : shelf_remove(f->store, txn, sku, level, &removed),
		0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	return removed;
}

static struct rules *load(struct fixture *f)
{
	struct rule standard = {.units = 5};
	struct rules *rules = rules_new(&standard);
	struct error error;

	assert_true(shelf_load(f->store, rules, &error));
	return rules;
}

static void test_rules_outlive_the_process(void **state)
{
	struct fixture *f = *state;
	struct rules *rules;

	write_rule(f, "A", 1, 2);
	write_rule(f, "A", 1, 3);
	write_rule(f, "*", -1, 9);
	store_close(f->store);
	open_store(f);
	rules = load(f);
	assert_int_equal(rules_count(rules), 2);
	assert_int_equal(rules_get(rules, "A", 1)->units, 3);
	assert_int_equal(rules_get(rules, "*", -1)->units, 9);
	rules_free(rules);
}

static void test_removing(void **state)
{
	struct fixture *f = *state;
	struct rules *rules;

	for (int level = -1; level <= RULES_LEVEL_MAX; level++)
		write_rule(f, "SKU", level, 1);
	write_rule(f, "SK", 1, 1);
	write_rule(f, "SKU-", 1, 1);
	write_rule(f, "SKU0", 1, 1);
	assert_int_equal(remove_rules(f, "NO", false, 1), 0);
	assert_int_equal(remove_rules(f, "NO", true, 0), 0);
	assert_int_equal(remove_rules(f, "SKU", false, 5), 1);
	assert_int_equal(remove_rules(f, "SKU", false, 5), 0);
	assert_int_equal(remove_rules(f, "SKU", true, 0), RULES_LEVEL_MAX + 1);
	assert_int_equal(remove_rules(f, "SKU0", true, 0), 1); /* the last row */
	rules = load(f);
	assert_int_equal(rules_count(rules), 2);
	assert_non_null(rules_get(rules, "SK", 1));
	assert_non_null(rules_get(rules, "SKU-", 1));
	rules_free(rules);
}

static void test_damage_stops_the_start(void **state)
{
	struct fixture *f = *state;
	struct rule standard = {.units = 5};
	struct rules *rules = rules_new(&standard);
	MDB_val key = {3, (void *)(uintptr_t) "bad"}, value = {1, (void *)(uintptr_t) "x"};
	struct error error;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, f->store->tables[0], &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_false(shelf_load(f->store, rules, &error));
	assert_non_null(strstr(error.text, "restore a backup"));
	rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rules_outlive_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage_stops_the_start, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
