/* inventory/reshard_internal.h - between the files of the reshard only. */
#ifndef FLASHSALE_INVENTORY_RESHARD_INTERNAL_H
#define FLASHSALE_INVENTORY_RESHARD_INTERNAL_H

#include "inventory/books.h"
#include "inventory/reshard.h"

/* A row of goods on its way. */
struct reshard_goods {
	struct goods goods; /* as it will be: number, last and kept are those of the new store */
	uint32_t shard;
};

struct reshard_shift {
	uint64_t sequence;
	int64_t total_ms; /* deadlines from here on have been moved by so much */
};

struct reshard_source {
	struct store *store;
	MDB_txn *txn;
	struct reshard_goods *goods; /* by the old number */
	uint32_t goods_count;
	struct reshard_shift *shifts;
	size_t shift_count;
	int64_t last_ms;  /* when it last committed, as people saw it */
	int64_t extra_ms; /* for its live holds: its time stood still for so much longer */
	int64_t shift_ms; /* at the end */

	MDB_cursor *ledger;
	MDB_val key, value;
	struct ledger_entry entry; /* the next to be told */
	uint64_t sequence;	   /* its */
	int64_t now_shift_ms;
	bool over;
};

struct reshard_target {
	struct store *store;
	MDB_txn *txn;
	uint64_t sequence;
	uint32_t goods_count;
};

/* The parts of one order, by new shard. */
struct reshard_parts {
	struct id order; /* zero: of none yet */
	const struct reshard_source *source;
	struct id *ids; /* zero: nothing of it is there */
	uint32_t count;
};

struct reshard {
	const struct reshard_options *options;
	struct reshard_source *sources;
	struct reshard_target *targets;
	struct reshard_result *result;
	uint32_t cart_shards;
	int64_t last_ms;
	struct reshard_parts parts;
	uint32_t written; /* since the last commit */
	const char *bad;  /* what can't be read, for the error */
};

/* reshard_open.c. A failed one is to be closed too. */
int reshard_open(struct reshard *r, const struct reshard_options *options, struct reshard_result *result);
void reshard_close(struct reshard *r);
bool reshard_failed(const struct reshard *r, int rc, struct error *error); /* true: rc is 0 */

uint32_t reshard_shard(const struct reshard *r, const void *sku, size_t size);
uint32_t reshard_cart_shard(const struct reshard *r, const void *user, size_t size);
/* What the deadlines of something that changed last at this entry have come to be moved by. */
int64_t reshard_moved_ms(const struct reshard_source *source, enum hold_state state, uint64_t changed);
int reshard_each(struct reshard *r, struct store *store, MDB_txn *txn, enum books_table table,
	int (*visit)(struct reshard *, void *, const MDB_val *, const MDB_val *), void *context);

/* reshard_orders.c: r->parts is about this order then. MDB_NOTFOUND: it is gone. */
int reshard_parts_of(struct reshard *r, const struct reshard_source *source, const struct id *id,
	struct order *ret_order);
/* Of its items, those of the shard; their number. */
uint32_t reshard_items_on(const struct reshard *r, uint32_t shard, const struct ledger_entry *entry,
	struct order_item items[ORDER_HOLDS_MAX]);
/* Of its holds, those of the shard. */
int reshard_order_on(struct reshard *r, const struct reshard_source *source, uint32_t shard,
	const struct order *whole, struct order *ret);

#endif
