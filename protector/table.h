/* protector/table.h - finds things by a 64-bit hash, made for looking up what is mostly not there: one cache line a miss.
 *
 * Open addressing: slots of hash and pointer, at most half of them in use, a run searched to its first empty slot; removing closes the gap. The
 * owner of the things compares keys: several may have one hash. It doubles in one go, about 10 ms at a million things.
 * Threads: belongs to one. The table owns its slots, never the things. */
#ifndef FLASHSALE_PROTECTOR_TABLE_H
#define FLASHSALE_PROTECTOR_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t hash;
	void *thing; /* NULL: empty */
};

struct table {
	struct table_slot *slots;
	size_t mask, count;
};

void table_init(struct table *table);
void table_release(struct table *table);
void table_put(struct table *table, uint64_t hash, void *thing);
void table_remove(struct table *table, uint64_t hash, const void *thing); /* which is in it */

/* Says that table_first will be asked for this hash soon. */
static inline void table_prepare(const struct table *table, uint64_t hash)
{
	__builtin_prefetch(&table->slots[hash & table->mask]);
}

/* The things of one hash; NULL ends. *at is where the search stands. */
static inline void *table_match(const struct table *table, uint64_t hash, size_t *at)
{
	for (; table->slots[*at].thing; *at = (*at + 1) & table->mask) {
		if (table->slots[*at].hash == hash)
			return table->slots[*at].thing;
	}
	return NULL;
}

static inline void *table_first(const struct table *table, uint64_t hash, size_t *at)
{
	*at = hash & table->mask;
	return table_match(table, hash, at);
}

static inline void *table_next(const struct table *table, uint64_t hash, size_t *at)
{
	*at = (*at + 1) & table->mask;
	return table_match(table, hash, at);
}

#endif
