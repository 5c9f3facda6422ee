/* protector/subject.c - whom a ban is about, and which bans there can be; see bans.h. */
#include <assert.h>
#include <string.h>

#include "protector/detection.h"

size_t subject_pack(const struct ban_subject *subject, uint8_t key[SUBJECT_KEY_MAX])
{
	size_t length;

	key[0] = (uint8_t)subject->kind;
	if (subject->kind == BAN_OF_ACCOUNT) {
		length = strlen(subject->user_id);
		memcpy(key + 1, subject->user_id, length);
		return 1 + length;
	}
	address_pack(&subject->address, key + 1);
	return 1 + ADDRESS_PACKED_BYTES;
}

void subject_account(struct ban_subject *subject, const char *user_id)
{
	assert(strlen(user_id) <= BANS_USER_MAX);
	memset(subject, 0, sizeof(*subject));
	subject->kind = BAN_OF_ACCOUNT;
	strcpy(subject->user_id, user_id);
}

void subject_address(struct ban_subject *subject, const struct address *address)
{
	memset(subject, 0, sizeof(*subject));
	subject->kind = BAN_OF_ADDRESS;
	subject->address = *address;
}

static bool subject_valid(const struct ban_subject *subject)
{
	if (subject->kind == BAN_OF_ACCOUNT)
		return *subject->user_id != '\0' && memchr(subject->user_id, '\0', sizeof(subject->user_id));
	return subject->kind == BAN_OF_ADDRESS && subject->address.bits <= ADDRESS_BITS;
}

static bool exemption_valid(const struct ban *ban)
{
	if (ban->effect != BAN_EXEMPTS)
		return ban->origin != BAN_BY_LIFTING && !ban->exempts;
	return ban->origin == BAN_BY_LIFTING && ban->exempts &&
	       !(ban->exempts & ~(DETECTOR_BIT(DETECTORS + 1) - 1));
}

static bool detection_valid(const struct ban *ban)
{
	return !ban->detection || (ban->origin == BAN_BY_DETECTOR && ban->detection->detector < DETECTORS);
}

bool ban_valid(const struct ban *ban)
{
	return subject_valid(&ban->subject) && !id_is_zero(&ban->id) && ban->origin < BAN_ORIGINS &&
	       ban->effect >= BAN_DENIES && ban->effect < BAN_EFFECTS && exemption_valid(ban) &&
	       detection_valid(ban) && strlen(ban->reason) <= BANS_REASON_MAX &&
	       strlen(ban->evidence) <= BANS_EVIDENCE_MAX;
}
