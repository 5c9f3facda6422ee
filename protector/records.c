#include "protector/records.h"

#include <assert.h>
#include <string.h>

#include "base/store.h"

#define FIXED_BYTES 18

/* Times sort as unsigned numbers although they may lie before 1970. */
#define SIGN_BIT (UINT64_C(1) << 63)

static size_t put_piece(uint8_t *to, const void *data, size_t size)
{
	to[0] = (uint8_t)(size >> 8);
	to[1] = (uint8_t)size;
	memcpy(to + 2, data, size);
	return 2 + size;
}

static size_t put_detection(uint8_t *to, const struct ban *ban)
{
	uint32_t set = ban->detection ? DETECTOR_BIT(ban->detection->detector) : ban->exempts;
	uint8_t bytes[DETECTION_BYTES];
	char names[DETECTOR_LIST_MAX + 1];
	size_t at;

	if (ban->detection)
		detection_pack(ban->detection, bytes);
	at = put_piece(to, bytes, ban->detection ? sizeof(bytes) : 0);
	return at + put_piece(to + at, names, detector_list_format(set, names));
}

size_t ban_record_pack(const struct ban *ban, uint8_t to[BAN_RECORD_MAX])
{
	uint8_t subject[SUBJECT_KEY_MAX];
	size_t at = FIXED_BYTES;

	assert(ban_valid(ban));
	to[0] = (uint8_t)ban->origin;
	to[1] = (uint8_t)ban->effect;
	store_put_be64(to + 2, (uint64_t)ban->create_ms);
	store_put_be64(to + 10, (uint64_t)ban->expire_ms);
	at += put_piece(to + at, subject, subject_pack(&ban->subject, subject));
	at += put_piece(to + at, ban->reason, strlen(ban->reason));
	at += put_piece(to + at, ban->evidence, strlen(ban->evidence));
	return at + put_detection(to + at, ban);
}

/* What is left of a record. */
struct rest {
	const uint8_t *at;
	size_t size;
};

static bool take_piece(struct rest *rest, const uint8_t **ret, size_t *ret_size)
{
	size_t size;

	if (rest->size < 2)
		return false;
	size = (size_t)rest->at[0] << 8 | rest->at[1];
	if (size > rest->size - 2)
		return false;
	*ret = rest->at + 2;
	*ret_size = size;
	rest->at += 2 + size;
	rest->size -= 2 + size;
	return true;
}

static bool take_text(struct rest *rest, char *to, size_t max)
{
	const uint8_t *data;
	size_t size;

	if (!take_piece(rest, &data, &size) || size > max || memchr(data, '\0', size))
		return false;
	memcpy(to, data, size);
	to[size] = '\0';
	return true;
}

static bool take_subject(struct rest *rest, struct ban_subject *ret)
{
	const uint8_t *key;
	size_t size;
	char user_id[BANS_USER_MAX + 1] = "";
	struct address address;

	if (!take_piece(rest, &key, &size) || size < 2 || size > SUBJECT_KEY_MAX)
		return false;
	if (key[0] == BAN_OF_ACCOUNT) {
		memcpy(user_id, key + 1, size - 1);
		subject_account(ret, user_id);
		return strlen(user_id) == size - 1;
	}
	if (key[0] != BAN_OF_ADDRESS || size != 1 + ADDRESS_PACKED_BYTES ||
		!address_unpack(key + 1, &address))
		return false;
	subject_address(ret, &address);
	return true;
}

static enum detector first_of(uint32_t set)
{
	return set ? (enum detector)__builtin_ctz(set) : DETECTOR_NONE;
}

static bool take_detection(struct rest *rest, struct ban *ban, struct detection *detection)
{
	const uint8_t *bytes, *names;
	size_t size, length;
	uint32_t set;

	if (!take_piece(rest, &bytes, &size) || !take_piece(rest, &names, &length) ||
		length > DETECTOR_LIST_MAX)
		return false;
	set = detector_list_parse((const char *)names, length);
	if (ban->effect == BAN_EXEMPTS)
		ban->exempts = set ? set : DETECTOR_BIT(DETECTORS); /* of one that is not known */
	if (!size)
		return true;
	if (!detection_unpack(bytes, size, detection))
		return false;
	detection->detector = first_of(set);
	ban->detection = detection->detector != DETECTOR_NONE ? detection : NULL;
	return true;
}

bool ban_unpack(const void *key, size_t key_size, const void *record, size_t record_size, struct ban *ret,
	struct ban_texts *texts)
{
	const uint8_t *from = record;
	struct rest rest;
	struct ban ban = {.reason = texts->reason, .evidence = texts->evidence};

	if (key_size != ID_BYTES || record_size < FIXED_BYTES)
		return false;
	rest = (struct rest){from + FIXED_BYTES, record_size - FIXED_BYTES};
	memcpy(ban.id.bytes, key, ID_BYTES);
	ban.origin = from[0];
	ban.effect = from[1];
	ban.create_ms = (int64_t)store_get_be64(from + 2);
	ban.expire_ms = (int64_t)store_get_be64(from + 10);
	if (!take_subject(&rest, &ban.subject) || !take_text(&rest, texts->reason, BANS_REASON_MAX) ||
		!take_text(&rest, texts->evidence, BANS_EVIDENCE_MAX) ||
		!take_detection(&rest, &ban, &texts->detection) || rest.size || !ban_valid(&ban) ||
		ban.origin == BAN_BY_SETTING)
		return false;
	*ret = ban;
	return true;
}

size_t ended_record_pack(const struct ended_ban *ended, uint8_t to[ENDED_RECORD_MAX])
{
	to[0] = (uint8_t)ended->how;
	to[1] = ended->erased;
	store_put_be64(to + 2, (uint64_t)ended->end_ms);
	memcpy(to + 10, ended->replaced_by.bytes, ID_BYTES);
	memcpy(to + 10 + ID_BYTES, ended->subject_hash, SUBJECT_HASH_BYTES);
	return ENDED_FIXED_BYTES + ban_record_pack(&ended->ban, to + ENDED_FIXED_BYTES);
}

bool ended_unpack(const void *key, size_t key_size, const void *record, size_t record_size,
	struct ended_ban *ret, struct ban_texts *texts)
{
	const uint8_t *from = record;
	struct ended_ban ended;

	if (record_size < ENDED_FIXED_BYTES || from[0] < BAN_EXPIRED || from[0] >= BAN_ENDS || from[1] > 1 ||
		!ban_unpack(key, key_size, from + ENDED_FIXED_BYTES, record_size - ENDED_FIXED_BYTES,
			&ended.ban, texts))
		return false;
	ended.how = from[0];
	ended.erased = from[1];
	ended.end_ms = (int64_t)store_get_be64(from + 2);
	memcpy(ended.replaced_by.bytes, from + 10, ID_BYTES);
	memcpy(ended.subject_hash, from + 10 + ID_BYTES, SUBJECT_HASH_BYTES);
	*ret = ended;
	return true;
}

size_t subject_row_key_pack(
	const struct ban_subject *subject, enum ban_origin origin, uint8_t to[SUBJECT_ROW_KEY_MAX])
{
	size_t size = subject_pack(subject, to);

	to[size] = (uint8_t)origin;
	return size + 1;
}

void ended_subject_key_pack(
	const uint8_t hash[SUBJECT_HASH_BYTES], const struct id *id, uint8_t to[ENDED_SUBJECT_KEY_BYTES])
{
	memcpy(to, hash, SUBJECT_HASH_BYTES);
	memcpy(to + SUBJECT_HASH_BYTES, id->bytes, ID_BYTES);
}

void expiry_key_pack(int64_t expire_ms, const struct id *id, uint8_t to[EXPIRY_KEY_BYTES])
{
	store_put_be64(to, (uint64_t)expire_ms ^ SIGN_BIT);
	memcpy(to + 8, id->bytes, ID_BYTES);
}

bool expiry_key_unpack(const void *key, size_t size, int64_t *ret_expire_ms, struct id *ret_id)
{
	if (size != EXPIRY_KEY_BYTES)
		return false;
	*ret_expire_ms = (int64_t)(store_get_be64(key) ^ SIGN_BIT);
	memcpy(ret_id->bytes, (const uint8_t *)key + 8, ID_BYTES);
	return true;
}
