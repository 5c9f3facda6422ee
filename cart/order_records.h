/* cart/order_records.h - how the cart's store writes an order, as the ledger told of it, and a decision about one, explicit and big-endian.
 *
 * The keys of both are the order's id. They are apart because they are written apart: orders behind the follower, with its position; decisions at
 * once, before anything is asked. Version: the store's format. Pure: any thread. */
#ifndef FLASHSALE_CART_ORDER_RECORDS_H
#define FLASHSALE_CART_ORDER_RECORDS_H

#include "cart/orders.h"

#define RECORD_ORDER_BYTES_MAX (64 + LINES_NAME_MAX + PAYMENT_MAX + ORDER_HOLDS_MAX * (ID_BYTES + 4 + 8 + 3 + 1 + LINES_NAME_MAX))
#define RECORD_DECISION_BYTES_MAX (64 + LINES_NAME_MAX + PAYMENT_MAX + ORDER_HOLDS_MAX * ID_BYTES)

/* Each returns the size; `to` has room for the maximum. Spans of what is unpacked point into the record. False: not a record of this format. */
size_t record_order_pack(const struct order *order, uint8_t *to);
bool record_order_unpack(const struct id *id, const uint8_t *from, size_t size,
	struct order_item items[ORDER_HOLDS_MAX], struct order_record *ret);

/* Another number of inventories: where the order, or what is decided about, is now. */
void record_order_place(uint8_t *record, uint32_t inventory_shard);
void record_decision_place(uint8_t *record, uint32_t inventory_shard);

size_t record_decision_pack(const struct order *order, uint8_t *to);
bool record_decision_unpack(const struct id *id, const uint8_t *from, size_t size,
	struct id holds[ORDER_HOLDS_MAX], struct order_decision *ret);

#endif
