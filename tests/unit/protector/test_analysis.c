#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/analysis.h"

#define START_US INT64_C(1795000000000000)
#define SECOND_US INT64_C(1000000)
#define DECISIONS_MAX 64

struct heard {
	struct decision decisions[DECISIONS_MAX];
	size_t count;
};

static void on_decided(void *context, const struct decision *decision)
{
	struct heard *heard = context;

	if (decision->effect == BAN_SHADOWS) {
		assert_int_equal(decision->detector, DETECTOR_REGULARITY);
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

	traffic.has_address = address_parse(address, strlen(address), &traffic.address);
	return traffic;
}

static void send(struct analysis *analysis, int64_t from_us, int64_t to_us, unsigned count,
	const char *user_id, const char *address)
{
	for (unsigned i = 0; i < count; i++) {
		const struct traffic traffic =
			event(from_us + (to_us - from_us) * i / count, user_id, address);

		analysis_take(analysis, &traffic);
	}
}

static void test_sixty_in_a_second_are_fine(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	send(analysis, START_US, START_US + SECOND_US, 60, "user1", "192.0.2.1");
	assert_int_equal(heard.count, 0);
	analysis_free(analysis);
}

static void test_hundreds_in_a_second_are_banned(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);
	const struct decision *last;

	send(analysis, START_US, START_US + SECOND_US, 200, "user1", "192.0.2.1");
	assert_int_equal(heard.count, 3);
	assert_int_equal(heard.decisions[0].effect, BAN_SLOWS);
	assert_int_equal(heard.decisions[1].effect, BAN_CHALLENGES);
	last = &heard.decisions[2];
	assert_int_equal(last->effect, BAN_DENIES);
	assert_int_equal(last->detector, DETECTOR_ACCOUNT_RATE);
	assert_string_equal(last->subject.user_id, "user1");
	assert_int_equal(last->evidence.value, 150);
	assert_int_equal(last->evidence.threshold, 150);
	assert_true(last->expire_us > last->create_us);
	analysis_free(analysis);
}

/* All of an IPv6 /64 is one client. */
static void test_an_address_without_accounts(void **state)
{
	struct heard heard;
	struct analysis *analysis = start(&heard);

	for (unsigned i = 0; i < 400; i++) {
		char address[64];
		struct traffic traffic;

		snprintf(address, sizeof(address), "2001:db8::%x", i + 1);
		traffic = event(START_US + i * 2000, "", address);
		analysis_take(analysis, &traffic);
	}
	assert_int_equal(heard.count, 3);
	assert_int_equal(heard.decisions[2].effect, BAN_DENIES);
	assert_int_equal(heard.decisions[2].subject.kind, BAN_OF_ADDRESS);
	assert_int_equal(heard.decisions[2].subject.address.bits, 64);
	analysis_free(analysis);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sixty_in_a_second_are_fine),
		cmocka_unit_test(test_hundreds_in_a_second_are_banned),
		cmocka_unit_test(test_an_address_without_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
