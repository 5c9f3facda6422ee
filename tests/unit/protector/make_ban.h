/* tests/unit/protector/make_ban.h - bans for tests, made from texts. */
#ifndef FLASHSALE_TESTS_MAKE_BAN_H
#define FLASHSALE_TESTS_MAKE_BAN_H

#include <assert.h>
#include <string.h>

#include "base/store.h"
#include "protector/detection.h"

static inline struct id make_id(uint64_t number)
{
	struct id id = {{0}};

	store_put_be64(id.bytes + 8, number);
	return id;
}

/* An account if it begins with a letter, else an address. */
static inline struct ban_subject make_subject_of(const char *text)
{
	struct ban_subject subject;
	struct address address;
	bool good;

	if (text[0] >= 'g' && text[0] <= 'z') {
		subject_account(&subject, text);
		return subject;
	}
	good = address_parse_range(text, strlen(text), &address);
	assert(good);
	subject_address(&subject, &address);
	return subject;
}

static inline struct ban make_ban(
	uint64_t number, const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	return (struct ban){.id = make_id(number),
		.subject = make_subject_of(subject),
		.origin = BAN_BY_OPERATOR,
		.effect = effect,
		.create_ms = 1,
		.expire_ms = expire_ms,
		.reason = "why",
		.evidence = ""};
}

static inline struct detection make_detection(enum detector detector)
{
	struct detection detection;

	memset(&detection, 0, sizeof(detection)); /* compared as bytes */
	detection.detector = detector;
	detection.step = BAN_DENIES;
	detection.repetition = 2;
	detection.evidence.window_us = 5000000;
	detection.evidence.value = 163;
	detection.evidence.threshold = 150;
	detection.evidence.requests = 163;
	detection.evidence.refusals = 4;
	detection.evidence.throttled = 5;
	detection.evidence.accounts = 6;
	detection.evidence.suspects = 7;
	detection.evidence.addresses = 8;
	detection.evidence.variation = 0xdeadbeef;
	detection.evidence.first_us = 1767225600000000;
	detection.evidence.last_us = 1767225605500000;
	return detection;
}

#endif
