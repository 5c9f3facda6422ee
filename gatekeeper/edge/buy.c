/* buy.c - the steps of a buy; see buy.h. */
#include "gatekeeper/edge/buy.h"

#include <assert.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "gatekeeper/edge/edge_metrics.h"

/* Protector and policy get this part of the request's time: when they are silent there is still time for the cart. */
#define CHECKS_PART 4
#define GLANCE_AGE_MS FOLLOWER_SILENCE_MS
/* Within this time the streams have told what a call changed. */
#define SETTLED_NS INT64_C(1000000000)

static struct buy *of_work(struct work *work)
{
	return work->own;
}

static int32_t cart_shard(const struct buy *buy)
{
	return (int32_t)hash_shard(buy->purchase.user_id, buy->work->edge->options.cart_shards);
}

/* A batch mixes strangers: each item has its own. */
static ProtobufCBinaryData trace_of(const struct buy *buy)
{
	return (ProtobufCBinaryData){TRACE_ID_BYTES, (uint8_t *)(uintptr_t)buy->work->trace.id};
}

/* Only what an ask is to have; the rest, its status above all, the batcher sets. */
static void prepare(struct rpc_ask *ask, int32_t shard, int64_t deadline_ns, const ProtobufCMessage *item,
	void (*done)(struct rpc_ask *ask))
{
	ask->shard = shard;
	ask->deadline_ns = deadline_ns;
	ask->item = item;
	ask->done = done;
}

static void refuse(struct buy *buy, const struct problem *problem)
{
	buy_answer_refusal(buy->work, problem, buy->degraded);
	work_finish(buy->work);
}

/* ---- the cart ---- */

static void line_came(struct rpc_ask *ask);
static void line_set(struct rpc_request *request);
static void line_shown(struct rpc_request *request);

static void fill_line(struct buy *buy)
{
	Cart__NewItem *item = &buy->line_item;

	cart__new_item__init(item);
	item->user_id = (char *)(uintptr_t)buy->purchase.user_id;
	item->session_id = (char *)(uintptr_t)buy->purchase.session_id;
	item->sku = (char *)(uintptr_t)buy->purchase.sku;
	item->quantity = buy->purchase.quantity;
	item->limit = &buy->limit_value;
	item->idempotency_key = (char *)(uintptr_t)buy->purchase.key;
	item->trace_id = trace_of(buy);
}

static void call_cart(struct buy *buy, const char *method, const ProtobufCMessage *input,
	void (*done)(struct rpc_request *request))
{
	const struct work *work = buy->work;

	buy->request = (struct rpc_request){
		.service = &cart__cart_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&cart__cart_service__descriptor, method),
		.input = input,
		.shard = cart_shard(buy),
		.deadline_ns = work->deadline_ns,
		.trace = work->trace.text,
		.arena = &work->request->arena,
		.done = done,
	};
	rpc_request_start(work->edge->pools[EDGE_CART], &buy->request);
}

static void set_line(struct buy *buy)
{
	struct edge *edge = buy->work->edge;
	Common__Placement placement = COMMON__PLACEMENT__INIT;
	Cart__UpdateItemRequest input = CART__UPDATE_ITEM_REQUEST__INIT;

	placement.shard = (uint32_t)cart_shard(buy);
	placement.shards = edge->options.cart_shards;
	input.placement = &placement;
	input.item = &buy->line_item;
	buy->line_item.timeout_ms = (uint32_t)((buy->work->deadline_ns - clock_mono_ns()) / 1000000);
	if (buy->line_item.timeout_ms > (uint32_t)edge->options.deadline_ms)
		buy->line_item.timeout_ms = 1; /* the deadline has passed */
	call_cart(buy, "UpdateItem", &input.base, line_set);
}

static void add(struct buy *buy)
{
	fill_line(buy);
	if (buy->purchase.kind == PURCHASE_UPDATE) {
		set_line(buy);
		return;
	}
	prepare(&buy->line, cart_shard(buy), buy->work->deadline_ns, &buy->line_item.base, line_came);
	rpc_ask(buy->work->edge->lines, &buy->line);
}

/* What the line is at least, should it not be possible to look at it. */
static void keep_grant(struct buy *buy, const Cart__ItemGrant *grant)
{
	Cart__CartLine *line = &buy->added;

	cart__cart_line__init(line);
	line->session_id = (char *)(uintptr_t)buy->purchase.session_id;
	line->user_id = (char *)(uintptr_t)buy->purchase.user_id;
	line->sku = (char *)(uintptr_t)buy->purchase.sku;
	line->quantity = grant->quantity;
	line->price_micros = grant->price_micros;
	if (grant->deadline)
		line->deadline =
			arena_copy(&buy->work->request->arena, grant->deadline, sizeof(*grant->deadline));
}

static void show_line(struct buy *buy, const Cart__ItemGrant *grant)
{
	Cart__GetItemRequest input = CART__GET_ITEM_REQUEST__INIT;

	keep_grant(buy, grant);
	input.user_id = buy->added.user_id;
	input.sku = buy->added.sku;
	input.session_id = buy->added.session_id;
	call_cart(buy, "GetItem", &input.base, line_shown);
}

static void granted(struct buy *buy, const Cart__ItemGrant *grant)
{
	if (buy->purchase.kind == PURCHASE_ADD) {
		show_line(buy, grant);
		return;
	}
	buy_answer_grant(buy, grant);
	work_finish(buy->work);
}

static struct hop hop_of_ask(const struct buy *buy, const struct rpc_ask *ask)
{
	return (struct hop){
		.status = &ask->status, .sent = ask->sent, .answer = ask->answer, .route = buy->work->route};
}

static void line_came(struct rpc_ask *ask)
{
	struct buy *buy = container_of(ask, struct buy, line);
	const struct hop hop = hop_of_ask(buy, ask);
	const Cart__ItemGrant *grant = NULL;
	struct verdict verdict;

	weigh_line(&hop, &verdict, &grant);
	if (verdict.go)
		granted(buy, grant);
	else
		refuse(buy, &verdict.problem);
}

static void line_set(struct rpc_request *request)
{
	struct buy *buy = container_of(request, struct buy, request);
	const struct hop hop = {.status = &request->status, .sent = request->sent, .route = buy->work->route};
	struct problem problem;

	if (request->output) {
		buy_answer_line(buy, ((Cart__UpdateItemResponse *)request->output)->line);
		work_finish(buy->work);
		return;
	}
	weigh_failure(&hop, "the cart", &problem);
	refuse(buy, &problem);
}

/* It was granted: not being able to show the line changes nothing about that. */
static void line_shown(struct rpc_request *request)
{
	struct buy *buy = container_of(request, struct buy, request);
	const Cart__GetItemResponse *response = (const Cart__GetItemResponse *)request->output;
	const bool whole = response && response->line && response->line->quantity >= buy->added.quantity;

	buy_answer_line(buy, whole ? response->line : &buy->added);
	work_finish(buy->work);
}

/* ---- the key ---- */

static void key_came(struct rpc_ask *ask)
{
	struct buy *buy = container_of(ask, struct buy, line);
	const struct hop hop = hop_of_ask(buy, ask);
	const Cart__ItemGrant *grant;
	struct verdict verdict;

	weigh_key(&hop, &verdict, &grant);
	if (grant)
		granted(buy, grant);
	else
		refuse(buy, verdict.go ? &buy->refusal : &verdict.problem);
}

static void look_up(struct buy *buy)
{
	Cart__KeyLookup *item = &buy->key_item;

	cart__key_lookup__init(item);
	item->user_id = (char *)(uintptr_t)buy->purchase.user_id;
	item->idempotency_key = (char *)(uintptr_t)buy->purchase.key;
	item->sku = (char *)(uintptr_t)buy->purchase.sku;
	item->quantity = buy->purchase.quantity;
	item->trace_id = trace_of(buy);
	prepare(&buy->line, cart_shard(buy), buy->work->deadline_ns, &item->base, key_came);
	rpc_ask(buy->work->edge->keys, &buy->line);
}

static bool key_may_know(const struct purchase *purchase, const struct problem *problem)
{
	return purchase->kind != PURCHASE_UPDATE && purchase->key[0] && weigh_key_may_know(problem);
}

/* ---- the checks ---- */

static void decide(struct buy *buy)
{
	const struct verdict *client = &buy->client_verdict, *limit = &buy->limit_verdict;
	const struct problem *problem = !client->go ? &client->problem : !limit->go ? &limit->problem : NULL;

	buy->degraded = client->degraded || limit->degraded;
	if (!problem) {
		add(buy);
	} else if (key_may_know(&buy->purchase, problem)) {
		buy->refusal = *problem;
		look_up(buy);
	} else {
		refuse(buy, problem);
	}
}

static void checked(struct buy *buy)
{
	if (--buy->asked == 0)
		decide(buy);
}

static void judge_client(
	struct edge *edge, const struct purchase *purchase, int64_t wall_ms, struct ban_verdict *ret)
{
	ban_list_judge(edge->bans, purchase->user_id, purchase->has_address ? &purchase->address : NULL,
		wall_ms, ret);
}

static void client_came(struct rpc_ask *ask)
{
	struct buy *buy = container_of(ask, struct buy, client);
	struct edge *edge = buy->work->edge;
	const struct hop hop = hop_of_ask(buy, ask);
	struct client_fallback fallback = {
		.known = followers_synced(edge->ban_followers),
		.fail_closed = edge->options.protector_fail_closed,
	};
	struct ban_verdict ban;

	if (!ask->answer) {
		judge_client(edge, &buy->purchase, clock_wall_ms(&clock_system), &ban);
		fallback.ban = ban.effect == BAN_DENY ? &ban : NULL;
	}
	weigh_client(&hop, &fallback, &buy->client_verdict);
	checked(buy);
}

static void limit_came(struct rpc_ask *ask)
{
	struct buy *buy = container_of(ask, struct buy, limit);
	struct edge *edge = buy->work->edge;
	const struct hop hop = hop_of_ask(buy, ask);
	struct limit_fallback fallback = {
		.quantity = buy->purchase.quantity, .now_ms = clock_wall_ms(&clock_system)};
	struct rule rule;

	if (!ask->answer && snapshots_rules_fresh(edge, clock_mono_ns(), edge->options.policy_fallback_ms) &&
		rule_list_find(edge->rules, buy->purchase.sku, buy->purchase.level, &rule))
		fallback.rule = &rule;
	weigh_limit(&hop, &fallback, &buy->limit_verdict, &buy->limit_value);
	checked(buy);
}

static void check(struct buy *buy)
{
	struct work *work = buy->work;
	const int64_t deadline_ns = work->arrived_ns + (work->deadline_ns - work->arrived_ns) / CHECKS_PART;

	protector__client_check__init(&buy->client_item);
	buy->client_item.user_id = (char *)(uintptr_t)buy->purchase.user_id;
	buy->client_item.client_ip = (char *)(uintptr_t)buy->purchase.client_ip;
	policy__purchase_check__init(&buy->limit_item);
	buy->limit_item.sku = (char *)(uintptr_t)buy->purchase.sku;
	buy->limit_item.user_level = buy->purchase.level;
	buy->limit_item.quantity = buy->purchase.quantity;
	buy->client_item.trace_id = buy->limit_item.trace_id = trace_of(buy);
	prepare(&buy->client, RPC_ANY_SHARD, deadline_ns, &buy->client_item.base, client_came);
	prepare(&buy->limit, RPC_ANY_SHARD, deadline_ns, &buy->limit_item.base, limit_came);
	buy->asked = 2;
	rpc_ask(work->edge->clients, &buy->client);
	rpc_ask(work->edge->limits, &buy->limit);
}

static void start_checks(struct work *work)
{
	check(of_work(work));
}

static void start_lookup(struct work *work)
{
	look_up(of_work(work));
}

/* Giving units back needs nobody's leave. */
static void start_emptying(struct work *work)
{
	struct buy *buy = of_work(work);

	common__limit__init(&buy->limit_value);
	common__unlimited__init(&buy->unlimited);
	buy->limit_value.kind_case = COMMON__LIMIT__KIND_UNLIMITED;
	buy->limit_value.unlimited = &buy->unlimited;
	add(buy);
}

/* ---- the glance ---- */

/* Who changed something and then buys is not judged by what was before: the services are asked. */
static bool settled(const struct edge *edge, enum edge_service service, int64_t now_ns)
{
	const int64_t changed_ns = atomic_load_explicit(&edge->changed_ns[service], memory_order_acquire);

	return !changed_ns || now_ns - changed_ns > SETTLED_NS;
}

static bool glance_banned(
	const struct edge *edge, const struct ban_verdict *ban, int64_t now_ns, struct problem *ret)
{
	if (ban->effect != BAN_DENY || !settled(edge, EDGE_PROTECTOR, now_ns))
		return false;
	weigh_ban(ban->ban_id, ban->end_ms, ret);
	return true;
}

static bool glance_stock(
	struct edge *edge, const struct purchase *purchase, int64_t now_ns, struct problem *ret)
{
	if (!settled(edge, EDGE_INVENTORY, now_ns) || !snapshots_stock_fresh(edge, purchase->sku, now_ns))
		return false;
	switch (stock_marks_get(edge->marks, purchase->sku)) {
	case STOCK_SOLD_OUT:
		problem_from_reason(ret, COMMON__REASON__REASON_SOLD_OUT, "%s", "");
		return true;
	case STOCK_CLOSED:
		problem_from_reason(ret, COMMON__REASON__REASON_CLOSED, "%s", "");
		return true;
	default:
		return false;
	}
}

static bool glance_rules(struct edge *edge, const struct purchase *purchase, int64_t wall_ms, int64_t now_ns,
	struct problem *ret)
{
	struct rule rule;

	return settled(edge, EDGE_POLICY, now_ns) && snapshots_rules_fresh(edge, now_ns, GLANCE_AGE_MS) &&
	       rule_list_find(edge->rules, purchase->sku, purchase->level, &rule) &&
	       !weigh_rule(&rule, purchase->quantity, wall_ms, ret);
}

/* Sold out and sale windows say nothing about a line that shall perhaps become smaller. */
static bool glance(const struct work *work, const struct purchase *purchase, const struct ban_verdict *ban,
	int64_t wall_ms, struct problem *ret)
{
	struct edge *edge = work->edge;

	if (purchase->kind == PURCHASE_UPDATE)
		return purchase->quantity && glance_banned(edge, ban, work->arrived_ns, ret);
	return glance_banned(edge, ban, work->arrived_ns, ret) ||
	       glance_stock(edge, purchase, work->arrived_ns, ret) ||
	       glance_rules(edge, purchase, wall_ms, work->arrived_ns, ret);
}

static void (*first_step(const struct purchase *purchase, bool refused))(struct work *work)
{
	if (refused)
		return start_lookup;
	return purchase->kind == PURCHASE_UPDATE && !purchase->quantity ? start_emptying : start_checks;
}

static bool answer_now(struct work *work, const struct problem *problem)
{
	edge_metrics_glance(problem);
	buy_answer_refusal(work, problem, false);
	return true;
}

/* Who would be refused anyhow is spared the hurdle; and giving units back needs none. */
bool buy_glance(struct work *work, const struct purchase *purchase)
{
	const int64_t wall_ms = clock_wall_ms(&clock_system);
	struct buy *buy = NULL;
	struct problem problem, hurdle;
	struct ban_verdict ban;
	bool refused;

	judge_client(work->edge, purchase, wall_ms, &ban);
	refused = glance(work, purchase, &ban, wall_ms, &problem);
	if (refused && !key_may_know(purchase, &problem))
		return answer_now(work, &problem);
	if (purchase->quantity && !hurdle_pass(work, purchase, &ban, wall_ms, &hurdle))
		return answer_now(work, &hurdle);
	buy = arena_alloc(
		&work->request->arena, sizeof(*buy)); /* each step fills what it uses: it is large */
	if (!buy) {
		problem_from_reason(&problem, COMMON__REASON__REASON_OVERLOADED, "%s", "");
		buy_answer_problem(work, &problem);
		return true;
	}
	buy->work = work;
	buy->purchase = *purchase;
	buy->degraded = false;
	if (refused)
		buy->refusal = problem;
	work->own = buy;
	work->start = first_step(purchase, refused);
	return false;
}
