/* route_facts.c - what the edge knows of each route before the first request: who answers it, and where in its message stands what is looked at. */
#include <string.h>

#include "base/memory.h"
#include "gatekeeper/edge/edge_internal.h"
#include "gatekeeper/edge/edge_metrics.h"
#include "gatekeeper/edge/openapi.h"
#include "gatekeeper/edge/services.h"

static const char *const service_names[EDGE_SERVICES] = {"inventory", "cart", "policy", "protector"};

const char *edge_service_name(enum edge_service service)
{
	return service_names[service];
}

static const struct {
	const char *method;
	enum purchase_kind kind;
} purchases[] = {
	{"Buy", PURCHASE_BUY},
	{"AddCartItem", PURCHASE_ADD},
	{"UpdateCartItem", PURCHASE_UPDATE},
};

static bool find_purchase(const struct route *route, struct route_facts *facts)
{
	for (size_t i = 0; i < sizeof(purchases) / sizeof(purchases[0]); i++) {
		if (strcmp(route->method->method->name, purchases[i].method) == 0) {
			facts->buys = true;
			facts->purchase = purchases[i].kind;
			return true;
		}
	}
	return false;
}

/* What the gatekeeper knows by itself. */
static bool find_local(const struct route *route, struct route_facts *facts)
{
	if (strcmp(route->method->method->name, "ListServices") != 0)
		return find_purchase(route, facts);
	facts->local = services_start;
	return true;
}

static bool find_service(const struct route *route, struct route_facts *facts)
{
	for (int i = 0; i < EDGE_SERVICES; i++) {
		if (strcmp(route->pool, service_names[i]) == 0) {
			facts->service = (enum edge_service)i;
			return true;
		}
	}
	return false;
}

static bool learn_route(struct edge *edge, const struct route *route, struct error *error)
{
	struct route_facts *facts = &edge->facts[route->index];
	const struct json_shape *input = route->method->input;

	facts->user_id = json_shape_field(input, "user_id");
	facts->user_level = json_shape_field(input, "user_level");
	facts->client_ip = json_shape_field(input, "client_ip");
	facts->idempotency_key = json_shape_field(input, "idempotency_key");
	if (!(route->pool ? find_service(route, facts) : find_local(route, facts)))
		return error_set(error, "%s %s: nothing here answers %s",
			route_method_name(route->http_method), route->path, route->method->method->name);
	version_learn(route, facts);
	report_learn(route, facts);
	facts->seconds = facts->buys			   ? &edge_metrics_seconds_buy
			 : route->http_method == ROUTE_GET ? &edge_metrics_seconds_read
							   : &edge_metrics_seconds_write;
	return true;
}

bool facts_learn(struct edge *edge, struct error *error)
{
	const struct route *all;
	size_t count;

	edge->shapes = shapes_new(error);
	edge->routes = edge->shapes ? routes_new(edge->shapes, error) : NULL;
	if (!edge->routes)
		return false;
	all = routes_all(edge->routes, &count);
	edge->facts = NEW_ARRAY(count, struct route_facts);
	for (size_t i = 0; i < count; i++) {
		if (!learn_route(edge, &all[i], error))
			return false;
	}
	edge->openapi = openapi_new(edge->shapes, edge->routes, &edge->openapi_size);
	return true;
}
