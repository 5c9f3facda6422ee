/* gatekeeper/edge/json_write.h - message -> JSON text, by its shape.
 *
 * Zero, false and "" are always written; members of a oneof only when set, messages only when there; members of the other surface never. Counts are
 * numbers, 64-bit ones too; money is a plain decimal (99, 99.9, 0); a double always has a decimal point (0.0); times are RFC 3339 in UTC
 * with milliseconds; durations "600s"; Limit a number, 0 without limit; enums by full name; bytes base64; NullValue null.
 * The text's maximum bounds the answer: an overflow is seen there (text->overflowed), and is what the functions return false for.
 * Threads: pure. */
#ifndef FLASHSALE_EDGE_JSON_WRITE_H
#define FLASHSALE_EDGE_JSON_WRITE_H

#include "base/text.h"
#include "gatekeeper/edge/shapes.h"

bool json_write(struct text *text, const struct json_shape *shape, enum json_surface surface,
	const ProtobufCMessage *message);

/* Only one field's value, as response_body asks: an object, a list or a scalar; an absent message is null. */
bool json_write_value(struct text *text, const struct json_field *field, enum json_surface surface,
	const ProtobufCMessage *message);

#endif
