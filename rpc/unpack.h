/* rpc/unpack.h - proto3 messages from the wire into an arena: what protobuf_c_message_unpack does, at a fraction of its instructions.
 *
 * The message's bytes are in the arena already, and texts and bytes stay where they are: a text is ended by a zero over the next field's tag, once
 * that has been read. What is new are structs and lists, each as large as it must be. So:
 *  - the bytes are used up, and live as long as the message; nothing of it is ever freed alone
 *  - unknown fields are dropped; of a oneof the last one counts; a message that comes twice is one, the second over the first
 *  - proto2's required fields are not looked for. Texts are not looked at: rpc/validate.h does that
 * Pure: any thread. */
#ifndef FLASHSALE_RPC_UNPACK_H
#define FLASHSALE_RPC_UNPACK_H

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"

/* `bytes` has room for one more than `size`. NULL: it does not parse, or the arena is at its cap. */
ProtobufCMessage *unpack_message(
	const ProtobufCMessageDescriptor *type, struct arena *arena, uint8_t *bytes, size_t size);

/* The buffer's bytes in one piece, in the arena, with room for one more. NULL: the arena is at its cap. */
uint8_t *unpack_bytes(grpc_byte_buffer *buffer, struct arena *arena, size_t *ret_size);

/* The field of a number; NULL: the type has none. Fields mostly come in the order of their numbers: *hint, 0 at first, is where the last one was found. */
static inline const ProtobufCFieldDescriptor *unpack_field(
	const ProtobufCMessageDescriptor *type, uint32_t id, unsigned *hint)
{
	const ProtobufCFieldDescriptor *field;

	for (unsigned at = *hint; at < type->n_fields && at <= *hint + 1; at++)
		if (type->fields[at].id == id) {
			*hint = at;
			return &type->fields[at];
		}
	field = protobuf_c_message_descriptor_get_field(type, id);
	if (field)
		*hint = (unsigned)(field - type->fields);
	return field;
}

#endif
