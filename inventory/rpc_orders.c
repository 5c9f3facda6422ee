/* Commands about orders. What inventory decides is in the answer's outcome, a no included; the call fails only if it could not be decided. */
#include "base/clock.h"
#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/change.h"
#include "rpc/reason.h"

struct order_call {
	struct change change;
	struct inventory *inventory;
	void *answer; /* the method's closure */
	int (*command)(struct books *books, struct order_call *self);
	void (*respond)(struct order_call *self);
	struct sender sender;
	struct bind_request *bind; /* of BindOrderHolds only */
	struct id id;
	struct bytes payment;
	struct order_answer result;
	struct order_message message;
};

/* ---- on the writer's thread ---- */

static int command_bind(struct books *books, struct order_call *self)
{
	return books_bind_order(books, &self->sender, self->bind, &self->result);
}

static int command_confirm(struct books *books, struct order_call *self)
{
	return books_confirm_order(books, &self->id, self->payment, &self->result);
}

static int command_release(struct books *books, struct order_call *self)
{
	return books_release_order(books, &self->id, &self->result);
}

static int command_refund(struct books *books, struct order_call *self)
{
	return books_refund_order(books, &self->id, &self->result);
}

static int apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct order_call *self = container_of(change, struct order_call, change);
	struct books *books = domain;

	self->result = (struct order_answer){.verdict = books_check_sender(books, &self->sender)};
	if (self->result.verdict == VERDICT_YES && rpc_deadline_ns(change->call) <= books->group_ns)
		self->result.verdict = VERDICT_OVERLOADED;
	return self->result.verdict == VERDICT_YES ? self->command(books, self) : 0;
}

/* ---- on the loop ---- */

static void settle(struct change *change)
{
	struct order_call *self = container_of(change, struct order_call, change);

	order_message_set(&self->message, &self->result);
	self->respond(self);
}

#define RESPOND(name, Type, TYPE) \
	static void respond_##name(struct order_call *self) \
	{ \
		Inventory__##Type##Response response = INVENTORY__##TYPE##_RESPONSE__INIT; \
\
		response.outcome = &self->message.outcome; \
		((Inventory__##Type##Response_Closure)self->answer)(&response, self->change.call); \
	}

RESPOND(bind, BindOrderHolds, BIND_ORDER_HOLDS)
RESPOND(confirm, ConfirmOrderHolds, CONFIRM_ORDER_HOLDS)
RESPOND(release, ReleaseOrderHolds, RELEASE_ORDER_HOLDS)
RESPOND(refund, RefundOrderHolds, REFUND_ORDER_HOLDS)

/* All memory that the answer will need is taken here. NULL: the call was ended. */
static struct order_call *new_call(struct inventory *inventory, struct rpc_call *call, void *answer,
	const Common__Placement *placement, const Inventory__Sender *sender)
{
	struct order_call *self;
	struct sender checked;
	struct complaint complaint = sender_fill(sender, &checked);

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return NULL;
	}
	if (!inventory_placed(inventory, placement, call))
		return NULL;
	self = ARENA_NEW(rpc_arena(call), struct order_call);
	if (!self) {
		inventory_fail_large(call);
		return NULL;
	}
	self->change =
		(struct change){.apply = apply, .settle = settle, .call = call, .loop = inventory->loop};
	self->inventory = inventory;
	self->answer = answer;
	self->sender = checked;
	return self;
}

static void submit(struct order_call *self, const struct complaint *complaint)
{
	if (complaint->field)
		rpc_refuse(self->change.call, complaint->field, "%s", complaint->why);
	else
		change_submit(&self->change, self->inventory->writer);
}

INVENTORY_METHOD(bind_order_holds, BindOrderHolds)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct order_call *self =
		new_call(inventory, call, (void *)answer, request->placement, request->sender);
	struct complaint complaint;

	if (!self)
		return;
	self->bind = ARENA_NEW(rpc_arena(call), struct bind_request);
	if (!self->bind) {
		inventory_fail_large(call);
		return;
	}
	complaint = bind_request_fill(request, self->bind);
	if (!request->sender)
		complaint = (struct complaint){"sender", "must be given"};
	self->change.grows = true;
	self->command = command_bind;
	self->respond = respond_bind;
	submit(self, &complaint);
}

#define TAKE(name) \
	struct inventory *inventory = container_of(service, struct inventory, methods); \
	struct order_call *self = \
		new_call(inventory, call, (void *)answer, request->placement, request->sender); \
	struct complaint complaint; \
\
	if (!self) \
		return; \
	complaint = order_id_fill(request->order_id, &self->id); \
	self->command = command_##name; \
	self->respond = respond_##name

INVENTORY_METHOD(confirm_order_holds, ConfirmOrderHolds)
{
	TAKE(confirm);
	if (!complaint.field)
		complaint = payment_fill(request->payment_reference, &self->payment);
	submit(self, &complaint);
}

INVENTORY_METHOD(release_order_holds, ReleaseOrderHolds)
{
	TAKE(release);
	submit(self, &complaint);
}

INVENTORY_METHOD(refund_order_holds, RefundOrderHolds)
{
	TAKE(refund);
	submit(self, &complaint);
}
