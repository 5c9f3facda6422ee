#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/records.h"

/* Every record is read from an odd address, at each shorter size and with a byte too many: only its own size is taken, and nothing is read beyond
 * it (each try has a buffer of exactly its size; the address sanitizer watches). */
static void only_its_own_size(
	const uint8_t *record, size_t size, bool (*unpack)(const void *from, size_t size))
{
	for (size_t i = 0; i <= size + 1; i++) {
		uint8_t *copy = malloc(i + 1);

		memset(copy, 0, i + 1);
		memcpy(copy + 1, record, i < size ? i : size);
		if (unpack(copy + 1, i) != (i == size))
			fail_msg("%zu bytes of a record of %zu", i, size);
		free(copy);
	}
}

static const struct goods goods = {.sku = "SKU-1.a_b",
	.number = 0x01020304,
	.stock = STOCK_MAX,
	.available = STOCK_MAX - 7,
	.held = 4,
	.sold = 3,
	.price_micros = 99900000,
	.hold_ttl_ms = 3000,
	.version = UINT64_MAX,
	.currency = "EUR",
	.closed = true};

static void same_goods(const struct goods *a, const struct goods *b)
{
	assert_string_equal(a->sku, b->sku);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->stock, b->stock);
	assert_int_equal(a->available, b->available);
	assert_int_equal(a->held, b->held);
	assert_int_equal(a->sold, b->sold);
	assert_int_equal(a->price_micros, b->price_micros);
	assert_int_equal(a->hold_ttl_ms, b->hold_ttl_ms);
	assert_int_equal(a->version, b->version);
	assert_string_equal(a->currency, b->currency);
	assert_int_equal(a->closed, b->closed);
}

static bool unpack_goods(const void *from, size_t size)
{
	struct goods got;

	return goods_unpack(from, size, "S", 1, &got);
}

static void goods_go_and_come(void **state)
{
	uint8_t record[GOODS_RECORD_BYTES];
	char long_sku[SKU_MAX + 2];
	struct goods got;
	size_t size = goods_pack(&goods, record);

	assert_true(goods_unpack(record, size, goods.sku, strlen(goods.sku), &got));
	same_goods(&goods, &got);
	only_its_own_size(record, size, unpack_goods);
	memset(long_sku, 'a', sizeof(long_sku));
	assert_true(goods_unpack(record, size, long_sku, SKU_MAX, &got));
	assert_false(goods_unpack(record, size, long_sku, SKU_MAX + 1, &got));
	assert_false(goods_unpack(record, size, long_sku, 0, &got));
	long_sku[1] = '\0';
	assert_false(goods_unpack(record, size, long_sku, SKU_MAX, &got));
	record[4]++; /* the stock is not available + held + sold any more */
	assert_false(goods_unpack(record, size, "S", 1, &got));
}

static void the_layout_is_written_down(void **state)
{
	const struct fence fence = {.epoch = 0x0102030405060708, .sequence = 9, .instance = "abc"};
	const uint8_t expected[FENCE_RECORD_BYTES] = {
		8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
	uint8_t record[FENCE_RECORD_BYTES];

	assert_int_equal(fence_pack(&fence, record), sizeof(expected));
	assert_memory_equal(record, expected, sizeof(expected));
}

static bool unpack_fence(const void *from, size_t size)
{
	struct fence got;

	return fence_unpack(from, size, &got);
}

static void fences_go_and_come(void **state)
{
	struct fence fence = {.epoch = 3, .sequence = UINT64_MAX, .instance = "0123456789abcde"}, got;
	uint8_t record[FENCE_RECORD_BYTES], again[FENCE_RECORD_BYTES];
	size_t size = fence_pack(&fence, record);

	memset(&got, 0, sizeof(got)); /* what lies between the fields is compared too */
	assert_true(fence_unpack(record, size, &got));
	assert_int_equal(got.epoch, 3);
	assert_int_equal(fence_pack(&got, again), size);
	assert_memory_equal(record, again, size); /* the structs have bytes between their fields */
	only_its_own_size(record, size, unpack_fence);
}

static struct hold sample_hold(bool with_order)
{
	struct hold hold = {.goods = 9,
		.quantity = 1000000,
		.cart_shard = 3,
		.version = 2,
		.state = HOLD_SOLD,
		.deadline_ms = 1700000000123,
		.price_micros = 45900000,
		.created = 77,
		.changed = 1ull << 40};

	memset(hold.id.bytes, 0xab, ID_BYTES);
	if (with_order)
		memset(hold.order.bytes, 0xcd, ID_BYTES);
	return hold;
}

static bool unpack_hold(const void *from, size_t size)
{
	uint8_t id[ID_BYTES] = {1};
	struct hold got;

	return hold_unpack(from, size, id, ID_BYTES, &got);
}

static void holds_go_and_come(void **state)
{
	uint8_t record[HOLD_RECORD_MAX];
	struct hold got;

	for (int with_order = 0; with_order < 2; with_order++) {
		struct hold hold = sample_hold(with_order);
		size_t size = hold_pack(&hold, record);

		assert_int_equal(size, with_order ? HOLD_RECORD_MAX : HOLD_RECORD_BYTES);
		assert_true(hold_unpack(record, size, hold.id.bytes, ID_BYTES, &got));
		assert_int_equal(id_compare(&hold.id, &got.id), 0);
		assert_int_equal(id_compare(&hold.order, &got.order), 0);
		assert_int_equal(hold.goods, got.goods);
		assert_int_equal(hold.quantity, got.quantity);
		assert_int_equal(hold.cart_shard, got.cart_shard);
		assert_int_equal(hold.version, got.version);
		assert_int_equal(hold.state, got.state);
		assert_int_equal(hold.deadline_ms, got.deadline_ms);
		assert_int_equal(hold.price_micros, got.price_micros);
		assert_int_equal(hold.created, got.created);
		assert_int_equal(hold.changed, got.changed);
		only_its_own_size(record, size, unpack_hold);
	}
	record[0] = 0;
	assert_false(unpack_hold(record, HOLD_RECORD_MAX));
	record[0] = HOLD_REFUNDED + 1;
	assert_false(unpack_hold(record, HOLD_RECORD_MAX));
	record[0] = HOLD_REFUNDED;
	assert_true(unpack_hold(record, HOLD_RECORD_MAX));
	record[1] = 0x80;
	assert_false(unpack_hold(record, HOLD_RECORD_MAX));
}

/* An end before 1970 would sort behind all others in the expiry. */
static void no_deadline_is_negative(void **state)
{
	uint8_t record[HOLD_RECORD_MAX], key[EXPIRY_KEY_BYTES];
	struct hold hold = sample_hold(false);
	int64_t deadline_ms;
	size_t size;
	struct id id;

	hold.deadline_ms = -1;
	size = hold_pack(&hold, record);
	assert_false(unpack_hold(record, size));
	expiry_key_pack(0, &hold.id, key);
	assert_true(expiry_key_unpack(key, sizeof(key), &deadline_ms, &id));
	key[0] = 0x80;
	assert_false(expiry_key_unpack(key, sizeof(key), &deadline_ms, &id));
}

static void expiry_keys_sort_by_time(void **state)
{
	struct id low = {.bytes = {1}}, high = {.bytes = {0xff}}, id;
	uint8_t early[EXPIRY_KEY_BYTES], late[EXPIRY_KEY_BYTES];
	int64_t deadline_ms;

	expiry_key_pack(255, &high, early);
	expiry_key_pack(256, &low, late);
	assert_true(memcmp(early, late, sizeof(early)) < 0);
	assert_true(expiry_key_unpack(late, sizeof(late), &deadline_ms, &id));
	assert_int_equal(deadline_ms, 256);
	assert_int_equal(id_compare(&id, &low), 0);
	assert_false(expiry_key_unpack(late, sizeof(late) - 1, &deadline_ms, &id));
}

static bool unpack_adjust(const void *from, size_t size)
{
	struct adjust_record got;

	return adjust_unpack(from, size, &got);
}

static void adjustments_go_and_come(void **state)
{
	struct adjust_record record = {.change = -5, .result = goods}, got;
	uint8_t bytes[REQUEST_RECORD_MAX];
	size_t size = adjust_pack(&record, bytes);

	assert_true(adjust_unpack(bytes, size, &got));
	assert_int_equal(got.change, -5);
	same_goods(&goods, &got.result);
	only_its_own_size(bytes, size, unpack_adjust);
}

static bool unpack_ledger(const void *from, size_t size)
{
	struct ledger_entry got;

	return ledger_unpack(from, size, &got);
}

static void same(struct bytes a, struct bytes b)
{
	assert_int_equal(a.size, b.size);
	if (a.size)
		assert_memory_equal(a.data, b.data, a.size);
}

static size_t go(
	const struct ledger_entry *entry, uint8_t record[LEDGER_RECORD_MAX], struct ledger_entry *got)
{
	size_t size = ledger_pack(entry, record);
	enum ledger_kind kind;
	uint32_t cart_shard;

	only_its_own_size(record, size, unpack_ledger);
	assert_true(ledger_peek(record, size, &kind, &cart_shard));
	assert_int_equal(kind, entry->kind);
	assert_int_equal(cart_shard, entry->cart_shard);
	assert_true(ledger_unpack(record, size, got));
	assert_int_equal(got->kind, entry->kind);
	assert_int_equal(got->cart_shard, entry->cart_shard);
	assert_int_equal(got->time_ms, entry->time_ms);
	return size;
}

static void created_entries_go_and_come(void **state)
{
	char longest[SKU_MAX];
	struct ledger_entry entry = {.kind = LEDGER_HOLD_CREATED,
		.cart_shard = 17,
		.time_ms = 1700000000000,
		.created = {.quantity = 3,
			.deadline_ms = 1700000600000,
			.price_micros = 99000000,
			.epoch = 12,
			.currency = "USD",
			.sku = {longest, SKU_MAX},
			.user = {longest, USER_MAX},
			.session = {longest, SESSION_MAX},
			.key_hash = {longest, HASH_BYTES},
			.fingerprint = {longest, HASH_BYTES}}};
	uint8_t record[LEDGER_RECORD_MAX];
	struct ledger_entry got;

	memset(longest, 'x', sizeof(longest));
	memset(entry.created.id.bytes, 7, ID_BYTES);
	for (int i = 0; i < 2; i++) {
		go(&entry, record, &got);
		assert_int_equal(id_compare(&got.created.id, &entry.created.id), 0);
		assert_int_equal(got.created.quantity, 3);
		assert_int_equal(got.created.deadline_ms, 1700000600000);
		assert_int_equal(got.created.price_micros, 99000000);
		assert_int_equal(got.created.epoch, 12);
		assert_string_equal(got.created.currency, "USD");
		same(got.created.sku, entry.created.sku);
		same(got.created.user, entry.created.user);
		same(got.created.session, entry.created.session);
		same(got.created.key_hash, entry.created.key_hash);
		same(got.created.fingerprint, entry.created.fingerprint);
		entry.created.key_hash.size = entry.created.fingerprint.size = entry.created.session.size = 0;
	}
}

static void changed_entries_go_and_come(void **state)
{
	char payment[PAYMENT_MAX];
	struct ledger_entry entry = {.kind = LEDGER_HOLD_CHANGED,
		.cart_shard = 0,
		.time_ms = 5,
		.changed = {.state = HOLD_SOLD,
			.quantity = 2,
			.quantity_before = 3,
			.version = 4,
			.deadline_ms = 6,
			.sku = {"SKU", 3},
			.payment = {payment, PAYMENT_MAX}}};
	uint8_t record[LEDGER_RECORD_MAX];
	struct ledger_entry got;
	size_t size;

	memset(payment, 'p', sizeof(payment));
	for (int i = 0; i < 2; i++) {
		go(&entry, record, &got);
		assert_int_equal(got.changed.state, HOLD_SOLD);
		assert_int_equal(got.changed.quantity, 2);
		assert_int_equal(got.changed.quantity_before, 3);
		assert_int_equal(got.changed.version, 4);
		assert_int_equal(got.changed.deadline_ms, 6);
		same(got.changed.sku, entry.changed.sku);
		same(got.changed.payment, entry.changed.payment);
		assert_int_equal(id_compare(&got.changed.order, &entry.changed.order), 0);
		memset(entry.changed.order.bytes, 9, ID_BYTES);
		entry.changed.payment.size = 0;
	}
	size = ledger_pack(&entry, record);
	record[13 + ID_BYTES] = 99; /* a state that there is not */
	assert_false(ledger_unpack(record, size, &got));
}

static void the_other_entries_go_and_come(void **state)
{
	struct ledger_entry entry = {
		.kind = LEDGER_GOODS_CHANGED, .cart_shard = LEDGER_NO_CART, .goods = goods};
	uint8_t record[LEDGER_RECORD_MAX];
	struct ledger_entry got;
	size_t size;

	go(&entry, record, &got);
	same_goods(&got.goods, &goods);
	entry = (struct ledger_entry){.kind = LEDGER_CART_FENCED,
		.cart_shard = 2,
		.fenced = {.epoch = 8, .cart_shards = 4, .instance = "me"}};
	go(&entry, record, &got);
	assert_int_equal(got.fenced.epoch, 8);
	assert_int_equal(got.fenced.cart_shards, 4);
	assert_memory_equal(got.fenced.instance, entry.fenced.instance, INSTANCE_BYTES);
	entry = (struct ledger_entry){.kind = LEDGER_INCARNATION,
		.cart_shard = LEDGER_NO_CART,
		.incarnation = {.number = 3, .moved_ms = 90000}};
	size = go(&entry, record, &got);
	assert_int_equal(got.incarnation.number, 3);
	assert_int_equal(got.incarnation.moved_ms, 90000);
	record[0] = 0;
	assert_false(ledger_unpack(record, size, &got));
	record[0] = LEDGER_INCARNATION + 1;
	assert_false(ledger_unpack(record, size, &got));
}

/* Bytes of a damaged store: any answer is fine, reading beyond the end is not. */
static void noise_is_refused_or_read_within_its_bounds(void **state)
{
	unsigned seed = 3;

	for (int i = 0; i < 200000; i++) {
		size_t size = (size_t)rand_r(&seed) % 200;
		uint8_t *noise = malloc(size + 1);

		for (size_t j = 0; j < size; j++)
			noise[j] = (uint8_t)rand_r(&seed);
		noise[0] = (uint8_t)(rand_r(&seed) % 8);
		unpack_ledger(noise, size);
		unpack_hold(noise, size);
		unpack_adjust(noise, size);
		unpack_goods(noise, size);
		free(noise);
	}
}

/* Records of the right size that nothing ever wrote. */
static void impossible_records_are_refused(void **state)
{
	const uint8_t id[ID_BYTES + 1] = {1};
	struct ledger_entry entry = {
		.kind = LEDGER_HOLD_CHANGED, .changed = {.state = HOLD_SOLD, .quantity = 1, .sku = {"S", 1}}};
	struct adjust_record adjust = {.result = goods};
	struct hold hold = sample_hold(false), got;
	uint8_t record[LEDGER_RECORD_MAX];
	size_t size;

	size = hold_pack(&hold, record);
	assert_true(hold_unpack(record, size, id, ID_BYTES, &got));
	assert_false(hold_unpack(record, size, id, ID_BYTES - 1, &got));
	assert_false(hold_unpack(record, size, id, ID_BYTES + 1, &got));
	hold.quantity = 0;
	assert_false(unpack_hold(record, hold_pack(&hold, record)));
	hold.quantity = QUANTITY_MAX + 1;
	assert_false(unpack_hold(record, hold_pack(&hold, record)));
	adjust.result.sku[0] = '\0';
	assert_false(unpack_adjust(record, adjust_pack(&adjust, record)));
	size = ledger_pack(&entry, record);
	assert_true(unpack_ledger(record, size));
	memset(record + size, 0xab, ID_BYTES);
	record[size - 1] = ID_BYTES; /* with an order's id */
	assert_true(unpack_ledger(record, size + ID_BYTES));
	record[size - 1] = 3; /* with a piece of one */
	assert_false(unpack_ledger(record, size + 3));
}

static void a_fence_s_cart_is_gone_or_not(void **state)
{
	const struct fence fence = {.epoch = 1, .gone = true};
	uint8_t record[FENCE_RECORD_BYTES];
	struct fence got;

	assert_true(fence_unpack(record, fence_pack(&fence, record), &got));
	assert_true(got.gone);
	record[FENCE_RECORD_BYTES - 1] = 2;
	assert_false(fence_unpack(record, sizeof(record), &got));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goods_go_and_come),
		cmocka_unit_test(the_layout_is_written_down),
		cmocka_unit_test(fences_go_and_come),
		cmocka_unit_test(holds_go_and_come),
		cmocka_unit_test(no_deadline_is_negative),
		cmocka_unit_test(expiry_keys_sort_by_time),
		cmocka_unit_test(adjustments_go_and_come),
		cmocka_unit_test(created_entries_go_and_come),
		cmocka_unit_test(changed_entries_go_and_come),
		cmocka_unit_test(the_other_entries_go_and_come),
		cmocka_unit_test(noise_is_refused_or_read_within_its_bounds),
		cmocka_unit_test(impossible_records_are_refused),
		cmocka_unit_test(a_fence_s_cart_is_gone_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
