/* gatekeeper/edge/ban_table.h - the bans that one protector tells of, made for looking up what is mostly not there.
 *
 * Bans lie in chunks and are found by number; two tables of (hash, number), at most half full, find them by id and by subject. A look-up that finds nothing costs one cache
 * line. About 110 bytes a ban. Growing makes a bigger table beside the old one: ban_table_grow builds it, ban_table_adopt puts it in place, so that readers need wait for
 * the second only.
 * Pure, no lock: one thread changes it. Who lets others read meanwhile locks around everything that changes, which ban_table_grow does not. */
#ifndef FLASHSALE_EDGE_BAN_TABLE_H
#define FLASHSALE_EDGE_BAN_TABLE_H

#include "base/address.h"
#include "base/id.h"

#define BAN_TABLE_MAX 4000000
#define BAN_USER_MAX 64
#define BAN_CHUNK 4096 /* bans that lie together; a power of two */

enum ban_source { BAN_OF_PERSON, BAN_OF_SETTING, BAN_OF_DETECTOR };
enum ban_effect_kind { BAN_EFFECT_NONE, BAN_EFFECT_SLOW, BAN_EFFECT_CHALLENGE, BAN_EFFECT_DENY, BAN_EFFECT_ALLOW, BAN_EFFECT_LIFT };

#define BAN_LIFTS_PERSONS 1 /* among `detectors`: what persons said before does not count */

struct ban_entry {
	struct id id;	/* in the order of their making */
	int64_t end_ms; /* INT64_MAX: never */
	union {
		uint8_t address[16];
		char *user; /* the entry's */
	};
	uint8_t is_user, bits; /* bits: of a range */
	uint8_t source, effect;
	uint16_t detectors; /* bits, as ban_feed.h counts them: whose ban it is; of LIFT: whose do not count */
};

/* Whom: an account, or a range. */
struct ban_key {
	const char *user; /* NULL: the range */
	size_t user_length;
	struct address address;
	uint32_t hash;
};
struct ban_key ban_key_user(const char *user, size_t length); /* points to the text */
struct ban_key ban_key_range(const struct address *range);

struct ban_slot {
	uint32_t hash, number; /* number 0: empty; else one more than the ban's */
};

struct ban_index {
	struct ban_slot *slots;
	uint32_t mask, count;
};

struct ban_table {
	struct ban_entry **chunks;
	uint32_t chunk_count, used, free; /* places handed out; first free one + 1, or 0 */
	struct ban_index by_id, by_subject;
	uint32_t ranges[2][ADDRESS_BITS + 1]; /* of IPv4, of IPv6: bans of ranges of so many bits */
};

struct ban_growth {
	struct ban_index by_id, by_subject; /* slots NULL: stays */
	struct ban_entry **chunks;	    /* NULL: stays */
};

void ban_table_init(struct ban_table *table);
void ban_table_release(struct ban_table *table);
static inline uint32_t ban_table_count(const struct ban_table *table)
{
	return table->by_id.count;
}

/* Makes room for one more; true: there is something to adopt, and then to free. */
bool ban_table_grow(const struct ban_table *table, struct ban_growth *growth);
void ban_table_adopt(struct ban_table *table, struct ban_growth *growth); /* the growth holds what was in its place */
void ban_growth_release(struct ban_growth *growth);

/* With room made. The ban's id is not in the table. Copies the account. False: it is full. */
bool ban_table_put(struct ban_table *table, const struct ban_key *key, const struct ban_entry *ban);
bool ban_table_remove(struct ban_table *table, const struct id *id);

static inline struct ban_entry *ban_table_at(const struct ban_table *table, uint32_t number)
{
	return &table->chunks[number / BAN_CHUNK][number % BAN_CHUNK];
}

static inline void ban_table_prepare(const struct ban_table *table, const struct ban_key *key)
{
	__builtin_prefetch(&table->by_subject.slots[key->hash & table->by_subject.mask]);
}

/* The bans of a subject, one after the other; *at begins as 0. NULL: no more. */
const struct ban_entry *ban_table_next(const struct ban_table *table, const struct ban_key *key, uint32_t *at);

#endif
