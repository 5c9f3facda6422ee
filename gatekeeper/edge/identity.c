#include "gatekeeper/edge/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/memory.h"

struct identifier {
	struct identity_options options;
};

struct identifier *identifier_new(const struct identity_options *options, struct error *error)
{
	struct identifier *identifier;

	if (!options->demo) {
		error_set(error, "without demo mode the keys of the tokens are needed, and none were given");
		return NULL;
	}
	identifier = NEW(struct identifier);
	identifier->options = *options;
	return identifier;
}

void identifier_free(struct identifier *identifier)
{
	free(identifier);
}

/* A peer without an address (a local socket) stays without one. */
static const char *peer(const struct edge_input *in, struct arena *arena)
{
	struct address address;

	if (!address_parse(in->client_ip.data, in->client_ip.size, &address))
		return "";
	return arena_text(arena, in->client_ip.data, in->client_ip.size);
}

static bool out_of_memory(struct problem *problem)
{
	problem_from_reason(problem, COMMON__REASON__REASON_OVERLOADED, "the request needs too much memory");
	return false;
}

static bool set_text(const struct json_field *field, ProtobufCMessage *message, const char *value)
{
	if (value)
		*(const char **)json_field_value(field, message) = value;
	return value != NULL;
}

static bool admit_anybody(
	const struct identity_request *request, struct arena *arena, struct problem *ret_problem)
{
	const struct json_field *field = request->client_ip;

	if (request->access != OPTIONS__ACCESS__ACCESS_SHOPPER || !field)
		return true;
	if ((*(char **)json_field_value(field, request->message))[0])
		return true;
	return set_text(field, request->message, peer(request->in, arena)) || out_of_memory(ret_problem);
}

bool identity_admit(struct identifier *identifier, const struct identity_request *request,
	struct arena *arena, struct problem *ret_problem)
{
	return admit_anybody(request, arena, ret_problem);
}
