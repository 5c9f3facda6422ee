#include "gatekeeper/edge/json_set.h"

#include <math.h>
#include <string.h>

#include "base/text.h"
#include "flashsale/common/v1/common.pb-c.h"
#include "gatekeeper/edge/json_values.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

const char JSON_NO_MEMORY[] = "less: the request takes too much memory";

const char *json_expected(const struct json_field *field)
{
	switch (field->kind) {
	case SHAPE_BOOL:
		return "true or false";
	case SHAPE_INT32:
		return "an integer from -2147483648 to 2147483647";
	case SHAPE_UINT32:
		return "an integer from 0 to 4294967295";
	case SHAPE_INT64:
		return "an integer from -9223372036854775808 to 9223372036854775807";
	case SHAPE_UINT64:
		return "an integer from 0 to 18446744073709551615";
	case SHAPE_MONEY:
		return "an amount with at most 6 decimals";
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return "a number";
	case SHAPE_STRING:
		return "a string of UTF-8 without NUL";
	case SHAPE_BYTES:
		return "a string of base64";
	case SHAPE_ENUM:
		return "the full name of a known value";
	case SHAPE_NULL:
		return "null";
	case SHAPE_TIMESTAMP:
		return "a time as RFC 3339 has it, like 2026-01-31T12:00:00Z";
	case SHAPE_DURATION:
		return "a duration in seconds, like 3.5s";
	case SHAPE_LIMIT:
		return "an integer from 0 (no limit) to 4294967295";
	case SHAPE_MESSAGE:
		return "an object";
	}
	return "another value";
}

size_t json_slot_size(const struct json_field *field)
{
	switch (field->kind) {
	case SHAPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case SHAPE_INT32:
	case SHAPE_UINT32:
	case SHAPE_FLOAT:
	case SHAPE_ENUM:
	case SHAPE_NULL:
		return 4;
	case SHAPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 8;
	}
}

_Static_assert(sizeof(void *) == 8 && sizeof(double) == 8, "json_slot_size counts on it");

ProtobufCMessage *json_message_new(const struct json_shape *shape, struct arena *arena)
{
	ProtobufCMessage *message = arena_alloc(arena, shape->type->sizeof_message);

	if (message)
		protobuf_c_message_init(shape->type, message);
	return message;
}

/* Whether the number fits what the field holds; stores it. */
static bool store_integer(const struct json_field *field, void *slot, bool negative, uint64_t magnitude)
{
	switch (field->kind) {
	case SHAPE_UINT32:
		*(uint32_t *)slot = (uint32_t)magnitude;
		return !negative && magnitude <= UINT32_MAX;
	case SHAPE_UINT64:
		*(uint64_t *)slot = magnitude;
		return !negative;
	case SHAPE_INT32:
		*(int32_t *)slot = (int32_t)(negative ? 0u - (uint32_t)magnitude : (uint32_t)magnitude);
		return magnitude <= (uint64_t)INT32_MAX + negative;
	default:
		*(int64_t *)slot = (int64_t)(negative ? 0u - magnitude : magnitude);
		return magnitude <= (uint64_t)INT64_MAX + negative;
	}
}

static const char *set_integer(const struct json_field *field, void *slot, const char *data, size_t length)
{
	unsigned decimals = field->kind == SHAPE_MONEY ? MONEY_DECIMALS : 0;
	uint64_t magnitude, value = 0;
	bool negative;

	if (decimal_read(data, length, decimals, &negative, &magnitude) != DECIMAL_OK ||
		!store_integer(field, &value, negative, magnitude))
		return json_expected(field);
	memcpy(slot, &value,
		json_slot_size(field)); /* a refused value changes nothing; little-endian is asserted below */
	return NULL;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "set_integer counts on it");

static const char *set_real(const struct json_field *field, void *slot, const char *data, size_t length)
{
	double value;

	if (!double_read(data, length, &value))
		return json_expected(field);
	if (field->kind == SHAPE_DOUBLE)
		*(double *)slot = value;
	else if (isfinite((float)value))
		*(float *)slot = (float)value;
	else
		return json_expected(field);
	return NULL;
}

static const char *store_enum(const struct json_field *field, void *slot, const ProtobufCEnumValue *value)
{
	if (!value)
		return json_expected(field);
	*(int *)slot = value->value;
	return NULL;
}

static const char *set_enum_number(
	const struct json_field *field, void *slot, const char *data, size_t length)
{
	uint64_t magnitude;
	bool negative;
	int32_t number = 0;
	const struct json_field as_integer = {.kind = SHAPE_INT32};

	if (decimal_read(data, length, 0, &negative, &magnitude) != DECIMAL_OK ||
		!store_integer(&as_integer, &number, negative, magnitude))
		return json_expected(field);
	return store_enum(
		field, slot, protobuf_c_enum_descriptor_get_value(field->field->descriptor, number));
}

static const char *set_limit(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	uint64_t magnitude;
	bool negative;
	Common__Limit *limit;
	Common__Unlimited *unlimited;

	if (decimal_read(data, length, 0, &negative, &magnitude) != DECIMAL_OK || negative ||
		magnitude > UINT32_MAX)
		return json_expected(field);
	limit = arena_alloc(arena, sizeof(*limit));
	unlimited = arena_alloc(arena, sizeof(*unlimited));
	if (!limit || !unlimited)
		return JSON_NO_MEMORY;
	common__limit__init(limit);
	common__unlimited__init(unlimited);
	if (magnitude) {
		limit->kind_case = COMMON__LIMIT__KIND_UNITS;
		limit->units = (uint32_t)magnitude;
	} else {
		limit->kind_case = COMMON__LIMIT__KIND_UNLIMITED;
		limit->unlimited = unlimited;
	}
	*(Common__Limit **)slot = limit;
	return NULL;
}

const char *json_set_number(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	switch (field->kind) {
	case SHAPE_INT32:
	case SHAPE_UINT32:
	case SHAPE_INT64:
	case SHAPE_UINT64:
	case SHAPE_MONEY:
		return set_integer(field, slot, data, length);
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return set_real(field, slot, data, length);
	case SHAPE_ENUM:
		return set_enum_number(field, slot, data, length);
	case SHAPE_LIMIT:
		return set_limit(field, slot, arena, data, length);
	default:
		return json_expected(field);
	}
}

static const char *set_text(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	char *copy;

	if (memchr(data, '\0', length) || !utf8_valid(data, length))
		return json_expected(field);
	copy = arena_text(arena, data, length);
	if (!copy)
		return JSON_NO_MEMORY;
	*(char **)slot = copy;
	return NULL;
}

static const char *set_bytes(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	uint8_t *bytes = arena_alloc(arena, length / 4 * 3 + 3);
	size_t size;

	if (!bytes)
		return JSON_NO_MEMORY;
	if (!base64_read(data, length, bytes, &size))
		return json_expected(field);
	*(ProtobufCBinaryData *)slot = (ProtobufCBinaryData){.len = size, .data = bytes};
	return NULL;
}

static const char *set_enum_name(const struct json_field *field, void *slot, const char *data, size_t length)
{
	const ProtobufCEnumDescriptor *type = field->field->descriptor;

	for (unsigned i = 0; i < type->n_value_names; i++) {
		const ProtobufCEnumValueIndex *name = &type->values_by_name[i];

		if (strlen(name->name) == length && !memcmp(name->name, data, length))
			return store_enum(field, slot, &type->values[name->index]);
	}
	return json_expected(field);
}

static const char *set_time(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	Google__Protobuf__Timestamp *time = arena_alloc(arena, sizeof(*time));

	if (!time)
		return JSON_NO_MEMORY;
	google__protobuf__timestamp__init(time);
	if (!timestamp_read(data, length, &time->seconds, &time->nanos))
		return json_expected(field);
	*(Google__Protobuf__Timestamp **)slot = time;
	return NULL;
}

static const char *set_duration(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	Google__Protobuf__Duration *duration = arena_alloc(arena, sizeof(*duration));

	if (!duration)
		return JSON_NO_MEMORY;
	google__protobuf__duration__init(duration);
	if (!duration_read(data, length, &duration->seconds, &duration->nanos))
		return json_expected(field);
	*(Google__Protobuf__Duration **)slot = duration;
	return NULL;
}

const char *json_set_string(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	switch (field->kind) {
	case SHAPE_STRING:
		return set_text(field, slot, arena, data, length);
	case SHAPE_BYTES:
		return set_bytes(field, slot, arena, data, length);
	case SHAPE_ENUM:
		return set_enum_name(field, slot, data, length);
	case SHAPE_TIMESTAMP:
		return set_time(field, slot, arena, data, length);
	case SHAPE_DURATION:
		return set_duration(field, slot, arena, data, length);
	case SHAPE_INT64:
	case SHAPE_UINT64:
		return set_integer(field, slot, data, length);
	default:
		return json_expected(field);
	}
}

const char *json_set_bool(const struct json_field *field, void *slot, bool value)
{
	if (field->kind != SHAPE_BOOL)
		return json_expected(field);
	*(protobuf_c_boolean *)slot = value;
	return NULL;
}

const char *json_set_text(
	const struct json_field *field, void *slot, struct arena *arena, const char *data, size_t length)
{
	bool is_true = length == 4 && !memcmp(data, "true", 4),
	     is_false = length == 5 && !memcmp(data, "false", 5);

	switch (field->kind) {
	case SHAPE_BOOL:
		return is_true || is_false ? json_set_bool(field, slot, is_true) : json_expected(field);
	case SHAPE_ENUM:
		return set_enum_name(field, slot, data, length) ? set_enum_number(field, slot, data, length)
								: NULL;
	case SHAPE_STRING:
	case SHAPE_BYTES:
	case SHAPE_TIMESTAMP:
	case SHAPE_DURATION:
		return json_set_string(field, slot, arena, data, length);
	default:
		return json_set_number(field, slot, arena, data, length);
	}
}
