/* rpc/self.h - flashsale.common.v1.InstanceService: what a process tells about itself to whoever asks.
 *
 * It starts to count its age when it is made. Served beside a service's own methods and open to everybody who may connect. It must outlive the server. Threads: made
 * before the server listens; its method runs on the loop. */
#ifndef FLASHSALE_RPC_SELF_H
#define FLASHSALE_RPC_SELF_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

struct rpc_self_options {
	const char *service, *instance; /* copied */
	int32_t shard, shards;          /* -1 and 0: without shards */
	bool (*serving)(void *context); /* on the loop */
	void *context;
};

struct rpc_self;
struct rpc_self *rpc_self_new(const struct rpc_self_options *options);
void rpc_self_free(struct rpc_self *self); /* NULL is fine */
ProtobufCService *rpc_self_service(struct rpc_self *self);

#endif
