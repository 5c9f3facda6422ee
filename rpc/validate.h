/* rpc/validate.h - what protobuf-c does not look at: done on the wire, before anything is unpacked.
 *
 * Refused: bytes that are not a message of this type; a string with NUL or bad UTF-8; a number that does not fit its field; a repeated field of
 * more than items_max elements; nesting deeper than VALIDATE_DEPTH_MAX. The status names the field by its path ("items[3].sku").
 * Pure: any thread. */
#ifndef FLASHSALE_RPC_VALIDATE_H
#define FLASHSALE_RPC_VALIDATE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/status.h"

#define VALIDATE_DEPTH_MAX 32
#define VALIDATE_FIELDS_MAX 64 /* of one message type: the contracts' largest has far fewer */

/* False: *ret_status says what is wrong, RESOURCE_EXHAUSTED for too many elements, else INVALID_ARGUMENT. */
bool validate_message(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
	uint32_t items_max, struct rpc_status *ret_status);

/* Whether messages of this type can be validated: field counts and nesting are in bounds, so it is not recursive. */
bool validate_type(const ProtobufCMessageDescriptor *type);

#endif
