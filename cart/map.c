/* cart/map.c - chained slots, doubled step by step; see map.h. */
#include "cart/map.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

#define SLOTS_FIRST 64
#define SLOTS_A_STEP 8 /* moved at each put: the old table is empty long before the new one is full */

void map_init(struct map *map)
{
	*map = (struct map){.slots = NEW_ARRAY(SLOTS_FIRST, struct map_node *), .mask = SLOTS_FIRST - 1};
}

void map_release(struct map *map)
{
	free(map->slots);
	free(map->old);
	*map = (struct map){0};
}

static struct map_node **map_slot(const struct map *map, uint64_t hash)
{
	if (map->old && (hash & map->old_mask) >= map->moved)
		return &map->old[hash & map->old_mask];
	return &map->slots[hash & map->mask];
}

/* The nodes that the next step will move, which lie anywhere. */
static void map_expect_moves(const struct map *map)
{
	for (size_t i = map->moved; i < map->moved + SLOTS_A_STEP; i++)
		__builtin_prefetch(map->old[i]);
}

static void map_move_some(struct map *map)
{
	static_assert(SLOTS_FIRST % SLOTS_A_STEP == 0, "a step never passes the end");
	for (int step = 0; step < SLOTS_A_STEP; step++) {
		struct map_node *node = map->old[map->moved], *next;

		for (; node; node = next) {
			struct map_node **slot = &map->slots[node->hash & map->mask];

			next = node->next;
			node->next = *slot;
			*slot = node;
		}
		map->old[map->moved++] = NULL;
	}
	if (map->moved > map->old_mask) {
		free(map->old);
		map->old = NULL;
		return;
	}
	map_expect_moves(map);
}

static void map_grow(struct map *map)
{
	assert(!map->old);
	map->old = map->slots;
	map->old_mask = map->mask;
	map->moved = 0;
	map->mask = map->mask * 2 + 1;
	map->slots = NEW_ARRAY(map->mask + 1, struct map_node *);
}

void map_put(struct map *map, struct map_node *node, uint64_t hash)
{
	struct map_node **slot;

	if (map->old)
		map_move_some(map);
	else if (map->count >
		 map->mask / 2) /* short chains: a look at an absent key is a miss of the cache, or none */
		map_grow(map);
	slot = map_slot(map, hash);
	node->hash = hash;
	node->next = *slot;
	*slot = node;
	map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **at = map_slot(map, node->hash);

	while (*at != node) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	map->count--;
}

void map_expect(const struct map *map, uint64_t hash)
{
	__builtin_prefetch(map_slot(map, hash));
}

void map_expect_node(const struct map *map, uint64_t hash)
{
	__builtin_prefetch(*map_slot(map, hash));
}

static struct map_node *map_match(struct map_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
	return map_match(*map_slot(map, hash), hash);
}

struct map_node *map_next(const struct map_node *node)
{
	return map_match(node->next, node->hash);
}

static size_t walk_slots(struct map_node **slots, size_t mask, const struct map_walk *walk,
	void (*visit)(void *context, struct map_node *node), void *context)
{
	size_t count = 0;

	for (size_t i = walk->at; slots && i <= mask; i += walk->mask + 1, count++)
		for (struct map_node *node = slots[i], *next; node; node = next) {
			next = node->next;
			visit(context, node);
		}
	return count;
}

/* Doubled or not, moved or not: a node lies in one of the slots whose number has the same low bits as its hash. */
bool map_walk(struct map *map, struct map_walk *walk, size_t slots,
	void (*visit)(void *context, struct map_node *node), void *context)
{
	if (!walk->mask)
		walk->mask = map->old ? map->old_mask : map->mask;
	for (size_t done = 0; walk->at <= walk->mask && done < slots; walk->at++)
		done += walk_slots(map->old, map->old_mask, walk, visit, context) +
			walk_slots(map->slots, map->mask, walk, visit, context);
	return walk->at <= walk->mask;
}
