/* rpc/wire_kinds.h - how a field's type looks on the wire, and how large it is in protobuf-c's structs and lists. Pure: any thread. */
#ifndef FLASHSALE_RPC_WIRE_KINDS_H
#define FLASHSALE_RPC_WIRE_KINDS_H

#include <protobuf-c/protobuf-c.h>

#include "rpc/wire.h"

static const struct wire_kind {
	uint8_t wire, size;
} wire_kinds[] = {
	[PROTOBUF_C_TYPE_INT32] = {WIRE_VARINT, 4},
	[PROTOBUF_C_TYPE_SINT32] = {WIRE_VARINT, 4},
	[PROTOBUF_C_TYPE_SFIXED32] = {WIRE_32, 4},
	[PROTOBUF_C_TYPE_INT64] = {WIRE_VARINT, 8},
	[PROTOBUF_C_TYPE_SINT64] = {WIRE_VARINT, 8},
	[PROTOBUF_C_TYPE_SFIXED64] = {WIRE_64, 8},
	[PROTOBUF_C_TYPE_UINT32] = {WIRE_VARINT, 4},
	[PROTOBUF_C_TYPE_FIXED32] = {WIRE_32, 4},
	[PROTOBUF_C_TYPE_UINT64] = {WIRE_VARINT, 8},
	[PROTOBUF_C_TYPE_FIXED64] = {WIRE_64, 8},
	[PROTOBUF_C_TYPE_FLOAT] = {WIRE_32, 4},
	[PROTOBUF_C_TYPE_DOUBLE] = {WIRE_64, 8},
	[PROTOBUF_C_TYPE_BOOL] = {WIRE_VARINT, sizeof(protobuf_c_boolean)},
	[PROTOBUF_C_TYPE_ENUM] = {WIRE_VARINT, 4},
	[PROTOBUF_C_TYPE_STRING] = {WIRE_BYTES, sizeof(char *)},
	[PROTOBUF_C_TYPE_BYTES] = {WIRE_BYTES, sizeof(ProtobufCBinaryData)},
	[PROTOBUF_C_TYPE_MESSAGE] = {WIRE_BYTES, sizeof(ProtobufCMessage *)},
};

#endif
