#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/hash.h"
#include "tests/unit/inventory/shop.h"

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	shop_open(shop);
	shop_add(shop, "SKU0001", 10);
	*state = shop;
	return 0;
}

static int tear_down(void **state)
{
	shop_close(*state);
	free(*state);
	return 0;
}

static struct ledger_entry entry_at(struct shop *shop, uint64_t sequence)
{
	struct ledger_entry entry;
	MDB_txn *txn;

	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(books_read_ledger(shop->store, txn, sequence, &entry), 0);
	mdb_txn_abort(txn);
	return entry;
}

static void a_grant_is_in_the_books(void **state)
{
	struct shop *shop = *state;
	uint64_t head = shop->head;
	struct hold_answer answer = shop_buy(shop, 1, 3);
	struct ledger_entry entry;
	struct hold hold;

	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.state, HOLD_HELD);
	assert_int_equal(answer.quantity, 3);
	assert_int_equal(answer.remaining, 7);
	assert_int_equal(answer.price_micros, 99000000);
	assert_int_equal(answer.deadline_ms, SHOP_WALL_MS + SHOP_TTL_MS);
	assert_int_equal(answer.sequence, head + 1);
	shop_expect(shop, "SKU0001", 10, 7, 3, 0);
	assert_true(shop_hold(shop, 1, &hold));
	assert_int_equal(hold.quantity, 3);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 1);
	entry = entry_at(shop, head + 1);
	assert_int_equal(entry.kind, LEDGER_HOLD_CREATED);
	assert_int_equal(entry.created.epoch, 1);
	assert_int_equal(entry.cart_shard, 0);
	assert_int_equal(entry.created.deadline_ms, answer.deadline_ms);
	assert_int_equal(atomic_load(&shop->books->head), head + 1);
	assert_int_equal(shop->last_changed.available, 7);
}

static void it_is_never_oversold(void **state)
{
	struct shop *shop = *state;
	int64_t granted = 0;

	/* many groups, many items, more asked for than there is */
	for (uint32_t group = 0; group < 20; group++) {
		shop_begin(shop);
		for (uint32_t i = 0; i < 10; i++) {
			struct hold_answer answer = shop_buy(shop, group * 10 + i, i % 3 + 1);

			if (answer.verdict == VERDICT_YES)
				granted += answer.quantity;
			else
				assert_true(answer.verdict == VERDICT_SOLD_OUT ||
					    answer.verdict == VERDICT_NOT_ENOUGH);
		}
		shop_commit(shop);
		assert_true(granted <= 10);
	}
	assert_int_equal(granted, 10);
	shop_expect(shop, "SKU0001", 10, 0, 10, 0);
}

static void the_same_id_is_the_same_hold(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first = shop_buy(shop, 1, 10), again;

	again = shop_buy(shop, 1, 10); /* though nothing is left */
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.deadline_ms, first.deadline_ms);
	assert_int_equal(again.sequence, first.sequence);
	assert_int_equal(again.state, HOLD_HELD);
	shop_expect(shop, "SKU0001", 10, 0, 10, 0);
	assert_int_equal(shop_confirm(shop, 1, "payment").verdict, VERDICT_YES);
	again = shop_buy(shop, 1, 10);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.state, HOLD_SOLD);
	shop_expect(shop, "SKU0001", 10, 0, 0, 10);
	assert_int_equal(shop->total.granted, 1);
}

static void the_same_id_in_one_group_is_one_hold(void **state)
{
	struct shop *shop = *state;

	shop_begin(shop);
	assert_int_equal(shop_buy(shop, 1, 2).verdict, VERDICT_YES);
	assert_int_equal(shop_buy(shop, 1, 2).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_KEY_REUSED);
	shop_commit(shop);
	shop_expect(shop, "SKU0001", 10, 8, 2, 0);
}

static void a_hold_that_shrank_is_still_the_answer_to_its_first_request(void **state)
{
	struct shop *shop = *state;
	struct hold_answer again;

	shop_buy(shop, 1, 4);
	assert_int_equal(shop_resize(shop, 1, 1).verdict, VERDICT_YES);
	again = shop_buy(shop, 1, 4);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.quantity, 1);
	shop_expect(shop, "SKU0001", 10, 9, 1, 0);
}

static void other_content_under_a_known_id_is_refused(void **state)
{
	struct shop *shop = *state;
	struct hold_request request = shop_request(1, "SKU0001", "user", 2), other;

	shop_add(shop, "SKU0002", 10);
	request.key_hash = (struct bytes){"0123456789abcdef", HASH_BYTES};
	request.fingerprint = (struct bytes){"fedcba9876543210", HASH_BYTES};
	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
	other = shop_request(1, "SKU0002", "user", 2);
	other.key_hash = request.key_hash;
	other.fingerprint = request.fingerprint;
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_KEY_REUSED);
	other = request;
	other.user = (struct bytes){"somebody", 8};
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_KEY_REUSED);
	other = request;
	other.quantity = 3;
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_KEY_REUSED);
	other = request;
	other.fingerprint = (struct bytes){"fedcba987654321x", HASH_BYTES};
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_KEY_REUSED);
	other = request;
	other.key_hash = (struct bytes){0};
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_KEY_REUSED);
	other = request;
	other.session = (struct bytes){"another session", 15}; /* only a name */
	assert_int_equal(shop_create(shop, &other).verdict, VERDICT_REPEATED);
	shop_expect(shop, "SKU0001", 10, 8, 2, 0);
	shop_expect(shop, "SKU0002", 10, 10, 0, 0);
}

static void an_expired_hold_cannot_be_confirmed_before_the_sweep_either(void **state)
{
	struct shop *shop = *state;
	struct hold hold;

	shop->books->options.expiry_step = 1;
	shop_buy(shop, 1, 1);
	shop_buy(shop, 2, 1);
	shop_buy(shop, 3, 1);
	shop_buy(shop, 4, 1);
	clock_manual_advance(&shop->clock, SHOP_TTL_MS);
	shop_begin(shop); /* sweeps one of the four */
	assert_int_equal(shop_confirm(shop, 4, "p").verdict, VERDICT_HOLD_EXPIRED);
	assert_int_equal(shop_release(shop, 3).verdict, VERDICT_HOLD_EXPIRED);
	assert_int_equal(shop_resize(shop, 2, 1).verdict, VERDICT_HOLD_EXPIRED);
	shop_commit(shop);
	assert_true(shop_hold(shop, 4, &hold));
	assert_int_equal(hold.state, HOLD_EXPIRED); /* as durable as the answer */
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	assert_int_equal(shop->total.expired, 4);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
}

static void one_millisecond_before_the_deadline_is_in_time(void **state)
{
	struct shop *shop = *state;

	shop_buy(shop, 1, 1);
	clock_manual_advance(&shop->clock, SHOP_TTL_MS - 1);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_YES);
	shop_pass(shop, SHOP_TTL_MS);
	shop_expect(shop, "SKU0001", 10, 9, 0, 1);
}

static void the_ends_of_holds_can_be_repeated(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first, again;

	shop_buy(shop, 1, 2);
	shop_buy(shop, 2, 3);
	first = shop_confirm(shop, 1, "payment-1");
	again = shop_confirm(shop, 1, "payment-1");
	assert_int_equal(first.verdict, VERDICT_YES);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.sequence, first.sequence);
	assert_int_equal(again.version, first.version);
	assert_int_equal(shop_confirm(shop, 1, "payment-2").verdict, VERDICT_WRONG_STATE);
	assert_int_equal(shop_release(shop, 1).verdict, VERDICT_WRONG_STATE);
	assert_int_equal(shop_release(shop, 2).verdict, VERDICT_YES);
	assert_int_equal(shop_release(shop, 2).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_confirm(shop, 2, "p").verdict, VERDICT_WRONG_STATE);
	assert_int_equal(shop_release(shop, 99).verdict, VERDICT_NOT_FOUND);
	assert_int_equal(shop_confirm(shop, 99, "p").verdict, VERDICT_NOT_FOUND);
	shop_expect(shop, "SKU0001", 10, 8, 0, 2);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
}

static void an_item_past_its_own_time_is_refused(void **state)
{
	struct shop *shop = *state;
	struct hold_request request = shop_request(1, "SKU0001", "user", 1);

	request.deadline_ns = 1;
	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_OVERLOADED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	assert_int_equal(shop->total.refused[VERDICT_OVERLOADED], 1);
}

static void a_refused_item_harms_no_neighbour(void **state)
{
	struct shop *shop = *state;
	struct hold_request stranger = shop_request(2, "SKU9999", "user", 1);

	shop_begin(shop);
	assert_int_equal(shop_buy(shop, 1, 4).verdict, VERDICT_YES);
	assert_int_equal(shop_create(shop, &stranger).verdict, VERDICT_UNKNOWN_SKU);
	assert_int_equal(shop_buy(shop, 3, 7).verdict, VERDICT_NOT_ENOUGH);
	assert_int_equal(shop_buy(shop, 4, 6).verdict, VERDICT_YES);
	assert_int_equal(shop_buy(shop, 5, 1).verdict, VERDICT_SOLD_OUT);
	shop_commit(shop);
	shop_expect(shop, "SKU0001", 10, 0, 10, 0);
	assert_int_equal(shop_rows(shop, TABLE_HOLDS), 2);
}

static void a_group_of_refusals_writes_nothing(void **state)
{
	struct shop *shop = *state;
	uint64_t head = shop->head;
	MDB_envinfo before, after;

	shop_buy(shop, 1, 10);
	mdb_env_info(shop->store->env, &before);
	shop_begin(shop);
	assert_int_equal(shop_buy(shop, 2, 1).verdict, VERDICT_SOLD_OUT);
	assert_int_equal(shop_buy(shop, 1, 10).verdict, VERDICT_REPEATED);
	shop_commit(shop);
	mdb_env_info(shop->store->env, &after);
	assert_int_equal(before.me_last_txnid, after.me_last_txnid); /* no commit, no fsync */
	assert_int_equal(shop->head, head + 1);
}

static void epochs_are_checked_and_fences_compare_and_set(void **state)
{
	struct shop *shop = *state;
	struct sender sender = shop->cart;
	struct fence_answer answer;

	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_YES);
	answer = shop_fence(shop, 0, 2, "cart-2");
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.fence.epoch, 2);
	assert_int_equal(answer.fence.sequence, shop->head);
	assert_int_equal(entry_at(shop, answer.fence.sequence).kind, LEDGER_CART_FENCED);
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_STALE_EPOCH);
	sender.epoch = 2;
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_STALE_EPOCH); /* another process */
	memset(sender.instance, 0, INSTANCE_BYTES);
	memcpy(sender.instance, "cart-2", 6);
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_YES);
	sender.epoch = 3;
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_STALE_EPOCH);
	sender.epoch = 2;
	sender.cart_shards = 2;
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_WRONG_SHARD);
	sender.given = false;
	assert_int_equal(books_check_sender(shop->books, &sender), VERDICT_YES);
}

static void a_repeated_fence_names_the_first_entry(void **state)
{
	struct shop *shop = *state;
	struct fence_answer first = shop_fence(shop, 0, 7, "me"), again;

	shop_buy(shop, 1, 1);
	again = shop_fence(shop, 0, 7, "me");
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.fence.sequence, first.fence.sequence);
	again = shop_fence(shop, 0, 7, "you");
	assert_int_equal(again.verdict, VERDICT_STALE_EPOCH);
	assert_int_equal(again.fence.epoch, 7);
	again = shop_fence(shop, 0, 6, "you");
	assert_int_equal(again.verdict, VERDICT_STALE_EPOCH);
	shop_restart(shop, 0);
	again = shop_fence(shop, 0, 7, "me");
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.fence.sequence, first.fence.sequence);
	shop->cart.cart_shards = 2; /* the number of carts is written down */
	assert_int_equal(shop_fence(shop, 0, 8, "me").verdict, VERDICT_WRONG_SHARD);
}

static void a_rolled_back_fence_is_not_in_force(void **state)
{
	struct shop *shop = *state;

	shop_begin(shop);
	assert_int_equal(shop_fence(shop, 0, 9, "new").verdict, VERDICT_YES);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_STALE_EPOCH);
	shop_abort(shop);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES);
}

static void a_rolled_back_group_leaves_no_trace(void **state)
{
	struct shop *shop = *state;
	struct goods_terms terms = {.quantity = 5, .currency = "USD"};
	struct goods_answer goods;
	uint64_t head;
	struct hold hold;
	int published;

	shop_buy(shop, 1, 2);
	head = shop->head;
	published = shop->published;
	shop_begin(shop);
	assert_int_equal(shop_buy(shop, 2, 3).verdict, VERDICT_YES);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_YES);
	assert_int_equal(books_open_goods(shop->books, "SKU0002", &terms, &goods), 0);
	assert_int_equal(goods.verdict, VERDICT_YES);
	assert_int_equal(books_close_goods(shop->books, "SKU0001", &goods), 0);
	shop_abort(shop);
	assert_int_equal(shop->published, published);
	assert_int_equal(shop->last_changed.available, 8);
	/* the same commands again come to the same, in memory and on disk */
	assert_false(shop_hold(shop, 2, &hold));
	shop_add(shop, "SKU0002", 6);
	assert_int_equal(shop_goods(shop, "SKU0002").number, 1);
	assert_int_equal(shop->head, head + 1);
	assert_int_equal(shop_buy(shop, 2, 8).verdict, VERDICT_YES);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_YES);
	shop_expect(shop, "SKU0001", 10, 0, 8, 2);
}

static void closing_hides_and_keeps_row_and_holds(void **state)
{
	struct shop *shop = *state;
	struct goods_answer answer;

	shop_buy(shop, 1, 2);
	shop_buy(shop, 2, 2);
	shop_begin(shop);
	assert_int_equal(books_close_goods(shop->books, "SKU0001", &answer), 0);
	shop_commit(shop);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_true(shop->last_changed.closed);
	assert_int_equal(shop_buy(shop, 3, 1).verdict, VERDICT_CLOSED);
	assert_int_equal(shop_buy(shop, 1, 2).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_YES);
	shop_expect(shop, "SKU0001", 10, 6, 2, 2);
	shop_restart(shop, 0);
	assert_int_equal(shop_buy(shop, 3, 1).verdict, VERDICT_CLOSED);
	shop_add(shop, "SKU0001", 100); /* opens it again */
	shop_expect(shop, "SKU0001", 104, 100, 2, 2);
	assert_int_equal(shop_goods(shop, "SKU0001").number, 0);
	assert_int_equal(shop_release(shop, 2).verdict, VERDICT_YES);
	shop_expect(shop, "SKU0001", 104, 102, 0, 2);
}

static void open_goods_are_not_added_again(void **state)
{
	struct shop *shop = *state;
	struct goods_terms terms = {.quantity = 5, .currency = "USD"};
	struct goods_answer answer;
	uint64_t head = shop->head;

	shop_begin(shop);
	assert_int_equal(books_open_goods(shop->books, "SKU0001", &terms, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_ALREADY_OPEN);
	shop_commit(shop);
	assert_int_equal(shop->head, head);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
}

static void setting_available_is_computed_then_and_logged(void **state)
{
	struct shop *shop = *state;
	struct goods_update update = {.has_quantity = true, .quantity = 50};
	struct goods_answer answer;
	struct ledger_entry entry;

	shop_buy(shop, 1, 2);
	shop_buy(shop, 2, 3);
	shop_confirm(shop, 1, "p");
	shop_begin(shop);
	assert_int_equal(shop_buy(shop, 3, 1).verdict, VERDICT_YES); /* in the same group, before it */
	assert_int_equal(books_update_goods(shop->books, "SKU0001", &update, &answer), 0);
	assert_int_equal(shop_buy(shop, 4, 1).verdict, VERDICT_YES); /* and after it */
	shop_commit(shop);
	assert_int_equal(answer.goods.stock, 56);
	assert_int_equal(answer.goods.available, 50);
	shop_expect(shop, "SKU0001", 56, 49, 5, 2);
	entry = entry_at(shop, shop->head - 1);
	assert_int_equal(entry.kind, LEDGER_GOODS_CHANGED);
	assert_int_equal(entry.goods.stock, 56);
	assert_int_equal(entry.goods.available, 50);
	assert_int_equal(entry.goods.held, 4);
	assert_int_equal(entry.goods.sold, 2);
}

static void an_adjustment_counts_once(void **state)
{
	struct shop *shop = *state;
	struct id request = shop_id(500), other = shop_id(501);
	struct goods_answer answer;

	shop_add(shop, "SKU0002", 1);
	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 5, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	shop_commit(shop);
	shop_buy(shop, 1, 4);
	shop_restart(shop, 0);
	shop_begin(shop);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 5, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_REPEATED);
	assert_int_equal(answer.goods.available, 15); /* as it answered first */
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", 6, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_KEY_REUSED);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0002", 5, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_KEY_REUSED);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", -12, &other, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_NOT_ENOUGH);
	assert_int_equal(books_adjust_goods(shop->books, "SKU0001", -11, &other, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_YES); /* a refusal is not remembered */
	shop_commit(shop);
	shop_expect(shop, "SKU0001", 4, 0, 4, 0);
	shop_expect(shop, "SKU0002", 1, 1, 0, 0);
}

static void goods_that_are_not_there(void **state)
{
	struct shop *shop = *state;
	struct goods_update update = {.has_price = true};
	struct goods_terms terms = {.quantity = STOCK_MAX + 1, .currency = "USD"};
	struct goods_answer answer;
	struct id request = shop_id(1);

	shop_begin(shop);
	assert_int_equal(books_update_goods(shop->books, "NONE", &update, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_UNKNOWN_SKU);
	assert_int_equal(books_close_goods(shop->books, "NONE", &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_UNKNOWN_SKU);
	assert_int_equal(books_adjust_goods(shop->books, "NONE", 1, &request, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_UNKNOWN_SKU);
	assert_int_equal(books_open_goods(shop->books, "NONE", &terms, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_INVALID);
	shop_commit(shop);
	assert_int_equal(shop_rows(shop, TABLE_GOODS), 1);
}

static void a_sku_of_another_shard_is_not_ours(void **state)
{
	struct shop *shop = *state;
	struct goods_terms terms = {.quantity = 1, .currency = "USD"};
	struct hold_request request;
	struct goods_answer answer;
	char sku[16] = "";

	shop->store->shards = 2; /* as a store of two shards would say */
	for (int i = 0; sku[0] == '\0' || hash_shard(sku, 2) == 0; i++)
		snprintf(sku, sizeof(sku), "S%d", i);
	request = shop_request(1, sku, "user", 1);
	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_WRONG_SHARD);
	shop_begin(shop);
	assert_int_equal(books_open_goods(shop->books, sku, &terms, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_WRONG_SHARD);
	assert_int_equal(books_close_goods(shop->books, sku, &answer), 0);
	assert_int_equal(answer.verdict, VERDICT_WRONG_SHARD);
	shop_commit(shop);
}

static void everything_is_there_after_a_restart(void **state)
{
	struct shop *shop = *state;
	uint64_t head;

	shop_buy(shop, 1, 2);
	shop_buy(shop, 2, 3);
	shop_confirm(shop, 2, "p");
	head = shop->head;
	shop_restart(shop, 0);
	assert_int_equal(shop->head, head + 1); /* the incarnation */
	assert_int_equal(entry_at(shop, shop->head).incarnation.number, 2);
	shop_expect(shop, "SKU0001", 10, 5, 2, 3);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES);
	assert_int_equal(shop_buy(shop, 1, 2).verdict, VERDICT_REPEATED);
	assert_int_equal(shop_confirm(shop, 2, "p").verdict, VERDICT_REPEATED);
	assert_int_equal(shop_buy(shop, 3, 6).verdict, VERDICT_NOT_ENOUGH);
	shop_pass(shop, SHOP_TTL_MS);
	shop_expect(shop, "SKU0001", 10, 7, 0, 3);
}

static void an_outage_moves_every_live_deadline(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first = shop_buy(shop, 1, 1), again;
	struct ledger_entry entry;

	shop_restart(shop, 120000); /* longer than the hold */
	entry = entry_at(shop, shop->head);
	assert_int_equal(entry.kind, LEDGER_INCARNATION);
	assert_int_equal(entry.incarnation.moved_ms, 120000);
	assert_int_equal(entry.time_ms, SHOP_WALL_MS + 120000); /* what people see is the wall's time */
	again = shop_buy(shop, 1, 1);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.state, HOLD_HELD);
	assert_int_equal(again.deadline_ms, first.deadline_ms + 120000);
	clock_manual_advance(&shop->clock, SHOP_TTL_MS - 1);
	assert_int_equal(shop_confirm(shop, 1, "p").verdict, VERDICT_YES);
	/* what was written before the outage says what it said then */
	entry = entry_at(shop, first.sequence);
	assert_int_equal(entry.created.deadline_ms, first.deadline_ms);
}

/* Nothing happens for long, but that a hold lives: time that passed so is no outage. */
static void an_idle_time_is_no_outage(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first = shop_buy(shop, 1, 1), again;

	for (int i = 0; i < 50; i++) {
		shop_pass(shop, 500);
		shop_pass(shop, 500);
	}
	shop_restart(shop, 2000);
	again = shop_buy(shop, 1, 1);
	assert_int_equal(again.state, HOLD_HELD);
	assert_in_range(again.deadline_ms, first.deadline_ms + 2000, first.deadline_ms + 3000);
	shop_pass(shop, 10000);
	assert_int_equal(shop_buy(shop, 1, 1).state, HOLD_EXPIRED);
}

static void nothing_is_committed_while_no_hold_lives(void **state)
{
	struct shop *shop = *state;

	shop_buy(shop, 1, 1);
	shop_pass(shop, SHOP_TTL_MS);
	for (int i = 0; i < 3; i++) {
		clock_manual_advance(&shop->clock, 5000);
		shop_begin(shop);
		assert_false(shop->books->wrote);
		shop_commit(shop);
	}
}

static void outages_add_up(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first = shop_buy(shop, 1, 1);

	shop_restart(shop, 120000);
	shop_restart(shop, 50000);
	assert_int_equal(entry_at(shop, shop->head).incarnation.moved_ms, 50000);
	assert_int_equal(shop_buy(shop, 1, 1).deadline_ms, first.deadline_ms + 170000);
	assert_int_equal(entry_at(shop, shop->head).time_ms, SHOP_WALL_MS + 170000);
}

static void beyond_the_cap_an_outage_counts(void **state)
{
	struct shop *shop = *state;
	struct hold_answer first = shop_buy(shop, 1, 1);

	shop_restart(shop, 600000 + SHOP_TTL_MS - 1);
	assert_int_equal(shop_buy(shop, 1, 1).deadline_ms, first.deadline_ms + 600000);
	assert_int_equal(shop_buy(shop, 1, 1).state, HOLD_HELD);
	shop_pass(shop, 1);
	assert_int_equal(shop_buy(shop, 1, 1).state, HOLD_EXPIRED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
}

static void a_jump_of_the_wall_expires_nothing(void **state)
{
	struct shop *shop = *state;

	shop_buy(shop, 1, 1);
	clock_manual_jump_wall(&shop->clock, 86400000);
	shop_pass(shop, SHOP_TTL_MS - 2);
	shop_pass(shop, 1);
	assert_int_equal(shop->clock_moves, 1); /* told once */
	assert_int_equal(shop->drift_ms, 86400000);
	shop_expect(shop, "SKU0001", 10, 9, 1, 0);
	shop_pass(shop, 1);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
}

static void a_hundred_thousand_holds_expire_in_bounded_steps(void **state)
{
	struct shop *shop = *state;
	const uint32_t holds = 100000;
	int groups = 0;

	shop_add(shop, "SKU0002", holds);
	for (uint32_t i = 0; i < holds;) {
		shop_begin(shop);
		for (uint32_t end = i + 1000; i < end; i++) {
			struct hold_request request = shop_request(1000 + i, "SKU0002", "user", 1);

			assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
		}
		shop_commit(shop);
	}
	shop_expect(shop, "SKU0002", holds, 0, holds, 0);
	clock_manual_advance(&shop->clock, SHOP_TTL_MS);
	do {
		int64_t before = shop->total.expired;

		shop_begin(shop);
		shop_commit(shop);
		assert_true(shop->total.expired - before <= shop->options.expiry_step);
		groups++;
	} while (shop->next_tick_ms <= shop->books->now_ms);
	assert_int_equal(groups, 100);
	assert_int_equal(shop->total.expired, holds);
	shop_expect(shop, "SKU0002", holds, holds, 0, 0);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
}

static void fill_and_sell(struct shop *shop, int64_t map_bytes, int group)
{
	struct hold_answer answer = {.verdict = VERDICT_YES};
	uint32_t granted = 0;

	shop_close(shop);
	shop_open_sized(shop, map_bytes);
	shop_add(shop, "SKU0001", 1000000);
	while (answer.verdict == VERDICT_YES) {
		shop_begin(shop);
		for (int i = 0; i < group && answer.verdict == VERDICT_YES; i++) {
			answer = shop_buy(shop, granted, 1);
			granted += answer.verdict == VERDICT_YES;
		}
		shop_commit(shop);
	}
	assert_int_equal(answer.verdict, VERDICT_STORE_FULL);
	assert_true(granted > 1000);
	assert_int_equal(shop_buy(shop, 0, 1).verdict, VERDICT_REPEATED);
	/* there is room for the end of each live hold, with the longest reference and in groups of one as well */
	for (uint32_t i = 0; i < granted; i++) {
		char payment[PAYMENT_MAX + 1];

		memset(payment, 'p', PAYMENT_MAX);
		payment[PAYMENT_MAX] = '\0';
		if (i % 64 == 0)
			shop_begin(shop);
		assert_int_equal(shop_confirm(shop, i, payment).verdict, VERDICT_YES);
		if (i % 64 == 63 || i == granted - 1)
			shop_commit(shop);
	}
	shop_expect(shop, "SKU0001", 1000000, 1000000 - granted, 0, granted);
}

static void a_store_that_fills_up_refuses_creates_only(void **state)
{
	fill_and_sell(*state, 8 << 20, 100);
}

/* The clock stands still, and there are few groups: what counts is how much they write. */
static void a_store_that_fills_up_at_once_does_too(void **state)
{
	fill_and_sell(*state, 48 << 20, 4096);
}

/* The least that --store-size allows: what a commit needs for a while does not shrink with the map. */
static void a_small_store_has_room_for_ends_too(void **state)
{
	struct shop *shop = *state;
	struct hold_answer answer = {.verdict = VERDICT_YES};
	uint32_t granted = 0;

	shop_close(shop);
	shop_open_sized(shop, 1 << 20);
	shop_add(shop, "SKU0001", 1000000);
	while (answer.verdict == VERDICT_YES) {
		answer = shop_buy(shop, granted, 1);
		granted += answer.verdict == VERDICT_YES;
	}
	assert_int_equal(answer.verdict, VERDICT_STORE_FULL);
	assert_true(granted > 100);
	for (uint32_t i = 0; i < granted; i++) {
		char payment[PAYMENT_MAX + 1];

		memset(payment, 'p', PAYMENT_MAX);
		payment[PAYMENT_MAX] = '\0';
		if (i % 64 == 0)
			shop_begin(shop);
		assert_int_equal(shop_confirm(shop, i * 7919 % granted, payment).verdict, VERDICT_YES);
		if (i % 64 == 63 || i == granted - 1)
			shop_commit(shop);
	}
	shop_expect(shop, "SKU0001", 1000000, 1000000 - granted, 0, granted);
}

static void the_store_can_be_opened_by_nobody_else(void **state)
{
	struct shop *shop = *state;
	struct store_options other = shop->store_options;
	struct error error = {0};

	other.shards = 2;
	books_close(shop->books);
	store_close(shop->store);
	assert_null(store_open(&other, &error));
	shop->store = store_open(&shop->store_options, &error);
	shop->books = books_open(shop->store, &shop->options, &error);
	assert_non_null(shop->books);
}

/* A cart knows holds and ends that a backup does not have: what it asks by that knowledge is refused, until it has taken a new epoch. */
static void epochs_of_another_lineage_are_not_in_force(void **state)
{
	struct shop *shop = *state;
	struct error error = {0};

	assert_int_equal(shop_buy(shop, 1, 1).verdict, VERDICT_YES);
	shop_restart(shop, 0);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES);
	books_close(shop->books);
	store_close(shop->store);
	assert_true(store_new_lineage(&shop->store_options, &error));
	shop->store = store_open(&shop->store_options, &error);
	shop->books = books_open(shop->store, &shop->options, &error);
	assert_non_null(shop->books);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_STALE_EPOCH);
	shop_restart(shop, 0);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_STALE_EPOCH);
	assert_int_equal(shop_fence(shop, 0, 1, "cart").verdict, VERDICT_STALE_EPOCH);
	assert_int_equal(shop_fence(shop, 0, 2, "cart").verdict, VERDICT_YES);
	shop->cart.epoch = 2;
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES);
	shop_restart(shop, 0);
	assert_int_equal(books_check_sender(shop->books, &shop->cart), VERDICT_YES);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_grant_is_in_the_books),
		TEST(it_is_never_oversold),
		TEST(the_same_id_is_the_same_hold),
		TEST(the_same_id_in_one_group_is_one_hold),
		TEST(a_hold_that_shrank_is_still_the_answer_to_its_first_request),
		TEST(other_content_under_a_known_id_is_refused),
		TEST(an_expired_hold_cannot_be_confirmed_before_the_sweep_either),
		TEST(one_millisecond_before_the_deadline_is_in_time),
		TEST(the_ends_of_holds_can_be_repeated),
		TEST(an_item_past_its_own_time_is_refused),
		TEST(a_refused_item_harms_no_neighbour),
		TEST(a_group_of_refusals_writes_nothing),
		TEST(epochs_are_checked_and_fences_compare_and_set),
		TEST(a_repeated_fence_names_the_first_entry),
		TEST(a_rolled_back_fence_is_not_in_force),
		TEST(a_rolled_back_group_leaves_no_trace),
		TEST(closing_hides_and_keeps_row_and_holds),
		TEST(open_goods_are_not_added_again),
		TEST(setting_available_is_computed_then_and_logged),
		TEST(an_adjustment_counts_once),
		TEST(goods_that_are_not_there),
		TEST(a_sku_of_another_shard_is_not_ours),
		TEST(everything_is_there_after_a_restart),
		TEST(an_outage_moves_every_live_deadline),
		TEST(an_idle_time_is_no_outage),
		TEST(nothing_is_committed_while_no_hold_lives),
		TEST(outages_add_up),
		TEST(beyond_the_cap_an_outage_counts),
		TEST(a_jump_of_the_wall_expires_nothing),
		TEST(a_hundred_thousand_holds_expire_in_bounded_steps),
		TEST(a_store_that_fills_up_refuses_creates_only),
		TEST(a_store_that_fills_up_at_once_does_too),
		TEST(a_small_store_has_room_for_ends_too),
		TEST(the_store_can_be_opened_by_nobody_else),
		TEST(epochs_of_another_lineage_are_not_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
