/* cart/orders.h - orders: what inventory's ledger says of them (the truth), and what this cart has decided and not yet heard the outcome of (a wish).
 *
 * A wish is made durable before inventory is asked, and then asked for, with the same ids, until the outcome is known: over lost answers, and over
 * restarts of both sides. So an order is OPEN (HELD, no wish), CONFIRMING (HELD, to be confirmed), PAID (SOLD), EXPIRED, CANCELLED (RELEASED) or
 * REFUNDED; while its bind is not known to have happened it is not shown to anybody.
 *  - The truth moves HELD -> SOLD | RELEASED | EXPIRED, SOLD -> REFUNDED, by an answer of inventory or by its ledger; to EXPIRED only by the ledger.
 *  - One wish at a time. A payment under way excludes a cancellation, and another payment.
 *  - Who waits hears when the ledger has told of the outcome, so that reads that follow see it, or at the end of the wait what is known by then.
 *  - An order that the ledger tells of is adopted, whoever made it.
 * It takes the time with each event and calls no clock, no network, no logger; what should happen goes out by effects, which are called inside events
 * and must not call back.
 * Threads: belongs to one, the cart's. */
#ifndef FLASHSALE_CART_ORDERS_H
#define FLASHSALE_CART_ORDERS_H

#include "cart/cart.h"

#define ORDER_HOLDS_MAX 100 /* as inventory takes them */
#define PAYMENT_MAX 128
#define CHECKOUT_ORDERS_MAX 64
#define ORDERS_MEMORY_MS (24 * 3600 * INT64_C(1000)) /* of those that ended unsold */

enum order_wish { WISH_NONE, WISH_BIND, WISH_CONFIRM, WISH_CANCEL, WISH_REFUND };
#define ORDER_WISHES 5

struct order_item {
	struct id hold;
	uint32_t quantity; /* this and the rest: once it is bound */
	int64_t price_micros;
	char currency[4];
	char sku[LINES_NAME_MAX + 1];
};

struct customer {
	struct map_node node;
	struct order *newest;
	uint8_t length;
	char user[]; /* terminated */
};

struct order {
	struct map_node node;
	struct id id;
	struct customer *customer;
	struct order *newer, *older;   /* of the customer, by id */
	struct order *previous, *next; /* among those with a wish of its shard, or the ended ones */
	struct order_waiter *waiters;
	struct order_item *items;
	char *payment; /* that it was sold for or that was reported; NULL: none */
	uint32_t item_count;
	uint32_t shard;		       /* of inventory */
	uint8_t truth;		       /* enum line_state; 0: not known to be bound */
	uint8_t wish;
	uint8_t asked;		       /* the wish that inventory was asked for last */
	bool listed;		       /* in one of the two lists */
	bool storing, asking;	       /* its wish is being made durable; inventory is being asked */
	bool answered;		       /* inventory said no to the wish: the ledger tells the rest */
	bool undoing;		       /* its bind came to nothing, and is being forgotten */
	bool archived;		       /* gone with its sale, as soon as nothing of it is under way */
	bool keyed;		       /* of the checkout that made it */
	struct hash128 key;
	Common__Reason refusal; /* what inventory said to the wish last */
	struct id bad;		/* the hold that it was about */
	int64_t ttl_ms;		/* of the checkout; 0: as the goods say */
	int64_t deadline_ms;	/* while HELD without the shard's `moved`: read it by orders_deadline_ms */
	int64_t created_ms, changed_ms;
	int64_t retry_ms, backoff_ms;
	uint64_t epoch;		/* of the link when inventory was asked */
	uint64_t version; /* of orders->version, when it changed last */
};

struct order_outcome {
	Common__Reason reason; /* UNSPECIFIED: as wanted */
	struct id bad;	       /* of a bind: the hold that is in the way */
};

struct order_waiter {
	struct order_waiter *previous, *next;
	struct order *order; /* NULL: it has heard */
	enum order_wish want;
	struct span payment; /* of a confirmation; lives as long as the waiter */
	struct order_outcome outcome;
};

struct orders_effects {
	void (*decide)(void *context, struct order *order);  /* make the wish durable; orders_decided comes back, later */
	void (*undecide)(void *context, struct order *order); /* forget its bind durably; orders_undone comes back, later */
	void (*ask)(void *context, struct order *order);     /* ask inventory for its wish; exactly one orders_answered comes back, later */
	void (*told)(void *context, struct order_waiter *waiter, const struct order *order); /* it has its outcome, and is the caller's again */
	void (*stored)(void *context, const struct order *order);    /* the ledger made or changed it: to be stored */
	void (*forgotten)(void *context, const struct order *order); /* it is going to be removed */
	void (*changed)(void *context, const struct order *order);   /* who watches may see it */
};

struct orders_options {
	struct cart *cart; /* its lines, its links and its ids */
	uint32_t cart_shard, cart_shards;
	size_t asks_max, ended_max;
	struct orders_effects effects;
	void *context;
};

struct order_list {
	struct order *first, *last;
	size_t count;
};

struct orders {
	struct orders_options options;
	struct map by_id, customers;
	struct order_list *wishes; /* by shard of inventory */
	struct order_list ended;
	size_t asking, wishing;
	uint64_t version;
	struct {
		uint64_t bound, refused, paid, expired, cancelled, refunded, adopted, asks, anomalies;
	} counters;
};

struct orders *orders_new(const struct orders_options *options);
void orders_free(struct orders *orders); /* nobody may wait; what is being stored or asked must have come back */

struct order *orders_find(const struct orders *orders, const struct id *id);
struct customer *orders_customer(const struct orders *orders, struct span user); /* NULL: has none */

/* Shown to people? */
static inline bool order_visible(const struct order *order)
{
	return order->truth != 0;
}

/* A payment was reported, and will never buy anything. */
static inline bool order_refund_due(const struct order *order)
{
	return order->payment && (order->truth == LINE_EXPIRED || order->truth == LINE_RELEASED);
}

int64_t orders_deadline_ms(const struct orders *orders, const struct order *order);

/* ---- what the store has, before orders_start ---- */

/* Everything of one order, as a record says it. */
struct order_record {
	struct id id;
	struct span user, payment; /* payment empty: none */
	uint32_t shard, item_count;
	const struct order_item *items;
	enum line_state truth;
	int64_t deadline_ms, created_ms, changed_ms; /* deadline: without the shard's `moved` while HELD */
};
/* A decision of this cart. */
struct order_decision {
	struct id id;
	struct span user, payment;
	enum order_wish wish;
	uint32_t shard, hold_count; /* holds: of a bind */
	const struct id *holds;
	bool keyed;
	struct hash128 key;
	int64_t created_ms, ttl_ms;
};
bool orders_load(struct orders *orders, const struct order_record *record); /* false: it is there already */
void orders_load_decision(struct orders *orders, const struct order_decision *decision); /* after all records */
void orders_start(struct orders *orders); /* wishes that came true are dropped */

/* ---- requests ---- */

struct checkout {
	struct span user;
	bool keyed;
	struct hash128 key;
	int64_t ttl_ms;
};
/* The orders that an earlier checkout with this key made, at most CHECKOUT_ORDERS_MAX; their number. *ret_same: it asked for the same. */
size_t orders_by_key(const struct orders *orders, const struct checkout *checkout, struct order **ret, bool *ret_same);
/* Orders of all live holds in the cart of links that go on, to be bound; their number. What does not fit in CHECKOUT_ORDERS_MAX stays in the cart. */
size_t orders_checkout(
	struct orders *orders, const struct checkout *checkout, struct order **ret, int64_t now_ms);

/* True: waiter->outcome is there. False: told() will tell, and orders_give_up is to be called when the wait is over. */
bool orders_await(struct orders *orders, struct order *order, struct order_waiter *waiter); /* of its bind */
bool orders_confirm(struct orders *orders, struct order *order, struct span payment, struct order_waiter *waiter);
bool orders_cancel(struct orders *orders, struct order *order, struct order_waiter *waiter);
bool orders_refund(struct orders *orders, struct order *order, struct order_waiter *waiter);
void orders_give_up(struct orders *orders, struct order_waiter *waiter); /* its outcome is there; told() is not called */

/* ---- events ---- */

/* UNSPECIFIED: the wish is durable. Otherwise why not: it is dropped. */
void orders_decided(struct orders *orders, struct order *order, Common__Reason failure, int64_t now_ms);
void orders_undone(struct orders *orders, struct order *order);

struct order_answer {
	enum answer_kind kind;
	Common__Reason reason; /* of a refusal */
	struct id bad;
	enum line_state state; /* and the rest: of a grant */
	int64_t deadline_ms;
	uint64_t sequence;
	struct span payment;
	const struct order_item *items;
	uint32_t item_count;
};
void orders_answered(
	struct orders *orders, struct order *order, const struct order_answer *answer, int64_t now_ms);

/* The ledger's word, after cart_apply took the entry as new. */
struct order_entry {
	struct id id;
	struct span user, payment;
	enum line_state state;
	int64_t deadline_ms, time_ms;
	const struct order_item *items; /* with HELD only */
	uint32_t item_count;
};
void orders_apply(struct orders *orders, uint32_t shard, const struct order_entry *entry);
/* A sale was archived: its orders are forgotten that have lost a line with it, and in steps as lines are (lines_archive). */
bool orders_archive(
	struct orders *orders, uint32_t shard, struct span sku, struct map_walk *walk, size_t slots);

/* The link has become usable, or time has passed: asks what is to be asked. */
void orders_kick(struct orders *orders, uint32_t shard, int64_t now_ms);
size_t orders_sweep(struct orders *orders, int64_t now_ms, size_t max); /* forgets; returns how many */

#endif
