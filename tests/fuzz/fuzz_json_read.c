/* Any bytes into json_read, for every message of the contracts: never a crash, and what was read under /v1 is, once written, read again as the same
 * message. The first two bytes choose message and surface. */
#include <assert.h>
#include <string.h>

#include "gatekeeper/edge/json_read.h"
#include "gatekeeper/edge/json_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shapes *shapes;
static struct arena arena;
static struct text text;

static ProtobufCMessage *read_message(
	const struct json_shape *shape, enum json_surface surface, const char *json, size_t length)
{
	ProtobufCMessage *message = arena_alloc(&arena, shape->type->sizeof_message);
	struct rpc_status status;
	uint64_t seen;

	assert(message);
	protobuf_c_message_init(shape->type, message);
	if (json_read(shape, surface, json, length, &arena, message, &seen, &status))
		return message;
	assert(status.code == RPC_INVALID_ARGUMENT || status.code == RPC_RESOURCE_EXHAUSTED);
	return NULL;
}

static void pack(const ProtobufCMessage *message, struct text *packed)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = arena_alloc(&arena, size + 1);

	assert(bytes);
	protobuf_c_message_pack(message, bytes);
	text_append(packed, bytes, size);
}

/* Times are written with milliseconds: finer ones do not come back. */
static bool has_time(const struct json_shape *shape, unsigned depth)
{
	for (unsigned i = 0; i < shape->field_count; i++)
		if (shape->fields[i].kind == SHAPE_TIMESTAMP ||
			(shape->fields[i].message && depth && has_time(shape->fields[i].message, depth - 1)))
			return true;
	return false;
}

static void check_round_trip(const struct json_shape *shape, const ProtobufCMessage *first)
{
	struct text a, b;
	const ProtobufCMessage *second;

	text_clear(&text);
	assert(json_write(&text, shape, JSON_V1, first));
	second = read_message(shape, JSON_V1, text.data, text.length);
	assert(second);
	text_init(&a, 1 << 20);
	text_init(&b, 1 << 20);
	pack(first, &a);
	pack(second, &b);
	assert(has_time(shape, JSON_DEPTH_MAX) ||
		(a.length == b.length && !memcmp(a.data, b.data, a.length)));
	text_release(&a);
	text_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct shape_method *methods;
	const struct json_shape *shape;
	enum json_surface surface;
	ProtobufCMessage *message;
	size_t count;

	if (size < 2 || size > 8192)
		return 0;
	if (!shapes) {
		shapes = shapes_new(NULL);
		assert(shapes);
		arena_init(&arena, 64 * 1024, 8 << 20);
		text_init(&text, 1 << 20);
	}
	arena_clear(&arena);
	methods = shapes_methods(shapes, &count);
	shape = data[1] & 2 ? methods[data[0] % count].output : methods[data[0] % count].input;
	surface = data[1] & 1 ? JSON_V1 : JSON_COMPATIBLE;
	message = read_message(shape, surface, (const char *)data + 2, size - 2);
	if (message && surface == JSON_V1)
		check_round_trip(shape, message);
	return 0;
}
