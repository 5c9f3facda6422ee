/* tests/simulation/model.h - what must be true, told by somebody else.
 *
 * The model shares no rule with the code under test. It is fed with what is beyond doubt: each committed entry of the ledgers, each intent of a cart
 * (the limit that came with an add), each answer when it leaves inventory, and each word that a shopper hears. From these it keeps its
 * own books and ends the run at the first contradiction to the promises of design, section 2. */
#ifndef FLASHSALE_TESTS_SIMULATION_MODEL_H
#define FLASHSALE_TESTS_SIMULATION_MODEL_H

#include "wire.h"

/* Numbers as in the contract's HoldState. */
#define MODEL_PAYMENTS 4 /* references that somebody may report, from 1 */

enum model_state { MODEL_NONE, MODEL_HELD, MODEL_SOLD, MODEL_RELEASED, MODEL_EXPIRED, MODEL_REFUNDED };

struct model_hold {
	struct id id;
	bool intended, created; /* a cart asked for it; the ledger has it */
	bool gone;              /* it ended unsold, and its record was dropped; or */
	bool archived;          /* its sale was archived: gone too */
	bool lost;              /* lived before, and no cart remembers it */
	bool lived_before;      /* its store was restored: some remember more of it than the books do */
	bool keyed;
	struct hash128 key, fingerprint;
	uint32_t user, sku, shard, cart, asked, quantity, limit; /* asked: the units at first; limit UINT32_MAX: none */
	uint32_t version, payment;
	enum model_state state;
	uint64_t sequence;       /* of its last entry */
	int64_t deadline_ms;     /* without the shard's moves */
	int64_t ended_ms, price_micros;
	struct id order;         /* that has it; zero: none */
	struct model_hold *next; /* of one key */
	/* who waits for it, by what they were told */
	uint32_t waiting, told_no, told_else;
};

/* Who asked for something to happen to an order, by what they were told. */
struct model_wish {
	uint32_t waiting, told_no, told_else;
};

struct model_order {
	struct id id;
	struct model_order *next; /* of its slot */
	bool intended, created;   /* a cart asked for it; the ledger has it */
	bool lived_before, gone, archived; /* as of holds */
	uint32_t user, cart, shard, payment, hold_count;
	struct id *holds;
	int64_t ttl_ms;           /* 0: as the goods say */
	enum model_state state;
	int64_t deadline_ms;      /* without the shard's moves */
	uint64_t bound, sequence; /* of its first and its last entry */
	struct model_wish cancel, refund, pay[MODEL_PAYMENTS];
};

struct model_item {
	struct id hold;
	uint32_t sku, quantity;
	int64_t price_micros;
};

/* One entry of a ledger. */
struct model_entry {
	enum { MODEL_CREATED, MODEL_CHANGED, MODEL_GOODS, MODEL_FENCED, MODEL_INCARNATION, MODEL_ORDER, MODEL_ARCHIVED } kind;
	uint64_t sequence;
	int64_t time_ms;
	uint32_t cart, user, sku, quantity, quantity_before, version, payment;
	struct id id, order; /* order: that a changed hold is part of */
	enum model_state state;
	int64_t deadline_ms, price_micros;
	uint32_t item_count;
	const struct model_item *items; /* of an order that is new */
	uint64_t epoch;
	bool keyed;
	struct hash128 key, fingerprint;
	struct id instance;
	int64_t stock, available, held, sold; /* of goods */
	int64_t units; /* archived */
	bool closed;
	uint64_t goods_version;
	int64_t moved_ms;
};

struct model_row {
	bool exists, closed;
	int64_t stock, available, held, sold, price_micros, archived;
	uint64_t version;
};

void model_begin(void);
void model_end(void);

/* A commit of a shard: its entries, then the rows as the store has them now. */
void model_commit_begin(uint32_t shard);
void model_entry(uint32_t shard, const struct model_entry *entry);
void model_row(uint32_t shard, uint32_t sku, const struct model_row *row);
void model_commit_end(uint32_t shard); /* after its entries: an order is never half moved */
uint64_t model_head(uint32_t shard);
/* How far the ledger is sparse now, at this time of inventory's (INT64_MIN: not known). With the commit that made it so, before its entries. */
void model_compacted(uint32_t shard, uint64_t floor, int64_t now_ms);
uint64_t model_floor(uint32_t shard);
bool model_kept(uint32_t shard, uint64_t sequence); /* this entry is still in the ledger */
/* A cart tells inventory what it has stored of this lineage's ledger; checked that it has is elsewhere. */
void model_stored(uint32_t shard, const struct wire_sender *sender, const struct id *lineage, uint64_t position);
void model_lineage(uint32_t shard, const struct id *lineage); /* that the store has from now on */
/* Restored: what a backup had, and nothing later. */
void model_forget_shard(uint32_t shard, uint64_t head, uint64_t floor, uint32_t archiving);
/* Carts begin anew: from now on nobody remembers more than the books do. */
void model_reconciled(void);
void model_void_epochs(uint32_t shard);  /* and then, none of before is in force */

/* When answers are given: all of a group between its commit and the next. */
void model_answer(uint32_t shard, enum wire_kind kind, const struct wire_sender *sender, const struct wire_item *item,
	const struct wire_answer *answer, bool full_allowed);
void model_fenced(uint32_t shard, const struct wire_sender *sender, const struct wire_fenced *fenced);

/* A cart lets an add go to inventory, with the epoch and the position that it has. */
void model_intend(const struct id *id, uint32_t user, uint32_t sku, uint32_t quantity, uint32_t limit, bool keyed,
	const struct hash128 *key, const struct hash128 *fingerprint, const struct wire_sender *sender, uint64_t position);
/* Whether this key has a hold on another shard than `shard`; which. */
bool model_key_elsewhere(const struct hash128 *key, const struct hash128 *fingerprint, uint32_t shard, uint32_t *ret);

/* A shopper's wait for an attempt begins, and ends by a word or by silence. */
void model_waits(const struct id *id);
enum model_word { MODEL_TOLD_YES, MODEL_TOLD_NO, MODEL_TOLD_UNKNOWN };
void model_told(const struct id *id, enum model_word word);
/* A yes: what was told of the hold. */
void model_told_grant(const struct id *id, uint32_t user, uint32_t sku, uint32_t quantity, int state);
/* A yes to giving back: this hold has ended, or has at most so many units. */
void model_told_ended(const struct id *id, uint32_t at_most);

/* An order command leaves a cart: what its decision says, with the epoch and the position that it has. */
void model_order_ask(uint32_t shard, enum wire_kind kind, const struct wire_item *item, const struct id *holds, uint32_t hold_count,
	uint32_t cart, const struct wire_sender *sender, uint64_t position);
/* Somebody asks a cart for something (PAY, CANCEL, REFUND), and hears, or hears no more. */
void model_order_waits(const struct id *id, enum wire_kind want, uint32_t payment);
void model_order_told(const struct id *id, enum wire_kind want, uint32_t payment, enum model_word word,
	Common__Reason reason);
/* What a cart says of an order: state as in the ledger (HELD: open, or being paid for). */
void model_order_seen(const struct id *id, uint32_t user, enum model_state state, uint32_t payment);
/* A checkout with a key made, or found, these orders; memory: of the store that would know that. */
void model_checked_out(uint32_t user, uint32_t key, uint64_t memory, const struct id *orders, size_t count);
const struct model_order *model_order_find(const struct id *id); /* NULL: nobody ever asked for it */
void model_orders_each(void (*visit)(const struct model_order *order)); /* that the ledgers have */
uint64_t model_orders(uint32_t shard);

/* Sales, a bit for each SKU. What an export told: ids of holds and orders, and the last of its entries; it gets a number. */
#define MODEL_NO_EXPORT UINT32_MAX
uint32_t model_exported(uint32_t shard, uint32_t skus, const struct id *ids, size_t count, uint64_t newest);
void model_export_refused(uint32_t shard, uint32_t skus, Common__Reason reason);
void model_archive_asked(uint32_t number);             /* with its digest */
void model_archiving(uint32_t shard, uint32_t skus);   /* what the store is at; with each commit, after its entries */
uint32_t model_archiving_now(uint32_t shard);
bool model_order_is_going(const struct model_order *order); /* gone, or being archived: its row may be gone */
bool model_archived_since(uint32_t shard, uint32_t skus, uint64_t sequence);

struct model_usage {
	uint64_t held, sold;
};
struct model_usage model_usage(uint32_t user, uint32_t sku);
const struct model_hold *model_find(const struct id *id);
/* Every hold that the ledgers have. */
void model_each(void (*visit)(const struct model_hold *hold));
int64_t model_moved_ms(uint32_t shard);
uint64_t model_live(uint32_t shard);        /* HELD holds */
uint64_t model_holds(uint32_t shard);       /* all */
void model_expect_ended(void);              /* quiet, and every deadline is long over: nothing is HELD, all adds up */
const struct model_row *model_goods(uint32_t sku);
bool model_overdue(uint32_t shard, int64_t now_ms); /* a hold is HELD that ended by then */

/* Figures. */
struct model_counts {
	uint64_t entries, grants, ends, sold, expired, told_yes, told_no, told_unknown, refused, full;
	uint64_t orders, paid, cancelled, overdue, refunded;
};
extern struct model_counts model_counts; /* of all runs */

#endif
