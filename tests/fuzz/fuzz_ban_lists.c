/* Texts that people and files give: lists of bans, addresses and ranges, solutions of challenges. What is read is whole and reads the same again; nothing solves a
 * challenge that was not made here. The first byte chooses. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "gatekeeper/edge/challenge.h"
#include "protector/lists.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_subject(const struct ban_subject *a, const struct ban_subject *b)
{
	return a->kind == b->kind && !strcmp(a->user_id, b->user_id) &&
	       address_compare(&a->address, &b->address) == 0;
}

/* As an export writes it. */
static void read_again(const struct list_ban *ban)
{
	char line[BANS_USER_MAX + ADDRESS_TEXT_MAX + 8] = "user:";
	struct list_ban again = {.effect = BAN_DENIES, .expire_ms = BANS_NEVER};
	struct error error;
	enum list_line what;

	if (ban->subject.kind == BAN_OF_ADDRESS)
		address_format(&ban->subject.address, line);
	else if (list_holds_user(ban->subject.user_id))
		strcat(line, ban->subject.user_id);
	else
		return;
	what = list_read_line(line, strlen(line), &again, &error);
	assert(what == LIST_BAN && same_subject(&ban->subject, &again.subject) && !again.reason);
}

static void read_line(const char *line, size_t size)
{
	struct list_ban ban = {.effect = BAN_DENIES, .expire_ms = BANS_NEVER};
	struct error error = {.text = ""};
	const enum list_line what = list_read_line(line, size, &ban, &error);

	assert((what == LIST_WRONG) == (error.text[0] != '\0'));
	assert(what == LIST_BAN || !ban.reason);
	if (what == LIST_BAN) {
		assert(list_effect(list_effect_name(ban.effect)) == ban.effect);
		assert(!ban.reason || strlen(ban.reason) <= BANS_REASON_MAX);
		assert(ban.subject.kind == BAN_OF_ADDRESS ||
			utf8_valid(ban.subject.user_id, strlen(ban.subject.user_id)));
		read_again(&ban);
	}
	free(ban.reason);
}

static void lists(const char *text, size_t size)
{
	while (size) {
		const char *end = memchr(text, '\n', size);
		const size_t length = end ? (size_t)(end - text) + 1 : size;

		read_line(text, length);
		text += length;
		size -= length;
	}
}

static void addresses(const char *text, size_t size)
{
	struct address address, again;
	char formatted[ADDRESS_TEXT_MAX];

	if (address_parse(text, size, &address)) {
		assert(address.bits == ADDRESS_BITS && !memchr(text, '/', size));
		address_format(&address, formatted);
		assert(address_parse(formatted, strlen(formatted), &again));
		assert(address_compare(&address, &again) == 0);
	}
	if (address_parse_range(text, size, &address)) {
		address_format(&address, formatted);
		assert(address_parse_range(formatted, strlen(formatted), &again));
		assert(address_compare(&address, &again) == 0 && address_covers(&address, &again));
	}
}

static void solutions(const char *text, size_t size)
{
	static const struct challenge_key key = {{1, 2, 3}};
	static const struct challenge_client client = {"eve", NULL};
	struct challenge_solved solved;
	const enum challenge_end end = challenge_check(&key, &client, 0, text, size, 0, &solved);

	assert(end == CHALLENGE_MALFORMED || end == CHALLENGE_NOT_OURS);
	assert(end == CHALLENGE_MALFORMED || (size > 70 && memchr(text, '.', size)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const texts[])(const char *, size_t) = {lists, addresses, solutions};
	char *copy;

	if (!size)
		return 0;
	copy = malloc(size); /* of exactly its size */
	memcpy(copy, data + 1, size - 1);
	texts[data[0] % 3](copy, size - 1);
	free(copy);
	return 0;
}
