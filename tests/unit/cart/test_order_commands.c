/* Orders: every command in every state, twice, and at its limits. */
#include "check.h"

#include "counter.h"

#define OK COMMON__REASON__REASON_UNSPECIFIED
#define REASON(name) COMMON__REASON__REASON_##name

static struct span pay(const char *text)
{
	return span_of(text);
}

/* ---- every state against every command ---- */

enum order_command { COMMAND_CONFIRM, COMMAND_CONFIRM_OTHER, COMMAND_CANCEL, COMMAND_REFUND, COMMANDS };

static bool give(
	struct counter *counter, struct order *order, enum order_command command, struct order_waiter *waiter)
{
	if (command == COMMAND_CANCEL)
		return orders_cancel(counter->orders, order, waiter);
	if (command == COMMAND_REFUND)
		return orders_refund(counter->orders, order, waiter);
	return orders_confirm(counter->orders, order, pay(command == COMMAND_CONFIRM ? "a" : "b"), waiter);
}

#define ASKED COMMON__REASON__REASON_OUTCOME_UNKNOWN /* nothing stands in the way */

/* Of an order whose payment is "a", if it was paid for. */
static const Common__Reason verdicts[LINE_REFUNDED + 1][COMMANDS] = {
	[LINE_HELD] = {ASKED, ASKED, ASKED, REASON(WRONG_STATE)},
	[LINE_SOLD] = {OK, REASON(WRONG_STATE), REASON(WRONG_STATE), ASKED},
	[LINE_RELEASED] = {REASON(WRONG_STATE), REASON(WRONG_STATE), OK, REASON(WRONG_STATE)},
	[LINE_EXPIRED] = {REASON(HOLD_EXPIRED), REASON(HOLD_EXPIRED), REASON(HOLD_EXPIRED),
		REASON(WRONG_STATE)},
	[LINE_REFUNDED] = {OK, REASON(WRONG_STATE), REASON(WRONG_STATE), OK},
};

static struct order *in_state(struct counter *counter, enum line_state state)
{
	struct order *order = counter_open(counter);

	if (state == LINE_SOLD || state == LINE_REFUNDED)
		counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	if (state == LINE_RELEASED || state == LINE_EXPIRED || state == LINE_REFUNDED)
		counter_ledger(counter, &order->id, "ann", state, "");
	assert_int_equal(order->truth, state);
	return order;
}

static void every_state_against_every_command(void **state)
{
	for (enum line_state truth = LINE_HELD; truth <= LINE_REFUNDED; truth++)
		for (enum order_command command = 0; command < COMMANDS; command++) {
			struct counter *counter = counter_new(1);
			struct order *order = in_state(counter, truth);
			Common__Reason expected = verdicts[truth][command];
			size_t decided = counter->decided;
			struct order_waiter waiter;

			assert_int_equal(give(counter, order, command, &waiter), expected != ASKED);
			assert_int_equal(counter->decided, decided + (expected == ASKED));
			if (expected != ASKED)
				assert_int_equal(waiter.outcome.reason, expected);
			else
				orders_give_up(counter->orders, &waiter);
			counter_free(counter);
		}
}

/* The same command again, at each stage of the first: one decision, one question at a time, one effect. */
static void every_command_twice(void **state)
{
	static const struct {
		enum line_state from, to;
		enum order_command command;
	} cases[] = {{LINE_HELD, LINE_SOLD, COMMAND_CONFIRM}, {LINE_HELD, LINE_RELEASED, COMMAND_CANCEL},
		{LINE_SOLD, LINE_REFUNDED, COMMAND_REFUND}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct counter *counter = counter_new(1);
		struct order *order = in_state(counter, cases[i].from);
		size_t decided = counter->decided, asked = counter->asked;
		struct order_waiter waiters[3], after;
		struct order_answer grant;

		assert_false(give(counter, order, cases[i].command, &waiters[0]));
		assert_false(give(counter, order, cases[i].command, &waiters[1])); /* being stored */
		counter_store(counter, OK);
		assert_false(give(counter, order, cases[i].command, &waiters[2])); /* being asked */
		orders_give_up(counter->orders, &waiters[0]);			   /* the last of three */
		grant = counter_grant(order, cases[i].to, counter->cart->links[0].position + 1);
		counter_answer(counter, &grant);
		orders_give_up(
			counter->orders, &waiters[1]); /* before the ledger has told: known all the same */
		assert_int_equal(waiters[1].outcome.reason, OK);
		counter_ledger(counter, &order->id, "ann", cases[i].to, order->payment ? order->payment : "");
		assert_int_equal(counter->told, 1);
		assert_int_equal(counter->outcome.reason, OK);
		assert_true(give(counter, order, cases[i].command, &after));
		assert_int_equal(after.outcome.reason, OK);
		assert_int_equal(counter->decided, decided + 1);
		assert_int_equal(counter->asked, asked + 1);
		counter_free(counter);
	}
}

static void another_payment_waits_for_the_first_s_end(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter, other;

	assert_false(orders_confirm(counter->orders, order, pay("a"), &waiter));
	assert_true(orders_confirm(counter->orders, order, pay("b"), &other));
	assert_int_equal(other.outcome.reason, REASON(IN_PROGRESS));
	assert_string_equal(order->payment, "a");
	orders_give_up(counter->orders, &waiter);
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

/* ---- what is under way ---- */

static void an_awaited_order_that_is_bound_is_there(void **state)
{
	struct counter *counter = counter_new(1);
	struct order_waiter waiter;

	assert_true(orders_await(counter->orders, counter_open(counter), &waiter));
	assert_int_equal(waiter.outcome.reason, OK);
	counter_free(counter);
}

static void giving_up_on_a_bind_is_unknown(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_waiter waiter, other;
	struct order_answer grant;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	orders_await(counter->orders, orders[0], &waiter);
	orders_await(counter->orders, orders[0], &other);
	assert_true(orders_cancel(counter->orders, orders[0], &(struct order_waiter){0}));
	orders_give_up(counter->orders, &waiter);
	assert_int_equal(waiter.outcome.reason, REASON(OUTCOME_UNKNOWN));
	counter_store(counter, OK);
	grant = counter_grant(
		orders[0], LINE_EXPIRED, 9); /* it was bound once, the ledger is about to tell */
	counter_answer(counter, &grant);
	orders_give_up(counter->orders, &other);
	assert_int_equal(other.outcome.reason, REASON(OUTCOME_UNKNOWN));
	counter_free(counter);
}

static void an_undone_bind_is_not_asked_for(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer no = counter_refusal(REASON(WRONG_STATE), 1);

	counter_hold(counter, 1, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	counter_store(counter, OK);
	counter_answer(counter, &no);
	orders_kick(counter->orders, 0, counter->now_ms + 100000);
	assert_int_equal(counter->asked, 1);
	counter_undo(counter);
	counter_free(counter);
}

static void a_cancellation_that_is_not_stored_leaves_the_order(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;

	assert_false(orders_cancel(counter->orders, order, &waiter));
	counter_store(counter, REASON(STORE_FULL));
	assert_int_equal(counter->outcome.reason, REASON(STORE_FULL));
	assert_false(orders_confirm(counter->orders, order, pay("a"), &waiter));
	orders_give_up(counter->orders, &waiter);
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

/* An operator's refund comes through the ledger before the decision is on disk. */
static void the_ledger_may_be_quicker_than_the_disk(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter, other;

	assert_false(orders_cancel(counter->orders, order, &waiter));
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	assert_int_equal(counter->outcome.reason, REASON(WRONG_STATE));
	assert_int_equal(order->wish, WISH_NONE);
	assert_true(orders_refund(counter->orders, order, &other)); /* not while the other is being stored */
	assert_int_equal(other.outcome.reason, REASON(IN_PROGRESS));
	counter_store(counter, OK);
	assert_int_equal(counter->asks, 0);
	assert_false(orders_refund(counter->orders, order, &other));
	orders_give_up(counter->orders, &other);
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static void what_the_ledger_repeats_decides_nothing(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;

	assert_false(orders_confirm(counter->orders, order, pay("a"), &waiter));
	counter_ledger(counter, &order->id, "ann", LINE_HELD, "");
	assert_int_equal(counter->told, 0);
	assert_int_equal(order->truth, LINE_HELD);
	orders_give_up(counter->orders, &waiter);
	counter_store(counter, REASON(STORE_FULL));
	counter_free(counter);
}

static void a_refusal_waits_for_the_ledger_or_asks_again(void **state)
{
	static const struct {
		Common__Reason reason;
		bool again;
	} cases[] = {{REASON(WRONG_STATE), false}, {REASON(HOLD_EXPIRED), false}, {REASON(GONE), false},
		{REASON(NOT_FOUND), true}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct counter *counter = counter_new(1);
		struct order *order = counter_open(counter);
		struct order_answer no = counter_refusal(cases[i].reason, 0);
		struct order_waiter waiter;
		size_t asked;

		orders_cancel(counter->orders, order, &waiter);
		counter_store(counter, OK);
		counter_answer(counter, &no);
		asked = counter->asked;
		orders_kick(counter->orders, 0, counter->now_ms + 100000);
		assert_int_equal(counter->asked, asked + cases[i].again);
		assert_int_equal(counter->orders->counters.anomalies, cases[i].again);
		orders_give_up(counter->orders, &waiter);
		if (cases[i].again)
			counter_answer(counter, &no);
		counter_free(counter);
	}
}

static void a_cancelled_order_with_a_payment_wants_a_refund(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	counter_ledger(counter, &order->id, "ann", LINE_RELEASED, ""); /* an operator was quicker */
	assert_int_equal(counter->outcome.reason, REASON(WRONG_STATE));
	assert_true(order_refund_due(order));
	counter_free(counter);
}

static void asks_are_bounded_and_the_next_leaves_when_one_is_back(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer grant;

	counter->orders->options.asks_max = 1;
	for (uint32_t i = 1; i <= 3; i++) {
		counter_hold(counter, i, "ann", "SKU1", 1);
		counter_checkout(counter, "ann", NULL, &orders[i]);
		counter_store(counter, OK);
	}
	assert_int_equal(counter->asks, 1);
	for (uint32_t i = 1; i <= 3; i++) {
		assert_ptr_equal(counter->asking[0], orders[i]);
		grant = counter_grant(orders[i], LINE_HELD, i);
		counter_answer(counter, &grant);
		assert_int_equal(counter->asks, i < 3);
	}
	counter_free(counter);
}

static void wishes_are_settled_in_any_order(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];

	for (uint32_t i = 1; i <= 3; i++) {
		counter_hold(counter, i, "ann", "SKU1", 1);
		counter_checkout(counter, "ann", NULL, &orders[i]);
		counter_store(counter, OK);
	}
	assert_int_equal(counter->orders->wishing, 3);
	for (uint32_t i = 2; i; i = i == 2 ? 3 : i == 3 ? 1 : 0)
		counter_ledger(counter, &orders[i]->id, "ann", LINE_HELD, "");
	assert_int_equal(counter->orders->wishing, 0);
	while (counter->asks)
		counter_answer(counter, &(struct order_answer){.kind = ANSWER_LOST});
	counter_free(counter);
}

/* ---- limits ---- */

static void a_checkout_makes_so_many_orders_at_most(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX], *again[CHECKOUT_ORDERS_MAX];
	struct line *last = NULL;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 1); /* older, without a key */
	counter_store(counter, OK);
	for (uint32_t i = 0; i < CHECKOUT_ORDERS_MAX * ORDER_HOLDS_MAX + 1; i++)
		last = counter_hold(counter, 2 + i, "ann", "SKU1", 1);
	assert_int_equal(counter_checkout(counter, "ann", "key", orders), CHECKOUT_ORDERS_MAX);
	assert_true(line_in_cart(last));
	assert_int_equal(counter_checkout(counter, "ann", "key", again), CHECKOUT_ORDERS_MAX);
	assert_int_equal(counter_checkout(counter, "ann", "other", again), 1); /* what was left */
	while (counter->decisions)
		counter_store(counter, REASON(STORE_FULL));
	counter_answer(counter, &(struct order_answer){.kind = ANSWER_BUSY});
	counter_free(counter);
}

static void a_key_of_several_orders_asks_for_the_same_of_all(void **state)
{
	struct counter *counter = counter_new(2);
	struct checkout checkout = {.user = span_of("ann"), .keyed = true, .key = {{1}}, .ttl_ms = 5};
	struct order *orders[CHECKOUT_ORDERS_MAX];
	bool same;

	for (uint32_t i = 0; i < 2; i++) {
		struct order_decision decision = {.id = counter_id(600 + i),
			.user = span_of("ann"),
			.payment = span_of(""),
			.wish = WISH_BIND,
			.keyed = true,
			.key = {{1}},
			.ttl_ms = 5 + i};

		orders_load_decision(counter->orders, &decision);
	}
	assert_int_equal(orders_by_key(counter->orders, &checkout, orders, &same), 2);
	assert_false(same);
	checkout.key.bytes[0] = 2;
	assert_int_equal(orders_by_key(counter->orders, &checkout, orders, &same), 0);
	assert_true(same);
	counter_free(counter);
}

static void holds_of_a_stopped_shard_stay_in_the_cart(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *orders[CHECKOUT_ORDERS_MAX];

	counter_hold(counter, 1, "ann", "SKU1", 1);
	cart_stop_link(counter->cart, 0);
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 0);
	counter->cart->links[0].stopped = false;
	assert_int_equal(counter_checkout(counter, "ann", NULL, orders), 1);
	counter_store(counter, OK);
	assert_int_equal(counter->asked, 0); /* its link is not usable */
	orders_kick(counter->orders, 0, counter->now_ms);
	assert_int_equal(counter->asked, 0);
	counter_free(counter);
}

/* The store knows a bind whose lines are gone, or bound by what the ledger told since. */
static void a_stored_bind_claims_what_is_there(void **state)
{
	struct counter *counter = counter_new(1);
	struct line *bound = counter_hold(counter, 1, "ann", "SKU1", 1),
		    *free_line = counter_hold(counter, 2, "ann", "SKU1", 1);
	struct id holds[3] = {counter_id(1), counter_id(2), counter_id(3)};
	const struct order_decision decision = {.id = counter_id(500),
		.user = span_of("ann"),
		.payment = span_of(""),
		.wish = WISH_BIND,
		.hold_count = 3,
		.holds = holds};

	bound->order = counter_id(400);
	orders_load_decision(counter->orders, &decision);
	orders_start(counter->orders);
	assert_false(bound->claimed);
	assert_true(free_line->claimed);
	bound->order = (struct id){{0}};
	counter_free(counter);
}

static void equal_hashes_are_not_equal_orders(void **state)
{
	struct counter *counter = counter_new(1);
	char names[2][33];
	struct id ids[2] = {counter_id(500), counter_id(500)};

	ids[1].bytes[0]++;
	for (int i = 0; i < 2; i++)
		counter_ledger(counter, &ids[i], colliding_name(names[i], (char)('a' + i)), LINE_HELD, "");
	for (int i = 0; i < 2; i++) {
		const struct customer *customer = orders_customer(counter->orders, span_of(names[i]));

		assert_ptr_equal(customer->newest, orders_find(counter->orders, &ids[i]));
		assert_memory_equal(&customer->newest->id, &ids[i], ID_BYTES);
	}
	counter_free(counter);
}

/* ---- forgetting ---- */

static void who_is_busy_is_not_forgotten(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter), *orders[CHECKOUT_ORDERS_MAX];
	int64_t late_ms = counter->now_ms + ORDERS_MEMORY_MS;
	struct order_waiter cancel, payment;

	orders_cancel(counter->orders, order, &cancel);
	counter_ledger(counter, &order->id, "ann", LINE_EXPIRED, "");
	assert_int_equal(orders_sweep(counter->orders, late_ms, 10), 0); /* being stored */
	counter_store(counter, OK);
	assert_int_equal(orders_sweep(counter->orders, late_ms, 10), 1);
	counter_hold(counter, 2, "ann", "SKU1", 1);
	counter_checkout(counter, "ann", NULL, orders);
	counter_store(counter, OK);
	counter_ledger(counter, &orders[0]->id, "ann", LINE_HELD, "");
	counter_ledger(counter, &orders[0]->id, "ann", LINE_RELEASED, "");
	assert_int_equal(orders_sweep(counter->orders, late_ms, 10), 0); /* being asked */
	counter_answer(counter, &(struct order_answer){.kind = ANSWER_LOST});
	order = orders[0];
	assert_true(orders_confirm(counter->orders, order, pay("a"), &payment));
	assert_int_equal(orders_sweep(counter->orders, late_ms, 10), 1);
	counter_free(counter);
}

static void sweeps_and_ended_orders_are_bounded(void **state)
{
	struct counter *counter = counter_new(1);

	counter->orders->options.ended_max = 3;
	for (uint32_t i = 500; i < 508; i++) {
		struct id id = counter_id(i);

		counter_ledger(counter, &id, "ann", LINE_HELD, "");
		counter_ledger(counter, &id, "ann", LINE_RELEASED, "");
	}
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms, 4), 4); /* too many, however young */
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms, 4), 1);
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms, 4), 0);
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms + ORDERS_MEMORY_MS, 4), 3);
	counter_free(counter);
}

/* Paid and refunded by an operator before the answer to a repeated question came: the ledger has yet to tell, and who waits is not forgotten. */
static void an_answer_can_be_two_steps_ahead(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_waiter waiter;
	struct order_answer grant;

	orders_confirm(counter->orders, order, pay("a"), &waiter);
	counter_store(counter, OK);
	grant = counter_grant(order, LINE_REFUNDED, 100);
	counter_answer(counter, &grant);
	assert_int_equal(order->truth, LINE_REFUNDED);
	assert_int_equal(counter->told, 0);
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms + ORDERS_MEMORY_MS, 10), 0);
	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "a");
	assert_int_equal(counter->outcome.reason, OK);
	assert_int_equal(order->truth, LINE_REFUNDED); /* never back */
	assert_int_equal(orders_sweep(counter->orders, counter->now_ms + ORDERS_MEMORY_MS, 10), 1);
	counter_free(counter);
}

/* ---- archives ---- */

/* The lines of a sale go before its orders. */
static void drop_line(struct counter *counter, const struct order *order)
{
	lines_remove(&counter->cart->lines, lines_find(&counter->cart->lines, &order->items[0].hold));
}

/* What is under way of it comes back first; nothing more is done with it. */
static void an_archived_order_waits_for_what_is_under_way(void **state)
{
	for (int stored = 0; stored < 2; stored++) {
		struct counter *counter = counter_new(1);
		struct order *order = in_state(counter, LINE_SOLD), *next[CHECKOUT_ORDERS_MAX];
		struct id id = order->id;
		struct order_waiter waiter;

		counter->orders->options.asks_max = 1;
		assert_false(orders_refund(counter->orders, order, &waiter));
		if (stored) {
			counter_store(counter, OK);
			counter_hold(counter, 2, "bob", "SKU1", 1);
			counter_checkout(counter, "bob", NULL, next);
			counter_store(counter, OK);
			assert_int_equal(counter->asks, 1); /* the other has to wait for this one's answer */
		}
		drop_line(counter, order);
		archive_orders(counter, 0, "SKU1");
		assert_int_equal(counter->forgotten, 1);
		assert_int_equal(counter->outcome.reason, REASON(GONE));
		assert_non_null(orders_find(counter->orders, &id));
		if (stored) {
			counter_answer(counter, &(struct order_answer){.kind = ANSWER_LOST});
			assert_int_equal(counter->asks, 1);
			assert_ptr_equal(counter->asking[0], next[0]);
			counter_answer(counter, &(struct order_answer){.kind = ANSWER_LOST});
		} else {
			counter_store(counter, OK);
			assert_int_equal(counter->asks, 0);
		}
		assert_null(orders_find(counter->orders, &id));
		counter_free(counter);
	}
}

static void only_what_was_paid_for_with_these_goods_is_archived(void **state)
{
	static const struct {
		enum line_state truth;
		uint32_t shard;
		const char *sku;
		bool gone;
	} cases[] = {{LINE_SOLD, 0, "SKU1", true}, {LINE_REFUNDED, 0, "SKU1", true},
		{LINE_HELD, 0, "SKU1", false}, {LINE_EXPIRED, 0, "SKU1", false},
		{LINE_RELEASED, 0, "SKU1", false}, {LINE_SOLD, 1, "SKU1", false},
		{LINE_SOLD, 0, "SKU2", false}, {LINE_SOLD, 0, "SKU11", false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct counter *counter = counter_new(1);
		struct order *order = in_state(counter, cases[i].truth);
		struct id id = order->id;

		if (cases[i].gone)
			drop_line(counter, order);
		archive_orders(counter, cases[i].shard, cases[i].sku);
		assert_int_equal(orders_find(counter->orders, &id) == NULL, cases[i].gone);
		counter_free(counter);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_against_every_command),
		cmocka_unit_test(every_command_twice),
		cmocka_unit_test(another_payment_waits_for_the_first_s_end),
		cmocka_unit_test(an_awaited_order_that_is_bound_is_there),
		cmocka_unit_test(giving_up_on_a_bind_is_unknown),
		cmocka_unit_test(an_undone_bind_is_not_asked_for),
		cmocka_unit_test(a_cancellation_that_is_not_stored_leaves_the_order),
		cmocka_unit_test(the_ledger_may_be_quicker_than_the_disk),
		cmocka_unit_test(what_the_ledger_repeats_decides_nothing),
		cmocka_unit_test(a_refusal_waits_for_the_ledger_or_asks_again),
		cmocka_unit_test(a_cancelled_order_with_a_payment_wants_a_refund),
		cmocka_unit_test(asks_are_bounded_and_the_next_leaves_when_one_is_back),
		cmocka_unit_test(wishes_are_settled_in_any_order),
		cmocka_unit_test(a_checkout_makes_so_many_orders_at_most),
		cmocka_unit_test(a_key_of_several_orders_asks_for_the_same_of_all),
		cmocka_unit_test(holds_of_a_stopped_shard_stay_in_the_cart),
		cmocka_unit_test(a_stored_bind_claims_what_is_there),
		cmocka_unit_test(equal_hashes_are_not_equal_orders),
		cmocka_unit_test(who_is_busy_is_not_forgotten),
		cmocka_unit_test(sweeps_and_ended_orders_are_bounded),
		cmocka_unit_test(an_answer_can_be_two_steps_ahead),
		cmocka_unit_test(an_archived_order_waits_for_what_is_under_way),
		cmocka_unit_test(only_what_was_paid_for_with_these_goods_is_archived),
	};

	return RUN(tests);
}
