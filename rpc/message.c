#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <string.h>

#include "rpc/call.h"
#include "rpc/validate.h"

/* The message's bytes in one piece: where they are if they lie so, else copied into the arena. NULL: no room. */
static const uint8_t *payload_bytes(grpc_byte_buffer *payload, struct arena *arena, size_t *ret_size)
{
	grpc_byte_buffer_reader reader;
	grpc_slice *slice;
	const uint8_t *bytes = NULL;

	*ret_size = grpc_byte_buffer_length(payload);
	if (*ret_size == 0)
		return (const uint8_t *)"";
	if (!grpc_byte_buffer_reader_init(&reader, payload))
		return NULL;
	if (grpc_byte_buffer_reader_peek(&reader, &slice) && GRPC_SLICE_LENGTH(*slice) == *ret_size) {
		bytes = GRPC_SLICE_START_PTR(*slice); /* the buffer's own, valid as long as it is */
	} else {
		uint8_t *copy = arena_alloc(arena, *ret_size), *to = copy;

		grpc_byte_buffer_reader_destroy(&reader);
		if (!copy || !grpc_byte_buffer_reader_init(&reader, payload))
			return NULL;
		for (; grpc_byte_buffer_reader_peek(&reader, &slice); to += GRPC_SLICE_LENGTH(*slice))
			memcpy(to, GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
		bytes = copy;
	}
	grpc_byte_buffer_reader_destroy(&reader);
	return bytes;
}

static bool too_large(struct rpc_status *status)
{
	rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "INVALID",
		"the message unpacks to more than this server takes");
	return false;
}

static bool unpack(
	struct rpc_call *call, struct arena *arena, const ProtobufCMessage **ret, struct rpc_status *status)
{
	const ProtobufCMessageDescriptor *type = call->method->type->input;
	const uint8_t *bytes;
	size_t size;

	if (!call->received) {
		rpc_status_set(status, RPC_INVALID_ARGUMENT, "INVALID", "the call came without a message");
		return false;
	}
	if (call->received->data.raw.compression != GRPC_COMPRESS_NONE) {
		rpc_status_set(status, RPC_UNIMPLEMENTED, "", "compressed messages are not taken");
		return false;
	}
	bytes = payload_bytes(call->received, arena, &size);
	if (!bytes)
		return too_large(status);
	if (!validate_message(type, bytes, size, call->server->limits.items_max, status))
		return false;
	*ret = protobuf_c_message_unpack(type, &arena->allocator, size, bytes);
	if (*ret)
		return true;
	if (arena_exhausted(arena))
		return too_large(status);
	rpc_status_set(status, RPC_INVALID_ARGUMENT, "INVALID", "the message does not parse");
	return false;
}

bool call_unpack(
	struct rpc_call *call, struct arena *arena, const ProtobufCMessage **ret, struct rpc_status *status)
{
	bool fine = unpack(call, arena, ret, status);

	if (call->received)
		grpc_byte_buffer_destroy(call->received);
	call->received = NULL;
	return fine;
}

grpc_byte_buffer *call_pack(const ProtobufCMessage *message)
{
	grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
	grpc_byte_buffer *buffer;
	size_t size = protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));

	assert(size == GRPC_SLICE_LENGTH(slice));
	buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice); /* the buffer took a reference of its own */
	return buffer;
}
