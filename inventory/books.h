/* inventory/books.h - the store of one inventory shard, and the engine run on it.
 *
 * Tables (layout: inventory/records.h): goods, holds, expiry (deadline and id of each HELD hold), ledger (every change, in sequence; what is dropped of it: inventory/compaction.h), fences (cart
 * shards' epochs and positions), requests (AdjustStock's ids), orders (their state and holds). `meta` has the time. All goods and fences are in memory; a goods row is written once a group, at its
 * end; holds, expiry and ledger are written as the commands come, through cursors that live as long as the transaction.
 * Group: books_tick (begins it, and expires), commands, books_finish, then books_committed or books_rollback, which puts memory back to the last
 * commit. That is the writer's order (base/writer.h), and the only one.
 * A command returns 0 or LMDB's error; its verdict is in its answer. On a no nothing was written, but for one thing: who touches a hold past its
 * deadline ends it, so that "expired" is as durable as any answer.
 * Threads: all of it on the writer's thread, but books_open and books_close (before and after it) and what says otherwise. */
#ifndef FLASHSALE_INVENTORY_BOOKS_H
#define FLASHSALE_INVENTORY_BOOKS_H

#include <stdatomic.h>

#include "base/store.h"
#include "inventory/archive.h"
#include "inventory/books_table.h"
#include "inventory/compaction.h"
#include "inventory/engine.h"
#include "inventory/records.h"
#include "inventory/time.h"

#define GOODS_COUNT_MAX 1000000u

/* What a store of ours is; the caller fills directory, shard, shards and map_bytes. */
extern const struct store_options books_store_options;
extern const char *const books_tables[TABLE_COUNT];

struct goods_row;
struct cart_row;

/* Changes of a group, added up; readers see them after the commit. */
struct books_counts {
	int64_t granted, repeated, released, confirmed, resized, expired, refunded; /* holds */
	int64_t dropped;                                                            /* ledger entries */
	int64_t bound, paid, cancelled, overdue, taken_back;                        /* orders */
	int64_t refused[VERDICT_COUNT];
};

struct books_options {
	const struct clock_source *clock;
	int64_t hold_ttl_ms;         /* of goods that do not say */
	int64_t outage_grace_max_ms;
	uint32_t expiry_step;        /* holds that one tick may end */
	int64_t retention_ms;        /* what ended unsold is kept for so long */
	uint32_t compaction_step;    /* entries that one tick may pass; 0: nothing is ever dropped */
	/* After a commit, on the writer's thread; each may be NULL. */
	void (*goods_changed)(void *context, const struct goods *goods); /* once a row and group */
	void (*published)(void *context, uint64_t head, const struct books_counts *counts);
	void (*clock_moved)(void *context, int64_t drift_ms); /* the wall clock was set; also without a commit */
	void *context;
};

struct books {
	struct store *store;
	struct books_options options;
	struct inventory_time time;
	struct compaction compaction;
	struct archive archive, committed_archive;
	int64_t archive_next_ms;
	_Atomic uint64_t head; /* last committed sequence; any thread */

	struct goods_row *by_sku;   /* uthash */
	struct goods_row **rows;    /* by number */
	uint32_t row_count, row_room, committed_row_count;
	struct goods_row *dirty;
	struct cart_row *carts;     /* uthash, by shard */
	struct cart_row *dirty_carts;
	uint32_t cart_shards;       /* as the first fence said; 0: none yet */
	uint32_t committed_cart_shards;

	/* The group under way. */
	MDB_txn *txn;
	MDB_cursor *holds, *expiry, *ledger;
	int64_t now_ms;
	int64_t group_ns;           /* CLOCK_MONOTONIC at its start, for items' own deadlines */
	uint64_t sequence, committed_sequence;
	bool wrote;
	struct books_counts counts;

	int64_t last_ms;            /* last time given out: never back */
	int64_t kept_ms;            /* last time committed */
	int64_t told_drift_ms;
	bool full;                  /* no room for new holds */
	int64_t live_holds;         /* at the last look at the room */
	int64_t room_checked_ms;
	uint32_t room_groups;       /* groups since it was checked */
	int64_t room_granted;       /* holds since then */
};

/* Reads everything, commits the incarnation's ledger entry durably. The store stays the caller's and must outlive the books. */
struct books *books_open(struct store *store, const struct books_options *options, struct error *error);
void books_close(struct books *books); /* NULL is fine */

/* The writer's hooks; `domain` is the struct books. */
int64_t books_now_ms(void *domain);
int books_tick(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed);
int books_finish(void *domain, MDB_txn *txn, int64_t now_ms);
void books_rollback(void *domain);
void books_committed(void *domain);

/* Who sends commands about holds. Not `given`: an operator, who needs no epoch. */
struct sender {
	bool given;
	uint32_t cart_shard, cart_shards;
	uint64_t epoch;
	uint8_t instance[INSTANCE_BYTES];
};
/* Once a call: STALE_EPOCH, WRONG_SHARD, or yes. */
enum verdict books_check_sender(const struct books *books, const struct sender *sender);

struct hold_request {
	struct id id;
	struct bytes sku, user, session, key_hash, fingerprint; /* not terminated; valid while the command lives */
	unsigned sku_hash;   /* books_sku_hash */
	uint32_t quantity;
	int64_t ttl_ms;      /* 0: as the goods say */
	int64_t deadline_ns; /* of the item, CLOCK_MONOTONIC: refused when applied later; INT64_MAX: none */
};
struct hold_answer {
	enum verdict verdict;
	enum hold_state state;  /* this and the rest: only if the verdict is a yes */
	uint32_t quantity;
	uint32_t version;
	int64_t deadline_ms;    /* external */
	int64_t price_micros;
	uint64_t sequence;
	int64_t remaining;      /* available of the SKU after it */
};
unsigned books_sku_hash(const void *sku, size_t size); /* any thread */
int books_create_hold(struct books *books, const struct sender *sender, const struct hold_request *request,
	struct hold_answer *ret);
int books_release_hold(struct books *books, const struct id *id, struct hold_answer *ret);
int books_confirm_hold(struct books *books, const struct id *id, struct bytes payment, struct hold_answer *ret);
int books_resize_hold(struct books *books, const struct id *id, uint32_t quantity, struct hold_answer *ret);

/* Commands about orders: the rules are the engine's (inventory/engine.h), all holds at once. */
struct order_answer {
	enum verdict verdict;
	struct id bad;          /* BIND refused: the first hold that does not fit; zero: it is not about one */
	enum hold_state state;  /* 0: there is no such order, and nothing of the rest */
	int64_t deadline_ms;    /* external */
	uint64_t sequence;
	char payment[PAYMENT_MAX + 1];
	uint32_t item_count;    /* 0 unless the verdict is a yes */
	struct order_item items[ORDER_HOLDS_MAX];
};
struct bind_request {
	struct id order;
	struct bytes user;
	uint32_t hold_count;
	struct id holds[ORDER_HOLDS_MAX]; /* each once */
	int64_t ttl_ms;                   /* 0: as the goods say */
};
int books_bind_order(struct books *books, const struct sender *sender, const struct bind_request *request,
	struct order_answer *ret);
int books_confirm_order(struct books *books, const struct id *id, struct bytes payment, struct order_answer *ret);
int books_release_order(struct books *books, const struct id *id, struct order_answer *ret);
int books_refund_order(struct books *books, const struct id *id, struct order_answer *ret);

/* What a cart has stored of the ledger: of this lineage, up to there. Zero: it has heard of none yet. */
struct stored_ledger {
	struct id lineage;
	uint64_t position;
};
struct fence_answer {
	enum verdict verdict; /* YES, REPEATED; STALE_EPOCH: `fence` is what is in force; WRONG_SHARD: another number of cart shards;
	                         LINEAGE_CHANGED */
	struct fence fence;
};
int books_fence(struct books *books, const struct sender *sender, const struct stored_ledger *stored,
	struct fence_answer *ret);

/* Followers. YES, REPEATED; STALE_EPOCH, WRONG_SHARD, LINEAGE_CHANGED; INVALID: that is beyond the head. */
int books_acknowledge(struct books *books, const struct sender *sender, const struct stored_ledger *stored,
	enum verdict *ret);
/* The cart shard is waited for no longer, and its epoch is not in force. YES, REPEATED; NOT_FOUND. *ret_fence: as it is. */
int books_unregister(struct books *books, uint32_t cart_shard, enum verdict *ret, struct fence *ret_fence);

/* Commands about goods: on a yes *ret is the row. VERDICT_STORE_FULL, WRONG_SHARD and the engine's. */
struct goods_answer {
	enum verdict verdict;
	struct goods goods;
};
int books_open_goods(struct books *books, const char *sku, const struct goods_terms *terms, struct goods_answer *ret);
int books_update_goods(struct books *books, const char *sku, const struct goods_update *update, struct goods_answer *ret);
int books_close_goods(struct books *books, const char *sku, struct goods_answer *ret);
int books_adjust_goods(struct books *books, const char *sku, int64_t change, const struct id *request,
	struct goods_answer *ret);

static inline MDB_val books_value(const void *data, size_t size)
{
	return (MDB_val){size, (void *)(uintptr_t)data};
}

/* Reads, in a read transaction of the caller's; any thread. 0, MDB_NOTFOUND or an error. */
int books_read_goods(struct store *store, MDB_txn *txn, const char *sku, struct goods *ret);
int books_read_hold(struct store *store, MDB_txn *txn, const struct id *id, struct hold *ret);
int books_read_order(struct store *store, MDB_txn *txn, const struct id *id, struct order *ret);
/* What it points to is valid while the transaction is. */
int books_read_ledger(struct store *store, MDB_txn *txn, uint64_t sequence, struct ledger_entry *ret);

#endif
