/* gatekeeper/edge/json_set.h - puts one scalar of JSON into its place in a message. For the files of the transcoder only.
 *
 * `slot` is where the value goes: a member of the message or an element of its list. Each function returns NULL when the value was stored, else
 * what was expected instead ("an integer from 0 to 4294967295"), a literal; JSON_NO_MEMORY says that the arena is full.
 * Pure: any thread. */
#ifndef FLASHSALE_EDGE_JSON_SET_H
#define FLASHSALE_EDGE_JSON_SET_H

#include "base/arena.h"
#include "gatekeeper/edge/shapes.h"

extern const char JSON_NO_MEMORY[]; /* compare the pointer */

const char *json_set_number(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length);
const char *json_set_string(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length);
const char *json_set_bool(const struct json_field *field, void *slot, bool value);
/* Plain text without quotes, from a path or a query. */
const char *json_set_text(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length);

/* What the field takes, for a value of another kind altogether. */
const char *json_expected(const struct json_field *field);

/* Bytes of one element of the field's list (or of its member, if it is none). */
size_t json_slot_size(const struct json_field *field);
/* A new message of the shape, initialised; NULL when the arena is full. */
ProtobufCMessage *json_message_new(const struct json_shape *shape, struct arena *arena);

#endif
