/* inventory/export_rows.h - a row of the store as a JSON object, complete: an import can make the row again. Names as in the contract where it has one; the
 * fields are listed in docs/operations.md. NULL: it can't be made (text that is no UTF-8). Pure. */
#ifndef FLASHSALE_INVENTORY_EXPORT_ROWS_H
#define FLASHSALE_INVENTORY_EXPORT_ROWS_H

#include <jansson.h>

#include "inventory/records.h"

json_t *export_goods(const struct goods *goods, const char *kind);
json_t *export_hold(const struct hold *hold, const char *sku);
json_t *export_order(const struct order *order);
json_t *export_entry(uint64_t sequence, const struct ledger_entry *entry);
json_t *export_fence(uint32_t cart_shard, const struct fence *fence);
json_t *export_request(const struct id *id, const struct adjust_record *record);

#endif
