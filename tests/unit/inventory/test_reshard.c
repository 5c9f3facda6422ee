/* The stores of one number of shards told again to those of another: nothing is lost, nothing is there twice, and the rules go on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/hash.h"
#include "inventory/audit.h"
#include "inventory/replay.h"
#include "inventory/reshard.h"
#include "tests/unit/inventory/shop.h"

#define FLEET_MAX 4
#define GRACE_MS 600000
#define GOODS 6

/* The stores of all shards, closed services. */
struct fleet {
	uint32_t count;
	char folders[FLEET_MAX][FOLDER_TEXT_MAX + 64];
};

struct scene {
	struct shop shop; /* the first store: one shard */
	struct fleet first;
	char parent[FOLDER_TEXT_MAX];
	char said[4096]; /* lines of obstacles and differences */
	struct reshard_result result;
};

static void sku_text(uint32_t number, char to[SKU_MAX + 1])
{
	snprintf(to, SKU_MAX + 1, "SKU%04u", number);
}

/* The first of our goods on this shard. */
static const char *sku_on(uint32_t shard, uint32_t shards)
{
	static char sku[SKU_MAX + 1];

	for (uint32_t i = 1; i <= GOODS; i++) {
		sku_text(i, sku);
		if (hash_shard(sku, shards) == shard)
			return sku;
	}
	fail_msg("none of the goods is on shard %u of %u", shard, shards);
	return NULL;
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	char sku[SKU_MAX + 1];

	shop_open_sized(&scene->shop, 32 << 20);
	folder_make(scene->parent);
	for (uint32_t i = 1; i <= GOODS; i++) {
		sku_text(i, sku);
		shop_add(&scene->shop, sku, 100);
	}
	scene->first.count = 1;
	snprintf(scene->first.folders[0], sizeof(scene->first.folders[0]), "%s", scene->shop.directory);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	shop_close(&scene->shop);
	folder_remove(scene->parent);
	free(scene);
	return 0;
}

static void say(void *context, const char *line)
{
	struct scene *scene = context;
	size_t length = strlen(scene->said);

	snprintf(scene->said + length, sizeof(scene->said) - length, "%s\n", line);
}

static struct store_options options_of(const struct fleet *fleet, uint32_t shard)
{
	struct store_options options = books_store_options;

	options.directory = fleet->folders[shard];
	options.shard = shard;
	options.shards = fleet->count;
	options.map_bytes = 32 << 20;
	return options;
}

static void open_sources(const struct fleet *fleet, struct store *stores[FLEET_MAX])
{
	struct error error = {0};

	for (uint32_t i = 0; i < fleet->count; i++) {
		struct store_options options = options_of(fleet, i);

		stores[i] = store_open_alone(&options, &error);
		if (!stores[i])
			fail_msg("%s", error.text);
	}
}

static void make_targets(
	struct scene *scene, struct fleet *fleet, uint32_t count, struct store *stores[FLEET_MAX])
{
	static int number;
	struct error error = {0};

	fleet->count = count;
	number++;
	for (uint32_t i = 0; i < count; i++) {
		struct store_options options = options_of(fleet, i);

		snprintf(fleet->folders[i], sizeof(fleet->folders[i]), "%s/%d-%u", scene->parent, number, i);
		options.service = "inventory" STORE_UNFINISHED;
		if (!store_create(&options, &error) || !(stores[i] = store_open(&options, &error)))
			fail_msg("%s", error.text);
	}
}

static void close_all(struct store *stores[FLEET_MAX], uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		store_close(stores[i]);
}

static void print_finding(void *context, const char *line)
{
	print_error("%s\n", line);
}

static void prove(struct store *store)
{
	struct replay_result replayed;
	struct audit audit;

	assert_int_equal(replay_run(store, print_finding, NULL, &replayed), 0);
	assert_int_equal(replayed.findings, 0);
	assert_int_equal(audit_run(store, NULL, NULL, &audit), 0);
	if (!audit.consistent)
		fail_msg("%s %s", audit.finding, audit.count ? audit.items[0].finding : "");
	audit_release(&audit);
}

/* Tells the stores of `from` again to `count` new ones, and proves them. */
static void reshard(
	struct scene *scene, const struct fleet *from, uint32_t count, uint32_t carts, struct fleet *to)
{
	struct store *sources[FLEET_MAX], *targets[FLEET_MAX];
	struct reshard_options options = {.sources = sources,
		.source_count = from->count,
		.targets = targets,
		.shards = count,
		.cart_shards = carts,
		.commit_every = 3,
		.outage_grace_max_ms = GRACE_MS,
		.say = say,
		.context = scene};
	struct reshard_result compared;
	struct error error = {0};

	open_sources(from, sources);
	make_targets(scene, to, count, targets);
	if (!reshard_find_obstacles(&options, &scene->result, &error))
		fail_msg("%s", error.text);
	assert_int_equal(scene->result.findings, 0);
	if (!reshard_run(&options, &scene->result, &error) || !reshard_compare(&options, &compared, &error))
		fail_msg("%s", error.text);
	assert_string_equal(scene->said, "");
	assert_int_equal(compared.findings, 0);
	assert_int_equal(compared.goods, scene->result.goods);
	assert_int_equal(compared.holds, scene->result.holds);
	assert_int_equal(compared.orders, scene->result.orders);
	for (uint32_t i = 0; i < count; i++)
		prove(targets[i]);
	close_all(sources, from->count);
	close_all(targets, count);
	for (uint32_t i = 0; i < count; i++) {
		struct store_options finished = options_of(to, i);

		assert_null(store_open(&finished, &error));
		assert_non_null(strstr(error.text, "is not complete"));
		if (!store_finish(&finished, &error))
			fail_msg("%s", error.text);
	}
}

/* The service of one of the shards goes on; its cart is shard 0 of `carts`. */
static void go_on(
	struct scene *scene, const struct fleet *fleet, uint32_t shard, uint32_t carts, struct shop *shop)
{
	shop_open_there(shop, &scene->shop, fleet->folders[shard], shard, fleet->count);
	shop->cart = (struct sender){
		.given = true, .cart_shard = 0, .cart_shards = carts + 1, .epoch = 1, .instance = "new"};
	assert_int_equal(shop_fence(shop, 0, 1, "new").verdict, VERDICT_WRONG_SHARD);
	shop->cart.cart_shards = carts;
	assert_int_equal(shop_fence(shop, 0, 1, "new").verdict, VERDICT_YES);
}

static uint32_t buy(struct shop *shop, const char *sku, const char *user, uint32_t quantity)
{
	static uint32_t number = 100;
	struct hold_request request = shop_request(++number, sku, user, quantity);

	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
	return number;
}

/* ---- what there is of each kind ---- */

static void test_everything_is_told_again(void **state)
{
	struct scene *scene = *state;
	struct shop *shop = &scene->shop, shard;
	struct fleet three, two;
	char zero[SKU_MAX + 1], one[SKU_MAX + 1], two_sku[SKU_MAX + 1];
	uint32_t held, moved, sold, released, late, split, open;
	struct id parts[3];
	struct hold hold;
	struct order order;
	uint32_t seen = 0;

	snprintf(zero, sizeof(zero), "%s", sku_on(0, 3));
	snprintf(one, sizeof(one), "%s", sku_on(1, 3));
	snprintf(two_sku, sizeof(two_sku), "%s", sku_on(2, 3));
	late = buy(shop, zero, "late", 1);
	moved = buy(shop, one, "moved", 5);
	shop_restart(shop, 20000); /* its deadline moves */
	shop_fence(shop, 0, 2, "cart");
	shop->cart.epoch = 2;
	shop_pass(shop, SHOP_TTL_MS - 1000);
	released = buy(shop, zero, "gone", 2);
	shop_release(shop, released);
	sold = buy(shop, one, "buyer", 3);
	shop_confirm(shop, sold, "paid alone");
	split = buy(shop, zero, "user", 1);
	buy(shop, one, "user", 2);
	buy(shop, two_sku, "user", 3);
	assert_int_equal(shop_bind(shop, 7, split, 3).verdict, VERDICT_YES);
	assert_int_equal(shop_confirm_order(shop, 7, "paid together").verdict, VERDICT_YES);
	open = buy(shop, two_sku, "user", 4);
	assert_int_equal(shop_bind(shop, 8, open, 1).verdict, VERDICT_YES);
	shop_pass(shop, 2000); /* `late` and `moved` end */
	held = buy(shop, zero, "holder", 6);
	assert_true(shop_resize(shop, held, 4).verdict == VERDICT_YES);
	shop_pass(shop, 0);
	assert_true(shop_hold(shop, late, &hold) && hold.state == HOLD_EXPIRED);
	assert_true(shop_hold(shop, moved, &hold) && hold.state == HOLD_EXPIRED);
	prove(shop->store);
	shop_leave(shop);

	reshard(scene, &scene->first, 3, 2, &three);
	assert_int_equal(scene->result.split, 1);
	assert_int_equal(scene->result.orders, 4); /* three parts, and the open one */
	reshard(scene, &three, 2, 0, &two);
	assert_int_equal(scene->result.cart_shards, 2);
	assert_int_equal(scene->result.goods, GOODS);

	/* Each shard has its own, in the state that it was; the parts of the order have their payment, and are refunded one by one. */
	for (uint32_t i = 0; i < 3; i++) {
		MDB_cursor *cursor;
		MDB_val key, value;
		MDB_txn *txn;

		go_on(scene, &three, i, 2, &shard);
		shop_expect(&shard, sku_on(i, 3), 100,
			100 - (i == 0	       ? 5
				      : i == 1 ? 5
					       : 7),
			i == 0	 ? 4
			: i == 1 ? 0
				 : 4,
			i == 0	 ? 1
			: i == 1 ? 5
				 : 3);
		assert_int_equal(store_read_begin(shard.store, &txn), 0);
		assert_int_equal(mdb_cursor_open(txn, shard.store->tables[TABLE_ORDERS], &cursor), 0);
		while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
			assert_true(
				order_unpack(value.mv_data, value.mv_size, key.mv_data, key.mv_size, &order));
			if (order.state != HOLD_SOLD)
				continue;
			assert_string_equal(order.payment, "paid together");
			assert_int_equal(order.hold_count, 1);
			assert_int_equal(order.cart_shard, hash_shard("user", 2));
			parts[seen++] = order.id;
		}
		mdb_cursor_close(cursor);
		mdb_txn_abort(txn);
		assert_int_equal(
			shop_order(&shard, 7, &order), i == 0); /* the first hold's part keeps the id */
		for (uint32_t j = 0; j < seen; j++) {
			char text[ID_TEXT_LENGTH + 1];

			if (j + 1 == seen && i > 0)
				assert_int_equal(
					hash_shard(id_format(&parts[j], text), 2), hash_shard("user", 2));
		}
		if (i == 0) {
			assert_int_equal(shop_refund_order(&shard, 7).verdict, VERDICT_YES);
			assert_true(
				shop_hold(&shard, held, &hold) && hold.quantity == 4 && hold.version == 2);
			assert_int_equal(hold.cart_shard, hash_shard("holder", 2));
			assert_int_equal(shop_confirm(&shard, held, "after").verdict, VERDICT_YES);
			assert_true(shop_hold(&shard, late, &hold) && hold.state == HOLD_EXPIRED);
		}
		if (i == 2)
			assert_int_equal(shop_confirm_order(&shard, 8, "in time").verdict, VERDICT_YES);
		prove(shard.store);
		shop_leave(&shard);
	}
	assert_int_equal(seen, 3);

	/* From three to two: what was split stays so, and time goes on. */
	for (uint32_t i = 0; i < 2; i++) {
		go_on(scene, &two, i, 2, &shard);
		buy(&shard, sku_on(i, 2), "new", 1);
		shop_pass(&shard, SHOP_TTL_MS + 1);
		shop_pass(&shard, 1);
		assert_int_equal(shop_rows(&shard, TABLE_EXPIRY), 0);
		assert_true(shard.total.expired + shard.total.overdue > 0);
		prove(shard.store);
		shop_leave(&shard);
	}
}

static void test_what_is_open_is_not_split(void **state)
{
	struct scene *scene = *state;
	struct store *sources[FLEET_MAX];
	struct reshard_options options = {
		.sources = sources, .source_count = 1, .shards = 3, .say = say, .context = scene};
	struct error error = {0};
	char text[ID_TEXT_LENGTH + 1], expected[256];
	struct id id = shop_id(7);
	uint32_t first = buy(&scene->shop, sku_on(0, 3), "user", 1);

	buy(&scene->shop, sku_on(1, 3), "user", 1);
	assert_int_equal(shop_bind(&scene->shop, 7, first, 2).verdict, VERDICT_YES);
	shop_leave(&scene->shop);
	open_sources(&scene->first, sources);
	assert_true(reshard_find_obstacles(&options, &scene->result, &error));
	assert_int_equal(scene->result.findings, 1);
	snprintf(expected, sizeof(expected), "order %s is open, and its 2 holds would be on 2 shards\n",
		id_format(&id, text));
	assert_string_equal(scene->said, expected);
	options.shards = 1;
	assert_true(reshard_find_obstacles(&options, &scene->result, &error));
	assert_int_equal(scene->result.findings, 0);
	close_all(sources, 1);
}

/* ---- time ---- */

static void test_deadlines_go_on(void **state)
{
	struct scene *scene = *state;
	struct shop shard;
	struct fleet two, one;
	struct hold hold;
	uint32_t held, other;
	int64_t deadline_ms;

	held = buy(&scene->shop, sku_on(0, 2), "early", 1);
	shop_restart(&scene->shop, 5000);
	assert_int_equal(scene->shop.books->time.shift_ms, 5000);
	assert_true(shop_hold(&scene->shop, held, &hold));
	deadline_ms = hold.deadline_ms + 5000; /* as people see it */
	shop_leave(&scene->shop);
	reshard(scene, &scene->first, 2, 0, &two);

	/* One of them goes on for a second, the other one does not: its holds get that second. */
	clock_manual_advance(&scene->shop.clock, 1000);
	go_on(scene, &two, 0, 1, &shard);
	assert_true(shop_hold(&shard, held, &hold));
	assert_int_equal(hold.deadline_ms, deadline_ms);
	assert_int_equal(shard.books->time.shift_ms, 1000);
	shop_leave(&shard);
	go_on(scene, &two, 1, 1, &shard);
	other = buy(&shard, sku_on(1, 2), "late", 1);
	scene->shop.clock = shard.clock;
	shop_pass(&shard, 3000);
	buy(&shard, sku_on(1, 2), "later", 1);
	scene->shop.clock = shard.clock;
	shop_leave(&shard);
	reshard(scene, &two, 1, 0, &one);
	go_on(scene, &one, 0, 1, &shard);
	assert_true(shop_hold(&shard, held, &hold));
	assert_int_equal(hold.deadline_ms, deadline_ms + 1000 + 3000);
	assert_true(shop_hold(&shard, other, &hold));
	shop_pass(&shard, SHOP_TTL_MS - 3001);
	assert_true(shop_hold(&shard, other, &hold) && hold.state == HOLD_HELD);
	shop_pass(&shard, 2);
	assert_true(shop_hold(&shard, other, &hold) && hold.state == HOLD_EXPIRED);
	prove(shard.store);
	shop_leave(&shard);
}

/* ---- what is gone ---- */

static void test_after_compaction_and_before_it(void **state)
{
	struct scene *scene = *state;
	struct shop *shop = &scene->shop, shard;
	struct fleet two, three;
	struct hold_request again;
	uint32_t gone, kept;
	const struct id request = shop_id(4711);
	struct goods_answer adjusted;
	struct hold hold;

	shop->options.retention_ms = shop->books->options.retention_ms = 1000;
	shop->options.compaction_step = shop->books->options.compaction_step = 1000;
	gone = buy(shop, sku_on(0, 2), "gone", 1);
	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, sku_on(0, 2), 5, &request, &adjusted), 0);
	shop_commit(shop);
	shop_release(shop, gone);
	kept = buy(shop, sku_on(0, 2), "kept", 2);
	shop_confirm(shop, kept, "paid");
	shop_pass(shop, 5000);
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, 1000);
	shop_pass(shop, 1000);
	assert_false(shop_hold(shop, gone, &hold));
	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, sku_on(1, 2), -5, &request, &adjusted), 0);
	shop_commit(shop);
	assert_int_equal(adjusted.verdict, VERDICT_YES);
	buy(shop, sku_on(1, 2), "last", 1);
	shop_leave(shop);
	reshard(scene, &scene->first, 2, 0, &two);
	reshard(scene, &two, 3, 0, &three);

	for (uint32_t i = 0; i < 2; i++) {
		char sku[SKU_MAX + 1];

		snprintf(sku, sizeof(sku), "%s", sku_on(i, 2));
		go_on(scene, &two, i, 1, &shard);
		again = shop_request(gone, sku, "gone", 1);
		assert_int_equal(shop_create(&shard, &again).verdict, VERDICT_GONE);
		shop_begin(&shard);
		assert_int_equal(books_adjust_goods(shard.books, sku_on(1, 2), -5, &request, &adjusted), 0);
		shop_commit(&shard);
		assert_int_equal(adjusted.verdict, i == 1 ? VERDICT_REPEATED : VERDICT_WRONG_SHARD);
		/* What was told again is compacted like anything else. */
		shard.options.retention_ms = shard.books->options.retention_ms = 1000;
		shard.options.compaction_step = shard.books->options.compaction_step = 1000;
		shop_pass(&shard, SHOP_TTL_MS + 1);
		for (int j = 0; j < 4; j++) {
			shop_acknowledge(&shard, shard.head);
			shop_pass(&shard, 2000);
			prove(shard.store);
		}
		assert_true(shard.books->compaction.floor > 3);
		assert_int_equal(shop_hold(&shard, kept, &hold), i == 0);
		assert_int_equal(shop_rows(&shard, TABLE_HOLDS), i == 0);
		shop_leave(&shard);
	}
}

static void test_a_difference_is_told(void **state)
{
	struct scene *scene = *state;
	struct store *sources[FLEET_MAX], *targets[FLEET_MAX];
	struct reshard_options options = {.sources = sources,
		.source_count = 1,
		.targets = targets,
		.shards = 2,
		.outage_grace_max_ms = GRACE_MS,
		.say = say,
		.context = scene};
	struct fleet two;
	struct error error = {0};
	uint32_t number = buy(&scene->shop, sku_on(0, 2), "user", 2);
	struct id id = shop_id(number);
	MDB_val key = books_value(id.bytes, ID_BYTES);
	MDB_txn *txn;

	assert_int_equal(shop_bind(&scene->shop, 7, number, 1).verdict, VERDICT_YES);
	shop_leave(&scene->shop);
	open_sources(&scene->first, sources);
	make_targets(scene, &two, 2, targets);
	assert_true(reshard_run(&options, &scene->result, &error));
	assert_int_equal(mdb_txn_begin(targets[0]->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_del(txn, targets[0]->tables[TABLE_HOLDS], &key, NULL), 0);
	id = shop_id(7);
	key = books_value(id.bytes, ID_BYTES);
	assert_int_equal(mdb_del(txn, targets[0]->tables[TABLE_ORDERS], &key, NULL), 0);
	key = books_value(sku_on(0, 2), 7);
	assert_int_equal(mdb_del(txn, targets[0]->tables[TABLE_GOODS], &key, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_true(reshard_compare(&options, &scene->result, &error));
	assert_int_equal(scene->result.findings, 6); /* each, and that there is one less of it */
	assert_non_null(strstr(scene->said, "2 units of SKU"));
	assert_non_null(strstr(scene->said, "there are 0 orders, and should be 1"));
	close_all(sources, 1);
	close_all(targets, 2);
}

/* Nobody else has a source meanwhile, and nothing of it is changed. */
static void test_sources_are_left_alone(void **state)
{
	struct scene *scene = *state;
	struct store *sources[FLEET_MAX];
	struct store_options options = options_of(&scene->first, 0);
	struct error error = {0};

	assert_null(store_open_alone(&options, &error));
	assert_non_null(strstr(error.text, "in use by another process"));
	shop_leave(&scene->shop);
	open_sources(&scene->first, sources);
	assert_null(store_open(&options, &error));
	assert_non_null(strstr(error.text, "in use by another process"));
	assert_int_equal(sources[0]->incarnation, 1);
	close_all(sources, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_is_told_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_open_is_not_split, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadlines_go_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_after_compaction_and_before_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_difference_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sources_are_left_alone, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("inventory/reshard", tests, NULL, NULL);
}
