/* inventory/replay_state.h - what a replay of the ledger has put together so far. Between the files of the replay only.
 *
 * Holds and orders are in arrays, found by id through open addressing. Deadlines are internal ones: the ledger's less what had been moved until then. */
#ifndef FLASHSALE_INVENTORY_REPLAY_STATE_H
#define FLASHSALE_INVENTORY_REPLAY_STATE_H

#include <uthash.h>

#include "inventory/books.h"
#include "inventory/replay.h"

struct replay_goods {
	struct goods goods; /* as the last operator's entry says; held and sold: as replayed */
	bool known;	    /* such an entry was there */
	int64_t archived;   /* units that GOODS_ARCHIVED tells of */
	UT_hash_handle hh;
};

struct replay_hold {
	struct id id, order;
	struct replay_goods *goods;
	int64_t deadline_ms, price_micros;
	uint64_t created, changed; /* entries */
	uint64_t user;		   /* hash */
	uint32_t quantity, cart_shard, version;
	char currency[4];
	uint8_t state;
	bool gone; /* dropped below the floor: only what its last entries say is known */
	bool seen; /* its row was there */
};

struct replay_order {
	struct id id;
	int64_t deadline_ms;
	uint64_t bound, changed, user, payment; /* hashes, payment 0: none */
	uint32_t cart_shard, hold_count;
	size_t first_item; /* in replay->items: the indexes of its holds */
	uint8_t state;
	bool seen;
};

struct replay_cart {
	uint32_t shard;
	struct fence fence;
	bool seen;
	UT_hash_handle hh;
};

/* Things that begin with their id, one after the other. */
struct replay_list {
	char *things;
	size_t size, count, room;
	uint32_t *slots; /* index + 1; 0: free */
	size_t slot_count;
};

/* The holds of an order that have just moved, until its own entry comes. */
struct replay_move {
	struct id order; /* zero: none is under way */
	uint64_t first;	 /* entry */
	uint32_t count;
	uint8_t state;
	int64_t deadline_ms;
	size_t first_hold; /* of a bind: in replay->moved */
};

struct replay {
	struct store *store;
	MDB_txn *txn;
	void (*found)(void *context, const char *line);
	void *context;
	struct replay_result *result;

	uint64_t floor, sequence, incarnation;
	uint64_t loose; /* up to here not every rule can be checked: the floor, or what was told again */
	bool archiving; /* rows of a sale are being dropped, and then their entries */
	int64_t time_ms, shift_ms;  /* of the entry; what deadlines were moved by so far */
	struct replay_goods *goods; /* uthash */
	struct replay_cart *carts;
	uint32_t cart_shards;
	struct replay_list holds, orders;
	struct replay_list told; /* ids of holds whose first entry is there; while the floor is opened */
	uint32_t *items; /* of all orders */
	size_t item_count, item_room;
	struct replay_move move;
	uint32_t moved[ORDER_HOLDS_MAX];
};

/* replay_state.c */
void replay_list_init(struct replay_list *list, size_t size);
void replay_list_release(struct replay_list *list);
void *replay_list_find(const struct replay_list *list, const struct id *id);
void *replay_list_add(struct replay_list *list, const struct id *id); /* the rest is zero; moves the others */
struct replay_goods *replay_goods_of(
	struct replay *r, const void *sku, size_t size); /* made when it is missing */
void replay_release(struct replay *r);

void replay_say(struct replay *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* About the entry under way. */
void replay_entry(struct replay *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void replay_hold(struct replay *r, const struct replay_hold *hold, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void replay_order(struct replay *r, const struct id *order, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const char *replay_state_name(uint8_t state);

/* Whether what is gone can be the reason for what is missing here. */
static inline bool replay_sparse(const struct replay *r)
{
	return r->sequence <= r->loose;
}

static inline int64_t replay_internal_ms(const struct replay *r, int64_t shown_ms)
{
	return shown_ms - r->shift_ms;
}

/* replay_steps.c, replay_orders.c: one entry. */
void replay_created(struct replay *r, const struct ledger_entry *entry);
void replay_changed(struct replay *r, const struct ledger_entry *entry);
void replay_goods_changed(struct replay *r, const struct ledger_entry *entry);
void replay_archived(struct replay *r, const struct ledger_entry *entry);
void replay_fenced(struct replay *r, const struct ledger_entry *entry);
void replay_incarnation(struct replay *r, const struct ledger_entry *entry);
void replay_order_changed(struct replay *r, const struct ledger_entry *entry);
/* A hold of an order has moved; and: anything else comes now. */
void replay_order_moves(struct replay *r, const struct replay_hold *hold, bool bound);
void replay_order_is_over(struct replay *r);

/* replay_rows.c: what came out, against the tables. */
int replay_rows(struct replay *r);

#endif
