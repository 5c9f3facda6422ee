/* Commands about goods: an operator's. Each is one change through the writer (rpc/change.h). */
#include "base/memory.h"
#include "inventory/complaints.h"
#include "inventory/inventory.h"
#include "inventory/messages.h"
#include "rpc/change.h"
#include "rpc/reason.h"

struct goods_change {
	struct change change;
	struct inventory *inventory;
	const char *sku;
	/* Answers with the row that the command left. */
	void (*respond)(struct goods_change *self, Inventory__Goods *goods);
	void *answer; /* the method's closure */
	union {
		struct goods_terms terms;
		struct goods_update update;
		struct {
			int64_t amount;
			struct id request;
		} adjust;
	};
	struct goods_answer result;
};

static void settle(struct change *change)
{
	struct goods_change *self = container_of(change, struct goods_change, change);
	struct goods_message message;

	if (self->result.verdict == VERDICT_INVALID) {
		rpc_refuse(change->call, "quantity", "the stock would be more than 1,000,000,000,000");
		return;
	}
	if (!verdict_is_yes(self->result.verdict)) {
		rpc_fail_reason(change->call, verdict_reason(self->result.verdict), "%s", "");
		return;
	}
	goods_message_set(&message, &self->result.goods, self->inventory->settings->hold_ttl_ms);
	self->respond(self, &message.goods);
}

/* NULL: the call was ended. */
static struct goods_change *new_change(struct inventory *inventory, struct rpc_call *call, const char *sku,
	int (*apply)(struct change *, void *, MDB_txn *, int64_t),
	void (*respond)(struct goods_change *, Inventory__Goods *), void *answer)
{
	struct goods_change *self = ARENA_NEW(rpc_arena(call), struct goods_change);

	if (!self) {
		inventory_fail_large(call);
		return NULL;
	}
	self->change =
		(struct change){.apply = apply, .settle = settle, .call = call, .loop = inventory->loop};
	self->inventory = inventory;
	self->sku = sku;
	self->respond = respond;
	self->answer = answer;
	return self;
}

/* Defines the function that answers a method whose response has `goods`. */
#define RESPOND(name, Type, TYPE) \
	static void respond_##name(struct goods_change *self, Inventory__Goods *goods) \
	{ \
		Inventory__##Type##Response response = INVENTORY__##TYPE##_RESPONSE__INIT; \
\
		response.goods = goods; \
		((Inventory__##Type##Response_Closure)self->answer)(&response, self->change.call); \
	}

RESPOND(created, CreateGoods, CREATE_GOODS)
RESPOND(updated, UpdateGoods, UPDATE_GOODS)
RESPOND(set, SetAvailable, SET_AVAILABLE)
RESPOND(adjusted, AdjustStock, ADJUST_STOCK)

static void respond_closed(struct goods_change *self, Inventory__Goods *goods)
{
	Inventory__CloseGoodsResponse response = INVENTORY__CLOSE_GOODS_RESPONSE__INIT;
	Inventory__EmptiedGoods emptied = INVENTORY__EMPTIED_GOODS__INIT;

	response.goods = goods;
	response.emptied = &emptied;
	((Inventory__CloseGoodsResponse_Closure)self->answer)(&response, self->change.call);
}

static int apply_create(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct goods_change *self = container_of(change, struct goods_change, change);

	return books_open_goods(domain, self->sku, &self->terms, &self->result);
}

static int apply_update(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct goods_change *self = container_of(change, struct goods_change, change);

	return books_update_goods(domain, self->sku, &self->update, &self->result);
}

static int apply_close(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct goods_change *self = container_of(change, struct goods_change, change);

	return books_close_goods(domain, self->sku, &self->result);
}

static int apply_adjust(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct goods_change *self = container_of(change, struct goods_change, change);

	return books_adjust_goods(
		domain, self->sku, self->adjust.amount, &self->adjust.request, &self->result);
}

INVENTORY_METHOD(create_goods, CreateGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct goods_change *self;
	struct goods_terms terms;
	struct complaint complaint = goods_terms_fill(request, &terms);

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	if (!inventory_placed(inventory, request->placement, call))
		return;
	self = new_change(inventory, call, request->sku, apply_create, respond_created, (void *)answer);
	if (!self)
		return;
	self->terms = terms;
	self->change.grows = true;
	change_submit(&self->change, inventory->writer);
}

static void submit_update(struct inventory *inventory, struct rpc_call *call, const char *sku,
	const struct goods_update *update, void (*respond)(struct goods_change *, Inventory__Goods *),
	void *answer)
{
	struct goods_change *self = new_change(inventory, call, sku, apply_update, respond, answer);

	if (!self)
		return;
	self->update = *update;
	change_submit(&self->change, inventory->writer);
}

INVENTORY_METHOD(update_goods, UpdateGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct goods_update update;
	struct complaint complaint = goods_update_fill(request, &update);

	if (complaint.field)
		rpc_refuse(call, complaint.field, "%s", complaint.why);
	else
		submit_update(inventory, call, request->sku, &update, respond_updated, (void *)answer);
}

INVENTORY_METHOD(set_available, SetAvailable)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct goods_update update = {.has_quantity = true, .quantity = (int64_t)request->quantity};
	struct complaint complaint = complain_sku(request->sku);

	if (!complaint.field && request->quantity > (uint64_t)STOCK_MAX)
		complaint = (struct complaint){"quantity", "expected 0 to 1,000,000,000,000"};
	if (complaint.field)
		rpc_refuse(call, complaint.field, "%s", complaint.why);
	else
		submit_update(inventory, call, request->sku, &update, respond_set, (void *)answer);
}

INVENTORY_METHOD(close_goods, CloseGoods)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct complaint complaint = complain_sku(request->sku);
	struct goods_change *self;

	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	self = new_change(inventory, call, request->sku, apply_close, respond_closed, (void *)answer);
	if (self)
		change_submit(&self->change, inventory->writer);
}

INVENTORY_METHOD(adjust_stock, AdjustStock)
{
	struct inventory *inventory = container_of(service, struct inventory, methods);
	struct complaint complaint = complain_sku(request->sku);
	struct goods_change *self;
	struct id id;

	if (!complaint.field &&
		(request->change == 0 || request->change < -STOCK_MAX || request->change > STOCK_MAX))
		complaint = (struct complaint){
			"change", "expected -1,000,000,000,000 to 1,000,000,000,000, not 0"};
	if (!complaint.field && (!id_parse(request->request_id, &id) || id_is_zero(&id)))
		complaint = (struct complaint){"request_id", "expected a UUID in its canonical form"};
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	self = new_change(inventory, call, request->sku, apply_adjust, respond_adjusted, (void *)answer);
	if (!self)
		return;
	self->adjust.amount = request->change;
	self->adjust.request = id;
	self->change.grows = true;
	change_submit(&self->change, inventory->writer);
}
