/* cart/entries.h - inventory's ledger entries in the domain's form. Pure: any thread. */
#ifndef FLASHSALE_CART_ENTRIES_H
#define FLASHSALE_CART_ENTRIES_H

#include "cart/orders.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"

/* Texts point into the message. What concerns other cart shards becomes ENTRY_OTHER. False: it can't be understood. */
bool entry_read(const Inventory__LedgerEntry *message, uint32_t cart_shard, struct entry *ret);

/* Of an ENTRY_ORDER; ret->items is `items`. False: it can't be understood. */
bool entry_read_order(
	const Inventory__LedgerEntry *message, struct order_item items[ORDER_HOLDS_MAX], struct order_entry *ret);
bool order_items_read(Inventory__OrderItem *const *from, size_t count, struct order_item items[ORDER_HOLDS_MAX]);

#endif
