/* cart/service.c - the cart's start and end, and the effects of its domain. */
#include "cart/service.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cart/ordering.h"

#define TICK_MS 250
#define SWEEP_MAX 4096 /* lines forgotten a tick */

/* ---- effects ---- */

static void on_fence(void *context, uint32_t shard)
{
	struct cart_service *service = context;

	link_fence(service->links[shard]);
}

static void on_usable(void *context, uint32_t shard)
{
	struct cart_service *service = context;

	log_info("the link to inventory is usable", LOG_INT("inventory_shard", shard));
	orders_kick(service->orders, shard, cart_service_now_ms(service, clock_mono_ns()));
}

static void on_succeeded(void *context, uint32_t shard)
{
	const struct cart_service *service = context;

	log_error("another process has taken over this cart shard", LOG_INT("inventory_shard", shard),
		LOG_INT("our_epoch", (int64_t)service->cart->links[shard].fence.accepted),
		LOG_INT("newest_epoch", (int64_t)service->cart->links[shard].fence.known));
	service_fatal(service->service, "another process has taken over this cart shard");
}

static void on_changed(void *context, const struct line *line)
{
	shelf_put(((struct cart_service *)context)->shelf, line);
}

static void on_forgotten(void *context, const struct line *line)
{
	shelf_forget(((struct cart_service *)context)->shelf, &line->id);
}

/* ---- readiness ---- */

/* All links have been heard, or are known to be beyond it; after the grace, those that answer are enough. */
static bool is_ready(const struct cart_service *service, int64_t now_ms)
{
	uint32_t usable = 0, stopped = 0;

	for (uint32_t shard = 0; shard < service->inventory_shards; shard++) {
		usable += service->cart->links[shard].was_usable && !service->cart->links[shard].stopped;
		stopped += service->cart->links[shard].stopped;
	}
	return usable && (usable + stopped == service->inventory_shards || now_ms >= service->serving_by_ms);
}

static bool all_stopped(const struct cart_service *service)
{
	uint32_t shard = 0;

	while (shard < service->inventory_shards && service->cart->links[shard].stopped)
		shard++;
	return shard == service->inventory_shards;
}

void cart_service_look(struct cart_service *service)
{
	if (service->ending)
		return;
	if (!service->serving && is_ready(service, cart_service_now_ms(service, clock_mono_ns()))) {
		service->serving = true;
		log_info("serving", LOG_INT("holds", (int64_t)service->cart->lines.by_id.count));
		service_set_serving(service->service, true);
	} else if (service->serving && all_stopped(service)) {
		service->serving = false;
		log_error("not serving: every link to inventory has stopped");
		service_set_serving(service->service, false);
	}
}

static void tick_run(struct rpc_task *task)
{
	struct cart_service *service = container_of(task, struct cart_service, tick.task);
	int64_t now_ms = cart_service_now_ms(service, clock_mono_ns());

	cart_sweep(service->cart, now_ms, SWEEP_MAX);
	orders_sweep(service->orders, now_ms, SWEEP_MAX);
	for (uint32_t shard = 0; service->orders->wishing && shard < service->inventory_shards; shard++)
		orders_kick(service->orders, shard, now_ms);
	for (uint32_t shard = 0; shard < service->inventory_shards; shard++)
		link_acknowledge(service->links[shard]);
	cart_metrics_update(service);
	cart_service_look(service);
	rpc_timer_start(service->loop, &service->tick, TICK_MS);
}

/* ---- calls that wait ---- */

void open_call_add(struct cart_service *service, struct open_call *call)
{
	call->previous = NULL;
	call->next = service->open_calls;
	if (call->next)
		call->next->previous = call;
	service->open_calls = call;
}

void open_call_remove(struct cart_service *service, struct open_call *call)
{
	*(call->previous ? &call->previous->next : &service->open_calls) = call->next;
	if (call->next)
		call->next->previous = call->previous;
}

int64_t cart_service_mono_ns(const struct cart_service *service, int64_t now_ms)
{
	return service->mono_start_ns + (now_ms - service->wall_start_ms) * 1000000;
}

/* ---- its life ---- */

bool cart_service_check(const void *settings, struct error *error)
{
	const struct cart_settings *cart = settings;

	if (cart->queue_max > cart->attempts_max)
		return error_set(error, "--queue-max %lld is more than --attempts-max %lld",
			(long long)cart->queue_max, (long long)cart->attempts_max);
	return true;
}

static struct cart *new_cart(struct cart_service *service)
{
	const struct cart_settings *settings = service->settings;
	struct cart_options options = {
		.shards = service->inventory_shards,
		.attempts_max = (size_t)settings->attempts_max,
		.queue_max = (size_t)settings->queue_max,
		.ended_max = (size_t)settings->remembered_max,
		.clock = service->service->clock,
		.effects = {cart_service_send, cart_service_decided, on_fence, on_usable, on_succeeded,
			on_changed, on_forgotten},
		.context = service,
	};

	id_random(&options.instance);
	return cart_new(&options);
}

static void begin(void *context)
{
	struct cart_service *service = context;

	cart_service_batchers(service);
	for (uint32_t shard = 0; shard < service->inventory_shards; shard++) {
		service->links[shard] = link_new(service, shard);
		link_open(service->links[shard]);
	}
	cart_start(service->cart);
	orders_start(service->orders);
	rpc_timer_start(service->loop, &service->tick, TICK_MS);
}

static struct shelf *new_shelf(struct cart_service *service)
{
	const struct shelf_options options = {
		.store = service->service->store,
		.loop = service->loop,
		.clock = service->service->clock,
		.shards = service->inventory_shards,
		.fatal = service_fatal,
		.fatal_context = service->service,
	};

	return shelf_new(&options);
}

static struct cart_service *new_service(struct service *host)
{
	struct cart_service *service = NEW(struct cart_service);

	service->methods = (Cart__CartService_Service)CART__CART_SERVICE__INIT(cart_);
	service->settings = host->settings;
	service->service = host;
	service->loop = host->loop;
	service->shard = (uint32_t)host->common->shard;
	service->shards = (uint32_t)host->common->shards;
	service->inventory_shards = (uint32_t)service->settings->inventory_shards;
	service->wall_start_ms = clock_wall_ms(host->clock);
	service->mono_start_ns = clock_mono_ns();
	service->serving_by_ms = service->wall_start_ms + service->settings->start_grace_ms;
	service->tick.task.run = tick_run;
	service->cart = new_cart(service);
	service->orders = ordering_new(service);
	id_format(&host->incarnation, service->incarnation);
	return service;
}

bool cart_service_start(struct service *host, struct error *error)
{
	struct cart_service *service;

	if (!host->discovery)
		return error_set(error,
			"--discovery-file or --discovery consul is needed: the cart has to find inventory");
	service = new_service(host);
	if (!shelf_load(host->store, service->cart, error) ||
		!shelf_load_orders(host->store, service->orders, error)) {
		orders_free(service->orders);
		cart_free(service->cart);
		free(service);
		return false;
	}
	log_info("the store is read", LOG_INT("holds", (int64_t)service->cart->lines.by_id.count),
		LOG_INT("orders", (int64_t)service->orders->by_id.count));
	cart_metrics_register();
	sending_init(service);
	service->links = NEW_ARRAY(service->inventory_shards, struct link *);
	service->shelf = new_shelf(service);
	service->inventory = rpc_pool_new(service->loop, host->discovery, "inventory", host->tls);
	host->state = service;
	rpc_serve(host->server, &service->methods.base);
	rpc_run(service->loop, begin, service);
	return true;
}

static void stop_asking(void *context)
{
	struct cart_service *service = context;
	struct open_call *call, *next;

	service->ending = true;
	rpc_timer_stop(service->loop, &service->tick);
	for (uint32_t shard = 0; shard < service->inventory_shards; shard++)
		link_close(service->links[shard]);
	for (call = service->open_calls; call; call = next) {
		next = call->next;
		call->end(call);
	}
}

static void stop_the_rest(void *context)
{
	struct cart_service *service = context;

	rpc_batcher_free(service->creates);
	rpc_batcher_free(service->releases);
	shelf_close(service->shelf);
}

void cart_service_stop(struct service *host)
{
	struct cart_service *service = host->state;

	rpc_run(service->loop, stop_asking, service);
	rpc_pool_free(service->inventory); /* what is on the wire comes back */
	rpc_run(service->loop, stop_the_rest, service);
	shelf_free(service->shelf);
	rpc_run(service->loop, NULL, NULL); /* what came back last has been heard */
}

void cart_service_release(struct service *host)
{
	struct cart_service *service = host->state;

	for (uint32_t shard = 0; shard < service->inventory_shards; shard++)
		link_free(service->links[shard]);
	free(service->links);
	orders_free(service->orders);
	cart_free(service->cart);
	slab_release(&service->sendings);
	free(service);
}
