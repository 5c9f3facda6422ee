/* call_peer.c - who calls, and whether they may: where there is TLS, the name and the roles in the client's certificate, held against those that the method is for.
 *
 * On the server's loop, once a call, when it has arrived and before anything of it is read. The name lives in the call's arena; gRPC's context is given back at once. */
#include <grpc/grpc_security.h>

#include "base/log.h"
#include "rpc/call.h"

static uint32_t read_roles(const grpc_auth_context *context)
{
	grpc_auth_property_iterator names =
		grpc_auth_context_find_properties_by_name(context, GRPC_PEER_DNS_PROPERTY_NAME);
	const grpc_auth_property *name;
	uint32_t roles = 0;

	while ((name = grpc_auth_property_iterator_next(&names)))
		roles |= role_of(name->value, name->value_length);
	return roles;
}

static void read_peer(struct rpc_call *call)
{
	grpc_auth_context *context = grpc_call_auth_context(call->grpc);
	grpc_auth_property_iterator names;
	const grpc_auth_property *name;

	if (!context)
		return;
	names = grpc_auth_context_peer_identity(context);
	name = grpc_auth_property_iterator_next(&names);
	if (name) {
		char *copy = arena_text(&call->arena, name->value, name->value_length);

		call->peer = copy ? copy : "";
	}
	call->roles = read_roles(context);
	grpc_auth_context_release(context);
}

static bool may_call(const struct rpc_call *call)
{
	return call->method->roles == ROLE_ANY || call->roles & call->method->roles;
}

static void refuse_stranger(struct rpc_call *call)
{
	char are[128], wanted[128];

	role_list(call->roles, are, sizeof(are));
	role_list(call->method->roles, wanted, sizeof(wanted));
	LOG_LIMITED(LOG_WARN, "refused a call for the client's certificate", LOG_TEXT("client", call->peer),
		LOG_TEXT("method", call->method->path), LOG_TEXT("for", wanted));
	call_claim(call);
	rpc_status_set(&call->status, RPC_PERMISSION_DENIED, "FORBIDDEN",
		"the client's certificate %s%s; this method is for %s",
		are[0] ? "is that of " : "has no name of this system's", are, wanted);
	call_finish(call);
}

bool call_know_peer(struct rpc_call *call)
{
	read_peer(call);
	if (may_call(call))
		return true;
	refuse_stranger(call);
	return false;
}
