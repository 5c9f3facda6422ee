/* gatekeeper/edge/probe.h - whether a service was serving once: asks grpc.health.v1 until it says so, then never again. Threads: the loop; probe_seen from any. */
#ifndef FLASHSALE_EDGE_PROBE_H
#define FLASHSALE_EDGE_PROBE_H

#include "rpc/client.h"

struct probe;
struct probe *probe_new(struct rpc_loop *loop, struct rpc_pool *pool, int32_t shard);
void probe_free(struct probe *probe); /* now, or when its question came back */
bool probe_seen(const struct probe *probe);

#endif
