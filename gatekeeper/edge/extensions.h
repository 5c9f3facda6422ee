/* gatekeeper/edge/extensions.h - values of options that protobuf-c keeps unread, among the unknown fields of an options message.
 * `options` may be NULL: then nothing is found. Pure: any thread. */
#ifndef FLASHSALE_EDGE_EXTENSIONS_H
#define FLASHSALE_EDGE_EXTENSIONS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The last number under this tag; 0 if there is none. */
uint64_t extension_number(const ProtobufCMessage *options, uint32_t tag);
/* Whether a repeated enum has the value, packed or not. */
bool extension_has_number(const ProtobufCMessage *options, uint32_t tag, uint64_t value);
/* The bytes of the last string or message under this tag, inside *options; NULL if there is none. */
const uint8_t *extension_bytes(const ProtobufCMessage *options, uint32_t tag, size_t *ret_size);

#endif
