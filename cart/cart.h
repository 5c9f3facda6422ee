/* cart/cart.h - what a cart decides: limits, keys, attempts, fences and the ledger's word, put together.
 *
 * Events come in by functions (a request, inventory's answer, a ledger entry, a fence's answer, a waiter's deadline), what should happen goes out by
 * effects. It takes the time with each event, and calls no clock, no network, no logger: a simulation can drive it by the million.
 *  - A person's units never exceed the limit of a grant: an add is sent only if all that is taken and under way leaves room for it.
 *  - The ledger is the truth. A direct answer makes a line that the ledger has yet to tell of; after that only the ledger changes lines,
 *    and only the ledger frees units.
 *  - An add leaves only while its link is usable (its fence applied); until then it waits in a bounded queue, and is judged when it leaves.
 *  - After an ambiguous answer the units stay counted until a new fence has been applied; then the hold is in the ledger, or never was.
 *  - Ids of holds are greater than all that this shard has made before, whatever the clock says now: inventory refuses an id that it may have forgotten.
 *  - After a start a key is known as soon as its hold's shard has been followed: an equal request goes to that shard, and so can't be early. One
 *    with another SKU can: it is told apart only once the other shard has been heard too.
 * Effects are called inside events, and must not call back into the cart.
 * Threads: belongs to one. */
#ifndef FLASHSALE_CART_CART_H
#define FLASHSALE_CART_CART_H

#include "cart/attempts.h"
#include "cart/fence.h"

struct cart_link {
	struct fence fence;
	struct id lineage; /* zero: not known yet */
	uint64_t position; /* the ledger is applied up to here */
	uint64_t floor;	   /* as far as it was sparse when it was read last */
	struct id removed; /* inventory keeps our ids no longer than this, but for what was sold; zero: all of them */
	bool usable;
	bool was_usable; /* its first fence was applied: what is known of its holds is the truth */
	bool stopped;	 /* an operator must reconcile */
};

struct cart_effects {
	void (*send)(void *context,
		struct attempt *attempt); /* ask inventory; exactly one cart_answered comes back, later */
	void (*decided)(
		void *context, struct waiter *waiter); /* it has its outcome, and is the caller's again */
	void (*fence)(void *context,
		uint32_t shard); /* propose links[shard].fence.proposed; cart_fenced comes back */
	void (*usable)(void *context, uint32_t shard);	  /* commands may leave (again) */
	void (*succeeded)(void *context, uint32_t shard); /* another process has taken over: end this one */
	void (*changed)(
		void *context, const struct line *line); /* the ledger made or changed it: to be stored */
	void (*forgotten)(void *context, const struct line *line); /* it is going to be removed */
};

struct cart_options {
	uint32_t shards;		  /* of inventory */
	size_t attempts_max;		  /* under way at once */
	size_t queue_max;		  /* of these, waiting for one link */
	size_t ended_max;		  /* ended lines that are remembered, with and without a key each */
	struct id instance;		  /* of this process */
	const struct clock_source *clock; /* for the ids of holds only */
	struct cart_effects effects;
	void *context;
};

struct cart_counters {
	uint64_t granted, repeated, refused, unknown; /* outcomes given */
	uint64_t adopted;   /* holds that were found in the ledger after a lost answer, or before any */
	uint64_t vanished;  /* attempts that a fence showed never to have happened */
	uint64_t anomalies; /* what the ledger and inventory's answers disagree in; should stay 0 */
};

struct cart {
	struct cart_options options;
	struct lines lines;
	struct attempts attempts;
	struct cart_link *links;
	struct id_generator ids;
	struct cart_counters counters;
};

struct cart *cart_new(const struct cart_options *options);
void cart_free(struct cart *cart);

/* Before cart_start: what the store has. */
void cart_load_link(struct cart *cart, uint32_t shard, const struct id *lineage, uint64_t position,
	uint64_t epoch, int64_t moved_ms);
bool cart_load_hold(struct cart *cart, const struct hold *hold); /* false: it is there already */
void cart_start(struct cart *cart);				 /* proposes the first epochs */

struct add {
	struct span user, session, sku;
	uint32_t quantity;
	struct limit limit;
	bool keyed;
	struct hash128 key, fingerprint;
};

/* True: waiter->outcome is there. False: decided() will tell; waiter->deadline_ms is to be set before, and cart_give_up to be called at it. */
bool cart_add(struct cart *cart, const struct add *add, struct waiter *waiter, int64_t now_ms);

/* The waiter's time is over: its outcome is there (decided() is not called). */
void cart_give_up(struct cart *cart, struct waiter *waiter);

enum answer_kind {
	ANSWER_GRANT,
	ANSWER_REFUSAL, /* definite */
	ANSWER_UNSENT,	/* never left: the link is down, or its time was over */
	ANSWER_BUSY,	/* never left: too many wait */
	ANSWER_LOST,	/* sent, and nobody knows */
};
struct answer {
	enum answer_kind kind;
	Common__Reason reason; /* of a refusal */
	uint32_t retry_after_ms;
	enum line_state state; /* and the rest: of a grant */
	uint32_t quantity;
	int64_t deadline_ms, price_micros;
	uint64_t version, sequence, remaining;
};
void cart_answered(struct cart *cart, struct attempt *attempt, const struct answer *answer, int64_t now_ms);

/* A command other than an add had an ambiguous answer, or could not be sent: the link needs a new fence. */
void cart_doubt(struct cart *cart, uint32_t shard);
/* Inventory refused a command for its epoch. True: this process has been succeeded (the effect was called); false: it is our own newer fence. */
bool cart_stale(struct cart *cart, uint32_t shard, uint64_t epoch);

/* The answer to the fence in proposal. */
void cart_fenced(
	struct cart *cart, uint32_t shard, bool accepted, uint64_t epoch, uint64_t sequence, int64_t now_ms);

enum entry_kind { ENTRY_CREATED, ENTRY_CHANGED, ENTRY_FENCED, ENTRY_INCARNATION, ENTRY_OTHER, ENTRY_ORDER, ENTRY_ARCHIVED };
struct entry {
	enum entry_kind kind;
	uint64_t sequence;
	struct hold
		hold; /* CREATED: all of it; CHANGED: id, order, state, quantity, deadline, version, time of the end */
	uint64_t epoch;	    /* FENCED */
	struct id instance; /* FENCED */
	int64_t moved_ms;   /* INCARNATION */
	struct span sku;    /* ARCHIVED: what was sold of it is gone; cart/orders.h drops the orders */
	/* ORDER: the cart only counts it; cart/orders.h reads the message */
};
/* Inventory keeps no hold or order up to this id that ended unsold: ids that are made from now on are greater, and the ledger may tell of the end of one
 * whose begin is gone. */
void cart_removed(struct cart *cart, uint32_t shard, const struct id *removed);
/* The lineage of what follows. False: it is not the one that is known. */
bool cart_lineage(struct cart *cart, uint32_t shard, const struct id *lineage);
void cart_apply(
	struct cart *cart, uint32_t shard, const struct entry *entry); /* at or below the position: ignored */
/* Forgets lines of a sale that was archived, so many slots at a time (lines_archive); false when it is through, and its entry can be applied. */
bool cart_archive(struct cart *cart, struct span sku, struct map_walk *walk, size_t slots);
void cart_applied(struct cart *cart, uint32_t shard, uint64_t position,
	int64_t now_ms);				/* everything up to here came */
void cart_stop_link(struct cart *cart, uint32_t shard); /* for good */

enum key_verdict { KEY_UNKNOWN, KEY_GRANTED, KEY_REFUSED };
enum key_verdict cart_lookup_key(
	struct cart *cart, const struct hash128 *key, const struct hash128 *fingerprint, struct outcome *ret);

/* Removes what need not be remembered any more, at most `max`; returns how many. */
size_t cart_sweep(struct cart *cart, int64_t now_ms, size_t max);

#endif
