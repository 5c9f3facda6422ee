/* inventory/books_table.h - the tables of the store, in the order of store->tables. */
#ifndef FLASHSALE_INVENTORY_BOOKS_TABLE_H
#define FLASHSALE_INVENTORY_BOOKS_TABLE_H

enum books_table {
	TABLE_GOODS,
	TABLE_HOLDS,
	TABLE_EXPIRY,
	TABLE_LEDGER,
	TABLE_FENCES,
	TABLE_REQUESTS,
	TABLE_ORDERS,
	TABLE_COUNT
};

#endif
