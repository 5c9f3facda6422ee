#include "rpc/validate.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "rpc/unpack.h"
#include "rpc/wire_kinds.h"

struct validation {
	uint32_t items_max;
	struct rpc_status *status;
};

static bool check_fields(
	struct validation *validation, const ProtobufCMessageDescriptor *type, struct wire wire, int depth);

static bool refuse(struct validation *validation, enum rpc_code code, const char *reason, const char *text)
{
	rpc_status_set(validation->status, code, reason, "%s", text);
	return false;
}

static bool invalid(struct validation *validation, const char *text)
{
	return refuse(validation, RPC_INVALID_ARGUMENT, "INVALID", text);
}

/* On the way up from a refusal each level puts its own name before the path. */
static bool in_field(struct validation *validation, const ProtobufCFieldDescriptor *field, uint32_t element)
{
	struct rpc_status *status = validation->status;
	char path[sizeof(status->field)];
	struct text text;

	text_init_fixed(&text, path, sizeof(path)); /* what does not fit is left out at the inner end */
	text_append_string(&text, field->name);
	if (field->label == PROTOBUF_C_LABEL_REPEATED)
		text_appendf(&text, "[%u]", element);
	if (status->field[0])
		text_appendf(&text, ".%s", status->field);
	memcpy(status->field, path, text.length + 1);
	return false;
}

static bool check_string(struct validation *validation, const struct wire_field *on_wire)
{
	if (memchr(on_wire->bytes, 0, on_wire->size))
		return invalid(validation, "a text must not hold a zero byte");
	if (!utf8_valid((const char *)on_wire->bytes, on_wire->size))
		return invalid(validation, "a text must be valid UTF-8");
	return true;
}

/* protobuf-c would cut such a number silently. */
static bool check_number(struct validation *validation, ProtobufCType type, uint64_t number)
{
	bool fits;

	switch (type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		fits = (int64_t)number >= INT32_MIN && (int64_t)number <= INT32_MAX;
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		fits = number <= UINT32_MAX;
		break;
	default:
		fits = true;
	}
	return fits || invalid(validation, "the number does not fit the field");
}

/* Elements of a packed field, each checked; they count from *count on. */
static bool check_packed(struct validation *validation, const ProtobufCFieldDescriptor *field,
	const struct wire_field *on_wire, uint32_t *count)
{
	struct wire wire = {on_wire->bytes, on_wire->bytes + on_wire->size};
	enum wire_type type = wire_kinds[field->type].wire;

	while (wire.next < wire.end) {
		uint64_t number = 0;
		bool fine = type == WIRE_VARINT ? wire_varint(&wire, &number)
						: wire_fixed(&wire, type == WIRE_64 ? 8 : 4, &number);

		if (!fine)
			return invalid(validation, "the message does not parse");
		if (++*count > validation->items_max)
			return refuse(validation, RPC_RESOURCE_EXHAUSTED, "", "too many elements");
		if (!check_number(validation, field->type, number))
			return false;
	}
	return true;
}

static bool check_one(struct validation *validation, const ProtobufCFieldDescriptor *field,
	const struct wire_field *on_wire, int depth)
{
	if (on_wire->type != wire_kinds[field->type].wire)
		return invalid(validation, "the message does not parse");
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return check_string(validation, on_wire);
	if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		return check_fields(validation, field->descriptor,
			(struct wire){on_wire->bytes, on_wire->bytes + on_wire->size}, depth + 1);
	return check_number(validation, field->type, on_wire->number);
}

static bool check_field(struct validation *validation, const ProtobufCFieldDescriptor *field,
	const struct wire_field *on_wire, uint32_t *count, int depth)
{
	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return check_one(validation, field, on_wire, depth);
	if (on_wire->type == WIRE_BYTES && wire_kinds[field->type].wire != WIRE_BYTES)
		return check_packed(validation, field, on_wire, count);
	if (++*count > validation->items_max)
		return refuse(validation, RPC_RESOURCE_EXHAUSTED, "", "too many elements");
	return check_one(validation, field, on_wire, depth);
}

static bool check_fields(
	struct validation *validation, const ProtobufCMessageDescriptor *type, struct wire wire, int depth)
{
	uint32_t counts[VALIDATE_FIELDS_MAX];
	struct wire_field on_wire;
	enum wire_result result;
	unsigned hint = 0;

	if (depth > VALIDATE_DEPTH_MAX)
		return invalid(validation, "nested too deep");
	assert(type->n_fields <= VALIDATE_FIELDS_MAX);
	memset(counts, 0, type->n_fields * sizeof(counts[0]));
	while ((result = wire_next(&wire, &on_wire)) == WIRE_FIELD) {
		const ProtobufCFieldDescriptor *field = unpack_field(type, on_wire.id, &hint);
		uint32_t *count;

		if (!field)
			continue; /* of a newer contract */
		count = &counts[field - type->fields];
		if (!check_field(validation, field, &on_wire, count, depth))
			return in_field(validation, field, *count ? *count - 1 : 0);
	}
	return result == WIRE_END || invalid(validation, "the message does not parse");
}

bool validate_message(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
	uint32_t items_max, struct rpc_status *ret_status)
{
	struct validation validation = {.items_max = items_max, .status = ret_status};

	return check_fields(&validation, type, (struct wire){bytes, bytes + size}, 1);
}

static bool type_in_bounds(const ProtobufCMessageDescriptor *type, int depth)
{
	if (depth > VALIDATE_DEPTH_MAX || type->n_fields > VALIDATE_FIELDS_MAX)
		return false;
	for (unsigned i = 0; i < type->n_fields; i++)
		if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
			!type_in_bounds(type->fields[i].descriptor, depth + 1))
			return false;
	return true;
}

bool validate_type(const ProtobufCMessageDescriptor *type)
{
	return type_in_bounds(type, 1);
}
