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

/* `meta`: the ledger up to here was told again by a change of the number of shards (inventory/reshard.h). Nothing is missing in it that has a row, but it is no
 * longer what the rules saw: units of holds that were gone are in its rows of goods, deadlines have outages in them, epochs are those of former times. */
#define META_RETOLD "retold"

#endif
