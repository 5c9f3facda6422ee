#include "check.h"

#include "counter.h"

#define OK COMMON__REASON__REASON_UNSPECIFIED
#define REASON(name) COMMON__REASON__REASON_##name

static struct span pay(const char *text)
{
	return span_of(text);
}

static void a_checkout_takes_all_that_lies_in_the_cart(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct line *late = counter_hold(counter, 3, "ann", "SKU3", 1);
	struct line *one = counter_hold(counter, 1, "ann", "SKU1", 1);
	struct line *other = counter_hold(counter, 2, "ann", "SKU2", 2);
	struct line *foreign = counter_hold(counter, 4, "bob", "SKU1", 1);

	late->deadline_ms = counter->now_ms;
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 1);
	assert_int_equal(orders[0]->item_count, 2);
	assert_memory_equal(&orders[0]->items[0].hold, &one->id, ID_BYTES);
	assert_memory_equal(&orders[0]->items[1].hold, &other->id, ID_BYTES);
	assert_false(line_in_cart(one) || line_in_cart(other));
	assert_true(line_in_cart(late) && line_in_cart(foreign));
	assert_int_equal(one->usage->held, 1); /* it still counts */
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 0);
	assert_int_equal(counter_checkout(counter, "cy", NULL, orders), 0);
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static void a_cart_over_shards_becomes_an_order_each(void **state)
{
	struct counter *counter = counter_new(2);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	char sku[16];
	size_t count;

	for (uint32_t i = 0; i < 10; i++) {
		snprintf(sku, sizeof(sku), "SKU%u", i);
		counter_hold(counter, i + 1, "ann", sku, 1);
	}
	count = counter_checkout(counter, "ann", NULL, orders);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(orders[i]->shard, i);
		for (uint32_t j = 0; j < orders[i]->item_count; j++)
			assert_int_equal(lines_find(&counter->cart->lines, &orders[i]->items[j].hold)
						 ->usage->goods->shard,
				i);
	}
	assert_int_equal(orders[0]->item_count + orders[1]->item_count, 10);
	counter_store(counter, OK);
	counter_store(counter, OK);
	counter->asking[0]->asking = counter->asking[1]->asking = false;
	counter_free(counter);
}

static void a_large_cart_becomes_several_orders(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];

	for (uint32_t i = 0; i < ORDER_HOLDS_MAX * 2 + 1; i++)
		counter_hold(counter, i + 1, "ann", "SKU1", 1);
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 3);
	assert_int_equal(orders[0]->item_count, ORDER_HOLDS_MAX);
	assert_int_equal(orders[2]->item_count, 1);
	for (int i = 0; i < 3; i++)
		counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static void an_order_s_id_belongs_to_its_owner_s_shard(void **state)
{
	struct counter *counter = counter_new_sharded(1, 7, 3);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	char text[ID_TEXT_LENGTH + 1];

	for (uint32_t i = 1; i <= 10; i++) {
		counter_hold(counter, i, "ann", "SKU1", 1);
		assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 1);
		assert_int_equal(hash_shard(id_format(&orders[0]->id, text), 7), 3);
	}
	while (counter->decisions)
		counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static void nothing_is_asked_before_it_is_durable(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer grant;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->asked, 0);
	assert_int_equal(counter->decided, 1);
	counter_store(counter, OK);
	assert_int_equal(counter->asked, 1);
	assert_int_equal(counter->last_wish, WISH_BIND);
	assert_false(order_visible(orders[0]));
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->asked, 1); /* once at a time */
	grant = counter_grant(orders[0], LINE_HELD, 1);
	counter_answer(counter, &grant);
	assert_true(order_visible(orders[0]));
	counter_free(counter);
}

static void a_decision_that_is_not_stored_never_was(void **state)
{
	struct counter *counter = counter_new(1);
	struct line *line = counter_hold(counter, 1, "ann", "SKU1", 1);
	struct order *orders[CHECKOUT_ORDERS_MAX], *order;
	struct order_waiter waiter;

	counter_checkout(counter, "ann", NULL, orders);
	assert_false(orders_await(counter->orders, orders[0], &waiter));
	counter_store(counter, REASON(STORE_FULL));
	assert_int_equal(counter->outcome.reason, REASON(STORE_FULL));
	assert_true(line_in_cart(line));
	assert_int_equal(counter->asked, 0);
	assert_int_equal(counter->orders->by_id.count, 0);
	lines_remove(&counter->cart->lines, line);
	order = counter_open(counter);
	assert_false(orders_confirm(counter->orders, order, pay("a"), &waiter));
	counter_store(counter, REASON(STORE_FAILED));
	assert_int_equal(counter->outcome.reason, REASON(STORE_FAILED));
	assert_int_equal(order->wish, WISH_NONE);
	assert_null(order->payment);
	assert_false(orders_confirm(counter->orders, order, pay("b"), &waiter));
	orders_give_up(counter->orders, &waiter);
	counter_store(counter, REASON(STORE_FAILED));
	counter_free(counter);
}

static void who_waits_hears_when_the_ledger_has_told(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_waiter waiter;
	struct order_answer grant;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	orders_await(counter->orders, orders[0], &waiter);
	counter_store(counter, OK);
	grant = counter_grant(orders[0], LINE_HELD, 1);
	counter_answer(counter, &grant);
	assert_int_equal(counter->told, 0);
	counter_ledger(counter, &orders[0]->id, "ann", LINE_HELD, "");
	assert_int_equal(counter->told, 1);
	assert_int_equal(counter->outcome.reason, OK);
	assert_int_equal(counter->stored, 1);
	counter_free(counter);
}

static void the_ledger_may_be_quicker_than_the_answer(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_waiter waiter;
	struct order_answer lost = {.kind = ANSWER_LOST};

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	orders_await(counter->orders, orders[0], &waiter);
	counter_store(counter, OK);
	counter_ledger(counter, &orders[0]->id, "ann", LINE_HELD, "");
	assert_int_equal(counter->told, 1);
	counter_answer(counter, &lost);
	orders_kick(counter->orders, 0, counter->now_ms + 10000);
	assert_int_equal(counter->asked, 1);
	counter_free(counter);
}

static void an_answer_that_the_ledger_has_passed_is_told_at_once(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;
	struct order_answer grant;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	grant = counter_grant(order, LINE_SOLD, counter->cart->links[0].position);
	counter_answer(counter, &grant);
	assert_int_equal(counter->told, 1);
	assert_int_equal(counter->outcome.reason, OK);
	counter_free(counter);
}

static void a_refused_bind_is_forgotten_before_it_is_told(void **state)
{
	struct counter *counter = counter_new(1);
	struct line *line = counter_hold(counter, 1, "ann", "SKU1", 1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer no = counter_refusal(REASON(HOLD_EXPIRED), 1);
	struct order_waiter waiter;
	struct id bad = counter_id(1);

	counter_checkout(counter, "ann", NULL, orders);
	orders_await(counter->orders, orders[0], &waiter);
	counter_store(counter, OK);
	counter_answer(counter, &no);
	assert_int_equal(counter->told, 0);
	assert_int_equal(counter->undecisions, 1);
	counter_undo(counter);
	assert_int_equal(counter->told, 1);
	assert_int_equal(counter->outcome.reason, REASON(HOLD_EXPIRED));
	assert_memory_equal(&counter->outcome.bad, &bad, ID_BYTES);
	assert_true(line_in_cart(line));
	assert_int_equal(counter->orders->by_id.count, 0);
	counter_free(counter);
}

static void what_is_not_known_is_asked_again(void **state)
{
	static const struct order_answer passing[] = {{.kind = ANSWER_LOST}, {.kind = ANSWER_UNSENT},
		{.kind = ANSWER_BUSY}, {.kind = ANSWER_REFUSAL, .reason = REASON(OVERLOADED)},
		{.kind = ANSWER_REFUSAL, .reason = REASON(STORE_FULL)},
		{.kind = ANSWER_REFUSAL, .reason = REASON(DEPENDENCY_DOWN)}};
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;
	size_t asked = counter->asked;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		assert_int_equal(counter->asked, asked + i + 1);
		counter_answer(counter, &passing[i]);
		orders_kick(counter->orders, 0, counter->now_ms);
		assert_int_equal(counter->asked, asked + i + 1); /* not at once */
		counter->now_ms += 2000;
		orders_kick(counter->orders, 0, counter->now_ms);
	}
	orders_give_up(counter->orders, &waiter);
	assert_int_equal(waiter.outcome.reason, REASON(OUTCOME_UNKNOWN));
	assert_int_equal(order->wish, WISH_CONFIRM);
	counter->asking[0]->asking = false;
	counter_free(counter);
}

static void nothing_is_asked_over_a_link_that_is_not_usable(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;
	size_t asked = counter->asked;

	counter->cart->links[0].usable = false;
	orders_cancel(counter->orders, order, &waiter);
	counter_store(counter, OK);
	assert_int_equal(counter->asked, asked);
	counter->cart->links[0].usable = true;
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->asked, asked + 1);
	assert_int_equal(counter->last_wish, WISH_CANCEL);
	orders_give_up(counter->orders, &waiter);
	counter_free(counter);
}

static void paying(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter, same, other;
	struct order_answer grant;

	assert_false(orders_confirm(counter->orders, order, pay("a"), &waiter));
	assert_false(orders_confirm(counter->orders, order, pay("a"), &same));
	assert_true(orders_confirm(counter->orders, order, pay("b"), &other));
	assert_int_equal(other.outcome.reason, REASON(IN_PROGRESS));
	assert_int_equal(counter->decided, 2);
	counter_store(counter, OK);
	grant = counter_grant(order, LINE_SOLD, 99);
	counter_answer(counter, &grant);
	assert_int_equal(order->truth, LINE_SOLD);
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	assert_int_equal(counter->told, 2);
	assert_true(orders_confirm(counter->orders, order, pay("a"), &waiter));
	assert_int_equal(waiter.outcome.reason, OK);
	assert_true(orders_confirm(counter->orders, order, pay("b"), &waiter));
	assert_int_equal(waiter.outcome.reason, REASON(WRONG_STATE));
	assert_true(orders_cancel(counter->orders, order, &waiter));
	assert_int_equal(waiter.outcome.reason, REASON(WRONG_STATE));
	assert_false(order_refund_due(order));
	counter_free(counter);
}

static void no_cancelling_while_it_is_being_paid_for(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter, other;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	assert_true(orders_cancel(counter->orders, order, &other));
	assert_int_equal(other.outcome.reason, REASON(WRONG_STATE));
	orders_give_up(counter->orders, &waiter);
	counter_store(counter, OK);
	assert_int_equal(counter->last_wish, WISH_CONFIRM);
	counter->asking[0]->asking = false;
	counter_free(counter);
}

static void no_paying_while_it_is_being_cancelled(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter, other;

	orders_cancel(counter->orders, order, &waiter);
	assert_true(orders_confirm(counter->orders, order, pay("a"), &other));
	assert_int_equal(other.outcome.reason, REASON(IN_PROGRESS));
	assert_null(order->payment);
	counter_store(counter, OK);
	counter_ledger(counter, &order->id, "ann", LINE_RELEASED, "");
	assert_int_equal(counter->outcome.reason, OK);
	assert_true(orders_cancel(counter->orders, order, &other));
	assert_int_equal(other.outcome.reason, OK);
	assert_true(orders_confirm(counter->orders, order, pay("a"), &other));
	assert_int_equal(other.outcome.reason, REASON(WRONG_STATE));
	counter_free(counter);
}

static void expired_is_the_ledger_s_word(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_answer no = counter_refusal(REASON(HOLD_EXPIRED), 0);
	struct order_waiter waiter, early;
	size_t asked;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	orders_confirm(counter->orders, order, pay("a"), &early);
	counter_store(counter, OK);
	counter_answer(counter, &no);
	assert_int_equal(order->truth, LINE_HELD);
	assert_int_equal(order->wish, WISH_CONFIRM);
	asked = counter->asked;
	orders_kick(counter->orders, 0, counter->now_ms + 100000);
	assert_int_equal(counter->asked, asked); /* inventory has spoken */
	orders_give_up(counter->orders, &early);
	assert_int_equal(early.outcome.reason, REASON(HOLD_EXPIRED));
	counter_ledger(counter, &order->id, "ann", LINE_EXPIRED, "");
	assert_int_equal(order->truth, LINE_EXPIRED);
	assert_int_equal(counter->outcome.reason, REASON(HOLD_EXPIRED));
	assert_true(order_refund_due(order));
	assert_string_equal(order->payment, "a");
	assert_true(orders_cancel(counter->orders, order, &waiter));
	assert_int_equal(waiter.outcome.reason, REASON(HOLD_EXPIRED));
	counter_free(counter);
}

static void an_answer_alone_never_expires(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer grant;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	counter_store(counter, OK);
	grant = counter_grant(orders[0], LINE_EXPIRED, 2); /* bound by an earlier life, and ended */
	counter_answer(counter, &grant);
	assert_false(order_visible(orders[0]));
	counter_ledger(counter, &orders[0]->id, "ann", LINE_HELD, "");
	counter_ledger(counter, &orders[0]->id, "ann", LINE_EXPIRED, "");
	assert_int_equal(orders[0]->truth, LINE_EXPIRED);
	assert_false(order_refund_due(orders[0]));
	counter_free(counter);
}

static void refunding(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;

	assert_true(orders_refund(counter->orders, order, &waiter));
	assert_int_equal(waiter.outcome.reason, REASON(WRONG_STATE));
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	assert_false(orders_refund(counter->orders, order, &waiter));
	counter_store(counter, OK);
	assert_int_equal(counter->last_wish, WISH_REFUND);
	counter_ledger(counter, &order->id, "ann", LINE_REFUNDED, "a");
	assert_int_equal(counter->outcome.reason, OK);
	assert_true(orders_refund(counter->orders, order, &waiter));
	assert_int_equal(waiter.outcome.reason, OK);
	assert_true(orders_confirm(
		counter->orders, order, pay("a"), &waiter)); /* the same again, late: it did count */
	assert_int_equal(waiter.outcome.reason, OK);
	assert_true(orders_confirm(counter->orders, order, pay("b"), &waiter));
	assert_int_equal(waiter.outcome.reason, REASON(WRONG_STATE));
	counter_free(counter);
}

/* An answer settles the wish that it was asked for: the next one, which the ledger let begin before it came, is still to be asked. */
static void a_late_answer_is_not_the_next_wish_s(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX], *order;
	struct order_waiter bound, paid;
	struct order_answer grant;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	order = orders[0];
	orders_await(counter->orders, order, &bound);
	counter_store(counter, OK);
	counter_ledger(counter, &order->id, "ann", LINE_HELD, "");
	assert_false(orders_confirm(counter->orders, order, pay("a"), &paid));
	counter_store(counter, OK);
	assert_int_equal(counter->asked, 1);
	grant = counter_grant(order, LINE_HELD, counter->cart->links[0].position);
	counter_answer(counter, &grant); /* of the bind */
	assert_int_equal(counter->asked, 2);
	assert_int_equal(counter->last_wish, WISH_CONFIRM);
	orders_give_up(counter->orders, &paid);
	counter_free(counter);
}

static void a_payment_that_lost_to_another_hears_so(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "b"); /* an operator was quicker */
	assert_int_equal(counter->outcome.reason, REASON(WRONG_STATE));
	assert_string_equal(order->payment, "b");
	counter_free(counter);
}

static void the_truth_goes_forward_only(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);

	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	counter_ledger(counter, &order->id, "ann", LINE_EXPIRED, "");
	assert_int_equal(order->truth, LINE_SOLD);
	counter_ledger(counter, &order->id, "ann", LINE_HELD, "");
	assert_int_equal(order->truth, LINE_SOLD);
	assert_string_equal(order->payment, "a");
	counter_ledger(counter, &order->id, "ann", LINE_REFUNDED, "a");
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	assert_int_equal(order->truth, LINE_REFUNDED);
	counter_free(counter);
}

static void what_the_ledger_tells_of_is_adopted(void **state)
{
	struct counter *counter = counter_new(1);
	struct id id = counter_id(500), unknown = counter_id(501);
	const struct order *order;

	counter_ledger(counter, &id, "ann", LINE_HELD, "");
	order = orders_find(counter->orders, &id);
	assert_non_null(order);
	assert_true(order && order_visible(order));
	assert_int_equal(counter->orders->counters.adopted, 1);
	counter_ledger(counter, &unknown, "ann", LINE_SOLD, "a");
	assert_null(orders_find(counter->orders, &unknown));
	assert_int_equal(counter->orders->counters.anomalies, 1);
	counter->cart->links[0].floor = counter->cart->links[0].position + 2; /* its begin was dropped */
	counter_ledger(counter, &unknown, "ann", LINE_SOLD, "a");
	assert_int_equal(counter->orders->counters.anomalies, 1);
	counter_free(counter);
}

static void equal_keys_are_one_checkout(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX], *again[CHECKOUT_ORDERS_MAX];
	struct checkout other = {.user = span_of("ann"), .keyed = true, .ttl_ms = 5};
	bool same;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	assert_int_equal(counter_checkout(counter, "ann", "key", orders), 1);
	counter_hold(counter, 2, "ann", "SKU1", 1);
	assert_int_equal(counter_checkout(counter, "ann", "key", again), 1);
	assert_ptr_equal(orders[0], again[0]);
	other.key = key_scope("ann", 3, "key", 3);
	assert_int_equal(orders_by_key(counter->orders, &other, again, &same), 1);
	assert_false(same);
	assert_int_equal(counter_checkout(counter, "ann", "another", again), 1);
	assert_ptr_not_equal(orders[0], again[0]);
	counter_store(counter, REASON(STORE_FULL));
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static struct order_record record_of(enum line_state truth, const char *payment, struct order_item *item)
{
	*item = (struct order_item){.hold = counter_id(1), .quantity = 1, .currency = "USD", .sku = "SKU1"};
	return (struct order_record){.id = counter_id(500),
		.user = span_of("ann"),
		.payment = span_of(payment),
		.item_count = 1,
		.items = item,
		.truth = truth};
}

static void a_payment_under_way_goes_on_after_a_restart(void **state)
{
	struct counter *counter = counter_new(1);
	struct order_item item;
	struct order_record record = record_of(LINE_HELD, "", &item);
	struct order_decision decision = {.id = record.id,
		.user = record.user,
		.payment = span_of("a"),
		.wish = WISH_CONFIRM,
		.keyed = true,
		.key = {{7}}};
	const struct order *order;

	assert_true(orders_load(counter->orders, &record));
	assert_false(orders_load(counter->orders, &record));
	orders_load_decision(counter->orders, &decision);
	orders_start(counter->orders);
	assert_int_equal(counter->asked, 0);
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->asked, 1);
	assert_int_equal(counter->last_wish, WISH_CONFIRM);
	order = counter->asking[0];
	assert_string_equal(order->payment, "a");
	assert_true(order->keyed);
	counter_ledger(counter, &record.id, "ann", LINE_SOLD, "a");
	assert_int_equal(order->truth, LINE_SOLD);
	counter_free(counter);
}

/* The ledger that is left tells nothing of it: the decision must not wait for its word. */
static void a_payment_of_what_inventory_does_not_have_is_forgotten(void **state)
{
	static const Common__Reason missing[] = {REASON(GONE), REASON(NOT_FOUND)};

	for (int i = 0; i < 2; i++) {
		const struct order_answer answer = {.kind = ANSWER_REFUSAL, .reason = missing[i]};
		struct counter *counter = counter_new(1);
		struct order_item item;
		struct order_record record = record_of(LINE_HELD, "", &item);
		struct order_decision decision = {
			.id = record.id, .user = record.user, .payment = span_of("a"), .wish = WISH_CONFIRM};

		orders_load_decision(counter->orders, &decision);
		orders_start(counter->orders);
		orders_kick(counter->orders, 0, counter->now_ms);
		counter_answer(counter, &answer);
		assert_int_equal(counter->undecisions, 1);
		counter_undo(counter);
		assert_null(orders_find(counter->orders, &record.id));
		counter_free(counter);
	}
}

static void a_bind_under_way_goes_on_after_a_restart(void **state)
{
	struct counter *counter = counter_new(1);
	struct line *line = counter_hold(counter, 1, "ann", "SKU1", 1);
	struct id hold = counter_id(1);
	struct order_decision decision = {.id = counter_id(500),
		.user = span_of("ann"),
		.payment = span_of(""),
		.wish = WISH_BIND,
		.hold_count = 1,
		.holds = &hold,
		.ttl_ms = 77};

	orders_load_decision(counter->orders, &decision);
	orders_start(counter->orders);
	assert_false(line_in_cart(line));
	assert_false(order_visible(orders_find(counter->orders, &decision.id)));
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->last_wish, WISH_BIND);
	assert_int_equal(counter->asking[0]->ttl_ms, 77);
	assert_memory_equal(&counter->asking[0]->items[0].hold, &hold, ID_BYTES);
	counter->asking[0]->asking = false;
	counter_free(counter);
}

static void wishes_that_came_true_are_not_asked_for_again(void **state)
{
	static const struct {
		enum line_state truth;
		enum order_wish wish;
		size_t asked;
	} cases[] = {{LINE_HELD, WISH_BIND, 0}, {LINE_HELD, WISH_CONFIRM, 1}, {LINE_SOLD, WISH_CONFIRM, 0},
		{LINE_EXPIRED, WISH_CONFIRM, 0}, {LINE_HELD, WISH_CANCEL, 1}, {LINE_RELEASED, WISH_CANCEL, 0},
		{LINE_EXPIRED, WISH_CANCEL, 0}, {LINE_SOLD, WISH_REFUND, 1}, {LINE_REFUNDED, WISH_REFUND, 0},
		{LINE_SOLD, WISH_BIND, 0}, {LINE_HELD, WISH_REFUND, 1}, {LINE_EXPIRED, WISH_REFUND, 0},
		{LINE_REFUNDED, WISH_CONFIRM, 0}, {0, WISH_CONFIRM, 1}, {0, WISH_CANCEL, 1},
		{0, WISH_REFUND, 1}}; /* 0: the store has the decision only */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct counter *counter = counter_new(1);
		struct order_item item;
		struct order_record record = record_of(cases[i].truth, "", &item);
		struct order_decision decision = {
			.id = record.id, .user = record.user, .payment = span_of("a"), .wish = cases[i].wish};

		if (cases[i].truth)
			orders_load(counter->orders, &record);
		orders_load_decision(counter->orders, &decision);
		orders_start(counter->orders);
		orders_kick(counter->orders, 0, counter->now_ms);
		assert_int_equal(counter->asked, cases[i].asked);
		counter_free(counter);
	}
}

static void a_stale_epoch_means_that_another_has_taken_over(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_answer stale = counter_refusal(REASON(STALE_EPOCH), 0);
	struct order_waiter waiter;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	counter->cart->links[0].fence.accepted = 2; /* our own newer one: only late */
	counter_answer(counter, &stale);
	assert_int_equal(counter->succeeded, 0);
	counter->now_ms += 10000;
	orders_kick(counter->orders, 0, counter->now_ms);
	counter_answer(counter, &stale);
	assert_int_equal(counter->succeeded, 1);
	orders_give_up(counter->orders, &waiter);
	counter_free(counter);
}

static void deadlines_move_with_inventory_s_outages(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);

	assert_int_equal(orders_deadline_ms(counter->orders, order), COUNTER_NOW_MS + COUNTER_HOLD_MS);
	counter->cart->lines.moved_ms[0] += 1234;
	assert_int_equal(orders_deadline_ms(counter->orders, order), COUNTER_NOW_MS + COUNTER_HOLD_MS + 1234);
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	counter->cart->lines.moved_ms[0] += 1234;
	assert_int_equal(orders_deadline_ms(counter->orders, order), COUNTER_NOW_MS + COUNTER_HOLD_MS);
	counter_free(counter);
}

static void ended_orders_are_forgotten_paid_ones_are_not(void **state)
{
	struct counter *counter = counter_new(1);
	struct id paid = counter_id(500), ended = counter_id(501), open = counter_id(502);

	for (uint32_t i = 500; i <= 502; i++) {
		struct id id = counter_id(i);

		counter_ledger(counter, &id, "ann", LINE_HELD, "");
	}
	counter_ledger(counter, &paid, "ann", LINE_SOLD, "a");
	counter_ledger(counter, &ended, "ann", LINE_RELEASED, "");
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms + ORDERS_MEMORY_MS - 1, 10), 0);
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms + ORDERS_MEMORY_MS, 10), 1);
	assert_int_equal(counter->forgotten, 1);
	assert_null(orders_find(counter->orders, &ended));
	assert_non_null(orders_find(counter->orders, &paid));
	assert_non_null(orders_find(counter->orders, &open));
	counter_free(counter);
}

static void a_customer_s_orders_are_newest_first(void **state)
{
	static const uint32_t numbers[] = {503, 501, 504, 502};
	struct counter *counter = counter_new(1);
	const struct order *order;
	uint32_t expected = 504;

	for (int i = 0; i < 4; i++) {
		struct id id = counter_id(numbers[i]);

		counter_ledger(counter, &id, "ann", LINE_HELD, "");
	}
	for (order = orders_customer(counter->orders, span_of("ann"))->newest; order; order = order->older) {
		struct id id = counter_id(expected--);

		assert_memory_equal(&order->id, &id, ID_BYTES);
	}
	assert_int_equal(expected, 500);
	assert_null(orders_customer(counter->orders, span_of("bob")));
	counter_free(counter);
}

static void a_stored_payment_is_not_forgotten_for_a_decision_s(void **state)
{
	struct counter *counter = counter_new(1);
	struct order_item item;
	struct order_record record = record_of(LINE_HELD, "a", &item);
	const struct order_decision decision = {
		.id = record.id, .user = record.user, .payment = span_of("b"), .wish = WISH_CONFIRM};

	orders_load(counter->orders, &record);
	orders_load_decision(counter->orders, &decision);
	assert_string_equal(orders_find(counter->orders, &record.id)->payment, "a");
	counter_free(counter);
	orders_free(NULL); /* as of a service that did not get that far */
}

/* Orders of an archived sale are forgotten, but not while something of them is under way; who waits hears that they are gone. */
static void an_archived_sale_s_orders_are_forgotten(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter = {0}, late = {0};
	struct order_answer answer;
	struct id id = order->id;

	archive_orders(counter, 0, "SKU1");
	assert_non_null(orders_find(counter->orders, &id)); /* it is not sold: one of the next sale */
	counter_ledger(counter, &id, "ann", LINE_SOLD, "p");
	archive_orders(counter, 0, "SKU1");
	assert_non_null(orders_find(
		counter->orders, &id)); /* and this one too, paid for before the ledger is read so far */
	lines_remove(&counter->cart->lines, lines_find(&counter->cart->lines, &order->items[0].hold));
	archive_orders(counter, 0, "SKU2");
	archive_orders(counter, 1, "SKU1");
	assert_non_null(orders_find(counter->orders, &id));
	assert_false(orders_refund(counter->orders, order, &waiter));
	counter_store(counter, OK);
	assert_int_equal(counter->last_wish, WISH_REFUND);
	counter->forgotten = 0;
	archive_orders(counter, 0, "SKU1");
	assert_int_equal(counter->forgotten, 1);
	assert_int_equal(counter->told, 1);
	assert_int_equal(waiter.outcome.reason, REASON(GONE));
	assert_non_null(orders_find(counter->orders, &id)); /* inventory is being asked */
	archive_orders(counter, 0, "SKU1");
	assert_int_equal(counter->forgotten, 1);
	assert_false(orders_refund(counter->orders, order, &late)); /* asks meanwhile */
	counter_store(counter, OK);
	answer = counter_refusal(REASON(GONE), 0);
	counter_answer(counter, &answer);
	assert_int_equal(late.outcome.reason, REASON(GONE));
	assert_null(orders_find(counter->orders, &id));
	counter_free(counter);
}

static void ignore_line(void *context, const struct line *line)
{
}

/* The ledger was read while its entries were dropped: that it was sold is not in it any more. Its lines went before. */
static void an_archived_order_whose_end_was_not_told_is_forgotten(void **state)
{
	struct counter *counter = counter_new(1);
	struct id id = counter_open(counter)->id;

	assert_false(lines_archive(
		&counter->cart->lines, span_of("SKU1"), &(struct map_walk){0}, SIZE_MAX, ignore_line, NULL));
	archive_orders(counter, 0, "SKU1");
	assert_null(orders_find(counter->orders, &id));
	counter_free(counter);
}

/* Of an order that is gone the ledger can have the end without the begin. */
static void the_end_of_what_is_gone_is_no_anomaly(void **state)
{
	struct counter *counter = counter_new(1);
	struct id gone = counter_id(5), unknown = counter_id(6);

	cart_removed(counter->cart, 0, &gone);
	counter_ledger(counter, &gone, "ann", LINE_EXPIRED, "");
	assert_int_equal(counter->orders->counters.anomalies, 0);
	counter_ledger(counter, &unknown, "ann", LINE_EXPIRED, "");
	assert_int_equal(counter->orders->counters.anomalies, 1);
	assert_null(orders_find(counter->orders, &gone));
	counter_free(counter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_checkout_takes_all_that_lies_in_the_cart),
		cmocka_unit_test(an_archived_sale_s_orders_are_forgotten),
		cmocka_unit_test(an_archived_order_whose_end_was_not_told_is_forgotten),
		cmocka_unit_test(the_end_of_what_is_gone_is_no_anomaly),
		cmocka_unit_test(a_cart_over_shards_becomes_an_order_each),
		cmocka_unit_test(a_large_cart_becomes_several_orders),
		cmocka_unit_test(an_order_s_id_belongs_to_its_owner_s_shard),
		cmocka_unit_test(nothing_is_asked_before_it_is_durable),
		cmocka_unit_test(a_decision_that_is_not_stored_never_was),
		cmocka_unit_test(who_waits_hears_when_the_ledger_has_told),
		cmocka_unit_test(the_ledger_may_be_quicker_than_the_answer),
		cmocka_unit_test(an_answer_that_the_ledger_has_passed_is_told_at_once),
		cmocka_unit_test(a_refused_bind_is_forgotten_before_it_is_told),
		cmocka_unit_test(what_is_not_known_is_asked_again),
		cmocka_unit_test(nothing_is_asked_over_a_link_that_is_not_usable),
		cmocka_unit_test(paying),
		cmocka_unit_test(no_cancelling_while_it_is_being_paid_for),
		cmocka_unit_test(no_paying_while_it_is_being_cancelled),
		cmocka_unit_test(expired_is_the_ledger_s_word),
		cmocka_unit_test(an_answer_alone_never_expires),
		cmocka_unit_test(refunding),
		cmocka_unit_test(a_late_answer_is_not_the_next_wish_s),
		cmocka_unit_test(a_payment_that_lost_to_another_hears_so),
		cmocka_unit_test(the_truth_goes_forward_only),
		cmocka_unit_test(what_the_ledger_tells_of_is_adopted),
		cmocka_unit_test(equal_keys_are_one_checkout),
		cmocka_unit_test(a_payment_under_way_goes_on_after_a_restart),
		cmocka_unit_test(a_payment_of_what_inventory_does_not_have_is_forgotten),
		cmocka_unit_test(a_bind_under_way_goes_on_after_a_restart),
		cmocka_unit_test(wishes_that_came_true_are_not_asked_for_again),
		cmocka_unit_test(a_stale_epoch_means_that_another_has_taken_over),
		cmocka_unit_test(deadlines_move_with_inventory_s_outages),
		cmocka_unit_test(ended_orders_are_forgotten_paid_ones_are_not),
		cmocka_unit_test(a_customer_s_orders_are_newest_first),
		cmocka_unit_test(a_stored_payment_is_not_forgotten_for_a_decision_s),
	};

	return RUN(tests);
}
