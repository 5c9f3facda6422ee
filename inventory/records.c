#include "inventory/records.h"

#include <assert.h>
#include <string.h>

#include "base/store.h"
#include "inventory/packing.h"

static void goods_pack_into(struct packer *p, const struct goods *goods)
{
	pack_u32(p, goods->number);
	pack_i64(p, goods->stock);
	pack_i64(p, goods->available);
	pack_i64(p, goods->held);
	pack_i64(p, goods->sold);
	pack_i64(p, goods->price_micros);
	pack_i64(p, goods->hold_ttl_ms);
	pack_u64(p, goods->version);
	pack_u8(p, goods->closed);
	pack_raw(p, goods->currency, 3);
	pack_i64(p, goods->archived);
	pack_u64(p, goods->last);
	pack_u64(p, goods->kept);
}

static void goods_unpack_from(struct unpacker *u, struct goods *ret)
{
	uint8_t closed;

	ret->number = unpack_u32(u);
	ret->stock = unpack_i64(u);
	ret->available = unpack_i64(u);
	ret->held = unpack_i64(u);
	ret->sold = unpack_i64(u);
	ret->price_micros = unpack_i64(u);
	ret->hold_ttl_ms = unpack_i64(u);
	ret->version = unpack_u64(u);
	closed = unpack_u8(u);
	ret->closed = closed == 1;
	unpack_copy(u, ret->currency, 3);
	ret->currency[3] = '\0';
	ret->archived = unpack_i64(u);
	ret->last = unpack_u64(u);
	ret->kept = unpack_u64(u);
	if (closed > 1 || !goods_balanced(ret))
		u->bad = true;
}

size_t goods_pack(const struct goods *goods, uint8_t to[GOODS_RECORD_BYTES])
{
	struct packer p = {to};

	goods_pack_into(&p, goods);
	assert(p.at - to == GOODS_RECORD_BYTES);
	return GOODS_RECORD_BYTES;
}

static bool sku_copy(struct goods *goods, const void *sku, size_t size)
{
	if (size < 1 || size > SKU_MAX || memchr(sku, '\0', size))
		return false;
	memcpy(goods->sku, sku, size);
	goods->sku[size] = '\0';
	return true;
}

bool goods_unpack(const void *from, size_t size, const void *sku, size_t sku_size, struct goods *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};

	goods_unpack_from(&u, ret);
	return unpack_end(&u) && sku_copy(ret, sku, sku_size);
}

#define HOLD_HAS_ORDER 1

size_t hold_pack(const struct hold *hold, uint8_t to[HOLD_RECORD_MAX])
{
	struct packer p = {to};
	bool order = !id_is_zero(&hold->order);

	pack_u8(&p, (uint8_t)hold->state);
	pack_u8(&p, order ? HOLD_HAS_ORDER : 0);
	pack_u32(&p, hold->goods);
	pack_u32(&p, hold->quantity);
	pack_u32(&p, hold->cart_shard);
	pack_u32(&p, hold->version);
	pack_i64(&p, hold->deadline_ms);
	pack_i64(&p, hold->price_micros);
	pack_u64(&p, hold->created);
	pack_u64(&p, hold->changed);
	assert(p.at - to == HOLD_RECORD_BYTES);
	if (order)
		pack_raw(&p, hold->order.bytes, ID_BYTES);
	return (size_t)(p.at - to);
}

bool hold_unpack(const void *from, size_t size, const void *id, size_t id_size, struct hold *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};
	uint8_t state = unpack_u8(&u), flags = unpack_u8(&u);

	if (id_size != ID_BYTES || !state_known(state) || (flags & ~HOLD_HAS_ORDER))
		return false;
	memcpy(ret->id.bytes, id, ID_BYTES);
	ret->state = state;
	ret->goods = unpack_u32(&u);
	ret->quantity = unpack_u32(&u);
	ret->cart_shard = unpack_u32(&u);
	ret->version = unpack_u32(&u);
	ret->deadline_ms = unpack_i64(&u);
	ret->price_micros = unpack_i64(&u);
	ret->created = unpack_u64(&u);
	ret->changed = unpack_u64(&u);
	memset(&ret->order, 0, sizeof(ret->order));
	if (flags & HOLD_HAS_ORDER)
		unpack_copy(&u, ret->order.bytes, ID_BYTES);
	return unpack_end(&u) && ret->quantity >= 1 && ret->quantity <= QUANTITY_MAX && ret->deadline_ms >= 0;
}

void expiry_key_pack(int64_t deadline_ms, const struct id *id, uint8_t to[EXPIRY_KEY_BYTES])
{
	assert(deadline_ms >= 0);
	store_put_be64(to, (uint64_t)deadline_ms);
	memcpy(to + 8, id->bytes, ID_BYTES);
}

bool expiry_key_unpack(const void *from, size_t size, int64_t *ret_deadline_ms, struct id *ret_id)
{
	if (size != EXPIRY_KEY_BYTES)
		return false;
	*ret_deadline_ms = (int64_t)store_get_be64(from);
	memcpy(ret_id->bytes, (const uint8_t *)from + 8, ID_BYTES);
	return *ret_deadline_ms >= 0;
}

size_t fence_pack(const struct fence *fence, uint8_t to[FENCE_RECORD_BYTES])
{
	struct packer p = {to};

	pack_u64(&p, fence->epoch);
	pack_u64(&p, fence->sequence);
	pack_raw(&p, fence->instance, INSTANCE_BYTES);
	pack_u64(&p, fence->position);
	pack_u64(&p, fence->kept);
	pack_raw(&p, fence->removed.bytes, ID_BYTES);
	pack_u8(&p, fence->gone);
	assert(p.at - to == FENCE_RECORD_BYTES);
	return FENCE_RECORD_BYTES;
}

bool fence_unpack(const void *from, size_t size, struct fence *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};
	uint8_t gone;

	ret->epoch = unpack_u64(&u);
	ret->sequence = unpack_u64(&u);
	unpack_copy(&u, ret->instance, INSTANCE_BYTES);
	ret->position = unpack_u64(&u);
	ret->kept = unpack_u64(&u);
	unpack_copy(&u, ret->removed.bytes, ID_BYTES);
	gone = unpack_u8(&u);
	ret->gone = gone == 1;
	return unpack_end(&u) && gone <= 1;
}

size_t adjust_pack(const struct adjust_record *record, uint8_t to[REQUEST_RECORD_MAX])
{
	struct packer p = {to};

	pack_i64(&p, record->change);
	pack_bytes(&p, bytes_of(record->result.sku));
	goods_pack_into(&p, &record->result);
	assert(p.at - to <= REQUEST_RECORD_MAX);
	return (size_t)(p.at - to);
}

bool adjust_unpack(const void *from, size_t size, struct adjust_record *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};
	struct bytes sku;

	ret->change = unpack_i64(&u);
	sku = unpack_bytes(&u, SKU_MAX);
	goods_unpack_from(&u, &ret->result);
	return unpack_end(&u) && sku_copy(&ret->result, sku.data, sku.size);
}

static void created_pack(struct packer *p, const struct ledger_entry *entry)
{
	pack_raw(p, entry->created.id.bytes, ID_BYTES);
	pack_u32(p, entry->created.quantity);
	pack_i64(p, entry->created.deadline_ms);
	pack_i64(p, entry->created.price_micros);
	pack_u64(p, entry->created.epoch);
	pack_raw(p, entry->created.currency, 3);
	pack_bytes(p, entry->created.sku);
	pack_bytes(p, entry->created.user);
	pack_bytes(p, entry->created.session);
	pack_bytes(p, entry->created.key_hash);
	pack_bytes(p, entry->created.fingerprint);
}

static void created_unpack(struct unpacker *u, struct ledger_entry *ret)
{
	unpack_copy(u, ret->created.id.bytes, ID_BYTES);
	ret->created.quantity = unpack_u32(u);
	ret->created.deadline_ms = unpack_i64(u);
	ret->created.price_micros = unpack_i64(u);
	ret->created.epoch = unpack_u64(u);
	unpack_copy(u, ret->created.currency, 3);
	ret->created.currency[3] = '\0';
	ret->created.sku = unpack_bytes(u, SKU_MAX);
	ret->created.user = unpack_bytes(u, USER_MAX);
	ret->created.session = unpack_bytes(u, SESSION_MAX);
	ret->created.key_hash = unpack_bytes(u, HASH_BYTES);
	ret->created.fingerprint = unpack_bytes(u, HASH_BYTES);
}

static void changed_pack(struct packer *p, const struct ledger_entry *entry)
{
	bool order = !id_is_zero(&entry->changed.order);

	pack_raw(p, entry->changed.id.bytes, ID_BYTES);
	pack_u8(p, (uint8_t)entry->changed.state);
	pack_u32(p, entry->changed.quantity);
	pack_u32(p, entry->changed.quantity_before);
	pack_u32(p, entry->changed.version);
	pack_i64(p, entry->changed.deadline_ms);
	pack_bytes(p, entry->changed.sku);
	pack_bytes(p, entry->changed.payment);
	pack_bytes(p, (struct bytes){entry->changed.order.bytes, order ? ID_BYTES : 0});
}

static void changed_unpack(struct unpacker *u, struct ledger_entry *ret)
{
	struct bytes order;
	uint8_t state;

	unpack_copy(u, ret->changed.id.bytes, ID_BYTES);
	state = unpack_u8(u);
	ret->changed.state = state;
	ret->changed.quantity = unpack_u32(u);
	ret->changed.quantity_before = unpack_u32(u);
	ret->changed.version = unpack_u32(u);
	ret->changed.deadline_ms = unpack_i64(u);
	ret->changed.sku = unpack_bytes(u, SKU_MAX);
	ret->changed.payment = unpack_bytes(u, PAYMENT_MAX);
	order = unpack_bytes(u, ID_BYTES);
	memset(&ret->changed.order, 0, ID_BYTES);
	if (order.size == ID_BYTES)
		memcpy(ret->changed.order.bytes, order.data, ID_BYTES);
	if (!state_known(state) || (order.size != 0 && order.size != ID_BYTES))
		u->bad = true;
}

static void goods_change_pack(struct packer *p, const struct goods *goods)
{
	pack_bytes(p, bytes_of(goods->sku));
	goods_pack_into(p, goods);
}

static void goods_change_unpack(struct unpacker *u, struct goods *ret)
{
	struct bytes sku = unpack_bytes(u, SKU_MAX);

	goods_unpack_from(u, ret);
	if (!sku.data || !sku_copy(ret, sku.data, sku.size))
		u->bad = true;
}

/* Every entry begins with kind, cart shard, time. */
size_t ledger_pack(const struct ledger_entry *entry, uint8_t to[LEDGER_RECORD_MAX])
{
	struct packer p = {to};

	pack_u8(&p, (uint8_t)entry->kind);
	pack_u32(&p, entry->cart_shard);
	pack_i64(&p, entry->time_ms);
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		created_pack(&p, entry);
		break;
	case LEDGER_HOLD_CHANGED:
		changed_pack(&p, entry);
		break;
	case LEDGER_GOODS_CHANGED:
		goods_change_pack(&p, &entry->goods);
		break;
	case LEDGER_CART_FENCED:
		pack_u64(&p, entry->fenced.epoch);
		pack_u32(&p, entry->fenced.cart_shards);
		pack_raw(&p, entry->fenced.instance, INSTANCE_BYTES);
		break;
	case LEDGER_INCARNATION:
		pack_u64(&p, entry->incarnation.number);
		pack_i64(&p, entry->incarnation.moved_ms);
		break;
	case LEDGER_ORDER_CHANGED:
		order_changed_pack(&p, entry);
		break;
	case LEDGER_GOODS_ARCHIVED:
		pack_bytes(&p, entry->archived.sku);
		pack_u64(&p, entry->archived.units);
		break;
	}
	assert(p.at - to <= LEDGER_RECORD_MAX);
	return (size_t)(p.at - to);
}

bool ledger_peek(const void *from, size_t size, enum ledger_kind *ret_kind, uint32_t *ret_cart_shard)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};

	*ret_kind = unpack_u8(&u);
	*ret_cart_shard = unpack_u32(&u);
	return !u.bad && *ret_kind >= LEDGER_HOLD_CREATED && *ret_kind <= LEDGER_GOODS_ARCHIVED;
}

bool ledger_unpack(const void *from, size_t size, struct ledger_entry *ret)
{
	struct unpacker u = {from, (const uint8_t *)from + size, false};

	if (!ledger_peek(from, size, &ret->kind, &ret->cart_shard))
		return false;
	unpack_raw(&u, 5);
	ret->time_ms = unpack_i64(&u);
	switch (ret->kind) {
	case LEDGER_HOLD_CREATED:
		created_unpack(&u, ret);
		break;
	case LEDGER_HOLD_CHANGED:
		changed_unpack(&u, ret);
		break;
	case LEDGER_GOODS_CHANGED:
		goods_change_unpack(&u, &ret->goods);
		break;
	case LEDGER_CART_FENCED:
		ret->fenced.epoch = unpack_u64(&u);
		ret->fenced.cart_shards = unpack_u32(&u);
		unpack_copy(&u, ret->fenced.instance, INSTANCE_BYTES);
		break;
	case LEDGER_INCARNATION:
		ret->incarnation.number = unpack_u64(&u);
		ret->incarnation.moved_ms = unpack_i64(&u);
		break;
	case LEDGER_ORDER_CHANGED:
		order_changed_unpack(&u, ret);
		break;
	case LEDGER_GOODS_ARCHIVED:
		ret->archived.sku = unpack_bytes(&u, SKU_MAX);
		ret->archived.units = unpack_u64(&u);
		break;
	}
	return unpack_end(&u);
}
