#include "fakes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flashsale/bench/v1/echo.pb-c.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "rpc/reason.h"
#include "rpc/self.h"
#include "rpc/timestamp.h"

#define HELD_MAX 4096
#define KEYS_MAX 1024
#define LIMIT 5

static struct fakes *fakes;
static struct {
	ProtobufCService base;
	enum fake_service which;
} services[FAKE_SERVICES];

static const char *const names[FAKE_SERVICES] = {"inventory", "cart", "policy", "protector", "echo"};
static const char *const places[FAKE_SERVICES] = {"shard=0/1", "shard=0/1", "", "", ""};

/* ---- calls that are not answered yet ---- */

static struct {
	pthread_mutex_t lock;
	struct rpc_call *calls[HELD_MAX];
	enum fake_service of[HELD_MAX];
	size_t count;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void break_call(struct rpc_call *call)
{
	struct rpc_status status;

	rpc_status_set(&status, RPC_UNAVAILABLE, "", "as if the connection had broken");
	rpc_fail(call, &status);
}

static void hold(enum fake_service which, struct rpc_call *call)
{
	pthread_mutex_lock(&held.lock);
	assert(held.count < HELD_MAX);
	held.of[held.count] = which;
	held.calls[held.count++] = call;
	pthread_mutex_unlock(&held.lock);
}

static void let_go(enum fake_service which)
{
	size_t kept = 0;

	pthread_mutex_lock(&held.lock);
	for (size_t i = 0; i < held.count; i++) {
		if (held.of[i] == which) {
			break_call(held.calls[i]);
		} else {
			held.of[kept] = held.of[i];
			held.calls[kept++] = held.calls[i];
		}
	}
	held.count = kept;
	pthread_mutex_unlock(&held.lock);
}

/* ---- answers ---- */

static struct arena *arena;

/* "C-SOLD_OUT" with 'C': a refusal; else NULL. */
static Common__Refusal *refusal_of(const char *sku, char who)
{
	const struct rpc_reason *reason = sku[0] == who && sku[1] == '-' ? rpc_reason_by_name(sku + 2) : NULL;
	Common__Refusal *refusal;

	if (!reason)
		return NULL;
	refusal = ARENA_NEW(arena, Common__Refusal);
	common__refusal__init(refusal);
	refusal->reason = reason->value;
	return refusal;
}

static void client(const Protector__ClientCheck *item, Protector__ClientOutcome *outcome)
{
	atomic_fetch_add(&fakes->clients, 1);
	pthread_mutex_lock(&fakes->lock);
	snprintf(fakes->last_client_ip, sizeof(fakes->last_client_ip), "%s", item->client_ip);
	pthread_mutex_unlock(&fakes->lock);
	if (strncmp(item->user_id, "banned-", 7) == 0) {
		outcome->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_BAN;
		outcome->ban = ARENA_NEW(arena, Protector__BanNotice);
		protector__ban_notice__init(outcome->ban);
		outcome->ban->ban_id = arena_format(arena, "ban-of-%s", item->user_id);
		outcome->ban->expire_time = timestamp_new(arena, INT64_C(4102444800000));
	} else if (strncmp(item->user_id, "odd-", 4) == 0) {
		outcome->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_REFUSAL;
		outcome->refusal = refusal_of("P-INVALID", 'P');
		outcome->refusal->field = arena_format(arena, "user_id");
		outcome->refusal->message = arena_format(arena, "odd");
	} else {
		outcome->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME;
		outcome->welcome = ARENA_NEW(arena, Protector__Welcome);
		protector__welcome__init(outcome->welcome);
	}
}

static void limit(const Policy__PurchaseCheck *item, Policy__PurchaseOutcome *outcome)
{
	Common__Refusal *refusal = refusal_of(item->sku, 'P');

	atomic_fetch_add(&fakes->limits, 1);
	if (!refusal && item->quantity > LIMIT)
		refusal = refusal_of("P-LIMIT_REACHED", 'P');
	if (refusal) {
		outcome->outcome_case = POLICY__PURCHASE_OUTCOME__OUTCOME_REFUSAL;
		outcome->refusal = refusal;
		return;
	}
	outcome->outcome_case = POLICY__PURCHASE_OUTCOME__OUTCOME_LIMIT;
	outcome->limit = ARENA_NEW(arena, Common__Limit);
	common__limit__init(outcome->limit);
	outcome->limit->kind_case = COMMON__LIMIT__KIND_UNITS;
	outcome->limit->units = LIMIT;
}

static struct {
	char user[80], key[140];
	uint32_t quantity;
} keys[KEYS_MAX];
static size_t key_count;

static long find_key(const char *user, const char *key)
{
	for (size_t i = 0; key[0] && i < key_count; i++) {
		if (strcmp(keys[i].user, user) == 0 && strcmp(keys[i].key, key) == 0)
			return (long)i;
	}
	return -1;
}

static void remember(const char *user, const char *key, uint32_t quantity)
{
	if (!key[0] || find_key(user, key) >= 0)
		return;
	assert(key_count < KEYS_MAX);
	snprintf(keys[key_count].user, sizeof(keys[0].user), "%s", user);
	snprintf(keys[key_count].key, sizeof(keys[0].key), "%s", key);
	keys[key_count++].quantity = quantity;
}

static Cart__ItemGrant *grant_of(uint32_t quantity, bool repeated)
{
	Cart__ItemGrant *grant = ARENA_NEW(arena, Cart__ItemGrant);

	cart__item_grant__init(grant);
	grant->hold_id = arena_format(arena, "0190163d-8694-739b-aea5-966c26f8ad91");
	grant->state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	grant->quantity = quantity;
	grant->deadline = timestamp_new(arena, INT64_C(4102444800000));
	grant->price_micros = 99900000;
	grant->remaining = 7;
	grant->user_units = quantity;
	grant->repeated = repeated;
	return grant;
}

static void see_item(const Cart__NewItem *item, const Common__Placement *placement)
{
	pthread_mutex_lock(&fakes->lock);
	fakes->last_timeout_ms = item->timeout_ms;
	fakes->last_shard = placement ? placement->shard : UINT32_MAX;
	fakes->last_shards = placement ? placement->shards : 0;
	fakes->last_limit = item->limit->kind_case == COMMON__LIMIT__KIND_UNITS ? item->limit->units : 0;
	fakes->last_quantity = item->quantity;
	snprintf(fakes->last_session, sizeof(fakes->last_session), "%s", item->session_id);
	pthread_mutex_unlock(&fakes->lock);
}

static void line(const Cart__NewItem *item, Cart__ItemOutcome *outcome)
{
	Common__Refusal *refusal = refusal_of(item->sku, 'C');
	const long known = find_key(item->user_id, item->idempotency_key);

	atomic_fetch_add(&fakes->lines, 1);
	if (refusal && known < 0) {
		outcome->outcome_case = CART__ITEM_OUTCOME__OUTCOME_REFUSAL;
		outcome->refusal = refusal;
		return;
	}
	remember(item->user_id, item->idempotency_key, item->quantity);
	outcome->outcome_case = CART__ITEM_OUTCOME__OUTCOME_GRANT;
	outcome->grant = grant_of(item->quantity, known >= 0);
}

static void lookup(const Cart__KeyLookup *item, Cart__KeyLookupOutcome *outcome)
{
	const long known = find_key(item->user_id, item->idempotency_key);

	atomic_fetch_add(&fakes->lookups, 1);
	if (known < 0) {
		outcome->outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_UNKNOWN;
		outcome->unknown = true;
	} else if (keys[known].quantity != item->quantity) {
		outcome->outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_REFUSAL;
		outcome->refusal = refusal_of("C-KEY_REUSED", 'C');
	} else {
		outcome->outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_GRANT;
		outcome->grant = grant_of(item->quantity, true);
	}
}

/* ---- calls ---- */

#define BATCH(request_type, response_type, init, item_type, item_init, answer) \
	do { \
		const request_type *request = (const request_type *)input; \
		response_type *response = ARENA_NEW(arena, response_type); \
		init(response); \
		response->n_items = request->n_items; \
		response->items = arena_array(arena, request->n_items + 1, sizeof(*response->items)); \
		for (size_t i = 0; i < request->n_items; i++) { \
			response->items[i] = ARENA_NEW(arena, item_type); \
			item_init(response->items[i]); \
			answer(request->items[i], response->items[i]); \
		} \
		closure(&response->base, data); \
	} while (0)

static Cart__CartLine *cart_line(const char *user, const char *session, const char *sku, uint32_t quantity)
{
	Cart__CartLine *shown = ARENA_NEW(arena, Cart__CartLine);

	cart__cart_line__init(shown);
	shown->user_id = arena_format(arena, "%s", user);
	shown->session_id = arena_format(arena, "%s", session);
	shown->sku = arena_format(arena, "%s", sku);
	shown->quantity = quantity;
	shown->price_micros = 99900000;
	return shown;
}

static void echo(const Bench__Echo *item, Bench__Echo *outcome)
{
	outcome->payload = item->payload;
}

static void call_echo(const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
	BATCH(Bench__BatchEchoRequest, Bench__BatchEchoResponse, bench__batch_echo_response__init,
		Bench__Echo, bench__echo__init, echo);
}

static void call_cart(const char *method, const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
	if (strcmp(method, "BatchAddItems") == 0) {
		const Cart__BatchAddItemsRequest *batch = (const Cart__BatchAddItemsRequest *)input;

		if (batch->n_items)
			see_item(batch->items[0], batch->placement);
		BATCH(Cart__BatchAddItemsRequest, Cart__BatchAddItemsResponse,
			cart__batch_add_items_response__init, Cart__ItemOutcome, cart__item_outcome__init,
			line);
	} else if (strcmp(method, "BatchLookupKeys") == 0) {
		BATCH(Cart__BatchLookupKeysRequest, Cart__BatchLookupKeysResponse,
			cart__batch_lookup_keys_response__init, Cart__KeyLookupOutcome,
			cart__key_lookup_outcome__init, lookup);
	} else if (strcmp(method, "UpdateItem") == 0) {
		const Cart__UpdateItemRequest *request = (const Cart__UpdateItemRequest *)input;
		Cart__UpdateItemResponse *response = ARENA_NEW(arena, Cart__UpdateItemResponse);
		Common__Refusal *refusal = refusal_of(request->item->sku, 'C');

		atomic_fetch_add(&fakes->updates, 1);
		see_item(request->item, request->placement);
		if (refusal) {
			rpc_fail_reason(data, refusal->reason, "no");
			return;
		}
		cart__update_item_response__init(response);
		response->line = cart_line(request->item->user_id, request->item->session_id,
			request->item->sku, request->item->quantity);
		closure(&response->base, data);
	} else if (strcmp(method, "GetItem") == 0) {
		const Cart__GetItemRequest *request = (const Cart__GetItemRequest *)input;
		Cart__GetItemResponse *response = ARENA_NEW(arena, Cart__GetItemResponse);

		if (strncmp(request->sku, "hidden-", 7) == 0) {
			rpc_fail_reason(data, COMMON__REASON__REASON_NOT_FOUND, "no line");
			return;
		}
		cart__get_item_response__init(response);
		response->line = cart_line(request->user_id, request->session_id, request->sku, 12);
		closure(&response->base, data);
	} else {
		rpc_fail_reason(data, COMMON__REASON__REASON_NOT_FOUND, "%s", "not here");
	}
}

static void call_inventory(
	const char *method, const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
	const char *sku = NULL;

	if (strcmp(method, "WatchStock") == 0) {
		const Inventory__WatchStockRequest *watch = (const Inventory__WatchStockRequest *)input;

		watch_board_stream(fakes->stock, data, watch->resume_incarnation, watch->resume_version);
		return;
	}
	if (strcmp(method, "GetGoods") == 0)
		sku = ((const Inventory__GetGoodsRequest *)input)->sku;
	if (strcmp(method, "CreateGoods") == 0)
		sku = ((const Inventory__CreateGoodsRequest *)input)->sku;
	if (!sku || strcmp(sku, "NONE") == 0) {
		rpc_fail_reason(data, COMMON__REASON__REASON_UNKNOWN_SKU, "%s", "");
	} else if (method[0] == 'G') {
		Inventory__GetGoodsResponse *response = ARENA_NEW(arena, Inventory__GetGoodsResponse);

		inventory__get_goods_response__init(response);
		response->goods = ARENA_NEW(arena, Inventory__Goods);
		inventory__goods__init(response->goods);
		response->goods->sku = arena_format(arena, "%s", sku);
		response->goods->available = 5;
		response->goods->price_micros = 99000000;
		closure(&response->base, data);
	} else {
		Inventory__CreateGoodsResponse *response = ARENA_NEW(arena, Inventory__CreateGoodsResponse);

		inventory__create_goods_response__init(response);
		response->goods = ARENA_NEW(arena, Inventory__Goods);
		inventory__goods__init(response->goods);
		response->goods->sku = arena_format(arena, "%s", sku);
		closure(&response->base, data);
	}
}

static void call_policy(
	const char *method, const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
	if (strcmp(method, "WatchPolicies") == 0) {
		const Policy__WatchPoliciesRequest *watch = (const Policy__WatchPoliciesRequest *)input;

		watch_board_stream(fakes->rules, data, watch->resume_incarnation, watch->resume_version);
	} else if (strcmp(method, "BatchValidatePurchases") == 0) {
		BATCH(Policy__BatchValidatePurchasesRequest, Policy__BatchValidatePurchasesResponse,
			policy__batch_validate_purchases_response__init, Policy__PurchaseOutcome,
			policy__purchase_outcome__init, limit);
	} else {
		rpc_fail_reason(data, COMMON__REASON__REASON_NOT_FOUND, "%s", "not here");
	}
}

static void call_protector(
	const char *method, const ProtobufCMessage *input, ProtobufCClosure closure, void *data)
{
	if (strcmp(method, "WatchBans") == 0) {
		const Protector__WatchBansRequest *watch = (const Protector__WatchBansRequest *)input;

		watch_board_stream(fakes->bans, data, watch->resume_incarnation, watch->resume_version);
	} else if (strcmp(method, "BatchValidateClients") == 0) {
		BATCH(Protector__BatchValidateClientsRequest, Protector__BatchValidateClientsResponse,
			protector__batch_validate_clients_response__init, Protector__ClientOutcome,
			protector__client_outcome__init, client);
	} else {
		rpc_fail_reason(data, COMMON__REASON__REASON_NOT_FOUND, "%s", "not here");
	}
}

static void keep_event(struct fake_event *kept, uint32_t stream, const Protector__TrafficEvent *event)
{
	assert(event->client_address.len <= sizeof(kept->address));
	*kept = (struct fake_event){.stream = stream,
		.time_us = event->time_us,
		.address_size = event->client_address.len,
		.kind = (int)event->kind,
		.reason = (int)event->reason,
		.counts_address = event->counts_address,
		.counts_account = event->counts_account};
	snprintf(kept->user_id, sizeof(kept->user_id), "%s", event->user_id);
	if (kept->address_size)
		memcpy(kept->address, event->client_address.data, kept->address_size);
}

static void take_report(const Protector__ReportTrafficRequest *request, ProtobufCClosure closure, void *call)
{
	const Protector__ReportTrafficResponse response = PROTECTOR__REPORT_TRAFFIC_RESPONSE__INIT;
	uintptr_t *stream = (uintptr_t *)rpc_state(call);

	if (!request) {
		closure(&response.base, call);
		return;
	}
	if (!*stream)
		*stream = atomic_fetch_add(&fakes->event_streams, 1) + 1;
	pthread_mutex_lock(&fakes->lock);
	for (size_t i = 0; i < request->n_events && fakes->events + i < FAKE_EVENTS_MAX; i++)
		keep_event(&fakes->reported[fakes->events + i], (uint32_t)*stream, request->events[i]);
	pthread_mutex_unlock(&fakes->lock);
	atomic_fetch_add(&fakes->events_dropped, request->dropped);
	atomic_fetch_add(&fakes->events, (uint32_t)request->n_events);
}

struct fake_event fakes_event(struct fakes *all, uint32_t index)
{
	struct fake_event event;

	pthread_mutex_lock(&all->lock);
	assert(index < all->events && index < FAKE_EVENTS_MAX);
	event = all->reported[index];
	pthread_mutex_unlock(&all->lock);
	return event;
}

static void answer(enum fake_service which, const char *method, const ProtobufCMessage *input,
	ProtobufCClosure closure, void *data)
{
	static pthread_mutex_t one =
		PTHREAD_MUTEX_INITIALIZER; /* `arena` and the keys are shared by the loops */

	pthread_mutex_lock(&one);
	arena = rpc_arena(data);
	if (which == FAKE_INVENTORY)
		call_inventory(method, input, closure, data);
	else if (which == FAKE_CART)
		call_cart(method, input, closure, data);
	else if (which == FAKE_POLICY)
		call_policy(method, input, closure, data);
	else if (which == FAKE_PROTECTOR)
		call_protector(method, input, closure, data);
	else
		call_echo(input, closure, data);
	pthread_mutex_unlock(&one);
}

static void see_trace(const struct rpc_call *call)
{
	if (!rpc_trace(call)[0])
		return;
	pthread_mutex_lock(&fakes->lock);
	snprintf(fakes->last_trace, sizeof(fakes->last_trace), "%s", rpc_trace(call));
	pthread_mutex_unlock(&fakes->lock);
}

static void invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
	ProtobufCClosure closure, void *data)
{
	const enum fake_service which =
		services[((char *)service - (char *)services) / sizeof(services[0])].which;
	const char *method = service->descriptor->methods[index].name;

	if (strcmp(method, "ReportTraffic") == 0) {
		take_report((const Protector__ReportTrafficRequest *)input, closure, data);
		return;
	}
	atomic_fetch_add(&fakes->calls, 1);
	see_trace(data);
	switch (atomic_load(&fakes->mood[which])) {
	case FAKE_STARTING:
		rpc_fail_reason(data, COMMON__REASON__REASON_STARTING, "%s", "");
		break;
	case FAKE_BREAKING:
		break_call(data);
		break;
	case FAKE_SILENT:
		hold(which, data);
		break;
	default:
		answer(which, method, input, closure, data);
		break;
	}
}

void fakes_set_mood(struct fakes *all, enum fake_service service, enum fake_mood mood)
{
	atomic_store(&all->mood[service], mood);
	let_go(service);
}

const char *fakes_text(struct fakes *all, const char *last)
{
	static char copy[128];

	pthread_mutex_lock(&all->lock);
	snprintf(copy, sizeof(copy), "%s", last);
	pthread_mutex_unlock(&all->lock);
	return copy;
}

/* ---- life ---- */

void fakes_revive(struct fakes *all, enum fake_service which)
{
	struct error error = {0};
	char address[64];

	snprintf(address, sizeof(address), "127.0.0.1:%d", all->ports[which]);
	all->loops[which] = rpc_loop_new(names[which]);
	all->servers[which] = rpc_server_new(all->loops[which], &rpc_limits_standard);
	rpc_serve(all->servers[which], &services[which].base);
	rpc_serve(all->servers[which], rpc_self_service(all->selves[which]));
	if (!rpc_listen(all->servers[which], address, NULL, &error)) {
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
	all->ports[which] = rpc_server_port(all->servers[which]);
	rpc_server_set_serving(all->servers[which], true);
}

void fakes_kill(struct fakes *all, enum fake_service which)
{
	if (!all->servers[which])
		return;
	rpc_server_drain(all->servers[which], 0, 0);
	let_go(which);
	rpc_server_free(all->servers[which]);
	rpc_loop_free(all->loops[which]);
	all->servers[which] = NULL;
}

void fakes_list(struct fakes *all, int protectors)
{
	char fresh[sizeof(all->file) + 8];
	FILE *file;

	snprintf(fresh, sizeof(fresh), "%s.new", all->file);
	file = fopen(fresh, "w");
	assert(file);
	for (int i = 0; i < FAKE_PROTECTOR; i++)
		fprintf(file, "%s 127.0.0.1:%d %s\n", names[i], all->ports[i], places[i]);
	for (int i = 0; i < protectors; i++)
		fprintf(file, "protector 127.0.0.1:%d id=protector-%d\n", all->ports[FAKE_PROTECTOR], i);
	for (int hop = 0; hop < 3; hop++)
		fprintf(file, "echo 127.0.0.1:%d shard=%d/3 id=echo-%d\n", all->ports[FAKE_ECHO], hop, hop);
	fclose(file);
	rename(fresh, all->file);
}

static struct watch_board *board(const ProtobufCMessageDescriptor *type)
{
	struct id incarnation;

	id_random(&incarnation);
	return watch_board_new(type, &incarnation, 2, 100);
}

static bool is_serving(void *context)
{
	return !atomic_load(&((struct fakes *)context)->starting);
}

static struct rpc_self *self_of(struct fakes *all, int which)
{
	const bool sharded = which == FAKE_INVENTORY || which == FAKE_CART;

	return rpc_self_new(&(struct rpc_self_options){
		.service = names[which],
		.instance = "fake",
		.shard = sharded ? 0 : -1,
		.shards = sharded,
		.serving = is_serving,
		.context = all,
	});
}

void fakes_start(struct fakes *all)
{
	static const ProtobufCServiceDescriptor *const descriptors[FAKE_SERVICES] = {
		&inventory__inventory_service__descriptor, &cart__cart_service__descriptor,
		&policy__policy_service__descriptor, &protector__protector_service__descriptor,
		&bench__echo_service__descriptor};
	const char *parent = getenv("TMPDIR");

	*all = (struct fakes){.last_shard = UINT32_MAX};
	fakes = all;
	all->reported = NEW_ARRAY(FAKE_EVENTS_MAX, struct fake_event);
	key_count = 0;
	pthread_mutex_init(&all->lock, NULL);
	snprintf(all->folder, sizeof(all->folder), "%s/flashsale-test-XXXXXX", parent ? parent : "/tmp");
	assert(mkdtemp(all->folder));
	snprintf(all->file, sizeof(all->file), "%s/services", all->folder);
	all->stock = board(&inventory__watch_stock_response__descriptor);
	all->bans = board(&protector__watch_bans_response__descriptor);
	all->rules = board(&policy__watch_policies_response__descriptor);
	for (int i = 0; i < FAKE_SERVICES; i++) {
		services[i].base = (ProtobufCService){.descriptor = descriptors[i], .invoke = invoke};
		services[i].which = (enum fake_service)i;
		all->selves[i] = self_of(all, i);
		fakes_revive(all, (enum fake_service)i);
	}
	fakes_list(all, 1);
}

void fakes_stop(struct fakes *all)
{
	for (int i = 0; i < FAKE_SERVICES; i++) {
		fakes_kill(all, (enum fake_service)i);
		rpc_self_free(all->selves[i]);
	}
	watch_board_free(all->stock);
	watch_board_free(all->bans);
	watch_board_free(all->rules);
	free(all->reported);
	unlink(all->file);
	rmdir(all->folder);
	pthread_mutex_destroy(&all->lock);
}

/* ---- streams ---- */

void fakes_stock(struct fakes *all, const char *sku, uint64_t available, bool closed)
{
	Inventory__StockMark mark = INVENTORY__STOCK_MARK__INIT;

	mark.sku = (char *)(uintptr_t)sku;
	mark.available = available;
	mark.closed = closed;
	watch_board_put(all->stock, sku, &mark.base);
	watch_board_flush(all->stock);
}

void fakes_ban_as(struct fakes *all, const char *ban_id, const char *user_id, const char *address,
	Protector__BanEffect effect)
{
	Protector__Ban ban = PROTECTOR__BAN__INIT;

	ban.ban_id = (char *)(uintptr_t)ban_id;
	ban.subject_case = user_id ? PROTECTOR__BAN__SUBJECT_USER_ID : PROTECTOR__BAN__SUBJECT_ADDRESS;
	if (user_id)
		ban.user_id = (char *)(uintptr_t)user_id;
	else
		ban.address = (char *)(uintptr_t)address;
	ban.effect = effect;
	watch_board_put(all->bans, ban_id, &ban.base);
	watch_board_flush(all->bans);
}

void fakes_ban(struct fakes *all, const char *ban_id, const char *user_id, int64_t end_ms)
{
	Protector__Ban ban = PROTECTOR__BAN__INIT;
	Google__Protobuf__Timestamp end;

	timestamp_set(&end, end_ms);
	ban.ban_id = (char *)(uintptr_t)ban_id;
	ban.subject_case = PROTECTOR__BAN__SUBJECT_USER_ID;
	ban.user_id = (char *)(uintptr_t)user_id;
	ban.effect = PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY;
	ban.expire_time = end_ms ? &end : NULL;
	watch_board_put(all->bans, ban_id, &ban.base);
	watch_board_flush(all->bans);
}

void fakes_unban(struct fakes *all, const char *ban_id)
{
	watch_board_remove(all->bans, ban_id);
	watch_board_flush(all->bans);
}

void fakes_rule(
	struct fakes *all, const char *sku, int32_t level, uint32_t units, int64_t open_ms, int64_t close_ms)
{
	Policy__Policy rule = POLICY__POLICY__INIT;
	Common__Limit value = COMMON__LIMIT__INIT;
	Google__Protobuf__Timestamp open, close;
	char key[128];

	timestamp_set(&open, open_ms);
	timestamp_set(&close, close_ms);
	value.kind_case = COMMON__LIMIT__KIND_UNITS;
	value.units = units;
	rule.sku = (char *)(uintptr_t)sku;
	rule.user_level = level;
	rule.limit = &value;
	rule.open_time = open_ms ? &open : NULL;
	rule.close_time = close_ms ? &close : NULL;
	snprintf(key, sizeof(key), "%s/%d", sku, level);
	watch_board_put(all->rules, key, &rule.base);
	watch_board_flush(all->rules);
}
