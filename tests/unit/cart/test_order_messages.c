#include "check.h"

#include "base/memory.h"
#include "cart/entries.h"
#include "cart/order_messages.h"
#include "counter.h"

static void states_have_their_names(void **state)
{
	static const struct {
		enum line_state truth;
		enum order_wish wish;
		Cart__OrderState state;
	} cases[] = {{LINE_HELD, WISH_NONE, CART__ORDER_STATE__ORDER_STATE_OPEN},
		{LINE_HELD, WISH_CANCEL, CART__ORDER_STATE__ORDER_STATE_OPEN},
		{LINE_HELD, WISH_CONFIRM, CART__ORDER_STATE__ORDER_STATE_CONFIRMING},
		{LINE_SOLD, WISH_NONE, CART__ORDER_STATE__ORDER_STATE_PAID},
		{LINE_SOLD, WISH_REFUND, CART__ORDER_STATE__ORDER_STATE_PAID},
		{LINE_RELEASED, WISH_NONE, CART__ORDER_STATE__ORDER_STATE_CANCELLED},
		{LINE_EXPIRED, WISH_NONE, CART__ORDER_STATE__ORDER_STATE_EXPIRED},
		{LINE_REFUNDED, WISH_NONE, CART__ORDER_STATE__ORDER_STATE_REFUNDED}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order order = {.truth = cases[i].truth, .wish = cases[i].wish};

		assert_int_equal(order_state(&order), cases[i].state);
	}
}

static void an_order_in_the_contract_s_form(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct order_item items[3] = {
		{.hold = {{1}}, .quantity = 2, .price_micros = 1500000, .currency = "USD", .sku = "A"},
		{.hold = {{2}}, .quantity = 1, .price_micros = 7, .currency = "EUR", .sku = "B"},
		{.hold = {{3}}, .quantity = 3, .price_micros = 1000000, .currency = "USD", .sku = "C"}};
	char text[ID_TEXT_LENGTH + 1];
	struct arena arena;
	Cart__Order *message;

	free(order->items);
	order->items = NEW_ARRAY(3, struct order_item);
	memcpy(order->items, items, sizeof(items));
	order->item_count = 3;
	arena_init(&arena, 4096, 65536);
	message = message_order(&arena, counter->orders, order);
	assert_non_null(message);
	assert_string_equal(message->order_id, id_format(&order->id, text));
	assert_string_equal(message->user_id, "ann");
	assert_int_equal(message->n_items, 3);
	assert_int_equal(message->n_totals, 2);
	assert_string_equal(message->totals[0]->currency, "USD");
	assert_int_equal(message->totals[0]->amount_micros, 6000000);
	assert_int_equal(message->totals[1]->amount_micros, 7);
	assert_int_equal(message->deadline->seconds, (COUNTER_NOW_MS + COUNTER_HOLD_MS) / 1000);
	arena_release(&arena);
	arena_init(&arena, 256, 512);
	assert_null(message_order(&arena, counter->orders, order));
	arena_release(&arena);
	counter_free(counter);
}

static struct rpc_status status_of(
	const struct counter *counter, const struct order *order, const char *payment, Common__Reason reason)
{
	struct order_outcome outcome = {.reason = reason};
	struct rpc_status status;

	order_status_set(&status, counter->orders, order, WISH_CONFIRM, span_of(payment), &outcome);
	return status;
}

static void too_late_says_what_a_refund_needs(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct rpc_status status;

	counter_ledger(counter, &order->id, "ann", LINE_EXPIRED, "");
	status = status_of(counter, order, "pay-7", COMMON__REASON__REASON_HOLD_EXPIRED);
	assert_string_equal(status.reason, "HOLD_EXPIRED");
	assert_non_null(strstr(status.message, "5.000000 USD"));
	assert_non_null(strstr(status.message, "pay-7"));
	counter_free(counter);
}

static void another_payment_hears_of_the_first(void **state)
{
	struct counter *counter = counter_new(1);
	struct order *order = counter_open(counter);
	struct rpc_status status;

	counter_ledger(counter, &order->id, "ann", LINE_SOLD, "pay-1");
	status = status_of(counter, order, "pay-2", COMMON__REASON__REASON_WRONG_STATE);
	assert_string_equal(status.reason, "WRONG_STATE");
	assert_non_null(strstr(status.message, "pay-1"));
	assert_null(strstr(status.message, "pay-2"));
	counter_free(counter);
}

static void a_bad_hold_is_named(void **state)
{
	struct order_outcome outcome = {.reason = COMMON__REASON__REASON_WRONG_STATE, .bad = counter_id(3)};
	char text[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	order_status_set(&status, NULL, NULL, WISH_BIND, span_of(""), &outcome);
	assert_non_null(strstr(status.message, id_format(&outcome.bad, text)));
}

static void what_is_malformed_is_named(void **state)
{
	Cart__CheckoutRequest request = CART__CHECKOUT_REQUEST__INIT;
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	char longer[ITEM_KEY_BYTES_MAX + 2];
	int64_t ttl_ms;
	struct id id;

	assert_string_equal(complain_checkout(&request, &ttl_ms).field, "user_id");
	request.user_id = (char *)(uintptr_t) "ann";
	assert_null(complain_checkout(&request, &ttl_ms).field);
	assert_int_equal(ttl_ms, 0);
	request.ttl = &ttl;
	assert_string_equal(complain_checkout(&request, &ttl_ms).field, "ttl");
	ttl.seconds = 2;
	ttl.nanos = 5000000;
	assert_null(complain_checkout(&request, &ttl_ms).field);
	assert_int_equal(ttl_ms, 2005);
	ttl.nanos = -1;
	assert_string_equal(complain_checkout(&request, &ttl_ms).field, "ttl");
	request.ttl = NULL;
	memset(longer, 'k', sizeof(longer));
	longer[ITEM_KEY_BYTES_MAX + 1] = '\0';
	request.idempotency_key = longer;
	assert_string_equal(complain_checkout(&request, &ttl_ms).field, "idempotency_key");
	assert_string_equal(complain_payment("").field, "payment_reference");
	assert_string_equal(complain_payment(longer).field, "payment_reference");
	assert_null(complain_payment("p").field);
	assert_string_equal(complain_order_id("x", &id).field, "order_id");
	assert_string_equal(complain_order_id("00000000-0000-0000-0000-000000000000", &id).field, "order_id");
}

static void an_order_s_ledger_entry(void **state)
{
	Inventory__LedgerEntry message = INVENTORY__LEDGER_ENTRY__INIT;
	Inventory__OrderChanged changed = INVENTORY__ORDER_CHANGED__INIT;
	Inventory__OrderItem item = INVENTORY__ORDER_ITEM__INIT, *list[] = {&item};
	Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_entry order;
	struct entry entry;

	message.sequence = 5;
	message.time = changed.deadline = &time;
	message.change_case = INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED;
	message.order_changed = &changed;
	changed.cart_shard = 3;
	assert_true(entry_read(&message, 2, &entry));
	assert_int_equal(entry.kind, ENTRY_OTHER);
	assert_true(entry_read(&message, 3, &entry));
	assert_int_equal(entry.kind, ENTRY_ORDER);
	assert_false(entry_read_order(&message, items, &order));
	changed.order_id = item.hold_id = (char *)(uintptr_t) "01890000-0000-7000-8000-000000000001";
	changed.user_id = (char *)(uintptr_t) "ann";
	changed.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	assert_false(entry_read_order(&message, items, &order)); /* made of nothing */
	changed.items = list;
	changed.n_items = 1;
	assert_false(entry_read_order(&message, items, &order));
	item.sku = (char *)(uintptr_t) "SKU1";
	item.quantity = 2;
	item.currency = (char *)(uintptr_t) "USD";
	assert_true(entry_read_order(&message, items, &order));
	assert_int_equal(order.item_count, 1);
	assert_int_equal(items[0].quantity, 2);
	changed.state = 9;
	assert_false(entry_read_order(&message, items, &order));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states_have_their_names),
		cmocka_unit_test(an_order_in_the_contract_s_form),
		cmocka_unit_test(too_late_says_what_a_refund_needs),
		cmocka_unit_test(another_payment_hears_of_the_first),
		cmocka_unit_test(a_bad_hold_is_named),
		cmocka_unit_test(what_is_malformed_is_named),
		cmocka_unit_test(an_order_s_ledger_entry),
	};

	return RUN(tests);
}
