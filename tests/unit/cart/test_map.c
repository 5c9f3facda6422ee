#include "check.h"

#include "base/memory.h"
#include "cart/map.h"

struct thing {
	struct map_node node;
	uint64_t key;
};

static struct thing *find(const struct map *map, uint64_t key, uint64_t hash)
{
	struct map_node *node = map_first(map, hash);

	for (; node; node = map_next(node))
		if (container_of(node, struct thing, node)->key == key)
			return container_of(node, struct thing, node);
	return NULL;
}

/* At every size, while old slots are moved too, each thing is found and an absent one is not. */
static void test_grows_and_finds(void **state)
{
	enum { COUNT = 5000 };
	struct thing *things = NEW_ARRAY(COUNT, struct thing);
	struct map map;

	map_init(&map);
	for (uint64_t i = 0; i < COUNT; i++) {
		things[i].key = i;
		map_put(&map, &things[i].node, i * 0x9e3779b97f4a7c15u);
		if (i % 7 == 0)
			for (uint64_t j = 0; j <= i; j++)
				assert_ptr_equal(find(&map, j, j * 0x9e3779b97f4a7c15u), &things[j]);
		assert_null(find(&map, i + 1, (i + 1) * 0x9e3779b97f4a7c15u));
	}
	assert_int_equal(map.count, COUNT);
	map_release(&map);
	free(things);
}

static void test_equal_hashes(void **state)
{
	struct thing things[40];
	struct map map;

	map_init(&map);
	for (uint64_t i = 0; i < 40; i++) {
		things[i].key = i;
		map_put(&map, &things[i].node, 7);
	}
	for (uint64_t i = 0; i < 40; i += 2)
		map_remove(&map, &things[i].node);
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(find(&map, i, 7) != NULL, i % 2);
	map_release(&map);
}

/* Removal in the middle of a move, from the old slots and from the new. */
static void test_removes_while_growing(void **state)
{
	enum { COUNT = 66 }; /* two past the first size: the move has begun and is not done */
	struct thing things[COUNT];
	struct map map;

	map_init(&map);
	for (uint64_t i = 0; i < COUNT; i++) {
		things[i].key = i;
		map_put(&map, &things[i].node, i);
	}
	assert_non_null(map.old);
	for (uint64_t i = 0; i < COUNT; i++) {
		map_remove(&map, &things[i].node);
		assert_null(find(&map, i, i));
	}
	assert_int_equal(map.count, 0);
	map_release(&map);
}

struct visits {
	struct map *map;
	size_t count, removed;
	uint8_t seen[5000];
};

static void visit(void *context, struct map_node *node)
{
	struct visits *visits = context;
	struct thing *thing = container_of(node, struct thing, node);

	visits->count++;
	visits->seen[thing->key]++;
	if (thing->key % 3 == 0) {
		map_remove(visits->map, node);
		visits->removed++;
	}
}

/* Whatever the map does meanwhile, what is there all the time is visited once, nothing twice, and what a visit removes is gone. */
static void test_a_walk_in_steps(void **state)
{
	enum { COUNT = 5000 };
	struct thing *things = NEW_ARRAY(COUNT, struct thing);

	for (uint64_t first = 1; first < 300; first++) { /* it grows at 33, 65, 129, 257 ... things */
		struct visits visits = {0};
		struct map_walk walk = {0};
		struct map map;
		uint64_t put = 0;
		bool more;

		map_init(&map);
		visits.map = &map;
		for (; put < first; put++) {
			things[put].key = put;
			map_put(&map, &things[put].node, put * 0x9e3779b97f4a7c15u);
		}
		do {
			size_t before = visits.count;

			more = map_walk(&map, &walk, 1, visit, &visits);
			assert_true(visits.count - before < 200);
			/* the walk is ahead of the moves at first, then behind */
			for (int i = 0; i < 40 && walk.at > first % 40 && put < COUNT; i++, put++) {
				things[put].key = put;
				map_put(&map, &things[put].node, put * 0x9e3779b97f4a7c15u);
			}
		} while (more);
		for (uint64_t i = 0; i < put; i++)
			assert_true(visits.seen[i] == 1 || (i >= first && visits.seen[i] == 0));
		assert_int_equal(map.count, put - visits.removed);
		assert_false(map_walk(&map, &walk, SIZE_MAX, visit, &visits)); /* over is over */
		map_release(&map);
	}
	free(things);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_finds),
		cmocka_unit_test(test_equal_hashes),
		cmocka_unit_test(test_removes_while_growing),
		cmocka_unit_test(test_a_walk_in_steps),
	};

	return RUN(tests);
}
