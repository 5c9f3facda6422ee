#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/audit.h"
#include "tests/unit/inventory/shop.h"

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	shop_open(shop);
	shop_add(shop, "SKU0001", 100);
	*state = shop;
	return 0;
}

static int tear_down(void **state)
{
	shop_close(*state);
	free(*state);
	return 0;
}

static void is_consistent(struct shop *shop)
{
	struct audit audit;

	assert_int_equal(audit_run(shop->store, NULL, NULL, &audit), 0);
	for (size_t i = 0; i < audit.count; i++)
		assert_string_equal(audit.items[i].finding, "");
	assert_string_equal(audit.finding, "");
	assert_true(audit.consistent);
	assert_int_equal(audit.sequence, shop->head);
	audit_release(&audit);
	shop_proves(shop);
}

/* Every kind of change at random, restarts and failed groups among them: the three counts agree at any time. */
static void a_replay_equals_the_rows(void **state)
{
	struct shop *shop = *state;
	struct goods_answer goods;
	unsigned seed = 5;
	uint32_t next = 0;

	shop_add(shop, "SKU0002", 5);
	for (int group = 0; group < 400; group++) {
		clock_manual_advance(&shop->clock, rand_r(&seed) % 3000);
		shop_begin(shop);
		for (int i = rand_r(&seed) % 20; i > 0; i--) {
			uint32_t known = next ? (uint32_t)rand_r(&seed) % next : 0;
			struct goods_update update = {.has_quantity = true, .quantity = rand_r(&seed) % 100};
			struct id request = shop_id(1000000 + (uint32_t)rand_r(&seed) % 100);
			struct hold_request new_hold =
				shop_request(next, rand_r(&seed) % 4 ? "SKU0001" : "SKU0002", "user",
					(uint32_t)rand_r(&seed) % 4 + 1);

			switch (rand_r(&seed) % 12) {
			case 0:
				shop_confirm(shop, known, "p");
				break;
			case 1:
				shop_release(shop, known);
				break;
			case 2:
				shop_resize(shop, known, 1);
				break;
			case 3:
				if (rand_r(&seed) % 10 == 0)
					assert_int_equal(
						books_update_goods(shop->books, "SKU0001", &update, &goods),
						0);
				break;
			case 4:
				assert_int_equal(
					books_adjust_goods(shop->books, "SKU0002", 2, &request, &goods), 0);
				break;
			default:
				shop_create(shop, &new_hold);
				next++;
			}
		}
		if (rand_r(&seed) % 10 == 0)
			shop_abort(shop);
		else
			shop_commit(shop);
		if (rand_r(&seed) % 40 == 0)
			shop_restart(shop, rand_r(&seed) % 100000);
		if (group % 20 == 0)
			is_consistent(shop);
	}
	is_consistent(shop);
	assert_true(shop->total.expired > 0 && shop->total.confirmed > 0 && shop->total.released > 0);
}

static void put_raw(struct shop *shop, enum books_table table, MDB_val key, MDB_val value)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
	if (value.mv_data)
		assert_int_equal(mdb_put(txn, shop->store->tables[table], &key, &value, 0), 0);
	else
		assert_int_equal(mdb_del(txn, shop->store->tables[table], &key, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static struct audit_item the_fault(struct shop *shop)
{
	struct audit_item item;
	struct audit audit;

	assert_int_equal(audit_run(shop->store, "SKU0001", NULL, &audit), 0);
	assert_false(audit.consistent);
	assert_int_equal(audit.count, 1);
	item = audit.items[0];
	if (item.consistent)
		snprintf(item.finding, sizeof(item.finding), "%s", audit.finding);
	assert_true(item.finding[0] != '\0');
	audit_release(&audit);
	return item;
}

static void a_row_that_lies_is_found(void **state)
{
	struct shop *shop = *state;
	struct goods goods;
	uint8_t record[GOODS_RECORD_BYTES];
	struct audit_item item;

	shop_buy(shop, 1, 5);
	goods = shop_goods(shop, "SKU0001");
	goods.held--; /* a unit that is held and for sale too */
	goods.available++;
	goods_pack(&goods, record);
	put_raw(shop, TABLE_GOODS, (MDB_val){7, goods.sku}, (MDB_val){sizeof(record), record});
	item = the_fault(shop);
	assert_int_equal(item.row.held, 4);
	assert_int_equal(item.holds.held, 5);
	assert_int_equal(item.ledger.held, 5);
	assert_int_equal(item.ledger.available, 95);
}

static void a_hold_that_is_gone_is_found(void **state)
{
	struct shop *shop = *state;
	struct id id = shop_id(1);

	shop_buy(shop, 1, 5);
	put_raw(shop, TABLE_HOLDS, (MDB_val){ID_BYTES, id.bytes}, (MDB_val){0, NULL});
	assert_int_equal(the_fault(shop).holds.held, 0);
}

static void a_hold_that_would_never_end_is_found(void **state)
{
	struct shop *shop = *state;
	uint8_t key[EXPIRY_KEY_BYTES];
	struct hold hold;

	shop_buy(shop, 1, 5);
	assert_true(shop_hold(shop, 1, &hold));
	expiry_key_pack(hold.deadline_ms, &hold.id, key);
	put_raw(shop, TABLE_EXPIRY, (MDB_val){sizeof(key), key}, (MDB_val){0, NULL});
	assert_non_null(strstr(the_fault(shop).finding, "expiry row"));
}

static void a_missing_ledger_entry_is_found(void **state)
{
	struct shop *shop = *state;
	uint8_t key[8];

	shop_buy(shop, 1, 5);
	shop_buy(shop, 2, 5);
	store_put_be64(key, shop->head - 1);
	put_raw(shop, TABLE_LEDGER, (MDB_val){8, key}, (MDB_val){0, NULL});
	assert_int_equal(the_fault(shop).ledger.held, 5);
}

static void a_gap_where_nothing_else_is_amiss_is_found(void **state)
{
	struct shop *shop = *state;
	uint8_t key[8];

	store_put_be64(key, 2); /* the fence */
	put_raw(shop, TABLE_LEDGER, (MDB_val){8, key}, (MDB_val){0, NULL});
	assert_non_null(strstr(the_fault(shop).finding, "gap after entry 1"));
}

static void it_can_be_cancelled(void **state)
{
	struct shop *shop = *state;
	_Atomic bool cancel = true;
	struct audit audit;

	shop_add(shop, "SKU0002", 10000);
	shop_begin(shop);
	for (uint32_t i = 0; i < 2000; i++) {
		struct hold_request request = shop_request(i, "SKU0002", "user", 1);

		shop_create(shop, &request);
	}
	shop_commit(shop);
	assert_int_equal(audit_run(shop->store, NULL, &cancel, &audit), ECANCELED);
	audit_release(&audit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_replay_equals_the_rows),
		TEST(a_row_that_lies_is_found),
		TEST(a_hold_that_is_gone_is_found),
		TEST(a_hold_that_would_never_end_is_found),
		TEST(a_missing_ledger_entry_is_found),
		TEST(a_gap_where_nothing_else_is_amiss_is_found),
		TEST(it_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
