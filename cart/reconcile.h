/* cart/reconcile.h - an inventory shard came back from a backup: what this cart had promised, against what that inventory knows, and how they agree again.
 *
 * `ours` is the cart's store: every line and order as inventory's ledger had told it before. `theirs` is the same made from the ledger as it is now. From the two
 * comes a plan: a promise (a HELD or SOLD line) that inventory does not have is made again, with the same hold id, key, person and units; one that has ended
 * there meanwhile (its time ran on) under a new id, which follows from the old one and the lineage, so that a second run finds it. Orders are bound again with their ids and
 * paid again with their payment references. What ended here goes back there. First what goes back, then what was paid, then what was held, the oldest first; what the stock does
 * not give is short, and listed.
 * What inventory does not have because it let it go by its own rules is nothing to be made again: its sale was archived, or (where the history is the one that we
 * know, and only went on without us) it has ended.
 * Carried out (`apply`) it goes through inventory's own commands, under a new epoch of this cart shard; else the stock is only counted. Both take the same way.
 * Every step can be done again. At the end the cart's store forgets the old history of the shard (reconcile_accept), in one commit: the cart follows the new ledger from its
 * beginning, where everything that was made again stands. What ended, and what is short, is remembered for its key.
 * Threads: main's. */
#ifndef FLASHSALE_CART_RECONCILE_H
#define FLASHSALE_CART_RECONCILE_H

#include <uthash.h>

#include "cart/orders.h"
#include "cart/shelf.h"
#include "cart/tool_client.h"

enum fate {
	FATE_SAME,	/* they agree */
	FATE_THEIRS,	/* inventory is further: its word counts */
	FATE_MAKE,	/* it is missing there, or has ended */
	FATE_SELL,	/* HELD there, SOLD here */
	FATE_SHRINK,	/* more units there */
	FATE_GIVE_BACK, /* it has ended here */
	FATES
};

enum outcome_of_fate { OUTCOME_NONE, OUTCOME_DONE, OUTCOME_SHORT };

/* A hold. */
struct promise {
	struct line *ours;	   /* NULL: forgotten here, ended long ago */
	const struct line *theirs; /* NULL: not there */
	struct id there;	   /* its id there */
	struct pact *pact;	   /* NULL: in no order that counts */
	enum fate fate;
	enum outcome_of_fate outcome;
	char why[40]; /* of OUTCOME_SHORT */
};

/* An order. */
struct pact {
	struct order *ours;
	const struct order *theirs;
	struct id there;
	struct promise *promises[ORDER_HOLDS_MAX]; /* of its items */
	enum fate fate;
	enum outcome_of_fate outcome;
	char why[40];
};

struct reconcile_sku {
	char sku[LINES_NAME_MAX + 1];
	int64_t available;			  /* there; as counted on while nothing is applied */
	uint64_t made, sold, given_back, lacking; /* units */
	UT_hash_handle hh;
};

struct reconcile_archived {
	char sku[LINES_NAME_MAX + 1];
	int64_t time_ms; /* of the last archive */
	UT_hash_handle hh;
};

struct reconcile {
	struct store *store; /* the cart's */
	struct tool_client *client;
	uint32_t cart_shard, cart_shards, inventory_shard, inventory_shards;
	bool apply;

	struct position position; /* as the cart has it */
	struct id lineage;	  /* as it is there */
	uint64_t head, floor;
	struct id removed; /* inventory takes no id of this cart shard up to it */
	struct cart *ours, *theirs;
	struct orders *our_orders, *their_orders;
	struct promise *promises;
	size_t promise_count, promise_room;
	size_t our_count; /* of promises with `ours`: the first, by id */
	struct pact *pacts;
	size_t pact_count;
	struct id *told; /* holds made up to our position that are not in our store */
	size_t told_count, told_room;
	struct reconcile_sku *skus;	     /* uthash */
	struct reconcile_archived *archived; /* uthash: what their ledger tells of archives */
	Common__Placement placement;
	Inventory__Sender sender;
	uint8_t instance[ID_BYTES];
	struct arena arena;
};

/* Both sides and the plan. False: *error. */
bool reconcile_load(struct reconcile *r, struct error *error);
/* Another lineage, a ledger that ends before our position, or that has dropped what we did not hear. */
bool reconcile_needed(const struct reconcile *r);
bool reconcile_plan(struct reconcile *r, struct error *error);
bool reconcile_carry_out(struct reconcile *r, struct error *error); /* or, without apply, as if */
bool reconcile_accept(struct reconcile *r, struct error *error);
void reconcile_release(struct reconcile *r);

/* An id that inventory takes, instead of one that it does not. */
struct id reconcile_newer_id(const struct reconcile *r, const struct id *id, bool order);

/* reconcile_gone.c */
void reconcile_hear_archived(struct reconcile *r, struct span sku, int64_t time_ms);
void reconcile_release_archived(struct reconcile *r);
/* Whether inventory, if it does not have it, has let it go by its own rules. */
bool reconcile_hold_is_gone(const struct reconcile *r, const struct line *line);
bool reconcile_order_is_gone(const struct reconcile *r, const struct order *order);

/* reconcile_ask.c: one step. False: inventory could not be asked, *error. A no: OUTCOME_SHORT with why. */
bool reconcile_ask_fence(struct reconcile *r, struct error *error);
bool reconcile_ask_goods(
	struct reconcile *r, const char *sku, struct reconcile_sku **ret, struct error *error);
bool reconcile_ask_make(struct reconcile *r, struct promise *promise, struct error *error);
bool reconcile_ask_sell(struct reconcile *r, struct promise *promise, struct error *error);
bool reconcile_ask_shrink(struct reconcile *r, struct promise *promise, struct error *error);
bool reconcile_ask_give_back(struct reconcile *r, struct promise *promise, struct error *error);
bool reconcile_ask_bind(struct reconcile *r, struct pact *pact, struct error *error);
bool reconcile_ask_pay(struct reconcile *r, struct pact *pact, struct error *error);
bool reconcile_ask_end(struct reconcile *r, struct pact *pact, bool refund, struct error *error);

static inline bool reconcile_counts(uint8_t state)
{
	return state == LINE_HELD || state == LINE_SOLD;
}

#endif
