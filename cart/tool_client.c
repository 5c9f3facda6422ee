/* cart/tool_client.c - see tool_client.h. */
#include "cart/tool_client.h"

#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/static.h"
#include "rpc/client.h"
#include "rpc/reason.h"

#define CALL_TIMEOUT_MS 10000
#define PATIENCE_MS 15000 /* while nobody is there */
#define PAUSE_MS 100
#define LEDGER_SILENCE_MS 5000
#define LEDGER_BYTES_MAX (32 << 20)

struct tool_client {
	struct rpc_tls *tls;
	struct rpc_loop *loop;
	struct discovery *discovery;
	struct rpc_pool *pool;
};

static bool open_tls(struct tool_client *client, const struct service_settings *settings, struct error *error)
{
	struct rpc_tls_files files = service_tls_files(settings);

	if (!files.certificate)
		return true;
	client->tls = rpc_tls_new(&files, "cart", error);
	return client->tls || error_prefix(error, "TLS");
}

struct tool_client *tool_client_new(const struct service_settings *settings, struct error *error)
{
	struct tool_client *client = NEW(struct tool_client);

	if (!open_tls(client, settings, error)) {
		free(client);
		return NULL;
	}
	client->discovery = discovery_static_new(settings->discovery_file, error);
	if (!client->discovery) {
		error_prefix(error, "--discovery-file");
		rpc_tls_free(client->tls);
		free(client);
		return NULL;
	}
	rpc_reason_init();
	client->loop = rpc_loop_new("tool");
	client->pool = rpc_pool_new(client->loop, client->discovery, "inventory", client->tls);
	return client;
}

void tool_client_free(struct tool_client *client)
{
	if (!client)
		return;
	rpc_pool_free(client->pool);
	rpc_loop_free(client->loop);
	discovery_free(client->discovery);
	rpc_tls_free(client->tls);
	free(client);
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore) != 0)
		;
	sem_destroy(semaphore);
}

/* ---- calls ---- */

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

static void call_once(struct tool_client *client, uint32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct waiting_call *call)
{
	const ProtobufCServiceDescriptor *service = &inventory__inventory_service__descriptor;

	*call = (struct waiting_call){.task.run = call_start,
		.pool = client->pool,
		.request = {.service = service,
			.method = protobuf_c_service_descriptor_get_method_by_name(service, method),
			.input = input,
			.shard = (int32_t)shard,
			.deadline_ns = clock_mono_ns() + CALL_TIMEOUT_MS * INT64_C(1000000),
			.arena = arena,
			.done = call_done}};
	sem_init(&call->done, 0, 0);
	rpc_post(client->loop, &call->task);
	wait_for(&call->done);
}

const ProtobufCMessage *tool_client_call(struct tool_client *client, uint32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct rpc_status *ret_status)
{
	int64_t until_ns = clock_mono_ns() + PATIENCE_MS * INT64_C(1000000);
	const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
	struct waiting_call call;

	for (;;) {
		call_once(client, shard, method, input, arena, &call);
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

/* ---- the ledger ---- */

struct reading {
	struct rpc_task task;
	struct rpc_timer patience;
	struct tool_client *client;
	struct rpc_subscription *subscription;
	Common__Placement placement;
	uint32_t cart_shard;
	bool (*message)(void *context, const Inventory__ReadLedgerResponse *message);
	void *context;
	struct error *error;
	uint64_t position, floor;
	bool over, good;
	sem_t done;
};

/* Never inside a callback of the subscription. */
static void reading_end(struct rpc_task *task)
{
	struct reading *reading = container_of(task, struct reading, task);

	rpc_timer_stop(reading->client->loop, &reading->patience);
	rpc_unsubscribe(reading->subscription);
	sem_post(&reading->done);
}

static void reading_finish(struct reading *reading, bool good)
{
	if (reading->over)
		return;
	reading->over = true;
	reading->good = good;
	reading->task.run = reading_end;
	rpc_at_turn_end(reading->client->loop, &reading->task);
}

static void reading_late(struct rpc_task *task)
{
	struct reading *reading = container_of(task, struct reading, patience.task);

	error_set(reading->error, "inventory shard %u does not let its ledger be read",
		reading->placement.shard);
	reading_finish(reading, false);
}

static void reading_open(void *context, ProtobufCMessage *message)
{
	struct reading *reading = context;
	Inventory__ReadLedgerRequest *request = (Inventory__ReadLedgerRequest *)message;

	request->placement = &reading->placement;
	request->after_sequence = reading->position;
	request->floor = reading->floor;
	request->filter_case = INVENTORY__READ_LEDGER_REQUEST__FILTER_CART_SHARD;
	request->cart_shard = reading->cart_shard;
	request->follow = true;
}

static bool reading_message(void *context, const ProtobufCMessage *base)
{
	const Inventory__ReadLedgerResponse *message = (const Inventory__ReadLedgerResponse *)base;
	struct reading *reading = context;

	if (reading->over)
		return true;
	rpc_timer_start(reading->client->loop, &reading->patience, PATIENCE_MS);
	if (!reading->message(reading->context, message)) {
		error_set(reading->error,
			"inventory shard %u: its ledger can't be understood after entry %llu",
			reading->placement.shard, (unsigned long long)reading->position);
		reading_finish(reading, false);
		return true;
	}
	reading->position = message->position;
	reading->floor = message->floor;
	if (message->position >= message->head)
		reading_finish(reading, true);
	return true;
}

static void reading_start(struct rpc_task *task)
{
	struct reading *reading = container_of(task, struct reading, task);
	const struct rpc_subscription_options options = {.pool = reading->client->pool,
		.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, "ReadLedger"),
		.shard = (int32_t)reading->placement.shard,
		.silence_ms = LEDGER_SILENCE_MS,
		.open = reading_open,
		.message = reading_message,
		.context = reading,
		.message_arena_bytes_max = LEDGER_BYTES_MAX};

	reading->patience.task.run = reading_late;
	rpc_timer_start(reading->client->loop, &reading->patience, PATIENCE_MS);
	reading->subscription = rpc_subscribe(&options);
}

bool tool_client_read_ledger(struct tool_client *client, const Common__Placement *placement,
	uint32_t cart_shard, bool (*message)(void *context, const Inventory__ReadLedgerResponse *message),
	void *context, struct error *error)
{
	struct reading reading = {.task.run = reading_start,
		.client = client,
		.placement = *placement,
		.cart_shard = cart_shard,
		.message = message,
		.context = context,
		.error = error};

	sem_init(&reading.done, 0, 0);
	rpc_post(client->loop, &reading.task);
	wait_for(&reading.done);
	return reading.good;
}
