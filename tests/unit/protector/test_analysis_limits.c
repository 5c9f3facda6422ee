/* What an account may do without any consequence, and what has one, in numbers. */
#include "tests/unit/protector/analysis_fixture.h"

#define PHASES 16
#define PHASE_US (SECOND_US / 10 + 1) /* so that they are all over an eighth of the rate detector's window */

enum tone { ALL_GRANTED, FIVE_GRANTED, ALL_THROTTLED };

struct load {
	const char *what;
	unsigned count;
	int64_t for_us; /* evenly over this time; 0: all at once */
	enum tone tone;
	/* The hardest that comes of it, and how long after the first request; 0: nothing does. */
	enum ban_effect effect;
	enum detector detector;
	int64_t after_us;
};

static const struct load loads[] = {
	{"60 in a second", 60, SECOND_US, ALL_GRANTED, 0, 0, 0},
	{"60 in a second, refused", 60, SECOND_US, FIVE_GRANTED, 0, 0, 0},
	{"60 in a second, throttled", 60, SECOND_US, ALL_THROTTLED, 0, 0, 0},
	{"150 at once, refused", 150, 0, FIVE_GRANTED, 0, 0, 0},
	{"150 at once, throttled", 150, 0, ALL_THROTTLED, 0, 0, 0},
	{"150 in a second, refused", 150, SECOND_US, FIVE_GRANTED, 0, 0, 0},
	{"150 in a second, throttled", 150, SECOND_US, ALL_THROTTLED, 0, 0, 0},
	{"150 by a slow machine, refused", 150, 5 * SECOND_US, FIVE_GRANTED, 0, 0, 0},
	{"150 by a slow machine, throttled", 150, 5 * SECOND_US, ALL_THROTTLED, 0, 0, 0},
	{"209 at once, refused", 209, 0, FIVE_GRANTED, 0, 0, 0},
	{"20 a second, granted", 1200, 60 * SECOND_US, ALL_GRANTED, 0, 0, 0},
	{"a refusal a second", 94, 94 * SECOND_US, FIVE_GRANTED, 0, 0, 0},
	{"4 a second, throttled", 240, 60 * SECOND_US, ALL_THROTTLED, 0, 0, 0},

	{"210 at once", 210, 0, ALL_GRANTED, BAN_SLOWS, DETECTOR_ACCOUNT_RATE, 0},
	{"230 at once", 230, 0, ALL_GRANTED, BAN_CHALLENGES, DETECTOR_ACCOUNT_RATE, 0},
	{"250 at once", 250, 0, ALL_GRANTED, BAN_DENIES, DETECTOR_ACCOUNT_RATE, 0},
	{"300 in a second", 300, SECOND_US, FIVE_GRANTED, BAN_DENIES, DETECTOR_ACCOUNT_RATE,
		SECOND_US * 249 / 300},
	{"200 a second", 400, 2 * SECOND_US, FIVE_GRANTED, BAN_DENIES, DETECTOR_ACCOUNT_RATE,
		SECOND_US * 249 / 200},
	{"60 a second", 300, 5 * SECOND_US, ALL_GRANTED, BAN_DENIES, DETECTOR_ACCOUNT_RATE,
		SECOND_US * 249 / 60},
	{"29 a second", 290, 10 * SECOND_US, ALL_GRANTED, BAN_DENIES, DETECTOR_ACCOUNT_RATE,
		SECOND_US * 249 / 29},
	{"a refusal a second", 95, 95 * SECOND_US, FIVE_GRANTED, BAN_SLOWS, DETECTOR_REFUSALS,
		94 * SECOND_US},
	{"8 refusals a second", 255, SECOND_US * 255 / 8, FIVE_GRANTED, BAN_DENIES, DETECTOR_REFUSALS,
		SECOND_US * 254 / 8},
	{"8 a second, throttled", 80, 10 * SECOND_US, ALL_THROTTLED, BAN_CHALLENGES, DETECTOR_THROTTLED,
		SECOND_US * 59 / 8},
};

static Common__Reason outcome(enum tone tone, unsigned number)
{
	if (tone == ALL_GRANTED || (tone == FIVE_GRANTED && number < 5))
		return COMMON__REASON__REASON_UNSPECIFIED;
	return tone == ALL_THROTTLED ? COMMON__REASON__REASON_THROTTLED
				     : COMMON__REASON__REASON_LIMIT_REACHED;
}

/* The first decision of the hardest; NULL: there was none. */
static const struct decision *hardest(const struct heard *heard)
{
	static const int rank[BAN_EFFECTS] = {[BAN_SLOWS] = 1, [BAN_CHALLENGES] = 2, [BAN_DENIES] = 3};
	const struct decision *found = NULL;

	for (size_t i = 0; i < heard->count; i++)
		if (!found || rank[heard->decisions[i].effect] > rank[found->effect])
			found = &heard->decisions[i];
	return found;
}

/* Time is cut into steps by the first event of all, so the load falls into them in one way or another. */
static void check_load(const struct load *load, int64_t phase_us)
{
	const int64_t from_us = START_US + phase_us;
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(START_US, "somebody", "192.0.2.2");
	const struct decision *decision;

	take(analysis, &traffic);
	traffic = event(0, "user1", "192.0.2.1");
	for (unsigned i = 0; i < load->count; i++) {
		traffic.time_us = from_us + load->for_us * i / load->count;
		traffic.reason = outcome(load->tone, i);
		take(analysis, &traffic);
	}
	decision = hardest(&heard);
	if ((decision ? decision->effect : 0) != load->effect)
		fail_msg("%s, phase %lld us: it comes to %d, not %d", load->what, (long long)phase_us,
			decision ? (int)decision->effect : 0, (int)load->effect);
	if (decision) {
		assert_int_equal(decision->detector, load->detector);
		assert_int_equal(decision->create_us - from_us, load->after_us);
	}
	analysis_free(analysis);
}

static void test_what_is_fine_and_what_bites(void **state)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		for (int phase = 0; phase < PHASES; phase++)
			check_load(&loads[i], phase * PHASE_US);
}

/* As a program would that knows of the tries: what is sent together is one, whether it is refused or not, but as many requests as there are. */
static void test_sent_together(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");
	struct top_client top;

	for (unsigned i = 0; i < 89; i++) { /* two in a tenth of a second, each second */
		traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
		traffic.time_us = START_US + i * SECOND_US;
		take(analysis, &traffic);
		traffic.time_us += 99999;
		take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 0);
	assert_int_equal(analysis_top(analysis, BAN_OF_ACCOUNT, &top, 1), 1);
	assert_int_equal(top.refusals, 89);
	assert_in_range(top.requests, 18, 20);
	traffic.time_us++;
	take(analysis, &traffic);
	check(&heard, 0, BAN_SLOWS, DETECTOR_REFUSALS);
	analysis_free(analysis);
	analysis_free(NULL); /* as free() */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_fine_and_what_bites),
		cmocka_unit_test(test_sent_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
