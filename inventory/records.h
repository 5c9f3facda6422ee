/* inventory/records.h - how the rows of the store look: explicit little-endian, every size checked, no alignment assumed.
 *
 * Keys: goods: the SKU's text; holds: the 16 bytes of the id; expiry: deadline (big-endian) and id; ledger: sequence (big-endian); fences: cart shard
 * (big-endian); orders: the 16 bytes of the id; requests: the 16 bytes of the id, and sequence (big-endian) to id. Unpacking returns false for bytes that this format could not have written: a damaged store.
 * The layout is INVENTORY_FORMAT; a change of it is another number.
 * Pure: any thread. */
#ifndef FLASHSALE_INVENTORY_RECORDS_H
#define FLASHSALE_INVENTORY_RECORDS_H

#include <stddef.h>

#include "inventory/engine.h"

#define INVENTORY_FORMAT 3

#define GOODS_RECORD_BYTES 88
#define HOLD_RECORD_BYTES 50
#define HOLD_RECORD_MAX (HOLD_RECORD_BYTES + ID_BYTES)
#define EXPIRY_KEY_BYTES (8 + ID_BYTES)
#define FENCE_RECORD_BYTES (8 + 8 + INSTANCE_BYTES + 8 + 8 + ID_BYTES + 1)
#define REQUEST_RECORD_MAX (8 + 1 + SKU_MAX + GOODS_RECORD_BYTES)
#define ORDER_RECORD_MAX (1 + 4 + 8 + 8 + 8 + 1 + PAYMENT_MAX + 2 + ORDER_HOLDS_MAX * ID_BYTES)
#define ORDER_ITEM_MAX (ID_BYTES + 4 + 8 + 3 + 1 + SKU_MAX)
#define LEDGER_RECORD_MAX (512 + ORDER_HOLDS_MAX * ORDER_ITEM_MAX)
#define LEDGER_NO_CART UINT32_MAX

/* goods: the key gives the SKU. */
size_t goods_pack(const struct goods *goods, uint8_t to[GOODS_RECORD_BYTES]);
bool goods_unpack(const void *from, size_t size, const void *sku, size_t sku_size, struct goods *ret);

size_t hold_pack(const struct hold *hold, uint8_t to[HOLD_RECORD_MAX]);
bool hold_unpack(const void *from, size_t size, const void *id, size_t id_size, struct hold *ret);

void expiry_key_pack(int64_t deadline_ms, const struct id *id, uint8_t to[EXPIRY_KEY_BYTES]);
bool expiry_key_unpack(const void *from, size_t size, int64_t *ret_deadline_ms, struct id *ret_id);

size_t order_pack(const struct order *order, uint8_t to[ORDER_RECORD_MAX]);
bool order_unpack(const void *from, size_t size, const void *id, size_t id_size, struct order *ret);

size_t fence_pack(const struct fence *fence, uint8_t to[FENCE_RECORD_BYTES]);
bool fence_unpack(const void *from, size_t size, struct fence *ret);

/* What AdjustStock remembers: what was asked, and the row that it answered with. */
struct adjust_record {
	int64_t change;
	struct goods result;
};
size_t adjust_pack(const struct adjust_record *record, uint8_t to[REQUEST_RECORD_MAX]);
bool adjust_unpack(const void *from, size_t size, struct adjust_record *ret);

/* A piece of text or bytes; when unpacked it points into the record. Not terminated. */
struct bytes {
	const void *data;
	uint8_t size;
};

enum ledger_kind {
	LEDGER_HOLD_CREATED = 1,
	LEDGER_HOLD_CHANGED,
	LEDGER_GOODS_CHANGED,
	LEDGER_CART_FENCED,
	LEDGER_INCARNATION,
	LEDGER_ORDER_CHANGED,
	LEDGER_GOODS_ARCHIVED
};

/* One change of the books. Times and deadlines in the ledger are external ones, as they were when the entry was written: what a reader gets for
 * an entry never depends on when it asks. */
struct ledger_entry {
	enum ledger_kind kind;
	uint32_t cart_shard; /* LEDGER_NO_CART: concerns none, or all */
	int64_t time_ms;
	union {
		struct {
			struct id id;
			uint32_t quantity;
			int64_t deadline_ms;
			int64_t price_micros;
			uint64_t epoch;
			char currency[4];
			struct bytes sku, user, session, key_hash, fingerprint;
		} created;
		struct {
			struct id id, order;
			enum hold_state state;
			uint32_t quantity, quantity_before, version;
			int64_t deadline_ms;
			struct bytes sku, payment;
		} changed;
		struct goods goods;
		struct {
			uint64_t epoch;
			uint32_t cart_shards;
			uint8_t instance[INSTANCE_BYTES];
		} fenced;
		struct {
			uint64_t number;
			int64_t moved_ms;
		} incarnation;
		struct {
			struct bytes sku;
			uint64_t units;
		} archived;
		struct {
			struct id id;
			enum hold_state state;
			int64_t deadline_ms;
			struct bytes user, payment;
			uint32_t item_count;            /* 0 unless HELD */
			const struct order_item *items; /* to pack */
			const uint8_t *packed_items;    /* when unpacked: for ledger_order_item */
			size_t packed_size;
		} order;
	};
};
size_t ledger_pack(const struct ledger_entry *entry, uint8_t to[LEDGER_RECORD_MAX]);
bool ledger_unpack(const void *from, size_t size, struct ledger_entry *ret);
/* The items of an unpacked order's entry, one after the other; *at begins as 0. False: there are no more. */
bool ledger_order_item(const struct ledger_entry *entry, size_t *at, struct order_item *ret);
/* Only kind and cart shard, for filters. */
bool ledger_peek(const void *from, size_t size, enum ledger_kind *ret_kind, uint32_t *ret_cart_shard);

#endif
