/* A sale that is over is dropped, step by step, and the books are right at every commit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/audit.h"
#include "inventory/replay.h"
#include "tests/unit/inventory/shop.h"

#define RETENTION_MS 10000

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	shop_open(shop);
	shop->options.retention_ms = shop->books->options.retention_ms = RETENTION_MS;
	shop->options.compaction_step = shop->books->options.compaction_step = 1000;
	shop_add(shop, "SKU0001", 100);
	shop_add(shop, "SKU0002", 50);
	*state = shop;
	return 0;
}

static void print_finding(void *context, const char *line)
{
	print_error("%s\n", line);
}

static void books_are_right(struct shop *shop)
{
	struct replay_result replayed;
	struct audit audit;

	assert_int_equal(replay_run(shop->store, print_finding, NULL, &replayed), 0);
	assert_int_equal(replayed.findings, 0);
	assert_int_equal(audit_run(shop->store, NULL, NULL, &audit), 0);
	if (!audit.consistent)
		fail_msg("%s %s", audit.finding, audit.count ? audit.items[0].finding : "");
	audit_release(&audit);
}

static int tear_down(void **state)
{
	books_are_right(*state);
	shop_close(*state);
	free(*state);
	return 0;
}

static void get_old(struct shop *shop)
{
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
}

static void close_goods(struct shop *shop, const char *sku)
{
	struct goods_answer answer;

	shop_begin(shop);
	assert_int_equal(books_close_goods(shop->books, sku, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	shop_commit(shop);
}

static void buy_other(struct shop *shop, uint32_t id, uint32_t quantity)
{
	struct hold_request request = shop_request(id, "SKU0002", "user", quantity);

	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
}

/* 1: sold alone; 2, 3: a sold order; 4, 5: a refunded one; 6: released; 7: of SKU0002, sold. In units: 1 each of SKU0001. */
static void sell(struct shop *shop)
{
	for (uint32_t id = 1; id <= 6; id++)
		assert_int_equal(shop_buy(shop, id, 1).verdict, VERDICT_YES);
	buy_other(shop, 7, 4);
	shop_confirm(shop, 1, "p");
	shop_bind(shop, 90, 2, 2);
	shop_confirm_order(shop, 90, "q");
	shop_bind(shop, 91, 4, 2);
	shop_confirm_order(shop, 91, "r");
	shop_refund_order(shop, 91);
	shop_release(shop, 6);
	shop_confirm(shop, 7, "s");
}

static struct archive_request sale_of(struct shop *shop, const char *one, const char *other)
{
	struct archive_request sale = {.count = other ? 2 : 1};

	strcpy(sale.skus[0], one);
	sale.lasts[0] = shop_goods(shop, one).last;
	if (other) {
		strcpy(sale.skus[1], other);
		sale.lasts[1] = shop_goods(shop, other).last;
	}
	return sale;
}

static enum verdict begin(struct shop *shop, const struct archive_request *sale)
{
	enum verdict verdict;
	uint32_t bad;

	shop_begin(shop);
	assert_int_equal(archive_begin(shop->books, sale, &verdict, &bad), 0);
	shop_commit(shop);
	return verdict;
}

static void run_to_the_end(struct shop *shop)
{
	for (int i = 0; shop->books->archive.phase != ARCHIVE_NONE; i++) {
		assert_true(i < 1000);
		shop_pass(shop, 5);
		books_are_right(shop);
	}
}

static void a_sale_is_dropped_and_its_sum_stays(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale;
	struct hold hold;
	struct order order;

	sell(shop);
	close_goods(shop, "SKU0001");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	shop->books->options.compaction_step = 1;
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	assert_int_equal(begin(shop, &sale), VERDICT_ARCHIVING);
	run_to_the_end(shop);
	shop_expect(shop, "SKU0001", 100, 97, 0, 3);
	assert_int_equal(shop_goods(shop, "SKU0001").archived, 3);
	assert_int_equal(shop_rows(shop, TABLE_HOLDS), 1);
	assert_int_equal(shop_rows(shop, TABLE_ORDERS), 0);
	assert_true(shop_hold(shop, 7, &hold));
	/* incarnation, fence, goods twice, hold 7 twice, and the archive */
	assert_int_equal(shop_rows(shop, TABLE_LEDGER), 7);
	assert_false(shop_order(shop, 90, &order));
	assert_int_equal(shop_refund_order(shop, 90).verdict, VERDICT_GONE);
	assert_int_equal(shop_refund_order(shop, 91).verdict, VERDICT_GONE);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_GONE);
	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_GONE);
	assert_int_equal(shop_bind(shop, 90, 2, 2).verdict, VERDICT_GONE);
	shop_restart(shop, 0);
	books_are_right(shop);
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_YES); /* nothing more, and no harm */
	run_to_the_end(shop);
	assert_int_equal(shop_goods(shop, "SKU0001").archived, 3);
}

static void goods_can_be_sold_again_afterwards(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale;

	sell(shop);
	close_goods(shop, "SKU0001");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	run_to_the_end(shop);
	shop_add(shop, "SKU0001", 10);
	shop_expect(shop, "SKU0001", 13, 10, 0, 3);
	assert_int_equal(shop_buy(shop, 200, 2).verdict, VERDICT_YES);
	shop_confirm(shop, 200, "p");
	shop_expect(shop, "SKU0001", 13, 8, 0, 5);
	close_goods(shop, "SKU0001");
	get_old(shop);
	books_are_right(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	run_to_the_end(shop);
	assert_int_equal(shop_goods(shop, "SKU0001").archived, 5);
	assert_int_equal(shop_goods(shop, "SKU0001").sold, 5);
}

static void it_begins_only_when_all_is_over(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale, unknown = {.count = 1, .skus = {"SKU0009"}};

	sell(shop);
	get_old(shop);
	sale = sale_of(shop, "SKU0001", "SKU0002");
	assert_int_equal(begin(shop, &sale), VERDICT_WRONG_STATE); /* on sale */
	assert_int_equal(begin(shop, &unknown), VERDICT_UNKNOWN_SKU);
	shop_buy(shop, 100, 1);
	close_goods(shop, "SKU0001");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_WRONG_STATE); /* one is held */
	shop_confirm(shop, 100, "p");
	shop_pass(shop, 5000);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_WRONG_STATE); /* too young */
	get_old(shop);
	sale.lasts[0]--;
	assert_int_equal(begin(shop, &sale), VERDICT_VERSION_MISMATCH); /* that was not exported */
	sale = sale_of(shop, "SKU0001", "SKU0002");
	assert_int_equal(begin(shop, &sale), VERDICT_WRONG_STATE); /* one of them is on sale */
	assert_int_equal(shop->books->archive.phase, ARCHIVE_NONE);
	assert_true(shop_goods(shop, "SKU0001").archived == 0);
}

static void meanwhile_nothing_of_it_moves(void **state)
{
	struct shop *shop = *state;
	struct goods_terms terms = {.quantity = 1, .price_micros = 1, .currency = "USD"};
	struct archive_request sale;
	struct goods_answer answer;

	sell(shop);
	close_goods(shop, "SKU0001");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	shop->books->options.compaction_step = 1;
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	shop_begin(shop);
	assert_int_equal(books_open_goods(shop->books, "SKU0001", &terms, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_ARCHIVING);
	assert_int_equal(shop_refund_order(shop, 90).verdict, VERDICT_GONE);
	assert_int_equal(shop_confirm_order(shop, 90, "q").verdict, VERDICT_REPEATED);
	shop_commit(shop);
	assert_int_equal(books_now_ms(shop->books), shop->books->now_ms);
	run_to_the_end(shop);
}

/* Without a restart, which would read all of it anew. */
static void an_undone_step_is_done_again(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale;
	enum verdict verdict;
	uint32_t bad;

	sell(shop);
	close_goods(shop, "SKU0001");
	close_goods(shop, "SKU0002");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", "SKU0002");
	shop->books->options.compaction_step = 1;
	shop_begin(shop);
	assert_int_equal(archive_begin(shop->books, &sale, &verdict, &bad), 0);
	assert_int_equal(verdict, VERDICT_YES);
	shop_abort(shop);
	assert_int_equal(shop->books->archive.phase, ARCHIVE_NONE);
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	for (int i = 0; shop->books->archive.phase != ARCHIVE_NONE; i++) {
		assert_true(i < 1000);
		clock_manual_advance(&shop->clock, 2000);
		shop_begin(shop);
		shop_abort(shop);
		clock_manual_advance(&shop->clock, 2000);
		shop_begin(shop);
		shop_commit(shop);
		books_are_right(shop);
	}
	assert_int_equal(shop_rows(shop, TABLE_HOLDS), 0);
	assert_int_equal(shop_goods(shop, "SKU0001").archived, 3);
	assert_int_equal(shop_goods(shop, "SKU0002").archived, 4);
}

/* Undone groups and crashes in the middle of it, in steps of one. */
static void it_goes_on_after_any_failure(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale;
	unsigned seed = 4;

	sell(shop);
	close_goods(shop, "SKU0001");
	close_goods(shop, "SKU0002");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", "SKU0002");
	shop->options.compaction_step = shop->books->options.compaction_step = 1;
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	for (int i = 0; shop->books->archive.phase != ARCHIVE_NONE; i++) {
		assert_true(i < 1000);
		clock_manual_advance(&shop->clock, 2000);
		shop_begin(shop);
		if (rand_r(&seed) % 2)
			shop_commit(shop);
		else
			shop_abort(shop);
		if (rand_r(&seed) % 3 == 0)
			shop_restart(shop, 0);
		books_are_right(shop);
	}
	assert_int_equal(shop_goods(shop, "SKU0001").archived, 3);
	assert_int_equal(shop_goods(shop, "SKU0002").archived, 4);
	assert_int_equal(shop_rows(shop, TABLE_HOLDS), 0);
}

/* The ledger's last entry, changed on the disk. */
static void tell_units(struct shop *shop, uint64_t units)
{
	uint8_t key_bytes[8], record[LEDGER_RECORD_MAX];
	MDB_val key = {8, key_bytes}, value;
	struct ledger_entry entry;
	MDB_txn *txn;

	store_put_be64(key_bytes, shop->head);
	assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_get(txn, shop->store->tables[TABLE_LEDGER], &key, &value), 0);
	assert_true(ledger_unpack(value.mv_data, value.mv_size, &entry));
	assert_int_equal(entry.kind, LEDGER_GOODS_ARCHIVED);
	entry.archived.units = units;
	value = (MDB_val){ledger_pack(&entry, record), record};
	assert_int_equal(mdb_put(txn, shop->store->tables[TABLE_LEDGER], &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* What is left of a sale is a number, in the row and in the ledger: each is proved by the other. */
static void another_number_is_refuted(void **state)
{
	struct shop *shop = *state;
	struct archive_request sale;
	char said[4096];

	sell(shop);
	close_goods(shop, "SKU0001");
	get_old(shop);
	sale = sale_of(shop, "SKU0001", NULL);
	assert_int_equal(begin(shop, &sale), VERDICT_YES);
	run_to_the_end(shop);
	tell_units(shop, 4);
	shop_replay(shop, said, sizeof(said));
	assert_non_null(strstr(said, "goods SKU0001: 3 units are archived, the ledger tells of 4"));
	tell_units(shop, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sale_is_dropped_and_its_sum_stays),
		TEST(goods_can_be_sold_again_afterwards),
		TEST(another_number_is_refuted),
		TEST(it_begins_only_when_all_is_over),
		TEST(meanwhile_nothing_of_it_moves),
		TEST(an_undone_step_is_done_again),
		TEST(it_goes_on_after_any_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
