#include "rpc/health.h"

#include <assert.h>
#include <grpc/health/v1/health.pb-c.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/memory.h"
#include "rpc/call.h"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus health_status;
#define SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

struct watcher {
	LIST_ENTRY(watcher) link;
	struct rpc_call *call;
	struct health *health;
	bool known, liveness, told;
	health_status last;
};

struct health {
	Grpc__Health__V1__Health_Service service; /* first: the methods get it */
	struct rpc_server *server;
	_Atomic bool serving, posted;
	struct rpc_task changed;
	LIST_HEAD(, watcher) watchers; /* the loop's */
};

static bool is_liveness(const char *service)
{
	return !strcmp(service, HEALTH_LIVENESS);
}

static bool known(const struct rpc_server *server, const char *service)
{
	if (!service[0] || is_liveness(service))
		return true;
	for (size_t i = 0; i < server->method_count; i++)
		if (!strcmp(server->methods[i].service->descriptor->name, service))
			return true;
	return false;
}

static health_status status_now(const struct health *health, bool liveness)
{
	return liveness || atomic_load(&health->serving) ? SERVING : NOT_SERVING;
}

static void check(Grpc__Health__V1__Health_Service *service,
	const Grpc__Health__V1__HealthCheckRequest *request,
	Grpc__Health__V1__HealthCheckResponse_Closure closure, void *closure_data)
{
	struct health *health = (struct health *)service;
	Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct rpc_status unknown;

	if (!known(health->server, request->service)) {
		rpc_status_set(&unknown, RPC_NOT_FOUND, "", "unknown service");
		rpc_fail(closure_data, &unknown);
		return;
	}
	response.status = status_now(health, is_liveness(request->service));
	closure(&response, closure_data);
}

static enum rpc_pull watch_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct watcher *watcher = cursor;
	health_status now = watcher->known ? status_now(watcher->health, watcher->liveness) : SERVICE_UNKNOWN;
	Grpc__Health__V1__HealthCheckResponse *response;

	if (watcher->told && watcher->last == now)
		return RPC_WAIT;
	response = ARENA_NEW(scratch, Grpc__Health__V1__HealthCheckResponse);
	assert(response); /* the scratch is empty and larger than that */
	grpc__health__v1__health_check_response__init(response);
	response->status = watcher->last = now;
	watcher->told = true;
	*ret = &response->base;
	return RPC_MORE;
}

static void watch_end(void *cursor)
{
	struct watcher *watcher = cursor;

	LIST_REMOVE(watcher, link);
	free(watcher);
}

static void watch(Grpc__Health__V1__Health_Service *service,
	const Grpc__Health__V1__HealthCheckRequest *request,
	Grpc__Health__V1__HealthCheckResponse_Closure closure, void *closure_data)
{
	struct health *health = (struct health *)service;
	struct watcher *watcher = NEW(struct watcher);
	struct rpc_stream stream = {.next = watch_next, .end = watch_end, .cursor = watcher};

	watcher->call = closure_data;
	watcher->health = health;
	watcher->known = known(health->server, request->service);
	watcher->liveness = is_liveness(request->service);
	LIST_INSERT_HEAD(&health->watchers, watcher, link);
	rpc_stream_open(closure_data, &stream);
}

static void changed_run(struct rpc_task *task)
{
	struct health *health = container_of(task, struct health, changed);
	struct watcher *watcher;

	atomic_store(&health->posted, false);
	LIST_FOREACH (watcher, &health->watchers, link)
		rpc_wake(watcher->call);
}

void health_set(struct health *health, bool serving)
{
	if (atomic_exchange(&health->serving, serving) == serving)
		return;
	if (!atomic_exchange(&health->posted, true))
		rpc_post(health->server->loop, &health->changed);
}

bool health_serving(const struct health *health)
{
	return atomic_load(&health->serving);
}

ProtobufCService *health_service(struct health *health)
{
	return &health->service.base;
}

struct health *health_new(struct rpc_server *server)
{
	struct health *health = NEW(struct health);

	grpc__health__v1__health__init(&health->service, NULL);
	health->service.check = check;
	health->service.watch = watch;
	health->server = server;
	health->changed.run = changed_run;
	LIST_INIT(&health->watchers);
	return health;
}

void health_free(struct health *health)
{
	assert(LIST_EMPTY(&health->watchers));
	free(health);
}
