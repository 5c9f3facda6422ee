#include "gatekeeper/edge/openapi.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

#define JSON_TYPE "application/json"
#define PAGE_TYPE "text/html"
#define PACKAGE_PREFIX "flashsale."
#define NAME_MAX_LENGTH 256

/* A document that is being made. */
struct writer {
	const struct shapes *shapes;
	json_t *paths, *schemas;
};

static json_t *reference(const char *kind, const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf("#/components/%s/%s", kind, name));
}

static void describe(json_t *object, const char *comment)
{
	if (comment[0])
		json_object_set_new(object, "description", json_string(comment));
}

/* "inventory.v1.Goods", and "compatible.inventory.v1.Goods" where other members are shown. */
static void schema_name(const struct json_shape *shape, enum json_surface surface, char name[NAME_MAX_LENGTH])
{
	const char *full = shape->type->name;

	if (!strncmp(full, PACKAGE_PREFIX, strlen(PACKAGE_PREFIX)))
		full += strlen(PACKAGE_PREFIX);
	snprintf(name, NAME_MAX_LENGTH, "%s%s", surface == JSON_COMPATIBLE ? "compatible." : "", full);
}

static json_t *message_reference(
	struct writer *writer, const struct json_shape *shape, enum json_surface surface);

static json_t *enum_schema(struct writer *writer, const ProtobufCEnumDescriptor *type)
{
	json_t *schema = json_pack("{s:s, s:[]}", "type", "string", "enum"),
	       *names = json_object_get(schema, "enum");
	char *meanings = memory_copy_text("");

	for (unsigned i = 0; i < type->n_values; i++) {
		const ProtobufCEnumValue *value = &type->values[i];
		char *longer = memory_format("%s%s%s: %s", meanings, i ? "\n" : "", value->name,
			shapes_enum_comment(writer->shapes, type, value->value));

		free(meanings);
		meanings = longer;
		json_array_append_new(names, json_string(value->name));
	}
	json_object_set_new(schema, "x-enum-descriptions", json_string(meanings));
	free(meanings);
	return schema;
}

static json_t *integer_schema(const char *format, bool positive)
{
	json_t *schema = json_pack("{s:s, s:s}", "type", "integer", "format", format);

	if (positive)
		json_object_set_new(schema, "minimum", json_integer(0));
	return schema;
}

/* Of one value: a member that is no list, or an element of one. */
static json_t *value_schema(struct writer *writer, const struct json_field *field, enum json_surface surface)
{
	switch (field->kind) {
	case SHAPE_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case SHAPE_INT32:
		return integer_schema("int32", false);
	case SHAPE_UINT32:
		return integer_schema("uint32", true);
	case SHAPE_INT64:
		return integer_schema("int64", false);
	case SHAPE_UINT64:
		return integer_schema("uint64", true);
	case SHAPE_LIMIT:
		return integer_schema("uint32", true);
	case SHAPE_MONEY:
		return json_pack("{s:s, s:s}", "type", "number", "x-decimals", "at most 6");
	case SHAPE_FLOAT:
	case SHAPE_DOUBLE:
		return json_pack("{s:s, s:s}", "type", "number", "format", "double");
	case SHAPE_STRING:
		return json_pack("{s:s}", "type", "string");
	case SHAPE_BYTES:
		return json_pack("{s:s, s:s}", "type", "string", "contentEncoding", "base64");
	case SHAPE_ENUM:
		return enum_schema(writer, field->field->descriptor);
	case SHAPE_NULL:
		return json_pack("{s:s}", "type", "null");
	case SHAPE_TIMESTAMP:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case SHAPE_DURATION:
		return json_pack("{s:s, s:s}", "type", "string", "pattern", "^-?[0-9]+(\\.[0-9]{1,9})?s$");
	case SHAPE_MESSAGE:
		break;
	}
	return message_reference(writer, field->message, surface);
}

static json_t *field_schema(struct writer *writer, const struct json_field *field, enum json_surface surface)
{
	json_t *schema = value_schema(writer, field, surface);

	if (field->repeated)
		schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
	describe(schema, field->comment);
	return schema;
}

static bool is_captured(const struct route *route, const struct json_field *field)
{
	for (unsigned i = 0; route && i < route->capture_count; i++)
		if (route->captures[i] == field)
			return true;
	return false;
}

/* `route` is given for the body of its request: what the path says is left out of it. */
static void fill_object(struct writer *writer, json_t *schema, const struct json_shape *shape,
	enum json_surface surface, const struct route *route)
{
	json_t *properties = json_object(), *required = json_array();

	json_object_set_new(schema, "type", json_string("object"));
	describe(schema, shape->comment);
	for (unsigned i = 0; i < shape->field_count; i++) {
		const struct json_field *field = &shape->fields[i];

		if (!json_field_shown(field, surface) || is_captured(route, field))
			continue;
		json_object_set_new(properties, field->name, field_schema(writer, field, surface));
		if (field->required)
			json_array_append_new(required, json_string(field->name));
	}
	json_object_set_new(schema, "properties", properties);
	if (json_array_size(required))
		json_object_set(schema, "required", required);
	json_decref(required);
	if (route && surface == JSON_V1)
		json_object_set_new(schema, "additionalProperties", json_false());
}

static json_t *message_reference(
	struct writer *writer, const struct json_shape *shape, enum json_surface surface)
{
	char name[NAME_MAX_LENGTH];

	schema_name(shape, surface, name);
	if (!json_object_get(writer->schemas, name)) {
		json_t *schema = json_object();

		json_object_set_new(
			writer->schemas, name, schema); /* before its fields: a message may hold itself */
		fill_object(writer, schema, shape, surface, NULL);
	}
	return reference("schemas", name);
}

static void add_parameter(struct writer *writer, json_t *list, const struct route *route,
	const struct json_field *field, const char *place, const char *name)
{
	json_t *schema = field_schema(writer, field, route->surface);
	json_t *parameter = json_pack("{s:s, s:s}", "name", name, "in", place);

	json_object_del(schema, "description");
	describe(parameter, field->comment);
	if (!strcmp(place, "path") || field->required)
		json_object_set_new(parameter, "required", json_true());
	json_object_set_new(parameter, "schema", schema);
	json_array_append_new(list, parameter);
}

static json_t *parameters(struct writer *writer, const struct route *route)
{
	const struct json_shape *input = route->method->input;
	json_t *list = json_array();

	for (unsigned i = 0; i < route->capture_count; i++)
		add_parameter(
			writer, list, route, route->captures[i], "path", route->captures[i]->field->name);
	for (unsigned i = 0; i < input->field_count && !route->body; i++) {
		const struct json_field *field = &input->fields[i];

		if (json_field_shown(field, route->surface) && !is_captured(route, field) &&
			field->kind != SHAPE_MESSAGE && field->kind != SHAPE_NULL)
			add_parameter(writer, list, route, field, "query", field->name);
	}
	if (route->body && !route->pool) {
		json_array_append_new(list, reference("parameters", "IdempotencyKey"));
		json_array_append_new(list, reference("parameters", "Solution"));
	}
	return list;
}

static json_t *request_body(struct writer *writer, const struct route *route)
{
	json_t *schema = json_object();

	fill_object(writer, schema, route->method->input, route->surface, route);
	return json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content", JSON_TYPE, "schema", schema);
}

static json_t *answer_schema(struct writer *writer, const struct route *route)
{
	const struct json_field *body = route->response_body;

	if (route_is_page(route))
		return json_pack("{s:s}", "type", "string");
	return body ? field_schema(writer, body, route->surface)
		    : message_reference(writer, route->method->output, route->surface);
}

static json_t *responses(struct writer *writer, const struct route *route)
{
	const struct json_field *body = route->response_body;
	const struct json_shape *output = route->method->output;
	json_t *schema = answer_schema(writer, route);
	const char *comment = body ? body->comment : output->comment;
	json_t *done = json_pack("{s:s, s:{s:{s:o}}}", "description", comment[0] ? comment : "Done.",
		"content", route_is_page(route) ? PAGE_TYPE : JSON_TYPE, "schema", schema);
	json_t *all = json_object();
	char status[12];

	if (route->created)
		json_object_set_new(done, "headers",
			json_pack("{s:{s:s, s:{s:s, s:s}}}", "Location", "description",
				"Path of what was made.", "schema", "type", "string", "format",
				"uri-reference"));
	if (route->more)
		json_object_set_new(done, "headers",
			json_pack("{s:{s:s, s:{s:s, s:[s]}}}", "Flashsale-Truncated", "description",
				"There are more than are listed.", "schema", "type", "string", "enum",
				"true"));
	snprintf(status, sizeof(status), "%d", route_status(route));
	json_object_set_new(all, status, done);
	json_object_set_new(all, "default", reference("responses", "Problem"));
	return all;
}

static const char *access_name(Options__Access access)
{
	switch (access) {
	case OPTIONS__ACCESS__ACCESS_SHOPPER:
		return "shopper";
	case OPTIONS__ACCESS__ACCESS_OPERATOR:
		return "operator";
	case OPTIONS__ACCESS__ACCESS_PAYMENT:
		return "payment";
	default:
		return "public";
	}
}

static void set_access(json_t *operation, Options__Access access)
{
	json_object_set_new(operation, "x-access", json_string(access_name(access)));
	if (access == OPTIONS__ACCESS__ACCESS_PUBLIC)
		json_object_set_new(operation, "security", json_array());
}

/* The first sentence of the comment. */
static json_t *summary(const char *comment)
{
	const char *end = strstr(comment, ". ");
	const char *line = strpbrk(comment, "\n");
	size_t length = end ? (size_t)(end - comment) : strlen(comment);

	if (line && (size_t)(line - comment) < length)
		length = (size_t)(line - comment);
	while (length && comment[length - 1] == '.')
		length--;
	return json_stringn(comment, length);
}

/* `binding`: from 1, of the method. */
static void add_route(struct writer *writer, const struct route *route, unsigned binding)
{
	const struct shape_method *method = route->method;
	json_t *item = json_object_get(writer->paths, route->path);
	json_t *operation = json_object();
	char name[16];

	if (!item) {
		item = json_object();
		json_object_set_new(writer->paths, route->path, item);
	}
	json_object_set_new(operation, "operationId",
		binding == 1 ? json_string(method->method->name)
			     : json_sprintf("%s%u", method->method->name, binding));
	json_object_set_new(
		operation, "tags", json_pack("[s]", route->surface == JSON_V1 ? "v1" : "compatible"));
	json_object_set_new(operation, "summary", summary(method->comment));
	describe(operation, method->comment);
	set_access(operation, method->access);
	json_object_set_new(operation, "parameters", parameters(writer, route));
	if (route->body)
		json_object_set_new(operation, "requestBody", request_body(writer, route));
	json_object_set_new(operation, "responses", responses(writer, route));
	snprintf(name, sizeof(name), "%s", route_method_name(route->http_method));
	for (char *at = name; *at; at++)
		*at = (char)(*at | 0x20);
	json_object_set_new(item, name, operation);
}

static json_t *problem_schema(struct writer *writer)
{
	json_t *reasons = json_array(), *schema, *properties;

	for (unsigned i = 0; i < common__reason__descriptor.n_values; i++) {
		const struct rpc_reason *reason =
			rpc_reason_get((Common__Reason)common__reason__descriptor.values[i].value);

		if (reason)
			json_array_append_new(reasons, json_string(reason->name));
	}
	schema = json_pack("{s:s, s:s, s:[s, s, s], s:{}}", "type", "object", "description",
		"What went wrong, as RFC 9457 has it.", "required", "type", "title", "status", "properties");
	properties = json_object_get(schema, "properties");
	json_object_set_new(
		properties, "type", json_pack("{s:s, s:s}", "type", "string", "format", "uri-reference"));
	json_object_set_new(properties, "title", json_pack("{s:s}", "type", "string"));
	json_object_set_new(properties, "status", json_pack("{s:s}", "type", "integer"));
	json_object_set_new(properties, "detail", json_pack("{s:s}", "type", "string"));
	json_object_set_new(properties, "reason", json_pack("{s:s, s:o}", "type", "string", "enum", reasons));
	json_object_set_new(properties, "field",
		json_pack("{s:s, s:s}", "type", "string", "description",
			"Which part of the request is wrong."));
	json_object_set_new(properties, "errors",
		json_pack("{s:s, s:{s:s, s:{s:{s:s}, s:{s:s}}}}", "type", "array", "items", "type", "object",
			"properties", "field", "type", "string", "detail", "type", "string"));
	json_object_set_new(properties, "retry",
		json_pack("{s:s, s:[s, s, s], s:s}", "type", "string", "enum", "later", "same-key",
			"with-solution", "description",
			"Whether to try again: as a new attempt, with the same idempotency key, or with the "
			"solution of the challenge."));
	json_object_set_new(properties, "retryAfterMs", integer_schema("int64", true));
	json_object_set_new(properties, "challenge",
		json_pack("{s:s, s:s}", "type", "string", "description",
			"Of CHALLENGE_REQUIRED: what to solve; also the header Flashsale-Challenge."));
	json_object_set_new(properties, "traceId", json_pack("{s:s}", "type", "string"));
	json_object_set_new(properties, "isThrottled",
		json_pack("{s:s, s:s}", "type", "boolean", "description", "Of the compatible API."));
	json_object_set_new(properties, "version",
		json_pack("{s:s, s:s}", "type", "string", "description", "Of the compatible API."));
	return schema;
}

static json_t *components(struct writer *writer)
{
	json_t *problem = json_pack("{s:s, s:{s:{s:s, s:{s:s}}}, s:{s:{s:o}}}", "description",
		"Not done, or not known to be done; `reason` says why.", "headers", "Retry-After",
		"description", "Seconds to wait, where trying again makes sense.", "schema", "type",
		"integer", "content", PROBLEM_CONTENT_TYPE, "schema", reference("schemas", "Problem"));
	json_t *key = json_pack("{s:s, s:s, s:s, s:{s:s, s:i}}", "name", "Idempotency-Key", "in", "header",
		"description",
		"Names the attempt: the same key and request again have one effect and get the first grant.",
		"schema", "type", "string", "maxLength", 128);
	json_t *solution = json_pack("{s:s, s:s, s:s, s:{s:s, s:i}}", "name", "Flashsale-Solution", "in",
		"header", "description",
		"The solution of the challenge that the last attempt was answered with; it counts once.",
		"schema", "type", "string", "maxLength", 116);
	json_t *bearer = json_pack("{s:s, s:s, s:s, s:s}", "type", "http", "scheme", "bearer", "bearerFormat",
		"JWT", "description", "Not asked for in demo mode.");

	json_object_set_new(writer->schemas, "Problem", problem_schema(writer));
	return json_pack("{s:O, s:{s:o}, s:{s:o, s:o}, s:{s:o}}", "schemas", writer->schemas, "responses",
		"Problem", problem, "parameters", "IdempotencyKey", key, "Solution", solution,
		"securitySchemes", "bearer", bearer);
}

static json_t *document(struct writer *writer)
{
	json_t *tags = json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "v1", "description", "Resources.",
		"name", "compatible", "description", "The older API, in the form that its users know.");
	json_t *info = json_pack("{s:s, s:s, s:s}", "title", "Flash sale", "version", FLASHSALE_VERSION,
		"description", "What the gatekeeper serves, made from the contracts in proto/.");

	return json_pack("{s:s, s:o, s:o, s:[{s:[]}, {}], s:O, s:o}", "openapi", "3.1.0", "info", info,
		"tags", tags, "security", "bearer", "paths", writer->paths, "components", components(writer));
}

char *openapi_new(const struct shapes *shapes, const struct routes *routes, size_t *ret_length)
{
	struct writer writer = {.shapes = shapes, .paths = json_object(), .schemas = json_object()};
	const struct shape_method *method = NULL;
	unsigned binding = 0;
	size_t count;
	const struct route *list = routes_all(routes, &count);
	json_t *root;
	char *text;

	for (size_t i = 0; i < count; i++) {
		binding = list[i].method == method ? binding + 1 : 1;
		method = list[i].method;
		add_route(&writer, &list[i], binding);
	}
	root = document(&writer);
	text = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(writer.paths);
	json_decref(writer.schemas);
	json_decref(root);
	assert(text); /* comments are the contracts' own, in UTF-8 */
	*ret_length = strlen(text);
	return text;
}
