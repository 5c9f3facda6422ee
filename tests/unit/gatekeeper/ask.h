/* Requests by method, path and body, as the edge reads them. */
#ifndef FLASHSALE_TESTS_GATEKEEPER_ASK_H
#define FLASHSALE_TESTS_GATEKEEPER_ASK_H

#include "fixture.h"

static inline const struct route *match(const char *method, const char *path)
{
	memset(&fixture.problem, 0, sizeof(fixture.problem));
	if (!routes_match(fixture.routes, method, strlen(method), path, strlen(path), &fixture.match,
		    &fixture.problem))
		return NULL;
	return fixture.match.route;
}

/* `target` is path and query. NULL: fixture.problem says why. */
static inline void *ask_as(const char *method, const char *target, const char *type, const char *body)
{
	static char path[4096];
	const char *query = strchr(target, '?');
	size_t length = query ? (size_t)(query - target) : strlen(target);
	struct route_request request = {
		.match = &fixture.match,
		.query = query ? query + 1 : NULL,
		.query_length = query ? strlen(query + 1) : 0,
		.content_type = type,
		.content_type_length = type ? strlen(type) : 0,
		.body = body,
		.body_length = body ? strlen(body) : 0,
		.session_id = "made-session",
	};

	memcpy(path, target, length);
	path[length] = '\0';
	return match(method, path) ? route_read(&request, &fixture.arena, &fixture.problem) : NULL;
}

static inline void *ask(const char *method, const char *target, const char *body)
{
	void *message = ask_as(method, target, "application/json", body);

	if (!message)
		fail_msg("%s %s: %u %s: %s", method, target, fixture.problem.http_status,
			fixture.problem.field, fixture.problem.detail);
	return message;
}

static inline void ask_refused(const char *method, const char *target, const char *body, unsigned http_status,
	const char *field, const char *detail)
{
	if (ask_as(method, target, "application/json", body))
		fail_msg("accepted: %s %s %s", method, target, body ? body : "-");
	if (fixture.problem.http_status != http_status || strcmp(fixture.problem.field, field) ||
		!strstr(fixture.problem.detail, detail))
		fail_msg("%s %s %s: %u \"%s\": %s", method, target, body ? body : "-",
			fixture.problem.http_status, fixture.problem.field, fixture.problem.detail);
}

/* The answer as the route matched last shows it. */
static inline const char *tell(const void *answer)
{
	const ProtobufCMessage *message = answer;

	assert_ptr_equal(message->descriptor, fixture.match.route->method->output->type);
	text_clear(&fixture.text);
	assert_true(route_write(fixture.match.route, message, &fixture.text));
	return fixture.text.data;
}

#endif
