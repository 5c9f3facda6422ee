/* Any bytes as rows of the cart's store: never a crash, and what is read keeps within what the cart's memory takes. The first byte chooses the table. */
#include <assert.h>
#include <string.h>

#include "cart/order_records.h"
#include "cart/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct id id = {{1}};

static void check_span(struct span span, size_t least, size_t most, const uint8_t *data, size_t size)
{
	const uint8_t *text = (const uint8_t *)span.text;

	assert(span.length >= least && span.length <= most);
	assert(!span.length || (text >= data && text + span.length <= data + size));
}

static void hold(const uint8_t *data, size_t size)
{
	uint8_t packed[RECORD_HOLD_BYTES_MAX];
	struct lines lines;
	struct hold hold;
	struct line *line;

	if (!record_hold_unpack(&id, data, size, &hold))
		return;
	check_span(hold.user, 1, LINES_NAME_MAX, data, size);
	check_span(hold.sku, 1, LINES_NAME_MAX, data, size);
	check_span(hold.session, 0, LINES_NAME_MAX, data, size);
	lines_init(&lines, 1, 1);
	line = lines_add(&lines, &hold);
	assert(record_hold_pack(line, packed) <= size);
	lines_release(&lines);
}

static void position(const uint8_t *data, size_t size)
{
	uint8_t packed[RECORD_POSITION_BYTES];
	struct position position;

	if (!record_position_unpack(data, size, &position))
		return;
	record_position_pack(&position, packed);
	assert(size == RECORD_POSITION_BYTES && !memcmp(packed, data, size));
}

static void order(const uint8_t *data, size_t size)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct order_record record;

	if (!record_order_unpack(&id, data, size, items, &record))
		return;
	check_span(record.user, 1, LINES_NAME_MAX, data, size);
	check_span(record.payment, 0, PAYMENT_MAX, data, size);
	for (uint32_t i = 0; i < record.item_count; i++)
		assert(items[i].sku[0] && memchr(items[i].sku, 0, sizeof(items[i].sku)) &&
			!items[i].currency[sizeof(items[i].currency) - 1]);
}

static void decision(const uint8_t *data, size_t size)
{
	struct id holds[ORDER_HOLDS_MAX];
	struct order_decision decision;

	if (!record_decision_unpack(&id, data, size, holds, &decision))
		return;
	check_span(decision.user, 1, LINES_NAME_MAX, data, size);
	check_span(decision.payment, 0, PAYMENT_MAX, data, size);
	assert(decision.hold_count <= ORDER_HOLDS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tables[])(const uint8_t *, size_t) = {hold, position, order, decision};

	if (size)
		tables[data[0] % 4](data + 1, size - 1);
	return 0;
}
