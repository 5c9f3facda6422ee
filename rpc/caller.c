#include "rpc/caller.h"

#include <semaphore.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/static.h"
#include "rpc/reason.h"

#define CALL_TIMEOUT_MS 10000
#define PATIENCE_MS 15000 /* while nobody is there */
#define PAUSE_MS 100

static bool open_tls(struct rpc_caller *caller, const struct service_settings *settings, const char *own,
	struct error *error)
{
	struct rpc_tls_files files = service_tls_files(settings);

	if (!files.certificate)
		return true;
	caller->tls = rpc_tls_new(&files, own, error);
	return caller->tls || error_prefix(error, "TLS");
}

bool rpc_caller_open(struct rpc_caller *caller, const struct service_settings *settings, const char *own,
	const char *name, const ProtobufCServiceDescriptor *service, struct error *error)
{
	*caller = (struct rpc_caller){.service = service};
	if (!open_tls(caller, settings, own, error))
		return false;
	caller->discovery = discovery_static_new(settings->discovery_file, error);
	if (!caller->discovery) {
		rpc_tls_free(caller->tls);
		return error_prefix(error, "--discovery-file");
	}
	rpc_reason_init();
	caller->loop = rpc_loop_new("tool");
	caller->pool = rpc_pool_new(caller->loop, caller->discovery, name, caller->tls);
	return true;
}

void rpc_caller_close(struct rpc_caller *caller)
{
	rpc_pool_free(caller->pool);
	rpc_loop_free(caller->loop);
	discovery_free(caller->discovery);
	rpc_tls_free(caller->tls);
}

struct waiting_call {
	struct rpc_task task;
	struct rpc_request request;
	struct rpc_pool *pool;
	sem_t done;
};

static void call_start(struct rpc_task *task)
{
	struct waiting_call *call = container_of(task, struct waiting_call, task);

	rpc_request_start(call->pool, &call->request);
}

static void call_done(struct rpc_request *request)
{
	sem_post(&container_of(request, struct waiting_call, request)->done);
}

static void call_once(struct rpc_caller *caller, int32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct waiting_call *call)
{
	*call = (struct waiting_call){.task.run = call_start,
		.pool = caller->pool,
		.request = {.service = caller->service,
			.method = protobuf_c_service_descriptor_get_method_by_name(caller->service, method),
			.input = input,
			.shard = shard,
			.deadline_ns = clock_mono_ns() + CALL_TIMEOUT_MS * INT64_C(1000000),
			.arena = arena,
			.done = call_done}};
	sem_init(&call->done, 0, 0);
	rpc_post(caller->loop, &call->task);
	while (sem_wait(&call->done) != 0)
		;
	sem_destroy(&call->done);
}

const ProtobufCMessage *rpc_caller_call(struct rpc_caller *caller, int32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct rpc_status *ret_status)
{
	int64_t until_ns = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000);
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	struct waiting_call call;

	for (;;) {
		call_once(caller, shard, method, input, arena, &call);
		*ret_status = call.request.status;
		if (call.request.output)
			return call.request.output;
		if (ret_status->code != RPC_UNAVAILABLE && ret_status->code != RPC_RESOURCE_EXHAUSTED &&
			ret_status->code != RPC_DEADLINE_EXCEEDED)
			return NULL;
		if (clock_mono_ns() > until_ns)
			return NULL;
		nanosleep(&pause, NULL);
	}
}
