#include "tests/unit/protector/analysis_fixture.h"

static void test_hundreds_in_a_second_are_banned(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	send(analysis, START_US, SECOND_US, 300, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 3);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_RATE);
	check(&heard, 1, BAN_CHALLENGES, DETECTOR_ACCOUNT_RATE);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	assert_string_equal(last(&heard)->subject.user_id, "user1");
	assert_int_equal(last(&heard)->subject.kind, BAN_OF_ACCOUNT);
	assert_int_equal(last(&heard)->evidence.value, 250);
	assert_int_equal(last(&heard)->evidence.threshold, 250);
	assert_int_equal(last(&heard)->evidence.requests, 250);
	assert_int_equal(last(&heard)->evidence.first_us, START_US);
	assert_int_equal(last(&heard)->create_us, START_US + SECOND_US * 249 / 300);
	assert_int_equal(last(&heard)->expire_us - last(&heard)->create_us, 300 * SECOND_US);
	analysis_free(analysis);
}

/* A ban loop: what was refused because of a ban feeds nothing, so it ends. */
static void test_refused_because_of_a_ban_feeds_nothing(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	send(analysis, START_US, SECOND_US, 250, traffic);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	traffic.reason = COMMON__REASON__REASON_BANNED;
	send(analysis, START_US + SECOND_US, 600 * SECOND_US, 100000, traffic);
	assert_int_equal(heard.count, 3);
	assert_int_equal(analysis_stats(analysis).ignored, 100000);
	traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
	send(analysis, START_US + 700 * SECOND_US, SECOND_US, 200, traffic);
	assert_int_equal(heard.count, 3);
	send(analysis, START_US + 710 * SECOND_US, SECOND_US, 250, traffic);
	assert_int_equal(heard.count, 6);
	assert_int_equal(last(&heard)->repetition, 1);
	assert_int_equal(last(&heard)->expire_us - last(&heard)->create_us, 600 * SECOND_US);
	analysis_free(analysis);
}

static void test_an_account_from_many_addresses(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < 5; i++) {
			char address[32];
			struct traffic traffic;

			snprintf(address, sizeof(address), "192.0.2.%u", i);
			traffic = event(START_US + (round * 5 + i) * SECOND_US, "user1", address);
			take(analysis, &traffic);
		}
	assert_int_equal(heard.count, 0);
	for (unsigned i = 0; i < 11; i++) {
		char address[32];
		struct traffic traffic;

		snprintf(address, sizeof(address), "198.51.100.%u", i);
		traffic = event(START_US + (20 + i) * SECOND_US, "user1", address);
		take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 3);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_ADDRESSES);
	check(&heard, 1, BAN_CHALLENGES, DETECTOR_ACCOUNT_ADDRESSES);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_ADDRESSES);
	assert_int_equal(last(&heard)->evidence.addresses, 16);
	analysis_free(analysis);
}

static void test_refusals_in_a_row(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
	send(analysis, START_US, 60 * SECOND_US, 89, traffic);
	traffic.kind = TRAFFIC_READ; /* a look does not break the row */
	traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
	send(analysis, START_US + 70 * SECOND_US, SECOND_US, 5, traffic);
	traffic.kind = TRAFFIC_BUY; /* nor do our own faults, which do not count either */
	traffic.reason = COMMON__REASON__REASON_OVERLOADED;
	send(analysis, START_US + 71 * SECOND_US, SECOND_US, 5, traffic);
	assert_int_equal(heard.count, 0);
	traffic.reason = COMMON__REASON__REASON_LIMIT_REACHED;
	send(analysis, START_US + 80 * SECOND_US, 80 * SECOND_US, 200, traffic);
	check(&heard, 0, BAN_SLOWS, DETECTOR_REFUSALS);
	assert_int_equal(heard.decisions[0].evidence.value, 90);
	check(&heard, 1, BAN_CHALLENGES, DETECTOR_REFUSALS);
	check(&heard, heard.count - 1, BAN_DENIES, DETECTOR_REFUSALS);
	assert_int_equal(last(&heard)->evidence.value, 250);
	analysis_free(analysis);
}

/* What a step of ours has caused counts as traffic, so that who does not let up is banned, but not as a fault. */
static void test_what_our_own_steps_cause(void **state)
{
	static const Common__Reason reasons[] = {
		COMMON__REASON__REASON_SLOWED, COMMON__REASON__REASON_CHALLENGE_REQUIRED};
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	for (int64_t i = 0; i < 1000; i++) {
		traffic.reason = reasons[i % 2];
		traffic.time_us = START_US + i * 100000;
		take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 200 * SECOND_US, SECOND_US, 250, traffic);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	assert_int_equal(last(&heard)->evidence.refusals, 0);
	assert_int_equal(last(&heard)->evidence.throttled, 0);
	analysis_free(analysis);
}

static void test_what_breaks_the_row(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
	for (int64_t i = 0; i < 20; i++) /* the pause */
		send(analysis, START_US + i * 200 * SECOND_US, 50 * SECOND_US, 50, traffic);
	assert_int_equal(heard.count, 0);
	for (int64_t i = 0; i < 20; i++) { /* a yes */
		traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
		send(analysis, START_US + (5000 + i * 60) * SECOND_US, 50 * SECOND_US, 50, traffic);
		traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
		send(analysis, START_US + (5055 + i * 60) * SECOND_US, SECOND_US, 1, traffic);
	}
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

/* A hundred that are sent at once and all refused, or all throttled, show no will to go on: they are a try. */
static void test_many_at_once_are_one_try(void **state)
{
	static const Common__Reason reasons[] = {
		COMMON__REASON__REASON_SOLD_OUT, COMMON__REASON__REASON_THROTTLED};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		struct heard heard;
		struct analysis *analysis = start(&heard);
		struct traffic traffic = event(0, "user1", "192.0.2.1");

		traffic.reason = reasons[i];
		for (int64_t round = 0; round < 20; round++)
			send(analysis, START_US + round * 11 * SECOND_US, 90000, 100, traffic);
		assert_int_equal(heard.count, 0);
		analysis_free(analysis);
	}
}

static void test_throttled(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	traffic.reason = COMMON__REASON__REASON_THROTTLED;
	send(analysis, START_US, 8 * SECOND_US, 55, traffic); /* too few to say */
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 8 * SECOND_US, 60 * SECOND_US, 600, traffic);
	check(&heard, 0, BAN_CHALLENGES, DETECTOR_THROTTLED);
	assert_int_equal(heard.count, 1);
	analysis_free(analysis);
	analysis = start(&heard);
	for (int64_t i = 0; i < 600; i++) { /* two of three */
		traffic.reason =
			i % 3 ? COMMON__REASON__REASON_THROTTLED : COMMON__REASON__REASON_UNSPECIFIED;
		traffic.time_us = START_US + i * 100000;
		take(analysis, &traffic);
	}
	check(&heard, 0, BAN_SLOWS, DETECTOR_THROTTLED);
	assert_int_equal(heard.decisions[0].evidence.value, 66);
	analysis_free(analysis);
	analysis = start(&heard);
	for (int64_t i = 0; i < 600; i++) { /* every other one */
		traffic.reason =
			i % 2 ? COMMON__REASON__REASON_THROTTLED : COMMON__REASON__REASON_UNSPECIFIED;
		traffic.time_us = START_US + i * 100000;
		take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

static void test_regularity_is_in_shadow(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct detector_settings settings = *analysis_settings(analysis);
	struct error error;

	send(analysis, START_US, 60 * SECOND_US, 50, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 0);
	assert_int_equal(heard.shadows, 1);
	settings.of[DETECTOR_REGULARITY].shadow = false;
	assert_true(analysis_configure(analysis, &settings, &error));
	send(analysis, START_US + 61 * SECOND_US, 60 * SECOND_US, 50, event(0, "user1", "192.0.2.1"));
	check(&heard, heard.count - 1, BAN_DENIES, DETECTOR_REGULARITY);
	heard.count = 0;
	settings.of[DETECTOR_REGULARITY].enabled = false;
	assert_true(analysis_configure(analysis, &settings, &error));
	send(analysis, START_US + 1000 * SECOND_US, 60 * SECOND_US, 50, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 0);
	settings.ban_us = 0;
	assert_false(analysis_configure(analysis, &settings, &error));
	assert_true(analysis_settings(analysis)->ban_us > 0);
	analysis_free(analysis);
}

/* A page that looks by a timer is as even as a bot, and is none. */
static void test_looks_by_a_timer(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	traffic.kind = TRAFFIC_READ;
	send(analysis, START_US, 300 * SECOND_US, 600, traffic);
	assert_int_equal(heard.count, 0);
	assert_int_equal(heard.shadows, 0);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hundreds_in_a_second_are_banned),
		cmocka_unit_test(test_refused_because_of_a_ban_feeds_nothing),
		cmocka_unit_test(test_an_account_from_many_addresses),
		cmocka_unit_test(test_refusals_in_a_row),
		cmocka_unit_test(test_what_our_own_steps_cause),
		cmocka_unit_test(test_what_breaks_the_row),
		cmocka_unit_test(test_many_at_once_are_one_try),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_regularity_is_in_shadow),
		cmocka_unit_test(test_looks_by_a_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
