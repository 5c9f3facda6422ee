/* A small form of the evaluation: seeds of the generator, and who would have been banned. */
#include "tests/unit/protector/cmocka_first.h"

#include "protector/replay.h"
#include "tests/traffic/town.h"
#include "tests/unit/protector/temporary.h"

#define SEEDS 4
#define PEOPLE_PERCENT 5

static void draw_town(uint64_t seed, const struct temporary *t)
{
	struct error error;

	assert_true(town_draw(seed, PEOPLE_PERCENT, t->recording, t->truth, NULL, &error));
}

static void check_kind(const struct truth_tally *tally)
{
	if (tally->good)
		assert_int_equal(tally->banned, 0);
	else if (strcmp(tally->kind, "rate") == 0 || strcmp(tally->kind, "farm") == 0 ||
		 strcmp(tally->kind, "rate-nameless") == 0)
		assert_true(tally->soon * 100 >= tally->clients * 99);
}

static void test_programs_are_banned_and_people_are_not(void **state)
{
	struct temporary t;
	struct error error;

	temporary_make(&t);
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct truth_tally tallies[TRUTH_KINDS_MAX];
		struct replay_result result;
		struct truth *truth;
		size_t kinds;

		draw_town(seed, &t);
		truth = truth_read(t.truth, &error);
		assert_non_null(truth);
		assert_true(replay(
			&(struct replay_options){.path = t.recording, .truth = truth}, &result, &error));
		assert_true(result.decisions[BAN_DENIES] > 5);
		assert_true(result.refused > 1000);
		assert_int_equal(result.invalid, 0);
		assert_false(result.cut);
		kinds = truth_tally(truth, tallies);
		assert_true(kinds > 8);
		for (size_t i = 0; i < kinds; i++)
			check_kind(&tallies[i]);
		truth_free(truth);
	}
	temporary_remove(&t);
}

struct digest {
	uint64_t decisions;
	uint64_t sum;
};

static void on_decided(void *context, const struct decision *decision)
{
	struct digest *digest = context;

	digest->decisions++;
	digest->sum =
		digest->sum * 31 + decision->create_us + decision->evidence.value * 7 + decision->effect;
}

static struct digest replay_once(const struct temporary *t)
{
	struct digest digest = {0};
	struct replay_result result;
	struct error error;

	assert_true(replay(
		&(struct replay_options){.path = t->recording, .decided = on_decided, .context = &digest},
		&result, &error));
	return digest;
}

static void test_the_same_again(void **state)
{
	struct temporary t;
	struct digest first, second;

	temporary_make(&t);
	draw_town(9, &t);
	first = replay_once(&t);
	second = replay_once(&t);
	assert_true(first.decisions > 0);
	assert_memory_equal(&first, &second, sizeof(first));
	draw_town(9, &t);
	second = replay_once(&t);
	assert_memory_equal(&first, &second, sizeof(first));
	temporary_remove(&t);
}

static void test_no_recording(void **state)
{
	struct temporary t;
	struct replay_result result;
	struct error error;

	temporary_make(&t);
	assert_false(replay(&(struct replay_options){.path = t.recording}, &result, &error));
	temporary_fill(t.recording, "\x02\xff\xff", 3);
	assert_false(replay(&(struct replay_options){.path = t.recording}, &result, &error));
	assert_non_null(strstr(error.text, "not recorded traffic"));
	temporary_fill(t.recording, "some text that somebody wrote", 29);
	assert_false(replay(&(struct replay_options){.path = t.recording}, &result, &error));
	assert_non_null(strstr(error.text, "ends within its first message"));
	temporary_fill(t.recording, "", 0);
	assert_true(replay(&(struct replay_options){.path = t.recording}, &result, &error));
	assert_int_equal(result.stats.events, 0);
	temporary_remove(&t);
}

/* What came before is summed up all the same. */
static void test_a_recording_that_is_damaged(void **state)
{
	struct temporary t;
	struct replay_result result;
	struct error error;
	FILE *file;

	temporary_make(&t);
	draw_town(9, &t);
	file = fopen(t.recording, "ab");
	assert_non_null(file);
	assert_int_equal(fwrite("\x02\xff\xff", 1, 3, file), 3);
	assert_int_equal(fclose(file), 0);
	assert_false(replay(&(struct replay_options){.path = t.recording}, &result, &error));
	assert_non_null(strstr(error.text, "no message at byte "));
	assert_true(result.stats.events > 1000 && result.decisions[BAN_DENIES] > 0);
	temporary_remove(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs_are_banned_and_people_are_not),
		cmocka_unit_test(test_the_same_again),
		cmocka_unit_test(test_no_recording),
		cmocka_unit_test(test_a_recording_that_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
