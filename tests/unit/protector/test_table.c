#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/table.h"

#define THINGS 512

struct thing {
	uint64_t hash;
	int in; /* whether it is in the table */
};

static size_t found(const struct table *table, uint64_t hash, const struct thing *thing)
{
	size_t at, times = 0;

	for (const struct thing *t = table_first(table, hash, &at); t; t = table_next(table, hash, &at)) {
		assert_true(t->hash == hash);
		times += t == thing;
	}
	return times;
}

static void check_all(const struct table *table, const struct thing *things)
{
	size_t count = 0;

	for (size_t i = 0; i < THINGS; i++) {
		assert_int_equal(found(table, things[i].hash, &things[i]), things[i].in);
		count += (size_t)things[i].in;
	}
	assert_int_equal(table->count, count);
}

/* Puts and removes at random; everything in it is found once, nothing else is. */
static void shuffle(struct thing *things, unsigned seed)
{
	struct table table;

	table_init(&table);
	for (int step = 0; step < 5000; step++) {
		struct thing *thing = &things[rand_r(&seed) % THINGS];

		if (thing->in)
			table_remove(&table, thing->hash, thing);
		else
			table_put(&table, thing->hash, thing);
		thing->in = !thing->in;
		if (step % 50 == 0)
			check_all(&table, things);
	}
	check_all(&table, things);
	table_release(&table);
}

static void test_spread_hashes(void **state)
{
	static struct thing things[THINGS];
	unsigned seed = 1;

	for (size_t i = 0; i < THINGS; i++)
		things[i].hash = (uint64_t)rand_r(&seed) << 32 | (unsigned)rand_r(&seed);
	shuffle(things, 2);
}

/* Long runs, that go over the end of the slots too. */
static void test_crowded_hashes(void **state)
{
	static struct thing things[THINGS];
	unsigned seed = 3;

	for (size_t i = 0; i < THINGS; i++)
		things[i].hash = UINT64_MAX - (uint64_t)(rand_r(&seed) % 40);
	shuffle(things, 4);
}

static void test_one_hash(void **state)
{
	static struct thing things[THINGS];

	for (size_t i = 0; i < THINGS; i++)
		things[i].hash = 62;
	shuffle(things, 5);
}

static void test_an_empty_table(void **state)
{
	struct table table;
	size_t at;

	table_init(&table);
	assert_null(table_first(&table, 0, &at));
	assert_null(table_first(&table, UINT64_MAX, &at));
	table_release(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spread_hashes),
		cmocka_unit_test(test_crowded_hashes),
		cmocka_unit_test(test_one_hash),
		cmocka_unit_test(test_an_empty_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
