#include "tests/unit/protector/cmocka_first.h"

#include "base/hash.h"
#include "protector/nest.h"

struct thing {
	uint64_t hash, count;
};

static uint64_t weigh(const void *context, const void *thing)
{
	return ((const struct thing *)thing)->count;
}

static struct thing *touch(struct nest *nest, uint64_t number)
{
	bool fresh;
	struct thing *thing = nest_take(nest, hash64(&number, sizeof(number)), &fresh);

	assert_int_equal(fresh, thing->count == 0);
	thing->count++;
	return thing;
}

static void test_what_is_in_it_is_found(void **state)
{
	struct nest nest;
	size_t at = 0, met = 0;

	nest_init(&nest, 1000, sizeof(struct thing), weigh, NULL);
	assert_true(nest_places(&nest) >= 1000);
	for (uint64_t i = 0; i < 300; i++) {
		const uint64_t hash = hash64(&i, sizeof(i));
		const struct thing *thing;

		assert_null(nest_find(&nest, hash));
		thing = touch(&nest, i);
		assert_ptr_equal(nest_find(&nest, hash), thing);
	}
	while (nest_next(&nest, &at))
		met++;
	assert_int_equal(met, 300);
	assert_int_equal(nest.count, 300);
	assert_int_equal(nest.evicted, 0);
	nest_release(&nest);
}

/* However many come once: who comes again stays, and is counted exactly. */
static void test_the_heavy_stay(void **state)
{
	struct nest nest;

	nest_init(&nest, 1024, sizeof(struct thing), weigh, NULL);
	for (uint64_t i = 0; i < 100; i++) {
		touch(&nest, i);
		touch(&nest, i);
	}
	for (uint64_t i = 0; i < 200000; i++) {
		touch(&nest, 1000 + i);
		if (i % 1000 == 0)
			touch(&nest, i / 1000 % 100);
	}
	for (uint64_t i = 0; i < 100; i++) {
		const struct thing *thing = nest_find(&nest, hash64(&i, sizeof(i)));

		assert_non_null(thing);
		assert_int_equal(thing->count, 4);
	}
	assert_int_equal(nest.count, nest_places(&nest));
	assert_true(nest.evicted > 190000);
	nest_release(&nest);
}

/* One that gave way begins at zero, whoever was in its place. */
static void test_a_newcomer_inherits_nothing(void **state)
{
	struct nest nest;
	bool fresh;

	nest_init(&nest, 1, sizeof(struct thing), weigh, NULL);
	assert_int_equal(nest_places(&nest), NEST_WAYS);
	for (uint64_t i = 1; i <= NEST_WAYS; i++)
		((struct thing *)nest_take(&nest, i << 32, &fresh))->count = 10 + i;
	assert_int_equal(((struct thing *)nest_take(&nest, UINT64_C(77) << 32, &fresh))->count, 0);
	assert_true(fresh);
	assert_null(nest_find(&nest, UINT64_C(1) << 32));
	assert_non_null(nest_find(&nest, UINT64_C(2) << 32));
	assert_int_equal(nest.evicted, 1);
	nest_release(&nest);
}

/* Hashes whose tags are alike, or zero, are different things. */
static void test_tags_alone_are_not_trusted(void **state)
{
	struct nest nest;
	bool fresh;

	nest_init(&nest, 1, sizeof(struct thing), weigh, NULL);
	nest_take(&nest, 5, &fresh);
	nest_take(&nest, 6, &fresh);
	assert_true(fresh);
	nest_take(&nest, (UINT64_C(1) << 32) + 5, &fresh);
	assert_true(fresh);
	nest_take(&nest, 5, &fresh);
	assert_false(fresh);
	assert_int_equal(nest.count, 3);
	nest_release(&nest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_in_it_is_found),
		cmocka_unit_test(test_the_heavy_stay),
		cmocka_unit_test(test_a_newcomer_inherits_nothing),
		cmocka_unit_test(test_tags_alone_are_not_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
