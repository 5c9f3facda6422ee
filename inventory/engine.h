/* inventory/engine.h - the rules of stock, and nothing else.
 *
 * Pure: a goods row, a hold and a command with the time go in; a verdict comes out, and the row and the hold are changed in place or, on a no,
 * left as they were. No clock, no store, no log. Invariant of every row, before and after every call:
 *     stock = available + held + sold, none of them negative, stock <= STOCK_MAX.
 * A hold moves only HELD -> SOLD | RELEASED | EXPIRED, and SOLD -> REFUNDED. A hold is live if it is HELD and now < deadline; each rule checks that
 * itself, so nothing depends on how soon the sweep comes by: who touches a hold past its deadline ends it (engine_settle).
 * The holds of an order have one state and one deadline, always: they move together (engine_order_...), and while they are HELD or SOLD nothing
 * moves one of them alone.
 * Times are the inventory's internal ones (inventory/time.h). Any thread; the callers own the structs. */
#ifndef FLASHSALE_INVENTORY_ENGINE_H
#define FLASHSALE_INVENTORY_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

#define SKU_MAX 64
#define USER_MAX 64
#define SESSION_MAX 64
#define PAYMENT_MAX 128
#define HASH_BYTES 16
#define INSTANCE_BYTES 16
#define STOCK_MAX INT64_C(1000000000000)
#define PRICE_MAX INT64_C(1000000000000000)
#define QUANTITY_MAX 1000000u
#define HOLD_TTL_MIN_MS 100
#define HOLD_TTL_MAX_MS (24 * INT64_C(3600000))
#define EPOCH_MAX (UINT64_MAX >> 1) /* so that there is always a next one to ask for */
#define CART_SHARDS_MAX 4096u
#define ORDER_HOLDS_MAX 100u

enum verdict {
	VERDICT_YES,      /* something changed */
	VERDICT_REPEATED, /* yes, and it was so already */
	VERDICT_SOLD_OUT,
	VERDICT_NOT_ENOUGH,
	VERDICT_CLOSED,
	VERDICT_UNKNOWN_SKU,
	VERDICT_ALREADY_OPEN,
	VERDICT_KEY_REUSED,
	VERDICT_NOT_FOUND,
	VERDICT_ARCHIVING, /* the goods are being archived, or others are */
	VERDICT_GONE, /* it may have been there: no longer kept (inventory/compaction.h) */
	VERDICT_HOLD_EXPIRED,
	VERDICT_WRONG_STATE,
	VERDICT_FORBIDDEN, /* somebody else's */
	VERDICT_STALE_EPOCH,
	VERDICT_LINEAGE_CHANGED, /* the store was restored: what is said is of its former history */
	VERDICT_WRONG_SHARD,
	VERDICT_VERSION_MISMATCH,
	VERDICT_INVALID, /* out of range; who asks knows which field that can be */
	VERDICT_OVERLOADED,
	VERDICT_STORE_FULL,
	VERDICT_STORE_FAILED,
	VERDICT_COUNT
};

static inline bool verdict_is_yes(enum verdict verdict)
{
	return verdict == VERDICT_YES || verdict == VERDICT_REPEATED;
}

/* As on the wire and in the store. */
enum hold_state { HOLD_HELD = 1, HOLD_SOLD = 2, HOLD_RELEASED = 3, HOLD_EXPIRED = 4, HOLD_REFUNDED = 5 };

struct goods {
	char sku[SKU_MAX + 1];
	uint32_t number; /* short name of the SKU in hold records; never given twice */
	int64_t stock, available, held, sold;
	int64_t archived; /* of those sold, the units whose records were dropped */
	int64_t price_micros;
	int64_t hold_ttl_ms; /* 0: the service's setting */
	uint64_t version;    /* one more at each change by an operator */
	uint64_t last;       /* newest ledger entry that is about it */
	uint64_t kept;       /* newest GOODS_CHANGED of it at or below the floor; 0: none */
	char currency[4];
	bool closed;
};

struct hold {
	struct id id;
	struct id order; /* zero: none */
	uint32_t goods;  /* number of the row */
	uint32_t quantity;
	uint32_t cart_shard;
	uint32_t version;
	enum hold_state state;
	int64_t deadline_ms;
	int64_t price_micros; /* of one unit, when it was granted */
	uint64_t created;     /* ledger entry with the rest: user, session, hashes */
	uint64_t changed;     /* ledger entry that made the present state */
};

/* Holds that are paid for together. */
struct order {
	struct id id;
	uint32_t cart_shard;
	enum hold_state state; /* of each of its holds too */
	int64_t deadline_ms;
	uint64_t bound;   /* ledger entry with the rest: user, items */
	uint64_t changed; /* ledger entry that made the present state */
	char payment[PAYMENT_MAX + 1]; /* that it was sold for, or "" */
	uint32_t hold_count;
	struct id holds[ORDER_HOLDS_MAX];
};

/* A hold as a part of an order: what never changes while it is one. */
struct order_item {
	struct id hold;
	char sku[SKU_MAX + 1];
	uint32_t quantity;
	int64_t price_micros;
	char currency[4];
};

/* The newest epoch of one cart shard; epoch 0: none yet. And what is known of it as a follower of the ledger (inventory/compaction.h). */
struct fence {
	uint64_t epoch;
	uint64_t sequence; /* of its ledger entry */
	uint8_t instance[INSTANCE_BYTES];
	uint64_t position; /* the ledger up to here is in the cart's store */
	uint64_t kept;     /* newest CART_FENCED of it at or below the floor; 0: none */
	struct id removed; /* the greatest id of it that is no longer kept; zero: none */
	bool gone;         /* unregistered */
};

/* The books balance. What moves units asserts it. */
bool goods_balanced(const struct goods *goods);

/* Opens a row that is new (zero but for sku and number) or closed: `quantity` units become available. INVALID: a number is out of its range, or the
 * stock would pass STOCK_MAX, which valid terms never make of a new row. */
struct goods_terms {
	int64_t quantity;
	int64_t price_micros;
	int64_t hold_ttl_ms;
	char currency[4];
};
bool engine_terms_valid(const struct goods_terms *terms);
enum verdict engine_goods_open(struct goods *goods, const struct goods_terms *terms);

struct goods_update {
	bool has_quantity, has_price, has_hold_ttl;
	int64_t quantity; /* available from now on: stock = quantity + held + sold */
	int64_t price_micros;
	int64_t hold_ttl_ms;
	uint64_t if_version; /* 0: whatever it has */
};
enum verdict engine_goods_update(struct goods *goods, const struct goods_update *update);
enum verdict engine_goods_adjust(struct goods *goods, int64_t change);
enum verdict engine_goods_close(struct goods *goods);

/* Whether `quantity` units can be held now; changes nothing. */
enum verdict engine_can_hold(const struct goods *goods, uint32_t quantity);
/* Freezes them; engine_can_hold said yes. Fills all of *ret but id, cart_shard, created and changed. ttl_ms 0: as the goods say. */
void engine_hold(struct goods *goods, uint32_t quantity, int64_t ttl_ms, int64_t standard_ttl_ms, int64_t now_ms,
	struct hold *ret);

/* Ends a hold whose deadline has passed, and that is in no order; true: it did just now. */
bool engine_settle(struct goods *goods, struct hold *hold, int64_t now_ms);
/* These want a settled hold. WRONG_STATE for one that an order keeps. */
enum verdict engine_release(struct goods *goods, struct hold *hold);
enum verdict engine_confirm(struct goods *goods, struct hold *hold, bool same_payment);
enum verdict engine_resize(struct goods *goods, struct hold *hold, uint32_t quantity);

/* Whether an order has this hold in its keeping: nothing moves it alone. */
bool engine_is_kept(const struct hold *hold);

/* Orders. Whether a settled hold can become part of one. */
enum verdict engine_can_bind(const struct hold *hold);
/* Adds what the hold costs to *total_micros; false, and nothing changed: that would be more than a number can say. */
bool engine_add_price(int64_t *total_micros, const struct hold *hold);
/* The shorter of what an order may last so far (0: no hold yet) and what these goods allow. */
int64_t engine_order_ttl_ms(int64_t ttl_ms, const struct goods *goods, int64_t standard_ttl_ms);
void engine_bind(struct hold *hold, const struct id *order, int64_t deadline_ms); /* engine_can_bind said yes */

/* Whether the deadline of an order has passed: it is to be moved to EXPIRED. */
bool engine_order_overdue(const struct order *order, int64_t now_ms);
/* What a command that wants to bring a settled order to SOLD, RELEASED or REFUNDED comes to; YES: all its holds are to be moved, and then the order. */
enum verdict engine_order_judge(const struct order *order, enum hold_state to, bool same_payment);
/* Moves one hold of the order; its state is the order's. */
void engine_order_move(struct goods *goods, struct hold *hold, enum hold_state to);

/* Compare-and-set: a greater epoch is taken; the present one of the same instance is a repetition. INVALID: past EPOCH_MAX. */
enum verdict engine_fence(struct fence *fence, uint64_t epoch, const uint8_t instance[INSTANCE_BYTES]);
/* Only the epoch in force, from the instance that took it, may change anything. */
enum verdict engine_check_epoch(
	const struct fence *fence, uint64_t epoch, const uint8_t instance[INSTANCE_BYTES]);

#endif
