/* The store behind the follower: what is read back is what was put, positions never run ahead, a restart finds it all. */
#include "check.h"

#include <errno.h>
#include <lmdb.h>
#include <semaphore.h>

#include "base/memory.h"
#include "cart/shelf.h"
#include "tests/unit/base/folder.h"

struct fixture {
	char directory[FOLDER_TEXT_MAX + 8], parent[FOLDER_TEXT_MAX];
	struct store_options options;
	struct store *store;
	struct rpc_loop *loop;
	struct shelf *shelf;
	struct cart *cart;
};

static _Atomic int failing_commits; /* so many of the next fail, before anything is written */
static _Atomic int failure = MDB_MAP_FULL;
static _Atomic bool held_up; /* the writer waits in a put while this is so */

int __real_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);
int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags);

int __wrap_mdb_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned int flags)
{
	while (atomic_load(&held_up))
		usleep(1000);
	if (atomic_load(&failing_commits) > 0) {
		atomic_fetch_sub(&failing_commits, 1);
		return atomic_load(&failure);
	}
	return __real_mdb_put(txn, dbi, key, data, flags);
}

static struct cart *make_cart(uint32_t shards)
{
	const struct cart_options options = {.shards = shards,
		.attempts_max = 10,
		.queue_max = 10,
		.ended_max = 10,
		.clock = &clock_system};

	return cart_new(&options);
}

static void on_fatal(void *context, const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static void open_shelf(struct fixture *f)
{
	struct error error;

	f->store = store_open(&f->options, &error);
	assert_non_null(f->store);
	f->loop = rpc_loop_new("test");
	f->shelf = shelf_new(&(struct shelf_options){
		.store = f->store, .loop = f->loop, .clock = &clock_system, .shards = 2, .fatal = on_fatal});
}

static int up(void **state)
{
	struct fixture *f = NEW(struct fixture);
	struct error error;

	folder_make(f->parent);
	snprintf(f->directory, sizeof(f->directory), "%s/store", f->parent);
	f->options = (struct store_options){.directory = f->directory,
		.service = "cart",
		.format = CART_STORE_FORMAT,
		.shards = 1,
		.map_bytes = 64 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	assert_true(store_create(&f->options, &error));
	f->cart = make_cart(2);
	open_shelf(f);
	*state = f;
	return 0;
}

/* ---- on the loop ---- */

struct errand {
	struct rpc_task task;
	struct fixture *f;
	void (*run)(struct fixture *f);
	sem_t done;
};

static void errand_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	errand->run(errand->f);
	sem_post(&errand->done);
}

static void on_loop(struct fixture *f, void (*run)(struct fixture *f))
{
	struct errand errand = {.task.run = errand_run, .f = f, .run = run};

	sem_init(&errand.done, 0, 0);
	rpc_post(f->loop, &errand.task);
	sem_wait(&errand.done);
	sem_destroy(&errand.done);
}

static void close_shelf(struct fixture *f)
{
	shelf_close(f->shelf);
}

static void stop(struct fixture *f)
{
	on_loop(f, close_shelf);
	shelf_free(f->shelf);
	rpc_loop_free(f->loop);
	store_close(f->store);
}

static int down(void **state)
{
	struct fixture *f = *state;

	stop(f);
	cart_free(f->cart);
	folder_remove(f->parent);
	free(f);
	return 0;
}

static struct hold make_hold(uint8_t number, enum line_state state)
{
	return (struct hold){.id = {{[0] = number}},
		.user = span_of("ann"),
		.session = span_of("s"),
		.sku = span_of("SKU1"),
		.state = state,
		.quantity = number,
		.ended_ms = state > LINE_SOLD ? 5 : 0,
		.deadline_ms = 1000 + number,
		.keyed = true,
		.key = {{number}},
		.version = 1};
}

static void put_three(struct fixture *f)
{
	const struct position position = {{{7}}, 42, 9, 500, 0};

	for (uint8_t i = 1; i <= 3; i++) {
		struct hold hold = make_hold(i, i == 3 ? LINE_RELEASED : i == 2 ? LINE_SOLD : LINE_HELD);

		shelf_put(f->shelf, lines_add(&f->cart->lines, &hold));
	}
	shelf_position(f->shelf, 1, &position);
	assert_int_equal(
		shelf_stored(f->shelf, 1), 0); /* what is acknowledged is on disk, and this is not yet */
}

static void restart(struct fixture *f, struct cart *into)
{
	struct error error;

	stop(f);
	open_shelf(f);
	assert_true(shelf_load(f->store, into, &error));
}

static void test_a_restart_finds_everything(void **state)
{
	struct fixture *f = *state;
	struct cart *cart = make_cart(2);
	const struct usage *usage;
	struct hash128 key = {{3}};

	on_loop(f, put_three);
	restart(f, cart);
	usage = lines_usage(&cart->lines, span_of("ann"), span_of("SKU1"));
	assert_int_equal(usage->held, 1);
	assert_int_equal(usage->sold, 2);
	assert_int_equal(lines_find_key(&cart->lines, &key)->state, LINE_RELEASED);
	assert_int_equal(cart->links[1].position, 42);
	assert_int_equal(cart->links[1].fence.known, 9);
	assert_int_equal(cart->links[1].lineage.bytes[0], 7);
	assert_int_equal(cart->lines.moved_ms[1], 500);
	assert_int_equal(cart->links[0].position, 0);
	cart_free(cart);
}

static void forget_one(struct fixture *f)
{
	const struct id first = {{1}}, never = {{99}};

	shelf_forget(f->shelf, &first);
	shelf_forget(f->shelf, &never);
}

static void test_what_is_forgotten_is_gone(void **state)
{
	struct fixture *f = *state;
	struct cart *cart = make_cart(2);
	const struct id first = {{1}}, second = {{2}};

	on_loop(f, put_three);
	on_loop(f, forget_one);
	restart(f, cart);
	assert_null(lines_find(&cart->lines, &first));
	assert_non_null(lines_find(&cart->lines, &second));
	cart_free(cart);
}

/* A live line's deadline is stored without the move, and read with the move of its shard as it is by then. */
static uint32_t moved_shard;

static void put_moved(struct fixture *f)
{
	struct hold hold = make_hold(1, LINE_HELD);
	struct position position = {{{7}}, 1, 1, 0, 0};
	struct line *line;

	line = lines_add(&f->cart->lines, &hold);
	moved_shard = line->usage->goods->shard;
	shelf_put(f->shelf, line);
	f->cart->lines.moved_ms[moved_shard] = position.moved_ms = 250;
	shelf_position(f->shelf, moved_shard, &position); /* the ledger moved all deadlines after it */
}

static void test_deadlines_move_with_their_shard(void **state)
{
	struct fixture *f = *state;
	struct cart *cart = make_cart(2);
	const struct id first = {{1}};

	on_loop(f, put_moved);
	restart(f, cart);
	assert_int_equal(lines_deadline_ms(&cart->lines, lines_find(&cart->lines, &first)), 1001 + 250);
	cart_free(cart);
}

static size_t count_stored(struct fixture *f)
{
	MDB_txn *txn;
	MDB_stat holds, positions;

	assert_int_equal(store_read_begin(f->store, &txn), 0);
	mdb_stat(txn, f->store->tables[SHELF_HOLDS], &holds);
	mdb_stat(txn, f->store->tables[SHELF_POSITIONS], &positions);
	mdb_txn_abort(txn);
	assert_int_equal(holds.ms_entries == 0, positions.ms_entries == 0); /* never one without the other */
	return holds.ms_entries;
}

/* By itself, without anybody who asks for it. */
static void test_it_is_written_soon(void **state)
{
	struct fixture *f = *state;

	on_loop(f, put_three);
	while (count_stored(f) != 3)
		usleep(1000);
}

static struct shelf_counts counts;

static void look(struct fixture *f)
{
	counts = shelf_count(f->shelf);
}

static void test_a_refused_batch_is_tried_again(void **state)
{
	struct fixture *f = *state;

	atomic_store(&failing_commits, 1);
	on_loop(f, put_three);
	while (count_stored(f) != 3)
		usleep(1000);
	on_loop(f, look);
	assert_int_equal(counts.refused, 1);
}

static void put_much(struct fixture *f)
{
	struct hold hold = make_hold(1, LINE_HELD);
	struct line *line = lines_add(&f->cart->lines, &hold);

	assert_false(shelf_full(f->shelf));
	for (int i = 0; i < 2000000 && !shelf_full(f->shelf); i++)
		shelf_put(f->shelf, line);
	assert_true(shelf_full(f->shelf));
}

static void test_it_says_when_it_is_full(void **state)
{
	on_loop(*state, put_much);
}

static void put_rows(struct fixture *f, const char *what)
{
	uint8_t bytes[16] = {1};
	MDB_val key = {strcmp(what, "shard") ? 16 : 4, bytes}, data = {3, bytes};
	uint8_t record[RECORD_POSITION_BYTES];
	const struct position position = {{{1}}, 1, 1, 0, 0};
	MDB_txn *txn;

	if (!strcmp(what, "shard")) {
		memset(bytes, 0xff, 4);
		record_position_pack(&position, record);
		data = (MDB_val){sizeof(record), record};
	}
	assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_put(txn, f->store->tables[strcmp(what, "shard") ? SHELF_HOLDS : SHELF_POSITIONS],
				 &key, &data, 0),
		0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static void test_a_broken_store_is_refused_with_advice(void **state)
{
	struct fixture *f = *state;
	struct cart *cart = make_cart(2);
	struct error error;

	put_rows(f, "hold");
	assert_false(shelf_load(f->store, cart, &error));
	assert_non_null(strstr(error.text, "restore a backup"));
	put_rows(f, "shard");
	assert_false(shelf_load(f->store, cart, &error));
	assert_non_null(strstr(error.text, "--inventory-shards"));
	cart_free(cart);
}

/* ---- orders and decisions ---- */

static struct customer *make_customer(void)
{
	struct customer *customer = calloc(1, sizeof(*customer) + 4);

	customer->length = 3;
	memcpy(customer->user, "ann", 4);
	return customer;
}

static void put_and_forget_orders(struct fixture *f)
{
	static struct order_item item = {.hold = {{1}}, .quantity = 1, .currency = "USD", .sku = "SKU1"};
	struct customer *customer = make_customer();
	struct order order = {
		.customer = customer, .items = &item, .item_count = 1, .truth = LINE_HELD, .shard = 1};
	const struct id never = {{77}};

	for (uint8_t i = 1; i <= 3; i++) {
		order.id = (struct id){{i}};
		shelf_put_order(f->shelf, &order);
	}
	shelf_forget_order(f->shelf, &order.id);
	shelf_forget_order(f->shelf, &never);
	shelf_forget(f->shelf, &never);
	free(customer);
}

static size_t stored_orders(struct fixture *f, size_t *ret_wishing)
{
	const struct orders_options options = {
		.cart = f->cart, .cart_shards = 1, .asks_max = 1, .ended_max = 10};
	struct orders *orders = orders_new(&options);
	struct error error = {0};
	size_t count;

	if (!shelf_load_orders(f->store, orders, &error))
		fail_msg("%s", error.text);
	count = orders->by_id.count;
	*ret_wishing = orders->wishing;
	orders_free(orders);
	return count;
}

static void test_orders_come_and_go(void **state)
{
	struct fixture *f = *state;
	size_t wishing;

	on_loop(f, put_and_forget_orders);
	while (stored_orders(f, &wishing) != 2)
		usleep(1000);
	assert_int_equal(wishing, 0);
}

static uint8_t decision_record[RECORD_DECISION_BYTES_MAX];
static size_t decision_size;
#define DECISIONS 12000 /* more than may wait, with a group under way */
static struct decision decisions[DECISIONS];
static Common__Reason reasons[DECISIONS];
static _Atomic int decided;
static int deciding;
static bool taking_back;

static void on_decided(struct decision *decision, Common__Reason reason)
{
	reasons[decision - decisions] = reason;
	atomic_fetch_add(&decided, 1);
}

static void decide(struct fixture *f)
{
	for (int i = 0; i < deciding; i++) {
		decisions[i] = (struct decision){.id = {{[14] = (uint8_t)(i >> 8), (uint8_t)i}},
			.record = taking_back ? NULL : decision_record,
			.size = decision_size,
			.done = on_decided};
		shelf_decide(f->shelf, &decisions[i]);
	}
}

static void make_decision_record(void)
{
	struct customer *customer = make_customer();
	struct order order = {.customer = customer, .wish = WISH_CANCEL, .shard = 1};

	decision_size = record_decision_pack(&order, decision_record);
	free(customer);
}

static void decide_and_wait(struct fixture *f, int count)
{
	make_decision_record();
	atomic_store(&decided, 0);
	deciding = count;
	on_loop(f, decide);
	while (atomic_load(&decided) < count)
		usleep(1000);
}

/* Durable when it comes back; taken back, it is gone; a no is a no. */
static void test_decisions(void **state)
{
	struct fixture *f = *state;
	size_t wishing;

	decide_and_wait(f, 3);
	assert_int_equal(reasons[2], COMMON__REASON__REASON_UNSPECIFIED);
	assert_int_equal(stored_orders(f, &wishing), 3);
	assert_int_equal(wishing, 3);
	taking_back = true;
	decide_and_wait(f, 3);
	decide_and_wait(f, 3); /* also what is not there */
	taking_back = false;
	assert_int_equal(reasons[2], COMMON__REASON__REASON_UNSPECIFIED);
	assert_int_equal(stored_orders(f, &wishing), 0);
	atomic_store(&failing_commits, 1);
	decide_and_wait(f, 1);
	assert_int_equal(reasons[0], COMMON__REASON__REASON_STORE_FULL);
	atomic_store(&failure, EIO);
	atomic_store(&failing_commits, 1);
	decide_and_wait(f, 1);
	atomic_store(&failure, MDB_MAP_FULL);
	assert_int_equal(reasons[0], COMMON__REASON__REASON_STORE_FAILED);
	assert_int_equal(stored_orders(f, &wishing), 0);
}

/* A disk that stands still: what is beyond the queue hears so, and nobody waits in vain, also when it all ends. */
static void test_decisions_are_bounded(void **state)
{
	struct fixture *f = *state;
	size_t wishing, refused = 0;

	make_decision_record();
	atomic_store(&held_up, true);
	atomic_store(&decided, 0);
	deciding = DECISIONS;
	on_loop(f, decide);
	on_loop(f, put_three); /* a batch behind them */
	atomic_store(&held_up, false);
	restart(f, f->cart);
	assert_int_equal(atomic_load(&decided), DECISIONS);
	for (int i = 0; i < DECISIONS; i++) {
		refused += reasons[i] == COMMON__REASON__REASON_OVERLOADED;
		assert_true(!reasons[i] || reasons[i] == COMMON__REASON__REASON_OVERLOADED);
	}
	assert_true(refused > 0);
	assert_int_equal(stored_orders(f, &wishing), DECISIONS - refused);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_restart_finds_everything, up, down),
		cmocka_unit_test_setup_teardown(test_what_is_forgotten_is_gone, up, down),
		cmocka_unit_test_setup_teardown(test_deadlines_move_with_their_shard, up, down),
		cmocka_unit_test_setup_teardown(test_it_is_written_soon, up, down),
		cmocka_unit_test_setup_teardown(test_a_refused_batch_is_tried_again, up, down),
		cmocka_unit_test_setup_teardown(test_it_says_when_it_is_full, up, down),
		cmocka_unit_test_setup_teardown(test_a_broken_store_is_refused_with_advice, up, down),
		cmocka_unit_test_setup_teardown(test_orders_come_and_go, up, down),
		cmocka_unit_test_setup_teardown(test_decisions, up, down),
		cmocka_unit_test_setup_teardown(test_decisions_are_bounded, up, down),
	};

	return RUN(tests);
}
