/* version.c - ETag and If-Match of resources that have a version: a shown message's field `version`, a request's field `if_version`. */
#include <inttypes.h>
#include <string.h>

#include "gatekeeper/edge/edge_internal.h"

static const struct json_field *number_field(const struct json_shape *shape, const char *name)
{
	const struct json_field *field = shape ? json_shape_field(shape, name) : NULL;

	return field && field->kind == SHAPE_UINT64 && !field->repeated ? field : NULL;
}

void version_learn(const struct route *route, struct route_facts *facts)
{
	const struct json_field *body = route->response_body;

	if (route->surface != JSON_V1)
		return;
	facts->if_version = number_field(route->method->input, "if_version");
	facts->version = body && !body->repeated ? number_field(body->message, "version") : NULL;
}

/* "12" in its quotes, as ETag shows it. */
static bool parse_tag(struct edge_slice tag, uint64_t *ret)
{
	uint64_t number = 0;

	if (tag.size < 3 || tag.size > 20 || tag.data[0] != '"' || tag.data[tag.size - 1] != '"')
		return false;
	for (size_t i = 1; i < tag.size - 1; i++) {
		if (tag.data[i] < '0' || tag.data[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(tag.data[i] - '0');
	}
	*ret = number;
	return number != 0; /* 0 would mean whatever version there is */
}

bool version_expect(struct work *work, struct problem *problem)
{
	const struct json_field *if_version = work->facts->if_version;
	const struct edge_slice tag = work->request->in.if_match;

	if (!if_version || !tag.data || (tag.size == 1 && tag.data[0] == '*'))
		return true;
	if (parse_tag(tag, json_field_value(if_version, work->message)))
		return true;
	problem_from_reason(problem, COMMON__REASON__REASON_INVALID,
		"If-Match takes one ETag of this resource, such as \"7\", or *");
	return false;
}

void version_show(struct work *work, const ProtobufCMessage *answer)
{
	const struct json_field *version = work->facts->version;
	const ProtobufCMessage *shown;

	if (!version)
		return;
	shown = *(ProtobufCMessage **)json_field_value(work->route->response_body, answer);
	if (shown)
		work->request->out.etag = arena_format(&work->request->arena, "\"%" PRIu64 "\"",
			*(uint64_t *)json_field_value(version, shown));
}
