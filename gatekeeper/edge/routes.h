/* gatekeeper/edge/routes.h - REST routes from the contracts: google.api.http of every unary method with an access option.
 *
 * One struct route a binding (additional ones included). Templates are literal segments and {field} captures of one segment each. A path finds
 * its route by segments; literals win over captures, the leftmost first; a literal that has no such method leaves the word to captures.
 * A trailing slash, an empty segment and an encoded literal are not found. HEAD is served as GET.
 * Two bindings of one method and shape, or a template, body or response_body that the messages don't have, is an error at start that names both.
 * Made by routes_new() and only read afterwards: any thread. */
#ifndef FLASHSALE_EDGE_ROUTES_H
#define FLASHSALE_EDGE_ROUTES_H

#include "base/arena.h"
#include "gatekeeper/edge/problem.h"
#include "gatekeeper/edge/shapes.h"

#define ROUTE_CAPTURES_MAX 8
#define ROUTE_SEGMENTS_MAX 24
#define ROUTE_METHODS_MAX 5

enum route_method { ROUTE_GET, ROUTE_POST, ROUTE_PUT, ROUTE_PATCH, ROUTE_DELETE };

struct route {
	unsigned index; /* from 0, in routes_all()'s order: for tables beside it */
	enum route_method http_method;
	const char *path;			/* the template: "/sku/{sku}" */
	enum json_surface surface;		/* JSON_V1 if the path begins with /v1/ */
	bool body;				/* "*": the body is the request message */
	const struct json_field *response_body; /* NULL: the whole answer */
	const struct json_field *more; /* of an answer whose list alone is shown: says that there is more; NULL without one */
	const struct json_field
		*shard_key; /* string field of the input whose hash gives the shard; NULL: any instance */
	const struct json_field *session_id; /* of the input, NULL without one */
	const char *pool; /* discovery's name of the service; NULL: the gatekeeper answers itself */
	unsigned capture_count;
	const struct json_field *captures[ROUTE_CAPTURES_MAX]; /* of the input, in the path's order */
	const struct shape_method *method;		       /* service, method, access, shapes */
	const struct route *created; /* what this POST makes, that route shows: 201 with its path; NULL: 200 */
	const struct json_field *created_id; /* of the shown answer: the last segment of that path */
};

struct route_match {
	const struct route *route;
	struct {
		const char *data; /* in the path, still percent-encoded */
		size_t length;
	} captures[ROUTE_CAPTURES_MAX];
};

struct routes;

struct routes *routes_new(const struct shapes *shapes, struct error *error); /* `shapes` must outlive it */
void routes_free(struct routes *routes);
const struct route *routes_all(const struct routes *routes, size_t *ret_count);

const char *route_method_name(enum route_method method); /* "GET" */

/* Of an answer that is done: 201 or 200. */
static inline int route_status(const struct route *route)
{
	return route->created ? 201 : 200;
}

/* It shows what it answers as a page for people: "/v1/services.html". */
bool route_is_page(const struct route *route);

/* `path` is raw: still encoded, without the query. False: *ret_problem is 404, or 405 with the methods that would do. */
bool routes_match(const struct routes *routes, const char *method, size_t method_length, const char *path,
	size_t path_length, struct route_match *ret, struct problem *ret_problem);

struct route_request {
	const struct route_match *match;
	const char *query; /* raw, without '?' */
	size_t query_length;
	const char *content_type; /* NULL: none */
	size_t content_type_length;
	const char *body;
	size_t body_length;
	const char *
		session_id; /* taken, as it is, when the message's own is empty; NULL: left empty. Must live as long as the message */
};

/* Captures, query parameters and body -> the request message, in the arena. The path wins over the body and the query (a body that says otherwise
 * is refused). NULL: *ret_problem is 400 with the JSON name of what is missing or wrong, 415 for another Content-Type than JSON, or 503 when
 * the arena is full. */
ProtobufCMessage *route_read(
	const struct route_request *request, struct arena *arena, struct problem *ret_problem);

/* The answer's body as the route shows it. False: the text is full. */
bool route_write(const struct route *route, const ProtobufCMessage *answer, struct text *text);

/* What a service (or the edge) refused, with the name of the field as this route's users know it. */
void route_problem(const struct route *route, const struct rpc_status *status, struct problem *ret);

/* Whether there is more than the list that the route shows, which has no place to say so: the header Flashsale-Truncated. */
bool route_truncates(const struct route *route, const ProtobufCMessage *answer);

/* The value that places the request; NULL: any instance. */
const char *route_shard_key(const struct route *route, const ProtobufCMessage *request);

#endif
