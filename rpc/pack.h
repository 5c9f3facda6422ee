/* rpc/pack.h - proto3 messages to the wire: the bytes of protobuf_c_message_pack, at a fraction of its instructions.
 *
 * Written from the end to the beginning, so that the size of whatever is inside is known when its length is due: one pass, and none to count
 * before. Unknown fields are written as they are. Pure: any thread. */
#ifndef FLASHSALE_RPC_PACK_H
#define FLASHSALE_RPC_PACK_H

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

grpc_byte_buffer *pack_message(const ProtobufCMessage *message); /* to destroy */

#endif
