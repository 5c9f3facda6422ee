/* tests/simulation/shop.c - see shop.h. */
#include "shop.h"

#include <stdlib.h>
#include <string.h>

#include "archives.h"
#include "base/memory.h"
#include "carts.h"
#include "inventory_node.h"
#include "model.h"

#define RECENT 64 /* holds that somebody was told of */
#define ADJUSTS 16
#define KEYS_ALIVE 6

static uint64_t commands_left;
static bool resting, filled;
static uint32_t newest_key[WORLD_USERS_MAX];
static uint32_t standing_limit[WORLD_USERS_MAX][WORLD_SKUS_MAX];
static struct {
	struct id id;
	uint32_t sku;
} recent[RECENT];
static uint32_t recent_count;
static struct {
	struct id id;
	uint32_t user, shard;
} orders[RECENT];
static uint32_t order_count;
static struct wire_item adjusts[ADJUSTS];
static uint32_t adjust_count;

void shop_hears(const struct shop_request *request, Common__Reason reason, const struct id *hold)
{
	uint32_t at = (uint32_t)world_below(RECENT);

	if (reason == COMMON__REASON__REASON_STORE_FULL)
		filled = true;
	if (reason)
		return;
	if (recent_count < RECENT)
		at = recent_count++;
	recent[at].id = *hold;
	recent[at].sku = request->sku;
}

void shop_hears_order(const struct shop_request *request, Common__Reason reason, const struct id *order)
{
	uint32_t at = (uint32_t)world_below(RECENT);

	if (reason == COMMON__REASON__REASON_STORE_FULL)
		filled = true;
	if (!order)
		return;
	if (order_count < RECENT)
		at = order_count++;
	orders[at].id = *order;
	orders[at].user = request->user;
	orders[at].shard = model_order_find(order)->shard;
}

/* A request is a function of its key, so that an equal key mostly means an equal request. */
static void body_of_key(struct shop_request *request)
{
	uint64_t mixed = (request->user * 1000003u + request->key) * UINT64_C(0x9e3779b97f4a7c15);

	request->sku = (uint32_t)((mixed >> 20) % world.plan.skus);
	request->quantity = 1 + (uint32_t)((mixed >> 40) % world.plan.quantity_max);
}

static uint32_t limit_of(uint32_t user, uint32_t sku)
{
	if (world_below(200) == 0)
		standing_limit[user][sku] = 1 + (uint32_t)world_below(world.plan.limit_max);
	return world_below(300) ? standing_limit[user][sku] : UINT32_MAX;
}

static void ask_cart(enum shop_kind kind)
{
	struct shop_request request = {.kind = kind, .user = (uint32_t)world_below(world.plan.users)};
	uint32_t *newest = &newest_key[request.user];

	if (kind != SHOP_SHRINK && world_below(4)) {
		if (world_below(2) || !*newest)
			++*newest;
		request.key = *newest - (uint32_t)world_below(*newest < KEYS_ALIVE ? *newest : KEYS_ALIVE);
		body_of_key(&request);
	} else {
		request.sku = (uint32_t)world_below(world.plan.skus);
		request.quantity = 1 + (uint32_t)world_below(world.plan.quantity_max);
	}
	if (request.key && world_below(20) == 0)
		request.quantity = 1 + request.quantity % world.plan.quantity_max;
	if (request.key && world_below(20) == 0)
		request.sku = (uint32_t)world_below(world.plan.skus);
	if (kind == SHOP_SHRINK)
		request.quantity = (uint32_t)world_below(request.quantity + 1);
	request.limit = limit_of(request.user, request.sku);
	for (uint64_t copies = world_below(10) ? 1 : 3; copies; copies--)
		carts_ask(&request); /* at the same time, now and then */
}

static void check_out(void)
{
	struct shop_request request = {
		.kind = SHOP_CHECKOUT, .user = (uint32_t)world_below(world.plan.users)};

	if (world_below(2))
		request.key = 1 + (uint32_t)world_below(newest_key[request.user] + 1);
	if (world_below(4) == 0)
		request.ttl_ms = world_between(1, 2 * world.plan.hold_ttl_ms);
	for (uint64_t copies = world_below(10) ? 1 : 2; copies; copies--)
		carts_ask(&request);
}

/* Pays, takes back, or looks at an order that somebody was told of. Payments come twice, and now and then two for one order. */
static void ask_order(enum shop_kind kind)
{
	struct shop_request request = {.kind = kind};
	uint32_t at;

	if (!order_count)
		return;
	at = (uint32_t)world_below(order_count);
	request.order = orders[at].id;
	request.user = orders[at].user;
	if (kind == SHOP_PAY)
		request.payment = 1 + (world_below(8) ? 0 : (uint32_t)world_below(3));
	carts_ask(&request);
	if (world_below(10) == 0) {
		request.kind = world_below(2) ? kind : SHOP_CANCEL;
		request.payment = request.kind == SHOP_PAY ? 1 + (uint32_t)world_below(3) : 0;
		carts_ask(&request);
	}
}

/* ---- those who ask inventory themselves ---- */

static void unheard(void *context, struct wire_call *call, enum wire_end end)
{
}

static struct wire_call *call_new(enum wire_kind kind, uint32_t sku)
{
	struct wire_call *call = wire_call_new(kind, world_inventory_of(sku), 1);

	call->deadline_us = world.now_us + 2 * SECOND;
	call->items[0].deadline_us = call->deadline_us;
	call->items[0].sku = sku;
	call->done = unheard;
	return call;
}

static void pay(enum wire_kind kind)
{
	uint32_t at;
	struct wire_call *call;

	if (!recent_count)
		return;
	at = (uint32_t)world_below(recent_count);
	call = call_new(kind, recent[at].sku);
	call->items[0].id = recent[at].id;
	call->items[0].payment = 1 + (world_below(10) ? 0 : (uint32_t)world_below(3));
	network_send(call);
}

/* Without a cart: whoever follows the ledger hears of it. Nobody waits for the answer, so nobody is told no. */
static void operate_order(void)
{
	static const enum wire_kind kinds[] = {WIRE_PAY, WIRE_PAY, WIRE_CANCEL, WIRE_REFUND};
	struct wire_call *call;
	uint32_t at;

	if (!order_count)
		return;
	at = (uint32_t)world_below(order_count);
	call = wire_call_new(kinds[world_below(4)], orders[at].shard, 1);
	call->deadline_us = call->items[0].deadline_us = world.now_us + 2 * SECOND;
	call->items[0].id = orders[at].id;
	call->items[0].payment = call->kind == WIRE_PAY ? 1 + (uint32_t)world_below(3) : 0;
	call->done = unheard;
	model_order_waits(&orders[at].id, call->kind, call->items[0].payment);
	model_order_told(&orders[at].id, call->kind, call->items[0].payment, MODEL_TOLD_UNKNOWN,
		COMMON__REASON__REASON_OUTCOME_UNKNOWN);
	network_send(call);
}

static int64_t price(void)
{
	return world_between(1, 99) * 1000000;
}

static void adjust(uint32_t sku)
{
	uint32_t at = (uint32_t)world_below(ADJUSTS);
	struct wire_call *call;

	if (at >= adjust_count || world_below(3)) {
		at = adjust_count < ADJUSTS ? adjust_count++ : at;
		adjusts[at] = (struct wire_item){.sku = sku,
			.amount = world_between(-(int64_t)world.plan.stock_max, world.plan.stock_max)};
		adjusts[at].amount += !adjusts[at].amount;
		for (int i = 0; i < ID_BYTES; i++)
			adjusts[at].id.bytes[i] = (uint8_t)world_below(256);
	}
	call = call_new(WIRE_ADJUST, adjusts[at].sku);
	call->items[0].id = adjusts[at].id;
	call->items[0].amount = adjusts[at].amount;
	network_send(call);
}

static void operate(void)
{
	uint32_t sku = (uint32_t)world_below(world.plan.skus);
	uint64_t which = world_below(20);
	struct wire_call *call;

	if (archives_keep_closed(sku) && world_below(16))
		return;
	if (filled && which < 18)
		return; /* a full store: an operator stops feeding it */
	if (which < 6) {
		adjust(sku);
		return;
	}
	call = call_new(which < 12 ? WIRE_UPDATE : which < 18 ? WIRE_OPEN : WIRE_CLOSE, sku);
	call->items[0].amount = (int64_t)world_below(world.plan.stock_max + 1);
	if (call->kind == WIRE_OPEN || world_below(2))
		call->items[0].price_micros = price();
	if (call->kind == WIRE_UPDATE && world_below(2)) { /* the price only */
		call->items[0].amount = -1;
		call->items[0].price_micros = price();
	}
	network_send(call);
}

/* ---- the crowd ---- */

static void give_command(void)
{
	uint64_t which = world_below(100);

	world.commands++;
	commands_left--;
	if (which < 58)
		ask_cart(SHOP_ADD);
	else if (which < 65)
		ask_cart(SHOP_SHRINK);
	else if (which < 68)
		ask_cart(SHOP_LOOKUP);
	else if (which < 76)
		check_out();
	else if (which < 83)
		ask_order(SHOP_PAY);
	else if (which < 85)
		ask_order(SHOP_CANCEL);
	else if (which < 87)
		ask_order(SHOP_REFUND);
	else if (which < 88)
		ask_order(SHOP_SEE);
	else if (which < 89)
		operate_order();
	else if (which < 92)
		pay(WIRE_CONFIRM);
	else if (which < 94)
		pay(WIRE_RELEASE);
	else
		operate();
}

static void run_command(void *context, uint64_t a, uint64_t b)
{
	uint64_t count = world_chance(world.plan.burst) ? world.plan.burst_size : 1;

	for (; count && !resting && commands_left; count--)
		give_command();
	world_after(NULL, resting ? 10 * MS : random_wait(&world.random, world.plan.arrival_us), run_command,
		NULL, 0, 0);
}

static void run_opening(void *context, uint64_t sku, uint64_t unused)
{
	struct wire_call *call;

	if (model_goods((uint32_t)sku)->exists)
		return;
	call = call_new(WIRE_OPEN, (uint32_t)sku);
	call->items[0].amount = 1 + (int64_t)world_below(world.plan.stock_max);
	call->items[0].price_micros = price();
	network_send(call);
	world_after(NULL, 100 * MS, run_opening, NULL, sku, 0);
}

void shop_begin(uint64_t commands)
{
	commands_left = commands;
	resting = filled = false;
	recent_count = adjust_count = order_count = 0;
	memset(newest_key, 0, sizeof(newest_key));
	for (uint32_t user = 0; user < WORLD_USERS_MAX; user++)
		for (uint32_t sku = 0; sku < WORLD_SKUS_MAX; sku++)
			standing_limit[user][sku] = 1 + (uint32_t)world_below(world.plan.limit_max);
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		run_opening(NULL, sku, 0);
	world_after(NULL, 1, run_command, NULL, 0, 0);
}

bool shop_finished(void)
{
	return !commands_left;
}

void shop_rest(bool rest)
{
	resting = rest;
}

void shop_end(void)
{
	commands_left = 0;
}
