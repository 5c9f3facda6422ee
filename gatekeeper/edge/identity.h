/* gatekeeper/edge/identity.h - who asks, and whether they may.
 *
 * Demo mode believes what the request says: account, level and address come from the body or the path, an empty address is the peer's, and everybody may do
 * everything. Otherwise a verified token says account, level and scopes: a request that names another account or level is refused, its
 * address is ignored, and routes of operators and of the payment side need their scope.
 * Threads: the door's. */
#ifndef FLASHSALE_EDGE_IDENTITY_H
#define FLASHSALE_EDGE_IDENTITY_H

#include "base/clock.h"
#include "gatekeeper/edge/edge.h"
#include "gatekeeper/edge/routes.h"

struct identity_options {
	bool demo;
	const char *keys_folder; /* PEM files of the public keys; needed unless demo */
	const struct clock_source *clock;
};

struct identifier;
struct identifier *identifier_new(const struct identity_options *options, struct error *error);
void identifier_free(struct identifier *identifier);

struct identity_request {
	const struct edge_input *in;
	Options__Access access;
	ProtobufCMessage *message;				   /* gets the identity */
	const struct json_field *user_id, *user_level, *client_ip; /* of the message; NULL without one */
};

/* False: *ret_problem is UNAUTHENTICATED or FORBIDDEN. Texts that it puts in the message live in the arena. */
bool identity_admit(struct identifier *identifier, const struct identity_request *request,
	struct arena *arena, struct problem *ret_problem);

#endif
