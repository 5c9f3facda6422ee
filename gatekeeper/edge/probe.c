#include "gatekeeper/edge/probe.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "grpc/health/v1/health.pb-c.h"

#define PERIOD_MS 200
#define DEADLINE_MS 1000
#define ARENA_BYTES_MAX 4096

struct probe {
	struct rpc_loop *loop;
	struct rpc_pool *pool;
	struct rpc_timer timer;
	struct rpc_request request;
	struct arena arena;
	bool asking, freed;
	_Atomic bool seen;
};

static void release(struct probe *probe)
{
	arena_release(&probe->arena);
	free(probe);
}

static bool is_serving(const struct rpc_request *request)
{
	const Grpc__Health__V1__HealthCheckResponse *response =
		(const Grpc__Health__V1__HealthCheckResponse *)request->output;

	return response &&
	       response->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
}

static void came(struct rpc_request *request)
{
	struct probe *probe = container_of(request, struct probe, request);

	probe->asking = false;
	if (probe->freed)
		release(probe);
	else if (is_serving(request))
		atomic_store(&probe->seen, true);
	else
		rpc_timer_start(probe->loop, &probe->timer, PERIOD_MS);
}

static void ask(struct rpc_task *task)
{
	struct probe *probe = container_of(task, struct probe, timer.task);
	Grpc__Health__V1__HealthCheckRequest input = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

	arena_clear(&probe->arena);
	probe->asking = true;
	probe->request.service = &grpc__health__v1__health__descriptor;
	probe->request.method =
		protobuf_c_service_descriptor_get_method_by_name(probe->request.service, "Check");
	probe->request.input = &input.base;
	probe->request.deadline_ns = clock_mono_ns() + DEADLINE_MS * INT64_C(1000000);
	probe->request.arena = &probe->arena;
	probe->request.done = came;
	rpc_request_start(probe->pool, &probe->request);
}

struct probe *probe_new(struct rpc_loop *loop, struct rpc_pool *pool, int32_t shard)
{
	struct probe *probe = NEW(struct probe);

	probe->loop = loop;
	probe->pool = pool;
	probe->request.shard = shard;
	probe->timer.task.run = ask;
	arena_init(&probe->arena, ARENA_BYTES_MAX, ARENA_BYTES_MAX);
	rpc_timer_start(loop, &probe->timer, 0);
	return probe;
}

void probe_free(struct probe *probe)
{
	if (!probe)
		return;
	rpc_timer_stop(probe->loop, &probe->timer);
	probe->freed = true;
	if (probe->asking)
		rpc_request_cancel(&probe->request);
	else
		release(probe);
}

bool probe_seen(const struct probe *probe)
{
	return atomic_load(&probe->seen);
}
