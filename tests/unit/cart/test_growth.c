/* Days of a steady sale in a few seconds: what the cart remembers and what its store's file has stay as they were after the first day. */
#include "check.h"

#include <semaphore.h>

#include "base/memory.h"
#include "cart/shelf.h"
#include "tests/unit/base/folder.h"

enum { DAYS = 5, STEPS_A_DAY = 48, KEYED = 60, BARE = 30, ORDERS = 30, A_STEP = KEYED + BARE + ORDERS };
#define STEP_MS (24 * 3600 * INT64_C(1000) / STEPS_A_DAY)
#define HOLD_MS (10 * 60 * INT64_C(1000))
#define SWEEP_MAX 4096 /* as the service's tick has it */

struct growth {
	char directory[FOLDER_TEXT_MAX + 8], parent[FOLDER_TEXT_MAX];
	struct store *store;
	struct rpc_loop *loop;
	struct shelf *shelf;
	struct cart *cart;
	struct orders *orders;
	struct clock_manual clock;
	struct id_generator ids;
	struct rpc_task task;
	sem_t done;
	bool first_half; /* of a step: what begins; then what ends */
	struct id holds[A_STEP], of_orders[ORDERS];
	struct decision decisions[ORDERS];
	size_t lines, orders_kept;
	uint64_t stored, sequence;
};

static void on_changed(void *context, const struct line *line)
{
	shelf_put(((struct growth *)context)->shelf, line);
}

static void on_forgotten(void *context, const struct line *line)
{
	shelf_forget(((struct growth *)context)->shelf, &line->id);
}

static void on_order_stored(void *context, const struct order *order)
{
	shelf_put_order(((struct growth *)context)->shelf, order);
}

static void on_order_forgotten(void *context, const struct order *order)
{
	shelf_forget_order(((struct growth *)context)->shelf, &order->id);
}

static void on_order_changed(void *context, const struct order *order)
{
}

static void on_fence(void *context, uint32_t shard)
{
}

static void on_decided(struct decision *decision, Common__Reason failure)
{
	assert_int_equal(failure, COMMON__REASON__REASON_UNSPECIFIED);
}

static void on_fatal(void *context, const char *why)
{
	fail_msg("%s", why);
}

/* The ledger tells of a hold. */
static void apply_hold(
	struct growth *g, int number, enum line_state state, uint64_t version, const struct id *order)
{
	char user[16];
	struct entry entry = {
		.kind = version == 1 ? ENTRY_CREATED : ENTRY_CHANGED, .sequence = ++g->sequence};
	int64_t now_ms = clock_wall_ms(&g->clock.base);

	snprintf(user, sizeof(user), "user-%d", number % 50);
	entry.hold = (struct hold){.id = g->holds[number],
		.user = span_of(user),
		.session = span_of("session"),
		.sku = span_of("SKU1"),
		.state = state,
		.quantity = 1,
		.version = version,
		.created_ms = now_ms,
		.ended_ms = state == LINE_HELD ? 0 : now_ms,
		.deadline_ms = now_ms + HOLD_MS,
		.keyed = number < KEYED};
	if (order)
		entry.hold.order = *order;
	for (int i = 0; i < 16; i++) /* as a hash: anywhere */
		entry.hold.key.bytes[i] = (uint8_t)(g->holds[number].bytes[15 - i] * 167 + i);
	cart_apply(g->cart, 0, &entry);
}

static void apply_order(struct growth *g, int number, enum line_state state)
{
	char user[16];
	struct order_item item = {
		.hold = g->holds[KEYED + BARE + number], .quantity = 1, .sku = "SKU1", .currency = "EUR"};
	int64_t now_ms = clock_wall_ms(&g->clock.base);
	const struct order_entry entry = {.id = g->of_orders[number],
		.user = span_of(user),
		.state = state,
		.deadline_ms = now_ms + HOLD_MS,
		.time_ms = now_ms,
		.items = &item,
		.item_count = state == LINE_HELD};
	const struct entry word = {.kind = ENTRY_ORDER, .sequence = ++g->sequence};

	snprintf(user, sizeof(user), "user-%d", (KEYED + BARE + number) % 50);
	cart_apply(g->cart, 0, &word);
	orders_apply(g->orders, 0, &entry);
}

static void begin(struct growth *g)
{
	static const uint8_t record[60];

	for (int i = 0; i < A_STEP; i++) {
		g->holds[i] = id_next(&g->ids);
		apply_hold(g, i, LINE_HELD, 1, NULL);
	}
	for (int i = 0; i < ORDERS; i++) {
		g->of_orders[i] = id_next(&g->ids);
		g->decisions[i] = (struct decision){
			.id = g->of_orders[i], .record = record, .size = sizeof(record), .done = on_decided};
		shelf_decide(g->shelf, &g->decisions[i]);
		apply_hold(g, KEYED + BARE + i, LINE_HELD, 2, &g->of_orders[i]);
		apply_order(g, i, LINE_HELD);
	}
}

static void end(struct growth *g)
{
	for (int i = 0; i < A_STEP; i++)
		apply_hold(g, i, i % 2 ? LINE_EXPIRED : LINE_RELEASED, 3,
			i < KEYED + BARE ? NULL : &g->of_orders[i - KEYED - BARE]);
	for (int i = 0; i < ORDERS; i++)
		apply_order(g, i, (KEYED + BARE + i) % 2 ? LINE_EXPIRED : LINE_RELEASED);
}

static void half_step(struct rpc_task *task)
{
	struct growth *g = container_of(task, struct growth, task);
	int64_t now_ms = clock_wall_ms(&g->clock.base);
	struct position position = {.lineage = {{7}}, .epoch = 1};

	(g->first_half ? begin : end)(g);
	cart_sweep(g->cart, now_ms, SWEEP_MAX);
	orders_sweep(g->orders, now_ms, SWEEP_MAX);
	position.sequence = g->sequence;
	shelf_position(g->shelf, 0, &position);
	shelf_flush(g->shelf);
	sem_post(&g->done);
}

static void look(struct rpc_task *task)
{
	struct growth *g = container_of(task, struct growth, task);

	shelf_flush(g->shelf);
	g->stored = shelf_stored(g->shelf, 0);
	g->lines = g->cart->lines.by_id.count;
	g->orders_kept = g->orders->by_id.count;
	sem_post(&g->done);
}

static void on_loop(struct growth *g, void (*run)(struct rpc_task *task))
{
	g->task.run = run;
	rpc_post(g->loop, &g->task);
	sem_wait(&g->done);
}

static void run_half_step(struct growth *g, bool first)
{
	g->first_half = first;
	on_loop(g, half_step);
	do
		on_loop(g, look);
	while (g->stored < g->sequence);
	clock_manual_advance(&g->clock, first ? HOLD_MS : STEP_MS - HOLD_MS);
}

static void open_all(struct growth *g)
{
	const struct cart_options cart = {.shards = 1,
		.attempts_max = 10,
		.queue_max = 10,
		.ended_max = SIZE_MAX,
		.clock = &g->clock.base,
		.effects = {.changed = on_changed, .forgotten = on_forgotten, .fence = on_fence},
		.context = g};
	struct orders_options orders = {.cart_shards = 1,
		.asks_max = 10,
		.ended_max = SIZE_MAX,
		.effects = {.stored = on_order_stored,
			.forgotten = on_order_forgotten,
			.changed = on_order_changed},
		.context = g};
	struct store_options options = {.directory = g->directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shards = 1,
		.map_bytes = 256 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	struct error error;

	folder_make(g->parent);
	snprintf(g->directory, sizeof(g->directory), "%s/store", g->parent);
	assert_true(store_create(&options, &error));
	g->store = store_open(&options, &error);
	assert_non_null(g->store);
	clock_manual_init(&g->clock, 1767225600000, 0);
	id_generator_init(&g->ids, &g->clock.base);
	sem_init(&g->done, 0, 0);
	g->loop = rpc_loop_new("test");
	g->shelf = shelf_new(&(struct shelf_options){
		.store = g->store, .loop = g->loop, .clock = &clock_system, .shards = 1, .fatal = on_fatal});
	g->cart = cart_new(&cart);
	orders.cart = g->cart;
	g->orders = orders_new(&orders);
}

static void close_shelf(struct rpc_task *task)
{
	struct growth *g = container_of(task, struct growth, task);

	shelf_close(g->shelf);
	sem_post(&g->done);
}

static void close_all(struct growth *g)
{
	on_loop(g, close_shelf);
	shelf_free(g->shelf);
	rpc_loop_free(g->loop);
	store_close(g->store);
	orders_free(g->orders);
	cart_free(g->cart);
	folder_remove(g->parent);
	sem_destroy(&g->done);
}

static size_t rows(struct growth *g, enum shelf_table table)
{
	MDB_txn *txn;
	MDB_stat stat;

	assert_int_equal(store_read_begin(g->store, &txn), 0);
	mdb_stat(txn, g->store->tables[table], &stat);
	mdb_txn_abort(txn);
	return stat.ms_entries;
}

static void test_days_of_a_steady_sale(void **state)
{
	struct growth g = {0};
	int64_t first_bytes = 0, most = 0;
	struct store_usage usage;

	open_all(&g);
	for (int step = 0; step < DAYS * STEPS_A_DAY; step++) {
		run_half_step(&g, true);
		run_half_step(&g, false);
		/* With a key a day, and what is not swept yet: two steps. Without one a minute. */
		assert_true(g.lines <= (STEPS_A_DAY + 2) * KEYED + 2 * (BARE + ORDERS));
		assert_true(g.orders_kept <= (STEPS_A_DAY + 2) * ORDERS);
		assert_int_equal(rows(&g, SHELF_HOLDS), g.lines);
		assert_int_equal(rows(&g, SHELF_ORDERS), g.orders_kept);
		assert_true(rows(&g, SHELF_DECISIONS) <= g.orders_kept);
		store_usage(g.store, &usage);
		if (step < 2 * STEPS_A_DAY)
			first_bytes = usage.used_bytes > first_bytes ? usage.used_bytes : first_bytes;
		most = usage.used_bytes > most ? usage.used_bytes : most;
	}
	print_message("%zu lines, %zu orders, at most %lld bytes in two days, %lld in %d\n", g.lines,
		g.orders_kept, (long long)first_bytes, (long long)most, DAYS);
	assert_true(g.lines >= STEPS_A_DAY * KEYED - KEYED && g.orders_kept >= STEPS_A_DAY * ORDERS - ORDERS);
	assert_true(most <= first_bytes + first_bytes / 10);
	close_all(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days_of_a_steady_sale),
	};

	return RUN(tests);
}
