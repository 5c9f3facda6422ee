#include "protector/bans.h"

#include <assert.h>
#include <bsd/sys/tree.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "protector/detection.h"
#include "protector/table.h"

#define LENGTHS_MAX (ADDRESS_BITS + 1)
#define COVERS_AT_ONCE 8

struct entry;

/* What is known of a subject. A hash table finds it, a tree lists it in order. */
struct subject {
	struct ban_subject subject;
	uint64_t hash;
	struct entry *entries[BAN_ORIGINS];
	RB_ENTRY(subject) node;
};

struct entry {
	struct ban ban;
	struct subject *subject;
	struct allowed *allowed; /* NULL unless it is an entry of the allow list */
	RB_ENTRY(entry) node;
	char texts[]; /* reason and evidence; a detection before them, if there is one */
};

/* The few that allow have a tree of their own: nobody looks for them among a million bans. */
struct allowed {
	const struct entry *entry;
	RB_ENTRY(allowed) node;
};

RB_HEAD(entries, entry);
RB_HEAD(subjects, subject);
RB_HEAD(allowances, allowed);

/* How many leading bits the ranges have that are subjects, of one family; the most first. */
struct lengths {
	uint32_t subjects[LENGTHS_MAX];
	uint8_t used[LENGTHS_MAX];
	size_t count;
};

struct bans {
	struct table table;
	struct subjects by_subject;
	struct entries by_id;
	struct allowances allowances; /* by id */
	size_t count;
	struct lengths lengths_v4, lengths_v6;
};

static int compare_entries(const struct entry *a, const struct entry *b)
{
	return id_compare(&a->ban.id, &b->ban.id);
}

static int compare_allowed(const struct allowed *a, const struct allowed *b)
{
	return compare_entries(a->entry, b->entry);
}

static int compare_subjects(const struct subject *a, const struct subject *b)
{
	const struct ban_subject *x = &a->subject, *y = &b->subject;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->kind == BAN_OF_ACCOUNT ? strcmp(x->user_id, y->user_id)
					 : address_compare(&x->address, &y->address);
}

RB_GENERATE_INTERNAL(entries, entry, node, compare_entries, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(allowances, allowed, node, compare_allowed, __attribute__((unused)) static)
RB_GENERATE_INTERNAL(subjects, subject, node, compare_subjects, __attribute__((unused)) static)

/* ---- subjects ---- */

static uint64_t subject_hash(const struct ban_subject *subject)
{
	uint8_t key[SUBJECT_KEY_MAX];
	size_t size = subject_pack(subject, key);

	return hash64(key, size);
}

static bool is_same(const struct ban_subject *a, const struct ban_subject *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == BAN_OF_ACCOUNT ? strcmp(a->user_id, b->user_id) == 0
					 : address_compare(&a->address, &b->address) == 0;
}

static struct subject *find_hash(const struct bans *bans, const struct ban_subject *subject, uint64_t hash)
{
	struct subject *found;
	size_t at;

	for (found = table_first(&bans->table, hash, &at); found;
		found = table_next(&bans->table, hash, &at)) {
		if (is_same(&found->subject, subject))
			break;
	}
	return found;
}

static struct subject *find(const struct bans *bans, const struct ban_subject *subject)
{
	return find_hash(bans, subject, subject_hash(subject));
}

static void list_lengths(struct lengths *lengths)
{
	lengths->count = 0;
	for (int length = LENGTHS_MAX - 1; length >= 0; length--) {
		if (lengths->subjects[length])
			lengths->used[lengths->count++] = (uint8_t)length;
	}
}

static void count_length(struct bans *bans, const struct ban_subject *subject, bool more)
{
	struct lengths *lengths = address_is_v4(&subject->address) ? &bans->lengths_v4 : &bans->lengths_v6;
	uint32_t *count = &lengths->subjects[subject->address.bits];

	if (subject->kind != BAN_OF_ADDRESS)
		return;
	*count += more ? 1 : (uint32_t)-1;
	if (*count <= 1)
		list_lengths(lengths);
}

static struct subject *make_subject(struct bans *bans, const struct ban_subject *from)
{
	struct subject *subject = NEW(struct subject);

	subject->subject = *from;
	subject->hash = subject_hash(from);
	table_put(&bans->table, subject->hash, subject);
	RB_INSERT(subjects, &bans->by_subject, subject);
	count_length(bans, from, true);
	return subject;
}

static void drop_subject_if_bare(struct bans *bans, struct subject *subject)
{
	for (int origin = 0; origin < BAN_ORIGINS; origin++) {
		if (subject->entries[origin])
			return;
	}
	count_length(bans, &subject->subject, false);
	table_remove(&bans->table, subject->hash, subject);
	RB_REMOVE(subjects, &bans->by_subject, subject);
	free(subject);
}

/* ---- bans ---- */

struct bans *bans_new(void)
{
	struct bans *bans = NEW(struct bans);

	table_init(&bans->table);
	RB_INIT(&bans->by_id);
	RB_INIT(&bans->by_subject);
	RB_INIT(&bans->allowances);
	return bans;
}

void bans_free(struct bans *bans)
{
	struct entry *entry;

	if (!bans)
		return;
	while ((entry = RB_MIN(entries, &bans->by_id)))
		bans_remove(bans, &entry->ban.id);
	assert(bans->table.count == 0);
	table_release(&bans->table);
	free(bans);
}

size_t bans_count(const struct bans *bans)
{
	return bans->count;
}

static struct entry *make_entry(const struct ban *ban)
{
	size_t reason = strlen(ban->reason) + 1, evidence = strlen(ban->evidence) + 1;
	size_t detection = ban->detection ? sizeof(*ban->detection) : 0;
	struct entry *entry = memory_new(sizeof(*entry) + detection + reason + evidence);
	char *texts = entry->texts + detection;

	static_assert(offsetof(struct entry, texts) % _Alignof(struct detection) == 0, "it lies there");
	entry->ban = *ban;
	if (detection)
		entry->ban.detection = memcpy(entry->texts, ban->detection, detection);
	entry->ban.reason = memcpy(texts, ban->reason, reason);
	entry->ban.evidence = memcpy(texts + reason, ban->evidence, evidence);
	return entry;
}

/* Its subject may be bare after it. */
static void drop_entry(struct bans *bans, struct entry *entry)
{
	entry->subject->entries[entry->ban.origin] = NULL;
	RB_REMOVE(entries, &bans->by_id, entry);
	if (entry->allowed)
		RB_REMOVE(allowances, &bans->allowances, entry->allowed);
	bans->count--;
	free(entry->allowed);
	free(entry);
}

static void list_allowance(struct bans *bans, struct entry *entry)
{
	if (entry->ban.effect != BAN_ALLOWS)
		return;
	entry->allowed = NEW(struct allowed);
	entry->allowed->entry = entry;
	RB_INSERT(allowances, &bans->allowances, entry->allowed);
}

bool bans_put(struct bans *bans, const struct ban *ban, struct id *ret_replaced)
{
	struct subject *subject = find(bans, &ban->subject);
	struct entry *entry = make_entry(ban), *clash;
	bool replaces;

	assert(ban_valid(ban));
	if (!subject)
		subject = make_subject(bans, &ban->subject);
	replaces = subject->entries[ban->origin] != NULL;
	if (replaces) {
		*ret_replaced = subject->entries[ban->origin]->ban.id;
		drop_entry(bans, subject->entries[ban->origin]);
	}
	entry->subject = subject;
	subject->entries[ban->origin] = entry;
	clash = RB_INSERT(entries, &bans->by_id, entry);
	assert(!clash); /* ids are unique */
	list_allowance(bans, entry);
	bans->count++;
	return replaces;
}

static struct entry *find_id(const struct bans *bans, const struct id *id)
{
	struct entry least = {.ban.id = *id};

	return RB_FIND(entries, (struct entries *)(uintptr_t)&bans->by_id, &least);
}

bool bans_remove(struct bans *bans, const struct id *id)
{
	struct entry *entry = find_id(bans, id);
	struct subject *subject;

	if (!entry)
		return false;
	subject = entry->subject;
	drop_entry(bans, entry);
	drop_subject_if_bare(bans, subject);
	return true;
}

const struct ban *bans_get(const struct bans *bans, const struct id *id)
{
	const struct entry *entry = find_id(bans, id);

	return entry ? &entry->ban : NULL;
}

const struct ban *bans_after(const struct bans *bans, const struct id *id)
{
	struct entry least = {.ban.id = *id};
	struct entry *entry = RB_NFIND(entries, (struct entries *)(uintptr_t)&bans->by_id, &least);

	if (entry && id_compare(&entry->ban.id, id) == 0)
		entry = RB_NEXT(entries, &bans->by_id, entry);
	return entry ? &entry->ban : NULL;
}

const struct ban *bans_allowance_after(const struct bans *bans, const struct id *id)
{
	const struct entry least_entry = {.ban.id = *id};
	struct allowed least = {.entry = &least_entry};
	struct allowed *found =
		RB_NFIND(allowances, (struct allowances *)(uintptr_t)&bans->allowances, &least);

	if (found && id_compare(&found->entry->ban.id, id) == 0)
		found = RB_NEXT(allowances, &bans->allowances, found);
	return found ? &found->entry->ban : NULL;
}

const struct ban *bans_of(const struct bans *bans, const struct ban_subject *subject, enum ban_origin origin)
{
	const struct subject *found = find(bans, subject);

	return found && found->entries[origin] ? &found->entries[origin]->ban : NULL;
}

const struct ban_subject *bans_next_subject(
	const struct bans *bans, enum ban_kind kind, const struct ban_subject *after)
{
	struct subject least = {.subject = {.kind = kind, .address = ADDRESS_FIRST}};
	struct subject *found;

	if (after)
		least.subject = *after;
	found = RB_NFIND(subjects, (struct subjects *)(uintptr_t)&bans->by_subject, &least);
	if (found && after && compare_subjects(found, &least) == 0)
		found = RB_NEXT(subjects, &bans->by_subject, found);
	return found && found->subject.kind == kind ? &found->subject : NULL;
}

/* ---- judging ---- */

static const struct ban *later(const struct ban *a, const struct ban *b)
{
	return !a || (b && b->expire_ms > a->expire_ms) ? b : a;
}

static const struct ban *in_force(const struct subject *subject, enum ban_origin origin, int64_t now_ms)
{
	const struct ban *ban = subject->entries[origin] ? &subject->entries[origin]->ban : NULL;

	return ban && ban_in_force(ban, now_ms) ? ban : NULL;
}

/* A detector's ban that does not count: a person lifted one of this detector. */
static bool is_exempt(const struct subject *subject, const struct ban *ban, int64_t now_ms)
{
	const struct ban *lifted = in_force(subject, BAN_BY_LIFTING, now_ms);

	return lifted && ban->detection && (lifted->exempts & DETECTOR_BIT(ban->detection->detector));
}

/* Adds what the subject's bans say to the verdict; true: an allowance of it is in force. */
static bool weigh(const struct subject *subject, int64_t now_ms, struct bans_verdict *verdict)
{
	const struct ban *person = in_force(subject, BAN_BY_OPERATOR, now_ms);
	bool milder = person && person->effect != BAN_DENIES && person->effect != BAN_ALLOWS;
	bool allowed = false;

	for (enum ban_origin origin = 0; origin < BAN_ORIGINS; origin++) {
		const struct ban *ban = in_force(subject, origin, now_ms);

		if (!ban || (origin == BAN_BY_DETECTOR && (milder || is_exempt(subject, ban, now_ms))))
			continue;
		if (ban->effect == BAN_ALLOWS)
			allowed = true;
		else if (ban->effect == BAN_DENIES)
			verdict->deny = later(verdict->deny, ban);
		else if (ban->effect == BAN_SHADOWS)
			verdict->shadow = later(verdict->shadow, ban);
	}
	return allowed;
}

static struct bans_verdict judge_account(
	const struct bans *bans, const char *user_id, int64_t now_ms, bool allowances)
{
	struct bans_verdict verdict = {NULL, NULL};
	struct ban_subject account;
	const struct subject *subject;

	subject_account(&account, user_id);
	subject = find(bans, &account);
	if (subject && weigh(subject, now_ms, &verdict) && allowances)
		return (struct bans_verdict){NULL, NULL};
	return verdict;
}

/* Where the ranges that cover an address would be: all are asked for at once, so that waiting for memory is done once. */
struct cover {
	struct ban_subject cuts[COVERS_AT_ONCE];
	uint64_t hashes[COVERS_AT_ONCE];
	size_t count;
};

/* Fills it with the next lengths in use of its family, longest first, none longer than the address's; *at goes on in the list of lengths. */
static void gather_covers(
	const struct bans *bans, const struct address *address, size_t *at, struct cover *cover)
{
	const struct lengths *lengths = address_is_v4(address) ? &bans->lengths_v4 : &bans->lengths_v6;

	for (cover->count = 0; *at < lengths->count && cover->count < COVERS_AT_ONCE; ++*at) {
		struct ban_subject *cut = &cover->cuts[cover->count];
		struct address range;

		if (lengths->used[*at] > address->bits)
			continue;
		range = address_prefix(address, lengths->used[*at]);
		subject_address(cut, &range);
		cover->hashes[cover->count] = subject_hash(cut);
		table_prepare(&bans->table, cover->hashes[cover->count++]);
	}
}

/* Weighs each range that is known and covers this one. With `allowances`: if any of them is allowed, nothing that was found counts. */
static struct bans_verdict judge_address(
	const struct bans *bans, const struct address *address, int64_t now_ms, bool allowances)
{
	struct bans_verdict verdict = {NULL, NULL};
	struct cover cover;
	size_t at = 0;

	for (gather_covers(bans, address, &at, &cover); cover.count;
		gather_covers(bans, address, &at, &cover)) {
		for (size_t i = 0; i < cover.count; i++) {
			const struct subject *subject = find_hash(bans, &cover.cuts[i], cover.hashes[i]);

			if (subject && weigh(subject, now_ms, &verdict) && allowances)
				return (struct bans_verdict){NULL, NULL};
		}
	}
	return verdict;
}

struct bans_verdict bans_judge(
	const struct bans *bans, const char *user_id, const struct address *address, int64_t now_ms)
{
	struct bans_verdict verdict = {NULL, NULL}, other;

	if (user_id && *user_id)
		verdict = judge_account(bans, user_id, now_ms, true);
	if (address) {
		other = judge_address(bans, address, now_ms, true);
		verdict.deny = later(verdict.deny, other.deny);
		verdict.shadow = later(verdict.shadow, other.shadow);
	}
	return verdict;
}

bool bans_lists(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms)
{
	if (subject->kind == BAN_OF_ACCOUNT)
		return judge_account(bans, subject->user_id, now_ms, false).deny != NULL;
	return judge_address(bans, &subject->address, now_ms, false).deny != NULL;
}

bool bans_lists_itself(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms)
{
	const struct subject *found = find(bans, subject);
	struct bans_verdict verdict = {NULL, NULL};

	if (found)
		weigh(found, now_ms, &verdict);
	return verdict.deny != NULL;
}

bool bans_exempt(
	const struct bans *bans, const struct ban_subject *subject, uint32_t detector_bit, int64_t now_ms)
{
	const struct subject *found = find(bans, subject);
	const struct ban *lifted = found ? in_force(found, BAN_BY_LIFTING, now_ms) : NULL;

	return lifted && (lifted->exempts & detector_bit);
}

static int strength(enum ban_effect effect)
{
	static const int strengths[BAN_EFFECTS] = {[BAN_SLOWS] = 1, [BAN_CHALLENGES] = 2, [BAN_DENIES] = 3};

	return strengths[effect];
}

bool bans_outranked(const struct bans *bans, const struct ban *ban, int64_t now_ms)
{
	const struct subject *found = find(bans, &ban->subject);
	const struct ban *old = found ? in_force(found, BAN_BY_DETECTOR, now_ms) : NULL;

	if (!old || is_exempt(found, old, now_ms))
		return false;
	if (strength(old->effect) != strength(ban->effect))
		return strength(old->effect) > strength(ban->effect);
	return old->expire_ms > ban->expire_ms;
}

static bool covered_by_allowance(const struct bans *bans, const struct address *address, int64_t now_ms)
{
	struct bans_verdict unused = {NULL, NULL};
	struct cover cover;
	size_t at = 0;

	for (gather_covers(bans, address, &at, &cover); cover.count;
		gather_covers(bans, address, &at, &cover)) {
		for (size_t i = 0; i < cover.count; i++) {
			const struct subject *subject = find_hash(bans, &cover.cuts[i], cover.hashes[i]);

			if (subject && weigh(subject, now_ms, &unused))
				return true;
		}
	}
	return false;
}

bool bans_allow(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms)
{
	struct bans_verdict unused = {NULL, NULL};
	const struct subject *found;

	if (subject->kind == BAN_OF_ADDRESS)
		return covered_by_allowance(bans, &subject->address, now_ms);
	found = find(bans, subject);
	return found && weigh(found, now_ms, &unused);
}
