#include "tests/unit/protector/cmocka_first.h"

#include "protector/ladder.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US (3600 * SECOND_US)
#define NOW_US (1000 * HOUR_US)
#define CLIENT UINT64_C(0x1234567890abcdef)

struct fixture {
	struct detector_settings settings;
	struct ladder ladder;
	struct ladder_step step;
};

static void setup(struct fixture *f)
{
	detector_settings_standard(&f->settings);
	ladder_init(&f->ladder, &f->settings, 64);
}

static bool climb(struct fixture *f, enum detector detector, enum rung rung, int64_t now_us)
{
	return ladder_climb(&f->ladder, CLIENT, detector, rung, now_us, &f->step);
}

static bool ban(struct fixture *f, int64_t now_us)
{
	return climb(f, DETECTOR_ACCOUNT_RATE, RUNG_BAN, now_us);
}

static void test_up_and_not_down(void **state)
{
	struct fixture f;

	setup(&f);
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US), RUNG_NONE);
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US));
	assert_int_equal(f.step.expire_us, NOW_US + f.settings.slow_us);
	assert_false(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US + 1));
	assert_true(climb(&f, DETECTOR_REFUSALS, RUNG_CHALLENGE, NOW_US + 1));
	assert_int_equal(f.step.expire_us, NOW_US + 1 + f.settings.challenge_us);
	assert_false(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US + 2));
	assert_true(ban(&f, NOW_US + 2));
	assert_false(ban(&f, NOW_US + 3));
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US + 3), RUNG_BAN);
	ladder_release(&f.ladder);
}

static void test_it_ends_and_can_begin_again(void **state)
{
	struct fixture f;

	setup(&f);
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US));
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, f.step.expire_us - 1), RUNG_SLOW);
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, f.step.expire_us), RUNG_NONE);
	assert_false(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, f.step.expire_us - 1));
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, f.step.expire_us));
	ladder_release(&f.ladder);
}

static void test_each_ban_is_twice_as_long(void **state)
{
	struct fixture f;
	int64_t now_us = NOW_US, length_us;

	setup(&f);
	f.settings.decay_us = 400 * 24 * HOUR_US;
	length_us = f.settings.ban_us;
	for (uint32_t i = 0; i < 50; i++) {
		assert_true(ban(&f, now_us));
		assert_int_equal(f.step.expire_us - now_us, length_us);
		assert_int_equal(f.step.repetition, i < 30 ? i : 30);
		now_us = f.step.expire_us;
		length_us =
			2 * length_us < f.settings.ban_longest_us ? 2 * length_us : f.settings.ban_longest_us;
	}
	ladder_release(&f.ladder);
}

static void test_bans_are_forgotten_one_by_one(void **state)
{
	struct fixture f;
	int64_t now_us = NOW_US;

	setup(&f);
	for (int i = 0; i < 3; i++) {
		assert_true(ban(&f, now_us));
		now_us = f.step.expire_us;
	}
	assert_int_equal(f.step.repetition, 2);
	now_us = now_us - 4 * f.settings.ban_us + 2 * f.settings.decay_us; /* two decays after the last */
	assert_true(ban(&f, now_us));
	assert_int_equal(f.step.repetition, 1);
	assert_true(ban(&f, now_us + 100 * f.settings.decay_us));
	assert_int_equal(f.step.repetition, 0);
	ladder_release(&f.ladder);
}

static void test_slowing_is_no_repetition(void **state)
{
	struct fixture f;

	setup(&f);
	for (int i = 0; i < 5; i++)
		assert_true(climb(
			&f, DETECTOR_ACCOUNT_RATE, RUNG_CHALLENGE, NOW_US + i * f.settings.challenge_us));
	assert_true(ban(&f, NOW_US + 5 * f.settings.challenge_us));
	assert_int_equal(f.step.repetition, 0);
	ladder_release(&f.ladder);
}

static void test_a_lifted_client_is_left_alone_by_that_detector(void **state)
{
	struct fixture f;

	setup(&f);
	assert_true(ban(&f, NOW_US));
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_ACCOUNT_RATE, NOW_US + HOUR_US);
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US + 1), RUNG_NONE);
	assert_false(ban(&f, NOW_US + HOUR_US - 1));
	assert_true(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US + 1));
	assert_true(ban(&f, NOW_US + HOUR_US));
	assert_int_equal(f.step.repetition, 0); /* the lifted one counts for nothing */
	ladder_release(&f.ladder);
}

/* A decision that does not take effect: it is soon made again, and is no repetition. */
static void test_what_is_revoked(void **state)
{
	struct fixture f;

	setup(&f);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US); /* never heard of */
	assert_true(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US));
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US); /* is not what it is on */
	ladder_revoke(&f.ladder, CLIENT, RUNG_NONE, NOW_US);
	assert_false(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US + 20000000));
	ladder_revoke(&f.ladder, CLIENT, RUNG_SLOW, NOW_US);
	assert_true(climb(&f, DETECTOR_REFUSALS, RUNG_SLOW, NOW_US + 20000000));
	assert_true(ban(&f, NOW_US + 20000000));
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US + 20000000);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US + 20000000); /* once is enough */
	assert_true(ban(&f, NOW_US + 40000000));
	assert_int_equal(f.step.repetition, 0);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US + 40000000);
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_REFUSALS, NOW_US + HOUR_US); /* lifted at the same time */
	assert_true(ban(&f, NOW_US + 60000000));
	assert_int_equal(f.step.repetition, 0);
	ladder_release(&f.ladder);
}

static void test_shadows_are_apart(void **state)
{
	struct fixture f;

	setup(&f);
	f.settings.of[DETECTOR_REGULARITY].shadow = true;
	assert_true(climb(&f, DETECTOR_REGULARITY, RUNG_BAN, NOW_US));
	assert_false(climb(&f, DETECTOR_REGULARITY, RUNG_BAN, NOW_US + 1));
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US + 1), RUNG_NONE);
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US + 1));
	assert_true(ban(&f, NOW_US + 2));
	assert_int_equal(f.step.repetition, 0);
	ladder_release(&f.ladder);
}

static void test_what_was_before_the_start(void **state)
{
	struct fixture f;

	setup(&f);
	ladder_restore(&f.ladder, CLIENT, RUNG_BAN, NOW_US - 10, NOW_US + SECOND_US, 2);
	ladder_restore(
		&f.ladder, CLIENT, RUNG_BAN, NOW_US - HOUR_US, NOW_US - SECOND_US, 1); /* an older one */
	ladder_restore(&f.ladder, CLIENT, RUNG_SLOW, NOW_US - 5, NOW_US - 1, 0);
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US), RUNG_BAN);
	assert_false(ban(&f, NOW_US));
	assert_true(ban(&f, NOW_US + SECOND_US));
	assert_int_equal(f.step.repetition, 3);
	ladder_restore(&f.ladder, CLIENT, RUNG_BAN, NOW_US + HOUR_US, NOW_US + 2 * HOUR_US, 4000);
	assert_true(ban(&f, NOW_US + 2 * HOUR_US));
	assert_int_equal(f.step.repetition, 29); /* one was forgotten */
	ladder_release(&f.ladder);
}

/* A ban that the store dates later than the traffic: the clock was set. */
static void test_a_ban_of_the_future(void **state)
{
	struct fixture f;

	setup(&f);
	ladder_restore(&f.ladder, CLIENT, RUNG_BAN, NOW_US + HOUR_US, NOW_US, 1);
	assert_true(ban(&f, NOW_US));
	assert_int_equal(f.step.repetition, 2);
	ladder_release(&f.ladder);
}

/* Whose memory is over gives way first: a ban, a repetition, an exemption are kept. */
static void test_room(void **state)
{
	struct fixture f;
	const uint64_t banned = UINT64_C(1) << 32, exempt = UINT64_C(2) << 32, repeated = UINT64_C(3) << 32;

	detector_settings_standard(&f.settings);
	ladder_init(&f.ladder, &f.settings, NEST_WAYS);
	ladder_restore(&f.ladder, banned, RUNG_BAN, NOW_US, NOW_US + 10 * HOUR_US, 0);
	ladder_exempt(&f.ladder, exempt, DETECTOR_REFUSALS, NOW_US + HOUR_US);
	ladder_restore(&f.ladder, repeated, RUNG_BAN, NOW_US, NOW_US + 1, 5);
	for (uint64_t i = 10; i < 100; i++)
		assert_true(ladder_climb(
			&f.ladder, i << 32, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US + (int64_t)i, &f.step));
	assert_int_equal(ladder_rung(&f.ladder, banned, NOW_US + 1), RUNG_BAN);
	assert_false(ladder_climb(&f.ladder, exempt, DETECTOR_REFUSALS, RUNG_BAN, NOW_US + 1000, &f.step));
	assert_true(ladder_climb(&f.ladder, repeated, DETECTOR_REFUSALS, RUNG_BAN, NOW_US + 1000, &f.step));
	assert_int_equal(f.step.repetition, 6);
	ladder_release(&f.ladder);
}

static void test_a_lifted_ban_makes_none_longer(void **state)
{
	struct fixture f;

	setup(&f);
	assert_true(ban(&f, NOW_US));
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_ACCOUNT_RATE, NOW_US + 1);
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_REFUSALS, NOW_US + 1);
	assert_true(ban(&f, NOW_US + 1));
	assert_int_equal(f.step.repetition, 0);
	assert_int_equal(f.step.expire_us, NOW_US + 1 + f.settings.ban_us);
	/* one that did not even take effect */
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US + 1);
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_ACCOUNT_RATE, NOW_US + 2);
	assert_true(ban(&f, NOW_US + 2));
	assert_int_equal(f.step.repetition, 0);
	ladder_release(&f.ladder);
}

static void test_what_is_revoked_may_be_found_again(void **state)
{
	struct fixture f;

	setup(&f);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US);
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US));
	assert_true(ban(&f, NOW_US));
	ladder_revoke(&f.ladder, CLIENT, RUNG_NONE, NOW_US);
	ladder_revoke(&f.ladder, CLIENT, RUNG_SLOW, NOW_US); /* which is not in force any more */
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US + 11 * SECOND_US), RUNG_BAN);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US);
	assert_false(ban(&f, NOW_US + 9 * SECOND_US)); /* each request would decide it again */
	assert_true(ban(&f, NOW_US + 10 * SECOND_US));
	assert_int_equal(f.step.repetition, 0);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, f.step.expire_us - 1); /* not prolonged */
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, f.step.expire_us), RUNG_NONE);
	ladder_release(&f.ladder);
}

static void test_what_is_revoked_twice_counts_once(void **state)
{
	struct fixture f;

	setup(&f);
	assert_true(climb(&f, DETECTOR_ACCOUNT_RATE, RUNG_SLOW, NOW_US));
	ladder_revoke(&f.ladder, CLIENT, RUNG_SLOW, NOW_US);
	assert_int_equal(ladder_rung(&f.ladder, CLIENT, NOW_US + 10 * SECOND_US), RUNG_NONE);
	assert_true(ban(&f, NOW_US));
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US);
	ladder_revoke(&f.ladder, CLIENT, RUNG_BAN, NOW_US);
	ladder_exempt(&f.ladder, CLIENT, DETECTOR_REFUSALS, 0);
	assert_true(ban(&f, NOW_US));
	assert_int_equal(f.step.repetition, 0);
	assert_int_equal(f.step.expire_us, NOW_US + f.settings.ban_us);
	ladder_release(&f.ladder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_up_and_not_down),
		cmocka_unit_test(test_it_ends_and_can_begin_again),
		cmocka_unit_test(test_each_ban_is_twice_as_long),
		cmocka_unit_test(test_bans_are_forgotten_one_by_one),
		cmocka_unit_test(test_slowing_is_no_repetition),
		cmocka_unit_test(test_a_lifted_client_is_left_alone_by_that_detector),
		cmocka_unit_test(test_what_is_revoked),
		cmocka_unit_test(test_shadows_are_apart),
		cmocka_unit_test(test_a_lifted_ban_makes_none_longer),
		cmocka_unit_test(test_what_is_revoked_may_be_found_again),
		cmocka_unit_test(test_what_is_revoked_twice_counts_once),
		cmocka_unit_test(test_what_was_before_the_start),
		cmocka_unit_test(test_a_ban_of_the_future),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
