/* tests/unit/protector/make_ban.h - bans for tests, made from texts. */
#ifndef FLASHSALE_TESTS_MAKE_BAN_H
#define FLASHSALE_TESTS_MAKE_BAN_H

#include <assert.h>
#include <string.h>

#include "base/store.h"
#include "protector/bans.h"

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

#endif
