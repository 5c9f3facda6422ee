#include "tests/unit/protector/analysis_fixture.h"

static void test_what_is_counted_elsewhere(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	traffic.counts_account = false;
	send(analysis, START_US, SECOND_US, 1000, traffic);
	traffic.counts_address = false;
	send(analysis, START_US + SECOND_US, SECOND_US, 1000, traffic);
	assert_int_equal(analysis_stats(analysis).accounts, 0);
	assert_int_equal(analysis_stats(analysis).addresses, 1);
	assert_int_equal(analysis_stats(analysis).ignored, 1000);
	traffic = event(0, "", NULL);
	send(analysis, START_US + 2 * SECOND_US, SECOND_US, 1000, traffic);
	assert_int_equal(analysis_stats(analysis).ignored, 2000);
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 3 * SECOND_US, SECOND_US, 250, event(0, "user2", NULL));
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	analysis_free(analysis);
	analysis_free(NULL);
}

/* Another window: what was counted in steps of the old one is gone; the rest goes on. */
static void test_windows_change(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct detector_settings settings = *analysis_settings(analysis);
	const struct traffic named = event(0, "user1", "192.0.2.1"), nameless = event(0, "", "192.0.2.2");

	send(analysis, START_US, SECOND_US, 200, named);
	send(analysis, START_US + SECOND_US, SECOND_US, 240, nameless);
	settings.of[DETECTOR_REFUSALS].window_us = 30 * SECOND_US;
	assert_true(analysis_configure(analysis, &settings, NULL));
	settings.of[DETECTOR_ACCOUNT_RATE].window_us = 20 * SECOND_US;
	settings.of[DETECTOR_ADDRESS_RATE].window_us = 20 * SECOND_US;
	settings.of[DETECTOR_THROTTLED].window_us = 20 * SECOND_US;
	assert_true(analysis_configure(analysis, &settings, NULL));
	send(analysis, START_US + 2 * SECOND_US, SECOND_US, 200, named);
	send(analysis, START_US + 3 * SECOND_US, SECOND_US, 240, nameless);
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 15 * SECOND_US, SECOND_US, 20, named);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_RATE);
	assert_int_equal(heard.decisions[0].evidence.window_us, 20 * SECOND_US);
	analysis_free(analysis);
}

/* What a person overruled, or the store refused: the detectors do not believe that it is in force. */
static void test_what_is_revoked_is_decided_again(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic named = event(0, "user1", "192.0.2.1");
	unsigned decided;

	send(analysis, START_US, SECOND_US, 300, named);
	decided = heard.count;
	assert_int_equal(last(&heard)->effect, BAN_DENIES);
	send(analysis, START_US + 15 * SECOND_US, SECOND_US, 300, named);
	assert_int_equal(heard.count, decided);
	analysis_revoke(analysis, &last(&heard)->subject, BAN_DENIES);
	send(analysis, START_US + 30 * SECOND_US, SECOND_US, 300, named);
	assert_true(heard.count > decided);
	assert_int_equal(last(&heard)->effect, BAN_DENIES);
	assert_int_equal(last(&heard)->repetition, 0);
	analysis_free(analysis);
}

static void test_lifted_and_exempt(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic named = event(0, "user1", "192.0.2.1"), nameless = event(0, "", "192.0.2.2");
	size_t before;

	send(analysis, START_US, SECOND_US, 300, named);
	send(analysis, START_US + SECOND_US, SECOND_US, 600, nameless);
	before = heard.count;
	assert_int_equal(last(&heard)->effect, BAN_DENIES);
	analysis_exempt(
		analysis, &heard.decisions[2].subject, DETECTOR_ACCOUNT_RATE, START_US + 1000 * SECOND_US);
	analysis_exempt(analysis, &last(&heard)->subject, DETECTOR_ADDRESS_RATE, START_US + 1000 * SECOND_US);
	send(analysis, START_US + 10 * SECOND_US, SECOND_US, 300, named);
	send(analysis, START_US + 11 * SECOND_US, SECOND_US, 600, nameless);
	assert_int_equal(heard.count, before);
	send(analysis, START_US + 1010 * SECOND_US, SECOND_US, 300, named);
	assert_true(heard.count > before);
	/* one that nothing is known of */
	analysis_exempt(analysis, &(struct ban_subject){.kind = BAN_OF_ACCOUNT, .user_id = "user9"},
		DETECTOR_ACCOUNT_RATE, START_US + 2000 * SECOND_US);
	before = heard.count;
	send(analysis, START_US + 1020 * SECOND_US, SECOND_US, 300, event(0, "user9", "192.0.2.9"));
	assert_int_equal(heard.count, before);
	analysis_free(analysis);
}

static void test_restored_at_the_start(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct ban ban = {
		.effect = BAN_DENIES, .create_ms = START_US / 1000, .expire_ms = START_US / 1000 + 100000};
	struct top_client top;

	subject_account(&ban.subject, "user1");
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 3);
	send(analysis, START_US + SECOND_US, SECOND_US, 300, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 0);
	assert_int_equal(analysis_top(analysis, BAN_OF_ACCOUNT, &top, 1), 1);
	assert_int_equal(top.effect, BAN_DENIES);
	send(analysis, START_US + 200 * SECOND_US, SECOND_US, 300, event(0, "user1", "192.0.2.1"));
	assert_int_equal(last(&heard)->repetition, 4);
	heard.count = 0;
	subject_account(&ban.subject, "user2");
	ban.effect = BAN_CHALLENGES;
	ban.expire_ms = BANS_NEVER;
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 0);
	send(analysis, START_US + 300 * SECOND_US, SECOND_US, 249, event(0, "user2", "192.0.2.2"));
	assert_int_equal(heard.count, 0);
	subject_account(&ban.subject, "user3");
	ban.effect = BAN_SLOWS;
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 0);
	send(analysis, START_US + 400 * SECOND_US, SECOND_US, 220, event(0, "user3", "192.0.2.3"));
	assert_int_equal(heard.count, 0);
	subject_account(&ban.subject, "user4");
	ban.effect = BAN_SHADOWS;
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 0);
	send(analysis, START_US + 500 * SECOND_US, SECOND_US, 220, event(0, "user4", "192.0.2.4"));
	assert_int_equal(heard.count, 1);
	analysis_free(analysis);
}

/* A clock that is wrong carries nobody else's time away; time does not go back. */
static void test_time(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic named = event(0, "user1", "192.0.2.1");
	struct traffic wild = event(START_US + 1000000 * SECOND_US, "user2", "192.0.2.2");

	analysis_tick(analysis, START_US);
	send(analysis, START_US, SECOND_US, 200, named);
	take(analysis, &wild);
	assert_int_equal(analysis_stats(analysis).clamped, 1);
	send(analysis, START_US + SECOND_US, SECOND_US, 80,
		named); /* behind the time by now: counted as now */
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_RATE);
	assert_int_equal(last(&heard)->create_us, START_US + ANALYSIS_SKEW_US);
	wild.time_us = 1;
	take(analysis, &wild);
	analysis_tick(analysis, START_US - SECOND_US);
	assert_int_equal(analysis_stats(analysis).clamped, 1);
	analysis_tick(analysis, START_US + 100 * SECOND_US);
	send(analysis, START_US + 100 * SECOND_US, SECOND_US, 200, named);
	assert_int_equal(last(&heard)->create_us, START_US + ANALYSIS_SKEW_US);
	analysis_free(analysis);
}

/* The machine's clock is set back by an hour: windows go on, decisions are in the machine's time. */
static void test_the_clock_goes_back(void **state)
{
	const int64_t back_us = START_US - 3600 * SECOND_US;
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic person = event(0, "person", "192.0.2.1"), bot = event(0, "bot", "192.0.2.2");
	struct top_client top;

	analysis_tick(analysis, START_US);
	send(analysis, START_US, SECOND_US, 20, person);
	for (int second = 0; second < 100; second++) {
		const int64_t now_us = back_us + second * SECOND_US;

		analysis_tick(analysis, now_us);
		send(analysis, now_us, SECOND_US, 10, person); /* fine for ever */
	}
	assert_int_equal(heard.count, 0);
	assert_int_equal(analysis_top(analysis, BAN_OF_ACCOUNT, &top, 1), 1);
	assert_true(top.last_us > back_us && top.last_us < back_us + 101 * SECOND_US);
	send(analysis, back_us + 100 * SECOND_US, SECOND_US, 250, bot);
	assert_int_equal(last(&heard)->effect, BAN_DENIES);
	assert_true(last(&heard)->create_us >= back_us && last(&heard)->create_us < START_US);
	assert_true(last(&heard)->expire_us - last(&heard)->create_us == 300 * SECOND_US);
	assert_true(last(&heard)->evidence.first_us >= back_us && last(&heard)->evidence.last_us < START_US);
	analysis_exempt(analysis, &last(&heard)->subject, DETECTOR_ACCOUNT_RATE, back_us + 300 * SECOND_US);
	heard.count = 0;
	analysis_tick(analysis, back_us + 299 * SECOND_US);
	send(analysis, back_us + 299 * SECOND_US, SECOND_US / 2, 300, bot);
	assert_int_equal(heard.count, 0);
	analysis_tick(analysis, back_us + 302 * SECOND_US);
	send(analysis, back_us + 302 * SECOND_US, SECOND_US, 250, bot);
	assert_true(heard.count > 0);
	analysis_exempt(analysis, &last(&heard)->subject, DETECTOR_ACCOUNT_RATE, INT64_MAX); /* for ever */
	heard.count = 0;
	analysis_tick(analysis, back_us + 400 * SECOND_US);
	send(analysis, back_us + 400 * SECOND_US, SECOND_US, 300, bot);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

static void test_top(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct top_client top[3];
	struct traffic traffic = event(0, "user3", "192.0.2.3");

	for (unsigned i = 1; i <= 5; i++) {
		char name[16], address[32];

		snprintf(name, sizeof(name), "user%u", i);
		snprintf(address, sizeof(address), "192.0.2.%u", i);
		send(analysis, START_US, 0, i == 3 ? 20 : i, event(0, name, address));
	}
	traffic.reason = COMMON__REASON__REASON_THROTTLED;
	send(analysis, START_US + SECOND_US, SECOND_US, 2, traffic);
	traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
	traffic.user_id = span_of("user33");
	send(analysis, START_US + 2 * SECOND_US, SECOND_US, 4, traffic);
	assert_int_equal(analysis_top(analysis, BAN_OF_ACCOUNT, top, 3), 3);
	assert_string_equal(top[0].subject.user_id, "user3");
	assert_int_equal(top[0].requests, 22);
	assert_int_equal(top[0].throttled, 2);
	assert_int_equal(top[0].distinct, 1);
	assert_int_equal(top[0].effect, 0);
	assert_string_equal(top[1].subject.user_id, "user5");
	assert_int_equal(top[2].requests, 4);
	assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, top, 3), 3);
	assert_int_equal(top[0].requests, 26);
	assert_int_equal(top[0].distinct, 2);
	assert_int_equal(top[0].subject.address.bytes[15], 3);
	assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, top, 0), 0);
	farm(analysis, START_US, SECOND_US, 30, 500000, "many", TRAFFIC_READ);
	assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, top, 1), 1);
	assert_int_equal(top[0].distinct, 30); /* not the two before the accounts were looked at closer */
	analysis_tick(analysis, START_US + 100 * SECOND_US);
	assert_int_equal(analysis_top(analysis, BAN_OF_ACCOUNT, top, 3), 0);
	analysis_free(analysis);
	analysis_free(NULL);
}

/* Hosts of a /64 are one client, whatever they call themselves; another /64 is another. */
static void test_a_network_of_ipv6_is_one_client(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct top_client top[3];

	send(analysis, START_US, 0, 2, event(0, "", "2001:db8:1:2::7"));
	send(analysis, START_US, 0, 3, event(0, "", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
	send(analysis, START_US, 0, 1, event(0, "", "2001:db8:1:3::7"));
	assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, top, 3), 2);
	assert_int_equal(top[0].requests, 5);
	assert_int_equal(top[0].subject.address.bits, 64);
	assert_int_equal(top[0].subject.address.bytes[7], 2);
	assert_int_equal(top[0].subject.address.bytes[15], 0);
	assert_int_equal(top[1].requests, 1);
	analysis_free(analysis);
}

/* A million who come once push nobody out who comes often, and memory stays as it is. */
static void test_many_who_come_once(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic bot = event(0, "robot", "192.0.2.1");
	struct traffic traffic = event(0, "", "192.0.2.1");
	char name[16];

	for (unsigned i = 0; i < 200000; i++) { /* 50,000 a second, and the robot 100 times */
		traffic.time_us = START_US + i * 20;
		if (i % 500 == 0)
			send(analysis, traffic.time_us, 0, 1, bot);
		snprintf(name, sizeof(name), "once%u", i);
		traffic.user_id = span_of(name);
		traffic.address.bytes[12] = (uint8_t)(i >> 16);
		traffic.address.bytes[13] = (uint8_t)(i >> 8);
		traffic.address.bytes[14] = (uint8_t)i;
		take(analysis, &traffic);
	}
	assert_string_equal(last(&heard)->subject.user_id, "robot");
	assert_int_equal(last(&heard)->effect, BAN_DENIES);
	assert_int_equal(last(&heard)->evidence.value, 250);
	assert_int_equal(analysis_stats(analysis).accounts, 1024);
	assert_true(analysis_stats(analysis).evicted > 300000);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_counted_elsewhere),
		cmocka_unit_test(test_windows_change),
		cmocka_unit_test(test_what_is_revoked_is_decided_again),
		cmocka_unit_test(test_lifted_and_exempt),
		cmocka_unit_test(test_restored_at_the_start),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_the_clock_goes_back),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_a_network_of_ipv6_is_one_client),
		cmocka_unit_test(test_many_who_come_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
