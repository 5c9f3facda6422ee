#include "gatekeeper/edge/json_write.h"

#include <string.h>

#include "flashsale/common/v1/common.pb-c.h"
#include "gatekeeper/edge/json_set.h"
#include "gatekeeper/edge/json_values.h"
#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

static void write_unsigned(struct text *text, uint64_t value)
{
	char digits[24], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_append(text, at, (size_t)(digits + sizeof(digits) - at));
}

static void write_enum(struct text *text, const struct json_field *field, int number)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(field->field->descriptor, number);

	if (!value) {
		text_append_int(text, number); /* a newer peer's, as the JSON mapping has it */
		return;
	}
	text_append_char(text, '"');
	text_append_string(text, value->name);
	text_append_char(text, '"');
}

static void write_limit(struct text *text, const Common__Limit *limit)
{
	if (limit->kind_case == COMMON__LIMIT__KIND__NOT_SET)
		text_append_string(text, "null");
	else
		write_unsigned(text, limit->kind_case == COMMON__LIMIT__KIND_UNITS ? limit->units : 0);
}

static void write_string(struct text *text, const char *string)
{
	text_append_json_string(text, string ? string : "", string ? strlen(string) : 0);
}

static void write_message(
	struct text *text, const struct json_field *field, enum json_surface surface, const void *slot)
{
	const ProtobufCMessage *message = *(const ProtobufCMessage *const *)slot;
	const Google__Protobuf__Timestamp *time = (const void *)message;
	const Google__Protobuf__Duration *duration = (const void *)message;

	if (!message)
		text_append_string(text, "null");
	else if (field->kind == SHAPE_TIMESTAMP)
		timestamp_write(text, time->seconds, time->nanos);
	else if (field->kind == SHAPE_DURATION)
		duration_write(text, duration->seconds, duration->nanos);
	else if (field->kind == SHAPE_LIMIT)
		write_limit(text, (const Common__Limit *)message);
	else
		json_write(text, field->message, surface, message);
}

/* One value: a member that is no list, or an element of one. */
static void write_slot(
	struct text *text, const struct json_field *field, enum json_surface surface, const void *slot)
{
	switch (field->kind) {
	case SHAPE_BOOL:
		text_append_string(text, *(const protobuf_c_boolean *)slot ? "true" : "false");
		break;
	case SHAPE_INT32:
		text_append_int(text, *(const int32_t *)slot);
		break;
	case SHAPE_UINT32:
		write_unsigned(text, *(const uint32_t *)slot);
		break;
	case SHAPE_INT64:
		text_append_int(text, *(const int64_t *)slot);
		break;
	case SHAPE_UINT64:
		write_unsigned(text, *(const uint64_t *)slot);
		break;
	case SHAPE_MONEY:
		money_write(text, *(const int64_t *)slot);
		break;
	case SHAPE_FLOAT:
		double_write(text, (double)*(const float *)slot);
		break;
	case SHAPE_DOUBLE:
		double_write(text, *(const double *)slot);
		break;
	case SHAPE_STRING:
		write_string(text, *(const char *const *)slot);
		break;
	case SHAPE_BYTES:
		base64_write(text, ((const ProtobufCBinaryData *)slot)->data,
			((const ProtobufCBinaryData *)slot)->len);
		break;
	case SHAPE_ENUM:
		write_enum(text, field, *(const int *)slot);
		break;
	case SHAPE_NULL:
		text_append_string(text, "null");
		break;
	case SHAPE_TIMESTAMP:
	case SHAPE_DURATION:
	case SHAPE_LIMIT:
	case SHAPE_MESSAGE:
		write_message(text, field, surface, slot);
		break;
	}
}

static void write_list(struct text *text, const struct json_field *field, enum json_surface surface,
	const ProtobufCMessage *message)
{
	size_t count =
		*(const size_t *)(const void *)((const char *)message + field->field->quantifier_offset);
	size_t size = json_slot_size(field);
	const char *elements = *(char *const *)json_field_value(field, message);

	text_append_char(text, '[');
	for (size_t i = 0; i < count && !text->overflowed; i++) {
		if (i)
			text_append_char(text, ',');
		write_slot(text, field, surface, elements + i * size);
	}
	text_append_char(text, ']');
}

/* Whether there is something to show: oneof members when chosen, messages when there. */
static bool is_present(const struct json_field *field, const ProtobufCMessage *message)
{
	if (field->repeated)
		return true;
	if (!json_field_chosen(field, message))
		return false;
	return !field->message || *(void *const *)json_field_value(field, message);
}

bool json_write_value(struct text *text, const struct json_field *field, enum json_surface surface,
	const ProtobufCMessage *message)
{
	if (field->repeated)
		write_list(text, field, surface, message);
	else if (is_present(field, message))
		write_slot(text, field, surface, json_field_value(field, message));
	else
		text_append_string(text, "null");
	return !text->overflowed;
}

bool json_write(struct text *text, const struct json_shape *shape, enum json_surface surface,
	const ProtobufCMessage *message)
{
	char before = '{';

	for (unsigned i = 0; i < shape->field_count && !text->overflowed; i++) {
		const struct json_field *field = &shape->fields[i];

		if (!json_field_shown(field, surface) || !is_present(field, message))
			continue;
		text_append_char(text, before);
		before = ',';
		text_append(text, field->member, field->member_length);
		json_write_value(text, field, surface, message);
	}
	if (before == '{')
		text_append_char(text, before);
	text_append_char(text, '}');
	return !text->overflowed;
}
