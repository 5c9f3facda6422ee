/* cart/map.h - an intrusive hash table for millions of small things.
 *
 * A node is embedded in what it indexes and carries the 64-bit hash; the caller compares keys while walking the nodes of one hash. The
 * table grows by doubling, a few slots at each put, so no single put pays for a million. A node is in at most one map, once.
 * Threads: belongs to one. The map owns its slots, never the nodes. */
#ifndef FLASHSALE_CART_MAP_H
#define FLASHSALE_CART_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_node {
	struct map_node *next;
	uint64_t hash;
};

struct map {
	struct map_node **slots, **old; /* old: not all moved yet, else NULL */
	size_t mask, old_mask, moved;	/* old slots below `moved` are empty */
	size_t count;
};

void map_init(struct map *map);
void map_release(struct map *map);
void map_put(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);

/* Hints: this hash will be looked for soon. Slots and nodes of a large map lie outside of the cache, one after the other: so first the one, and when
 * that has come the other. Worth it where the next hashes are known while something else is done. */
void map_expect(const struct map *map, uint64_t hash);
void map_expect_node(const struct map *map, uint64_t hash);

/* The nodes of one hash; NULL ends. No put or remove in between, except the removal of the node in hand after its successor was taken. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node);

/* A walk over all nodes, some at a time; in between nodes may be put and removed, and the map may grow: each node that is there all the time is visited
 * once. Begins as zero. */
struct map_walk {
	size_t mask, at; /* hashes that are below `at` under the mask are done; no mask: not begun */
};
/* Visits the nodes of about so many slots; visit may remove the one in hand. False: there are none left. */
bool map_walk(struct map *map, struct map_walk *walk, size_t slots,
	void (*visit)(void *context, struct map_node *node), void *context);

#endif
