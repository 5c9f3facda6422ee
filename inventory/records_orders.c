/* The rows of orders, and their entries in the ledger. */
#include <assert.h>

#include "inventory/packing.h"

size_t order_pack(const struct order *order, uint8_t to[ORDER_RECORD_MAX])
{
	struct packer p = {to};

	assert(order->hold_count >= 1 && order->hold_count <= ORDER_HOLDS_MAX);
	pack_u8(&p, (uint8_t)order->state);
	pack_u32(&p, order->cart_shard);
	pack_i64(&p, order->deadline_ms);
	pack_u64(&p, order->bound);
	pack_u64(&p, order->changed);
	pack_bytes(&p, bytes_of(order->payment));
	pack_u8(&p, (uint8_t)order->hold_count);
	for (uint32_t i = 0; i < order->hold_count; i++)
		pack_raw(&p, order->holds[i].bytes, ID_BYTES);
	assert(p.at - to <= ORDER_RECORD_MAX);
	return (size_t)(p.at - to);
}

/* Bytes as text; no zero byte may be inside. */
static bool text_of(struct bytes bytes, char *to)
{
	if (bytes.size && memchr(bytes.data, '\0', bytes.size))
		return false;
	if (bytes.size)
		memcpy(to, bytes.data, bytes.size);
	to[bytes.size] = '\0';
	return true;
}

bool order_unpack(const void *from, size_t size, const void *id, size_t id_size, struct order *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};
	uint8_t state = unpack_u8(&u);

	if (id_size != ID_BYTES || !state_known(state))
		return false;
	memcpy(ret->id.bytes, id, ID_BYTES);
	ret->state = state;
	ret->cart_shard = unpack_u32(&u);
	ret->deadline_ms = unpack_i64(&u);
	ret->bound = unpack_u64(&u);
	ret->changed = unpack_u64(&u);
	if (!text_of(unpack_bytes(&u, PAYMENT_MAX), ret->payment))
		return false;
	ret->hold_count = unpack_u8(&u);
	if (ret->hold_count < 1 || ret->hold_count > ORDER_HOLDS_MAX)
		return false;
	for (uint32_t i = 0; i < ret->hold_count; i++)
		unpack_copy(&u, ret->holds[i].bytes, ID_BYTES);
	return unpack_end(&u) && ret->deadline_ms >= 0;
}

static void item_pack(struct packer *p, const struct order_item *item)
{
	pack_raw(p, item->hold.bytes, ID_BYTES);
	pack_u32(p, item->quantity);
	pack_i64(p, item->price_micros);
	pack_raw(p, item->currency, 3);
	pack_bytes(p, bytes_of(item->sku));
}

static bool item_unpack(struct unpacker *u, struct order_item *ret)
{
	unpack_copy(u, ret->hold.bytes, ID_BYTES);
	ret->quantity = unpack_u32(u);
	ret->price_micros = unpack_i64(u);
	unpack_copy(u, ret->currency, 3);
	ret->currency[3] = '\0';
	return text_of(unpack_bytes(u, SKU_MAX), ret->sku) && !u->bad && ret->sku[0];
}

void order_changed_pack(struct packer *p, const struct ledger_entry *entry)
{
	assert(entry->order.item_count <= ORDER_HOLDS_MAX);
	pack_raw(p, entry->order.id.bytes, ID_BYTES);
	pack_u8(p, (uint8_t)entry->order.state);
	pack_i64(p, entry->order.deadline_ms);
	pack_bytes(p, entry->order.user);
	pack_bytes(p, entry->order.payment);
	pack_u8(p, (uint8_t)entry->order.item_count);
	for (uint32_t i = 0; i < entry->order.item_count; i++)
		item_pack(p, &entry->order.items[i]);
}

void order_changed_unpack(struct unpacker *u, struct ledger_entry *ret)
{
	struct order_item item;
	uint8_t state;

	unpack_copy(u, ret->order.id.bytes, ID_BYTES);
	state = unpack_u8(u);
	ret->order.state = state;
	ret->order.deadline_ms = unpack_i64(u);
	ret->order.user = unpack_bytes(u, USER_MAX);
	ret->order.payment = unpack_bytes(u, PAYMENT_MAX);
	ret->order.item_count = unpack_u8(u);
	ret->order.items = NULL;
	ret->order.packed_items = u->at;
	if (!state_known(state) || ret->order.item_count > ORDER_HOLDS_MAX)
		u->bad = true;
	for (uint32_t i = 0; !u->bad && i < ret->order.item_count; i++)
		if (!item_unpack(u, &item))
			u->bad = true;
	ret->order.packed_size = (size_t)(u->at - ret->order.packed_items);
}

bool ledger_order_item(const struct ledger_entry *entry, size_t *at, struct order_item *ret)
{
	struct unpacker u = {
		entry->order.packed_items + *at, entry->order.packed_items + entry->order.packed_size, false};

	bool good;

	if (u.at == u.end)
		return false;
	good = item_unpack(&u, ret);
	assert(good); /* ledger_unpack has looked at each */
	*at = (size_t)(u.at - entry->order.packed_items);
	return true;
}
