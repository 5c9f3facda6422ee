/* Any bytes as a message of the contracts: our own unpacking and packing against protobuf-c's.
 *
 *  - Nothing is read or written outside of what was given: each piece of the arena is a block of its own here, so the sanitizer sees its end.
 *  - Where protobuf-c and ours are to agree, both take the bytes or both refuse them, and what they took is packed to the same bytes. Where they are not
 *    to (see `strange`), ours still says yes or no.
 *  - What is nested too deep is refused.
 *  - What was validated can be unpacked; what was unpacked is packed as protobuf-c packs it, and can be validated and unpacked again.
 * The first byte chooses a service, the second one of its messages; the rest is the message. */
#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <stdlib.h>
#include <string.h>

#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "google/protobuf/struct.pb-c.h"
#include "rpc/pack.h"
#include "rpc/unpack.h"
#include "rpc/validate.h"
#include "trial.pb-c.h"

#define PIECES_MAX 65536
#define ARENA_BYTES_MAX (8 << 20)
#define MESSAGE_BYTES_MAX 16384
#define VARINT_BYTES_MAX 10

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- an arena of single blocks ---- */

static void *pieces[PIECES_MAX];
static size_t piece_count;

void *arena_alloc(struct arena *arena, size_t size)
{
	void *piece;

	if (piece_count == PIECES_MAX || size > arena->bytes_max - arena->bytes_used) {
		arena->exhausted = true;
		return NULL;
	}
	piece = malloc(size ? size : 1);
	assert(piece);
	memset(piece, 0xaa, size);
	arena->bytes_used += size;
	pieces[piece_count++] = piece;
	return piece;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	void *piece = arena_alloc(arena, count * size);

	assert(count <= MESSAGE_BYTES_MAX * 16);
	if (piece)
		memset(piece, 0, count * size);
	return piece;
}

void arena_init(struct arena *arena, size_t block_bytes, size_t bytes_max)
{
	*arena = (struct arena){.block_bytes = block_bytes, .bytes_max = bytes_max};
}

void arena_release(struct arena *arena)
{
	memset(arena, 0, sizeof(*arena));
}

static void pieces_free(void)
{
	while (piece_count)
		free(pieces[--piece_count]);
}

/* ---- a reader of its own ---- */

struct span {
	const uint8_t *at, *end;
};

struct look {
	bool broken;  /* no message at all */
	bool strange; /* one of which protobuf-c makes something else */
	bool deep;    /* nested deeper than we take */
};

/* Zero: there is none. */
static size_t read_varint(struct span *span, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < VARINT_BYTES_MAX && span->at < span->end; i++) {
		uint8_t byte = *span->at++;

		*ret |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
			return i + 1;
	}
	return 0;
}

static void look_at(struct look *look, const ProtobufCMessageDescriptor *type, struct span span, int depth);

static bool is_varint(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return false;
	default:
		return true;
	}
}

/* protobuf-c takes a bool of any wire type, and counts one of a packed list as a byte. */
static void look_at_value(
	struct look *look, const ProtobufCFieldDescriptor *field, unsigned wire, struct span inner, int depth)
{
	bool list = field->label == PROTOBUF_C_LABEL_REPEATED && wire == 2;

	if (field->type == PROTOBUF_C_TYPE_MESSAGE && wire == 2) {
		look_at(look, field->descriptor, inner, depth + 1);
		return;
	}
	if (field->type == PROTOBUF_C_TYPE_BOOL && wire != 0)
		look->strange = true;
	while (list && is_varint(field->type) && inner.at < inner.end) {
		uint64_t number;

		look->broken |= !read_varint(&inner, &number);
		if (look->broken)
			return;
	}
}

/* What protobuf-c does with a message that comes twice is its own; so is a oneof that is chosen twice. */
static void look_at_place(struct look *look, const ProtobufCFieldDescriptor *field, uint64_t *seen)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		return;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE || (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)) {
		look->strange |=
			*seen >> (field->quantifier_offset ? field->quantifier_offset / 4 : field->id) % 64 &
			1;
		*seen |=
			UINT64_C(1) << (field->quantifier_offset ? field->quantifier_offset / 4 : field->id) %
					       64;
	}
}

static bool take(struct span *span, uint64_t size, struct span *ret)
{
	if (size > (uint64_t)(span->end - span->at))
		return false;
	*ret = (struct span){span->at, span->at + size};
	span->at += size;
	return true;
}

static void look_at(struct look *look, const ProtobufCMessageDescriptor *type, struct span span, int depth)
{
	uint64_t tag, number, seen = 0;

	if (depth > VALIDATE_DEPTH_MAX) {
		look->deep = true;
		return;
	}
	while (!look->broken && !look->deep && span.at < span.end) {
		const ProtobufCFieldDescriptor *field;
		struct span inner = span;
		size_t size = read_varint(&span, &tag);

		look->broken |= size == 0 || tag >> 3 == 0 || tag >> 3 > 0x1fffffff;
		look->strange |= size > 5; /* protobuf-c reads no more of a tag or a length */
		switch (tag & 7) {
		case 0:
			look->broken |= !read_varint(&span, &number);
			break;
		case 1:
			look->broken |= !take(&span, 8, &inner);
			break;
		case 2:
			size = read_varint(&span, &number);
			look->strange |= size > 5;
			look->broken |= size == 0 || !take(&span, number, &inner);
			break;
		case 5:
			look->broken |= !take(&span, 4, &inner);
			break;
		default:
			look->broken = true;
		}
		field = look->broken ? NULL
				     : protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (!field)
			continue;
		look_at_place(look, field, &seen);
		look_at_value(look, field, tag & 7, inner, depth);
	}
}

/* ---- both ---- */

static void forget_unknown(ProtobufCMessage *message);

static void forget_in(const ProtobufCFieldDescriptor *field, char *at, const char *quantifier)
{
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		for (size_t i = 0; i < *(const size_t *)quantifier; i++)
			forget_unknown((*(ProtobufCMessage ***)at)[i]);
	else if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) || *(const uint32_t *)quantifier == field->id)
		forget_unknown(*(ProtobufCMessage **)at);
}

/* We drop what we do not know, protobuf-c keeps it. */
static void forget_unknown(ProtobufCMessage *message)
{
	if (!message)
		return;
	for (unsigned i = 0; i < message->n_unknown_fields; i++)
		free(message->unknown_fields[i].data);
	free(message->unknown_fields);
	message->unknown_fields = NULL;
	message->n_unknown_fields = 0;
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

		if (field->type == PROTOBUF_C_TYPE_MESSAGE)
			forget_in(field, (char *)message + field->offset,
				(const char *)message + field->quantifier_offset);
	}
}

static uint8_t *pack_by_reference(const ProtobufCMessage *message, size_t *ret_size)
{
	uint8_t *bytes;

	*ret_size = protobuf_c_message_get_packed_size(message);
	bytes = malloc(*ret_size + 1);
	assert(bytes && protobuf_c_message_pack(message, bytes) == *ret_size);
	return bytes;
}

/* As protobuf-c packs it. To free. */
static uint8_t *pack_by_us(const ProtobufCMessage *message, size_t *ret_size)
{
	grpc_byte_buffer *buffer = pack_message(message);
	uint8_t *reference = pack_by_reference(message, ret_size);
	grpc_byte_buffer_reader reader;
	grpc_slice slice;

	assert(grpc_byte_buffer_reader_init(&reader, buffer));
	slice = grpc_byte_buffer_reader_readall(&reader);
	assert(GRPC_SLICE_LENGTH(slice) == *ret_size &&
		!memcmp(GRPC_SLICE_START_PTR(slice), reference, *ret_size));
	grpc_slice_unref(slice);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(buffer);
	return reference;
}

static ProtobufCMessage *unpack_by_us(
	const ProtobufCMessageDescriptor *type, struct arena *arena, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = arena_alloc(arena, size + 1);

	assert(copy);
	memcpy(copy, bytes, size);
	return unpack_message(type, arena, copy, size);
}

static bool validate(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size)
{
	struct rpc_status status = {0};

	return validate_message(type, bytes, size, UINT32_MAX, &status);
}

/* Both take it, and to the same, or neither does. */
static void compare(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
	const uint8_t *packed, size_t packed_size)
{
	ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, size, bytes);
	uint8_t *reference;
	size_t reference_size;

	assert(!message == !packed);
	if (!message)
		return;
	forget_unknown(message);
	reference = pack_by_reference(message, &reference_size);
	assert(reference_size == packed_size && !memcmp(reference, packed, packed_size));
	free(reference);
	protobuf_c_message_free_unpacked(message, NULL);
}

static void again(
	const ProtobufCMessageDescriptor *type, bool valid, const uint8_t *packed, size_t packed_size)
{
	struct arena arena = {.bytes_max = ARENA_BYTES_MAX};
	ProtobufCMessage *message = unpack_by_us(type, &arena, packed, packed_size);
	size_t size;
	uint8_t *bytes;

	assert(message);
	assert(!valid || validate(type, packed, packed_size));
	bytes = pack_by_us(message, &size);
	assert(size == packed_size && !memcmp(bytes, packed, size));
	free(bytes);
}

static void try(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size)
{
	struct arena arena = {.bytes_max = ARENA_BYTES_MAX};
	struct look look = {0};
	bool valid = validate(type, bytes, size);
	ProtobufCMessage *message = unpack_by_us(type, &arena, bytes, size);
	uint8_t *packed = NULL;
	size_t packed_size = 0;

	look_at(&look, type, (struct span){bytes, bytes + size}, 1);
	assert(!(message && (look.broken || look.deep)));
	assert(!valid || message || arena.exhausted);
	if (message)
		packed = pack_by_us(message, &packed_size);
	if (!look.broken && !look.deep && !look.strange && !arena.exhausted)
		compare(type, bytes, size, packed, packed_size);
	if (packed)
		again(type, valid, packed, packed_size);
	free(packed);
	pieces_free();
}

static const ProtobufCMessageDescriptor *choose(uint8_t service, uint8_t of)
{
	static const ProtobufCServiceDescriptor *const services[] = {
		&inventory__inventory_service__descriptor, &cart__cart_service__descriptor,
		&policy__policy_service__descriptor, &protector__protector_service__descriptor};
	const size_t count = sizeof(services) / sizeof(services[0]);
	const ProtobufCMethodDescriptor *method;

	if (service % (count + 1) == count)
		return of % 2 ? &trial__everything__descriptor : &google__protobuf__struct__descriptor;
	method = &services[service % (count + 1)]
			  ->methods[of / 2 % services[service % (count + 1)]->n_methods];
	return of % 2 ? method->output : method->input;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 2 && size <= MESSAGE_BYTES_MAX)
		try(choose(data[0], data[1]), data + 2, size - 2);
	return 0;
}
