/* The stock of every SKU on sale, for those who watch it. */
#include "inventory/inventory.h"

#define ITEMS_MAX 1024
#define REMOVED_MAX 1024 /* rows are never removed */

struct watch_board *stock_board_new(const struct id *incarnation)
{
	return watch_board_new(
		&inventory__watch_stock_response__descriptor, incarnation, ITEMS_MAX, REMOVED_MAX);
}

void stock_show(struct watch_board *board, const struct goods *goods)
{
	Inventory__StockMark mark = INVENTORY__STOCK_MARK__INIT;

	mark.sku = (char *)(uintptr_t)goods->sku;
	mark.available = (uint64_t)goods->available;
	mark.closed = goods->closed;
	watch_board_put(board, goods->sku, &mark.base);
}
