/* Each call of LMDB that the cart's store makes at its start fails once, or finds damage: told, never half a cart that looks whole. And what only the
 * wrong store could say is refused. */
#include "check.h"

#include <lmdb.h>

#include "base/memory.h"
#include "cart/shelf.h"
#include "tests/unit/base/faults.h"
#include "tests/unit/base/folder.h"

struct fixture {
	char directory[FOLDER_TEXT_MAX + 8], parent[FOLDER_TEXT_MAX];
	struct store_options options;
	struct store *store;
	struct error error;
};

static int up(void **state)
{
	struct fixture *f = NEW(struct fixture);

	folder_make(f->parent);
	snprintf(f->directory, sizeof(f->directory), "%s/store", f->parent);
	f->options = (struct store_options){.directory = f->directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shards = 1,
		.map_bytes = 64 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	assert_true(store_create(&f->options, &f->error));
	f->store = store_open(&f->options, &f->error);
	assert_non_null(f->store);
	*state = f;
	return 0;
}

static int down(void **state)
{
	struct fixture *f = *state;

	store_close(f->store);
	folder_remove(f->parent);
	free(f);
	return 0;
}

static struct id id_of(uint8_t number)
{
	return (struct id){{1, 2, 3, 4, 5, 6, 0x70, [15] = number}};
}

static void put_row(struct fixture *f, enum shelf_table table, const void *key, size_t key_size,
	const void *row, size_t size)
{
	MDB_val k = {key_size, (void *)(uintptr_t)key}, v = {size, (void *)(uintptr_t)row};
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, f->store->tables[table], &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void put_position(struct fixture *f, uint32_t shard)
{
	const uint8_t key[4] = {
		(uint8_t)(shard >> 24), (uint8_t)(shard >> 16), (uint8_t)(shard >> 8), (uint8_t)shard};
	const struct position position = {.lineage = {{3}}, .sequence = 7, .epoch = 2, .moved_ms = 500};
	uint8_t row[RECORD_POSITION_BYTES];

	record_position_pack(&position, row);
	put_row(f, SHELF_POSITIONS, key, sizeof(key), row, sizeof(row));
}

static void put_hold(struct fixture *f, uint8_t number, enum line_state state)
{
	const struct hold hold = {.id = id_of(number),
		.user = span_of("ann"),
		.sku = span_of("SKU1"),
		.session = span_of("s"),
		.state = state,
		.quantity = 2,
		.deadline_ms = 1000};
	uint8_t row[RECORD_HOLD_BYTES_MAX];
	struct lines lines;

	lines_init(&lines, 2, 10);
	put_row(f, SHELF_HOLDS, hold.id.bytes, ID_BYTES, row,
		record_hold_pack(lines_add(&lines, &hold), row));
	lines_release(&lines);
}

static void put_order(struct fixture *f, enum shelf_table table, uint8_t number, uint32_t shard)
{
	struct customer *customer = calloc(1, sizeof(*customer) + 4);
	struct order_item item = {.hold = id_of(1), .quantity = 2, .currency = "USD", .sku = "SKU1"};
	struct order order = {.customer = customer,
		.id = id_of(number),
		.items = &item,
		.item_count = 1,
		.shard = shard,
		.truth = LINE_HELD,
		.wish = WISH_CANCEL};
	uint8_t row[RECORD_ORDER_BYTES_MAX];
	size_t size;

	strcpy(customer->user, "ann");
	customer->length = 3;
	size = table == SHELF_ORDERS ? record_order_pack(&order, row) : record_decision_pack(&order, row);
	put_row(f, table, order.id.bytes, ID_BYTES, row, size);
	free(customer);
}

/* The cart and its orders, as far as the store could be read. */
static bool load(struct fixture *f, size_t *ret_lines, size_t *ret_orders)
{
	const struct cart_options cart_options = {
		.shards = 2, .attempts_max = 10, .queue_max = 10, .ended_max = 10, .clock = &clock_system};
	struct cart *cart = cart_new(&cart_options);
	struct orders_options orders_options = {
		.cart = cart, .cart_shards = 1, .asks_max = 1, .ended_max = 10};
	struct orders *orders = orders_new(&orders_options);
	bool good;

	f->error.text[0] = '\0';
	good = shelf_load(f->store, cart, &f->error) && shelf_load_orders(f->store, orders, &f->error);
	*ret_lines = cart->lines.by_id.count;
	*ret_orders = orders->by_id.count;
	orders_free(orders);
	cart_free(cart);
	return good;
}

static void fill(struct fixture *f)
{
	put_position(f, 0);
	put_position(f, 1);
	put_hold(f, 1, LINE_HELD);
	put_hold(f, 2, LINE_SOLD);
	put_order(f, SHELF_ORDERS, 50, 1);
	put_order(f, SHELF_ORDERS, 51, 0);
	put_order(f, SHELF_DECISIONS, 50, 1);
	put_order(f, SHELF_DECISIONS, 52, 1);
}

static void a_start_fails_with_words(void **state)
{
	struct fixture *f = *state;
	size_t lines, orders;

	fill(f);
	assert_true(load(f, &lines, &orders));
	assert_int_equal(lines, 2);
	assert_int_equal(orders, 3);
	for (enum fault kind = 0; kind < FAULT_KINDS; kind++)
		for (int n = 1;; n++) {
			bool good, fired;

			faults_arm(kind, n);
			good = load(f, &lines, &orders);
			fired = faults_fired();
			if (!fired || kind == FAULT_ABSENT) /* the end of a table, as far as one can see */
				assert_true(good);
			else if (good)
				fail_msg("fault %d of call %d was not noticed", kind, n);
			else
				assert_true(strlen(f->error.text) > 0);
			if (!fired)
				break;
		}
}

/* What another installation's store, or a damaged one, says. */
static void rows_of_shards_that_are_not_there_are_refused(void **state)
{
	static const enum shelf_table tables[] = {SHELF_POSITIONS, SHELF_ORDERS, SHELF_DECISIONS};
	size_t lines, orders;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		void *own;
		struct fixture *f;

		up(&own);
		f = own;
		if (tables[i] == SHELF_POSITIONS)
			put_position(f, 2);
		else
			put_order(f, tables[i], 50, 2);
		assert_false(load(f, &lines, &orders));
		assert_non_null(strstr(f->error.text,
			tables[i] == SHELF_POSITIONS ? "--inventory-shards" : "restore a backup"));
		down(&own);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_start_fails_with_words, up, down),
		cmocka_unit_test(rows_of_shards_that_are_not_there_are_refused),
	};

	return RUN(tests);
}
