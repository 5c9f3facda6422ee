/* Any bytes as rows of inventory's store: never a crash, and what is read, once written, is read again as the same bytes. The first byte chooses
 * the table, the rest is the value; its first 16 bytes are the key too. */
#include <assert.h>
#include <string.h>

#include "inventory/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t packed[LEDGER_RECORD_MAX], again[LEDGER_RECORD_MAX];

static void same(size_t size, size_t again_size)
{
	assert(size == again_size && !memcmp(packed, again, size));
}

static void goods(const uint8_t *key, const uint8_t *data, size_t size)
{
	struct goods goods, copy;

	if (!goods_unpack(data, size, key, ID_BYTES, &goods))
		return;
	size = goods_pack(&goods, packed);
	assert(goods_unpack(packed, size, goods.sku, strlen(goods.sku), &copy));
	same(size, goods_pack(&copy, again));
}

static void hold(const uint8_t *key, const uint8_t *data, size_t size)
{
	struct hold hold, copy;

	if (!hold_unpack(data, size, key, ID_BYTES, &hold))
		return;
	size = hold_pack(&hold, packed);
	assert(hold_unpack(packed, size, hold.id.bytes, ID_BYTES, &copy));
	same(size, hold_pack(&copy, again));
}

static void order(const uint8_t *key, const uint8_t *data, size_t size)
{
	struct order order, copy;

	if (!order_unpack(data, size, key, ID_BYTES, &order))
		return;
	size = order_pack(&order, packed);
	assert(order_unpack(packed, size, order.id.bytes, ID_BYTES, &copy));
	same(size, order_pack(&copy, again));
}

static void adjustment(const uint8_t *data, size_t size)
{
	struct adjust_record record, copy;

	if (!adjust_unpack(data, size, &record))
		return;
	size = adjust_pack(&record, packed);
	assert(adjust_unpack(packed, size, &copy));
	same(size, adjust_pack(&copy, again));
}

static void fence_and_expiry(const uint8_t *data, size_t size)
{
	struct fence fence;
	int64_t deadline_ms;
	struct id id;

	if (fence_unpack(data, size, &fence))
		assert(fence_pack(&fence, packed) == size && !memcmp(packed, data, size));
	if (expiry_key_unpack(data, size, &deadline_ms, &id)) {
		expiry_key_pack(deadline_ms, &id, packed);
		assert(!memcmp(packed, data, size));
	}
}

static void ledger(const uint8_t *data, size_t size)
{
	struct order_item items[ORDER_HOLDS_MAX];
	struct ledger_entry entry, copy;
	enum ledger_kind kind;
	uint32_t cart_shard, count = 0;
	size_t at = 0;

	if (!ledger_unpack(data, size, &entry))
		return;
	assert(ledger_peek(data, size, &kind, &cart_shard));
	assert(kind == entry.kind && cart_shard == entry.cart_shard);
	if (entry.kind == LEDGER_ORDER_CHANGED) {
		while (count < ORDER_HOLDS_MAX && ledger_order_item(&entry, &at, &items[count]))
			count++;
		assert(count == entry.order.item_count);
		entry.order.items = items;
	}
	size = ledger_pack(&entry, packed);
	assert(ledger_unpack(packed, size, &copy));
	if (entry.kind == LEDGER_ORDER_CHANGED)
		copy.order.items = items;
	same(size, ledger_pack(&copy, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t key[ID_BYTES] = {0};

	if (size < 1)
		return 0;
	memcpy(key, data + 1, size - 1 < ID_BYTES ? size - 1 : ID_BYTES);
	switch (data[0] % 6) {
	case 0:
		goods(key, data + 1, size - 1);
		break;
	case 1:
		hold(key, data + 1, size - 1);
		break;
	case 2:
		order(key, data + 1, size - 1);
		break;
	case 3:
		adjustment(data + 1, size - 1);
		break;
	case 4:
		fence_and_expiry(data + 1, size - 1);
		break;
	case 5:
		ledger(data + 1, size - 1);
		break;
	}
	return 0;
}
