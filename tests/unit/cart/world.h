/* tests/unit/cart/world.h - a cart with a small inventory around it, and a wire between them that a test holds in its hands.
 *
 * What the cart sends lies on the wire as a flight until the test lets it arrive (inventory decides it), brings its answer back, or loses that
 * answer; a lost flight may still arrive later. The ledger is followed entry by entry. Inventory here is the naive truth: it checks epochs,
 * stock and ids, and nothing of limits. */
#ifndef FLASHSALE_TESTS_CART_WORLD_H
#define FLASHSALE_TESTS_CART_WORLD_H

#include "cart/cart.h"

#define WORLD_SHARDS_MAX 2
#define WORLD_HOLDS_MAX 4096
#define WORLD_LEDGER_MAX 16384
#define WORLD_FLIGHTS_MAX 1024
#define WORLD_WAITERS_MAX 8192

struct world_hold {
	struct id id;
	char user[16], sku[16];
	struct hash128 key, fingerprint;
	bool keyed;
	uint32_t quantity;
	enum line_state state;
	int64_t deadline_ms;
	uint64_t version, sequence; /* of its last entry */
};

struct world_flight {
	struct attempt *attempt; /* NULL: the cart knows its end already */
	struct id id;
	char user[16], sku[16];
	struct hash128 key, fingerprint;
	bool keyed;
	uint32_t quantity, shard;
	uint64_t epoch; /* it left with */
	bool arrived;
	struct answer answer;
};

struct world_inventory {
	uint64_t stock; /* of each SKU, available */
	uint64_t epoch; /* in force */
	struct id instance, lineage;
	struct entry ledger[WORLD_LEDGER_MAX];
	char texts[WORLD_LEDGER_MAX][2][16]; /* user, SKU */
	uint64_t head;
	struct world_hold holds[WORLD_HOLDS_MAX];
	size_t hold_count;
};

/* A waiter with what the test wants to know of it later. */
struct world_waiter {
	struct waiter waiter;
	bool decided;
	struct id hold; /* of its attempt */
};

struct world {
	struct cart *cart;
	struct clock_manual clock;
	int64_t now_ms;
	uint32_t shards;
	size_t queue_max, attempts_max;
	struct world_inventory inventory[WORLD_SHARDS_MAX];
	struct world_flight flights[WORLD_FLIGHTS_MAX];
	size_t flight_count;
	struct world_waiter *waiters[WORLD_WAITERS_MAX];
	size_t waiter_count;
	int fences[WORLD_SHARDS_MAX], usable[WORLD_SHARDS_MAX], succeeded; /* effects */
	size_t changed, forgotten;
	/* the store: what a restart finds */
	struct world_store {
		struct hold holds[WORLD_HOLDS_MAX];
		char texts[WORLD_HOLDS_MAX][2][16];
		size_t count;
		struct id lineage[WORLD_SHARDS_MAX];
		uint64_t position[WORLD_SHARDS_MAX], epoch[WORLD_SHARDS_MAX];
		int64_t moved_ms[WORLD_SHARDS_MAX];
	} store;
};

struct world *world_new(uint32_t shards, uint64_t stock);
void world_free(struct world *world);

/* Fences the link and follows the ledger to its head: the cart is at work. */
void world_settle(struct world *world, uint32_t shard);
void world_settle_all(struct world *world);

/* An add of `user`; its waiter lives as long as the world. key: NULL for none. */
struct world_waiter *world_add(struct world *world, const char *user, const char *sku, uint32_t quantity,
	uint32_t limit, const char *key);
uint32_t world_shard(const struct world *world, const char *sku);

void world_arrive(struct world *world, size_t flight); /* inventory decides it, once */
void world_return(struct world *world, size_t flight); /* its answer reaches the cart; the flight is over */
void world_lose(struct world *world, size_t flight,
	enum answer_kind kind); /* the cart hears LOST or UNSENT; the flight is over if UNSENT */
void world_drop(struct world *world, size_t flight); /* it vanishes; the cart must have heard of its end */
void world_pass_all(struct world *world);	     /* all flights arrive and return */

bool world_fence(struct world *world, uint32_t shard, bool answer_lost); /* false: none is proposed */
bool world_follow(struct world *world, uint32_t shard, size_t entries);	 /* false: at the head */
struct world_hold *world_hold(struct world *world, const struct id *id);
void world_end_hold(struct world *world, struct world_hold *hold, enum line_state state);
void world_restart_inventory(struct world *world, uint32_t shard, int64_t moved_ms);

void world_persist(
	struct world *world, uint32_t shard); /* the writer has caught up with all that is applied */
void world_restart_cart(struct world *world); /* kill -9 and start: from the store */

uint64_t world_units(const struct world *world, const char *user, const char *sku); /* in truth */

#endif
