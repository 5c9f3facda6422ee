#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/audit.h"
#include "tests/unit/inventory/shop.h"

#define ORDER 900

static int set_up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	shop_open(shop);
	shop_add(shop, "SKU0001", 10);
	shop_add(shop, "SKU0002", 20);
	*state = shop;
	return 0;
}

static void books_are_right(struct shop *shop)
{
	struct audit audit;

	assert_int_equal(audit_run(shop->store, NULL, NULL, &audit), 0);
	if (!audit.consistent)
		fail_msg("%s %s", audit.finding, audit.count ? audit.items[0].finding : "");
	audit_release(&audit);
	shop_proves(shop);
}

static int tear_down(void **state)
{
	books_are_right(*state);
	shop_close(*state);
	free(*state);
	return 0;
}

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){text, (uint8_t)strlen(text)};
}

#define IN_GROUP(shop, call) \
	do { \
		bool own_ = !(shop)->txn; \
		if (own_) \
			shop_begin(shop); \
		assert_int_equal(call, 0); \
		if (own_) \
			shop_commit(shop); \
	} while (0)

/* Binds holds first to first + count - 1. */
static struct order_answer bind(
	struct shop *shop, uint32_t order, uint32_t first, uint32_t count, int64_t ttl_ms)
{
	struct bind_request request = {
		.order = shop_id(order), .user = bytes_of("user"), .hold_count = count, .ttl_ms = ttl_ms};
	struct order_answer answer;

	for (uint32_t i = 0; i < count; i++)
		request.holds[i] = shop_id(first + i);
	IN_GROUP(shop, books_bind_order(shop->books, &shop->cart, &request, &answer));
	return answer;
}

static struct order_answer confirm(struct shop *shop, uint32_t order, const char *payment)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_confirm_order(shop->books, &id, bytes_of(payment), &answer));
	return answer;
}

static struct order_answer release(struct shop *shop, uint32_t order)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_release_order(shop->books, &id, &answer));
	return answer;
}

static struct order_answer refund(struct shop *shop, uint32_t order)
{
	struct id id = shop_id(order);
	struct order_answer answer;

	IN_GROUP(shop, books_refund_order(shop->books, &id, &answer));
	return answer;
}

/* Holds 1 and 2 of SKU0001 (3 and 2 units), 3 of SKU0002 (5 units). */
static void buy_three(struct shop *shop)
{
	struct hold_request request = shop_request(3, "SKU0002", "user", 5);

	shop_buy(shop, 1, 3);
	shop_buy(shop, 2, 2);
	assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
}

static struct hold hold_of(struct shop *shop, uint32_t id)
{
	struct hold hold;

	assert_true(shop_hold(shop, id, &hold));
	return hold;
}

static bool is_bound(struct shop *shop, uint32_t id)
{
	struct hold hold = hold_of(shop, id);

	return !id_is_zero(&hold.order);
}

static void states_are(struct shop *shop, enum hold_state state)
{
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(hold_of(shop, id).state, state);
}

static void an_order_has_one_deadline_and_the_old_prices(void **state)
{
	struct shop *shop = *state;
	struct goods_update update = {.has_price = true, .price_micros = 1};
	struct goods_answer updated;
	struct order_answer answer;

	buy_three(shop);
	shop_pass(shop, 5000);
	IN_GROUP(shop, books_update_goods(shop->books, "SKU0001", &update, &updated));
	answer = bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.state, HOLD_HELD);
	assert_int_equal(answer.deadline_ms, SHOP_WALL_MS + 5000 + SHOP_TTL_MS);
	assert_int_equal(answer.item_count, 3);
	assert_int_equal(answer.items[0].price_micros, 99000000);
	assert_string_equal(answer.items[2].sku, "SKU0002");
	assert_string_equal(answer.items[2].currency, "USD");
	assert_int_equal(answer.sequence, shop->head);
	for (uint32_t id = 1; id <= 3; id++) {
		struct id order = shop_id(ORDER);
		struct hold hold = hold_of(shop, id);

		assert_memory_equal(&hold.order, &order, ID_BYTES);
		assert_int_equal(hold_of(shop, id).version, 2);
	}
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 3);
	shop_expect(shop, "SKU0001", 10, 5, 5, 0);
}

static void the_time_to_pay_is_clamped(void **state)
{
	struct shop *shop = *state;
	struct goods_update update = {.has_hold_ttl = true, .hold_ttl_ms = 7000};
	struct goods_answer updated;

	buy_three(shop);
	shop_buy(shop, 4, 1);
	assert_int_equal(bind(shop, ORDER, 4, 1, 500).deadline_ms, SHOP_WALL_MS + 500);
	IN_GROUP(shop, books_update_goods(shop->books, "SKU0002", &update, &updated));
	assert_int_equal(bind(shop, ORDER + 1, 1, 3, SHOP_TTL_MS * 2).deadline_ms, SHOP_WALL_MS + 7000);
}

static void binding_again_changes_nothing(void **state)
{
	struct shop *shop = *state;
	struct order_answer first, again;
	uint64_t head;

	buy_three(shop);
	first = bind(shop, ORDER, 1, 3, 0);
	head = shop->head;
	shop_pass(shop, 100);
	again = bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.deadline_ms, first.deadline_ms);
	assert_int_equal(again.sequence, first.sequence);
	assert_int_equal(again.item_count, 3);
	assert_int_equal(shop->head, head);
	assert_int_equal(bind(shop, ORDER, 1, 2, 0).verdict, VERDICT_KEY_REUSED);
	assert_int_equal(bind(shop, ORDER, 2, 3, 0).verdict, VERDICT_KEY_REUSED);
	confirm(shop, ORDER, "pay");
	again = bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(again.verdict, VERDICT_REPEATED);
	assert_int_equal(again.state, HOLD_SOLD);
}

/* Nothing is bound, and the answer names the hold. */
static void refused(struct shop *shop, const struct order_answer *answer, uint32_t bad, enum verdict verdict)
{
	struct id id = shop_id(bad);

	assert_int_equal(answer->verdict, verdict);
	assert_memory_equal(&answer->bad, &id, ID_BYTES);
	assert_int_equal(answer->state, 0);
	assert_int_equal(shop_rows(shop, TABLE_ORDERS), 0);
	assert_false(is_bound(shop, 1));
}

static void one_bad_hold_binds_none(void **state)
{
	struct shop *shop = *state;
	struct hold_request other = shop_request(2, "SKU0001", "somebody", 1);
	struct hold_request brief = shop_request(3, "SKU0002", "user", 1);
	struct order_answer answer;

	shop_buy(shop, 1, 3);
	answer = bind(shop, ORDER, 1, 2, 0);
	refused(shop, &answer, 2, VERDICT_NOT_FOUND);
	shop_create(shop, &other);
	answer = bind(shop, ORDER, 1, 2, 0);
	refused(shop, &answer, 2, VERDICT_FORBIDDEN);
	brief.ttl_ms = 100;
	shop_create(shop, &brief);
	shop_buy(shop, 4, 1);
	shop_begin(shop);
	answer = bind(shop, ORDER, 3, 2, 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	shop_abort(shop); /* with its group it never was */
	clock_manual_advance(&shop->clock, 200);
	answer = bind(shop, ORDER, 3, 2, 0);
	refused(shop, &answer, 3, VERDICT_HOLD_EXPIRED);
	shop_release(shop, 4);
	answer = bind(shop, ORDER, 4, 1, 0);
	refused(shop, &answer, 4, VERDICT_WRONG_STATE);
}

static void a_hold_is_in_one_order(void **state)
{
	struct shop *shop = *state;
	struct order_answer answer;
	struct id one = shop_id(1);

	buy_three(shop);
	bind(shop, ORDER, 1, 2, 0);
	answer = bind(shop, ORDER + 1, 1, 3, 0);
	assert_int_equal(answer.verdict, VERDICT_WRONG_STATE);
	assert_memory_equal(&answer.bad, &one, ID_BYTES);
	assert_int_equal(shop_rows(shop, TABLE_ORDERS), 1);
	assert_false(is_bound(shop, 3));
}

static void another_cart_s_hold_is_not_for_us(void **state)
{
	struct shop *shop = *state;
	struct sender other;

	shop_close(shop);
	shop_open(shop);
	shop_add(shop, "SKU0001", 10);
	shop_buy(shop, 1, 1);
	other = shop->cart;
	other.cart_shard = 1;
	shop->cart = other;
	assert_int_equal(bind(shop, ORDER, 1, 1, 0).verdict, VERDICT_FORBIDDEN);
}

static void a_kept_hold_is_not_moved_alone(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(shop_release(shop, 1).verdict, VERDICT_WRONG_STATE);
	assert_int_equal(shop_confirm(shop, 1, "pay").verdict, VERDICT_WRONG_STATE);
	assert_int_equal(shop_resize(shop, 1, 1).verdict, VERDICT_WRONG_STATE);
	states_are(shop, HOLD_HELD);
	shop_expect(shop, "SKU0001", 10, 5, 5, 0);
}

static void all_are_sold_at_once(void **state)
{
	struct shop *shop = *state;
	struct order_answer answer;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	answer = confirm(shop, ORDER, "pay-1");
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.state, HOLD_SOLD);
	assert_string_equal(answer.payment, "pay-1");
	states_are(shop, HOLD_SOLD);
	shop_expect(shop, "SKU0001", 10, 5, 0, 5);
	shop_expect(shop, "SKU0002", 20, 15, 0, 5);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
	shop_pass(shop, SHOP_TTL_MS * 2);
	states_are(shop, HOLD_SOLD);
}

static void a_second_payment_hears_of_the_first(void **state)
{
	struct shop *shop = *state;
	struct order_answer answer;
	uint64_t head;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	confirm(shop, ORDER, "pay-1");
	head = shop->head;
	assert_int_equal(confirm(shop, ORDER, "pay-1").verdict, VERDICT_REPEATED);
	answer = confirm(shop, ORDER, "pay-2");
	assert_int_equal(answer.verdict, VERDICT_WRONG_STATE);
	assert_int_equal(answer.state, HOLD_SOLD);
	assert_string_equal(answer.payment, "pay-1");
	assert_int_equal(shop->head, head);
}

static void all_end_together(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	shop->books->options.expiry_step = 1; /* an order is one step even so */
	shop_pass(shop, SHOP_TTL_MS - 1);
	states_are(shop, HOLD_HELD);
	shop_pass(shop, 1);
	states_are(shop, HOLD_EXPIRED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	shop_expect(shop, "SKU0002", 20, 20, 0, 0);
	assert_int_equal(shop->total.overdue, 1);
	assert_int_equal(shop->total.expired, 3);
}

static void too_late_is_too_late_for_all(void **state)
{
	struct shop *shop = *state;
	struct order_answer answer;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	shop->books->options.expiry_step = 1;
	for (uint32_t id = 10; id < 14; id++) { /* so that the sweep is busy with others */
		struct hold_request request = shop_request(id, "SKU0002", "user", 1);

		request.ttl_ms = 100;
		shop_create(shop, &request);
	}
	clock_manual_advance(&shop->clock, SHOP_TTL_MS);
	answer = confirm(shop, ORDER, "pay-1");
	assert_int_equal(answer.verdict, VERDICT_HOLD_EXPIRED);
	assert_int_equal(answer.state, HOLD_EXPIRED);
	assert_int_equal(answer.deadline_ms, SHOP_WALL_MS + SHOP_TTL_MS);
	assert_string_equal(answer.payment, "");
	states_are(shop, HOLD_EXPIRED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	assert_int_equal(release(shop, ORDER).verdict, VERDICT_HOLD_EXPIRED);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_WRONG_STATE);
}

/* Who touches one hold past its deadline ends the order. */
static void touching_one_ends_all(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	shop_begin(shop);
	shop->books->now_ms += SHOP_TTL_MS;
	assert_int_equal(shop_release(shop, 2).verdict, VERDICT_HOLD_EXPIRED);
	shop_commit(shop);
	states_are(shop, HOLD_EXPIRED);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
}

static void all_are_given_back_at_once(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(release(shop, ORDER).verdict, VERDICT_YES);
	states_are(shop, HOLD_RELEASED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	shop_expect(shop, "SKU0002", 20, 20, 0, 0);
	assert_int_equal(shop_rows(shop, TABLE_EXPIRY), 0);
	assert_int_equal(release(shop, ORDER).verdict, VERDICT_REPEATED);
	assert_int_equal(confirm(shop, ORDER, "pay").verdict, VERDICT_WRONG_STATE);
}

static void a_refund_puts_the_units_on_sale_again(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_WRONG_STATE);
	confirm(shop, ORDER, "pay-1");
	assert_int_equal(release(shop, ORDER).verdict, VERDICT_WRONG_STATE);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_YES);
	states_are(shop, HOLD_REFUNDED);
	shop_expect(shop, "SKU0001", 10, 10, 0, 0);
	shop_expect(shop, "SKU0002", 20, 20, 0, 0);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_REPEATED);
	assert_int_equal(confirm(shop, ORDER, "pay-1").verdict, VERDICT_WRONG_STATE);
}

static void an_order_that_is_not_there(void **state)
{
	struct shop *shop = *state;

	assert_int_equal(confirm(shop, ORDER, "pay").verdict, VERDICT_NOT_FOUND);
	assert_int_equal(release(shop, ORDER).verdict, VERDICT_NOT_FOUND);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_NOT_FOUND);
}

static void the_ledger_tells_of_orders_after_their_holds(void **state)
{
	struct shop *shop = *state;
	struct ledger_entry entry;
	struct order_answer answer;
	MDB_txn *txn;

	buy_three(shop);
	answer = bind(shop, ORDER, 1, 3, 0);
	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	for (uint64_t back = 3; back >= 1; back--) {
		struct id order = shop_id(ORDER);

		assert_int_equal(books_read_ledger(shop->store, txn, answer.sequence - back, &entry), 0);
		assert_int_equal(entry.kind, LEDGER_HOLD_CHANGED);
		assert_int_equal(entry.changed.state, HOLD_HELD);
		assert_int_equal(entry.changed.quantity, entry.changed.quantity_before);
		assert_memory_equal(&entry.changed.order, &order, ID_BYTES);
		assert_int_equal(entry.changed.deadline_ms, answer.deadline_ms);
	}
	assert_int_equal(books_read_ledger(shop->store, txn, answer.sequence, &entry), 0);
	assert_int_equal(entry.kind, LEDGER_ORDER_CHANGED);
	assert_int_equal(entry.order.item_count, 3);
	assert_memory_equal(entry.order.user.data, "user", 4);
	mdb_txn_abort(txn);
	answer = confirm(shop, ORDER, "pay-1");
	assert_int_equal(store_read_begin(shop->store, &txn), 0);
	assert_int_equal(books_read_ledger(shop->store, txn, answer.sequence, &entry), 0);
	assert_int_equal(entry.order.state, HOLD_SOLD);
	assert_int_equal(entry.order.item_count, 0);
	assert_memory_equal(entry.order.payment.data, "pay-1", 5);
	assert_memory_equal(entry.order.user.data, "user", 4);
	assert_int_equal(books_read_ledger(shop->store, txn, answer.sequence - 1, &entry), 0);
	assert_memory_equal(entry.changed.payment.data, "pay-1", 5);
	mdb_txn_abort(txn);
}

static void orders_outlive_a_restart(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	shop_restart(shop, 1000);
	assert_int_equal(confirm(shop, ORDER, "pay-1").verdict, VERDICT_YES);
	shop_restart(shop, 1000);
	assert_int_equal(confirm(shop, ORDER, "pay-1").verdict, VERDICT_REPEATED);
	shop_expect(shop, "SKU0001", 10, 5, 0, 5);
}

static void a_full_store_takes_no_orders_but_ends_them(void **state)
{
	struct shop *shop = *state;

	buy_three(shop);
	bind(shop, ORDER, 1, 2, 0);
	shop_begin(shop);
	shop->books->full = true;
	assert_int_equal(bind(shop, ORDER + 1, 3, 1, 0).verdict, VERDICT_STORE_FULL);
	assert_int_equal(confirm(shop, ORDER, "pay-1").verdict, VERDICT_YES);
	shop_commit(shop);
	assert_false(is_bound(shop, 3));
}

static void the_largest_order(void **state)
{
	struct shop *shop = *state;
	struct order_answer answer;

	shop_add(shop, "SKU0003", 1000);
	for (uint32_t id = 1; id <= ORDER_HOLDS_MAX; id++) {
		struct hold_request request = shop_request(id, "SKU0003", "user", 2);

		assert_int_equal(shop_create(shop, &request).verdict, VERDICT_YES);
	}
	answer = bind(shop, ORDER, 1, ORDER_HOLDS_MAX, 0);
	assert_int_equal(answer.verdict, VERDICT_YES);
	assert_int_equal(answer.item_count, ORDER_HOLDS_MAX);
	assert_int_equal(confirm(shop, ORDER, "pay").verdict, VERDICT_YES);
	shop_expect(shop, "SKU0003", 1000, 800, 0, 200);
	assert_int_equal(refund(shop, ORDER).verdict, VERDICT_YES);
	shop_expect(shop, "SKU0003", 1000, 1000, 0, 0);
}

static void the_audit_sees_an_order_that_lies(void **state)
{
	struct shop *shop = *state;
	struct id id = shop_id(ORDER);
	uint8_t record[ORDER_RECORD_MAX];
	MDB_val key = {ID_BYTES, id.bytes}, value = {0, record};
	struct order order, wrong;
	struct audit audit;
	MDB_txn *txn;

	buy_three(shop);
	bind(shop, ORDER, 1, 3, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
		assert_int_equal(books_read_order(shop->store, txn, &id, &order), 0);
		wrong = order;
		if (i == 0)
			wrong.state = HOLD_SOLD;
		else if (i == 1)
			wrong.hold_count = 2;
		else
			wrong.deadline_ms++;
		value.mv_size = order_pack(&wrong, record);
		assert_int_equal(mdb_put(txn, shop->store->tables[TABLE_ORDERS], &key, &value, 0), 0);
		assert_int_equal(mdb_txn_commit(txn), 0);
		assert_int_equal(audit_run(shop->store, NULL, NULL, &audit), 0);
		assert_false(audit.consistent);
		audit_release(&audit);
		assert_int_equal(mdb_txn_begin(shop->store->env, NULL, 0, &txn), 0);
		value.mv_size = order_pack(&order, record);
		assert_int_equal(mdb_put(txn, shop->store->tables[TABLE_ORDERS], &key, &value, 0), 0);
		assert_int_equal(mdb_txn_commit(txn), 0);
	}
}

/* Many orders, every end, in any order of groups: the books stay right. */
static void many_orders_by_dice(void **state)
{
	struct shop *shop = *state;
	uint64_t dice = 88172645463325252u;

	shop_add(shop, "SKU0008", 100000);
	shop_add(shop, "SKU0009", 100000);
	for (uint32_t round = 0; round < 150; round++) {
		uint32_t order = 10000 + round, first = 20000 + round * 4, count = round % 4 + 1;

		shop_begin(shop);
		for (uint32_t i = 0; i < count; i++) {
			struct hold_request request =
				shop_request(first + i, i % 2 ? "SKU0009" : "SKU0008", "user", 1 + i);

			shop_create(shop, &request);
		}
		bind(shop, order, first, count, 1000 + round % 7 * 400);
		shop_commit(shop);
		for (int i = 0; i < 3; i++) {
			uint32_t which;

			dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
			which = 10000 + (uint32_t)(dice >> 20) % (round + 1);
			if (dice % 5 == 0)
				release(shop, which);
			else if (dice % 5 == 1)
				refund(shop, which);
			else
				confirm(shop, which, dice % 2 ? "a" : "b");
		}
		shop_pass(shop, (int64_t)(dice % 500));
	}
	books_are_right(shop);
	assert_true(shop->total.paid > 5 && shop->total.overdue > 5 && shop->total.taken_back > 0 &&
		    shop->total.cancelled > 0);
	shop_pass(shop, SHOP_TTL_MS);
	assert_int_equal(shop_goods(shop, "SKU0009").held, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* An archive asks whether the floor has passed all that is about the goods: an order's own entry is, and comes after those of its holds. */
static void an_orders_entry_is_about_its_goods(void **state)
{
	struct shop *shop = *state;

	shop_buy(shop, 1, 1);
	shop_buy(shop, 2, 1);
	assert_int_equal(shop_bind(shop, 10, 1, 2).verdict, VERDICT_YES);
	assert_int_equal(shop_goods(shop, "SKU0001").last, shop->head);
	assert_int_equal(shop_confirm_order(shop, 10, "p").verdict, VERDICT_YES);
	assert_int_equal(shop_goods(shop, "SKU0001").last, shop->head);
	assert_int_equal(shop_refund_order(shop, 10).verdict, VERDICT_YES);
	assert_int_equal(shop_goods(shop, "SKU0001").last, shop->head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_order_has_one_deadline_and_the_old_prices),
		TEST(the_time_to_pay_is_clamped),
		TEST(binding_again_changes_nothing),
		TEST(one_bad_hold_binds_none),
		TEST(a_hold_is_in_one_order),
		TEST(another_cart_s_hold_is_not_for_us),
		TEST(a_kept_hold_is_not_moved_alone),
		TEST(all_are_sold_at_once),
		TEST(an_orders_entry_is_about_its_goods),
		TEST(a_second_payment_hears_of_the_first),
		TEST(all_end_together),
		TEST(too_late_is_too_late_for_all),
		TEST(touching_one_ends_all),
		TEST(all_are_given_back_at_once),
		TEST(a_refund_puts_the_units_on_sale_again),
		TEST(an_order_that_is_not_there),
		TEST(the_ledger_tells_of_orders_after_their_holds),
		TEST(orders_outlive_a_restart),
		TEST(a_full_store_takes_no_orders_but_ends_them),
		TEST(the_largest_order),
		TEST(the_audit_sees_an_order_that_lies),
		TEST(many_orders_by_dice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
