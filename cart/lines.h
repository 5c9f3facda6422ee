/* cart/lines.h - who has what: holds by id and by key, units by (person, SKU), all in memory.
 *
 * A line is one hold as the ledger tells it. Its state only goes forward (HELD -> SOLD | RELEASED | EXPIRED, SOLD -> REFUNDED), and the units that
 * count against a limit change only at such a step. Lines that count hang on their usage, newest first; ended ones wait in a list, in the order
 * of their end (after a restart of their making, which only delays it), until their key's memory is over: those with a key for LINES_KEY_MS, others for LINES_BARE_MS, and at most `ended_max` of each.
 * A usage lives as long as something refers to it (a line, an attempt), and so do its person and its goods.
 * Deadlines of a whole shard can move at once (an outage of inventory): a live line keeps its deadline without the shard's `moved`.
 * Pure: no clock, no log, no network. Threads: belongs to one. */
#ifndef FLASHSALE_CART_LINES_H
#define FLASHSALE_CART_LINES_H

#include <stdbool.h>

#include "base/id.h"
#include "base/text.h"
#include "cart/keys.h"
#include "cart/map.h"
#include "cart/slab.h"

#define LINES_NAME_MAX 64 /* bytes of a person's, a session's and a SKU's name */
#define LINES_KEY_MS (24 * 3600 * INT64_C(1000))
#define LINES_BARE_MS (60 * INT64_C(1000))

/* Numbers as in the contract's HoldState. */
enum line_state { LINE_HELD = 1, LINE_SOLD = 2, LINE_RELEASED = 3, LINE_EXPIRED = 4, LINE_REFUNDED = 5 };

struct name {
	uint8_t length;
	char text[]; /* terminated */
};

struct goods {
	struct map_node node;
	uint32_t shard; /* of inventory */
	uint32_t usages;
	uint8_t length;
	char sku[]; /* terminated */
};

struct person {
	struct map_node node;
	struct usage *usages;
	uint8_t length;
	char user[]; /* terminated */
};

/* One person, one SKU. */
struct usage {
	struct usage *next; /* of the person */
	struct person *person;
	struct goods *goods;
	struct line *lines;	      /* those that count (HELD, SOLD), newest first */
	uint64_t held, ordered, sold; /* units of these; ordered: HELD and bound to an order */
	uint64_t pending;	      /* units of attempts that were sent, and are not on a line yet */
	uint32_t references;
};

struct line {
	struct map_node id_node, key_node;
	struct id id;
	struct hash128 key, fingerprint; /* if keyed */
	struct id order;		 /* zero: not bound */
	struct usage *usage;
	struct line *previous, *next; /* in usage->lines, or in a list of ended ones */
	struct name *session;	      /* NULL: empty */
	int64_t deadline_ms; /* while HELD without the shard's `moved`: read it by lines_deadline_ms */
	int64_t created_ms, ended_ms; /* inventory's time */
	int64_t price_micros;
	uint64_t version;
	uint32_t quantity;
	uint8_t state;
	bool keyed, indexed; /* indexed: its key leads to it */
	bool claimed;	     /* an order is being made of it: not to be touched alone */
	bool unseen;	     /* known from a direct answer only; the ledger has not told it yet */
};

struct ended_list {
	struct line *first, *last;
	size_t count;
};

struct lines {
	struct map by_id, by_key, persons, goods;
	struct slab line_slab, usage_slab;
	struct slab_set names;
	struct ended_list ended[2]; /* without and with a key */
	size_t ended_max;
	uint32_t shards;   /* of inventory */
	int64_t *moved_ms; /* by shard */
};

/* Ids that were made one after the other lie side by side in a map: what comes in the order of their making, as most does, finds its slots in the cache.
 * In the low half the counter of a millisecond (base/id.h) from a place that depends on the millisecond, in the high half the noise. */
static inline uint64_t lines_id_hash(const struct id *id)
{
	const uint8_t *bytes = id->bytes;
	uint32_t ms = (uint32_t)bytes[2] << 24 | (uint32_t)bytes[3] << 16 | (uint32_t)bytes[4] << 8 | bytes[5];
	uint32_t counter = (uint32_t)bytes[7] << 14 | (uint32_t)(bytes[8] & 63) << 8 | bytes[9], noise;

	memcpy(&noise, bytes + 12, sizeof(noise));
	return (uint64_t)noise << 32 | (ms * UINT32_C(0x9e3779b1) + counter);
}

/* Everything of one hold, as a ledger entry, an answer or a record says it. */
struct hold {
	struct id id, order;
	struct span user, session, sku;
	struct hash128 key, fingerprint;
	bool keyed;
	enum line_state state;
	uint32_t quantity;
	int64_t deadline_ms, created_ms, ended_ms, price_micros;
	uint64_t version;
};

void lines_init(struct lines *lines, uint32_t shards, size_t ended_max);
void lines_release(struct lines *lines); /* every usage that lines_use gave must be back */

/* Hints that these will be looked for soon (see map.h): first the slots, then the nodes. key may be NULL. */
void lines_expect(const struct lines *lines, struct span user, const struct hash128 *key);
void lines_expect_nodes(const struct lines *lines, struct span user, const struct hash128 *key);

struct line *lines_find(const struct lines *lines, const struct id *id);
struct line *lines_find_key(const struct lines *lines, const struct hash128 *key);
struct person *lines_person(const struct lines *lines, struct span user); /* NULL: has nothing */
struct usage *lines_usage(
	const struct lines *lines, struct span user, struct span sku); /* NULL: has nothing */

/* The usage of (user, SKU), made if need be, with one more reference; ends with lines_unuse. */
struct usage *lines_use(struct lines *lines, struct span user, struct span sku);
void lines_keep(struct usage *usage); /* one more reference */
void lines_unuse(struct lines *lines, struct usage *usage);

/* NULL for an empty one. */
struct name *lines_name_new(struct lines *lines, struct span text);
void lines_name_free(struct lines *lines, struct name *name);

/* Puts in a hold that is not there yet. Its order, state and numbers are taken as they are. */
struct line *lines_add(struct lines *lines, const struct hold *hold);
/* The same for a usage at hand, whose reference it takes. */
struct line *lines_add_to(struct lines *lines, struct usage *usage, const struct hold *hold);
/* A change of a hold. False: it is not newer than what is known, or not a step that exists; nothing changed. */
bool lines_change(struct lines *lines, struct line *line, const struct hold *change);
/* The ledger tells of a hold that was known from its answer only: what the answer did not say is filled in. */
void lines_see(struct lines *lines, struct line *line, const struct hold *hold);
void lines_remove(struct lines *lines, struct line *line);
/* Removes what was sold of these goods (or sold and refunded) after telling of each: their sale was archived. Looks at every line there is, so many slots
 * at a time (cart/map.h): false when it is through. */
bool lines_archive(struct lines *lines, struct span sku, struct map_walk *walk, size_t slots,
	void (*removed)(void *context, const struct line *line), void *context);

/* The oldest ended line whose memory is over, or NULL. */
struct line *lines_forgettable(const struct lines *lines, int64_t now_ms);

int64_t lines_deadline_ms(const struct lines *lines, const struct line *line);
uint64_t lines_overdue(const struct lines *lines, const struct usage *usage, int64_t now_ms); /* units */

static inline uint64_t usage_taken(const struct usage *usage)
{
	return usage->held + usage->ordered + usage->sold;
}

/* In the cart: can be given back by its owner. */
static inline bool line_in_cart(const struct line *line)
{
	return line->state == LINE_HELD && id_is_zero(&line->order) && !line->claimed;
}

#endif
