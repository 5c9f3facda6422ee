/* gatekeeper/edge/json_read.h - JSON text -> message, by its shape. For what strangers send: every bound has an error.
 *
 * Follows the protobuf JSON mapping, with these decisions:
 *  - a member is named by its JSON name or its proto name; the same field twice, or two members of one oneof, is refused;
 *  - a member that the shape does not have on this surface is ignored on the compatible one and refused by name under /v1;
 *  - null means absent; in a list it is refused;
 *  - numbers are exact: from the digits as written, never by way of a double. An integer may be written 1.0 or 1e2 as long as its value is
 *    integral; what does not fit the field is refused, money with more than 6 decimals too. 64-bit integers may come as strings;
 *  - enums by their full value name or number, known ones only; strings without NUL; no lone surrogates; times as RFC 3339;
 *    durations as "3.5s"; bytes as base64 (either alphabet); Limit as a number, 0 without limit.
 * A refusal is INVALID_ARGUMENT with reason INVALID, the field's path ("items[3].goodsSKU", "" when the text as a whole is no JSON object), and
 * what was expected. Memory comes from the arena alone; one that is full gives RESOURCE_EXHAUSTED with reason OVERLOADED.
 * Threads: none of its own; strings of the message live in the arena. */
#ifndef FLASHSALE_EDGE_JSON_READ_H
#define FLASHSALE_EDGE_JSON_READ_H

#include "base/arena.h"
#include "gatekeeper/edge/shapes.h"
#include "rpc/status.h"

#define JSON_DEPTH_MAX 16   /* objects and lists within one another, ignored ones included */
#define JSON_ITEMS_MAX 4096 /* of one list */

/* Reads the text into *message, which is initialised (or filled already: what the text names is overwritten). *ret_seen gets bit i for each of
 * the shape's fields that the text gave a value. False: *ret_status says why, *message holds what was read so far. */
bool json_read(const struct json_shape *shape, enum json_surface surface, const char *data, size_t length,
	struct arena *arena, ProtobufCMessage *message, uint64_t *ret_seen, struct rpc_status *ret_status);

/* A value that came as plain text (a capture of the path, a query parameter; decoded already): scalars, times, durations, limits, enums; an element
 * for repeated ones. Same refusals. Messages can't be given so. */
bool json_read_text(const struct json_field *field, const char *data, size_t length, struct arena *arena,
	ProtobufCMessage *message, struct rpc_status *ret_status);

#endif
