/* cart/rpc_changes.c - UpdateItem and RemoveItem: a line gets a number of units.
 *
 * More units are an add. Fewer are given back, the newest holds first, the last one cut to size; the answer leaves when the ledger has told of
 * it, so that who asks next sees it. A change waits for a link that is being fenced, asks, waits for the ledger, answers: one phase at a time. */
#include <assert.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/trace.h"
#include "cart/placement.h"
#include "rpc/reason.h"

#define ASK_SHORTLY_MS 200
#define RELEASES_MAX 4096 /* holds of one line that are given back by one call */

enum phase { PHASE_LINK, PHASE_ADD, PHASE_ASK, PHASE_LEDGER };

struct change;

struct release {
	struct rpc_ask ask;
	Inventory__HoldRelease item;
	char id[ID_TEXT_LENGTH + 1];
	struct change *change;
};

struct change {
	struct open_call open;
	struct cart_service *service;
	struct rpc_call *call;
	struct link *link;
	uint32_t shard;
	enum phase phase;
	struct rpc_timer timer;
	struct link_waiter wait;
	struct service_waiter waiter; /* of an add */
	int64_t deadline_ms;
	struct line_query query;
	const Cart__NewItem *item; /* NULL: of RemoveItem */
	uint32_t target;
	union {
		Cart__UpdateItemResponse_Closure update;
		Cart__RemoveItemResponse_Closure remove;
	} answer;
	/* what was asked of inventory */
	size_t asked;
	uint64_t epoch, sequence; /* sequence: the last of the answers */
	bool lost, took_effect;
	bool joins; /* its key's add is under way */
	Common__Reason refusal;
	struct rpc_request resize;
	char resize_id[ID_TEXT_LENGTH + 1];
};

/* ---- the end ---- */

static void change_close(struct change *change)
{
	rpc_timer_stop(change->service->loop, &change->timer);
	open_call_remove(change->service, &change->open);
}

static void change_fail(struct change *change, Common__Reason reason, uint32_t retry_after_ms)
{
	const struct outcome outcome = {.reason = reason, .retry_after_ms = retry_after_ms};

	change_close(change);
	outcome_fail(change->call, &outcome);
}

static void change_answer(struct change *change)
{
	Cart__UpdateItemResponse updated = CART__UPDATE_ITEM_RESPONSE__INIT;
	Cart__RemoveItemResponse removed = CART__REMOVE_ITEM_RESPONSE__INIT;
	Cart__CartLine gone = CART__CART_LINE__INIT, **lines;
	size_t count;

	gone.user_id = (char *)(uintptr_t)change->query.user.text;
	gone.sku = (char *)(uintptr_t)change->query.sku.text;
	if (change->query.session.text)
		gone.session_id = (char *)(uintptr_t)change->query.session.text;
	if (!message_lines(
		    rpc_arena(change->call), &change->service->cart->lines, &change->query, &count, &lines)) {
		change_fail(change, COMMON__REASON__REASON_OVERLOADED, 0);
		return;
	}
	change_close(change);
	updated.line = removed.line = count && change->target ? lines[0] : &gone;
	if (change->item)
		change->answer.update(&updated, change->call);
	else
		change->answer.remove(&removed, change->call);
}

/* ---- the ledger has to tell ---- */

static void change_arm(struct change *change)
{
	int64_t now_ms = cart_service_now_ms(change->service, clock_mono_ns());

	rpc_timer_start(change->service->loop, &change->timer,
		change->deadline_ms > now_ms ? change->deadline_ms - now_ms : 0);
}

static void ledger_told(struct link_waiter *wait)
{
	change_answer(container_of(wait, struct change, wait));
}

/* All answers are in. */
static void change_settle(struct change *change)
{
	Common__Reason reason = change->refusal;
	bool transient = reason == COMMON__REASON__REASON_DEPENDENCY_DOWN ||
			 reason == COMMON__REASON__REASON_OVERLOADED;

	if (change->lost || (transient && change->took_effect)) {
		change_fail(change, COMMON__REASON__REASON_OUTCOME_UNKNOWN, 0);
		return;
	}
	if (reason) {
		change_fail(change, reason, 0);
		return;
	}
	change->phase = PHASE_LEDGER;
	if (!change->sequence || change->service->ending) {
		change_answer(change); /* all had ended by themselves; or nothing will tell any more */
		return;
	}
	change_arm(change);
	change->wait.sequence = change->sequence;
	change->wait.ready = ledger_told;
	link_wait(change->link, &change->wait);
}

/* ---- fewer ---- */

static void change_refused(struct change *change, Common__Reason reason)
{
	switch (reason) {
	case COMMON__REASON__REASON_HOLD_EXPIRED:
	case COMMON__REASON__REASON_NOT_FOUND:
	case COMMON__REASON__REASON_GONE:
		return; /* ended already */
	case COMMON__REASON__REASON_STALE_EPOCH:
		cart_stale(change->service->cart, change->shard, change->epoch);
		change->refusal = COMMON__REASON__REASON_DEPENDENCY_DOWN;
		return;
	default:
		change->refusal = reason;
	}
}

static void change_heard(struct change *change, const struct answer *answer)
{
	switch (answer->kind) {
	case ANSWER_GRANT:
		change->took_effect = true;
		if (change->sequence < answer->sequence)
			change->sequence = answer->sequence;
		break;
	case ANSWER_REFUSAL:
		change_refused(change, answer->reason);
		break;
	case ANSWER_UNSENT:
		change->refusal = COMMON__REASON__REASON_DEPENDENCY_DOWN;
		break;
	case ANSWER_BUSY:
		change->refusal = COMMON__REASON__REASON_OVERLOADED;
		break;
	case ANSWER_LOST:
		change->lost = true;
		if (!change->service->ending)
			cart_doubt(change->service->cart, change->shard);
		break;
	}
	assert(change->asked);
	if (--change->asked == 0)
		change_settle(change);
}

static void release_done(struct rpc_ask *ask)
{
	struct release *release = container_of(ask, struct release, ask);
	struct answer answer;

	if (ask->answer)
		answer = answer_of_outcome((const Inventory__HoldOutcome *)ask->answer);
	else
		answer = answer_of_status(&ask->status, ask->sent);
	change_heard(release->change, &answer);
}

static void release_ask(struct change *change, struct release *release, const struct line *line)
{
	inventory__hold_release__init(&release->item);
	release->item.hold_id = id_format(&line->id, release->id);
	release->change = change;
	if (rpc_trace_id(change->call))
		release->item.trace_id = (ProtobufCBinaryData){
			TRACE_ID_BYTES, (uint8_t *)(uintptr_t)rpc_trace_id(change->call)};
	release->ask.item = &release->item.base;
	release->ask.shard = (int32_t)change->shard;
	release->ask.deadline_ns = cart_service_mono_ns(change->service, change->deadline_ms);
	release->ask.done = release_done;
	rpc_ask(change->service->releases, &release->ask);
}

static void resize_done(struct rpc_request *request)
{
	struct change *change = container_of(request, struct change, resize);
	const Inventory__ResizeHoldResponse *response =
		(const Inventory__ResizeHoldResponse *)request->output;
	Inventory__HoldOutcome outcome = INVENTORY__HOLD_OUTCOME__INIT;
	const struct rpc_reason *reason = rpc_reason_by_name(request->status.reason);
	struct answer answer = answer_of_status(&request->status, request->sent);

	if (response && response->grant) {
		outcome.outcome_case = INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT;
		outcome.grant = response->grant;
		answer = answer_of_outcome(&outcome);
	} else if (answer.kind == ANSWER_REFUSAL && reason) {
		answer.reason = reason->value; /* of this one hold, not of a batch */
	}
	change_heard(change, &answer);
}

static void resize_ask(struct change *change, const struct line *line, uint32_t quantity)
{
	Inventory__ResizeHoldRequest request = INVENTORY__RESIZE_HOLD_REQUEST__INIT;
	Common__Placement placement;
	Inventory__Sender sender;

	cart_service_sender(change->service, change->shard, &placement, &sender);
	request.placement = &placement;
	request.sender = &sender;
	request.hold_id = id_format(&line->id, change->resize_id);
	request.quantity = quantity;
	change->resize = (struct rpc_request){
		.service = &inventory__inventory_service__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(
			&inventory__inventory_service__descriptor, "ResizeHold"),
		.input = &request.base,
		.shard = (int32_t)change->shard,
		.deadline_ns = cart_service_mono_ns(change->service, change->deadline_ms),
		.trace = rpc_trace(change->call),
		.arena = rpc_arena(change->call),
		.done = resize_done,
	};
	rpc_request_start(change->service->inventory, &change->resize);
}

/* Newest first, until `excess` units are given back. */
static void change_shrink(struct change *change, struct line **holds, size_t count, uint64_t excess)
{
	struct release *releases = ARENA_ARRAY(rpc_arena(change->call), count, struct release);
	size_t whole = 0;

	if (!releases) {
		change_fail(change, COMMON__REASON__REASON_OVERLOADED, 0);
		return;
	}
	rpc_timer_stop(
		change->service->loop, &change->timer); /* what is asked comes back by its own deadline */
	change->phase = PHASE_ASK;
	change->epoch = change->service->cart->links[change->shard].fence.accepted;
	for (; whole < count && holds[whole]->quantity <= excess; whole++) {
		excess -= holds[whole]->quantity;
		change->asked++;
		release_ask(change, &releases[whole], holds[whole]);
	}
	if (excess) {
		assert(whole < count);
		change->asked++;
		resize_ask(change, holds[whole], holds[whole]->quantity - (uint32_t)excess);
	}
}

/* ---- more ---- */

static void add_decided(struct change *change)
{
	const struct outcome *outcome = &change->waiter.waiter.outcome;

	if (outcome->reason)
		change_fail(change, outcome->reason, outcome->retry_after_ms);
	else
		change_answer(change);
}

static void on_decided(struct service_waiter *waiter)
{
	add_decided(container_of(waiter, struct change, waiter));
}

static void change_grow(struct change *change, uint32_t quantity)
{
	struct cart_service *service = change->service;
	struct add add;

	if (!change->item->limit) { /* target 0 needs none, and never grows */
		change_fail(change, COMMON__REASON__REASON_INVALID, 0);
		return;
	}
	change->phase = PHASE_ADD;
	item_add(change->item, KEY_UPDATE, &add);
	add.quantity = quantity;
	change->waiter.decided = on_decided;
	change->waiter.trace = rpc_trace_id(change->call);
	change->waiter.waiter.deadline_ms = change->deadline_ms;
	if (cart_add(service->cart, &add, &change->waiter.waiter,
		    cart_service_now_ms(service, clock_mono_ns())))
		add_decided(change);
}

/* ---- the beginning ---- */

/* The key of an update that was done already: nothing happens again. True: the call was ended. */
static bool change_by_key(struct change *change)
{
	struct outcome outcome;
	struct add add;

	if (!change->item || !change->item->idempotency_key[0] || !change->item->limit)
		return false;
	item_add(change->item, KEY_UPDATE, &add);
	switch (cart_lookup_key(change->service->cart, &add.key, &add.fingerprint, &outcome)) {
	case KEY_GRANTED:
		change_answer(change);
		return true;
	case KEY_REFUSED:
		change->joins = outcome.reason == COMMON__REASON__REASON_IN_PROGRESS;
		if (change->joins)
			return false;
		change_fail(change, outcome.reason, outcome.retry_after_ms);
		return true;
	case KEY_UNKNOWN:
		break;
	}
	return false;
}

/* How many more are needed can't be said while others of this person are under way: two updates to the same number would both add. */
static void change_decide(struct change *change, struct line **holds, size_t count)
{
	uint64_t have = 0;

	for (size_t i = 0; i < count; i++)
		have += holds[i]->quantity;
	if (change->target > have && holds[0]->usage->pending && !change->joins)
		change_fail(change, COMMON__REASON__REASON_IN_PROGRESS, ASK_SHORTLY_MS);
	else if (change->target > have)
		change_grow(change, change->target - (uint32_t)have);
	else if (change->target < have)
		change_shrink(change, holds, count, have - change->target);
	else
		change_answer(change);
}

/* The link is usable, or stopped for good. */
static void link_ready(struct link_waiter *wait)
{
	struct change *change = container_of(wait, struct change, wait);
	const struct lines *lines = &change->service->cart->lines;
	size_t count = message_holds(lines, &change->query, NULL, 0);
	struct line **holds = ARENA_ARRAY(rpc_arena(change->call), count + 1, struct line *);

	if (link_stopped(change->link)) {
		change_fail(change, COMMON__REASON__REASON_DEPENDENCY_DOWN, 0);
	} else if (!count) {
		change_fail(change, COMMON__REASON__REASON_NOT_FOUND, 0);
	} else if (!holds || count > RELEASES_MAX) {
		change_fail(change, COMMON__REASON__REASON_OVERLOADED, 0);
	} else if (!change_by_key(change)) {
		message_holds(lines, &change->query, holds, count);
		change_decide(change, holds, count);
	}
}

/* Its time is over, or the service's. */
static void change_give_up(struct change *change)
{
	switch (change->phase) {
	case PHASE_LINK:
		link_forget(change->link, &change->wait);
		change_fail(change, COMMON__REASON__REASON_DEPENDENCY_DOWN, 0);
		break;
	case PHASE_ADD:
		cart_give_up(change->service->cart, &change->waiter.waiter);
		add_decided(change);
		break;
	case PHASE_ASK:
		break; /* what is asked comes back */
	case PHASE_LEDGER:
		link_forget(change->link, &change->wait);
		change_answer(change); /* committed it is */
		break;
	}
}

static void timer_run(struct rpc_task *task)
{
	change_give_up(container_of(task, struct change, timer.task));
}

static void on_end(struct open_call *open)
{
	change_give_up(container_of(open, struct change, open));
}

static struct change *change_new(struct cart_service *service, struct rpc_call *call, uint32_t timeout_ms)
{
	struct change *change = ARENA_NEW(rpc_arena(call), struct change);
	int64_t mono_ns = clock_mono_ns();

	if (!change) {
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
			"the call needs more memory than it may have");
		return NULL;
	}
	change->service = service;
	change->call = call;
	change->timer.task.run = timer_run;
	change->open.end = on_end;
	change->deadline_ms = item_deadline_ms(
		timeout_ms, rpc_deadline_ns(call), mono_ns, cart_service_now_ms(service, mono_ns));
	open_call_add(service, &change->open);
	return change;
}

static void change_start(struct change *change)
{
	change->shard = placement_of_sku(change->service, change->query.sku.text);
	change->link = change->service->links[change->shard];
	change->phase = PHASE_LINK;
	change->wait.ready = link_ready;
	change_arm(change);
	link_wait(change->link, &change->wait);
}

CART_METHOD(update_item, UpdateItem)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct complaint complaint = {"item", "expected an item"};
	struct change *change;

	if (request->item)
		complaint = complain_update(request->item);
	if (complaint.field) {
		item_fail(call, request->item != NULL, &complaint);
		return;
	}
	if (!placement_check(cart, request->placement, call) ||
		!placement_check_user(cart, request->item->user_id, call))
		return;
	change = change_new(cart, call, request->item->timeout_ms);
	if (!change)
		return;
	change->item = request->item;
	change->target = request->item->quantity;
	change->answer.update = answer;
	change->query = (struct line_query){
		.user = span_of(request->item->user_id), .sku = span_of(request->item->sku)};
	change->query.together = !request->item->session_id[0];
	if (!change->query.together)
		change->query.session = span_of(request->item->session_id);
	change_start(change);
}

CART_METHOD(remove_item, RemoveItem)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	struct complaint complaint = complain_user(request->user_id);
	struct change *change;

	if (!complaint.field)
		complaint = complain_sku(request->sku);
	if (complaint.field) {
		item_fail(call, false, &complaint);
		return;
	}
	if (!placement_check(cart, request->placement, call) ||
		!placement_check_user(cart, request->user_id, call))
		return;
	change = change_new(cart, call, 0);
	if (!change)
		return;
	change->answer.remove = answer;
	change->query = (struct line_query){
		.user = span_of(request->user_id), .sku = span_of(request->sku), .together = true};
	change_start(change);
}
