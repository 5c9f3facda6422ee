#include "gatekeeper/edge/routes.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define PAGE_SUFFIX ".html"
#define V1_PREFIX "/v1/"
#define CREATE_PREFIX "Create"
#define PACKAGE_PREFIX "flashsale."
#define NATIVE_SERVICE "gatekeeper"

struct segment {
	const char *data;
	size_t length;
};

/* One place in the tree of segments. */
struct node {
	struct node *next;  /* the literal beside it */
	struct node *first; /* literals below it */
	struct node *capture;
	struct segment literal;
	const struct route *routes[ROUTE_METHODS_MAX]; /* that end here */
};

struct routes {
	struct route *list;
	size_t count, room;
	struct node *root;
};

static const char *const method_names[ROUTE_METHODS_MAX] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

const char *route_method_name(enum route_method method)
{
	return method_names[method];
}

/* The segments of "/a/b": 2. 0: no path that a route could have (empty segments, too many). */
static size_t split_path(const char *path, size_t length, struct segment segments[ROUTE_SEGMENTS_MAX])
{
	const char *at = path, *end = path + length;
	size_t count = 0;

	while (at < end) {
		const char *slash;

		if (*at++ != '/' || count == ROUTE_SEGMENTS_MAX)
			return 0;
		slash = memchr(at, '/', (size_t)(end - at));
		segments[count] = (struct segment){at, (size_t)((slash ? slash : end) - at)};
		if (!segments[count++].length)
			return 0;
		at = slash ? slash : end;
	}
	return count;
}

static bool is_capture(const struct segment *segment)
{
	return segment->length > 2 && segment->data[0] == '{' && segment->data[segment->length - 1] == '}';
}

static bool segment_equals(const struct segment *a, const struct segment *b)
{
	return a->length == b->length && !memcmp(a->data, b->data, a->length);
}

static struct node *find_literal(const struct node *node, const struct segment *segment)
{
	for (struct node *child = node->first; child; child = child->next)
		if (segment_equals(&child->literal, segment))
			return child;
	return NULL;
}

/* The node below this one for a segment of a template; made when it is not there. */
static struct node *grow(struct node *node, const struct segment *segment)
{
	struct node *child = is_capture(segment) ? node->capture : find_literal(node, segment);

	if (child)
		return child;
	child = NEW(struct node);
	child->literal = *segment;
	if (is_capture(segment)) {
		node->capture = child;
	} else {
		child->next = node->first;
		node->first = child;
	}
	return child;
}

static void free_node(struct node *node)
{
	if (!node)
		return;
	free_node(node->next);
	free_node(node->first);
	free_node(node->capture);
	free(node);
}

static const char *wrong(struct error *error, const struct route *route, const char *what)
{
	error_set(error, "%s %s (%s): %s", route_method_name(route->http_method), route->path,
		route->method->method->name, what);
	return NULL;
}

static bool add_capture(struct route *route, const struct segment *segment, struct error *error)
{
	const struct json_shape *input = route->method->input;
	char *name = memory_format("%.*s", (int)segment->length - 2, segment->data + 1);
	const struct json_field *field = json_shape_field(input, name);

	free(name);
	if (!field || field->repeated || field->kind == SHAPE_MESSAGE || field->kind == SHAPE_NULL)
		return wrong(error, route, "a capture is no single scalar field of the request");
	if (route->capture_count == ROUTE_CAPTURES_MAX)
		return wrong(error, route, "too many captures");
	for (unsigned i = 0; i < route->capture_count; i++)
		if (route->captures[i] == field)
			return wrong(error, route, "a field is captured twice");
	route->captures[route->capture_count++] = field;
	return true;
}

/* Puts the route at the end of its segments. */
static bool plant(struct routes *routes, struct route *route, struct error *error)
{
	struct segment segments[ROUTE_SEGMENTS_MAX];
	size_t count = split_path(route->path, strlen(route->path), segments);
	struct node *node = routes->root;

	if (!count)
		return wrong(error, route, "the path has no segments, an empty one, or too many");
	for (size_t i = 0; i < count; i++) {
		if (is_capture(&segments[i])) {
			if (!add_capture(route, &segments[i], error))
				return false;
		} else if (memchr(segments[i].data, '{', segments[i].length) ||
			   memchr(segments[i].data, '*', segments[i].length)) {
			return wrong(error, route, "a segment is either a literal or one {field}");
		}
		node = grow(node, &segments[i]);
	}
	if (node->routes[route->http_method])
		return error_set(error, "%s %s and %s are the same route",
			route_method_name(route->http_method), node->routes[route->http_method]->path,
			route->path);
	node->routes[route->http_method] = route;
	return true;
}

static bool read_pattern(const Google__Api__HttpRule *rule, struct route *route, struct error *error)
{
	switch (rule->pattern_case) {
	case GOOGLE__API__HTTP_RULE__PATTERN_GET:
		route->http_method = ROUTE_GET;
		route->path = rule->get;
		break;
	case GOOGLE__API__HTTP_RULE__PATTERN_PUT:
		route->http_method = ROUTE_PUT;
		route->path = rule->put;
		break;
	case GOOGLE__API__HTTP_RULE__PATTERN_POST:
		route->http_method = ROUTE_POST;
		route->path = rule->post;
		break;
	case GOOGLE__API__HTTP_RULE__PATTERN_DELETE:
		route->http_method = ROUTE_DELETE;
		route->path = rule->delete_;
		break;
	case GOOGLE__API__HTTP_RULE__PATTERN_PATCH:
		route->http_method = ROUTE_PATCH;
		route->path = rule->patch;
		break;
	default:
		return error_set(error, "%s: a binding without a path, or with a method of its own",
			route->method->method->name);
	}
	return true;
}

static const struct json_field *find_more(const struct json_shape *output)
{
	const struct json_field *token = json_shape_field(output, "next_page_token");
	const struct json_field *truncated = json_shape_field(output, "truncated");

	if (token && token->kind == SHAPE_STRING && !token->repeated)
		return token;
	return truncated && truncated->kind == SHAPE_BOOL && !truncated->repeated ? truncated : NULL;
}

/* Fields that the binding and the method's options name. */
static bool read_fields(const Google__Api__HttpRule *rule, struct route *route, struct error *error)
{
	const struct shape_method *method = route->method;

	route->body = rule->body[0] != '\0';
	if (route->body && strcmp(rule->body, "*"))
		return wrong(error, route, "a body is \"*\" or none");
	if (rule->response_body[0]) {
		route->response_body = json_shape_field(method->output, rule->response_body);
		if (!route->response_body)
			return wrong(error, route, "response_body is no field of the answer");
		if (route->response_body->repeated)
			route->more = find_more(method->output);
	}
	if (method->shard_key[0]) {
		route->shard_key = json_shape_field(method->input, method->shard_key);
		if (!route->shard_key || route->shard_key->kind != SHAPE_STRING || route->shard_key->repeated)
			return wrong(error, route, "shard_key is no string field of the request");
	}
	route->session_id = json_shape_field(method->input, "session_id");
	if (route->session_id && (route->session_id->kind != SHAPE_STRING || route->session_id->repeated))
		return wrong(error, route, "session_id is no string");
	return true;
}

/* "inventory" of "flashsale.inventory.v1"; NULL for what the gatekeeper answers itself. */
static char *pool_name(const ProtobufCServiceDescriptor *service)
{
	const char *name = service->package + strlen(PACKAGE_PREFIX);
	size_t length = strcspn(name, ".");

	if (length == strlen(NATIVE_SERVICE) && !strncmp(name, NATIVE_SERVICE, length))
		return NULL;
	return memory_format("%.*s", (int)length, name);
}

static bool add_route(struct routes *routes, const struct shape_method *method,
	const Google__Api__HttpRule *rule, struct error *error)
{
	struct route *route = &routes->list[routes->count];

	*route = (struct route){.index = (unsigned)routes->count, .method = method};
	if (!read_pattern(rule, route, error))
		return false;
	routes->count++;
	route->pool = pool_name(method->service);
	route->surface = strncmp(route->path, V1_PREFIX, strlen(V1_PREFIX)) ? JSON_COMPATIBLE : JSON_V1;
	return read_fields(rule, route, error) && plant(routes, route, error);
}

static bool add_method(struct routes *routes, const struct shape_method *method, struct error *error)
{
	if (!method->http || method->access == OPTIONS__ACCESS__ACCESS_UNSPECIFIED)
		return true;
	if (method->streaming)
		return error_set(error, "%s streams and has a REST route", method->method->name);
	if (!add_route(routes, method, method->http, error))
		return false;
	for (size_t i = 0; i < method->http->n_additional_bindings; i++)
		if (!add_route(routes, method, method->http->additional_bindings[i], error))
			return false;
	return true;
}

bool route_is_page(const struct route *route)
{
	const size_t length = strlen(route->path), suffix = strlen(PAGE_SUFFIX);

	return length > suffix && !strcmp(route->path + length - suffix, PAGE_SUFFIX);
}

/* Whether `other` is a GET of the same path and one more segment, a capture. */
static bool shows_one_of(const struct route *other, const struct route *route)
{
	const size_t length = strlen(route->path);

	return other->http_method == ROUTE_GET && !strncmp(other->path, route->path, length) &&
	       !strncmp(other->path + length, "/{", 2) && !strchr(other->path + length + 1, '/') &&
	       other->capture_count == 1;
}

/* A POST of Create... under /v1 makes what such a GET shows. */
static void find_created(const struct routes *routes, struct route *route)
{
	const struct json_shape *shown =
		route->response_body ? route->response_body->message : route->method->output;

	if (route->surface != JSON_V1 || route->http_method != ROUTE_POST || route->capture_count ||
		strncmp(route->method->method->name, CREATE_PREFIX, strlen(CREATE_PREFIX)) != 0)
		return;
	for (size_t i = 0; i < routes->count && !route->created; i++) {
		const struct route *other = &routes->list[i];

		if (!shows_one_of(other, route))
			continue;
		route->created_id = json_shape_field(shown, other->captures[0]->field->name);
		if (route->created_id && route->created_id->kind == SHAPE_STRING)
			route->created = other;
	}
}

struct routes *routes_new(const struct shapes *shapes, struct error *error)
{
	struct routes *routes = NEW(struct routes);
	size_t count;
	const struct shape_method *methods = shapes_methods(shapes, &count);

	for (size_t i = 0; i < count; i++)
		routes->room += methods[i].http ? 1 + methods[i].http->n_additional_bindings : 0;
	routes->list = NEW_ARRAY(routes->room + 1, struct route); /* never moved: nodes point into it */
	routes->root = NEW(struct node);
	for (size_t i = 0; i < count; i++)
		if (!add_method(routes, &methods[i], error)) {
			routes_free(routes);
			return NULL;
		}
	for (size_t i = 0; i < routes->count; i++)
		find_created(routes, &routes->list[i]);
	return routes;
}

void routes_free(struct routes *routes)
{
	if (!routes)
		return;
	for (size_t i = 0; i < routes->count; i++)
		free((char *)(uintptr_t)routes->list[i].pool);
	free_node(routes->root);
	free(routes->list);
	free(routes);
}

const struct route *routes_all(const struct routes *routes, size_t *ret_count)
{
	*ret_count = routes->count;
	return routes->list;
}

/* A search for one path. */
struct search {
	int method; /* -1: one that no route has */
	size_t count;
	struct segment segments[ROUTE_SEGMENTS_MAX];
	struct segment captures[ROUTE_CAPTURES_MAX];
	bool allowed[ROUTE_METHODS_MAX]; /* of all places where the path ends */
};

/* Literals first; goes on with captures when what it finds has no such method. Depth: the segments. */
static const struct route *search_below(
	struct search *search, const struct node *node, size_t depth, size_t captured)
{
	const struct node *child;
	const struct route *found = NULL;

	if (depth == search->count) {
		for (int i = 0; i < ROUTE_METHODS_MAX; i++)
			search->allowed[i] |= node->routes[i] != NULL;
		return search->method < 0 ? NULL : node->routes[search->method];
	}
	child = find_literal(node, &search->segments[depth]);
	if (child)
		found = search_below(search, child, depth + 1, captured);
	if (found || !node->capture)
		return found;
	search->captures[captured] = search->segments[depth];
	return search_below(search, node->capture, depth + 1, captured + 1);
}

static int find_method(const char *method, size_t length)
{
	if (length == 4 && !memcmp(method, "HEAD", 4))
		return ROUTE_GET;
	for (int i = 0; i < ROUTE_METHODS_MAX; i++)
		if (strlen(method_names[i]) == length && !memcmp(method, method_names[i], length))
			return i;
	return -1;
}

/* 405 with what would do, or 404 when nothing would. */
static bool refuse_match(const struct search *search, struct problem *ret_problem)
{
	struct text allow;

	problem_from_http(ret_problem, 405, NULL);
	text_init_fixed(&allow, ret_problem->allow, sizeof(ret_problem->allow));
	for (int i = 0; i < ROUTE_METHODS_MAX; i++)
		if (search->allowed[i])
			text_appendf(&allow, "%s%s%s", allow.length ? ", " : "", method_names[i],
				i == ROUTE_GET ? ", HEAD" : "");
	if (!allow.length)
		problem_from_http(ret_problem, 404, NULL);
	return false;
}

bool routes_match(const struct routes *routes, const char *method, size_t method_length, const char *path,
	size_t path_length, struct route_match *ret, struct problem *ret_problem)
{
	struct search search;
	const struct route *route;

	search.method = find_method(method, method_length);
	memset(search.allowed, 0, sizeof(search.allowed));
	search.count = split_path(path, path_length, search.segments);
	route = search.count ? search_below(&search, routes->root, 0, 0) : NULL;
	if (!route)
		return refuse_match(&search, ret_problem);
	ret->route = route;
	for (unsigned i = 0; i < route->capture_count; i++) {
		ret->captures[i].data = search.captures[i].data;
		ret->captures[i].length = search.captures[i].length;
	}
	return true;
}
