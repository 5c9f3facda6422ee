/* Any bytes as rows of the protector's store: never a crash, and what is read is a ban that can be, written as it was read. The first byte chooses the table. */
#include <assert.h>
#include <string.h>

#include "protector/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[ID_BYTES] = {1};

static bool same(const struct ban *a, const struct ban *b)
{
	return id_compare(&a->id, &b->id) == 0 && a->origin == b->origin && a->effect == b->effect &&
	       a->create_ms == b->create_ms && a->expire_ms == b->expire_ms &&
	       a->subject.kind == b->subject.kind && !strcmp(a->subject.user_id, b->subject.user_id) &&
	       address_compare(&a->subject.address, &b->subject.address) == 0 &&
	       !strcmp(a->reason, b->reason) && !strcmp(a->evidence, b->evidence) &&
	       a->exempts == b->exempts && !a->detection == !b->detection;
}

static void check_ban(const struct ban *ban)
{
	uint8_t packed[BAN_RECORD_MAX], subject[SUBJECT_ROW_KEY_MAX];
	struct ban_texts texts;
	struct ban again;
	bool read;

	assert(ban_valid(ban) && strlen(ban->reason) <= BANS_REASON_MAX &&
		strlen(ban->evidence) <= BANS_EVIDENCE_MAX);
	assert(!ban->detection ||
		(ban->detection->detector > DETECTOR_NONE && ban->detection->detector < DETECTORS));
	assert(subject_row_key_pack(&ban->subject, ban->origin, subject) <= SUBJECT_ROW_KEY_MAX);
	read = ban_unpack(key, sizeof(key), packed, ban_record_pack(ban, packed), &again, &texts);
	assert(read && same(ban, &again));
	assert(!ban->detection || !memcmp(ban->detection, again.detection, sizeof(*ban->detection)));
}

static void ban_row(const uint8_t *data, size_t size)
{
	static struct ban_texts texts; /* zero between its members */
	struct ban ban;

	memset(&texts, 0, sizeof(texts));
	if (ban_unpack(key, sizeof(key), data, size, &ban, &texts))
		check_ban(&ban);
}

static void ended_row(const uint8_t *data, size_t size)
{
	uint8_t packed[ENDED_RECORD_MAX];
	struct ban_texts texts, more;
	struct ended_ban ended, again;
	bool read;

	memset(&texts, 0, sizeof(texts));
	if (!ended_unpack(key, sizeof(key), data, size, &ended, &texts))
		return;
	check_ban(&ended.ban);
	read = ended_unpack(key, sizeof(key), packed, ended_record_pack(&ended, packed), &again, &more);
	assert(read && same(&ended.ban, &again.ban) && again.how == ended.how &&
		again.erased == ended.erased && again.end_ms == ended.end_ms);
}

static void expiry_row(const uint8_t *data, size_t size)
{
	uint8_t packed[EXPIRY_KEY_BYTES];
	int64_t end_ms;
	struct id id;

	if (!expiry_key_unpack(data, size, &end_ms, &id))
		return;
	expiry_key_pack(end_ms, &id, packed);
	assert(size == EXPIRY_KEY_BYTES && !memcmp(packed, data, size));
}

static void names(const uint8_t *data, size_t size)
{
	char text[DETECTOR_LIST_MAX + 1];
	const uint32_t set = detector_list_parse((const char *)data, size);

	assert(detector_list_parse(text, detector_list_format(set, text)) == set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tables[])(const uint8_t *, size_t) = {ban_row, ended_row, expiry_row, names};

	if (size)
		tables[data[0] % 4](data + 1, size - 1);
	return 0;
}
