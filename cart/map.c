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

static void map_move_some(struct map *map)
{
	for (int step = 0; step < SLOTS_A_STEP && map->moved <= map->old_mask; step++) {
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
	}
}

static void map_grow(struct map *map)
{
	size_t slots = (map->mask + 1) * 2;

	assert(!map->old);
	map->old = map->slots;
	map->old_mask = map->mask;
	map->moved = 0;
	map->slots = NEW_ARRAY(slots, struct map_node *);
	map->mask = slots - 1;
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

	while (*at && *at != node)
		at = &(*at)->next;
	assert(*at == node);
	*at = node->next;
	node->next = NULL;
	map->count--;
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
