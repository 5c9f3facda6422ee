/* A reconciliation step by step, with inventory's answers in the test's hands: two shards of inventory and two of carts. */
#include "check.h"

#include <lmdb.h>

#include "base/memory.h"
#include "cart/reconcile.h"
#include "tests/unit/base/folder.h"

#define CALLS_MAX 16
#define NOW_MS INT64_C(1767225600000)

static struct world {
	struct reconcile r;
	char directory[FOLDER_TEXT_MAX + 8], parent[FOLDER_TEXT_MAX];
	struct store *store;
	struct position position;
	const char *skus[2]; /* of each shard of inventory */
	uint64_t head, floor;
	const char
		*refusals[CALLS_MAX]; /* of CreateHold and BindOrderHolds, one after the other; NULL: yes */
	size_t refusal;
	bool held, ordered; /* what our store has: a hold of each shard; with the second in an order */
	struct {
		char method[24], id[ID_TEXT_LENGTH + 1];
		uint32_t shard, shards, cart_shard, cart_shards;
	} calls[CALLS_MAX];
	size_t count;
} w;

static const struct id holds[2] = {
	{{1, 2, 3, 4, 5, 6, 0x71, 0, 0x80, 1}}, {{1, 2, 3, 4, 5, 6, 0x71, 0, 0x80, 2}}};
static const struct id order = {{1, 2, 3, 4, 5, 6, 0x71, 0, 0x80, 3}};

/* ---- our store, their ledger ---- */

bool __wrap_shelf_load(struct store *store, struct cart *cart, struct error *error);
bool __wrap_shelf_load(struct store *store, struct cart *cart, struct error *error)
{
	for (int shard = 0; w.held && shard < 2; shard++) {
		struct hold hold = {.id = holds[shard],
			.user = span_of("ann"),
			.session = span_of(""),
			.sku = span_of(w.skus[shard]),
			.state = LINE_HELD,
			.quantity = 2,
			.version = 1,
			.created_ms = NOW_MS,
			.deadline_ms = NOW_MS + 60000};

		if (w.ordered && shard == 1)
			hold.order = order;
		assert_true(cart_load_hold(cart, &hold));
	}
	return true;
}

bool __wrap_shelf_load_orders(struct store *store, struct orders *orders, struct error *error);
bool __wrap_shelf_load_orders(struct store *store, struct orders *orders, struct error *error)
{
	struct order_item item = {.hold = holds[1], .quantity = 2};
	const struct order_record record = {.id = order,
		.user = span_of("ann"),
		.shard = 1,
		.item_count = 1,
		.items = &item,
		.truth = LINE_HELD,
		.created_ms = NOW_MS,
		.deadline_ms = NOW_MS + 60000};

	snprintf(item.sku, sizeof(item.sku), "%s", w.skus[1]);
	return !w.ordered || orders_load(orders, &record);
}

bool __wrap_tool_client_read_ledger(struct tool_client *client, const Common__Placement *placement,
	uint32_t cart_shard, bool (*message)(void *context, const Inventory__ReadLedgerResponse *message),
	void *context, struct error *error);
bool __wrap_tool_client_read_ledger(struct tool_client *client, const Common__Placement *placement,
	uint32_t cart_shard, bool (*message)(void *context, const Inventory__ReadLedgerResponse *message),
	void *context, struct error *error)
{
	Inventory__ReadLedgerResponse response = INVENTORY__READ_LEDGER_RESPONSE__INIT;
	const struct id lineage = {{9}};
	char text[ID_TEXT_LENGTH + 1];

	assert_int_equal(placement->shard, 1);
	assert_int_equal(placement->shards, 2);
	assert_int_equal(cart_shard, 1);
	response.lineage = id_format(&lineage, text);
	response.head = w.head;
	response.floor = w.floor;
	return message(context, &response);
}

/* ---- inventory's answers ---- */

static void note(const char *method, const Common__Placement *placement, const Inventory__Sender *sender,
	const char *id)
{
	assert_true(w.count < CALLS_MAX);
	snprintf(w.calls[w.count].method, sizeof(w.calls[0].method), "%s", method);
	snprintf(w.calls[w.count].id, sizeof(w.calls[0].id), "%s", id);
	w.calls[w.count].shard = placement->shard;
	w.calls[w.count].shards = placement->shards;
	w.calls[w.count].cart_shard = sender->cart_shard;
	w.calls[w.count].cart_shards = sender->cart_shards;
	w.count++;
}

static bool refuse(struct rpc_status *status)
{
	const char *reason = w.refusals[w.refusal++];

	if (!reason)
		return false;
	*status = (struct rpc_status){.code = RPC_FAILED_PRECONDITION};
	snprintf(status->reason, sizeof(status->reason), "%s", reason);
	return true;
}

const ProtobufCMessage *__wrap_tool_client_call(struct tool_client *client, uint32_t shard,
	const char *method, const ProtobufCMessage *input, struct arena *arena, struct rpc_status *status);
const ProtobufCMessage *__wrap_tool_client_call(struct tool_client *client, uint32_t shard,
	const char *method, const ProtobufCMessage *input, struct arena *arena, struct rpc_status *status)
{
	static Inventory__FenceCartResponse fenced;
	static Inventory__GetGoodsResponse goods;
	static Inventory__Goods row;
	static Inventory__CreateHoldResponse created;
	static Inventory__HoldGrant grant;
	static Inventory__BindOrderHoldsResponse bound;
	static Inventory__OrderOutcome outcome;
	static Inventory__OrderGrant order_grant;
	static Inventory__OrderRefusal refusal;
	static char removed[ID_TEXT_LENGTH + 1];
	const struct id newest = {{1, 2, 3, 4, 5, 0xff, 0x7f, 0xff}};

	assert_int_equal(shard, 1);
	if (!strcmp(method, "FenceCart")) {
		const Inventory__FenceCartRequest *request = (const Inventory__FenceCartRequest *)input;

		note(method, request->placement, request->sender, "");
		inventory__fence_cart_response__init(&fenced);
		fenced.accepted = true;
		fenced.removed_id = id_format(&newest, removed);
		return &fenced.base;
	}
	if (!strcmp(method, "GetGoods")) {
		inventory__get_goods_response__init(&goods);
		inventory__goods__init(&row);
		row.available = 10;
		goods.goods = &row;
		return &goods.base;
	}
	if (!strcmp(method, "CreateHold")) {
		const Inventory__CreateHoldRequest *request = (const Inventory__CreateHoldRequest *)input;

		note(method, request->placement, request->sender, request->hold->hold_id);
		if (refuse(status))
			return NULL;
		inventory__create_hold_response__init(&created);
		inventory__hold_grant__init(&grant);
		grant.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
		created.grant = &grant;
		return &created.base;
	}
	assert_string_equal(method, "BindOrderHolds");
	{
		const Inventory__BindOrderHoldsRequest *request =
			(const Inventory__BindOrderHoldsRequest *)input;

		note(method, request->placement, request->sender, request->order_id);
	}
	inventory__bind_order_holds_response__init(&bound);
	inventory__order_outcome__init(&outcome);
	inventory__order_grant__init(&order_grant);
	inventory__order_refusal__init(&refusal);
	bound.outcome = &outcome;
	outcome.outcome_case = INVENTORY__ORDER_OUTCOME__OUTCOME_GRANT;
	outcome.grant = &order_grant;
	if (refuse(status)) {
		refusal.reason = COMMON__REASON__REASON_GONE;
		outcome.outcome_case = INVENTORY__ORDER_OUTCOME__OUTCOME_REFUSAL;
		outcome.refusal = &refusal;
	}
	return &bound.base;
}

/* ---- */

static void put(
	MDB_txn *txn, enum shelf_table table, const void *key, size_t key_size, void *data, size_t size)
{
	MDB_val name = {key_size, (void *)(uintptr_t)key}, value = {size, data};

	assert_int_equal(mdb_put(txn, w.store->tables[table], &name, &value, 0), 0);
}

/* The ids are in it; what they are comes from shelf_load above. */
static void load(void)
{
	static const uint8_t shard[4] = {0, 0, 0, 1};
	uint8_t record[RECORD_POSITION_BYTES];
	struct error error;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(w.store->env, NULL, 0, &txn), 0);
	record_position_pack(&w.position, record);
	put(txn, SHELF_POSITIONS, shard, sizeof(shard), record, sizeof(record));
	for (int i = 0; i < 2; i++)
		put(txn, SHELF_HOLDS, holds[i].bytes, ID_BYTES, record, 1);
	put(txn, SHELF_ORDERS, order.bytes, ID_BYTES, record, 1);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_true(reconcile_load(&w.r, &error));
	assert_int_equal(w.r.position.sequence, w.position.sequence);
}

static void open_store(void)
{
	struct store_options options = {.directory = w.directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shard = 1,
		.shards = 2,
		.map_bytes = 1 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	struct error error;

	folder_make(w.parent);
	snprintf(w.directory, sizeof(w.directory), "%s/store", w.parent);
	assert_true(store_create(&options, &error));
	w.store = store_open(&options, &error);
	assert_non_null(w.store);
}

static int up(void **state)
{
	static char names[2][16];

	memset(&w, 0, sizeof(w));
	open_store();
	w.position = (struct position){.lineage = {{7}}, .sequence = 50, .epoch = 4};
	w.head = 20;
	for (uint32_t shard = 0; shard < 2; shard++)
		for (int i = 0;; i++) {
			snprintf(names[shard], sizeof(names[0]), "SKU%d", i);
			if (hash_shard(names[shard], 2) == shard)
				break;
		}
	w.skus[0] = names[0];
	w.skus[1] = names[1];
	w.held = true;
	w.r = (struct reconcile){.store = w.store,
		.cart_shard = 1,
		.cart_shards = 2,
		.inventory_shard = 1,
		.inventory_shards = 2,
		.apply = true};
	return 0;
}

static int down(void **state)
{
	reconcile_release(&w.r);
	store_close(w.store);
	folder_remove(w.parent);
	return 0;
}

static void carry_out(void)
{
	struct error error;

	load();
	assert_true(reconcile_plan(&w.r, &error));
	assert_true(reconcile_carry_out(&w.r, &error));
	for (size_t i = 0; i < w.count; i++) {
		assert_int_equal(w.calls[i].shard, 1);
		assert_int_equal(w.calls[i].shards, 2);
		assert_int_equal(w.calls[i].cart_shard, 1);
		assert_int_equal(w.calls[i].cart_shards, 2);
	}
	assert_int_equal(w.r.sender.epoch, 5);
}

static void assert_call(size_t at, const char *method, const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	assert_true(at < w.count);
	assert_string_equal(w.calls[at].method, method);
	assert_string_equal(w.calls[at].id, id_format(id, text));
}

/* What is at another shard of inventory is nobody's business here. */
static void test_only_its_shard_is_reconciled(void **state)
{
	carry_out();
	assert_int_equal(w.r.our_count, 1);
	assert_int_equal(w.r.promises[0].fate, FATE_MAKE);
	assert_int_equal(w.r.promises[0].outcome, OUTCOME_DONE);
	assert_int_equal(w.count, 2);
	assert_string_equal(w.calls[0].method, "FenceCart");
	assert_call(1, "CreateHold", &holds[1]);
}

/* An id that was let go of is not taken: a newer one is, the same in each run. */
static void test_an_id_that_is_gone_is_replaced(void **state)
{
	const struct id newest = {{1, 2, 3, 4, 5, 0xff, 0x7f, 0xff}};
	struct id there;

	w.refusals[0] = "GONE";
	carry_out();
	assert_int_equal(w.count, 3);
	assert_call(1, "CreateHold", &holds[1]);
	there = reconcile_newer_id(&w.r, &holds[1], false);
	assert_true(id_compare(&there, &newest) > 0);
	assert_call(2, "CreateHold", &there);
	assert_int_equal(id_compare(&w.r.promises[0].there, &there), 0);
	assert_int_equal(w.r.promises[0].outcome, OUTCOME_DONE);
}

static void test_gone_twice_is_short(void **state)
{
	w.refusals[0] = w.refusals[1] = "GONE";
	carry_out();
	assert_int_equal(w.count, 3);
	assert_int_equal(w.r.promises[0].outcome, OUTCOME_SHORT);
	assert_string_equal(w.r.promises[0].why, "GONE");
}

static void test_another_no_is_short_at_once(void **state)
{
	w.refusals[0] = "SOLD_OUT";
	carry_out();
	assert_int_equal(w.count, 2);
	assert_int_equal(w.r.promises[0].outcome, OUTCOME_SHORT);
	assert_string_equal(w.r.promises[0].why, "SOLD_OUT");
}

/* Not a no: nobody knows, so it has to be run again. */
static void test_a_newer_epoch_ends_it(void **state)
{
	struct error error;

	w.refusals[0] = "STALE_EPOCH";
	load();
	assert_true(reconcile_plan(&w.r, &error));
	assert_false(reconcile_carry_out(&w.r, &error));
}

/* An order's new id leads to the same cart shard. */
static void test_an_order_that_is_gone_is_replaced(void **state)
{
	char text[ID_TEXT_LENGTH + 1];
	struct id there;

	w.ordered = true;
	w.refusals[1] = "GONE";
	carry_out();
	assert_int_equal(w.count, 4);
	assert_call(1, "CreateHold", &holds[1]);
	assert_call(2, "BindOrderHolds", &order);
	there = reconcile_newer_id(&w.r, &order, true);
	assert_call(3, "BindOrderHolds", &there);
	for (uint8_t i = 0; i < 50; i++) {
		struct id id = {{1, 2, 3, 4, 5, 6, 0x71, i, 0x80, 3}};

		id = reconcile_newer_id(&w.r, &id, true);
		assert_int_equal(hash_shard(id_format(&id, text), 2), 1);
	}
	assert_int_equal(id_compare(&w.r.pacts[0].there, &there), 0);
	assert_int_equal(w.r.pacts[0].outcome, OUTCOME_DONE);
}

/* Another history, a shorter one, or one that was compacted beyond what we heard. */
static void test_when_it_is_needed(void **state)
{
	static const struct {
		uint8_t lineage;
		uint64_t sequence, our_floor, head, floor;
		bool needed;
	} cases[] = {{0, 0, 0, 20, 10, false}, {7, 5, 0, 20, 0, true}, {9, 21, 0, 20, 0, true},
		{9, 20, 0, 20, 20, false}, {9, 5, 0, 20, 5, false}, {9, 5, 0, 20, 6, true},
		{9, 5, 5, 20, 6, false}, {9, 5, 4, 20, 6, true}};

	load();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w.r.position = (struct position){.lineage = {{cases[i].lineage}},
			.sequence = cases[i].sequence,
			.floor = cases[i].our_floor};
		w.r.head = cases[i].head;
		w.r.floor = cases[i].floor;
		assert_int_equal(reconcile_needed(&w.r), cases[i].needed);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_its_shard_is_reconciled),
		TEST(test_an_id_that_is_gone_is_replaced),
		TEST(test_gone_twice_is_short),
		TEST(test_another_no_is_short_at_once),
		TEST(test_a_newer_epoch_ends_it),
		TEST(test_an_order_that_is_gone_is_replaced),
		TEST(test_when_it_is_needed),
	};

	return RUN(tests);
}
