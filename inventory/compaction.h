/* inventory/compaction.h - what keeps the store from growing: the floor, a ledger sequence below which only what still matters is kept.
 *
 * The floor moves forward over the ledger, entry by entry, in bounded steps of the tick. It stops at an entry that is younger than the retention, at one that a
 * registered follower (a cart shard that has fenced) has not stored yet, and at a HOLD_CREATED whose hold is HELD, or ended unsold for less than the
 * retention. So each hold whose first entry is at or below the floor has ended, and:
 *  - a hold that ended unsold is gone, row and entries; one that is in an order goes together with the order and all its holds;
 *  - SOLD and REFUNDED holds and orders keep everything;
 *  - of GOODS_CHANGED the newest of each SKU is kept, of CART_FENCED the newest of each cart shard, and INCARNATION always;
 *  - what AdjustStock remembers goes with its GOODS_CHANGED.
 * Above the floor the ledger has no gaps, below it is sparse. A reader begins at 0, or is above the floor, or has been below it all the time.
 *
 * What is absent and not above the greatest id that was dropped of its cart shard (struct fence: removed) is answered with GONE: a create of such an id
 * is refused, for it may have lived and ended. A cart's ids ascend, so each cart shard has a mark of its own, and the clock of one locks out no other.
 * Threads: the writer's, but for compaction_read_floor and what is _Atomic. */
#ifndef FLASHSALE_INVENTORY_COMPACTION_H
#define FLASHSALE_INVENTORY_COMPACTION_H

#include <lmdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

#include "inventory/books_table.h"

struct books;
struct store;

/* A small retention is for tests: a create that waits for longer than it is refused. */
#define RETENTION_MIN_MS 0
#define RETENTION_MAX_MS (366 * 24 * INT64_C(3600000))

enum compaction_stop {
	COMPACTION_MORE,     /* the step was used up */
	COMPACTION_HEAD,     /* everything was passed */
	COMPACTION_YOUNG,    /* the next entry, or the end of its hold, is younger than the retention */
	COMPACTION_LIVE,     /* the next entry's hold is HELD */
	COMPACTION_FOLLOWER, /* a cart shard has not stored the next entry */
	COMPACTION_STOPS
};

struct compaction {
	uint64_t floor, committed_floor;
	_Atomic uint64_t shown_floor; /* as committed; any thread */
	int64_t next_ms;              /* not before */
	enum compaction_stop stop;    /* why the last step ended */
	uint32_t behind;              /* COMPACTION_FOLLOWER: which cart shard */
	uint64_t dropped;             /* entries, in this group */
};

/* Reads what the store has. */
int compaction_load(struct books *books, MDB_txn *txn);
/* One step within the group under way. *ret_next_ms: when it wants the next. */
int compaction_step(struct books *books, int64_t *ret_next_ms);
void compaction_committed(struct books *books);
void compaction_rolled_back(struct books *books);

/* Drops a row of a hold or an order and raises the mark of its cart shard. */
int compaction_drop_row(struct books *books, enum books_table table, uint32_t cart_shard, const struct id *id);

/* Whether something absent with this id may have been there once. cart_shard UINT32_MAX: of whatever cart. */
bool compaction_may_be_gone(const struct books *books, uint32_t cart_shard, const struct id *id);

/* In a read transaction of the caller's. */
int compaction_read_floor(struct store *store, MDB_txn *txn, uint64_t *ret);
/* Up to where the ledger can't be held against every rule: the floor, or META_RETOLD if that is greater. */
int compaction_read_loose(struct store *store, MDB_txn *txn, uint64_t *ret);

#endif
