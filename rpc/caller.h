/* rpc/caller.h - another service for a tool: calls that are waited for.
 *
 * What it sends may be sent again: only for methods where that does no harm. Threads: main's; a loop works behind it. */
#ifndef FLASHSALE_RPC_CALLER_H
#define FLASHSALE_RPC_CALLER_H

#include "base/arena.h"
#include "base/error.h"
#include "rpc/client.h"
#include "rpc/service.h"

struct rpc_caller {
	const ProtobufCServiceDescriptor *service;
	struct rpc_tls *tls; /* NULL: plaintext */
	struct rpc_loop *loop;
	struct discovery *discovery;
	struct rpc_pool *pool;
};

/* From the program's settings: --discovery-file says where `name` is, and its certificates, as `own`, are what it is asked with. */
bool rpc_caller_open(struct rpc_caller *caller, const struct service_settings *settings, const char *own, const char *name,
	const ProtobufCServiceDescriptor *service, struct error *error);
void rpc_caller_close(struct rpc_caller *caller);

/* The answer, in the arena; NULL: *ret_status says why. While the service can't be reached it is asked again, for some seconds. */
const ProtobufCMessage *rpc_caller_call(struct rpc_caller *caller, int32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct rpc_status *ret_status);

#endif
