/* Every rule of the replay, broken once in a store that was right: the line that says so, and where. That it is silent about what is right: test_audit.c,
 * test_books_orders.c and the simulation, which play everything that they have done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/replay.h"
#include "tests/unit/inventory/shop.h"

#define ORDER 5000

/* What is in the ledger after set_up. */
enum {
	AT_INCARNATION = 1,
	AT_FENCE,
	AT_GOODS, /* SKU0001, 100 units */
	AT_HELD,  /* hold 1: 5 units, HELD */
	AT_SOLD_HOLD,
	AT_SOLD,
	AT_RESIZED_HOLD,
	AT_RESIZED,
	AT_FIRST, /* holds 4 and 5, an order */
	AT_SECOND,
	AT_BIND_FIRST,
	AT_BIND_SECOND,
	AT_BIND,
	AT_PAY_FIRST,
	AT_PAY_SECOND,
	AT_PAY,
	AT_AGAIN, /* SKU0001 gets another price */
	AT_EXPIRED_HOLD,
	AT_EXPIRED
};

static void order(struct shop *shop)
{
	struct bind_request request = {.order = shop_id(ORDER),
		.user = {"user", 4},
		.hold_count = 2,
		.holds = {shop_id(4), shop_id(5)}};
	struct order_answer answer;

	shop_begin(shop);
	assert_int_equal(books_bind_order(shop->books, &shop->cart, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(
		books_confirm_order(shop->books, &request.order, (struct bytes){"pay", 3}, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	shop_commit(shop);
}

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));
	struct goods_update update = {.has_price = true, .price_micros = 77};
	struct hold_request soon;
	struct goods_answer goods;

	shop_open(shop);
	shop_add(shop, "SKU0001", 100);
	shop_buy(shop, 1, 5);
	shop_buy(shop, 2, 4);
	shop_confirm(shop, 2, "p-2");
	shop_buy(shop, 3, 3);
	shop_resize(shop, 3, 2);
	shop_buy(shop, 4, 1);
	shop_buy(shop, 5, 2);
	order(shop);
	shop_begin(shop);
	assert_int_equal(books_update_goods(shop->books, "SKU0001", &update, &goods), 0);
	shop_commit(shop);
	soon = shop_request(6, "SKU0001", "user", 1);
	soon.ttl_ms = 1000;
	assert_int_equal(shop_create(shop, &soon).verdict, VERDICT_YES);
	shop_pass(shop, 1000);
	assert_int_equal(shop->head, AT_EXPIRED);
	shop_proves(shop);
	*state = shop;
	return 0;
}

static int tear_down(void **state)
{
	shop_close(*state);
	free(*state);
	return 0;
}

static void put(struct shop *shop, enum books_table table, MDB_val key, const MDB_val *value)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
	if (value)
		assert_int_equal(
			mdb_put(txn, shop->store->tables[table], &key, (MDB_val *)(uintptr_t)value, 0), 0);
	else
		assert_int_equal(mdb_del(txn, shop->store->tables[table], &key, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static uint8_t entry_record[LEDGER_RECORD_MAX];

/* What it points to stays where it is until the next. */
static struct ledger_entry entry_at(struct shop *shop, uint64_t sequence)
{
	struct ledger_entry entry;
	uint8_t bytes[8];
	MDB_val key = {8, bytes}, value;
	MDB_txn *txn;

	store_put_be64(bytes, sequence);
	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(mdb_get(txn, shop->store->tables[TABLE_LEDGER], &key, &value), 0);
	memcpy(entry_record, value.mv_data, value.mv_size);
	assert_true(ledger_unpack(entry_record, value.mv_size, &entry));
	mdb_txn_abort(txn);
	return entry;
}

static void put_entry(struct shop *shop, uint64_t sequence, const struct ledger_entry *entry)
{
	uint8_t bytes[8], record[LEDGER_RECORD_MAX];
	MDB_val value = {ledger_pack(entry, record), record};

	store_put_be64(bytes, sequence);
	put(shop, TABLE_LEDGER, (MDB_val){8, bytes}, &value);
}

/* One finding among those of the spoilt store is this. */
static void refuted(struct shop *shop, const char *wanted)
{
	char said[8192];

	if (!shop_replay(shop, said, sizeof(said)) || !strstr(said, wanted))
		fail_msg("wanted '%s', said: %s", wanted, said);
}

#define SPOIL(at, change, wanted) \
	static void spoil_##at##_##wanted(void **state) \
	{ \
		struct ledger_entry e = entry_at(*state, at); \
		change; \
		put_entry(*state, at, &e); \
		refuted(*state, said_##wanted); \
	}

/* Name of the finding, and a part of its line. */
static const char said_second[] = "entry 5: hold ", said_epoch_ascends[] = "entry 2: cart shard 0: epoch 0",
		  said_moved_back[] = "entry 1: deadlines moved back by 1 ms",
		  said_held[] = "entry 17: goods SKU0001: the entry has 8 held",
		  said_version_of_goods[] = "entry 17: goods SKU0001: version 3 follows on 1",
		  said_units[] = "oversold: 101 units of 100 available", said_price[] = "its price is 1 USD",
		  said_stale[] = "made under epoch 7 of cart shard 0, in force is 1",
		  said_long[] = "the goods allow", said_past[] = "its deadline was past when it was set",
		  said_nobody[] = "made by cart shard 3, which has no epoch",
		  said_before[] = "has 4 units, the entry says that it had 3",
		  said_version[] = "version 9 follows on 1",
		  said_state[] = "SOLD without a payment reference",
		  said_early[] = "EXPIRED before its deadline", said_late[] = "SOLD after its deadline",
		  said_grown[] = "resized from 3 to 4 units",
		  said_deadline[] = "its deadline was moved by 5 ms",
		  said_time[] = "entry 6: time went back by",
		  said_sku[] = "the entry names another SKU: SKU0009",
		  said_cart[] = "of cart shard 0, the entry says 1", said_never[] = "never made",
		  said_alone[] = "differs from the other holds of its order",
		  said_closed[] = "made of closed goods",
		  said_follow[] = "of its holds became SOLD in entry 14 and on, the order did not follow",
		  said_payment[] = "SOLD with a wrong payment reference";

SPOIL(AT_SOLD_HOLD, e.created.id = shop_id(1), second)
SPOIL(AT_FENCE, e.fenced.epoch = 0, epoch_ascends)
SPOIL(AT_INCARNATION, e.incarnation.moved_ms = -1, moved_back)
SPOIL(AT_AGAIN, (e.goods.held++, e.goods.available--), held)
SPOIL(AT_AGAIN, e.goods.version++, version_of_goods)
SPOIL(AT_HELD, e.created.quantity = 101, units)
SPOIL(AT_HELD, e.created.price_micros = 1, price)
SPOIL(AT_HELD, e.created.epoch = 7, stale)
SPOIL(AT_HELD, e.created.deadline_ms += HOLD_TTL_MAX_MS, long)
SPOIL(AT_HELD, e.created.deadline_ms = e.time_ms, past)
SPOIL(AT_HELD, e.cart_shard = 3, nobody)
SPOIL(AT_SOLD, e.changed.quantity_before = 3, before)
SPOIL(AT_SOLD, e.changed.version = 9, version)
SPOIL(AT_SOLD, e.changed.payment.size = 0, state)
SPOIL(AT_SOLD, e.changed.state = HOLD_EXPIRED, early)
SPOIL(AT_SOLD, e.time_ms += SHOP_TTL_MS, late)
SPOIL(AT_SOLD, e.time_ms--, time)
SPOIL(AT_SOLD, e.cart_shard = 1, cart)
SPOIL(AT_SOLD, e.changed.sku = ((struct bytes){"SKU0009", 7}), sku)
SPOIL(AT_SOLD, e.changed.id = shop_id(77), never)
SPOIL(AT_RESIZED, e.changed.quantity = 4, grown)
SPOIL(AT_RESIZED, e.changed.deadline_ms += 5, deadline)
SPOIL(AT_PAY_SECOND, e.changed.deadline_ms += 5, alone)
SPOIL(AT_PAY, e.order.id = shop_id(ORDER + 1), follow)
SPOIL(AT_PAY, e.order.payment.size = 0, payment)
SPOIL(AT_GOODS, e.goods.closed = true, closed)

static void an_entry_that_is_gone_is_named(void **state)
{
	uint8_t bytes[8];

	store_put_be64(bytes, AT_SOLD);
	put(*state, TABLE_LEDGER, (MDB_val){8, bytes}, NULL);
	refuted(*state, "entry 6: missing, and all up to 6");
	refuted(*state, "the row says 4 units SOLD, the replay 4 units HELD");
}

static void bytes_that_are_no_entry_are_named(void **state)
{
	uint8_t bytes[8];

	store_put_be64(bytes, AT_SOLD);
	put(*state, TABLE_LEDGER, (MDB_val){8, bytes}, &(MDB_val){3, bytes});
	refuted(*state, "entry 6: its 3 bytes can't be read: damaged");
}

static void a_hold_that_ends_twice_is_named(void **state)
{
	struct ledger_entry e = entry_at(*state, AT_EXPIRED);

	e.changed.id = shop_id(2);
	e.changed.quantity = e.changed.quantity_before = 4;
	put_entry(*state, AT_EXPIRED, &e);
	refuted(*state, "EXPIRED after SOLD");
}

/* ---- rows ---- */

static void a_hold_row_that_lies_is_named(void **state)
{
	struct shop *shop = *state;
	uint8_t record[HOLD_RECORD_MAX];
	struct hold hold;
	MDB_val value = {0, record};

	assert_true(shop_hold(shop, 2, &hold));
	hold.price_micros++;
	value.mv_size = hold_pack(&hold, record);
	put(shop, TABLE_HOLDS, (MDB_val){ID_BYTES, hold.id.bytes}, &value);
	refuted(shop, "the row and the ledger differ in price");
	hold.price_micros--;
	hold.state = HOLD_REFUNDED;
	value.mv_size = hold_pack(&hold, record);
	put(shop, TABLE_HOLDS, (MDB_val){ID_BYTES, hold.id.bytes}, &value);
	refuted(shop, "the row says 4 units REFUNDED, the replay 4 units SOLD");
	put(shop, TABLE_HOLDS, (MDB_val){ID_BYTES, hold.id.bytes}, NULL);
	refuted(shop, "4 units of SKU0001, SOLD since entry 6, have no row");
	hold.id = shop_id(99);
	put(shop, TABLE_HOLDS, (MDB_val){ID_BYTES, hold.id.bytes}, &value);
	refuted(shop, "the ledger never made it");
}

static void a_hold_that_would_never_end_is_named(void **state)
{
	struct shop *shop = *state;
	uint8_t key[EXPIRY_KEY_BYTES];
	struct hold hold;

	assert_true(shop_hold(shop, 1, &hold));
	expiry_key_pack(hold.deadline_ms, &hold.id, key);
	put(shop, TABLE_EXPIRY, (MDB_val){sizeof(key), key}, NULL);
	refuted(shop, "HELD, and has no expiry row: it would never end");
	expiry_key_pack(hold.deadline_ms + 1, &hold.id, key);
	put(shop, TABLE_EXPIRY, (MDB_val){sizeof(key), key}, &(MDB_val){0, key});
	refuted(shop, "has an expiry row, and is not HELD until then");
}

static void goods_that_lie_are_named(void **state)
{
	struct shop *shop = *state;
	struct goods goods = shop_goods(shop, "SKU0001");
	uint8_t record[GOODS_RECORD_BYTES];
	MDB_val key = {7, goods.sku}, value = {sizeof(record), record};

	goods.held--;
	goods.available++;
	goods_pack(&goods, record);
	put(shop, TABLE_GOODS, key, &value);
	refuted(shop, "goods SKU0001: the row has stock 100, available 87, held 6");
	put(shop, TABLE_GOODS, key, NULL);
	refuted(shop, "goods SKU0001: there is no row");
	record[0] ^= 0xff;
	put(shop, TABLE_GOODS, (MDB_val){2, key.mv_data}, &(MDB_val){7, record});
	refuted(shop, "a row of goods");
}

static void an_order_that_lies_is_named(void **state)
{
	struct shop *shop = *state;
	struct id id = shop_id(ORDER);
	uint8_t record[ORDER_RECORD_MAX];
	MDB_val key = {ID_BYTES, id.bytes}, value = {0, record};
	struct order row;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(books_read_order(shop->store, txn, &id, &row), 0);
	mdb_txn_abort(txn);
	row.holds[1] = shop_id(1);
	value.mv_size = order_pack(&row, record);
	put(shop, TABLE_ORDERS, key, &value);
	refuted(shop, "its hold 2 is another one in the ledger");
	strcpy(row.payment, "other");
	row.state = HOLD_REFUNDED;
	value.mv_size = order_pack(&row, record);
	put(shop, TABLE_ORDERS, key, &value);
	refuted(shop, "the row says REFUNDED, the replay SOLD");
	put(shop, TABLE_ORDERS, key, NULL);
	refuted(shop, "SOLD since entry 16, has no row");
}

static void a_fence_that_lies_is_named(void **state)
{
	struct shop *shop = *state;
	struct fence fence = {.epoch = 4, .sequence = AT_FENCE};
	uint8_t bytes[8], record[FENCE_RECORD_BYTES];
	MDB_val key = {8, bytes}, value = {fence_pack(&fence, record), record};

	store_put_be64(bytes, 0);
	put(shop, TABLE_FENCES, key, &value);
	refuted(shop, "cart shard 0: the row says epoch 4 of entry 2, the ledger 1 of 2");
	put(shop, TABLE_FENCES, key, NULL);
	refuted(shop, "cart shard 0: epoch 1 has no row");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SPOILT(at, wanted) TEST(spoil_##at##_##wanted)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPOILT(AT_SOLD_HOLD, second),
		SPOILT(AT_FENCE, epoch_ascends),
		SPOILT(AT_INCARNATION, moved_back),
		SPOILT(AT_AGAIN, held),
		SPOILT(AT_AGAIN, version_of_goods),
		SPOILT(AT_HELD, units),
		SPOILT(AT_HELD, price),
		SPOILT(AT_HELD, stale),
		SPOILT(AT_HELD, long),
		SPOILT(AT_HELD, past),
		SPOILT(AT_HELD, nobody),
		SPOILT(AT_SOLD, before),
		SPOILT(AT_SOLD, version),
		SPOILT(AT_SOLD, state),
		SPOILT(AT_SOLD, early),
		SPOILT(AT_SOLD, late),
		SPOILT(AT_SOLD, time),
		SPOILT(AT_SOLD, cart),
		SPOILT(AT_SOLD, sku),
		SPOILT(AT_SOLD, never),
		SPOILT(AT_RESIZED, grown),
		SPOILT(AT_RESIZED, deadline),
		SPOILT(AT_PAY_SECOND, alone),
		SPOILT(AT_PAY, follow),
		SPOILT(AT_PAY, payment),
		SPOILT(AT_GOODS, closed),
		TEST(an_entry_that_is_gone_is_named),
		TEST(bytes_that_are_no_entry_are_named),
		TEST(a_hold_that_ends_twice_is_named),
		TEST(a_hold_row_that_lies_is_named),
		TEST(a_hold_that_would_never_end_is_named),
		TEST(goods_that_lie_are_named),
		TEST(an_order_that_lies_is_named),
		TEST(a_fence_that_lies_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
