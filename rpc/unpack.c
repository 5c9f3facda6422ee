#include "rpc/unpack.h"

#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <string.h>

#include "rpc/validate.h"
#include "rpc/wire_kinds.h"

struct unpacking {
	struct arena *arena;
	uint8_t *
		text_end; /* of the last text: becomes zero when the tag that lies there was read. NULL: none */
};

static ProtobufCMessage *unpack_fields(struct unpacking *unpacking, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage *message, struct wire wire, int depth);

static void end_text(struct unpacking *unpacking)
{
	if (unpacking->text_end)
		*unpacking->text_end = '\0';
	unpacking->text_end = NULL;
}

/* ---- values ---- */

static void put_number(ProtobufCType type, uint64_t number, void *to)
{
	uint32_t half = (uint32_t)number;

	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		half = number != 0;
		break;
	case PROTOBUF_C_TYPE_SINT32:
		half = half >> 1 ^ -(half & 1);
		break;
	case PROTOBUF_C_TYPE_SINT64:
		number = number >> 1 ^ -(number & 1);
		break;
	default:
		break;
	}
	if (wire_kinds[type].size == sizeof(number))
		memcpy(to, &number, sizeof(number));
	else
		memcpy(to, &half, sizeof(half));
}

static bool put_message(struct unpacking *unpacking, const ProtobufCMessageDescriptor *type,
	const struct wire_field *on_wire, ProtobufCMessage **to, int depth)
{
	struct wire inner = {on_wire->bytes, on_wire->bytes + on_wire->size};

	if (!*to) {
		*to = arena_alloc(unpacking->arena, type->sizeof_message);
		if (!*to)
			return false;
		protobuf_c_message_init(type, *to);
	}
	return unpack_fields(unpacking, type, *to, inner, depth + 1) != NULL;
}

static bool put_value(struct unpacking *unpacking, const ProtobufCFieldDescriptor *field,
	const struct wire_field *on_wire, void *to, int depth)
{
	uint8_t *bytes = (uint8_t *)(uintptr_t)on_wire->bytes;

	if (on_wire->type != wire_kinds[field->type].wire)
		return false;
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		unpacking->text_end = bytes + on_wire->size;
		memcpy(to, &bytes, sizeof(bytes));
		return true;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)to =
			(ProtobufCBinaryData){on_wire->size, on_wire->size ? bytes : NULL};
		return true;
	case PROTOBUF_C_TYPE_MESSAGE:
		return put_message(unpacking, field->descriptor, on_wire, to, depth);
	default:
		put_number(field->type, on_wire->number, to);
		return true;
	}
}

/* ---- lists ---- */

static bool is_packed(const ProtobufCFieldDescriptor *field, const struct wire_field *on_wire)
{
	return on_wire->type == WIRE_BYTES && wire_kinds[field->type].wire != WIRE_BYTES;
}

/* How many elements one field on the wire brings: the last byte of a varint has no high bit. */
static size_t count_elements(const ProtobufCFieldDescriptor *field, const struct wire_field *on_wire)
{
	size_t count = 0;

	if (!is_packed(field, on_wire))
		return 1;
	if (wire_kinds[field->type].wire != WIRE_VARINT)
		return on_wire->size / wire_kinds[field->type].size;
	for (size_t i = 0; i < on_wire->size; i++)
		count += !(on_wire->bytes[i] & 0x80);
	return count;
}

static size_t *list_count(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (size_t *)((char *)message + field->quantifier_offset);
}

static char **list_at(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (char **)((char *)message + field->offset);
}

/* Room for the first element that is met and all that follow, counted on the wire; those of a message that came before stay. */
static bool list_make(struct unpacking *unpacking, ProtobufCMessage *message,
	const ProtobufCFieldDescriptor *field, const struct wire_field *first, struct wire rest)
{
	size_t size = wire_kinds[field->type].size, count = *list_count(message, field);
	size_t more = count_elements(field, first);
	char **list = list_at(message, field), *made;
	struct wire_field on_wire;

	while (wire_next(&rest, &on_wire) == WIRE_FIELD)
		if (on_wire.id == field->id)
			more += count_elements(field, &on_wire);
	made = arena_array(unpacking->arena, count + more, size);
	if (made && count)
		memcpy(made, *list, count * size);
	*list = made;
	return made != NULL;
}

static bool put_packed(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct wire wire)
{
	enum wire_type type = wire_kinds[field->type].wire;
	size_t size = wire_kinds[field->type].size, *count = list_count(message, field);
	uint64_t number = 0;

	for (; wire.next < wire.end; ++*count) {
		if (!(type == WIRE_VARINT ? wire_varint(&wire, &number) : wire_fixed(&wire, size, &number)))
			return false;
		put_number(field->type, number, *list_at(message, field) + *count * size);
	}
	return true;
}

static bool put_element(struct unpacking *unpacking, ProtobufCMessage *message,
	const ProtobufCFieldDescriptor *field, const struct wire_field *on_wire, int depth)
{
	char *to;

	if (is_packed(field, on_wire))
		return put_packed(
			message, field, (struct wire){on_wire->bytes, on_wire->bytes + on_wire->size});
	to = *list_at(message, field) + *list_count(message, field) * wire_kinds[field->type].size;
	++*list_count(message, field);
	return put_value(unpacking, field, on_wire, to, depth);
}

/* ---- messages ---- */

/* Says that the field is there, where that is said. Another member of its oneof was there before: its place is empty now. */
static void take_place(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	char *quantifier = (char *)message + field->quantifier_offset;
	uint32_t present;

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&present, quantifier, sizeof(present));
		if (present != field->id)
			memset((char *)message + field->offset, 0, wire_kinds[field->type].size);
		memcpy(quantifier, &field->id, sizeof(field->id));
	} else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset) {
		present = 1;
		memcpy(quantifier, &present, sizeof(present));
	}
}

static ProtobufCMessage *unpack_fields(struct unpacking *unpacking, const ProtobufCMessageDescriptor *type,
	ProtobufCMessage *message, struct wire wire, int depth)
{
	struct wire_field on_wire;
	enum wire_result result;
	uint64_t made = 0; /* a bit for each list */
	unsigned hint = 0;

	static_assert(VALIDATE_FIELDS_MAX <= 64, "a bit for each field");
	assert(type->n_fields <= VALIDATE_FIELDS_MAX);
	if (depth > VALIDATE_DEPTH_MAX)
		return NULL;
	while ((result = wire_next(&wire, &on_wire)) == WIRE_FIELD) {
		const ProtobufCFieldDescriptor *field = unpack_field(type, on_wire.id, &hint);
		bool fine = true;

		end_text(unpacking);
		if (!field)
			continue; /* of a newer contract */
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			if (!(made >> hint & 1))
				fine = list_make(unpacking, message, field, &on_wire, wire);
			made |= UINT64_C(1) << hint;
			fine = fine && put_element(unpacking, message, field, &on_wire, depth);
		} else {
			take_place(message, field);
			fine = put_value(unpacking, field, &on_wire, (char *)message + field->offset, depth);
		}
		if (!fine)
			return NULL;
	}
	return result == WIRE_END ? message : NULL;
}

ProtobufCMessage *unpack_message(
	const ProtobufCMessageDescriptor *type, struct arena *arena, uint8_t *bytes, size_t size)
{
	struct unpacking unpacking = {.arena = arena};
	ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);

	if (!message)
		return NULL;
	protobuf_c_message_init(type, message);
	message = unpack_fields(&unpacking, type, message, (struct wire){bytes, bytes + size}, 1);
	end_text(&unpacking);
	return message;
}

uint8_t *unpack_bytes(grpc_byte_buffer *buffer, struct arena *arena, size_t *ret_size)
{
	grpc_byte_buffer_reader reader;
	grpc_slice *slice;
	uint8_t *bytes, *to;

	*ret_size = grpc_byte_buffer_length(buffer);
	bytes = to = arena_alloc(arena, *ret_size + 1);
	if (!bytes || !grpc_byte_buffer_reader_init(&reader, buffer))
		return NULL;
	for (; grpc_byte_buffer_reader_peek(&reader, &slice); to += GRPC_SLICE_LENGTH(*slice))
		memcpy(to, GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
	grpc_byte_buffer_reader_destroy(&reader);
	return bytes;
}
