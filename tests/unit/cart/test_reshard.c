/* The stores of all carts made anew: what only a cart knows is taken along, each to the cart of its person, and placed where its goods are now. */
#include "check.h"

#include "base/hash.h"
#include "base/memory.h"
#include "cart/reshard.h"
#include "cart/shelf.h"
#include "tests/unit/base/folder.h"

#define STORES_MAX 4

struct scene {
	char parent[FOLDER_TEXT_MAX];
	struct store *sources[STORES_MAX], *targets[STORES_MAX];
	int made;
};

static struct store *make_store(struct scene *scene, uint32_t shard, uint32_t shards)
{
	char *directory = memory_format("%s/%d", scene->parent, scene->made++);
	struct store_options options = {.directory = directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shard = shard,
		.shards = shards,
		.map_bytes = 4 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	struct store *store;
	struct error error;

	assert_true(store_create(&options, &error));
	store = store_open(&options, &error);
	assert_non_null(store);
	free(directory);
	return store;
}

static int set_up(void **state)
{
	struct scene *scene = NEW(struct scene);

	folder_make(scene->parent);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	for (int i = 0; i < STORES_MAX; i++) {
		store_close(scene->sources[i]);
		store_close(scene->targets[i]);
	}
	folder_remove(scene->parent);
	free(scene);
	return 0;
}

static void put(struct store *store, enum shelf_table table, const struct id *id, void *record, size_t size)
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes}, value = {size, record};
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, store->tables[table], &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static size_t get(struct store *store, enum shelf_table table, uint8_t id, uint8_t *record)
{
	struct id name = {{id}};
	MDB_val key = {ID_BYTES, name.bytes}, value;
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(store, &txn), 0);
	rc = mdb_get(txn, store->tables[table], &key, &value);
	if (rc == 0)
		memcpy(record, value.mv_data, value.mv_size);
	mdb_txn_abort(txn);
	return rc ? 0 : value.mv_size;
}

static size_t count(struct store *store, enum shelf_table table)
{
	MDB_stat stat;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(store, &txn), 0);
	assert_int_equal(mdb_stat(txn, store->tables[table], &stat), 0);
	mdb_txn_abort(txn);
	return stat.ms_entries;
}

static void put_line(
	struct store *store, uint8_t id, const char *user, const char *sku, enum line_state state)
{
	struct hold hold = {.id = {{id}},
		.user = span_of(user),
		.sku = span_of(sku),
		.session = span_of("s"),
		.keyed = true,
		.key = {{id}},
		.state = state,
		.quantity = 1,
		.version = 1};
	uint8_t record[RECORD_HOLD_BYTES_MAX];
	struct lines lines;

	lines_init(&lines, 1, 10);
	put(store, SHELF_HOLDS, &hold.id, record, record_hold_pack(lines_add(&lines, &hold), record));
	lines_release(&lines);
}

/* Of one item; the wish may be none. */
static void put_order(struct store *store, uint8_t id, const char *user, const char *sku, uint8_t hold,
	enum line_state truth, enum order_wish wish)
{
	struct customer *customer = memory_new(sizeof(*customer) + strlen(user) + 1);
	struct order_item item = {.hold = {{hold}}, .quantity = 1, .currency = "EUR"};
	struct order order = {.id = {{id}},
		.customer = customer,
		.items = &item,
		.item_count = 1,
		.truth = (uint8_t)truth,
		.wish = (uint8_t)wish,
		.keyed = true,
		.key = {{id}},
		.payment = wish == WISH_CONFIRM ? (char *)(uintptr_t) "reported" : NULL};
	uint8_t record[RECORD_ORDER_BYTES_MAX > RECORD_DECISION_BYTES_MAX ? RECORD_ORDER_BYTES_MAX
									  : RECORD_DECISION_BYTES_MAX];

	customer->length = (uint8_t)strlen(user);
	memcpy(customer->user, user, strlen(user));
	snprintf(item.sku, sizeof(item.sku), "%s", sku);
	if (truth)
		put(store, SHELF_ORDERS, &order.id, record, record_order_pack(&order, record));
	if (wish)
		put(store, SHELF_DECISIONS, &order.id, record, record_decision_pack(&order, record));
	free(customer);
}

static bool run(struct scene *scene, uint32_t from, uint32_t to, uint32_t inventories,
	struct cart_reshard_result *result, struct error *error)
{
	for (uint32_t i = 0; i < to; i++)
		if (!scene->targets[i])
			scene->targets[i] = make_store(scene, i, to);
	return cart_reshard(&(struct cart_reshard_options){.sources = scene->sources,
				    .source_count = from,
				    .targets = scene->targets,
				    .shards = to,
				    .inventory_shards = inventories},
		result, error);
}

static void what_only_a_cart_knows_is_taken_along(void **state)
{
	static const char *const users[] = {"ann", "bob", "cid", "dan"};
	struct scene *scene = *state;
	struct cart_reshard_result result;
	struct order_item items[ORDER_HOLDS_MAX];
	struct id holds[ORDER_HOLDS_MAX];
	struct order_decision decision;
	struct order_record order;
	struct error error = {0};
	uint8_t record[RECORD_ORDER_BYTES_MAX];

	scene->sources[0] = make_store(scene, 0, 1);
	for (uint8_t i = 0; i < 4; i++) {
		put_line(scene->sources[0], (uint8_t)(10 + i), users[i], "SKU1", LINE_EXPIRED);
		put_line(scene->sources[0], (uint8_t)(20 + i), users[i], "SKU2", LINE_HELD);
		put_line(scene->sources[0], (uint8_t)(30 + i), users[i], "SKU3", LINE_SOLD);
	}
	put_order(scene->sources[0], 1, "ann", "SKU1", 10, LINE_EXPIRED, WISH_CONFIRM); /* paid too late */
	put_order(scene->sources[0], 2, "bob", "SKU3", 31, LINE_SOLD, WISH_CONFIRM);
	put_order(scene->sources[0], 3, "cid", "", 22, 0, WISH_BIND); /* on its way */
	assert_true(run(scene, 1, 3, 5, &result, &error));
	assert_int_equal(result.lines, 4);
	assert_int_equal(result.orders, 1);
	assert_int_equal(result.decisions, 3);
	assert_int_equal(result.told, 8 + 1);

	for (uint8_t i = 0; i < 4; i++)
		assert_true(get(scene->targets[hash_shard(users[i], 3)], SHELF_HOLDS, (uint8_t)(10 + i),
				    record) > 0);
	for (uint32_t i = 0, lines = 0; i < 3; i++) {
		lines += (uint32_t)count(scene->targets[i], SHELF_HOLDS);
		assert_int_equal(count(scene->targets[i], SHELF_POSITIONS), 0);
		if (i == 2)
			assert_int_equal(lines, 4);
	}
	assert_true(record_order_unpack(&(struct id){{1}}, record,
		get(scene->targets[hash_shard("ann", 3)], SHELF_ORDERS, 1, record), items, &order));
	assert_int_equal(order.shard, hash_shard("SKU1", 5));
	assert_int_equal(order.truth, LINE_EXPIRED);
	assert_true(record_decision_unpack(&(struct id){{2}}, record,
		get(scene->targets[hash_shard("bob", 3)], SHELF_DECISIONS, 2, record), holds, &decision));
	assert_int_equal(decision.shard, hash_shard("SKU3", 5));
	assert_int_equal(decision.wish, WISH_CONFIRM);
	assert_memory_equal(decision.payment.text, "reported", 8);
	assert_true(decision.keyed && decision.key.bytes[0] == 2);
	assert_true(record_decision_unpack(&(struct id){{3}}, record,
		get(scene->targets[hash_shard("cid", 3)], SHELF_DECISIONS, 3, record), holds, &decision));
	assert_int_equal(decision.shard, hash_shard("SKU2", 5));
	assert_int_equal(decision.hold_count, 1);
}

static void a_decision_that_can_not_be_placed_is_told(void **state)
{
	struct scene *scene = *state;
	struct cart_reshard_result result;
	struct error error = {0};

	scene->sources[0] = make_store(scene, 0, 1);
	put_order(scene->sources[0], 1, "ann", "", 99, 0, WISH_CONFIRM);
	assert_false(run(scene, 1, 2, 2, &result, &error));
	assert_non_null(strstr(error.text, "whose goods this cart has not heard of yet"));
	assert_int_equal(
		count(scene->targets[0], SHELF_DECISIONS) + count(scene->targets[1], SHELF_DECISIONS), 0);
	assert_true(run(scene, 1, 2, 1, &result, &error)); /* where else */
	assert_int_equal(result.decisions, 1);
}

static void somebody_in_two_carts_is_damage(void **state)
{
	struct scene *scene = *state;
	struct cart_reshard_result result;
	struct error error = {0};

	for (uint32_t i = 0; i < 2; i++) {
		scene->sources[i] = make_store(scene, i, 2);
		put_line(scene->sources[i], 1, "ann", "SKU1", LINE_RELEASED);
	}
	assert_false(run(scene, 2, 1, 1, &result, &error));
	assert_non_null(strstr(error.text, "MDB_CORRUPTED"));
	assert_int_equal(count(scene->targets[0], SHELF_HOLDS), 0);
}

static void what_can_not_be_read_is_told(void **state)
{
	static const enum shelf_table tables[] = {SHELF_HOLDS, SHELF_ORDERS, SHELF_DECISIONS};
	struct scene *scene = *state;
	struct cart_reshard_result result;
	struct error error = {0};
	uint8_t noise[] = {77};

	for (size_t i = 0; i < 3; i++) {
		scene->sources[0] = make_store(scene, 0, 1);
		put(scene->sources[0], tables[i], &(struct id){{1}}, noise, sizeof(noise));
		assert_false(run(scene, 1, 1, 1, &result, &error));
		assert_non_null(strstr(error.text, scene->sources[0]->directory));
		store_close(scene->sources[0]);
		scene->sources[0] = NULL;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_only_a_cart_knows_is_taken_along, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_decision_that_can_not_be_placed_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(somebody_in_two_carts_is_damage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_can_not_be_read_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
