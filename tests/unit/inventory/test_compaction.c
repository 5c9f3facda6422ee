/* The floor: where it stops, what goes and what stays, and what is answered about what is gone. */
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
	*state = shop;
	return 0;
}

static void print_finding(void *context, const char *line)
{
	print_error("%s\n", line);
}

/* Counted in three ways, and played again line by line. */
static void books_are_right(struct shop *shop)
{
	struct replay_result replayed;
	struct audit audit;

	assert_int_equal(replay_run(shop->store, print_finding, NULL, &replayed), 0);
	assert_int_equal(replayed.findings, 0);

	assert_int_equal(audit_run(shop->store, NULL, NULL, &audit), 0);
	if (!audit.consistent)
		fail_msg("%s %s", audit.finding, audit.count ? audit.items[0].finding : "");
	assert_int_equal(audit.sequence, shop->head);
	audit_release(&audit);
}

static int tear_down(void **state)
{
	books_are_right(*state);
	shop_close(*state);
	free(*state);
	return 0;
}

static uint64_t floor_of(struct shop *shop)
{
	uint64_t floor;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(compaction_read_floor(shop->store, txn, &floor), 0);
	mdb_txn_abort(txn);
	assert_int_equal(floor, atomic_load(&shop->books->compaction.shown_floor));
	return floor;
}

static bool entry_is_there(struct shop *shop, uint64_t sequence)
{
	struct ledger_entry entry;
	MDB_txn *txn;
	int rc;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	rc = books_read_ledger(shop->store, txn, sequence, &entry);
	mdb_txn_abort(txn);
	assert_true(rc == 0 || rc == MDB_NOTFOUND);
	return rc == 0;
}

/* The cart has stored everything, and so much time passes that all is old. */
static void get_old(struct shop *shop)
{
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
}

static bool is_there(struct shop *shop, uint32_t id)
{
	struct hold hold;

	return shop_hold(shop, id, &hold);
}

/* ---- what goes, what stays ---- */

static void what_ended_unsold_goes_and_what_was_sold_stays(void **state)
{
	struct shop *shop = *state;
	uint64_t before = shop->head;

	shop_buy(shop, 1, 3); /* + 1 */
	shop_buy(shop, 2, 2); /* + 2 */
	shop_buy(shop, 3, 1); /* + 3 */
	shop_release(shop, 1);
	shop_confirm(shop, 2, "p");
	shop_pass(shop, SHOP_TTL_MS); /* 3 expires: + 6 */
	assert_int_equal(shop->head, before + 6);
	get_old(shop);
	assert_int_equal(floor_of(shop), before + 6);
	assert_false(is_there(shop, 1));
	assert_true(is_there(shop, 2));
	assert_false(is_there(shop, 3));
	for (uint64_t i = 1; i <= 6; i++)
		assert_int_equal(entry_is_there(shop, before + i), i == 2 || i == 5);
	shop_expect(shop, "SKU0001", 100, 98, 0, 2);
	books_are_right(shop);
	shop_restart(shop, 0);
	assert_int_equal(shop->head, before + 7); /* numbers of entries that are gone are not given again */
	assert_int_equal(floor_of(shop), before + 6);
	assert_int_equal(shop_confirm(shop, 2, "p").verdict, VERDICT_REPEATED);
	assert_int_equal(shop_confirm(shop, 2, "q").verdict, VERDICT_WRONG_STATE);
}

static void without_a_step_nothing_goes(void **state)
{
	struct shop *shop = *state;
	uint64_t entries;

	shop->books->options.compaction_step = 0;
	shop_buy(shop, 1, 3);
	shop_release(shop, 1);
	entries = shop_rows(shop, TABLE_LEDGER);
	get_old(shop);
	assert_int_equal(floor_of(shop), 0);
	assert_int_equal(shop_rows(shop, TABLE_LEDGER), entries);
	assert_true(is_there(shop, 1));
}

static void of_goods_and_fences_the_newest_stays(void **state)
{
	struct shop *shop = *state;
	struct goods_update update = {.has_quantity = true, .quantity = 7};
	struct goods_answer answer;
	uint64_t first = shop->head;

	shop_begin(shop);
	assert_int_equal(books_update_goods(shop->books, "SKU0001", &update, &answer), 0); /* + 1 */
	shop_commit(shop);
	shop_fence(shop, 0, 2, "cart"); /* + 2 */
	shop->cart.epoch = 2;
	shop_add(shop, "SKU0002", 1); /* + 3 */
	get_old(shop);
	assert_int_equal(floor_of(shop), first + 3);
	assert_false(entry_is_there(shop, first));     /* SKU0001 */
	assert_false(entry_is_there(shop, first - 1)); /* the fence with epoch 1 */
	assert_true(entry_is_there(shop, first - 2));  /* the incarnation */
	for (uint64_t i = 1; i <= 3; i++)
		assert_true(entry_is_there(shop, first + i));
	shop_restart(shop, 0);
	shop_begin(shop);
	assert_int_equal(books_update_goods(shop->books, "SKU0001", &update, &answer), 0); /* + 5 */
	shop_commit(shop);
	get_old(shop);
	assert_false(entry_is_there(shop, first + 1)); /* what was kept is known after a restart */
	assert_true(entry_is_there(shop, first + 5));
}

static void refunded_holds_stay(void **state)
{
	struct shop *shop = *state;
	struct order order;
	uint64_t rows;

	shop_buy(shop, 1, 3);
	shop_bind(shop, 900, 1, 1);
	shop_confirm_order(shop, 900, "p");
	shop_refund_order(shop, 900);
	rows = shop_rows(shop, TABLE_LEDGER);
	get_old(shop);
	assert_int_equal(floor_of(shop), shop->head);
	assert_int_equal(shop_rows(shop, TABLE_LEDGER), rows);
	assert_true(is_there(shop, 1));
	assert_true(shop_order(shop, 900, &order));
	assert_int_equal(shop_refund_order(shop, 900).verdict, VERDICT_REPEATED);
}

static void an_order_goes_as_one(void **state)
{
	struct shop *shop = *state;
	uint64_t before = shop->head;
	struct order order;

	for (uint32_t id = 1; id <= 3; id++)
		shop_buy(shop, id, 1);
	shop_bind(shop, 900, 1, 3);
	shop_release_order(shop, 900);
	shop_acknowledge(shop, before + 1); /* only its first hold's entry may be passed */
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), before + 1);
	assert_int_equal(shop_rows(shop, TABLE_HOLDS), 0);
	assert_false(shop_order(shop, 900, &order));
	assert_true(entry_is_there(shop, before + 2));
	books_are_right(shop); /* though their entries are there, and not all of them */
	assert_int_equal(shop_bind(shop, 900, 1, 3).verdict, VERDICT_GONE);
	assert_int_equal(shop_confirm_order(shop, 900, "p").verdict, VERDICT_GONE);
	get_old(shop);
	for (uint64_t i = before + 1; i <= shop->head; i++)
		assert_false(entry_is_there(shop, i));
}

static void adjustments_are_forgotten_with_their_entry(void **state)
{
	struct shop *shop = *state;
	struct id request = shop_id(77);
	struct goods_answer answer;

	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 5, &request, &answer), 0);
	shop_commit(shop);
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, RETENTION_MS - 1);
	assert_int_equal(shop_rows(shop, TABLE_REQUESTS), 2);
	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 5, &request, &answer), 0);
	shop_commit(shop);
	assert_int_equal(answer.verdict, VERDICT_REPEATED);
	get_old(shop);
	assert_int_equal(shop_rows(shop, TABLE_REQUESTS), 0);
}

/* ---- where it stops ---- */

static void it_waits_for_the_retention(void **state)
{
	struct shop *shop = *state;
	uint64_t before = shop->head;

	shop_buy(shop, 1, 1);
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, RETENTION_MS / 2);
	shop_release(shop, 1); /* ended later than it began */
	shop_acknowledge(shop, shop->head);
	shop_pass(shop, RETENTION_MS / 2 - 1);
	assert_true(floor_of(shop) < before);
	shop_pass(shop, RETENTION_MS / 2 - 1);
	assert_int_equal(floor_of(shop), before);
	assert_int_equal(shop->books->compaction.stop, COMPACTION_YOUNG);
	assert_true(is_there(shop, 1));
	shop_pass(shop, 2500); /* its next look */
	assert_int_equal(floor_of(shop), before + 2);
	assert_false(is_there(shop, 1));
}

static void it_waits_for_a_live_hold(void **state)
{
	struct shop *shop = *state;
	uint64_t before = shop->head;

	shop_buy(shop, 1, 1);
	shop_buy(shop, 2, 1);
	shop_release(shop, 2);
	get_old(shop);
	assert_int_equal(floor_of(shop), before);
	assert_int_equal(shop->books->compaction.stop, COMPACTION_LIVE);
	assert_true(is_there(shop, 2));
	shop_confirm(shop, 1, "p");
	get_old(shop);
	assert_int_equal(floor_of(shop), before + 4);
	assert_false(is_there(shop, 2));
}

static void it_waits_for_the_slowest_follower(void **state)
{
	struct shop *shop = *state;
	uint64_t before = shop->head;
	struct fence fence;
	enum verdict verdict;

	shop_buy(shop, 1, 1);
	shop_release(shop, 1);
	shop_pass(shop, RETENTION_MS); /* nobody has stored anything */
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), 0);
	assert_int_equal(shop->books->compaction.stop, COMPACTION_FOLLOWER);
	assert_int_equal(shop->books->compaction.behind, 0);
	assert_int_equal(shop_acknowledge(shop, before + 1), VERDICT_YES);
	assert_int_equal(shop_acknowledge(shop, before), VERDICT_REPEATED); /* it came late */
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), before + 1);
	books_are_right(shop); /* the end of a hold that is gone */
	shop_restart(shop, 0);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), before + 1);
	shop_begin(shop);
	assert_int_equal(books_unregister(shop->books, 5, &verdict, &fence), 0);
	assert_int_equal(verdict, VERDICT_NOT_FOUND);
	assert_int_equal(books_unregister(shop->books, 0, &verdict, &fence), 0);
	assert_int_equal(verdict, VERDICT_YES);
	assert_int_equal(fence.position, before + 1);
	shop_commit(shop);
	shop_restart(shop, 0);
	shop_pass(shop, 1000);
	assert_true(floor_of(shop) > before + 1);
	assert_int_equal(shop_acknowledge(shop, before + 2), VERDICT_STALE_EPOCH);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_STALE_EPOCH);
	assert_int_equal(shop_fence(shop, 0, 1, "cart").verdict, VERDICT_STALE_EPOCH);
	assert_int_equal(shop_fence(shop, 0, 2, "cart").verdict, VERDICT_YES);
}

static void who_fences_anew_is_waited_for_from_what_it_has(void **state)
{
	struct shop *shop = *state;
	struct fence_answer answer;
	struct sender sender = shop->cart;
	struct stored_ledger stored = {.lineage = shop->store->lineage};
	uint64_t floor;

	get_old(shop);
	floor = floor_of(shop);
	assert_int_equal(floor, shop->head);
	shop_buy(shop, 1, 1);
	shop_release(shop, 1);
	assert_int_equal(shop_acknowledge(shop, shop->head), VERDICT_YES);
	sender.epoch = 2;
	shop_begin(shop);
	stored.position = floor + 1; /* another store */
	assert_int_equal(books_fence(shop->books, &sender, &stored, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	shop_commit(shop);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), floor + 1);
	sender.epoch = 3;
	shop_begin(shop);
	stored.position = UINT64_MAX;
	assert_int_equal(books_fence(shop->books, &sender, &stored, &answer), 0);
	shop_commit(shop);
	assert_true(answer.fence.position < shop->head);
	assert_int_equal(shop_acknowledge(shop, shop->head), VERDICT_STALE_EPOCH);
	shop->cart.epoch = 3;
	assert_int_equal(shop_acknowledge(shop, shop->head + 1), VERDICT_INVALID);
}

/* Both were under way when the store was restored: what they say is stored is of the ledger before. */
static void a_position_of_another_history_is_refused(void **state)
{
	struct shop *shop = *state;
	struct stored_ledger stored = {.lineage = shop->store->lineage, .position = 1};
	struct sender sender = shop->cart;
	struct fence_answer answer;
	enum verdict verdict;

	stored.lineage.bytes[15] ^= 1;
	sender.epoch = 2;
	shop_begin(shop);
	assert_int_equal(books_fence(shop->books, &sender, &stored, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_LINEAGE_CHANGED);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES); /* the epoch before */
	assert_int_equal(books_acknowledge(shop->books, &shop->cart, &stored, &verdict), 0);
	assert_int_equal(verdict, VERDICT_LINEAGE_CHANGED);
	shop_commit(shop);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), 0);
	stored.lineage = shop->store->lineage;
	shop_begin(shop);
	assert_int_equal(books_fence(shop->books, &sender, &stored, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.fence.position, 1);
	shop_commit(shop);
}

static void its_steps_are_bounded(void **state)
{
	struct shop *shop = *state;
	uint64_t floor;

	for (uint32_t id = 0; id < 20; id++) {
		shop_buy(shop, id, 1);
		shop_release(shop, id);
	}
	shop->books->options.compaction_step = 7;
	shop_acknowledge(shop, shop->head);
	clock_manual_advance(&shop->clock, RETENTION_MS + 1000);
	for (uint64_t before = 0; before < shop->head; before = floor) {
		shop_pass(shop, 5);
		floor = floor_of(shop);
		assert_true(floor > before && floor - before <= 7);
		assert_true(floor == shop->head || shop->next_tick_ms <= books_now_ms(shop->books) + 5);
	}
}

/* ---- what is answered about what is gone ---- */

static void an_id_that_may_be_gone_is_refused(void **state)
{
	struct shop *shop = *state;
	struct hold_request request = shop_request(3, "SKU0001", "user", 1);
	struct sender other = {.given = true, .cart_shard = 1, .cart_shards = 2, .epoch = 1, .instance = "b"};
	struct stored_ledger stored = {.lineage = shop->store->lineage};
	struct hold_answer answer;

	shop->books->cart_shards = 0; /* two of them from now on */
	shop->cart.cart_shards = 2;
	shop_fence(shop, 0, 2, "cart");
	shop->cart.epoch = 2;
	assert_int_equal(shop_fence(shop, 1, 1, "b").verdict, VERDICT_YES);
	shop_buy(shop, 5, 1);
	shop_release(shop, 5);
	shop_acknowledge(shop, shop->head);
	shop_begin(shop);
	stored.position = shop->head;
	assert_int_equal(books_acknowledge(shop->books, &other, &stored, &answer.verdict), 0);
	shop_commit(shop);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
	assert_false(is_there(shop, 5));
	for (int round = 0; round < 2; round++) {
		assert_int_equal(shop_buy(shop, 5, 1).verdict, VERDICT_GONE);
		assert_int_equal(shop_buy(shop, 3, 1).verdict, VERDICT_GONE);
		assert_int_equal(shop_release(shop, 5).verdict, VERDICT_GONE);
		assert_int_equal(shop_confirm(shop, 5, "p").verdict, VERDICT_GONE);
		assert_int_equal(shop_resize(shop, 4, 1).verdict, VERDICT_GONE);
		assert_int_equal(shop_release(shop, 6).verdict, VERDICT_NOT_FOUND);
		assert_int_equal(shop_confirm_order(shop, 6, "p").verdict, VERDICT_NOT_FOUND);
		assert_int_equal(shop_refund_order(shop, 2).verdict, VERDICT_GONE);
		shop_restart(shop, 0);
	}
	/* the other cart's clock is behind: its ids are its own */
	shop_begin(shop);
	assert_int_equal(books_create_hold(shop->books, &other, &request, &answer), 0);
	shop_commit(shop);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(shop_buy(shop, 6, 1).verdict, VERDICT_YES);
	assert_int_equal(shop_buy(shop, 6, 1).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_fence(shop, 0, 3, "cart").fence.removed.bytes[15], 5);
}

static void what_is_kept_is_known_below_the_mark_too(void **state)
{
	struct shop *shop = *state;

	shop_buy(shop, 1, 1);
	shop_buy(shop, 2, 1);
	shop_confirm(shop, 1, "p");
	shop_release(shop, 2);
	get_old(shop);
	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_buy(shop, 2, 1).verdict, VERDICT_GONE);
}

/* ---- failures ---- */

static void a_step_that_is_undone_leaves_no_trace(void **state)
{
	struct shop *shop = *state;
	uint64_t entries;

	shop_buy(shop, 1, 1);
	shop_release(shop, 1);
	shop_acknowledge(shop, shop->head);
	entries = shop_rows(shop, TABLE_LEDGER);
	clock_manual_advance(&shop->clock, RETENTION_MS + 1000);
	shop_begin(shop);
	assert_true(shop->books->compaction.floor == shop->head);
	shop_abort(shop);
	assert_int_equal(floor_of(shop), 0);
	assert_int_equal(shop_rows(shop, TABLE_LEDGER), entries);
	assert_true(is_there(shop, 1));
	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_REPEATED);
	shop_begin(shop); /* if the step was to blame, this one goes without */
	assert_int_equal(shop->books->compaction.floor, 0);
	shop_commit(shop);
	books_are_right(shop);
	shop_begin(shop);
	shop_abort(shop);
	shop_restart(shop, 0); /* as after a crash within the group */
	assert_int_equal(floor_of(shop), 0);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), shop->head - 1); /* but for the incarnation */
	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_GONE);
}

static void a_restored_store_waits_for_its_followers(void **state)
{
	struct shop *shop = *state;
	struct error error = {0};

	shop_buy(shop, 1, 1);
	shop_release(shop, 1);
	shop_acknowledge(shop, shop->head);
	books_close(shop->books);
	store_close(shop->store);
	assert_true(store_new_lineage(&shop->store_options, &error));
	shop->store = store_open(&shop->store_options, &error);
	shop->books = books_open(shop->store, &shop->options, &error);
	assert_non_null(shop->books);
	shop_pass(shop, RETENTION_MS);
	shop_pass(shop, 1000);
	assert_int_equal(floor_of(shop), 0);
}

/* ---- at random ---- */

static void act(struct shop *shop, unsigned *seed, uint32_t *next)
{
	uint32_t window = *next > 40 && rand_r(seed) % 20 ? 40 : *next + 1;
	uint32_t known = *next - (uint32_t)rand_r(seed) % window;
	struct goods_update update = {.has_quantity = true, .quantity = 1000};
	struct id request = shop_id(100000000 + (uint32_t)rand_r(seed));
	struct goods_answer goods;

	switch (rand_r(seed) % 16) {
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
		assert_int_equal(books_update_goods(shop->books, "SKU0001", &update, &goods), 0);
		break;
	case 4:
		assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 2, &request, &goods), 0);
		break;
	case 5:
	case 6:
		shop_bind(shop, (*next)++, known, (uint32_t)rand_r(seed) % 3 + 1);
		break;
	case 7:
		shop_confirm_order(shop, known, "p");
		break;
	case 8:
		shop_release_order(shop, known);
		break;
	case 9:
		shop_refund_order(shop, known);
		break;
	default:
		shop_buy(shop, (*next)++, (uint32_t)rand_r(seed) % 4 + 1);
	}
}

/* Every kind of change, with failed groups and restarts: the books can be proved at every moment. */
static void a_sparse_ledger_proves_the_books(void **state)
{
	struct shop *shop = *state;
	uint32_t next = 0;
	unsigned seed = 9;

	shop->options.compaction_step = shop->books->options.compaction_step = 20;
	for (int group = 0; group < 3000; group++) {
		clock_manual_advance(&shop->clock, rand_r(&seed) % 2000);
		shop_begin(shop);
		for (int i = rand_r(&seed) % 12; i > 0; i--)
			act(shop, &seed, &next);
		if (rand_r(&seed) % 10 == 0)
			shop_abort(shop);
		else
			shop_commit(shop);
		if (rand_r(&seed) % 3 == 0)
			shop_acknowledge(shop, shop->head - (uint64_t)rand_r(&seed) % 30 % shop->head);
		if (rand_r(&seed) % 100 == 0)
			shop_restart(shop, rand_r(&seed) % 5000);
		if (group % 10 == 0)
			books_are_right(shop);
	}
	assert_true(floor_of(shop) > shop->head / 2);
	assert_true(shop->total.expired > 0);
	assert_true(shop->total.paid > 0);
	assert_true(shop->total.overdue > 0);
	assert_true(shop->total.cancelled > 0);
	assert_true(shop->total.taken_back > 0);
	assert_true(shop->total.refused[VERDICT_GONE] > 0);
	assert_true(shop_rows(shop, TABLE_LEDGER) < shop->head);
}

/* ---- and the point of it ---- */

static void a_steady_sale_does_not_grow(void **state)
{
	struct shop *shop = *state;
	struct store_usage usage;
	int64_t warm_bytes = 0, file_bytes = 0;
	uint32_t next = 0;
	MDB_envinfo info;

	shop->options.hold_ttl_ms = shop->books->options.hold_ttl_ms = 100;
	shop->options.retention_ms = shop->books->options.retention_ms = 1000;
	shop->options.compaction_step = shop->books->options.compaction_step = 512;
	shop_begin(shop);
	shop_add(shop, "SKU0002", 1000000);
	shop_commit(shop);
	for (int round = 0; round < 600; round++) {
		clock_manual_advance(&shop->clock, 20);
		shop_begin(shop);
		for (int i = 0; i < 50; i++) {
			struct hold_request request = shop_request(next++, "SKU0002", "user", 1);

			assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
		}
		shop_commit(shop);
		shop_acknowledge(shop, shop->head);
		store_usage(shop->store, &usage);
		mdb_env_info(shop->store->env, &info);
		if (round == 200) {
			warm_bytes = usage.used_bytes;
			file_bytes = (int64_t)info.me_last_pgno;
		}
		if (round > 200) {
			assert_true(usage.used_bytes < warm_bytes + warm_bytes / 4);
			assert_true((int64_t)info.me_last_pgno <= file_bytes + file_bytes / 4);
		}
	}
	assert_true(shop_rows(shop, TABLE_HOLDS) < next / 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_ended_unsold_goes_and_what_was_sold_stays),
		TEST(without_a_step_nothing_goes),
		TEST(of_goods_and_fences_the_newest_stays),
		TEST(refunded_holds_stay),
		TEST(an_order_goes_as_one),
		TEST(adjustments_are_forgotten_with_their_entry),
		TEST(it_waits_for_the_retention),
		TEST(it_waits_for_a_live_hold),
		TEST(it_waits_for_the_slowest_follower),
		TEST(who_fences_anew_is_waited_for_from_what_it_has),
		TEST(a_position_of_another_history_is_refused),
		TEST(its_steps_are_bounded),
		TEST(an_id_that_may_be_gone_is_refused),
		TEST(what_is_kept_is_known_below_the_mark_too),
		TEST(a_step_that_is_undone_leaves_no_trace),
		TEST(a_restored_store_waits_for_its_followers),
		TEST(a_sparse_ledger_proves_the_books),
		TEST(a_steady_sale_does_not_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
