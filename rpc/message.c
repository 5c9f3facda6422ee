#include <grpc/byte_buffer.h>

#include "rpc/call.h"
#include "rpc/unpack.h"
#include "rpc/validate.h"

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
	uint8_t *bytes;
	size_t size;

	if (!call->received) {
		rpc_status_set(status, RPC_INVALID_ARGUMENT, "INVALID", "the call came without a message");
		return false;
	}
	if (call->received->data.raw.compression != GRPC_COMPRESS_NONE) {
		rpc_status_set(status, RPC_UNIMPLEMENTED, "", "compressed messages are not taken");
		return false;
	}
	bytes = unpack_bytes(call->received, arena, &size);
	if (!bytes)
		return too_large(status);
	if (!validate_message(type, bytes, size, call->server->limits.items_max, status))
		return false;
	*ret = unpack_message(type, arena, bytes, size);
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
