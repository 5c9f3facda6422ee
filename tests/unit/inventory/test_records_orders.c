#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/records.h"

static struct order make_order(uint32_t holds)
{
	struct order order = {.id = {{9}},
		.cart_shard = 3,
		.state = HOLD_SOLD,
		.deadline_ms = 123456789,
		.bound = 17,
		.changed = 18,
		.hold_count = holds};

	strcpy(order.payment, "pay-1");
	for (uint32_t i = 0; i < holds; i++)
		order.holds[i].bytes[15] = (uint8_t)(i + 1);
	return order;
}

static void an_order_comes_back(void **state)
{
	uint8_t record[ORDER_RECORD_MAX];

	for (uint32_t holds = 1; holds <= ORDER_HOLDS_MAX; holds += 33) {
		struct order order = make_order(holds), got;
		size_t size = order_pack(&order, record);

		memset(&got, 0, sizeof(got));
		assert_true(order_unpack(record, size, order.id.bytes, ID_BYTES, &got));
		assert_memory_equal(&got, &order, sizeof(got));
		for (size_t cut = 0; cut < size; cut++)
			assert_false(order_unpack(record, cut, order.id.bytes, ID_BYTES, &got));
	}
}

static void the_largest_order_fits(void **state)
{
	uint8_t record[ORDER_RECORD_MAX];
	struct order order = make_order(ORDER_HOLDS_MAX);

	memset(order.payment, 'p', PAYMENT_MAX);
	order.payment[PAYMENT_MAX] = '\0';
	assert_true(order_pack(&order, record) <= sizeof(record));
}

static void what_no_order_looks_like(void **state)
{
	uint8_t record[ORDER_RECORD_MAX + 1];
	struct order order = make_order(2), got;
	size_t size = order_pack(&order, record);
	uint8_t saved;

	assert_false(order_unpack(record, size + 1, order.id.bytes, ID_BYTES, &got));
	assert_false(order_unpack(record, size, order.id.bytes, ID_BYTES - 1, &got));
	record[0] = 9;
	assert_false(order_unpack(record, size, order.id.bytes, ID_BYTES, &got));
	record[0] = HOLD_SOLD;
	saved = record[30];
	record[30] = '\0'; /* within the payment's text */
	assert_false(order_unpack(record, size, order.id.bytes, ID_BYTES, &got));
	record[30] = saved;
	assert_true(order_unpack(record, size, order.id.bytes, ID_BYTES, &got));
	order.deadline_ms = -1;
	assert_false(order_unpack(record, order_pack(&order, record), order.id.bytes, ID_BYTES, &got));
	order.deadline_ms = 0;
	assert_true(order_unpack(record, order_pack(&order, record), order.id.bytes, ID_BYTES, &got));
	record[size - 2 * ID_BYTES - 1] = 0;
	assert_false(order_unpack(record, size, order.id.bytes, ID_BYTES, &got));
}

static struct ledger_entry make_entry(struct order_item *items, uint32_t count)
{
	struct ledger_entry entry = {.kind = LEDGER_ORDER_CHANGED, .cart_shard = 3, .time_ms = 99};

	entry.order.id = (struct id){{9}};
	entry.order.state = HOLD_HELD;
	entry.order.deadline_ms = 1234;
	entry.order.user = (struct bytes){"user", 4};
	entry.order.payment = (struct bytes){"pay-1", 5};
	entry.order.item_count = count;
	entry.order.items = items;
	for (uint32_t i = 0; i < count; i++) {
		items[i] = (struct order_item){
			.hold = {{(uint8_t)i}}, .quantity = i + 1, .price_micros = i * 7, .currency = "EUR"};
		snprintf(items[i].sku, sizeof(items[i].sku), "SKU%u", i);
	}
	return entry;
}

static void an_entry_comes_back_with_its_items(void **state)
{
	struct order_item items[ORDER_HOLDS_MAX], item;
	struct ledger_entry entry = make_entry(items, 3), got;
	uint8_t record[LEDGER_RECORD_MAX];
	size_t size = ledger_pack(&entry, record), at = 0;
	enum ledger_kind kind;
	uint32_t shard;

	assert_true(ledger_peek(record, size, &kind, &shard));
	assert_int_equal(kind, LEDGER_ORDER_CHANGED);
	assert_int_equal(shard, 3);
	assert_true(ledger_unpack(record, size, &got));
	assert_int_equal(got.order.state, HOLD_HELD);
	assert_int_equal(got.order.deadline_ms, 1234);
	assert_int_equal(got.order.item_count, 3);
	assert_memory_equal(got.order.user.data, "user", 4);
	assert_memory_equal(got.order.payment.data, "pay-1", 5);
	for (int i = 0; i < 3; i++) {
		assert_true(ledger_order_item(&got, &at, &item));
		assert_memory_equal(&item.hold, &items[i].hold, ID_BYTES);
		assert_string_equal(item.sku, items[i].sku);
		assert_string_equal(item.currency, "EUR");
		assert_int_equal(item.quantity, i + 1);
		assert_int_equal(item.price_micros, i * 7);
	}
	assert_false(ledger_order_item(&got, &at, &item));
	for (size_t cut = 0; cut < size; cut++)
		assert_false(ledger_unpack(record, cut, &got));
}

static void the_largest_entry_fits(void **state)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct ledger_entry entry = make_entry(items, ORDER_HOLDS_MAX), got;
	char text[PAYMENT_MAX];
	uint8_t record[LEDGER_RECORD_MAX];
	size_t size;

	memset(text, 'x', sizeof(text));
	entry.order.user = (struct bytes){text, USER_MAX};
	entry.order.payment = (struct bytes){text, PAYMENT_MAX};
	for (uint32_t i = 0; i < ORDER_HOLDS_MAX; i++) {
		memset(items[i].sku, 'S', SKU_MAX);
		items[i].sku[SKU_MAX] = '\0';
	}
	size = ledger_pack(&entry, record);
	assert_true(ledger_unpack(record, size, &got));
	assert_int_equal(got.order.item_count, ORDER_HOLDS_MAX);
}

static void what_no_order_s_entry_looks_like(void **state)
{
	struct order_item items[1];
	struct ledger_entry entry = make_entry(items, 1), got;
	struct order order = make_order(ORDER_HOLDS_MAX), back;
	uint8_t record[LEDGER_RECORD_MAX];
	size_t size = order_pack(&order, record);

	record[size - ORDER_HOLDS_MAX * ID_BYTES - 1] = ORDER_HOLDS_MAX + 1;
	assert_false(order_unpack(record, size, order.id.bytes, ID_BYTES, &back));
	assert_true(ledger_unpack(record, ledger_pack(&entry, record), &got));
	items[0].sku[0] = '\0';
	assert_false(ledger_unpack(record, ledger_pack(&entry, record), &got));
	strcpy(items[0].sku, "SS");
	size = ledger_pack(&entry, record);
	record[size - 2] = '\0'; /* within the SKU */
	assert_false(ledger_unpack(record, size, &got));
	entry.order.state = 9;
	assert_false(ledger_unpack(record, ledger_pack(&entry, record), &got));
	entry.order.state = HOLD_SOLD;
	entry.order.item_count = 0;
	size = ledger_pack(&entry, record);
	assert_true(ledger_unpack(record, size, &got));
	record[size - 1] = ORDER_HOLDS_MAX + 1;
	assert_false(ledger_unpack(record, size, &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_comes_back),
		cmocka_unit_test(the_largest_order_fits),
		cmocka_unit_test(what_no_order_looks_like),
		cmocka_unit_test(an_entry_comes_back_with_its_items),
		cmocka_unit_test(the_largest_entry_fits),
		cmocka_unit_test(what_no_order_s_entry_looks_like),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
