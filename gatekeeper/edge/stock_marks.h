/* gatekeeper/edge/stock_marks.h - what inventory last said of each SKU's stock: sold out, or taken off sale.
 *
 * Marks only ever reject early, so they say nothing about a SKU that they do not know. Each shard's marks come by a stream of its own; whether that stream is
 * heard is the caller's to look at (rpc/follower.h). Bounded: past STOCK_MARKS_MAX a SKU is not marked.
 * Threads: applied on the loop, read from any; one mutex inside. */
#ifndef FLASHSALE_EDGE_STOCK_MARKS_H
#define FLASHSALE_EDGE_STOCK_MARKS_H

#include <stdbool.h>

#include "flashsale/inventory/v1/inventory.pb-c.h"

#define STOCK_MARKS_MAX 1000000

enum stock_mark { STOCK_UNKNOWN, STOCK_AVAILABLE, STOCK_SOLD_OUT, STOCK_CLOSED };

struct stock_marks;
struct stock_marks *stock_marks_new(uint32_t shards);
void stock_marks_free(struct stock_marks *marks);

void stock_marks_apply(
	struct stock_marks *marks, int32_t shard, const Inventory__WatchStockResponse *message);
enum stock_mark stock_marks_get(struct stock_marks *marks, const char *sku);

#endif
