/* reshard_orders.c - which parts an order has on the new shards. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "inventory/reshard_internal.h"

#define DRAWS_MAX 1000000u

/* Follows from the order and the part's first hold, which is in no other part, now or later; has the order's time, and falls on its owner's cart shard, as every
 * order's id does. */
static void derive_id(const struct reshard *r, const struct id *order, const struct id *hold,
	uint32_t cart_shard, struct id *ret)
{
	char text[ID_TEXT_LENGTH + 1];

	for (uint32_t draw = 0; draw < DRAWS_MAX; draw++) {
		const struct hash_part parts[] = {
			{order->bytes, ID_BYTES}, {hold->bytes, ID_BYTES}, {&draw, sizeof(draw)}};
		const struct hash128 hash = hash128_parts(parts, 3);

		memcpy(ret->bytes, order->bytes, 6);
		memcpy(ret->bytes + 6, hash.bytes, ID_BYTES - 6);
		ret->bytes[6] = (uint8_t)(0x70 | (ret->bytes[6] & 0x0f));
		ret->bytes[8] = (uint8_t)(0x80 | (ret->bytes[8] & 0x3f));
		if (hash_shard(id_format(ret, text), r->cart_shards) == cart_shard)
			return;
	}
	assert(!"a million ids, and none on this shard");
}

static int shard_of_hold(
	struct reshard *r, const struct reshard_source *source, const struct id *id, uint32_t *ret)
{
	struct hold hold;
	int rc = books_read_hold(source->store, source->txn, id, &hold);

	if (rc || hold.goods >= source->goods_count)
		return rc == MDB_NOTFOUND || !rc ? MDB_CORRUPTED : rc;
	*ret = source->goods[hold.goods].shard;
	return 0;
}

static int find_parts(struct reshard *r, const struct reshard_source *source, const struct order *order)
{
	struct ledger_entry bound;
	uint32_t first = 0, cart_shard;
	int rc = books_read_ledger(source->store, source->txn, order->bound, &bound);

	if (rc || bound.kind != LEDGER_ORDER_CHANGED)
		return rc == MDB_NOTFOUND || !rc ? MDB_CORRUPTED : rc;
	cart_shard = reshard_cart_shard(r, bound.order.user.data, bound.order.user.size);
	for (uint32_t i = 0; i < order->hold_count; i++) {
		uint32_t shard;

		rc = shard_of_hold(r, source, &order->holds[i], &shard);
		if (rc)
			return rc;
		if (i == 0)
			first = shard;
		if (!id_is_zero(&r->parts.ids[shard]))
			continue;
		r->parts.count++;
		if (shard == first)
			r->parts.ids[shard] = order->id;
		else
			derive_id(r, &order->id, &order->holds[i], cart_shard, &r->parts.ids[shard]);
	}
	return 0;
}

int reshard_parts_of(
	struct reshard *r, const struct reshard_source *source, const struct id *id, struct order *ret_order)
{
	int rc = books_read_order(source->store, source->txn, id, ret_order);

	if (rc || (r->parts.source == source && id_compare(&r->parts.order, id) == 0))
		return rc;
	memset(r->parts.ids, 0, r->options->shards * sizeof(r->parts.ids[0]));
	r->parts.count = 0;
	r->parts.source = source;
	r->parts.order = *id;
	return find_parts(r, source, ret_order);
}

uint32_t reshard_items_on(const struct reshard *r, uint32_t shard, const struct ledger_entry *entry,
	struct order_item items[ORDER_HOLDS_MAX])
{
	struct order_item item;
	uint32_t count = 0;
	size_t at = 0;

	while (ledger_order_item(entry, &at, &item))
		if (reshard_shard(r, item.sku, strlen(item.sku)) == shard && count < ORDER_HOLDS_MAX)
			items[count++] = item;
	return count;
}

int reshard_order_on(struct reshard *r, const struct reshard_source *source, uint32_t shard,
	const struct order *whole, struct order *ret)
{
	*ret = *whole;
	ret->id = r->parts.ids[shard];
	ret->hold_count = 0;
	for (uint32_t i = 0; i < whole->hold_count; i++) {
		uint32_t on;
		int rc = shard_of_hold(r, source, &whole->holds[i], &on);

		if (rc)
			return rc;
		if (on == shard)
			ret->holds[ret->hold_count++] = whole->holds[i];
	}
	return 0;
}
