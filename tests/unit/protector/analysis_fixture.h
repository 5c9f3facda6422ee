/* tests/unit/protector/analysis_fixture.h - an analysis that is heard, and traffic for it. Times are START_US and after; counts of clients are small. */
#ifndef FLASHSALE_TESTS_ANALYSIS_FIXTURE_H
#define FLASHSALE_TESTS_ANALYSIS_FIXTURE_H

#include "tests/unit/protector/cmocka_first.h"

#include "protector/analysis.h"
#include "tests/simulation/random.h"

#define START_US INT64_C(1795000000000000)
#define SECOND_US INT64_C(1000000)
#define DECISIONS_MAX 512

struct heard {
	struct decision decisions[DECISIONS_MAX];
	size_t count;
	unsigned shadows;
};

static inline void on_decided(void *context, const struct decision *decision)
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

static inline struct analysis *start(struct heard *heard)
{
	*heard = (struct heard){0};
	return analysis_new(&(struct analysis_options){.decided = on_decided,
		.context = heard,
		.accounts_max = 1024,
		.addresses_max = 1024,
		.mixes_max = 64,
		.followed_max = 4096,
		.records_max = 4096});
}

static inline struct traffic event(int64_t time_us, const char *user_id, const char *address)
{
	struct traffic traffic = {.time_us = time_us,
		.kind = TRAFFIC_BUY,
		.counts_account = true,
		.counts_address = true,
		.user_id = span_of(user_id)};

	traffic.has_address = address && address_parse(address, strlen(address), &traffic.address);
	return traffic;
}

static inline void take(struct analysis *analysis, const struct traffic *traffic)
{
	analysis_take(analysis, traffic);
}

/* `count` of them, evenly over the time. */
static inline void send(
	struct analysis *analysis, int64_t from_us, int64_t for_us, unsigned count, struct traffic traffic)
{
	for (unsigned i = 0; i < count; i++) {
		traffic.time_us = from_us + for_us * i / count;
		take(analysis, &traffic);
	}
}

static inline const struct decision *last(const struct heard *heard)
{
	assert_true(heard->count > 0);
	return &heard->decisions[heard->count - 1];
}

static inline void check(const struct heard *heard, size_t at, enum ban_effect effect, enum detector detector)
{
	assert_true(heard->count > at);
	assert_int_equal(heard->decisions[at].effect, effect);
	assert_int_equal(heard->decisions[at].step, effect);
	assert_int_equal(heard->decisions[at].detector, detector);
}

/* `accounts` behind one address, each at that gap, from its own time within it. */
static inline void farm(struct analysis *analysis, int64_t from_us, int64_t for_us, unsigned accounts,
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

/* An account for each request. */
static inline void spray(struct analysis *analysis, unsigned count, unsigned looks_percent)
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

#endif
