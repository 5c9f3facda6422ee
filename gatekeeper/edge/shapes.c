#include "gatekeeper/edge/shapes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "gatekeeper/edge/extensions.h"
#include "google/api/field_behavior.pb-c.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "proto/descriptor_set.h"

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;
typedef Google__Protobuf__FieldDescriptorProto field_proto;
typedef Google__Protobuf__MethodDescriptorProto method_proto;

/* Numbers of extensions: options.proto, field_behavior.proto, annotations.proto. */
enum {
	FIELD_MONEY = 50101,
	FIELD_SURFACE = 50102,
	FIELD_BEHAVIOR = 1052,
	METHOD_ACCESS = 50101,
	METHOD_SHARD_KEY = 50102,
	METHOD_ROUND = 50103,
	METHOD_HTTP = 72295728,
};

/* Paths of a comment: field numbers of descriptor.proto, with indexes between them. */
enum { PATH_MESSAGE = 4, PATH_ENUM = 5, PATH_SERVICE = 6, PATH_PART = 2 };

#define SHAPES_MAX 512

static const ProtobufCServiceDescriptor *const services[] = {
	&inventory__inventory_service__descriptor,
	&cart__cart_service__descriptor,
	&policy__policy_service__descriptor,
	&protector__protector_service__descriptor,
	&gatekeeper__gatekeeper_service__descriptor,
};
#define SERVICE_COUNT (sizeof(services) / sizeof(services[0]))

/* All that is handed out points into the set or to memory that is kept here. */
struct shapes {
	Google__Protobuf__FileDescriptorSet *set;
	struct json_shape *list[SHAPES_MAX];
	size_t count;
	struct shape_method *methods;
	size_t method_count;
};

/* Where a thing stands in the set. */
struct place {
	const file_proto *file;
	int32_t index;
};

/* Takes the blanks around a comment and at the beginnings of its lines away. */
static void trim(char *text)
{
	size_t start = strspn(text, " \n"), end;

	memmove(text, text + start, strlen(text + start) + 1);
	end = strlen(text);
	while (end && (text[end - 1] == ' ' || text[end - 1] == '\n'))
		text[--end] = '\0';
	for (char *at = text; (at = strstr(at, "\n ")) != NULL;)
		memmove(at + 1, at + 2, strlen(at + 2) + 1);
}

static void trim_comments(Google__Protobuf__FileDescriptorSet *set)
{
	for (size_t i = 0; i < set->n_file; i++) {
		Google__Protobuf__SourceCodeInfo *info = set->file[i]->source_code_info;

		for (size_t j = 0; info && j < info->n_location; j++)
			if (info->location[j]->leading_comments)
				trim(info->location[j]->leading_comments);
	}
}

/* The comment above the thing; "" without one. */
static const char *find_comment(const file_proto *file, const int32_t *path, size_t length)
{
	const Google__Protobuf__SourceCodeInfo *info = file->source_code_info;

	for (size_t i = 0; info && i < info->n_location; i++) {
		const Google__Protobuf__SourceCodeInfo__Location *location = info->location[i];

		if (location->n_path == length && !memcmp(location->path, path, length * sizeof(*path)))
			return location->leading_comments ? location->leading_comments : "";
	}
	return "";
}

/* The part of a full name behind the file's package, NULL if it is of another one. */
static const char *name_within(const file_proto *file, const char *full)
{
	size_t length = file->package ? strlen(file->package) : 0;

	if (!length || strncmp(full, file->package, length) || full[length] != '.')
		return NULL;
	return full + length + 1;
}

static const message_proto *find_message(const struct shapes *shapes, const char *full, struct place *ret)
{
	for (size_t i = 0; i < shapes->set->n_file; i++) {
		const file_proto *file = shapes->set->file[i];
		const char *name = name_within(file, full);

		for (size_t j = 0; name && j < file->n_message_type; j++)
			if (!strcmp(file->message_type[j]->name, name)) {
				*ret = (struct place){file, (int32_t)j};
				return file->message_type[j];
			}
	}
	return NULL;
}

static enum shape_kind message_kind(const ProtobufCMessageDescriptor *type)
{
	if (!strcmp(type->name, "google.protobuf.Timestamp"))
		return SHAPE_TIMESTAMP;
	if (!strcmp(type->name, "google.protobuf.Duration"))
		return SHAPE_DURATION;
	if (!strcmp(type->name, "flashsale.common.v1.Limit"))
		return SHAPE_LIMIT;
	return SHAPE_MESSAGE;
}

static bool field_kind(const ProtobufCFieldDescriptor *field, bool money, enum shape_kind *ret)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		*ret = SHAPE_INT32;
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		*ret = SHAPE_UINT32;
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		*ret = money ? SHAPE_MONEY : SHAPE_INT64;
		return true;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		*ret = SHAPE_UINT64;
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		*ret = SHAPE_FLOAT;
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		*ret = SHAPE_DOUBLE;
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*ret = SHAPE_BOOL;
		break;
	case PROTOBUF_C_TYPE_STRING:
		*ret = SHAPE_STRING;
		break;
	case PROTOBUF_C_TYPE_BYTES:
		*ret = SHAPE_BYTES;
		break;
	case PROTOBUF_C_TYPE_ENUM:
		*ret = strcmp(((const ProtobufCEnumDescriptor *)field->descriptor)->name,
			       "google.protobuf.NullValue")
			       ? SHAPE_ENUM
			       : SHAPE_NULL;
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*ret = message_kind(field->descriptor);
		break;
	default:
		return false;
	}
	return !money;
}

static const struct json_shape *make_shape(
	struct shapes *shapes, const ProtobufCMessageDescriptor *type, struct error *error);

static const field_proto *find_field(const message_proto *message, uint32_t number, int32_t *ret_index)
{
	for (size_t i = 0; i < message->n_field; i++)
		if ((uint32_t)message->field[i]->number == number) {
			*ret_index = (int32_t)i;
			return message->field[i];
		}
	return NULL;
}

static bool make_field(struct shapes *shapes, const message_proto *message, const struct place *place,
	const ProtobufCFieldDescriptor *descriptor, struct json_field *field, struct error *error)
{
	int32_t index = 0;
	const field_proto *proto = find_field(message, descriptor->id, &index);
	const ProtobufCMessage *options = proto && proto->options ? &proto->options->base : NULL;
	const int32_t path[] = {PATH_MESSAGE, place->index, PATH_PART, index};

	if (!proto || !proto->json_name)
		return error_set(
			error, "the descriptor set lacks field %s of %s", descriptor->name, message->name);
	*field = (struct json_field){
		.field = descriptor,
		.name = proto->json_name,
		.member = memory_format("\"%s\":", proto->json_name),
		.name_length = (uint16_t)strlen(proto->json_name),
		.member_length = (uint16_t)(strlen(proto->json_name) + 3),
		.proto_name_length = (uint16_t)strlen(descriptor->name),
		.repeated = descriptor->label == PROTOBUF_C_LABEL_REPEATED,
		.oneof = (descriptor->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0,
		.required =
			extension_has_number(options, FIELD_BEHAVIOR, GOOGLE__API__FIELD_BEHAVIOR__REQUIRED),
		.surface = (Options__Surface)extension_number(options, FIELD_SURFACE),
		.comment = find_comment(place->file, path, 4),
	};
	if (!field_kind(descriptor, extension_number(options, FIELD_MONEY) != 0, &field->kind))
		return error_set(error, "field %s of %s has a type without a JSON form", descriptor->name,
			message->name);
	if (descriptor->type != PROTOBUF_C_TYPE_MESSAGE)
		return true;
	field->message = make_shape(shapes, descriptor->descriptor, error);
	return field->message != NULL;
}

static const struct json_shape *make_shape(
	struct shapes *shapes, const ProtobufCMessageDescriptor *type, struct error *error)
{
	const struct json_shape *known = shapes_of(shapes, type);
	struct place place;
	const message_proto *message = find_message(shapes, type->name, &place);
	struct json_shape *shape;
	struct json_field *fields;

	if (known)
		return known;
	if (!message || type->n_fields > SHAPE_FIELDS_MAX || shapes->count == SHAPES_MAX) {
		error_set(error,
			"message %s: not in the descriptor set, or more than %d fields or %d messages",
			type->name, SHAPE_FIELDS_MAX, SHAPES_MAX);
		return NULL;
	}
	shape = NEW(struct json_shape);
	shapes->list[shapes->count++] = shape; /* before its fields: a message may hold itself */
	fields = NEW_ARRAY(type->n_fields + 1, struct json_field);
	*shape = (struct json_shape){.type = type, .fields = fields, .field_count = type->n_fields};
	shape->comment = find_comment(place.file, (const int32_t[]){PATH_MESSAGE, place.index}, 2);
	for (unsigned i = 0; i < type->n_fields; i++) {
		if (!make_field(shapes, message, &place, &type->fields[i], &fields[i], error))
			return NULL;
		shape->required |= (uint64_t)fields[i].required << i;
	}
	return shape;
}

static bool read_http(const ProtobufCMessage *options, struct shape_method *method, struct error *error)
{
	size_t size = 0;
	const uint8_t *bytes = extension_bytes(options, METHOD_HTTP, &size);

	if (!bytes)
		return true;
	method->http = google__api__http_rule__unpack(NULL, size, bytes);
	if (!method->http)
		return error_set(error, "google.api.http of %s does not parse", method->method->name);
	return true;
}

static bool make_method(
	struct shapes *shapes, const method_proto *proto, struct shape_method *method, struct error *error)
{
	const ProtobufCMessage *options = proto->options ? &proto->options->base : NULL;
	size_t size = 0;
	const uint8_t *key = extension_bytes(options, METHOD_SHARD_KEY, &size);

	method->streaming = (proto->has_client_streaming && proto->client_streaming) ||
			    (proto->has_server_streaming && proto->server_streaming);
	method->access = (Options__Access)extension_number(options, METHOD_ACCESS);
	method->shard_key = key ? memory_format("%.*s", (int)size, (const char *)key) : memory_copy_text("");
	method->round = (Options__Round)extension_number(options, METHOD_ROUND);
	method->input = make_shape(shapes, method->method->input, error);
	method->output = method->input ? make_shape(shapes, method->method->output, error) : NULL;
	return method->output && read_http(options, method, error);
}

static const Google__Protobuf__ServiceDescriptorProto *find_service(
	const struct shapes *shapes, const char *full, struct place *ret)
{
	for (size_t i = 0; i < shapes->set->n_file; i++) {
		const file_proto *file = shapes->set->file[i];
		const char *name = name_within(file, full);

		for (size_t j = 0; name && j < file->n_service; j++)
			if (!strcmp(file->service[j]->name, name)) {
				*ret = (struct place){file, (int32_t)j};
				return file->service[j];
			}
	}
	return NULL;
}

static bool read_service(
	struct shapes *shapes, const ProtobufCServiceDescriptor *service, struct error *error)
{
	struct place place;
	const Google__Protobuf__ServiceDescriptorProto *proto = find_service(shapes, service->name, &place);

	if (!proto || proto->n_method != service->n_methods)
		return error_set(
			error, "the descriptor set has another service %s than the program", service->name);
	for (unsigned i = 0; i < service->n_methods; i++) {
		const int32_t path[] = {PATH_SERVICE, place.index, PATH_PART, (int32_t)i};
		struct shape_method *method = &shapes->methods[shapes->method_count++];

		method->service = service;
		method->method = &service->methods[i];
		method->comment = find_comment(place.file, path, 4);
		if (strcmp(proto->method[i]->name, method->method->name))
			return error_set(error, "service %s: methods are in another order", service->name);
		if (!make_method(shapes, proto->method[i], method, error))
			return error_prefix(error, "%s.%s", service->name, method->method->name);
	}
	return true;
}

struct shapes *shapes_new(struct error *error)
{
	struct shapes *shapes = NEW(struct shapes);
	size_t count = 0;

	shapes->set = google__protobuf__file_descriptor_set__unpack(
		NULL, flashsale_descriptor_set_size(), flashsale_descriptor_set);
	for (size_t i = 0; i < SERVICE_COUNT; i++)
		count += services[i]->n_methods;
	shapes->methods = NEW_ARRAY(count, struct shape_method);
	if (!shapes->set) {
		error_set(error, "the embedded descriptor set does not parse");
		shapes_free(shapes);
		return NULL;
	}
	trim_comments(shapes->set);
	for (size_t i = 0; i < SERVICE_COUNT; i++)
		if (!read_service(shapes, services[i], error)) {
			shapes_free(shapes);
			return NULL;
		}
	return shapes;
}

void shapes_free(struct shapes *shapes)
{
	if (!shapes)
		return;
	for (size_t i = 0; i < shapes->method_count; i++) {
		free((char *)(uintptr_t)shapes->methods[i].shard_key);
		if (shapes->methods[i].http)
			google__api__http_rule__free_unpacked(
				(Google__Api__HttpRule *)(uintptr_t)shapes->methods[i].http, NULL);
	}
	for (size_t i = 0; i < shapes->count; i++) {
		for (unsigned j = 0; j < shapes->list[i]->field_count; j++)
			free((char *)(uintptr_t)shapes->list[i]->fields[j].member);
		free((void *)(uintptr_t)shapes->list[i]->fields);
		free(shapes->list[i]);
	}
	free(shapes->methods);
	if (shapes->set)
		google__protobuf__file_descriptor_set__free_unpacked(shapes->set, NULL);
	free(shapes);
}

const struct shape_method *shapes_methods(const struct shapes *shapes, size_t *ret_count)
{
	*ret_count = shapes->method_count;
	return shapes->methods;
}

const struct json_shape *shapes_of(const struct shapes *shapes, const ProtobufCMessageDescriptor *type)
{
	for (size_t i = 0; i < shapes->count; i++)
		if (shapes->list[i]->type == type)
			return shapes->list[i];
	return NULL;
}

static const char *value_comment(const file_proto *file, size_t index, int value)
{
	const Google__Protobuf__EnumDescriptorProto *type = file->enum_type[index];

	for (size_t i = 0; i < type->n_value; i++)
		if (type->value[i]->number == value)
			return find_comment(
				file, (const int32_t[]){PATH_ENUM, (int32_t)index, PATH_PART, (int32_t)i}, 4);
	return "";
}

const char *shapes_enum_comment(const struct shapes *shapes, const ProtobufCEnumDescriptor *type, int value)
{
	for (size_t i = 0; i < shapes->set->n_file; i++) {
		const file_proto *file = shapes->set->file[i];
		const char *name = name_within(file, type->name);

		for (size_t j = 0; name && j < file->n_enum_type; j++)
			if (!strcmp(file->enum_type[j]->name, name))
				return value_comment(file, j, value);
	}
	return "";
}

const struct json_field *json_shape_field(const struct json_shape *shape, const char *proto_name)
{
	for (unsigned i = 0; i < shape->field_count; i++)
		if (!strcmp(shape->fields[i].field->name, proto_name))
			return &shape->fields[i];
	return NULL;
}

static bool is_named(const struct json_field *field, const char *name, size_t length)
{
	return (length == field->name_length && !memcmp(name, field->name, length)) ||
	       (length == field->proto_name_length && !memcmp(name, field->field->name, length));
}

const struct json_field *json_shape_find(const struct json_shape *shape, enum json_surface surface,
	const char *name, size_t length, const struct json_field *guess)
{
	if (guess && is_named(guess, name, length) && json_field_shown(guess, surface))
		return guess;
	for (unsigned i = 0; i < shape->field_count; i++)
		if (is_named(&shape->fields[i], name, length) && json_field_shown(&shape->fields[i], surface))
			return &shape->fields[i];
	return NULL;
}

const struct json_field *json_shape_rival(
	const struct json_shape *shape, const struct json_field *field, const ProtobufCMessage *message)
{
	for (unsigned i = 0; field->oneof && i < shape->field_count; i++) {
		const struct json_field *other = &shape->fields[i];

		if (other != field && other->oneof &&
			other->field->quantifier_offset == field->field->quantifier_offset &&
			json_field_chosen(other, message))
			return other;
	}
	return NULL;
}
