/* export_rows.c - see export_rows.h. */
#include "inventory/export_rows.h"

#include <string.h>

#include "rpc/tool_lines.h"

static const char *state_name(enum hold_state state)
{
	static const char *const names[] = {"HOLD_STATE_UNSPECIFIED", "HOLD_STATE_HELD", "HOLD_STATE_SOLD",
		"HOLD_STATE_RELEASED", "HOLD_STATE_EXPIRED", "HOLD_STATE_REFUNDED"};

	return names[state <= HOLD_REFUNDED ? state : 0];
}

static json_t *id_json(const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	return id_is_zero(id) ? json_null() : json_string(id_format(id, text));
}

static json_t *bytes_text(struct bytes bytes)
{
	return tool_text(bytes.data, bytes.size);
}

json_t *export_goods(const struct goods *goods, const char *kind)
{
	return json_pack("{ss ss sI sI sI sI sI sI sI ss sI sb sI}", "kind", kind, "goodsSKU", goods->sku,
		"number", (json_int_t)goods->number, "stock", (json_int_t)goods->stock, "goodsQuantity",
		(json_int_t)goods->available, "held", (json_int_t)goods->held, "sold",
		(json_int_t)goods->sold, "archived", (json_int_t)goods->archived, "priceMicros",
		(json_int_t)goods->price_micros, "currency", goods->currency, "holdTtlMs",
		(json_int_t)goods->hold_ttl_ms, "closed", goods->closed, "version",
		(json_int_t)goods->version);
}

json_t *export_hold(const struct hold *hold, const char *sku)
{
	return json_pack("{ss so ss sI ss sI sI sI so sI sI sI}", "kind", "hold", "holdId",
		id_json(&hold->id), "goodsSKU", sku, "goodsQuantity", (json_int_t)hold->quantity, "state",
		state_name(hold->state), "deadlineMs", (json_int_t)hold->deadline_ms, "priceMicros",
		(json_int_t)hold->price_micros, "version", (json_int_t)hold->version, "orderId",
		id_json(&hold->order), "cartShard", (json_int_t)hold->cart_shard, "createdSequence",
		(json_int_t)hold->created, "changedSequence", (json_int_t)hold->changed);
}

json_t *export_order(const struct order *order)
{
	json_t *holds = json_array();

	for (uint32_t i = 0; i < order->hold_count; i++)
		json_array_append_new(holds, id_json(&order->holds[i]));
	return json_pack("{ss so ss sI ss sI sI sI so}", "kind", "order", "orderId", id_json(&order->id),
		"state", state_name(order->state), "deadlineMs", (json_int_t)order->deadline_ms,
		"paymentReference", order->payment, "cartShard", (json_int_t)order->cart_shard,
		"createdSequence", (json_int_t)order->bound, "changedSequence", (json_int_t)order->changed,
		"holdIds", holds);
}

json_t *export_fence(uint32_t cart_shard, const struct fence *fence)
{
	return json_pack("{ss sI sI sI so sI so sb}", "kind", "fence", "cartShard", (json_int_t)cart_shard,
		"epoch", (json_int_t)fence->epoch, "sequence", (json_int_t)fence->sequence, "instance",
		tool_hex(fence->instance, INSTANCE_BYTES), "position", (json_int_t)fence->position,
		"removedId", id_json(&fence->removed), "unregistered", fence->gone);
}

json_t *export_request(const struct id *id, const struct adjust_record *record)
{
	return json_pack("{ss so sI so}", "kind", "request", "requestId", id_json(id), "change",
		(json_int_t)record->change, "result", export_goods(&record->result, "goods"));
}

/* ---- the ledger ---- */

static json_t *created_json(const struct ledger_entry *entry)
{
	return json_pack("{so so so so sI sI sI ss sI so so}", "holdId", id_json(&entry->created.id),
		"goodsSKU", bytes_text(entry->created.sku), "userID", bytes_text(entry->created.user),
		"sessionID", bytes_text(entry->created.session), "goodsQuantity",
		(json_int_t)entry->created.quantity, "deadlineMs", (json_int_t)entry->created.deadline_ms,
		"priceMicros", (json_int_t)entry->created.price_micros, "currency", entry->created.currency,
		"epoch", (json_int_t)entry->created.epoch, "keyHash",
		tool_hex(entry->created.key_hash.data, entry->created.key_hash.size), "fingerprint",
		tool_hex(entry->created.fingerprint.data, entry->created.fingerprint.size));
}

static json_t *changed_json(const struct ledger_entry *entry)
{
	return json_pack("{so so ss sI sI sI sI so so}", "holdId", id_json(&entry->changed.id), "goodsSKU",
		bytes_text(entry->changed.sku), "state", state_name(entry->changed.state), "goodsQuantity",
		(json_int_t)entry->changed.quantity, "quantityBefore",
		(json_int_t)entry->changed.quantity_before, "version", (json_int_t)entry->changed.version,
		"deadlineMs", (json_int_t)entry->changed.deadline_ms, "orderId",
		id_json(&entry->changed.order), "paymentReference", bytes_text(entry->changed.payment));
}

static json_t *order_json(const struct ledger_entry *entry)
{
	json_t *items = json_array();
	struct order_item item;
	size_t at = 0;

	while (entry->order.item_count && ledger_order_item(entry, &at, &item))
		json_array_append_new(
			items, json_pack("{so ss sI sI ss}", "holdId", id_json(&item.hold), "goodsSKU",
				       item.sku, "goodsQuantity", (json_int_t)item.quantity, "priceMicros",
				       (json_int_t)item.price_micros, "currency", item.currency));
	return json_pack("{so ss sI so so so}", "orderId", id_json(&entry->order.id), "state",
		state_name(entry->order.state), "deadlineMs", (json_int_t)entry->order.deadline_ms, "userID",
		bytes_text(entry->order.user), "paymentReference", bytes_text(entry->order.payment), "items",
		items);
}

static json_t *change_json(const struct ledger_entry *entry, const char **ret_name)
{
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		*ret_name = "holdCreated";
		return created_json(entry);
	case LEDGER_HOLD_CHANGED:
		*ret_name = "holdChanged";
		return changed_json(entry);
	case LEDGER_GOODS_CHANGED:
		*ret_name = "goodsChanged";
		return export_goods(&entry->goods, "goods");
	case LEDGER_CART_FENCED:
		*ret_name = "cartFenced";
		return json_pack("{sI sI so}", "epoch", (json_int_t)entry->fenced.epoch, "cartShards",
			(json_int_t)entry->fenced.cart_shards, "instance",
			tool_hex(entry->fenced.instance, INSTANCE_BYTES));
	case LEDGER_INCARNATION:
		*ret_name = "incarnation";
		return json_pack("{sI sI}", "number", (json_int_t)entry->incarnation.number,
			"deadlinesMovedMs", (json_int_t)entry->incarnation.moved_ms);
	case LEDGER_ORDER_CHANGED:
		*ret_name = "orderChanged";
		return order_json(entry);
	case LEDGER_GOODS_ARCHIVED:
		*ret_name = "goodsArchived";
		return json_pack("{so sI}", "goodsSKU", bytes_text(entry->archived.sku), "units",
			(json_int_t)entry->archived.units);
	}
	return NULL;
}

json_t *export_entry(uint64_t sequence, const struct ledger_entry *entry)
{
	const char *name = "";
	json_t *change = change_json(entry, &name);
	json_t *cart = entry->cart_shard == LEDGER_NO_CART ? json_null() : json_integer(entry->cart_shard);

	return json_pack("{ss sI sI so so}", "kind", "entry", "sequence", (json_int_t)sequence, "timeMs",
		(json_int_t)entry->time_ms, "cartShard", cart, name, change);
}
