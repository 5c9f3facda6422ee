/* inventory/archive.h - what is sold is kept for ever, unless its sale is archived: exported, then dropped.
 *
 * A sale is a set of goods. It can be archived when all of them are closed, nothing of them is HELD, the floor (inventory/compaction.h) has passed their last
 * entries, and no order has other goods besides: an order and its holds are one. Then nothing of it changes any more: each row's `last` entry is what it was
 * when it was exported, which archive_begin checks.
 * It goes in bounded steps of the tick, each a part of the group's transaction: first the rows of holds and orders, while the goods' rows count their
 * units as `archived`; then their entries in the ledger; at the end a GOODS_ARCHIVED for each SKU. The goods' rows stay, with `sold` in total: so
 * sold = units of SOLD holds + archived, at every commit. How far it is stands in `meta`: a restart goes on. One sale at a time.
 * Meanwhile the goods can't be opened again, and an order of theirs can't be refunded.
 * Threads: the writer's, but for archive_read. */
#ifndef FLASHSALE_INVENTORY_ARCHIVE_H
#define FLASHSALE_INVENTORY_ARCHIVE_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "inventory/engine.h"

#define ARCHIVE_GOODS_MAX 16

struct books;
struct store;

enum archive_phase { ARCHIVE_NONE, ARCHIVE_ROWS, ARCHIVE_ENTRIES };

struct archive {
	enum archive_phase phase;
	uint32_t count;
	uint32_t numbers[ARCHIVE_GOODS_MAX]; /* of the goods */
	int64_t units[ARCHIVE_GOODS_MAX];    /* dropped so far */
	struct id after;                     /* ROWS: up to this hold it is done */
	uint64_t sequence, end;              /* ENTRIES: up to here it is done; all up to `end` is to be */
};

/* What to archive: as it was exported. */
struct archive_request {
	uint32_t count;
	char skus[ARCHIVE_GOODS_MAX][SKU_MAX + 1];
	uint64_t lasts[ARCHIVE_GOODS_MAX];
};
/* Why these goods can't be archived, for a person; NULL: they can. */
const char *archive_obstacle(const struct goods *goods, uint64_t floor);
/* YES; UNKNOWN_SKU, WRONG_STATE, ARCHIVING (another one, or this one), VERSION_MISMATCH (it has changed since). *ret_bad: which of the goods. */
int archive_begin(struct books *books, const struct archive_request *request, enum verdict *ret, uint32_t *ret_bad);
bool archive_has(const struct archive *archive, uint32_t number);

int archive_load(struct books *books, MDB_txn *txn);
int archive_step(struct books *books, int64_t *ret_next_ms);
void archive_committed(struct books *books);
void archive_rolled_back(struct books *books);

/* In a read transaction of the caller's. */
int archive_read(struct store *store, MDB_txn *txn, struct archive *ret);

#endif
