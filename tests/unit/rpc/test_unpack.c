/* Against protobuf-c itself: random messages of the contracts' types, and what a stranger may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <grpc/grpc.h>

#include "base/memory.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "rpc/pack.h"
#include "rpc/unpack.h"
#include "trial.pb-c.h"

#define ROUNDS 3000
#define WIRE_BYTES_MAX 65536
#define ARENA_BYTES (1 << 20)

static const ProtobufCMessageDescriptor *const types[] = {&cart__batch_add_items_request__descriptor,
	&cart__checkout_response__descriptor, &inventory__batch_create_holds_request__descriptor,
	&inventory__batch_create_holds_response__descriptor, &inventory__read_ledger_response__descriptor,
	&inventory__read_ledger_request__descriptor, &inventory__audit_stock_response__descriptor,
	&trial__ask_request__descriptor, &trial__watch_response__descriptor, &trial__everything__descriptor,
	&trial__everything__descriptor, &google__protobuf__struct__descriptor};

/* ---- random bytes of a type ---- */

struct writing {
	uint8_t bytes[WIRE_BYTES_MAX];
	size_t size;
	bool strange; /* with fields that the type does not have */
};

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t bound)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(random_state >> 33) % bound;
}

static void put_varint(struct writing *writing, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		writing->bytes[writing->size++] = (uint8_t)(value | 0x80);
	writing->bytes[writing->size++] = (uint8_t)value;
}

static uint64_t random_number(void)
{
	uint64_t number = (uint64_t)random_below(1u << 31) << 33 | (uint64_t)random_below(1u << 31) << 2 |
			  random_below(4);

	return number >> random_below(64);
}

static void put_raw(struct writing *writing, size_t size)
{
	for (size_t i = 0; i < size; i++)
		writing->bytes[writing->size++] = (uint8_t)('a' + random_below(26));
}

static void put_fields(struct writing *writing, const ProtobufCMessageDescriptor *type, int depth);

/* In front of what was written since `start` comes its length. */
static void put_length(struct writing *writing, size_t start)
{
	struct writing length = {.size = 0};
	size_t size = writing->size - start;

	put_varint(&length, size);
	memmove(writing->bytes + start + length.size, writing->bytes + start, size);
	memcpy(writing->bytes + start, length.bytes, length.size);
	writing->size += length.size;
}

static unsigned wire_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return 2;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return 5;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 1;
	default:
		return 0;
	}
}

static void put_number_of(struct writing *writing, ProtobufCType type)
{
	if (wire_of(type) == 0)
		put_varint(writing, random_number());
	else
		put_raw(writing, wire_of(type) == 1 ? 8 : 4);
}

static void put_field(struct writing *writing, const ProtobufCFieldDescriptor *field, int depth)
{
	unsigned wire = wire_of(field->type);
	bool packed = field->label == PROTOBUF_C_LABEL_REPEATED && wire != 2 && random_below(2);
	size_t start;

	put_varint(writing, (uint64_t)field->id << 3 | (packed ? 2 : wire));
	start = writing->size;
	if (packed)
		for (uint32_t count = random_below(5); count; count--)
			put_number_of(writing, field->type);
	else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		put_fields(writing, field->descriptor, depth + 1);
	else if (wire == 2)
		put_raw(writing, random_below(3) ? random_below(40) : 0);
	else
		put_number_of(writing, field->type);
	if (packed || wire == 2)
		put_length(writing, start);
}

static void put_strange_field(struct writing *writing)
{
	put_varint(writing, 900 << 3 | 2);
	put_varint(writing, 3);
	put_raw(writing, 3);
	put_varint(writing, 901 << 3);
	put_varint(writing, random_number());
}

/* In any order, a message at most once where there is one only: protobuf-c lets zeros of the second lose, which is not what is promised. */
static void put_fields(struct writing *writing, const ProtobufCMessageDescriptor *type, int depth)
{
	uint64_t seen = 0;

	if (depth > 6 || writing->size > WIRE_BYTES_MAX / 4)
		return;
	for (uint32_t left = random_below(2 * type->n_fields + 1); left; left--) {
		uint32_t at = random_below(type->n_fields);
		const ProtobufCFieldDescriptor *field = &type->fields[at];

		if (writing->strange && !random_below(3))
			put_strange_field(writing);
		if (field->label != PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_MESSAGE &&
			(seen >> at & 1))
			continue;
		seen |= UINT64_C(1) << at;
		put_field(writing, field, depth);
	}
	if (writing->strange)
		put_strange_field(writing);
}

/* The compiler does not know that an assertion of cmocka does not return. */
static void *there(void *message)
{
	assert_non_null(message);
	if (!message)
		abort();
	return message;
}

/* ---- comparing ---- */

static ProtobufCMessage *unpack_copy(
	const ProtobufCMessageDescriptor *type, struct arena *arena, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = arena_alloc(arena, size + 1);

	if (!copy)
		return NULL;
	memcpy(copy, bytes, size);
	copy[size] = 'x';
	return unpack_message(type, arena, copy, size);
}

static void assert_same(const ProtobufCMessage *one, const ProtobufCMessage *other)
{
	size_t size = protobuf_c_message_get_packed_size(one);
	uint8_t *a = memory_new(size), *b;

	assert_int_equal(protobuf_c_message_get_packed_size(other), size);
	b = memory_new(size);
	protobuf_c_message_pack(one, a);
	protobuf_c_message_pack(other, b);
	assert_memory_equal(a, b, size);
	free(a);
	free(b);
}

static void assert_packed(const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message), ours_size;
	uint8_t *theirs = memory_new(size);
	grpc_byte_buffer *buffer = pack_message(message);
	struct arena arena;
	uint8_t *ours;

	arena_init(&arena, 8192, ARENA_BYTES);
	protobuf_c_message_pack(message, theirs);
	ours = there(unpack_bytes(buffer, &arena, &ours_size));
	assert_int_equal(ours_size, size);
	assert_memory_equal(ours, theirs, size);
	grpc_byte_buffer_destroy(buffer);
	arena_release(&arena);
	free(theirs);
}

static void test_as_protobuf_c(void **state)
{
	static struct writing writing;
	struct arena arena;

	arena_init(&arena, 8192, ARENA_BYTES);
	for (int round = 0; round < ROUNDS; round++) {
		const ProtobufCMessageDescriptor *type = types[round % (sizeof(types) / sizeof(types[0]))];
		ProtobufCMessage *theirs, *ours;

		writing.size = 0;
		put_fields(&writing, type, 0);
		theirs = protobuf_c_message_unpack(type, NULL, writing.size, writing.bytes);
		ours = unpack_copy(type, &arena, writing.bytes, writing.size);
		assert_non_null(theirs);
		assert_non_null(ours);
		assert_true(protobuf_c_message_check(ours));
		assert_same(ours, theirs);
		assert_packed(ours);
		protobuf_c_message_free_unpacked(theirs, NULL);
		arena_clear(&arena);
	}
	arena_release(&arena);
}

/* A newer contract's fields change nothing, wherever they stand. */
static void test_unknown_fields_are_dropped(void **state)
{
	static struct writing writing;
	struct arena arena;

	arena_init(&arena, 8192, ARENA_BYTES);
	writing.strange = true;
	for (int round = 0; round < ROUNDS; round++) {
		const ProtobufCMessageDescriptor *type = types[round % (sizeof(types) / sizeof(types[0]))];
		ProtobufCMessage *message, *theirs;

		writing.size = 0;
		put_fields(&writing, type, 0);
		message = there(unpack_copy(type, &arena, writing.bytes, writing.size));
		assert_int_equal(message->n_unknown_fields, 0);
		theirs = there(protobuf_c_message_unpack(type, NULL, writing.size, writing.bytes));
		assert_packed(theirs); /* those that have them keep them */
		protobuf_c_message_free_unpacked(theirs, NULL);
		assert_true(protobuf_c_message_get_packed_size(message) < writing.size);
		arena_clear(&arena);
	}
	arena_release(&arena);
}

/* Cut off, changed, too large for the arena: refused or read, never beyond the bytes (a sanitizer looks). */
static void test_broken_bytes(void **state)
{
	static struct writing writing;
	struct arena arena;
	size_t refused = 0;

	arena_init(&arena, 4096, 16384);
	for (int round = 0; round < ROUNDS; round++) {
		const ProtobufCMessageDescriptor *type = types[round % (sizeof(types) / sizeof(types[0]))];
		ProtobufCMessage *message;

		writing.size = 0;
		put_fields(&writing, type, 0);
		for (uint32_t changes = random_below(4); changes && writing.size; changes--)
			writing.bytes[random_below((uint32_t)writing.size)] = (uint8_t)random_below(256);
		if (writing.size)
			writing.size -= random_below((uint32_t)writing.size);
		message = unpack_copy(type, &arena, writing.bytes, writing.size);
		if (message)
			assert_true(protobuf_c_message_get_packed_size(message) < 2 * WIRE_BYTES_MAX);
		else
			refused++;
		arena_clear(&arena);
	}
	assert_true(refused > ROUNDS / 20 && refused < ROUNDS);
	arena_release(&arena);
}

#define UNPACK(type, arena, bytes) \
	((void *)unpack_copy(type, arena, (const uint8_t *)(bytes), sizeof(bytes) - 1))

static void test_texts_end(void **state)
{
	struct arena arena;
	Trial__AskRequest *request;

	arena_init(&arena, 8192, ARENA_BYTES);
	request = there(UNPACK(&trial__ask_request__descriptor, &arena,
		"\x12\x05\x0a\x03sku\x12\x02\x0a\x00\x0a\x02hi\x22\x02\x00\x01"));
	assert_int_equal(request->n_items, 2);
	assert_string_equal(request->items[0]->sku, "sku");
	assert_string_equal(request->items[1]->sku, "");
	assert_string_equal(request->text, "hi");
	assert_int_equal(request->blob.len, 2);
	assert_memory_equal(request->blob.data, "\x00\x01", 2);
	request = there(UNPACK(&trial__ask_request__descriptor, &arena, "\x0a\x04last"));
	assert_string_equal(request->text, "last");
	request = there(UNPACK(&trial__ask_request__descriptor, &arena, ""));
	assert_string_equal(request->text, "");
	assert_null(request->blob.data);
	arena_release(&arena);
}

/* Of a text or a number the last one counts; a message that comes twice is one; of a oneof only the last is there. */
static void test_twice(void **state)
{
	struct arena arena;
	Inventory__HoldOutcome *outcome;
	Inventory__HoldGrant *grant;

	arena_init(&arena, 8192, ARENA_BYTES);
	grant = there(UNPACK(&inventory__hold_grant__descriptor, &arena,
		"\x10\x05\x1a\x02\x08\x07\x10\x06\x1a\x02\x10\x09"));
	there(grant->deadline);
	assert_int_equal(grant->quantity, 6);
	assert_int_equal(grant->deadline->seconds, 7);
	assert_int_equal(grant->deadline->nanos, 9);
	outcome = there(UNPACK(&inventory__hold_outcome__descriptor, &arena,
		"\x0a\x02\x10\x05\x12\x02\x08\x01\x0a\x02\x08\x01"));
	assert_int_equal(outcome->outcome_case, INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT);
	assert_int_equal(outcome->grant->quantity, 0);
	assert_int_equal(outcome->grant->state, 1);
	arena_release(&arena);
}

/* The lists of a message that comes twice are one list. */
static void test_lists_twice(void **state)
{
	struct arena arena;
	Trial__Everything *message;

	arena_init(&arena, 8192, ARENA_BYTES);
	message = there(UNPACK(&trial__everything__descriptor, &arena,
		"\xa2\x02\x07\x0a\x02\x01\x02\x12\x01"
		"a"
		"\x08\x03\xa2\x02\x05\x08\x04\x12\x01"
		"b"));
	there(message->inner);
	assert_int_equal(message->one_int32, 3);
	assert_int_equal(message->inner->n_numbers, 3);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(message->inner->numbers[i], i + 1);
	assert_int_equal(message->inner->numbers[2], 4);
	assert_int_equal(message->inner->n_texts, 2);
	assert_string_equal(message->inner->texts[0], "a");
	assert_string_equal(message->inner->texts[1], "b");
	message = there(UNPACK(&trial__everything__descriptor, &arena, "\x7a\x00\x68\x02"));
	assert_null(message->one_bytes.data);
	assert_int_equal(message->one_bool, 1);
	arena_release(&arena);
}

static void test_refused(void **state)
{
	struct arena arena;
	uint8_t deep[400];
	size_t size = 0;

	arena_init(&arena, 8192, ARENA_BYTES);
	assert_null(UNPACK(&trial__ask_request__descriptor, &arena, "\x0a\x05over")); /* beyond the end */
	assert_null(UNPACK(&trial__ask_request__descriptor, &arena, "\x08\x05")); /* a number for a text */
	assert_null(UNPACK(
		&trial__ask_request__descriptor, &arena, "\x1a\x02\x05\x85")); /* a varint is cut off */
	assert_null(UNPACK(
		&trial__ask_request__descriptor, &arena, "\x1d\x01\x02\x03\x04")); /* 4 bytes for a varint */
	assert_null(UNPACK(&trial__ask_request__descriptor, &arena, "\x0b\x0c"));  /* groups are not proto3 */
	assert_false(arena_exhausted(&arena));
	for (int i = 0; i < 50;
		i++, size += 2) { /* a list in a list in a list; lengths as large as they can be */
		deep[size] = i % 2 ? 0x0a : 0x32;
		deep[size + 1] = (uint8_t)(98 - size);
	}
	assert_null(unpack_copy(&google__protobuf__value__descriptor, &arena, deep, size));
	arena_release(&arena);
}

static void test_arena_at_its_cap(void **state)
{
	struct arena arena;
	uint8_t items[400];

	for (size_t i = 0; i < sizeof(items); i++)
		items[i] = i % 2 ? 0x00 : 0x12;
	arena_init(&arena, 1024, 8192); /* 200 items of 40 bytes and their list do not fit */
	assert_null(unpack_copy(&trial__ask_request__descriptor, &arena, items, sizeof(items)));
	assert_true(arena_exhausted(&arena));
	arena_release(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_protobuf_c),
		cmocka_unit_test(test_unknown_fields_are_dropped),
		cmocka_unit_test(test_broken_bytes),
		cmocka_unit_test(test_texts_end),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_lists_twice),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_arena_at_its_cap),
	};
	int failed;

	grpc_init(); /* the buffers of packed messages are gRPC's */
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	grpc_shutdown();
	return failed;
}
