/* cart/entries.c - see entries.h. */
#include "cart/entries.h"

#include "rpc/timestamp.h"

#define MOVED_SECONDS_MAX (365 * 86400) /* inventory waits out a day of outage at most */

static bool read_hash(const ProtobufCBinaryData *bytes, struct hash128 *ret)
{
	if (bytes->len != sizeof(ret->bytes))
		return false;
	memcpy(ret->bytes, bytes->data, sizeof(ret->bytes));
	return true;
}

static bool read_state(Inventory__HoldState state, enum line_state *ret)
{
	*ret = (enum line_state)state;
	return state >= INVENTORY__HOLD_STATE__HOLD_STATE_HELD &&
	       state <= INVENTORY__HOLD_STATE__HOLD_STATE_REFUNDED;
}

/* Empty: none. */
static bool read_order(const char *text, struct id *ret)
{
	return !text[0] || id_parse(text, ret);
}

static bool read_name(const char *text, bool may_be_empty, struct span *ret)
{
	*ret = span_of(text);
	return ret->length <= LINES_NAME_MAX && (may_be_empty || ret->length);
}

static bool read_created(const Inventory__HoldCreated *created, struct hold *hold)
{
	const Inventory__Hold *from = created->hold;

	if (!from->deadline || !from->quantity)
		return false;
	hold->quantity = from->quantity;
	hold->price_micros = from->price_micros;
	hold->version = from->version;
	hold->keyed = from->key_hash.len != 0;
	if (hold->keyed && !(read_hash(&from->key_hash, &hold->key) &&
				   read_hash(&from->fingerprint, &hold->fingerprint)))
		return false;
	return id_parse(from->hold_id, &hold->id) && read_order(from->order_id, &hold->order) &&
	       read_name(from->user_id, false, &hold->user) &&
	       read_name(from->session_id, true, &hold->session) && read_name(from->sku, false, &hold->sku) &&
	       read_state(from->state, &hold->state) && timestamp_get(from->deadline, &hold->deadline_ms);
}

static bool read_changed(const Inventory__HoldChanged *changed, struct hold *hold)
{
	hold->quantity = changed->quantity;
	hold->version = changed->version;
	if (!changed->deadline || !changed->quantity)
		return false;
	return id_parse(changed->hold_id, &hold->id) && read_order(changed->order_id, &hold->order) &&
	       read_state(changed->state, &hold->state) &&
	       timestamp_get(changed->deadline, &hold->deadline_ms);
}

static bool read_fenced(const Inventory__CartFenced *fenced, uint32_t cart_shard, struct entry *entry)
{
	if (fenced->cart_shard != cart_shard)
		return true;
	if (fenced->instance.len != ID_BYTES)
		return false;
	entry->kind = ENTRY_FENCED;
	entry->epoch = fenced->epoch;
	memcpy(entry->instance.bytes, fenced->instance.data, ID_BYTES);
	return true;
}

/* How far an incarnation moved the deadlines; absent: not at all. */
static bool read_moved(const Google__Protobuf__Duration *moved, int64_t *ret_ms)
{
	if (!moved)
		return true;
	if (moved->seconds < 0 || moved->seconds > MOVED_SECONDS_MAX || moved->nanos < 0 ||
		moved->nanos > 999999999)
		return false;
	*ret_ms = moved->seconds * 1000 + moved->nanos / 1000000;
	return true;
}

bool entry_read(const Inventory__LedgerEntry *message, uint32_t cart_shard, struct entry *ret)
{
	*ret = (struct entry){.kind = ENTRY_OTHER, .sequence = message->sequence};
	if (!message->sequence || !message->time || !timestamp_get(message->time, &ret->hold.created_ms))
		return false;
	ret->hold.ended_ms = ret->hold.created_ms;
	switch (message->change_case) {
	case INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CREATED:
		if (!message->hold_created->hold)
			return false;
		if (message->hold_created->hold->cart_shard != cart_shard)
			return true;
		ret->kind = ENTRY_CREATED;
		return read_created(message->hold_created, &ret->hold);
	case INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CHANGED:
		if (message->hold_changed->cart_shard != cart_shard)
			return true;
		ret->kind = ENTRY_CHANGED;
		return read_changed(message->hold_changed, &ret->hold);
	case INVENTORY__LEDGER_ENTRY__CHANGE_CART_FENCED:
		return read_fenced(message->cart_fenced, cart_shard, ret);
	case INVENTORY__LEDGER_ENTRY__CHANGE_INCARNATION:
		ret->kind = ENTRY_INCARNATION;
		return read_moved(message->incarnation->deadlines_moved, &ret->moved_ms);
	case INVENTORY__LEDGER_ENTRY__CHANGE_GOODS_ARCHIVED:
		ret->kind = ENTRY_ARCHIVED;
		return read_name(message->goods_archived->sku, false, &ret->sku);
	case INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED:
		if (message->order_changed->cart_shard == cart_shard)
			ret->kind = ENTRY_ORDER;
		return true;
	default:
		return true; /* goods, and what later versions add */
	}
}

static bool read_item(const Inventory__OrderItem *from, struct order_item *item)
{
	struct span sku;

	*item = (struct order_item){.quantity = from->quantity, .price_micros = from->price_micros};
	if (!read_name(from->sku, false, &sku) || strlen(from->currency) != 3 || !from->quantity)
		return false;
	memcpy(item->sku, sku.text, sku.length);
	memcpy(item->currency, from->currency, sizeof(item->currency));
	return id_parse(from->hold_id, &item->hold);
}

bool order_items_read(
	Inventory__OrderItem *const *from, size_t count, struct order_item items[ORDER_HOLDS_MAX])
{
	if (count > ORDER_HOLDS_MAX)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!read_item(from[i], &items[i]))
			return false;
	return true;
}

bool entry_read_order(const Inventory__LedgerEntry *message, struct order_item items[ORDER_HOLDS_MAX],
	struct order_entry *ret)
{
	const Inventory__OrderChanged *changed = message->order_changed;

	*ret = (struct order_entry){.payment = span_of(changed->payment_reference),
		.items = items,
		.item_count = (uint32_t)changed->n_items};
	return id_parse(changed->order_id, &ret->id) && read_name(changed->user_id, false, &ret->user) &&
	       read_state(changed->state, &ret->state) && ret->payment.length <= PAYMENT_MAX &&
	       changed->deadline && timestamp_get(changed->deadline, &ret->deadline_ms) &&
	       timestamp_get(message->time, &ret->time_ms) && (ret->state != LINE_HELD || changed->n_items) &&
	       order_items_read(changed->items, changed->n_items, items);
}
