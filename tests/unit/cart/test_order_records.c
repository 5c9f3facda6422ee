#include "check.h"

#include "cart/order_records.h"

static struct customer *make_customer(const char *user)
{
	struct customer *customer = calloc(1, sizeof(*customer) + strlen(user) + 1);

	customer->length = (uint8_t)strlen(user);
	memcpy(customer->user, user, strlen(user));
	return customer;
}

static void fill(struct order_item *items, uint32_t count, const char *sku)
{
	for (uint32_t i = 0; i < count; i++) {
		items[i] = (struct order_item){.hold = {{(uint8_t)i, 3}},
			.quantity = i + 1,
			.price_micros = i * 5,
			.currency = "EUR"};
		snprintf(items[i].sku, sizeof(items[i].sku), "%s", sku);
	}
}

static void an_order_comes_back(void **state)
{
	struct order_item items[ORDER_HOLDS_MAX], got_items[ORDER_HOLDS_MAX];
	struct order order = {.id = {{9}},
		.customer = make_customer("ann"),
		.items = items,
		.item_count = 3,
		.shard = 2,
		.truth = LINE_SOLD,
		.payment = (char *)(uintptr_t) "pay-1",
		.deadline_ms = 11,
		.created_ms = 22,
		.changed_ms = 33};
	uint8_t record[RECORD_ORDER_BYTES_MAX + 1];
	struct order_record got;
	size_t size;

	fill(items, 3, "SKU1");
	size = record_order_pack(&order, record);
	assert_true(record_order_unpack(&order.id, record, size, got_items, &got));
	assert_int_equal(got.truth, LINE_SOLD);
	assert_int_equal(got.shard, 2);
	assert_int_equal(got.deadline_ms, 11);
	assert_int_equal(got.created_ms, 22);
	assert_int_equal(got.changed_ms, 33);
	assert_int_equal(got.user.length, 3);
	assert_memory_equal(got.payment.text, "pay-1", got.payment.length);
	assert_int_equal(got.item_count, 3);
	assert_memory_equal(got_items, items, 3 * sizeof(items[0]));
	for (size_t cut = 0; cut < size; cut++)
		assert_false(record_order_unpack(&order.id, record, cut, got_items, &got));
	assert_false(record_order_unpack(&order.id, record, size + 1, got_items, &got));
	record[0] = 0;
	assert_false(record_order_unpack(&order.id, record, size, got_items, &got));
	size = record_order_pack(&order, record);
	assert_true(record_order_unpack(&order.id, record, size, got_items, &got));
	record[got.payment.text - (const char *)record] = '\0'; /* it is a text */
	assert_false(record_order_unpack(&order.id, record, size, got_items, &got));
	free(order.customer);
}

static void the_largest_order_fits(void **state)
{
	char user[LINES_NAME_MAX + 1], payment[PAYMENT_MAX + 1];
	struct order_item items[ORDER_HOLDS_MAX], got_items[ORDER_HOLDS_MAX];
	struct order order = {
		.items = items, .item_count = ORDER_HOLDS_MAX, .truth = LINE_HELD, .payment = payment};
	uint8_t record[RECORD_ORDER_BYTES_MAX];
	struct order_record got;

	memset(user, 'u', LINES_NAME_MAX);
	memset(payment, 'p', PAYMENT_MAX);
	user[LINES_NAME_MAX] = payment[PAYMENT_MAX] = '\0';
	fill(items, ORDER_HOLDS_MAX, user);
	order.customer = make_customer(user);
	assert_true(
		record_order_unpack(&order.id, record, record_order_pack(&order, record), got_items, &got));
	assert_int_equal(got.item_count, ORDER_HOLDS_MAX);
	free(order.customer);
}

static void a_decision_comes_back(void **state)
{
	static const enum order_wish wishes[] = {WISH_BIND, WISH_CONFIRM, WISH_CANCEL, WISH_REFUND};
	struct order_item items[ORDER_HOLDS_MAX];
	struct id holds[ORDER_HOLDS_MAX];
	struct order order = {.id = {{9}},
		.customer = make_customer("ann"),
		.items = items,
		.item_count = ORDER_HOLDS_MAX,
		.shard = 2,
		.key = {{5}},
		.ttl_ms = 44,
		.created_ms = 22};
	uint8_t record[RECORD_DECISION_BYTES_MAX];
	struct order_decision got;

	fill(items, ORDER_HOLDS_MAX, "SKU1");
	for (int i = 0; i < 8; i++) {
		size_t size;

		order.wish = wishes[i % 4];
		order.keyed = i >= 4;
		order.payment = order.wish == WISH_CONFIRM ? (char *)(uintptr_t) "pay" : NULL;
		size = record_decision_pack(&order, record);
		assert_true(record_decision_unpack(&order.id, record, size, holds, &got));
		assert_int_equal(got.wish, order.wish);
		assert_int_equal(got.shard, 2);
		assert_int_equal(got.ttl_ms, 44);
		assert_int_equal(got.created_ms, 22);
		assert_int_equal(got.keyed, order.keyed);
		assert_int_equal(got.payment.length, order.payment ? 3 : 0);
		if (got.keyed)
			assert_memory_equal(&got.key, &order.key, sizeof(got.key));
		assert_int_equal(got.hold_count, order.wish == WISH_BIND ? ORDER_HOLDS_MAX : 0);
		for (uint32_t j = 0; j < got.hold_count; j++)
			assert_memory_equal(&holds[j], &items[j].hold, ID_BYTES);
		for (size_t cut = 0; cut < size; cut++)
			assert_false(record_decision_unpack(&order.id, record, cut, holds, &got));
		record[0] = ORDER_WISHES;
		assert_false(record_decision_unpack(&order.id, record, size, holds, &got));
	}
	free(order.customer);
}

static size_t pack_long(struct order *order, uint8_t *record, bool decision)
{
	return decision ? record_decision_pack(order, record) : record_order_pack(order, record);
}

static bool unpack(const uint8_t *record, size_t size, bool decision)
{
	const struct id id = {{9}};
	struct order_item items[ORDER_HOLDS_MAX];
	struct id holds[ORDER_HOLDS_MAX];
	struct order_decision got_decision;
	struct order_record got;

	return decision ? record_decision_unpack(&id, record, size, holds, &got_decision)
			: record_order_unpack(&id, record, size, items, &got);
}

/* Where in a record of "ann", paid for by "pay", one hold of "S", stands what. */
static void impossible_orders_are_refused(void **state)
{
	enum {
		TRUTH,
		USER = 29,
		PAYMENT = USER + 4,
		ITEMS = PAYMENT + 4,
		SKU = ITEMS + 1 + ID_BYTES + 4 + 8 + 3
	};
	static const struct {
		size_t at;
		uint8_t value;
		int longer; /* the record, so that it would end where it should */
	} cases[] = {{TRUTH, 0, 0}, {TRUTH, LINE_REFUNDED + 1, 0}, {ITEMS, ORDER_HOLDS_MAX + 1, 0},
		{SKU, LINES_NAME_MAX + 1, LINES_NAME_MAX}, {SKU, 0, -1}, {SKU, 200, 0}};
	struct order_item item;
	struct order order = {.customer = make_customer("ann"),
		.items = &item,
		.item_count = 1,
		.truth = LINE_SOLD,
		.payment = (char *)(uintptr_t) "pay"};
	uint8_t record[RECORD_ORDER_BYTES_MAX] = {0};

	fill(&item, 1, "S");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t size = pack_long(&order, record, false);

		assert_int_equal(size, SKU + 2);
		assert_true(unpack(record, size, false));
		record[cases[i].at] = cases[i].value;
		assert_false(unpack(record, size + (size_t)cases[i].longer, false));
	}
	free(order.customer);
	order.customer = make_customer("");
	assert_false(unpack(record, pack_long(&order, record, false), false));
	free(order.customer);
}

static void impossible_decisions_are_refused(void **state)
{
	static const struct {
		const char *user, *payment;
		size_t at;
		uint8_t value;
	} cases[] = {{"ann", "pay", 0, WISH_NONE}, {"ann", "pay", 0, ORDER_WISHES},
		{"ann", "pay", 0, WISH_BIND} /* of no holds */, {"ann", "pay", 1, 2} /* no such flag */,
		{"", "pay", 0, WISH_CONFIRM}, {"ann", "", 0, WISH_CONFIRM}};
	uint8_t record[RECORD_DECISION_BYTES_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order order = {.customer = make_customer(cases[i].user),
			.wish = WISH_CONFIRM,
			.payment = (char *)(uintptr_t)cases[i].payment};
		size_t size = pack_long(&order, record, true);

		assert_false(unpack(record, size + 1, true));
		record[cases[i].at] = cases[i].value;
		assert_false(unpack(record, size, true));
		record[size - 1] = ORDER_HOLDS_MAX + 1;
		assert_false(unpack(record, size, true));
		free(order.customer);
	}
}

static void a_decision_of_another_kind_has_no_holds(void **state)
{
	struct order_item item;
	struct order order = {
		.customer = make_customer("ann"), .items = &item, .item_count = 1, .wish = WISH_BIND};
	uint8_t record[RECORD_DECISION_BYTES_MAX];
	size_t size;

	fill(&item, 1, "S");
	size = pack_long(&order, record, true);
	assert_true(unpack(record, size, true));
	record[0] = WISH_CANCEL;
	assert_false(unpack(record, size, true));
	free(order.customer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_comes_back),
		cmocka_unit_test(the_largest_order_fits),
		cmocka_unit_test(a_decision_comes_back),
		cmocka_unit_test(impossible_orders_are_refused),
		cmocka_unit_test(impossible_decisions_are_refused),
		cmocka_unit_test(a_decision_of_another_kind_has_no_holds),
	};

	return RUN(tests);
}
