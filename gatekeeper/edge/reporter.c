#include "gatekeeper/edge/reporter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "rpc/feed.h"

#define QUEUE_ROOM 16384	/* of one protector; a power of two */
#define MESSAGE_EVENTS_MAX 2048 /* of which the largest message is a quarter of what a server takes */

/* A protector, and what waits for it. */
struct target {
	struct reporter *reporter;
	char *id;
	uint64_t seed; /* of its hashes */
	struct rpc_feed *feed;
	struct event *queue;
	uint32_t head, tail; /* how many were put, and taken */
	bool open;	     /* it listens */
	bool seen;	     /* scratch of an update */
};

struct reporter {
	struct events events; /* of the door */
	struct rpc_loop *loop;
	struct rpc_pool *pool; /* NULL: closed */
	struct target *targets[REPORTER_TARGETS_MAX];
	uint32_t count, open;
	struct rpc_task wake;
	struct rpc_timer timer;
	bool gathering;	 /* woken by the door, and not asleep since */
	uint64_t untold; /* dropped since a message said so */
	/* one message's; used between its making and its packing */
	Protector__TrafficEvent *items;
	Protector__TrafficEvent **pointers;
};

static struct metric sent = {.kind = METRIC_COUNTER,
	.name = "flashsale_gatekeeper_traffic_events_total",
	.help = "Events of answered requests that were put on the way to a protector."};
static struct metric dropped = {.kind = METRIC_COUNTER,
	.name = "flashsale_gatekeeper_traffic_dropped_total",
	.help = "Events that found no room, or no protector."};

/* ---- dropping ---- */

static void drop(struct reporter *reporter, uint64_t count)
{
	reporter->untold += count;
	metric_add(&dropped, (int64_t)count);
}

static void drop_queue(struct target *target)
{
	drop(target->reporter, target->head - target->tail);
	target->tail = target->head;
}

/* ---- whose events they are ---- */

/* Of those that listen the one with the highest hash: when one comes or goes, only its own share moves. */
static struct target *owner_of(const struct reporter *reporter, uint64_t hash)
{
	struct target *best = NULL;
	uint64_t highest = 0;

	for (uint32_t i = 0; i < reporter->count; i++) {
		struct target *target = reporter->targets[i];
		const uint64_t mixed[2] = {hash, target->seed};
		uint64_t score;

		if (!target->open)
			continue;
		if (reporter->open == 1)
			return target;
		score = hash64(mixed, sizeof(mixed));
		if (!best || score > highest) {
			best = target;
			highest = score;
		}
	}
	return best;
}

static void push(struct target *target, const struct event *event, bool address, bool account)
{
	struct event *slot = &target->queue[target->head & (QUEUE_ROOM - 1)];

	if (target->head - target->tail == QUEUE_ROOM) {
		drop(target->reporter, 1);
		return;
	}
	*slot = *event;
	slot->counts_address = address;
	slot->counts_account = account;
	target->head++;
}

static void route(struct reporter *reporter, const struct event *event)
{
	const bool address = event->address_size, account = event->user_id[0];
	struct target *of_address, *of_account;

	if (!reporter->open) {
		drop(reporter, 1);
		return;
	}
	of_address = owner_of(
		reporter, reporter->open > 1 && address ? hash64(event->address, event->address_size) : 0);
	of_account = reporter->open > 1 && account
			     ? owner_of(reporter, hash64(event->user_id, strlen(event->user_id)))
			     : of_address;
	if (of_address == of_account || !address) {
		push(of_account, event, address, account);
		return;
	}
	push(of_address, event, true, false);
	if (account)
		push(of_account, event, false, true);
}

/* ---- messages ---- */

static void fill(Protector__TrafficEvent *item, struct event *event)
{
	item->time_us = event->time_us;
	item->client_address = (ProtobufCBinaryData){event->address_size, event->address};
	item->user_id = event->user_id;
	item->kind = (Protector__TrafficKind)event->kind;
	item->reason = (Common__Reason)event->reason;
	item->counts_address = event->counts_address;
	item->counts_account = event->counts_account;
}

/* The feed packs it at once: nothing is put into the queue before. */
static bool next_message(void *context, ProtobufCMessage *message)
{
	struct target *target = context;
	struct reporter *reporter = target->reporter;
	Protector__ReportTrafficRequest *request = (Protector__ReportTrafficRequest *)message;

	if (target->head == target->tail)
		return false;
	while (target->tail != target->head && request->n_events < MESSAGE_EVENTS_MAX)
		fill(reporter->pointers[request->n_events++],
			&target->queue[target->tail++ & (QUEUE_ROOM - 1)]);
	request->events = reporter->pointers;
	request->dropped = reporter->untold;
	reporter->untold = 0;
	metric_add(&sent, (int64_t)request->n_events);
	return true;
}

static void opened(void *context)
{
	struct target *target = context;

	target->open = true;
	target->reporter->open++;
}

static void lost(void *context, const struct rpc_status *why)
{
	struct target *target = context;

	target->open = false;
	target->reporter->open--;
	drop_queue(target);
	LOG_LIMITED(LOG_INFO, "a protector hears no more of the traffic; the stream is opened again",
		LOG_TEXT("instance", target->id), LOG_TEXT("code", rpc_code_name(why->code)),
		LOG_TEXT("why", why->message));
}

/* ---- the ring of the door ---- */

static void drain(struct reporter *reporter)
{
	const struct event *event;

	while ((event = events_first(&reporter->events))) {
		route(reporter, event);
		events_take(&reporter->events);
	}
	drop(reporter, events_dropped(&reporter->events));
}

static void send_gathered(struct rpc_task *task)
{
	struct reporter *reporter = container_of(task, struct reporter, timer.task);
	bool waiting = false;

	drain(reporter);
	for (uint32_t i = 0; i < reporter->count; i++) {
		struct target *target = reporter->targets[i];

		if (target->head == target->tail)
			continue;
		rpc_feed_wake(target->feed);
		waiting = true;
	}
	if (!waiting && reporter->gathering)
		reporter->gathering = !events_sleep(&reporter->events);
	if (waiting || reporter->gathering)
		rpc_timer_start(reporter->loop, &reporter->timer, REPORTER_PERIOD_MS);
}

/* The door wakes once: not again before it was put to sleep, and only after this ran. */
static void start_gathering(struct rpc_task *task)
{
	struct reporter *reporter = container_of(task, struct reporter, wake);

	reporter->gathering = true;
	if (reporter->pool && !reporter->timer.position)
		rpc_timer_start(reporter->loop, &reporter->timer, REPORTER_PERIOD_MS);
}

struct event *reporter_door_place(struct reporter *reporter)
{
	return events_place(&reporter->events);
}

void reporter_door_put(struct reporter *reporter)
{
	if (events_put(&reporter->events))
		rpc_post(reporter->loop, &reporter->wake);
}

void reporter_put(struct reporter *reporter, const struct event *event)
{
	if (!reporter->pool)
		return;
	drain(reporter); /* what the door saw before comes first */
	route(reporter, event);
	if (!reporter->timer.position)
		rpc_timer_start(reporter->loop, &reporter->timer, REPORTER_PERIOD_MS);
}

/* ---- who there is ---- */

static struct target *find_target(const struct reporter *reporter, const char *id)
{
	for (uint32_t i = 0; i < reporter->count; i++) {
		if (strcmp(reporter->targets[i]->id, id) == 0)
			return reporter->targets[i];
	}
	return NULL;
}

static void add_target(struct reporter *reporter, const char *id)
{
	struct target *target = NEW(struct target);
	const ProtobufCServiceDescriptor *service = &protector__protector_service__descriptor;

	target->reporter = reporter;
	target->id = memory_copy_text(id);
	target->seed = hash64(id, strlen(id));
	target->queue = NEW_ARRAY(QUEUE_ROOM, struct event);
	target->feed = rpc_feed_new(&(struct rpc_feed_options){
		.pool = reporter->pool,
		.service = service,
		.method = protobuf_c_service_descriptor_get_method_by_name(service, "ReportTraffic"),
		.instance = id,
		.next = next_message,
		.opened = opened,
		.lost = lost,
		.context = target,
	});
	reporter->targets[reporter->count++] = target;
}

static void free_target(struct target *target)
{
	drop_queue(target);
	target->reporter->open -= target->open;
	rpc_feed_free(target->feed);
	free(target->queue);
	free(target->id);
	free(target);
}

static void see(void *context, const char *id)
{
	struct reporter *reporter = context;
	struct target *target = find_target(reporter, id);

	if (!target && reporter->count < REPORTER_TARGETS_MAX) {
		add_target(reporter, id);
		target = reporter->targets[reporter->count - 1];
	}
	if (target)
		target->seen = true;
}

static void pool_changed(void *context)
{
	struct reporter *reporter = context;

	if (!reporter->pool)
		return;
	for (uint32_t i = 0; i < reporter->count; i++)
		reporter->targets[i]->seen = false;
	rpc_pool_each_id(reporter->pool, see, reporter);
	for (uint32_t i = reporter->count; i-- > 0;) {
		if (reporter->targets[i]->seen)
			continue;
		free_target(reporter->targets[i]);
		reporter->targets[i] = reporter->targets[--reporter->count];
	}
}

/* ---- its life ---- */

struct reporter *reporter_new(struct rpc_loop *loop)
{
	struct reporter *reporter = NEW(struct reporter);

	events_init(&reporter->events);
	reporter->loop = loop;
	reporter->wake.run = start_gathering;
	reporter->timer.task.run = send_gathered;
	reporter->items = NEW_ARRAY(MESSAGE_EVENTS_MAX, Protector__TrafficEvent);
	reporter->pointers = NEW_ARRAY(MESSAGE_EVENTS_MAX, Protector__TrafficEvent *);
	for (uint32_t i = 0; i < MESSAGE_EVENTS_MAX; i++) {
		protector__traffic_event__init(&reporter->items[i]);
		reporter->pointers[i] = &reporter->items[i];
	}
	metrics_register(&sent);
	metrics_register(&dropped);
	return reporter;
}

void reporter_open(struct reporter *reporter, struct rpc_pool *protectors)
{
	reporter->pool = protectors;
	rpc_pool_on_change(protectors, pool_changed, reporter);
}

void reporter_close(struct reporter *reporter)
{
	while (reporter->count)
		free_target(reporter->targets[--reporter->count]);
	rpc_timer_stop(reporter->loop, &reporter->timer);
	reporter->pool = NULL;
}

void reporter_free(struct reporter *reporter)
{
	if (!reporter)
		return;
	assert(!reporter->count);
	events_release(&reporter->events);
	free(reporter->items);
	free(reporter->pointers);
	free(reporter);
}
