/* tests/simulation/cart_asks.c - between the real cart/ordering.c and the world: its decisions on their way to the disk, and its requests on their way
 * to inventory. Each is looked at: nothing is asked for that is not on disk, and a decision is never followed by one that undoes it. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cart_process.h"
#include "model.h"
#include "rpc/reason.h"

/* ---- decisions ---- */

struct cart_decision {
	struct cart_decision *next;
	struct cart_process *process;
	struct decision *decision;
	void (*done)(struct decision *decision, Common__Reason failure);
};

static struct cart_decision *decisions; /* on their way, of all processes */

static struct cart_decision *decision_take(const struct decision *decision)
{
	struct cart_decision **at = &decisions, *found;

	while ((*at)->decision != decision)
		at = &(*at)->next;
	found = *at;
	*at = found->next;
	return found;
}

static void on_decision(struct decision *decision, Common__Reason failure)
{
	struct cart_decision *noted = decision_take(decision);

	world_note("decided", noted->process->number, (uint64_t)failure, decision->record != NULL);
	decision->done = noted->done;
	free(noted);
	decision->done(decision, failure);
}

/* What the store has decided of this order; false: nothing. */
static bool stored_decision(struct cart_process *process, const struct id *id,
	struct id holds[ORDER_HOLDS_MAX], struct order_decision *ret, char payment[PAYMENT_MAX + 1])
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes}, data;
	MDB_txn *txn;
	int rc;

	WORLD_CHECK(store_read_begin(process->store, &txn) == 0, "a read transaction");
	rc = mdb_get(txn, process->store->tables[SHELF_DECISIONS], &key, &data);
	WORLD_CHECK(rc == 0 || rc == MDB_NOTFOUND, "reading a decision: %s", mdb_strerror(rc));
	if (!rc) {
		WORLD_CHECK(record_decision_unpack(id, data.mv_data, data.mv_size, holds, ret),
			"a decision can't be read");
		memcpy(payment, ret->payment.text, ret->payment.length);
		payment[ret->payment.length] = '\0';
	}
	mdb_txn_abort(txn);
	return rc == 0;
}

static bool is_gone(const struct id *id)
{
	const struct model_order *order = model_order_find(id);

	return order && (order->gone || !order->created);
}

/* A payment or a cancellation that was decided stays so until the books have its outcome; only a refund may follow. */
static void check_next(struct cart_process *process, const struct decision *decision)
{
	struct order_decision before, now;
	struct id holds[ORDER_HOLDS_MAX];
	char payment[PAYMENT_MAX + 1];
	bool there = stored_decision(process, &decision->id, holds, &before, payment);

	if (!decision->record) {
		WORLD_CHECK(!there || before.wish == WISH_BIND || is_gone(&decision->id),
			"a decision %d is taken back", before.wish);
		return;
	}
	WORLD_CHECK(record_decision_unpack(&decision->id, decision->record, decision->size, holds, &now),
		"a decision can't be read");
	WORLD_CHECK(!there || before.wish == WISH_BIND || now.wish == WISH_REFUND,
		"promise 7: decision %d follows %d", now.wish, before.wish);
}

void __real_shelf_decide(struct shelf *shelf, struct decision *decision);
void __wrap_shelf_decide(struct shelf *shelf, struct decision *decision);
void __wrap_shelf_decide(struct shelf *shelf, struct decision *decision)
{
	struct cart_decision *noted = NEW(struct cart_decision);

	noted->process = cart_process_by_shelf(shelf);
	noted->decision = decision;
	noted->done = decision->done;
	noted->next = decisions;
	decisions = noted;
	decision->done = on_decision;
	check_next(noted->process, decision);
	__real_shelf_decide(shelf, decision);
}

/* ---- requests ---- */

struct cart_request {
	struct cart_request *next;
	struct cart_process *process;
	struct rpc_request *request; /* NULL: its process is gone */
	enum wire_kind kind;
};

static struct cart_request *requests;

static void request_free(struct cart_request *self)
{
	struct cart_request **at = &requests;

	while (*at != self)
		at = &(*at)->next;
	*at = self->next;
	free(self);
}

static void set_output(struct rpc_request *request, enum wire_kind kind, Inventory__OrderOutcome *outcome)
{
	static Inventory__BindOrderHoldsResponse bound;
	static Inventory__ConfirmOrderHoldsResponse paid;
	static Inventory__ReleaseOrderHoldsResponse cancelled;
	static Inventory__RefundOrderHoldsResponse refunded;

	inventory__bind_order_holds_response__init(&bound);
	inventory__confirm_order_holds_response__init(&paid);
	inventory__release_order_holds_response__init(&cancelled);
	inventory__refund_order_holds_response__init(&refunded);
	bound.outcome = paid.outcome = cancelled.outcome = refunded.outcome = outcome;
	request->status = (struct rpc_status){.code = RPC_OK};
	request->output = kind == WIRE_BIND	? &bound.base
			  : kind == WIRE_PAY	? &paid.base
			  : kind == WIRE_CANCEL ? &cancelled.base
						: &refunded.base;
}

/* As rpc/unary.c says how a call ended, and rpc/change.c how the store refused its group. */
static void set_failure(struct rpc_request *request, enum wire_end end, Common__Reason reason)
{
	request->output = NULL;
	request->sent = end != WIRE_UNSENT;
	if (end == WIRE_BUSY)
		reason = COMMON__REASON__REASON_OVERLOADED;
	if (end == WIRE_DECIDED || end == WIRE_BUSY)
		rpc_status_set_reason(&request->status, reason, "%s", "");
	else
		rpc_status_set(&request->status, RPC_UNAVAILABLE, "", "%s", "");
}

static void request_done(void *context, struct wire_call *call, enum wire_end end)
{
	struct cart_request *self = context;
	struct rpc_request *request = self->request;
	struct cart_process *process = self->process;
	Inventory__OrderOutcome *outcome = NULL;

	request->sent = true;
	if (end == WIRE_DECIDED && call->outcome) {
		outcome = inventory__order_outcome__unpack(NULL, call->outcome_size, call->outcome);
		WORLD_CHECK(outcome, "an outcome that can't be read");
		set_output(request, self->kind, outcome);
	} else {
		set_failure(request, end, call->answers[0].reason);
	}
	request_free(self);
	request->done(request);
	inventory__order_outcome__free_unpacked(outcome, NULL);
	changes_look(process);
}

static void read_bind(
	const Inventory__BindOrderHoldsRequest *request, struct wire_item *item, struct wire_call **ret)
{
	struct id holds[ORDER_HOLDS_MAX];

	WORLD_CHECK(request->n_hold_ids && request->n_hold_ids <= ORDER_HOLDS_MAX, "an order of %zu holds",
		request->n_hold_ids);
	for (size_t i = 0; i < request->n_hold_ids; i++)
		WORLD_CHECK(id_parse(request->hold_ids[i], &holds[i]), "a hold's id");
	item->user = world_number(request->user_id, strlen(request->user_id));
	item->ttl_ms = request->ttl ? request->ttl->seconds * 1000 + request->ttl->nanos / 1000000 : 0;
	wire_call_holds(*ret, holds, (uint32_t)request->n_hold_ids);
}

static const enum order_wish wish_of[] = {WISH_BIND, WISH_CONFIRM, WISH_CANCEL, WISH_REFUND};
static const char *const methods[] = {
	"BindOrderHolds", "ConfirmOrderHolds", "ReleaseOrderHolds", "RefundOrderHolds"};

static enum wire_kind kind_of(const struct rpc_request *request)
{
	int i = 0;

	while (i < 4 && strcmp(methods[i], request->method->name))
		i++;
	WORLD_CHECK(i < 4, "a request to %s", request->method->name);
	return (enum wire_kind)(WIRE_BIND + i);
}

static uint32_t payment_number(const char *text)
{
	WORLD_CHECK(!strncmp(text, "pay-", 4), "a payment that nobody made: %s", text);
	return (uint32_t)strtoul(text + 4, NULL, 10);
}

/* All four begin in the same way, but it is the compiler that knows it. */
static const Inventory__Sender *read_request(
	const struct rpc_request *request, struct wire_call *call, const char **ret_id)
{
	const ProtobufCMessage *input = request->input;

	switch (call->kind) {
	case WIRE_BIND: {
		const Inventory__BindOrderHoldsRequest *bind = (const void *)input;

		read_bind(bind, call->items, &call);
		*ret_id = bind->order_id;
		return bind->sender;
	}
	case WIRE_PAY: {
		const Inventory__ConfirmOrderHoldsRequest *confirm = (const void *)input;

		call->items->payment = payment_number(confirm->payment_reference);
		*ret_id = confirm->order_id;
		return confirm->sender;
	}
	case WIRE_CANCEL: {
		const Inventory__ReleaseOrderHoldsRequest *release = (const void *)input;

		*ret_id = release->order_id;
		return release->sender;
	}
	default: {
		const Inventory__RefundOrderHoldsRequest *refund = (const void *)input;

		*ret_id = refund->order_id;
		return refund->sender;
	}
	}
}

/* What is asked for is decided, on disk, and nothing else is. */
static void check_decided(struct cart_process *process, const struct wire_call *call)
{
	const struct wire_item *item = call->items;
	struct order_decision decision;
	struct id holds[ORDER_HOLDS_MAX];
	char payment[PAYMENT_MAX + 1];

	WORLD_CHECK(stored_decision(process, &item->id, holds, &decision, payment),
		"an order's command %d leaves, and nothing is decided", call->kind);
	WORLD_CHECK(decision.wish == wish_of[call->kind - WIRE_BIND],
		"an order's command %d leaves, and the decision is %d", call->kind, decision.wish);
	WORLD_CHECK(call->kind != WIRE_BIND ||
			    (decision.hold_count == call->hold_count && decision.ttl_ms == item->ttl_ms &&
				    !memcmp(holds, call->holds, call->hold_count * sizeof(*holds))),
		"promise 6: an order is asked for that was not decided so");
	WORLD_CHECK(call->kind != WIRE_PAY || payment_number(payment) == item->payment,
		"promise 7: payment %u leaves, %s was decided", item->payment, payment);
}

void __wrap_rpc_request_start(struct rpc_pool *pool, struct rpc_request *request);
void __wrap_rpc_request_start(struct rpc_pool *pool, struct rpc_request *request)
{
	struct cart_process *process = (struct cart_process *)pool;
	struct cart_link *link = &process->cart->links[request->shard];
	struct cart_request *self = NEW(struct cart_request);
	struct wire_call *call = wire_call_new(kind_of(request), (uint32_t)request->shard, 1);
	const Inventory__Sender *sender;
	const char *id;

	self->process = process;
	self->request = request;
	self->kind = call->kind;
	self->next = requests;
	requests = self;
	sender = read_request(request, call, &id);
	WORLD_CHECK(id_parse(id, &call->items->id), "an order's id");
	call->sender =
		(struct wire_sender){true, sender->cart_shard, sender->cart_shards, sender->epoch, {{0}}};
	memcpy(call->sender.instance.bytes, sender->instance.data, ID_BYTES);
	call->deadline_us = call->items->deadline_us = request->deadline_ns / 1000;
	call->from = &process->base;
	call->done = request_done;
	call->context = self;
	check_decided(process, call);
	model_order_ask(call->shard, call->kind, call->items, call->holds, call->hold_count, process->shard,
		&call->sender, link->position);
	network_send(call);
}

/* ---- a crash ---- */

void asks_release(struct cart_process *process)
{
	for (struct cart_decision *noted = decisions, *next; noted; noted = next) {
		next = noted->next;
		if (noted->process == process)
			on_decision(noted->decision, COMMON__REASON__REASON_STORE_FAILED);
	}
	for (struct cart_request *self = requests, *next; self; self = next) {
		struct rpc_request *request = self->request;

		next = self->next;
		if (self->process != process)
			continue;
		set_failure(request, WIRE_UNSENT, COMMON__REASON__REASON_UNSPECIFIED);
		request_free(self);
		request->done(request);
	}
	loop_run_left();
}
