/* cart/tool_client.c - see tool_client.h. */
#include "cart/tool_client.h"

#include <semaphore.h>
#include <stdlib.h>

#include "base/memory.h"
#include "rpc/caller.h"

#define PATIENCE_MS 15000 /* while nobody is there */
#define LEDGER_SILENCE_MS 5000
#define LEDGER_BYTES_MAX (32 << 20)

struct tool_client {
	struct rpc_caller caller;
};

struct tool_client *tool_client_new(const struct service_settings *settings, struct error *error)
{
	struct tool_client *client = NEW(struct tool_client);

	if (rpc_caller_open(&client->caller, settings, "cart", "inventory",
		    &inventory__inventory_service__descriptor, error))
		return client;
	free(client);
	return NULL;
}

void tool_client_free(struct tool_client *client)
{
	if (!client)
		return;
	rpc_caller_close(&client->caller);
	free(client);
}

const ProtobufCMessage *tool_client_call(struct tool_client *client, uint32_t shard, const char *method,
	const ProtobufCMessage *input, struct arena *arena, struct rpc_status *ret_status)
{
	return rpc_caller_call(&client->caller, (int32_t)shard, method, input, arena, ret_status);
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

	rpc_timer_stop(reading->client->caller.loop, &reading->patience);
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
	rpc_at_turn_end(reading->client->caller.loop, &reading->task);
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
	rpc_timer_start(reading->client->caller.loop, &reading->patience, PATIENCE_MS);
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
	const struct rpc_subscription_options options = {.pool = reading->client->caller.pool,
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
	rpc_timer_start(reading->client->caller.loop, &reading->patience, PATIENCE_MS);
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
	rpc_post(client->caller.loop, &reading.task);
	while (sem_wait(&reading.done) != 0)
		;
	sem_destroy(&reading.done);
	return reading.good;
}
