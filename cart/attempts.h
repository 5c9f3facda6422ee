/* cart/attempts.h - adds under way: asked of inventory, waiting to be asked, or of unknown outcome.
 *
 * An attempt has one hold id for its whole life. Equal requests with the same key share one attempt, and hear the same answer. A waiter is one
 * request's wish to hear it; it may leave before (its deadline), the attempt goes on. Only what was sent counts as pending units.
 *   QUEUED  - not sent: its link is not usable. Judged anew when it leaves.
 *   SENT    - on its way; exactly one answer comes.
 *   UNKNOWN - the answer was lost; a fence will settle it.
 *   GRANTED - answered with a line; stays until the ledger tells of it too.
 * Pure. Threads: belongs to one. Waiters are their callers'. */
#ifndef FLASHSALE_CART_ATTEMPTS_H
#define FLASHSALE_CART_ATTEMPTS_H

#include "cart/limits.h"
#include "cart/lines.h"
#include "flashsale/common/v1/reason.pb-c.h"

#define ATTEMPT_WAITERS_MAX 4096

enum attempt_state { ATTEMPT_QUEUED, ATTEMPT_SENT, ATTEMPT_UNKNOWN, ATTEMPT_GRANTED };
#define ATTEMPT_STATES 4

/* What a request hears: a grant, or a no with its reason. */
struct outcome {
	Common__Reason reason;	 /* UNSPECIFIED: granted */
	uint32_t retry_after_ms; /* 0: as the reason says */
	struct id hold;		 /* and the rest: of a grant */
	enum line_state state;
	bool repeated;
	uint32_t quantity;
	int64_t deadline_ms, price_micros;
	uint64_t remaining, user_units;
};

struct waiter {
	struct waiter *previous, *next;
	struct attempt *attempt; /* NULL: it has heard its outcome */
	int64_t deadline_ms;
	struct outcome outcome;
};

struct attempt {
	struct map_node id_node, key_node;
	struct attempt *previous, *next; /* among those of its shard and state */
	struct id id;
	struct hash128 key, fingerprint; /* if keyed */
	struct usage *usage;
	struct name *session; /* NULL: empty */
	struct waiter *waiters;
	struct limit limit;
	uint32_t quantity, waiter_count;
	uint64_t
		epoch; /* SENT: in force when it was handed over; UNKNOWN: the newest that it can have left with */
	int64_t deadline_ms; /* of its latest waiter */
	uint8_t state;
	bool keyed;
	bool pending; /* its units count as such */
	bool seen;    /* SENT: the ledger has told of it, its units are on a line */
};

struct attempt_list {
	struct attempt *first, *last;
	size_t count;
};

struct attempts {
	struct map by_id, by_key;
	struct slab slab;
	struct lines *lines;
	struct attempt_list *lists; /* shard * ATTEMPT_STATES + state */
	size_t count, max;
};

void attempts_init(struct attempts *attempts, struct lines *lines, size_t max);
void attempts_release(struct attempts *attempts); /* ends those that are left; no waiter may be */

/* QUEUED, not pending. It takes the reference to the usage. NULL: there are too many, the reference is the caller's. */
struct attempt *attempts_new(struct attempts *attempts, const struct id *id, struct usage *usage, struct span session,
	uint32_t quantity, const struct hash128 *key, const struct hash128 *fingerprint);
void attempts_free(struct attempts *attempts, struct attempt *attempt); /* no waiter may be left */

struct attempt *attempts_find(const struct attempts *attempts, const struct id *id);
struct attempt *attempts_find_key(const struct attempts *attempts, const struct hash128 *key);

void attempts_move(struct attempts *attempts, struct attempt *attempt, enum attempt_state state);
struct attempt_list *attempts_list(const struct attempts *attempts, uint32_t shard, enum attempt_state state);

/* Units under way count, or count no more; harmless if it is so already. */
void attempt_set_pending(struct attempt *attempt, bool pending);

bool attempt_join(struct attempt *attempt, struct waiter *waiter); /* false: too many wait already */
void attempt_leave(struct waiter *waiter);

#endif
