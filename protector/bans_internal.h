/* protector/bans_internal.h - how the bans lie in memory; for bans.c, which puts and finds them, and bans_judge.c, which says what follows from them. */
#ifndef FLASHSALE_PROTECTOR_BANS_INTERNAL_H
#define FLASHSALE_PROTECTOR_BANS_INTERNAL_H

#include <bsd/sys/tree.h>
#include <sys/queue.h>

#include "protector/bans.h"
#include "protector/detection.h"
#include "protector/table.h"

#define LENGTHS_MAX (ADDRESS_BITS + 1)

struct entry;

/* What is known of a subject. A hash table finds it, a tree lists it in order. */
struct subject {
	struct ban_subject subject;
	uint64_t hash;
	struct entry *entries[BAN_ORIGINS]; /* of each origin one an owner, in no order */
	RB_ENTRY(subject) node;
};

struct entry {
	struct ban ban;
	struct subject *subject;
	struct entry *next;	 /* another owner's, of the same subject and origin */
	struct allowed *allowed; /* NULL unless it is an entry of the allow list */
	RB_ENTRY(entry) node;
	TAILQ_ENTRY(entry) link; /* of its owner, as they were put */
	uint32_t round;		 /* of its owner's when it was put */
	_Alignas(struct detection) char texts
		[]; /* reason and evidence; a detection before them, if there is one */
};

/* The few that allow have a tree of their own: nobody looks for them among a million bans. */
struct allowed {
	const struct entry *entry;
	RB_ENTRY(allowed) node;
};

RB_HEAD(entries, entry);
TAILQ_HEAD(entry_list, entry);
RB_HEAD(subjects, subject);
RB_HEAD(allowances, allowed);

/* How many leading bits the ranges have that are subjects, of one family; the most first. */
struct lengths {
	uint32_t subjects[LENGTHS_MAX];
	uint8_t used[LENGTHS_MAX];
	size_t count;
};

/* What is from one protector: our own, or a peer's. */
struct owned {
	struct entry_list entries;
	size_t count;
	uint32_t round; /* what was put in an earlier one is old */
};

struct bans {
	struct table table;
	struct subjects by_subject;
	struct entries by_id;
	struct allowances allowances; /* by id */
	struct owned owned[BANS_OWNERS_MAX];
	struct lengths lengths_v4, lengths_v6;
};

uint64_t bans_hash(const struct ban_subject *subject);
/* NULL: nothing is known of it. */
struct subject *bans_find_hash(const struct bans *bans, const struct ban_subject *subject, uint64_t hash);
struct subject *bans_find(const struct bans *bans, const struct ban_subject *subject);

#endif
