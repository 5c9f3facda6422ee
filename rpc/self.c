#include "rpc/self.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flashsale/common/v1/instance.pb-c.h"
#include "rpc/timestamp.h"

struct rpc_self {
	Common__InstanceService_Service methods; /* first: the method gets it */
	char *service, *instance;
	struct rpc_self_options options;
	int64_t start_ms;
};

static void get_instance(Common__InstanceService_Service *service, const Common__GetInstanceRequest *request,
	Common__GetInstanceResponse_Closure answer, void *call)
{
	struct rpc_self *self = (struct rpc_self *)service;
	Common__GetInstanceResponse response = COMMON__GET_INSTANCE_RESPONSE__INIT;
	Google__Protobuf__Timestamp start_time;

	timestamp_set(&start_time, self->start_ms);
	response.service = self->service;
	response.instance = self->instance;
	response.version = (char *)(uintptr_t)FLASHSALE_VERSION;
	response.shard = self->options.shards ? (uint32_t)self->options.shard : 0;
	response.shards = (uint32_t)self->options.shards;
	response.start_time = &start_time;
	response.serving = self->options.serving(self->options.context);
	answer(&response, call);
}

ProtobufCService *rpc_self_service(struct rpc_self *self)
{
	return &self->methods.base;
}

struct rpc_self *rpc_self_new(const struct rpc_self_options *options)
{
	struct rpc_self *self = NEW(struct rpc_self);

	common__instance_service__init(&self->methods, NULL);
	self->methods.get_instance = get_instance;
	self->options = *options;
	self->service = memory_copy_text(options->service);
	self->instance = memory_copy_text(options->instance);
	self->start_ms = clock_wall_ms(&clock_system);
	return self;
}

void rpc_self_free(struct rpc_self *self)
{
	if (!self)
		return;
	free(self->service);
	free(self->instance);
	free(self);
}
