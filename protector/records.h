/* protector/records.h - how bans look in the store: explicit big-endian, every size checked, no alignment assumed.
 *
 * bans: key: the 16 bytes of the id. Record: 1 byte origin, 1 effect, 8 made, 8 ends (two's complement), then three texts with 2 bytes of
 * size each: the subject as subject_pack writes it, reason, evidence; then in the same way a detector's detection (else nothing), and names of detectors with
 * commas: the detector's, or those that a subject is exempt from. Detectors that this program does not know are left out: such a ban has no detection, such an
 * exemption is of nobody, DETECTORS.
 * subjects: key: the subject, 1 byte origin. Record: the id. expiry: key: 8 bytes end, the id; nothing in the record; only of bans that end.
 *
 * Of bans that are over, ended: key: the id. Record: 1 byte how it ended, 1 whether it is erased, 8 when, 16 the id of what replaced it (or zero), 16 the
 * hash of the subject, then as in bans. ended_times, ended_raw: as expiry, with the time of the end; ended_raw has those that are not erased. ended_subjects:
 * key: the hash of the subject, the id; nothing in the record.
 * Unpacking returns false for bytes that this format could not have written: a damaged store. The layout is PROTECTOR_FORMAT; a change
 * of it is another number. Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_RECORDS_H
#define FLASHSALE_PROTECTOR_RECORDS_H

#include "protector/detection.h"

#define PROTECTOR_FORMAT 3
#define BAN_RECORD_MAX \
	(18 + 5 * 2 + SUBJECT_KEY_MAX + BANS_REASON_MAX + BANS_EVIDENCE_MAX + DETECTION_BYTES + \
		DETECTOR_LIST_MAX)
#define ENDED_FIXED_BYTES (1 + 1 + 8 + ID_BYTES + SUBJECT_HASH_BYTES)
#define ENDED_RECORD_MAX (ENDED_FIXED_BYTES + BAN_RECORD_MAX)
#define ENDED_SUBJECT_KEY_BYTES (SUBJECT_HASH_BYTES + ID_BYTES)
#define SUBJECT_ROW_KEY_MAX (SUBJECT_KEY_MAX + 1)
#define EXPIRY_KEY_BYTES (8 + ID_BYTES)

/* What an unpacked ban points into. */
struct ban_texts {
	char reason[BANS_REASON_MAX + 1], evidence[BANS_EVIDENCE_MAX + 1];
	struct detection detection;
};

size_t ban_record_pack(const struct ban *ban, uint8_t to[BAN_RECORD_MAX]); /* bytes written */
bool ban_unpack(const void *key, size_t key_size, const void *record, size_t record_size, struct ban *ret,
	struct ban_texts *texts);

size_t ended_record_pack(const struct ended_ban *ended, uint8_t to[ENDED_RECORD_MAX]);
bool ended_unpack(const void *key, size_t key_size, const void *record, size_t record_size,
	struct ended_ban *ret, struct ban_texts *texts);

size_t subject_row_key_pack(
	const struct ban_subject *subject, enum ban_origin origin, uint8_t to[SUBJECT_ROW_KEY_MAX]);

void ended_subject_key_pack(
	const uint8_t hash[SUBJECT_HASH_BYTES], const struct id *id, uint8_t to[ENDED_SUBJECT_KEY_BYTES]);

void expiry_key_pack(int64_t expire_ms, const struct id *id, uint8_t to[EXPIRY_KEY_BYTES]);
bool expiry_key_unpack(const void *key, size_t size, int64_t *ret_expire_ms, struct id *ret_id);

#endif
