/* Commands about holds. The unary and the Batch... form share everything: a call is a command with items, each decided and answered by itself. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/reason.h"

#define ITEMS_MAX 4096

struct hold_item {
	union {
		struct hold_request create;
		struct {
			struct id id;
			struct bytes payment;
			uint32_t quantity;
			int64_t deadline_ns;
		} change;
	};
	struct complaint complaint; /* it was never fit to be tried */
	struct hold_answer answer;
	struct outcome_message message;
};

struct hold_call {
	struct command command;
	struct rpc_task task;
	struct inventory *inventory;
	struct rpc_call *call;
	void *answer; /* the method's closure */
	void (*respond)(struct hold_call *self);
	int (*apply_item)(struct books *books, struct hold_call *self, struct hold_item *item);
	struct sender sender;
	struct hold_item *items;
	size_t count;
	Inventory__HoldOutcome **outcomes; /* of a batch */
	enum writer_result result;
};

/* ---- on the writer's thread ---- */

static int apply_create(struct books *books, struct hold_call *self, struct hold_item *item)
{
	return books_create_hold(books, &self->sender, &item->create, &item->answer);
}

static bool too_late(const struct books *books, struct hold_item *item)
{
	if (item->change.deadline_ns > books->group_ns)
		return false;
	item->answer.verdict = VERDICT_OVERLOADED;
	return true;
}

static int apply_release(struct books *books, struct hold_call *self, struct hold_item *item)
{
	return too_late(books, item) ? 0 : books_release_hold(books, &item->change.id, &item->answer);
}

static int apply_confirm(struct books *books, struct hold_call *self, struct hold_item *item)
{
	if (too_late(books, item))
		return 0;
	return books_confirm_hold(books, &item->change.id, item->change.payment, &item->answer);
}

static int apply_resize(struct books *books, struct hold_call *self, struct hold_item *item)
{
	if (too_late(books, item))
		return 0;
	return books_resize_hold(books, &item->change.id, item->change.quantity, &item->answer);
}

static int apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct hold_call *self = container_of(command, struct hold_call, command);
	enum verdict sender = books_check_sender(domain, &self->sender);

	for (size_t i = 0; i < self->count; i++) {
		struct hold_item *item = &self->items[i];
		int rc = 0;

		if (item->complaint.field)
			item->answer.verdict = VERDICT_INVALID;
		else if (sender != VERDICT_YES)
			item->answer.verdict = sender;
		else
			rc = self->apply_item(domain, self, item);
		if (rc)
			return rc;
	}
	return 0;
}

static void done(struct command *command, enum writer_result result)
{
	struct hold_call *self = container_of(command, struct hold_call, command);

	self->result = result;
	rpc_post(self->inventory->loop, &self->task);
}

/* ---- on the loop ---- */

/* What all items come to when the command as a whole did not. */
static void refuse_all(struct hold_call *self, enum verdict verdict)
{
	for (size_t i = 0; i < self->count; i++)
		self->items[i].answer.verdict = self->items[i].complaint.field ? VERDICT_INVALID : verdict;
}

static void run_respond(struct rpc_task *task)
{
	struct hold_call *self = container_of(task, struct hold_call, task);

	if (self->result != WRITER_COMMITTED)
		refuse_all(self, self->result == WRITER_FULL ? VERDICT_STORE_FULL : VERDICT_STORE_FAILED);
	self->respond(self);
}

/* All memory that the answer will need is taken here. NULL: the call was ended. */
static struct hold_call *new_call(
	struct inventory *inventory, struct rpc_call *call, void *answer, size_t count)
{
	struct arena *arena = rpc_arena(call);
	struct hold_call *self = ARENA_NEW(arena, struct hold_call);

	if (!self) {
		inventory_fail_large(call);
		return NULL;
	}
	self->items = ARENA_ARRAY(arena, count, struct hold_item);
	self->outcomes = ARENA_ARRAY(arena, count, Inventory__HoldOutcome *);
	if (count && (!self->items || !self->outcomes)) {
		inventory_fail_large(call);
		return NULL;
	}
	self->inventory = inventory;
	self->call = call;
	self->answer = answer;
	self->count = count;
	self->task.run = run_respond;
	return self;
}

static bool is_placed(const struct inventory *inventory, const Common__Placement *placement)
{
	return !placement ||
	       (placement->shard == inventory->store->shard && placement->shards == inventory->store->shards);
}

static void submit(struct hold_call *self, const Common__Placement *placement)
{
	if (!is_placed(self->inventory, placement)) {
		refuse_all(self, VERDICT_WRONG_SHARD);
		self->respond(self);
		return;
	}
	self->command.apply = apply;
	self->command.done = done;
	self->command.items = self->count ? (uint32_t)self->count : 1;
	self->command.grows = self->apply_item == apply_create;
	if (!writer_submit(self->inventory->writer, &self->command)) {
		refuse_all(self, VERDICT_OVERLOADED);
		self->respond(self);
	}
}

/* False: the call was ended. */
static bool take_sender(struct hold_call *self, const Inventory__Sender *sender, bool must)
{
	struct complaint complaint = sender_fill(sender, &self->sender);

	if (!complaint.field && must && !sender)
		complaint = (struct complaint){"sender", "must be given"};
	if (complaint.field)
		rpc_refuse(self->call, complaint.field, "%s", complaint.why);
	return !complaint.field;
}

static int64_t item_deadline(const struct hold_call *self, int64_t now_ns, uint32_t timeout_ms)
{
	int64_t call_ns = rpc_deadline_ns(self->call), own_ns = now_ns + timeout_ms * INT64_C(1000000);

	return timeout_ms && own_ns < call_ns ? own_ns : call_ns;
}

static void take_create(struct hold_call *self, size_t i, const Inventory__NewHold *hold, int64_t now_ns)
{
	self->items[i].complaint =
		hold_request_fill(hold, now_ns, rpc_deadline_ns(self->call), &self->items[i].create);
}

static void take_release(struct hold_call *self, size_t i, const Inventory__HoldRelease *hold, int64_t now_ns)
{
	struct hold_item *item = &self->items[i];

	item->complaint = hold_id_fill(hold->hold_id, &item->change.id);
	item->change.deadline_ns = item_deadline(self, now_ns, hold->timeout_ms);
}

static void take_confirm(
	struct hold_call *self, size_t i, const Inventory__HoldConfirmation *hold, int64_t now_ns)
{
	struct hold_item *item = &self->items[i];

	item->complaint = hold_id_fill(hold->hold_id, &item->change.id);
	if (!item->complaint.field)
		item->complaint = payment_fill(hold->payment_reference, &item->change.payment);
	item->change.deadline_ns = item_deadline(self, now_ns, hold->timeout_ms);
}

/* ---- unary: a no is a status ---- */

/* The one item's grant; NULL: the call was ended. */
static Inventory__HoldGrant *sole_grant(struct hold_call *self, const char *within)
{
	struct hold_item *item = &self->items[0];
	char field[96];

	assert(self->count == 1);
	if (item->complaint.field) {
		snprintf(field, sizeof(field), "%s%s", within, item->complaint.field);
		rpc_refuse(self->call, field, "%s", item->complaint.why);
		return NULL;
	}
	if (item->answer.verdict ==
		VERDICT_INVALID) { /* of all fields only this one is judged by the writer */
		rpc_refuse(self->call, "quantity", "expected 1 to the units that the hold has");
		return NULL;
	}
	outcome_message_set(&item->message, &item->answer, NULL, NULL);
	if (verdict_is_yes(item->answer.verdict))
		return &item->message.grant;
	rpc_fail_reason(self->call, verdict_reason(item->answer.verdict), "%s", "");
	return NULL;
}

#define RESPOND_ONE(name, Type, TYPE, within) \
	static void respond_##name(struct hold_call *self) \
	{ \
		Inventory__##Type##Response response = INVENTORY__##TYPE##_RESPONSE__INIT; \
\
		response.grant = sole_grant(self, within); \
		if (response.grant) \
			((Inventory__##Type##Response_Closure)self->answer)(&response, self->call); \
	}

RESPOND_ONE(create, CreateHold, CREATE_HOLD, "hold.")
RESPOND_ONE(release, ReleaseHold, RELEASE_HOLD, "hold.")
RESPOND_ONE(confirm, ConfirmHold, CONFIRM_HOLD, "hold.")
RESPOND_ONE(resize, ResizeHold, RESIZE_HOLD, "")

/* ---- batches: a no is in its item ---- */

static void fill_outcomes(struct hold_call *self)
{
	for (size_t i = 0; i < self->count; i++) {
		struct hold_item *item = &self->items[i];

		outcome_message_set(
			&item->message, &item->answer, item->complaint.field, item->complaint.why);
		self->outcomes[i] = &item->message.outcome;
	}
}

#define RESPOND_MANY(name, Type, TYPE) \
	static void respond_##name(struct hold_call *self) \
	{ \
		Inventory__##Type##Response response = INVENTORY__##TYPE##_RESPONSE__INIT; \
\
		fill_outcomes(self); \
		response.n_items = self->count; \
		response.items = self->outcomes; \
		((Inventory__##Type##Response_Closure)self->answer)(&response, self->call); \
	}

RESPOND_MANY(creates, BatchCreateHolds, BATCH_CREATE_HOLDS)
RESPOND_MANY(releases, BatchReleaseHolds, BATCH_RELEASE_HOLDS)
RESPOND_MANY(confirms, BatchConfirmHolds, BATCH_CONFIRM_HOLDS)

/* ---- the methods ---- */

#define UNARY(name, must_send) \
	struct inventory *inventory = container_of(service, struct inventory, methods); \
	struct hold_call *self; \
\
	if (!request->hold) { \
		rpc_refuse(call, "hold", "must be given"); \
		return; \
	} \
	self = new_call(inventory, call, (void *)answer, 1); \
	if (!self || !take_sender(self, request->sender, must_send)) \
		return; \
	self->respond = respond_##name; \
	self->apply_item = apply_##name; \
	take_##name(self, 0, request->hold, clock_mono_ns()); \
	submit(self, request->placement)

INVENTORY_METHOD(create_hold, CreateHold)
{
	UNARY(create, true);
}

INVENTORY_METHOD(release_hold, ReleaseHold)
{
	UNARY(release, false);
}

INVENTORY_METHOD(confirm_hold, ConfirmHold)
{
	UNARY(confirm, false);
}

#define BATCH(name, must_send) \
	struct inventory *inventory = container_of(service, struct inventory, methods); \
	struct hold_call *self; \
	int64_t now_ns = clock_mono_ns(); \
\
	if (request->n_items > ITEMS_MAX) { \
		rpc_refuse(call, "items", "expected at most 4,096"); \
		return; \
	} \
	self = new_call(inventory, call, (void *)answer, request->n_items); \
	if (!self || !take_sender(self, request->sender, must_send)) \
		return; \
	self->respond = respond_##name##s; \
	self->apply_item = apply_##name; \
	for (size_t i = 0; i < self->count; i++) \
		take_##name(self, i, request->items[i], now_ns); \
	submit(self, request->placement)

INVENTORY_METHOD(batch_create_holds, BatchCreateHolds)
{
	BATCH(create, true);
}

INVENTORY_METHOD(batch_release_holds, BatchReleaseHolds)
{
	BATCH(release, false);
}

INVENTORY_METHOD(batch_confirm_holds, BatchConfirmHolds)
{
	BATCH(confirm, false);
}

INVENTORY_METHOD(resize_hold, ResizeHold)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct hold_call *self = new_call(inventory, call, (void *)answer, 1);

	if (!self || !take_sender(self, request->sender, false))
		return;
	self->respond = respond_resize;
	self->apply_item = apply_resize;
	self->items[0].complaint = hold_id_fill(request->hold_id, &self->items[0].change.id);
	self->items[0].change.quantity = request->quantity;
	self->items[0].change.deadline_ns = rpc_deadline_ns(call);
	submit(self, request->placement);
}
