#include "tests/unit/protector/analysis_fixture.h"

/* Even, nameless, from one IPv6 network: one sender, however many of its addresses it uses. */
static void test_a_nameless_sender(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	for (unsigned i = 0; i < 400; i++) {
		char address[64];
		struct traffic traffic;

		snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
		traffic = event(START_US + i * 2000, "", address);
		take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 3);
	check(&heard, 2, BAN_DENIES, DETECTOR_ADDRESS_RATE);
	assert_int_equal(last(&heard)->subject.kind, BAN_OF_ADDRESS);
	assert_int_equal(last(&heard)->subject.address.bits, 64);
	assert_int_equal(last(&heard)->evidence.variation, 0);
	analysis_free(analysis);
}

/* As unevenly as a crowd: that is not clear, so it is slowed and no more. */
static void test_a_nameless_crowd_is_not_banned(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct random random;
	struct traffic traffic = event(START_US, "", "192.0.2.1");

	random_seed(&random, 5);
	for (unsigned i = 0; i < 100000; i++) {
		traffic.time_us += random_wait(&random, 1000);
		take(analysis, &traffic);
	}
	for (size_t i = 0; i < heard.count; i++)
		check(&heard, i, BAN_SLOWS, DETECTOR_ADDRESS_RATE);
	assert_in_range(heard.count, 3, 4); /* each 30 s again */
	analysis_free(analysis);
}

/* People with accounts are there too: even a timer is not banned then; and each of them explains a request a second. */
static void test_nameless_among_accounts(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic nameless = event(0, "", "192.0.2.1");
	char name[16];

	for (unsigned i = 0; i < 20; i++) {
		struct traffic traffic;

		snprintf(name, sizeof(name), "user%u", i);
		traffic = event(START_US + i * SECOND_US, name, "192.0.2.1");
		traffic.kind = TRAFFIC_READ;
		take(analysis, &traffic);
	}
	send(analysis, START_US + 20 * SECOND_US, 10 * SECOND_US, 600, nameless);
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 30 * SECOND_US, 10 * SECOND_US, 2000, nameless);
	assert_int_equal(heard.count, 1);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ADDRESS_RATE);
	assert_int_equal(heard.decisions[0].evidence.accounts,
		18); /* the first two came before the mix was looked at */
	analysis_free(analysis);
}

/* A crowd's looks before its people say who they are: fewer than these people explain. */
static void test_a_crowd_that_looks(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	farm(analysis, START_US, 4 * SECOND_US, 100, 2 * SECOND_US, "reader", TRAFFIC_READ);
	send(analysis, START_US + 4 * SECOND_US, 20 * SECOND_US, 1600, event(0, "", "192.0.2.1"));
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

static void test_a_farm(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	farm(analysis, START_US, 5 * SECOND_US, 50, 300000, "farmer", TRAFFIC_BUY);
	assert_true(heard.count > 0);
	check(&heard, heard.count - 1, BAN_DENIES, DETECTOR_ADDRESS_MIX);
	assert_int_equal(last(&heard)->evidence.accounts, 50);
	assert_true(last(&heard)->evidence.value >= 80);
	assert_in_range(last(&heard)->create_us, START_US, START_US + 4 * SECOND_US);
	analysis_free(analysis);
}

/* People read, and some press three times; the programs among them buy 3.3 times a second. */
static void among_people(struct analysis *analysis, unsigned readers, unsigned buyers, unsigned farmers)
{
	farm(analysis, START_US, 10 * SECOND_US, readers, 4 * SECOND_US, "reader", TRAFFIC_READ);
	for (int64_t i = 0; i < 10; i++) {
		if (i < 3)
			farm(analysis, START_US + (12 + i) * SECOND_US, SECOND_US, buyers, SECOND_US, "buyer",
				TRAFFIC_BUY);
		farm(analysis, START_US + (12 + i) * SECOND_US, SECOND_US, farmers, 300000, "farmer",
			TRAFFIC_BUY);
	}
}

/* How many accounts of that prefix were challenged; nobody else was, and nothing else happened. */
static void check_challenged(const struct heard *heard, const char *prefix, size_t least, size_t most)
{
	assert_in_range(heard->count, least, most);
	for (size_t i = 0; i < heard->count; i++) {
		check(heard, i, BAN_CHALLENGES, DETECTOR_ADDRESS_MIX);
		assert_int_equal(heard->decisions[i].subject.kind, BAN_OF_ACCOUNT);
		assert_memory_equal(heard->decisions[i].subject.user_id, prefix, strlen(prefix));
		assert_in_range(heard->decisions[i].evidence.value, 30, 99);
		assert_true(heard->decisions[i].evidence.first_us >= START_US + 12 * SECOND_US);
	}
}

/* People are there too: neither the address nor anybody else there hears of it, only who behaves like a program. */
static void test_a_farm_among_people(void **state)
{
	struct detector_settings settings;
	struct heard heard;
	struct analysis *analysis = start(&heard);

	among_people(analysis, 20, 10, 70);
	check_challenged(&heard, "farmer", 70, 70);
	assert_int_equal(last(&heard)->evidence.accounts, 100);
	analysis_free(analysis);
	analysis = start(&heard);
	among_people(analysis, 7, 3, 90); /* as many as elsewhere get an address banned */
	check_challenged(&heard, "farmer", 90, 90);
	analysis_free(analysis);
	analysis = start(&heard);
	among_people(analysis, 60, 20, 30); /* 27 % */
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
	analysis = start(&heard);
	settings = *analysis_settings(analysis);
	settings.of[DETECTOR_ADDRESS_MIX].enabled = false;
	assert_true(analysis_configure(analysis, &settings, NULL));
	among_people(analysis, 20, 10, 70);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

/* More than the sample holds: who is not in it is followed as soon as it is known what the sample is like. */
static void test_a_large_farm_among_people(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	among_people(analysis, 100, 100, 400);
	check_challenged(&heard, "farmer", 400, 400);
	analysis_free(analysis);
}

/* With room for few beside the sample: fewer are found, and nobody wrongly. */
static void test_room_for_those_who_are_followed(void **state)
{
	struct heard heard = {0};
	struct analysis *analysis = analysis_new(
		&(struct analysis_options){.decided = on_decided, .context = &heard, .followed_max = 8});

	among_people(analysis, 100, 100, 400);
	check_challenged(&heard, "farmer", 20, 128);
	analysis_free(analysis);
}

static void test_a_member_that_was_lifted(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct ban_subject lifted;

	subject_account(&lifted, "farmer7");
	analysis_exempt(analysis, &lifted, DETECTOR_ADDRESS_MIX, START_US + 3600 * SECOND_US);
	among_people(analysis, 20, 10, 70);
	check_challenged(&heard, "farmer", 69, 69);
	for (size_t i = 0; i < heard.count; i++)
		assert_string_not_equal(heard.decisions[i].subject.user_id, "farmer7");
	analysis_free(analysis);
}

static void test_a_few_accounts_are_no_farm(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	farm(analysis, START_US, 20 * SECOND_US, 9, 500000, "farmer", TRAFFIC_BUY);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

static void test_an_account_for_each_request(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	spray(analysis, 2000, 0);
	assert_int_equal(heard.count, 1);
	check(&heard, 0, BAN_CHALLENGES, DETECTOR_ADDRESS_ACCOUNTS);
	assert_in_range(last(&heard)->evidence.accounts, 1000, 1500);
	analysis_free(analysis);
	analysis = start(&heard);
	spray(analysis, 5000, 50);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

/* A farm's address that was lifted begins from nothing. */
static void test_a_lifted_address_begins_from_nothing(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct top_client top;

	farm(analysis, START_US, 5 * SECOND_US, 50, 300000, "farmer", TRAFFIC_BUY);
	analysis_exempt(analysis, &last(&heard)->subject, DETECTOR_ADDRESS_MIX, START_US + 6 * SECOND_US);
	assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, &top, 1), 0);
	analysis_free(analysis);
}

/* Everybody of a large crowd has left; whoever comes now is looked at alone. */
static void test_a_crowd_that_left(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct detector_settings settings = *analysis_settings(analysis);

	settings.of[DETECTOR_ADDRESS_MIX].least = 0;
	assert_true(analysis_configure(analysis, &settings, NULL));
	farm(analysis, START_US, SECOND_US, 3000, SECOND_US, "reader", TRAFFIC_READ);
	farm(analysis, START_US + 400 * SECOND_US, 9 * SECOND_US, 6, 3 * SECOND_US, "later", TRAFFIC_READ);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

/* An operator may let detectors ban that do not by standard, with no step before it. */
static void test_other_settings(void **state)
{
	struct detector_settings settings;
	struct heard heard = {0};
	struct analysis *analysis;
	struct traffic traffic = event(0, "user1", "192.0.2.7");

	detector_settings_standard(&settings);
	settings.of[DETECTOR_ADDRESS_ACCOUNTS].challenge = 0;
	settings.of[DETECTOR_ADDRESS_ACCOUNTS].ban = 100;
	settings.of[DETECTOR_THROTTLED].slow = settings.of[DETECTOR_THROTTLED].challenge = 0;
	settings.of[DETECTOR_THROTTLED].ban = 95;
	settings.of[DETECTOR_ACCOUNT_ADDRESSES].enabled = false;
	analysis = analysis_new(
		&(struct analysis_options){.decided = on_decided, .context = &heard, .settings = &settings});
	spray(analysis, 500, 0);
	assert_int_equal(heard.count, 1);
	check(&heard, 0, BAN_DENIES, DETECTOR_ADDRESS_ACCOUNTS);
	traffic.reason = COMMON__REASON__REASON_THROTTLED;
	send(analysis, START_US + 10 * SECOND_US, 10 * SECOND_US, 100, traffic);
	assert_int_equal(heard.count, 2);
	check(&heard, 1, BAN_DENIES, DETECTOR_THROTTLED);
	assert_int_equal(analysis_stats(analysis).decisions[DETECTOR_THROTTLED], 1);
	analysis_free(analysis);
}

/* Three accounts at each of many addresses: more than there is room to look at. The largest crowd keeps its room while it is there. */
static void test_room_for_mixes(void **state)
{
	struct heard heard = {0};
	struct analysis *analysis = analysis_new(
		&(struct analysis_options){.decided = on_decided, .context = &heard, .mixes_max = 8});
	struct top_client top;

	farm(analysis, START_US, SECOND_US, 40, 500000, "reader", TRAFFIC_READ);
	for (unsigned i = 0; i < 300; i++) {
		char address[32], name[32];

		snprintf(address, sizeof(address), "198.51.%u.%u", i / 250, i % 250);
		snprintf(name, sizeof(name), "home%u", i);
		send(analysis, START_US + SECOND_US + (i < 100 ? 0 : 100 * SECOND_US), 0, 1,
			event(0, name, address));
		name[0] = 'x';
		send(analysis, START_US + SECOND_US, 0, 1, event(0, name, address));
		name[0] = 'y';
		send(analysis, START_US + SECOND_US, 0, 1, event(0, name, address));
		if (i == 99) {
			assert_int_equal(analysis_top(analysis, BAN_OF_ADDRESS, &top, 1), 1);
			assert_int_equal(top.distinct, 40);
		}
	}
	assert_true(analysis_stats(analysis).unjudged > 200);
	assert_int_equal(analysis_stats(analysis).mixes, 8);
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_nameless_sender),
		cmocka_unit_test(test_a_nameless_crowd_is_not_banned),
		cmocka_unit_test(test_nameless_among_accounts),
		cmocka_unit_test(test_a_crowd_that_looks),
		cmocka_unit_test(test_a_farm),
		cmocka_unit_test(test_a_farm_among_people),
		cmocka_unit_test(test_a_large_farm_among_people),
		cmocka_unit_test(test_room_for_those_who_are_followed),
		cmocka_unit_test(test_a_member_that_was_lifted),
		cmocka_unit_test(test_a_few_accounts_are_no_farm),
		cmocka_unit_test(test_an_account_for_each_request),
		cmocka_unit_test(test_a_lifted_address_begins_from_nothing),
		cmocka_unit_test(test_a_crowd_that_left),
		cmocka_unit_test(test_other_settings),
		cmocka_unit_test(test_room_for_mixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
