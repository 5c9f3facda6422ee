/* tests/unit/cart/counter.h - orders on a cart whose links are usable, and the desk behind them held in a test's hands: decisions become durable and asks
 * are answered when the test says so. */
#ifndef FLASHSALE_TESTS_CART_COUNTER_H
#define FLASHSALE_TESTS_CART_COUNTER_H

#include "cart/orders.h"

#define COUNTER_NOW_MS INT64_C(1700000000000)
#define COUNTER_HOLD_MS 60000
#define COUNTER_MAX 128

struct counter {
	struct cart *cart;
	struct orders *orders;
	struct clock_manual clock;
	int64_t now_ms;
	uint32_t cart_shards;
	size_t asks_max;
	struct order *deciding[COUNTER_MAX], *undeciding[COUNTER_MAX], *asking[COUNTER_MAX];
	size_t decisions, undecisions, asks; /* that have not come back */
	size_t decided, asked, stored, forgotten, changed, told, succeeded;
	enum order_wish last_wish; /* of the last ask */
	struct order_outcome outcome; /* of the last waiter that was told */
};

struct counter *counter_new(uint32_t shards);
struct counter *counter_new_sharded(uint32_t shards, uint32_t cart_shards, uint32_t cart_shard);
void counter_free(struct counter *counter); /* what has not come back does */

struct id counter_id(uint32_t number);
/* A live hold of `user` in the cart. */
struct line *counter_hold(struct counter *counter, uint32_t number, const char *user, const char *sku, uint32_t quantity);

void counter_store(struct counter *counter, Common__Reason failure); /* the oldest decision comes back */
void counter_undo(struct counter *counter);
void counter_answer(struct counter *counter, const struct order_answer *answer); /* the oldest ask comes back */

/* The grant of an order's holds: one unit each of SKU1 for 5.00 USD. */
struct order_answer counter_grant(const struct order *order, enum line_state state, uint64_t sequence);
struct order_answer counter_refusal(Common__Reason reason, uint32_t bad); /* bad 0: none */
/* The ledger tells of it at the next sequence. */
void counter_ledger(struct counter *counter, const struct id *id, const char *user, enum line_state state,
	const char *payment);

/* Forgets the orders of a sale, to the end. */
void archive_orders(struct counter *counter, uint32_t shard, const char *sku);
/* One order of one hold of "ann", bound; the ledger has told. */
struct order *counter_open(struct counter *counter);
size_t counter_checkout(struct counter *counter, const char *user, const char *key, struct order **ret);

#endif
