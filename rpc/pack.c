#include "rpc/pack.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/wire_kinds.h"

#define SMALL_BYTES 1024 /* fits on the stack, and is copied */
#define LARGE_BYTES 16384
#define HEAD_BYTES 20 /* a tag and a length, or a tag and a number, are not longer */

struct packing {
	uint8_t *bytes, *next; /* from `next` on it is written */
	size_t room;
	uint8_t *grown; /* bytes, once they are malloc's */
};

static void pack_fields(struct packing *packing, const ProtobufCMessage *message);

/* What is written moves to the end of a larger piece. */
static void packing_grow(struct packing *packing, size_t size)
{
	size_t written = (size_t)(packing->bytes + packing->room - packing->next);
	size_t room = packing->room < LARGE_BYTES ? LARGE_BYTES : packing->room * 2;
	uint8_t *grown;

	while (room < written + size)
		room *= 2;
	grown = memory_resize(NULL, room, 1);
	memcpy(grown + room - written, packing->next, written);
	free(packing->grown);
	packing->bytes = packing->grown = grown;
	packing->room = room;
	packing->next = grown + room - written;
}

static inline void packing_reserve(struct packing *packing, size_t size)
{
	if (__builtin_expect((size_t)(packing->next - packing->bytes) < size, 0))
		packing_grow(packing, size);
}

/* ---- pieces; room for HEAD_BYTES is there ---- */

static void put_varint(struct packing *packing, uint64_t value)
{
	size_t size = value < 0x80 ? 1 : (size_t)(63 - __builtin_clzll(value)) / 7 + 1;
	uint8_t *to = packing->next -= size;

	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to = (uint8_t)value;
}

static void put_fixed(struct packing *packing, const void *value, size_t size)
{
	packing->next -= size;
	memcpy(packing->next, value, size);
}

static void put_data(struct packing *packing, const void *data, size_t size)
{
	packing_reserve(packing, size + HEAD_BYTES);
	packing->next -= size;
	if (size)
		memcpy(packing->next, data, size);
	put_varint(packing, size);
}

static void put_message(struct packing *packing, const ProtobufCMessage *message)
{
	size_t left, before = (size_t)(packing->bytes + packing->room - packing->next);

	if (message)
		pack_fields(packing, message);
	packing_reserve(packing, HEAD_BYTES);
	left = (size_t)(packing->bytes + packing->room - packing->next);
	put_varint(packing, left - before);
}

/* A value without its tag. */
static void put_value(struct packing *packing, ProtobufCType type, const void *value)
{
	uint32_t half;
	uint64_t whole;

	packing_reserve(packing, HEAD_BYTES);
	switch (type) {
	case PROTOBUF_C_TYPE_STRING: {
		const char *text = *(char *const *)value;

		put_data(packing, text, text ? strlen(text) : 0);
		return;
	}
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *data = value;

		put_data(packing, data->data, data->len);
		return;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		put_message(packing, *(ProtobufCMessage *const *)value);
		return;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		put_varint(packing, (uint64_t)(int64_t) * (const int32_t *)value); /* below zero: ten bytes */
		return;
	case PROTOBUF_C_TYPE_UINT32:
		put_varint(packing, *(const uint32_t *)value);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		put_varint(packing, *(const protobuf_c_boolean *)value != 0);
		return;
	case PROTOBUF_C_TYPE_SINT32:
		half = *(const uint32_t *)value;
		put_varint(packing, half << 1 ^ -(half >> 31));
		return;
	case PROTOBUF_C_TYPE_SINT64:
		whole = *(const uint64_t *)value;
		put_varint(packing, whole << 1 ^ -(whole >> 63));
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
		put_varint(packing, *(const uint64_t *)value);
		return;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		put_fixed(packing, value, 4);
		return;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		put_fixed(packing, value, 8);
		return;
	}
	assert(!"a type of protobuf");
}

static void put_tag(struct packing *packing, uint32_t id, enum wire_type type)
{
	packing_reserve(packing, HEAD_BYTES);
	put_varint(packing, (uint64_t)id << 3 | type);
}

/* ---- fields ---- */

static void put_list(
	struct packing *packing, const ProtobufCFieldDescriptor *field, const char *list, size_t count)
{
	const struct wire_kind *kind = &wire_kinds[field->type];
	size_t before = (size_t)(packing->bytes + packing->room - packing->next);
	bool packed = field->flags & PROTOBUF_C_FIELD_FLAG_PACKED;

	for (size_t i = count; i > 0; i--) {
		put_value(packing, field->type, list + (i - 1) * kind->size);
		if (!packed)
			put_tag(packing, field->id, kind->wire);
	}
	if (!packed || !count)
		return;
	packing_reserve(packing, HEAD_BYTES);
	put_varint(packing, (size_t)(packing->bytes + packing->room - packing->next) - before);
	put_tag(packing, field->id, WIRE_BYTES);
}

/* proto3: what is zero is not written. */
static bool is_zero(ProtobufCType type, const void *value)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
		return !*(char *const *)value || !**(char *const *)value;
	case PROTOBUF_C_TYPE_FLOAT:
		return *(const float *)value == 0;
	case PROTOBUF_C_TYPE_DOUBLE:
		return *(const double *)value == 0;
	default: /* of bytes the first half is the length */
		return wire_kinds[type].size == 4 ? !*(const uint32_t *)value : !*(const uint64_t *)value;
	}
}

/* Of a oneof, or one that says by itself whether it is there. */
static bool is_chosen(const ProtobufCFieldDescriptor *field, const void *value, const char *quantifier)
{
	bool pointer = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
	bool absent = pointer && (!*(void *const *)value || *(void *const *)value == field->default_value);

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)quantifier == field->id && !absent;
	if (field->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	return pointer ? !absent : *(const protobuf_c_boolean *)quantifier;
}

static bool is_there(const ProtobufCFieldDescriptor *field, const void *value, const char *quantifier)
{
	if (field->label == PROTOBUF_C_LABEL_NONE && !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
		return !is_zero(field->type, value);
	return is_chosen(field, value, quantifier);
}

/* Fields that were packed before: rpc/watch.c keeps entries so. */
static void pack_unknown(struct packing *packing, const ProtobufCMessage *message)
{
	for (unsigned i = message->n_unknown_fields; i > 0; i--) {
		const ProtobufCMessageUnknownField *field = &message->unknown_fields[i - 1];

		packing_reserve(packing, field->len);
		packing->next -= field->len;
		memcpy(packing->next, field->data, field->len);
		put_tag(packing, field->tag, (enum wire_type)field->wire_type);
	}
}

static void pack_fields(struct packing *packing, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	pack_unknown(packing, message);
	for (unsigned i = type->n_fields; i > 0; i--) {
		const ProtobufCFieldDescriptor *field = &type->fields[i - 1];
		const char *value = (const char *)message + field->offset;
		const char *quantifier = (const char *)message + field->quantifier_offset;

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			put_list(packing, field, *(char *const *)value, *(const size_t *)quantifier);
		} else if (is_there(field, value, quantifier)) {
			put_value(packing, field->type, value);
			put_tag(packing, field->id, wire_kinds[field->type].wire);
		}
	}
}

grpc_byte_buffer *pack_message(const ProtobufCMessage *message)
{
	uint8_t small[SMALL_BYTES];
	struct packing packing = {.bytes = small, .next = small + sizeof(small), .room = sizeof(small)};
	grpc_byte_buffer *buffer;
	grpc_slice slice;
	size_t size;

	pack_fields(&packing, message);
	size = (size_t)(packing.bytes + packing.room - packing.next);
	if (packing.grown)
		slice = grpc_slice_new_with_user_data(packing.next, size, free, packing.grown);
	else
		slice = grpc_slice_from_copied_buffer((const char *)packing.next, size);
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice); /* the buffer took a reference of its own */
	return buffer;
}
