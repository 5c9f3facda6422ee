/* cart/order_records.c - see order_records.h. */
#include "cart/order_records.h"

#include <assert.h>

#include "cart/packing.h"

static uint8_t *put_string(uint8_t *to, const char *text)
{
	return put_text(to, text ? text : "", text ? (uint8_t)strlen(text) : 0);
}

/* Of up to 255 bytes. */
static struct span take_string(struct reader *reader, size_t max)
{
	size_t length = take8(reader);
	const uint8_t *at = take(reader, length);

	if (length > max || (at && memchr(at, '\0', length)))
		reader->broken = true;
	return (struct span){(const char *)at, at ? length : 0};
}

/* state, shard, deadline, created, changed; user, payment; items. */
size_t record_order_pack(const struct order *order, uint8_t *to)
{
	const uint8_t *start = to;

	assert(order->truth && order->item_count <= ORDER_HOLDS_MAX);
	*to++ = order->truth;
	to = put32(to, order->shard);
	to = put64(to, (uint64_t)order->deadline_ms);
	to = put64(to, (uint64_t)order->created_ms);
	to = put64(to, (uint64_t)order->changed_ms);
	to = put_string(to, order->customer->user);
	to = put_string(to, order->payment);
	*to++ = (uint8_t)order->item_count;
	for (uint32_t i = 0; i < order->item_count; i++) {
		const struct order_item *item = &order->items[i];

		to = put_bytes(to, item->hold.bytes, ID_BYTES);
		to = put32(to, item->quantity);
		to = put64(to, (uint64_t)item->price_micros);
		to = put_bytes(to, item->currency, 3);
		to = put_string(to, item->sku);
	}
	assert(to - start <= RECORD_ORDER_BYTES_MAX);
	return (size_t)(to - start);
}

static void take_item(struct reader *reader, struct order_item *item)
{
	struct span sku;

	*item = (struct order_item){0};
	take_bytes(reader, item->hold.bytes, ID_BYTES);
	item->quantity = take32(reader);
	item->price_micros = (int64_t)take64(reader);
	take_bytes(reader, item->currency, 3);
	sku = take_string(reader, LINES_NAME_MAX);
	if (!sku.length)
		reader->broken = true;
	else if (!reader->broken)
		memcpy(item->sku, sku.text, sku.length);
}

bool record_order_unpack(const struct id *id, const uint8_t *from, size_t size,
	struct order_item items[ORDER_HOLDS_MAX], struct order_record *ret)
{
	struct reader reader = {from, from + size, false};
	uint8_t truth = take8(&reader);

	*ret = (struct order_record){.id = *id, .truth = truth, .items = items};
	ret->shard = take32(&reader);
	ret->deadline_ms = (int64_t)take64(&reader);
	ret->created_ms = (int64_t)take64(&reader);
	ret->changed_ms = (int64_t)take64(&reader);
	ret->user = take_string(&reader, LINES_NAME_MAX);
	ret->payment = take_string(&reader, PAYMENT_MAX);
	ret->item_count = take8(&reader);
	if (ret->item_count > ORDER_HOLDS_MAX)
		return false;
	for (uint32_t i = 0; i < ret->item_count; i++)
		take_item(&reader, &items[i]);
	return !reader.broken && reader.next == reader.end && truth >= LINE_HELD && truth <= LINE_REFUNDED &&
	       ret->user.length;
}

#define HAS_KEY 1

/* wish, flags, shard, created, ttl, [key]; user, payment; holds of a bind. */
size_t record_decision_pack(const struct order *order, uint8_t *to)
{
	uint32_t holds = order->wish == WISH_BIND ? order->item_count : 0;
	const uint8_t *start = to;

	*to++ = order->wish;
	*to++ = order->keyed ? HAS_KEY : 0;
	to = put32(to, order->shard);
	to = put64(to, (uint64_t)order->created_ms);
	to = put64(to, (uint64_t)order->ttl_ms);
	if (order->keyed)
		to = put_bytes(to, order->key.bytes, sizeof(order->key.bytes));
	to = put_string(to, order->customer->user);
	to = put_string(to, order->payment);
	*to++ = (uint8_t)holds;
	for (uint32_t i = 0; i < holds; i++)
		to = put_bytes(to, order->items[i].hold.bytes, ID_BYTES);
	assert(to - start <= RECORD_DECISION_BYTES_MAX);
	return (size_t)(to - start);
}

bool record_decision_unpack(const struct id *id, const uint8_t *from, size_t size,
	struct id holds[ORDER_HOLDS_MAX], struct order_decision *ret)
{
	struct reader reader = {from, from + size, false};
	uint8_t wish = take8(&reader), flags = take8(&reader);

	*ret = (struct order_decision){.id = *id, .wish = wish, .keyed = flags & HAS_KEY, .holds = holds};
	ret->shard = take32(&reader);
	ret->created_ms = (int64_t)take64(&reader);
	ret->ttl_ms = (int64_t)take64(&reader);
	if (ret->keyed)
		take_bytes(&reader, ret->key.bytes, sizeof(ret->key.bytes));
	ret->user = take_string(&reader, LINES_NAME_MAX);
	ret->payment = take_string(&reader, PAYMENT_MAX);
	ret->hold_count = take8(&reader);
	if (ret->hold_count > ORDER_HOLDS_MAX)
		return false;
	for (uint32_t i = 0; i < ret->hold_count; i++)
		take_bytes(&reader, holds[i].bytes, ID_BYTES);
	return !reader.broken && reader.next == reader.end && wish > WISH_NONE && wish < ORDER_WISHES &&
	       flags <= HAS_KEY && ret->user.length && (wish == WISH_BIND) == (ret->hold_count > 0) &&
	       (wish != WISH_CONFIRM || ret->payment.length);
}

/* ---- moved ---- */

void record_order_place(uint8_t *record, uint32_t inventory_shard)
{
	put32(record + 1, inventory_shard); /* behind its state */
}

void record_decision_place(uint8_t *record, uint32_t inventory_shard)
{
	put32(record + 2, inventory_shard); /* behind wish and flags */
}
