/* cart/records.c - see records.h. */
#include "cart/records.h"

#include <assert.h>

#include "cart/packing.h"

#define HAS_KEY 1
#define HAS_ORDER 2
#define HAS_ENDED 4

/* flags, state, quantity, version, deadline, created, price; then [ended], [key, fingerprint], [order]; user, SKU, session. */
size_t record_hold_pack(const struct line *line, uint8_t *to)
{
	bool bound = !id_is_zero(&line->order), ended = line->state > LINE_SOLD;
	const uint8_t *start = to;

	*to++ = (uint8_t)((line->keyed ? HAS_KEY : 0) | (bound ? HAS_ORDER : 0) | (ended ? HAS_ENDED : 0));
	*to++ = line->state;
	to = put32(to, line->quantity);
	to = put64(to, line->version);
	to = put64(to, (uint64_t)line->deadline_ms);
	to = put64(to, (uint64_t)line->created_ms);
	to = put64(to, (uint64_t)line->price_micros);
	if (ended)
		to = put64(to, (uint64_t)line->ended_ms);
	if (line->keyed) {
		to = put_bytes(to, line->key.bytes, sizeof(line->key.bytes));
		to = put_bytes(to, line->fingerprint.bytes, sizeof(line->fingerprint.bytes));
	}
	if (bound)
		to = put_bytes(to, line->order.bytes, ID_BYTES);
	to = put_text(to, line->usage->person->user, line->usage->person->length);
	to = put_text(to, line->usage->goods->sku, line->usage->goods->length);
	to = put_text(
		to, line->session ? line->session->text : "", line->session ? line->session->length : 0);
	assert(to - start <= RECORD_HOLD_BYTES_MAX);
	return (size_t)(to - start);
}

bool record_hold_unpack(const struct id *id, const uint8_t *from, size_t size, struct hold *ret)
{
	struct reader reader = {from, from + size, false};
	uint8_t flags = take8(&reader), state = take8(&reader);

	*ret = (struct hold){.id = *id, .state = state, .keyed = flags & HAS_KEY};
	ret->quantity = take32(&reader);
	ret->version = take64(&reader);
	ret->deadline_ms = (int64_t)take64(&reader);
	ret->created_ms = (int64_t)take64(&reader);
	ret->price_micros = (int64_t)take64(&reader);
	if (flags & HAS_ENDED)
		ret->ended_ms = (int64_t)take64(&reader);
	if (ret->keyed) {
		take_bytes(&reader, ret->key.bytes, sizeof(ret->key.bytes));
		take_bytes(&reader, ret->fingerprint.bytes, sizeof(ret->fingerprint.bytes));
	}
	if (flags & HAS_ORDER)
		take_bytes(&reader, ret->order.bytes, ID_BYTES);
	ret->user = take_text(&reader);
	ret->sku = take_text(&reader);
	ret->session = take_text(&reader);
	return !reader.broken && reader.next == reader.end && state >= LINE_HELD && state <= LINE_REFUNDED &&
	       (state > LINE_SOLD) == !!(flags & HAS_ENDED) && flags <= (HAS_KEY | HAS_ORDER | HAS_ENDED) &&
	       ret->quantity && ret->user.length && ret->sku.length;
}

void record_position_pack(const struct position *position, uint8_t to[RECORD_POSITION_BYTES])
{
	to = put_bytes(to, position->lineage.bytes, ID_BYTES);
	to = put64(to, position->sequence);
	to = put64(to, position->epoch);
	to = put64(to, (uint64_t)position->moved_ms);
	put64(to, position->floor);
}

bool record_position_unpack(const uint8_t *from, size_t size, struct position *ret)
{
	struct reader reader = {from, from + size, size != RECORD_POSITION_BYTES};

	take_bytes(&reader, ret->lineage.bytes, ID_BYTES);
	ret->sequence = take64(&reader);
	ret->epoch = take64(&reader);
	ret->moved_ms = (int64_t)take64(&reader);
	ret->floor = take64(&reader);
	return !reader.broken;
}
