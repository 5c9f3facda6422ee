/* protector/bans.h - the bans and the allow list in memory.
 *
 * A ban is of a subject: an account, or an address or a range of them. A subject has at most one ban of each origin (operator, detector, the program's
 * settings, a lifting) and owner (ourselves, or a peer): a newer one takes the place of the older. It counts from its making until expire_ms, by the time that
 * the caller names. Of what persons said, whoever owns it, the newest by id counts. While a person's word about a subject is in force, a detector's about the
 * same subject does not make it harder; and a detector's does not count while the subject is exempt from that detector.
 * A client is refused by a ban of its account unless that is allowed, or by one of a range that covers its address unless any range that covers it is allowed;
 * of several the one that ends last is named. A shadow ban refuses nobody.
 * A judgement costs one probe of a hash table for the account and one for each length of range that is in use in the address's family.
 * Pure: asks no clock. Threads: belongs to one; the service's loop. */
#ifndef FLASHSALE_PROTECTOR_BANS_H
#define FLASHSALE_PROTECTOR_BANS_H

#include <stddef.h>

#include "base/address.h"
#include "base/id.h"

#define BANS_NEVER INT64_MAX
#define BANS_USER_MAX 64
#define BANS_REASON_MAX 256
#define BANS_EVIDENCE_MAX 512

enum ban_kind { BAN_OF_ACCOUNT, BAN_OF_ADDRESS };
/* Stored by number: append only. BAN_BY_LIFTING: a person lifted a detector's ban, and this is what remains of it (BAN_EXEMPTS). */
enum ban_origin { BAN_BY_OPERATOR, BAN_BY_DETECTOR, BAN_BY_SETTING, BAN_BY_LIFTING, BAN_ORIGINS };
/* Stored by number: append only. A client is slowed or challenged by the gatekeepers; here it is welcome. */
enum ban_effect {
	BAN_DENIES = 1,
	BAN_SHADOWS,
	BAN_ALLOWS,
	BAN_SLOWS,
	BAN_CHALLENGES,
	BAN_EXEMPTS, /* the bans of some detectors do not count */
	BAN_EFFECTS
};

struct ban_subject {
	enum ban_kind kind;
	char user_id[BANS_USER_MAX + 1]; /* of an account, else "" */
	struct address address;		 /* or a range; of addresses, else zero */
};

struct ban {
	struct id id;
	struct ban_subject subject;
	enum ban_origin origin;
	enum ban_effect effect;
	int64_t create_ms, expire_ms;  /* in force while now < expire_ms; or BANS_NEVER */
	const char *reason, *evidence; /* never NULL */
	const struct detection *detection; /* of a detector's; else NULL (protector/detection.h) */
	uint32_t exempts;		   /* of BAN_EXEMPTS: the detectors, as bits; else 0 */
	uint8_t owner;			   /* BANS_OWN, or the peer that told of it */
};

/* Whose bans there are: our own, which our store has, and those that peers tell of. */
#define BANS_OWN 0
#define BANS_PEERS_MAX 16
#define BANS_OWNERS_MAX (1 + BANS_PEERS_MAX)

/* A ban that is over (protector/history.h). */
enum ban_end { BAN_EXPIRED = 1, BAN_LIFTED, BAN_REPLACED, BAN_ENDS }; /* stored by number: append only */
#define SUBJECT_HASH_BYTES 16
struct ended_ban {
	struct ban ban;
	enum ban_end how;
	int64_t end_ms;
	struct id replaced_by; /* of BAN_REPLACED, else zero */
	bool erased; /* an address is all zeros, of its family and length; there is none in the texts */
	uint8_t subject_hash[SUBJECT_HASH_BYTES]; /* keyed; of what the subject was */
};

/* The subject as bytes: kind, then the account's name, or the address as address_pack writes it. In the order of lists; keys of hash tables and of the store. */
#define SUBJECT_KEY_MAX (1 + BANS_USER_MAX)
size_t subject_pack(const struct ban_subject *subject, uint8_t key[SUBJECT_KEY_MAX]);
void subject_account(struct ban_subject *subject, const char *user_id); /* at most BANS_USER_MAX bytes */
void subject_address(struct ban_subject *subject, const struct address *address);

bool ban_valid(const struct ban *ban);
static inline bool ban_in_force(const struct ban *ban, int64_t now_ms)
{
	return now_ms < ban->expire_ms;
}

struct bans;

struct bans *bans_new(void);
void bans_free(struct bans *bans);
size_t bans_count(const struct bans *bans, uint8_t owner);

/* Whether a person lifted a ban of this detector lately. */
bool bans_exempt(
	const struct bans *bans, const struct ban_subject *subject, uint32_t detector_bit, int64_t now_ms);
/* Of two of detectors about one subject: whether the one that is there is stronger, or as strong and ends later. */
bool ban_outranks(const struct ban *there, const struct ban *ban);
/* Whether a detector's ban would say anything new: not while a stronger one of the detectors is in force, or one as strong that ends later. */
bool bans_outranked(const struct bans *bans, const struct ban *ban, int64_t now_ms);

/* Copies it. True: the ban of this subject, origin and owner that it replaced had the id *ret_replaced (which may be its own). No other ban has its id. */
bool bans_put(struct bans *bans, const struct ban *ban, struct id *ret_replaced);
bool bans_remove(struct bans *bans, const struct id *id, uint8_t owner); /* false: there is none of that owner */

/* All that a peer has said so far becomes old until it is put again. */
void bans_begin_round(struct bans *bans, uint8_t owner);
/* Removes what is old, at most `max`; true: that was all. What is put meanwhile is not old. */
bool bans_drop_old(struct bans *bans, uint8_t owner, size_t max);
/* Looks at the next `max` bans after *at, which goes on and around, and removes those of peers that have ended. */
void bans_drop_ended(struct bans *bans, struct id *at, size_t max, int64_t now_ms);

/* What these return is valid until the next put or remove. Ended ones are found too until they are removed. */
const struct ban *bans_get(const struct bans *bans, const struct id *id);
const struct ban *bans_after(
	const struct bans *bans, const struct id *id); /* the next by id; after the zero id: the first */
const struct ban *bans_allowance_after(
	const struct bans *bans, const struct id *id); /* the same, of the allow list only */
/* Our own. */
const struct ban *bans_of(const struct bans *bans, const struct ban_subject *subject, enum ban_origin origin);
/* What peers have of a subject; how many. */
#define BANS_OF_PEERS_MAX (BAN_ORIGINS * BANS_PEERS_MAX)
size_t bans_of_peers(const struct bans *bans, const struct ban_subject *subject,
	const struct ban *ret[BANS_OF_PEERS_MAX]);
/* What a person said last of it and is in force, here or at a peer; NULL: nothing. */
const struct ban *bans_of_person(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms);
/* Whether a list shows it: it is in force, and what it says does not stand there already or was said anew. */
bool bans_shows(const struct bans *bans, const struct ban *ban, int64_t now_ms);
/* The next subject in order that has any; NULL: no more. From NULL: the first of the kind. */
const struct ban_subject *bans_next_subject(
	const struct bans *bans, enum ban_kind kind, const struct ban_subject *after);

struct bans_verdict {
	const struct ban *deny;	  /* NULL: welcome */
	const struct ban *shadow; /* would have refused; NULL: none */
};
/* user_id NULL or "": only the address; address NULL: only the account. */
struct bans_verdict bans_judge(
	const struct bans *bans, const char *user_id, const struct address *address, int64_t now_ms);

/* Whether the subject is banned: an account by itself, a range by itself or by one that covers all of it. The allow list is not looked at. */
bool bans_lists(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms);
/* Whether the subject itself is. */
bool bans_lists_itself(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms);

/* Whether the allow list has it: the account, or a range that covers all of the range. */
bool bans_allow(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms);

#endif
