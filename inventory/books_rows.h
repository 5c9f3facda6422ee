/* inventory/books_rows.h - what the files of the books share: the rows in memory and writing them. The writer's thread. */
#ifndef FLASHSALE_INVENTORY_BOOKS_ROWS_H
#define FLASHSALE_INVENTORY_BOOKS_ROWS_H

#include <uthash.h>

#include "inventory/books.h"

struct goods_row {
	struct goods now;
	struct goods committed; /* what a rollback puts back */
	struct goods_row *next_dirty;
	bool dirty;
	UT_hash_handle hh;
};

struct cart_row {
	uint32_t shard;
	struct fence now, committed;
	struct cart_row *next_dirty;
	bool dirty;
	UT_hash_handle hh;
};

struct goods_row *books_row(struct books *books, const void *sku, size_t size, unsigned hash); /* NULL: none */
void books_row_insert(struct books *books, struct goods_row *row); /* the next number */
void books_rows_truncate(struct books *books, uint32_t count);     /* the newest rows go, back to `count` */
struct goods_row *books_row_new(struct books *books, const char *sku);
void books_row_touch(struct books *books, struct goods_row *row); /* it changed in this group */
struct cart_row *books_cart(struct books *books, uint32_t shard);  /* made when it is missing */
void books_cart_touch(struct books *books, struct cart_row *cart);

/* Appends with the next sequence; fills in the time. */
int books_ledger_append(struct books *books, struct ledger_entry *entry);
/* The hold's new state goes to holds, expiry and ledger; its version and sequence are set here. */
int books_write_change(struct books *books, struct hold *hold, struct goods_row *row, uint32_t quantity_before,
	struct bytes payment);
int books_load_hold(struct books *books, const struct id *id, struct hold *ret, struct goods_row **ret_row);
int books_expire_due(struct books *books, int64_t *ret_next_ms);
int books_delete_expiry(struct books *books, const struct hold *hold);
int books_put_expiry(struct books *books, const struct hold *hold);
/* Ends the hold if its deadline has passed, and its order with it. */
int books_settle(struct books *books, struct hold *hold, struct goods_row *row);
/* The hold that a ledger entry has told of first. */
int books_read_created(struct books *books, const struct hold *hold, struct ledger_entry *ret);
/* Of what is not there: NOT_FOUND, or GONE if it may have been. */
enum verdict books_missing_verdict(const struct books *books, const struct id *id);
/* Ends the order whose deadline has passed, with all of its holds. */
int books_expire_order(struct books *books, const struct id *id, uint32_t *ret_holds);

static inline struct bytes books_sku(const struct goods_row *row)
{
	return (struct bytes){row->now.sku, (uint8_t)strlen(row->now.sku)};
}

static inline bool books_same_bytes(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
