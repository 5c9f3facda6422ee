/* Requests of a route read from its path, query and body, and answers written: routes.h. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gatekeeper/edge/json_read.h"
#include "gatekeeper/edge/json_set.h"
#include "gatekeeper/edge/json_write.h"
#include "gatekeeper/edge/routes.h"

#define JSON_TYPE "application/json"

struct slice {
	const char *data;
	size_t length;
};

/* A request while it is being read. */
struct reading {
	const struct route_request *request;
	const struct route *route;
	struct arena *arena;
	ProtobufCMessage *message;
	uint64_t seen; /* fields that have a value: bit i for fields[i] of the input */
	struct problem *problem;
};

static bool refuse(struct reading *reading, const char *field, const char *detail)
{
	problem_from_reason(reading->problem, COMMON__REASON__REASON_INVALID, "%s", detail);
	snprintf(reading->problem->field, sizeof(reading->problem->field), "%s", field);
	return false;
}

static bool out_of_memory(struct reading *reading)
{
	problem_from_reason(
		reading->problem, COMMON__REASON__REASON_OVERLOADED, "the request takes too much memory");
	return false;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum decoding { DECODED, BAD_ENCODING, NO_MEMORY };

/* Percent-decodes into the arena; `plus` is a blank in queries. */
static enum decoding decode(struct arena *arena, struct slice raw, bool query, struct slice *ret)
{
	char *out;
	size_t length = 0;

	if (!memchr(raw.data, '%', raw.length) && !(query && memchr(raw.data, '+', raw.length))) {
		*ret = raw;
		return DECODED;
	}
	out = arena_alloc(arena, raw.length);
	if (!out)
		return NO_MEMORY;
	for (size_t i = 0; i < raw.length; i++) {
		char c = raw.data[i];

		if (c == '%') {
			int high = i + 2 < raw.length ? hex_digit(raw.data[i + 1]) : -1;
			int low = i + 2 < raw.length ? hex_digit(raw.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return BAD_ENCODING;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (query && c == '+') {
			c = ' ';
		}
		out[length++] = c;
	}
	*ret = (struct slice){out, length};
	return DECODED;
}

static uint64_t field_bit(const struct reading *reading, const struct json_field *field)
{
	return UINT64_C(1) << (field - reading->route->method->input->fields);
}

static bool read_value(struct reading *reading, const struct json_field *field, struct slice value)
{
	const struct json_field *rival =
		json_shape_rival(reading->route->method->input, field, reading->message);
	struct rpc_status status;
	char why[80];

	if (rival) {
		snprintf(why, sizeof(why), "can't be given together with %.40s", rival->name);
		return refuse(reading, field->name, why);
	}
	if (!json_read_text(field, value.data, value.length, reading->arena, reading->message, &status)) {
		problem_from_status(reading->problem, &status);
		return false;
	}
	reading->seen |= field_bit(reading, field);
	return true;
}

static bool is_json(const char *type, size_t length)
{
	size_t name = strlen(JSON_TYPE);

	if (length < name || strncasecmp(type, JSON_TYPE, name))
		return false;
	return length == name || type[name] == ';' || type[name] == ' ';
}

static bool read_body(struct reading *reading)
{
	const struct route_request *request = reading->request;
	struct rpc_status status;

	if (!request->body_length)
		return true;
	if (request->content_type && !is_json(request->content_type, request->content_type_length)) {
		problem_from_http(reading->problem, 415, "the body must be " JSON_TYPE);
		return false;
	}
	if (json_read(reading->route->method->input, reading->route->surface, request->body,
		    request->body_length, reading->arena, reading->message, &reading->seen, &status))
		return true;
	problem_from_status(reading->problem, &status);
	return false;
}

/* A parameter that names no field which it could fill. */
static bool unknown_parameter(struct reading *reading, struct slice name)
{
	char field[sizeof(reading->problem->field)];

	if (reading->route->surface == JSON_COMPATIBLE)
		return true;
	snprintf(field, sizeof(field), "%.*s",
		(int)(name.length < sizeof(field) ? name.length : sizeof(field) - 1), name.data);
	return refuse(reading, field, "no such query parameter");
}

static bool read_parameter(struct reading *reading, struct slice raw_name, struct slice raw_value)
{
	const struct json_field *field;
	struct slice name, value;
	enum decoding result = decode(reading->arena, raw_name, true, &name);

	if (result == DECODED)
		result = decode(reading->arena, raw_value, true, &value);
	if (result == NO_MEMORY)
		return out_of_memory(reading);
	if (result == BAD_ENCODING)
		return refuse(reading, "", "the query is not percent-encoded as it must be");
	field = reading->route->body ? NULL
				     : json_shape_find(reading->route->method->input, reading->route->surface,
					       name.data, name.length, NULL);
	if (!field || field->kind == SHAPE_MESSAGE || field->kind == SHAPE_NULL)
		return unknown_parameter(reading, name);
	if (!field->repeated && reading->seen & field_bit(reading, field))
		return refuse(reading, field->name, "given twice");
	return read_value(reading, field, value);
}

static bool read_query(struct reading *reading)
{
	const char *at = reading->request->query, *end = at + reading->request->query_length;

	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at)), *equals;

		stop = stop ? stop : end;
		equals = memchr(at, '=', (size_t)(stop - at));
		if (stop > at) {
			struct slice name = {at, (size_t)((equals ? equals : stop) - at)};
			struct slice value = {
				equals ? equals + 1 : stop, equals ? (size_t)(stop - equals - 1) : 0};

			if (!read_parameter(reading, name, value))
				return false;
		}
		at = stop + 1;
	}
	return true;
}

/* Whether body or query said the same as the path now does. */
static bool same_value(const struct json_field *field, const void *before, const void *now)
{
	switch (field->kind) {
	case SHAPE_STRING:
		return !strcmp(*(char *const *)before, *(char *const *)now);
	case SHAPE_BYTES:
	case SHAPE_TIMESTAMP:
	case SHAPE_DURATION:
	case SHAPE_LIMIT:
		return false;
	default:
		return !memcmp(before, now, json_slot_size(field));
	}
}

static bool read_capture(struct reading *reading, const struct json_field *field, struct slice raw)
{
	void *slot = json_field_value(field, reading->message);
	bool given = reading->seen & field_bit(reading, field);
	uint64_t before[2] = {0};
	struct slice value;
	enum decoding result = decode(reading->arena, raw, false, &value);

	if (result == NO_MEMORY)
		return out_of_memory(reading);
	if (result == BAD_ENCODING)
		return refuse(reading, field->name, "the path is not percent-encoded as it must be");
	memcpy(before, slot, json_slot_size(field));
	if (!read_value(reading, field, value))
		return false;
	return !given || same_value(field, before, slot) ||
	       refuse(reading, field->name, "differs from what the path says");
}

static bool read_captures(struct reading *reading)
{
	for (unsigned i = 0; i < reading->route->capture_count; i++) {
		struct slice raw = {reading->request->match->captures[i].data,
			reading->request->match->captures[i].length};

		if (!read_capture(reading, reading->route->captures[i], raw))
			return false;
	}
	return true;
}

static bool check_complete(struct reading *reading)
{
	const struct json_shape *input = reading->route->method->input;
	uint64_t missing = input->required & ~reading->seen;

	if (missing)
		return refuse(reading, input->fields[__builtin_ctzll(missing)].name, "is missing");
	if (reading->route->body && !reading->request->body_length)
		return refuse(reading, "", "the body is missing");
	return true;
}

static void name_session(struct reading *reading)
{
	const struct json_field *field = reading->route->session_id;
	char **slot = field ? json_field_value(field, reading->message) : NULL;

	if (slot && !(*slot)[0] && reading->request->session_id)
		*slot = (char *)(uintptr_t)reading->request->session_id;
}

ProtobufCMessage *route_read(
	const struct route_request *request, struct arena *arena, struct problem *ret_problem)
{
	const struct route *route = request->match->route;
	struct reading reading = {.request = request, .route = route, .arena = arena, .problem = ret_problem};

	reading.message = json_message_new(route->method->input, arena);
	if (!reading.message) {
		out_of_memory(&reading);
		return NULL;
	}
	if ((route->body && !read_body(&reading)) || !read_query(&reading) || !read_captures(&reading) ||
		!check_complete(&reading))
		return NULL;
	name_session(&reading);
	return reading.message;
}

bool route_write(const struct route *route, const ProtobufCMessage *answer, struct text *text)
{
	if (route->response_body)
		return json_write_value(text, route->response_body, route->surface, answer);
	return json_write(text, route->method->output, route->surface, answer);
}

bool route_truncates(const struct route *route, const ProtobufCMessage *answer)
{
	const void *more = route->more ? json_field_value(route->more, answer) : NULL;

	if (!more)
		return false;
	return route->more->kind == SHAPE_BOOL ? *(const protobuf_c_boolean *)more
					       : **(const char *const *)more != '\0';
}

const char *route_shard_key(const struct route *route, const ProtobufCMessage *request)
{
	const char *key = route->shard_key ? *(char **)json_field_value(route->shard_key, request) : NULL;

	return key && (key[0] || route->method->round != OPTIONS__ROUND__ROUND_ALL) ? key : NULL;
}

/* Puts JSON names in the place of proto names, step by step along the path; what the shapes do not know stays as it is. */
void route_problem(const struct route *route, const struct rpc_status *status, struct problem *ret)
{
	const struct json_shape *shape = route->method->input;
	const char *at = status->field;
	struct text path;

	problem_from_status(ret, status);
	text_init_fixed(&path, ret->field, sizeof(ret->field));
	while (*at) {
		size_t name = strcspn(at, ".["), whole = strcspn(at, ".");
		const struct json_field *field =
			shape ? json_shape_find(shape, route->surface, at, name, NULL) : NULL;

		text_append(&path, field ? field->name : at, field ? field->name_length : name);
		text_append(&path, at + name, whole - name);
		shape = field ? field->message : NULL;
		at += whole;
		if (*at == '.')
			text_append_char(&path, *at++);
	}
}
