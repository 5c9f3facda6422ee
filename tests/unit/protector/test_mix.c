#include "tests/unit/protector/cmocka_first.h"

#include <math.h>

#include "base/hash.h"
#include "base/memory.h"
#include "protector/mix.h"
#include "tests/simulation/random.h"

#define SECOND_US INT64_C(1000000)
#define START_US (1000 * SECOND_US)
#define KEEP_US (300 * SECOND_US)

static uint64_t account(uint64_t number)
{
	return hash64(&number, sizeof(number));
}

static struct mix_view look(const struct mix *mix, int64_t now_us)
{
	return mix_look(mix, now_us, KEEP_US, KEEP_US);
}

static void test_few_are_counted_exactly(void **state)
{
	struct mix *mix = NEW(struct mix);

	for (uint64_t i = 0; i < 1000; i++)
		mix_add(mix, account(i % MIX_MEMBERS), true, START_US + (int64_t)i, KEEP_US);
	assert_int_equal(look(mix, START_US + 1000).accounts, MIX_MEMBERS);
	assert_int_equal(look(mix, START_US + 1000).sampled, MIX_MEMBERS);
	free(mix);
}

/* The standard error in theory is 1.2 / sqrt(128), 11 %: over 200 crowds the mean is near, and hardly any is off by three times that. */
static void test_many_are_estimated(void **state)
{
	double sum = 0, squares = 0;
	unsigned far = 0;

	for (uint64_t crowd = 0; crowd < 200; crowd++) {
		struct mix *mix = NEW(struct mix);
		const uint64_t count = 500 + crowd * 100;
		double relative;

		for (uint64_t i = 0; i < count; i++)
			mix_add(mix, account(crowd << 32 | i), true, START_US + (int64_t)i, KEEP_US);
		relative = (double)look(mix, START_US + (int64_t)count).accounts / (double)count - 1;
		sum += relative;
		squares += relative * relative;
		far += fabs(relative) > 3 * 1.2 / sqrt(MIX_MEMBERS);
		free(mix);
	}
	assert_true(fabs(sum / 200) < 0.03);
	assert_true(sqrt(squares / 200) < 0.12);
	assert_true(far <= 4);
}

/* The parts of the sample are the parts of the crowd. */
static void test_a_sample_is_fair(void **state)
{
	for (uint64_t crowd = 0; crowd < 20; crowd++) {
		struct mix *mix = NEW(struct mix);
		struct mix_view view;

		for (uint64_t i = 0; i < 20000; i++)
			mix_add(mix, account(crowd << 32 | i), i % 10 < 3, START_US + (int64_t)i, KEEP_US);
		view = look(mix, START_US + 20000);
		assert_in_range(view.sampled, MIX_MEMBERS / 4, MIX_MEMBERS);
		assert_in_range(view.never_looked * 100 / view.sampled, 10, 55);
		free(mix);
	}
}

static void test_who_left_is_forgotten(void **state)
{
	struct mix *mix = NEW(struct mix);

	for (uint64_t i = 0; i < 100; i++)
		mix_add(mix, account(i), true, START_US, 10 * SECOND_US);
	assert_int_equal(look(mix, START_US + SECOND_US).accounts, 100);
	assert_int_equal(
		mix_look(mix, START_US + 11 * SECOND_US, 10 * SECOND_US, 10 * SECOND_US).accounts, 0);
	assert_int_equal(mix_look(mix, START_US + 11 * SECOND_US, 10 * SECOND_US, KEEP_US).persons, 100);
	/* their room is there for others, and nobody is left out for it */
	for (uint64_t i = 1000; i < 1120; i++)
		mix_add(mix, account(i), true, START_US + 20 * SECOND_US, 10 * SECOND_US);
	assert_int_equal(mix->depth, 0);
	assert_int_equal(mix_look(mix, START_US + 20 * SECOND_US, SECOND_US, SECOND_US).accounts, 120);
	free(mix);
}

static void test_a_sample_grows_again(void **state)
{
	struct mix *mix = NEW(struct mix);
	uint8_t deep;

	mix_shrink(mix, START_US, KEEP_US);
	for (uint64_t i = 0; i < 10000; i++)
		mix_add(mix, account(i), true, START_US, KEEP_US);
	deep = mix->depth;
	assert_true(deep >= 6);
	mix_shrink(mix, START_US, KEEP_US);
	assert_int_equal(mix->depth, deep);
	for (int i = 1; i <= deep; i++) {
		mix_shrink(mix, START_US + KEEP_US + 1, KEEP_US);
		assert_int_equal(mix->depth, deep - i);
	}
	mix_shrink(mix, START_US + KEEP_US + 1, KEEP_US);
	assert_int_equal(mix->depth, 0);
	free(mix);
}

/* Accounts whose hashes all begin with zeros, as nobody can choose them: there is an end to it. */
static void test_no_room_at_any_depth(void **state)
{
	struct mix *mix = NEW(struct mix);

	for (uint64_t i = 0; i < 1000; i++)
		mix_add(mix, i, true, START_US, KEEP_US);
	assert_int_equal(mix->count, MIX_MEMBERS);
	free(mix);
}

/* Sends `count` requests with that gap, after which the one account is looked at. */
static struct mix_view one(unsigned count, int64_t gap_us, int64_t jitter_us, bool attempt)
{
	struct mix *mix = NEW(struct mix);
	struct random random;
	int64_t now_us = START_US;
	struct mix_view view;

	random_seed(&random, 3);
	for (unsigned i = 0; i < count; i++) {
		mix_add(mix, account(1), attempt, now_us, KEEP_US);
		now_us += gap_us + random_between(&random, -jitter_us, jitter_us);
	}
	view = look(mix, now_us);
	free(mix);
	return view;
}

static void test_what_a_program_is(void **state)
{
	assert_int_equal(one(6, 450000, 0, true).programs, 0);	     /* not for long enough */
	assert_int_equal(one(7, 500000, 0, true).programs, 1);	     /* even */
	assert_int_equal(one(20, 500000, 250000, true).programs, 1); /* even enough */
	assert_int_equal(one(30, 190000, 180000, true).programs, 1); /* fast */
	assert_int_equal(one(12, 100000, 0, true).programs, 0);	     /* a burst */
	assert_int_equal(one(40, 100000, 0, false).programs, 0);     /* a page that looks by itself */
	assert_int_equal(one(60, 60000, 0, false).programs, 1);	     /* one that looks far too often */
	assert_int_equal(one(40000, 10000, 0, true).programs, 1);
	assert_int_equal(one(70000, 10, 0, false).programs, 0); /* counters stop, they do not wrap */
	assert_int_equal(one(70000, 60, 0, true).programs, 1);
}

static void test_what_a_person_is(void **state)
{
	assert_int_equal(one(1, SECOND_US, 0, true).persons, 0);       /* not known yet */
	assert_int_equal(one(4, 2 * SECOND_US, 0, true).persons, 1);   /* slow */
	assert_int_equal(one(30, 600000, 590000, true).persons, 0);    /* between */
	assert_int_equal(one(10, 2 * SECOND_US, 0, false).persons, 1); /* only looks */
	assert_int_equal(one(1, 6 * SECOND_US, 0, true).persons, 1);   /* was here, and is quiet */
	assert_int_equal(one(20, 500000, 0, true).persons, 0);
}

/* A program that pauses is one until it was seen to behave otherwise for a whole span. */
static void test_a_change_of_ways(void **state)
{
	struct mix *mix = NEW(struct mix);
	int64_t now_us = START_US;

	for (unsigned i = 0; i < 20; i++)
		mix_add(mix, account(1), true, now_us += 300000, KEEP_US);
	assert_int_equal(look(mix, now_us).programs, 1);
	mix_add(mix, account(1), true, now_us += 4 * SECOND_US, KEEP_US);
	for (unsigned i = 0; i < 4; i++) {
		mix_add(mix, account(1), false, now_us += 3 * SECOND_US, KEEP_US);
	}
	assert_int_equal(look(mix, now_us).programs, 0);
	assert_int_equal(look(mix, now_us).persons, 1);
	assert_int_equal(look(mix, now_us).never_looked, 0);
	free(mix);
}

/* What was too short to tell by is of neither kind: many at once and then nothing, a look and then a few at once. */
static void test_what_is_neither(void **state)
{
	struct mix *mix = NEW(struct mix);
	int64_t now_us = START_US;
	struct mix_view view;

	for (unsigned i = 0; i < 20; i++)
		mix_add(mix, account(1), true, now_us += 40000, KEEP_US);
	view = look(mix, now_us + 6 * SECOND_US);
	assert_int_equal(view.programs, 0);
	assert_int_equal(view.persons, 0);
	mix_add(mix, account(1), true, now_us += 6 * SECOND_US, KEEP_US);
	view = look(mix, now_us);
	assert_int_equal(view.programs, 0);
	assert_int_equal(view.persons, 0);
	now_us += 60 * SECOND_US;
	mix_add(mix, account(2), false, now_us, KEEP_US);
	now_us += 3 * SECOND_US;
	for (unsigned i = 0; i < MIX_EVEN_ATTEMPTS; i++)
		mix_add(mix, account(2), true, now_us += 200000, KEEP_US);
	view = look(mix, now_us);
	assert_int_equal(view.programs, 0);
	assert_int_equal(view.persons, 1); /* the first one, who is quiet by now */
	free(mix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_are_counted_exactly),
		cmocka_unit_test(test_many_are_estimated),
		cmocka_unit_test(test_a_sample_is_fair),
		cmocka_unit_test(test_who_left_is_forgotten),
		cmocka_unit_test(test_a_sample_grows_again),
		cmocka_unit_test(test_no_room_at_any_depth),
		cmocka_unit_test(test_what_a_program_is),
		cmocka_unit_test(test_what_a_person_is),
		cmocka_unit_test(test_a_change_of_ways),
		cmocka_unit_test(test_what_is_neither),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
