#include "tests/unit/protector/cmocka_first.h"

#include "protector/analysis.h"
#include "tests/simulation/random.h"

#define START_US INT64_C(1795000000000000)
#define SECOND_US INT64_C(1000000)
#define DECISIONS_MAX 64

struct heard {
	struct decision decisions[DECISIONS_MAX];
	size_t count;
	unsigned shadows;
};

static void on_decided(void *context, const struct decision *decision)
{
	struct heard *heard = context;

	if (decision->effect == BAN_SHADOWS) {
		assert_int_equal(decision->detector, DETECTOR_REGULARITY);
		heard->shadows++;
		return;
	}
	assert_true(heard->count < DECISIONS_MAX);
	heard->decisions[heard->count++] = *decision;
}

static struct analysis *start(struct heard *heard)
{
	*heard = (struct heard){0};
	return analysis_new(&(struct analysis_options){
		.decided = on_decided, .context = heard, .accounts_max = 1024, .addresses_max = 1024});
}

static struct traffic event(int64_t time_us, const char *user_id, const char *address)
{
	struct traffic traffic = {.time_us = time_us,
		.kind = TRAFFIC_BUY,
		.counts_account = true,
		.counts_address = true,
		.user_id = span_of(user_id)};

	traffic.has_address = address && address_parse(address, strlen(address), &traffic.address);
	return traffic;
}

static void take(struct analysis *analysis, const struct traffic *traffic)
{
	analysis_take(analysis, traffic);
}

/* `count` of them, evenly over the time. */
static void send(
	struct analysis *analysis, int64_t from_us, int64_t for_us, unsigned count, struct traffic traffic)
{
	for (unsigned i = 0; i < count; i++) {
		traffic.time_us = from_us + for_us * i / count;
		take(analysis, &traffic);
	}
}

static const struct decision *last(const struct heard *heard)
{
	assert_true(heard->count > 0);
	return &heard->decisions[heard->count - 1];
}

static void check(const struct heard *heard, size_t at, enum ban_effect effect, enum detector detector)
{
	assert_true(heard->count > at);
	assert_int_equal(heard->decisions[at].effect, effect);
	assert_int_equal(heard->decisions[at].step, effect);
	assert_int_equal(heard->decisions[at].detector, detector);
}

static void test_sixty_in_a_second_are_fine(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	send(analysis, START_US, SECOND_US, 60, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
	analysis_free(NULL);
}

static void test_hundreds_in_a_second_are_banned(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	send(analysis, START_US, SECOND_US, 200, event(0, "user1", "192.0.2.1"));
	assert_int_equal(heard.count, 3);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_RATE);
	check(&heard, 1, BAN_CHALLENGES, DETECTOR_ACCOUNT_RATE);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	assert_string_equal(last(&heard)->subject.user_id, "user1");
	assert_int_equal(last(&heard)->subject.kind, BAN_OF_ACCOUNT);
	assert_int_equal(last(&heard)->evidence.value, 150);
	assert_int_equal(last(&heard)->evidence.threshold, 150);
	assert_int_equal(last(&heard)->evidence.requests, 150);
	assert_int_equal(last(&heard)->evidence.first_us, START_US);
	assert_int_equal(last(&heard)->create_us, START_US + SECOND_US * 149 / 200);
	assert_int_equal(last(&heard)->expire_us - last(&heard)->create_us, 300 * SECOND_US);
	analysis_free(analysis);
}

/* A ban loop: what was refused because of a ban feeds nothing, so it ends. */
static void test_refused_because_of_a_ban_feeds_nothing(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct traffic traffic = event(0, "user1", "192.0.2.1");

	send(analysis, START_US, SECOND_US, 150, traffic);
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	traffic.reason = COMMON__REASON__REASON_BANNED;
	send(analysis, START_US + SECOND_US, 600 * SECOND_US, 100000, traffic);
	assert_int_equal(heard.count, 3);
	assert_int_equal(analysis_stats(analysis).ignored, 100000);
	traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
	send(analysis, START_US + 700 * SECOND_US, SECOND_US, 80, traffic);
	assert_int_equal(heard.count, 3);
	send(analysis, START_US + 710 * SECOND_US, SECOND_US, 150, traffic);
	assert_int_equal(heard.count, 6);
	assert_int_equal(last(&heard)->repetition, 1);
	assert_int_equal(last(&heard)->expire_us - last(&heard)->create_us, 600 * SECOND_US);
	analysis_free(analysis);
}

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
	send(analysis, START_US + 3 * SECOND_US, SECOND_US, 150, event(0, "user2", NULL));
	check(&heard, 2, BAN_DENIES, DETECTOR_ACCOUNT_RATE);
	analysis_free(analysis);
}

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

/* `accounts` behind one address, each at that gap, from its own time within it. */
static void farm(struct analysis *analysis, int64_t from_us, int64_t for_us, unsigned accounts,
	int64_t gap_us, const char *prefix, enum traffic_kind kind)
{
	for (int64_t at_us = 0; at_us < for_us; at_us += gap_us)
		for (unsigned i = 0; i < accounts; i++) {
			char name[32];
			struct traffic traffic;

			snprintf(name, sizeof(name), "%s%u", prefix, i);
			traffic = event(from_us + at_us + gap_us * i / accounts, name, "192.0.2.1");
			traffic.kind = kind;
			take(analysis, &traffic);
		}
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

/* A third of the accounts there are people: the address is not banned. */
static void test_a_farm_among_people(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	farm(analysis, START_US, 10 * SECOND_US, 15, 4 * SECOND_US, "reader", TRAFFIC_READ);
	for (int64_t i = 0; i < 10; i++)
		farm(analysis, START_US + (12 + i) * SECOND_US, SECOND_US, 80, 300000, "farmer", TRAFFIC_BUY);
	assert_true(heard.count > 0);
	for (size_t i = 0; i < heard.count; i++)
		if (heard.decisions[i].subject.kind == BAN_OF_ADDRESS)
			assert_int_equal(heard.decisions[i].effect, BAN_CHALLENGES);
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

/* An account for each request. */
static void spray(struct analysis *analysis, unsigned count, unsigned looks_percent)
{
	for (unsigned i = 0; i < count; i++) {
		char name[16];
		struct traffic traffic;

		snprintf(name, sizeof(name), "fresh%u", i);
		traffic = event(START_US + i * 10000, name, "192.0.2.1");
		traffic.kind = i % 100 < looks_percent ? TRAFFIC_READ : TRAFFIC_CHANGE;
		take(analysis, &traffic);
	}
}

static void test_an_account_for_each_request(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	spray(analysis, 1000, 0);
	assert_int_equal(heard.count, 1);
	check(&heard, 0, BAN_CHALLENGES, DETECTOR_ADDRESS_ACCOUNTS);
	assert_in_range(last(&heard)->evidence.accounts, 300, 1000);
	analysis_free(analysis);
	analysis = start(&heard);
	spray(analysis, 5000, 50);
	assert_int_equal(heard.count, 0);
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
	send(analysis, START_US, SECOND_US, 60, traffic); /* in one second that is fine, refused or not */
	send(analysis, START_US + 20 * SECOND_US, 20 * SECOND_US, 29, traffic);
	traffic.kind = TRAFFIC_READ; /* a look does not break the row */
	traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
	send(analysis, START_US + 50 * SECOND_US, SECOND_US, 5, traffic);
	traffic.kind = TRAFFIC_BUY; /* nor do our own faults, which do not count either */
	traffic.reason = COMMON__REASON__REASON_OVERLOADED;
	send(analysis, START_US + 51 * SECOND_US, SECOND_US, 5, traffic);
	assert_int_equal(heard.count, 0);
	traffic.reason = COMMON__REASON__REASON_LIMIT_REACHED;
	send(analysis, START_US + 60 * SECOND_US, 80 * SECOND_US, 200, traffic);
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
	send(analysis, START_US + 200 * SECOND_US, SECOND_US, 150, traffic);
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

	for (int64_t i = 0; i < 20; i++) {
		traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
		send(analysis, START_US + i * 200 * SECOND_US, 50 * SECOND_US, 50, traffic);
		traffic.reason = COMMON__REASON__REASON_UNSPECIFIED;
		if (i % 2) /* a yes, or else the pause */
			send(analysis, START_US + (i * 200 + 60) * SECOND_US, SECOND_US, 1, traffic);
	}
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
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

/* Another window: what was counted in steps of the old one is gone; the rest goes on. */
static void test_windows_change(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	struct detector_settings settings = *analysis_settings(analysis);
	const struct traffic named = event(0, "user1", "192.0.2.1"), nameless = event(0, "", "192.0.2.2");

	send(analysis, START_US, SECOND_US, 80, named);
	send(analysis, START_US + SECOND_US, SECOND_US, 240, nameless);
	settings.of[DETECTOR_REFUSALS].window_us = 30 * SECOND_US;
	assert_true(analysis_configure(analysis, &settings, NULL));
	settings.of[DETECTOR_ACCOUNT_RATE].window_us = 20 * SECOND_US;
	settings.of[DETECTOR_ADDRESS_RATE].window_us = 20 * SECOND_US;
	settings.of[DETECTOR_THROTTLED].window_us = 20 * SECOND_US;
	assert_true(analysis_configure(analysis, &settings, NULL));
	send(analysis, START_US + 2 * SECOND_US, SECOND_US, 80, named);
	send(analysis, START_US + 3 * SECOND_US, SECOND_US, 240, nameless);
	assert_int_equal(heard.count, 0);
	send(analysis, START_US + 15 * SECOND_US, SECOND_US, 20, named);
	check(&heard, 0, BAN_SLOWS, DETECTOR_ACCOUNT_RATE);
	assert_int_equal(heard.decisions[0].evidence.window_us, 20 * SECOND_US);
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
	send(analysis, START_US + 300 * SECOND_US, SECOND_US, 140, event(0, "user2", "192.0.2.2"));
	assert_int_equal(heard.count, 0);
	subject_account(&ban.subject, "user3");
	ban.effect = BAN_SLOWS;
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 0);
	send(analysis, START_US + 400 * SECOND_US, SECOND_US, 110, event(0, "user3", "192.0.2.3"));
	assert_int_equal(heard.count, 0);
	subject_account(&ban.subject, "user4");
	ban.effect = BAN_SHADOWS;
	analysis_restore(analysis, &ban, DETECTOR_ACCOUNT_RATE, 0);
	send(analysis, START_US + 500 * SECOND_US, SECOND_US, 110, event(0, "user4", "192.0.2.4"));
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
	send(analysis, START_US, SECOND_US, 80, named);
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
	send(analysis, START_US + 100 * SECOND_US, SECOND_US, 80, named);
	assert_int_equal(last(&heard)->create_us, START_US + ANALYSIS_SKEW_US);
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
	send(analysis, START_US, 0, 2, traffic);
	traffic.reason = COMMON__REASON__REASON_SOLD_OUT;
	traffic.user_id = span_of("user33");
	send(analysis, START_US, 0, 4, traffic);
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

/* A million who come once push nobody out who comes often, and memory stays as it is. */
static void test_many_who_come_once(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct traffic bot = event(0, "robot", "192.0.2.1");
	struct traffic traffic = event(0, "", "192.0.2.1");
	char name[16];

	for (unsigned i = 0; i < 200000; i++) { /* 50,000 a second, and the robot 50 times */
		traffic.time_us = START_US + i * 20;
		if (i % 1000 == 0)
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
	assert_int_equal(last(&heard)->evidence.value, 150);
	assert_int_equal(analysis_stats(analysis).accounts, 1024);
	assert_true(analysis_stats(analysis).evicted > 300000);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixty_in_a_second_are_fine),
		cmocka_unit_test(test_hundreds_in_a_second_are_banned),
		cmocka_unit_test(test_refused_because_of_a_ban_feeds_nothing),
		cmocka_unit_test(test_what_is_counted_elsewhere),
		cmocka_unit_test(test_a_nameless_sender),
		cmocka_unit_test(test_a_nameless_crowd_is_not_banned),
		cmocka_unit_test(test_nameless_among_accounts),
		cmocka_unit_test(test_a_crowd_that_looks),
		cmocka_unit_test(test_a_farm),
		cmocka_unit_test(test_a_farm_among_people),
		cmocka_unit_test(test_a_few_accounts_are_no_farm),
		cmocka_unit_test(test_an_account_for_each_request),
		cmocka_unit_test(test_an_account_from_many_addresses),
		cmocka_unit_test(test_refusals_in_a_row),
		cmocka_unit_test(test_what_our_own_steps_cause),
		cmocka_unit_test(test_what_breaks_the_row),
		cmocka_unit_test(test_throttled),
		cmocka_unit_test(test_regularity_is_in_shadow),
		cmocka_unit_test(test_looks_by_a_timer),
		cmocka_unit_test(test_windows_change),
		cmocka_unit_test(test_lifted_and_exempt),
		cmocka_unit_test(test_a_lifted_address_begins_from_nothing),
		cmocka_unit_test(test_restored_at_the_start),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_a_crowd_that_left),
		cmocka_unit_test(test_other_settings),
		cmocka_unit_test(test_room_for_mixes),
		cmocka_unit_test(test_many_who_come_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
