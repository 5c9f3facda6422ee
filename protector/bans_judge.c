/* protector/bans_judge.c - what follows from the bans of a subject; see bans.h. */
#include "protector/bans_internal.h"

#define COVERS_AT_ONCE 8

static const struct ban *later(const struct ban *a, const struct ban *b)
{
	return !a || (b && b->expire_ms > a->expire_ms) ? b : a;
}

/* What persons said last, whoever of us was told it. */
static const struct ban *person_of(const struct subject *subject, int64_t now_ms)
{
	const struct ban *person = NULL;

	for (const struct entry *entry = subject->entries[BAN_BY_OPERATOR]; entry; entry = entry->next) {
		if (ban_in_force(&entry->ban, now_ms) &&
			(!person || id_compare(&entry->ban.id, &person->id) > 0))
			person = &entry->ban;
	}
	return person;
}

/* The detectors whose bans of it were lifted lately. */
static uint32_t exempts_of(const struct subject *subject, int64_t now_ms)
{
	uint32_t exempts = 0;

	for (const struct entry *entry = subject->entries[BAN_BY_LIFTING]; entry; entry = entry->next) {
		if (ban_in_force(&entry->ban, now_ms))
			exempts |= entry->ban.exempts;
	}
	return exempts;
}

static bool is_exempt(const struct ban *ban, uint32_t exempts)
{
	return ban->detection && (exempts & DETECTOR_BIT(ban->detection->detector));
}

/* What is said of a subject besides the ban that is looked at. */
struct words {
	const struct ban *person;
	uint32_t exempts;
	int64_t now_ms;
};

static struct words words_of(const struct subject *subject, int64_t now_ms)
{
	return (struct words){person_of(subject, now_ms), exempts_of(subject, now_ms), now_ms};
}

static bool counts(const struct ban *ban, const struct words *words)
{
	const struct ban *person = words->person;

	if (!ban_in_force(ban, words->now_ms))
		return false;
	if (ban->origin == BAN_BY_OPERATOR)
		return ban == person;
	if (ban->origin != BAN_BY_DETECTOR)
		return true;
	return (!person || person->effect == BAN_DENIES || person->effect == BAN_ALLOWS) &&
	       !is_exempt(ban, words->exempts);
}

/* True: it allows. */
static bool add(const struct ban *ban, struct bans_verdict *verdict)
{
	if (ban->effect == BAN_DENIES)
		verdict->deny = later(verdict->deny, ban);
	else if (ban->effect == BAN_SHADOWS)
		verdict->shadow = later(verdict->shadow, ban);
	return ban->effect == BAN_ALLOWS;
}

/* Adds what the subject's bans say to the verdict; true: an allowance of it is in force. */
static bool weigh(const struct subject *subject, int64_t now_ms, struct bans_verdict *verdict)
{
	const struct words words = words_of(subject, now_ms);
	bool allowed = false;

	for (enum ban_origin origin = 0; origin < BAN_ORIGINS; origin++) {
		for (const struct entry *entry = subject->entries[origin]; entry; entry = entry->next) {
			if (counts(&entry->ban, &words))
				allowed = add(&entry->ban, verdict) || allowed;
		}
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
	subject = bans_find(bans, &account);
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
		cover->hashes[cover->count] = bans_hash(cut);
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
			const struct subject *subject = bans_find_hash(bans, &cover.cuts[i], cover.hashes[i]);

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
	const struct subject *found = bans_find(bans, subject);
	struct bans_verdict verdict = {NULL, NULL};

	if (found)
		weigh(found, now_ms, &verdict);
	return verdict.deny != NULL;
}

bool bans_exempt(
	const struct bans *bans, const struct ban_subject *subject, uint32_t detector_bit, int64_t now_ms)
{
	const struct subject *found = bans_find(bans, subject);

	return found && (exempts_of(found, now_ms) & detector_bit);
}

const struct ban *bans_of_person(const struct bans *bans, const struct ban_subject *subject, int64_t now_ms)
{
	const struct subject *found = bans_find(bans, subject);

	return found ? person_of(found, now_ms) : NULL;
}

/* The settings of several protectors may say the same: the first by id stands for all. */
static bool is_first(const struct subject *subject, const struct ban *ban)
{
	for (const struct entry *entry = subject->entries[ban->origin]; entry; entry = entry->next) {
		if (id_compare(&entry->ban.id, &ban->id) < 0)
			return false;
	}
	return true;
}

bool bans_shows(const struct bans *bans, const struct ban *ban, int64_t now_ms)
{
	if (!ban_in_force(ban, now_ms))
		return false;
	if (ban->origin == BAN_BY_OPERATOR)
		return bans_of_person(bans, &ban->subject, now_ms) == ban;
	return ban->origin != BAN_BY_SETTING || is_first(bans_find(bans, &ban->subject), ban);
}

static int strength(enum ban_effect effect)
{
	static const int strengths[BAN_EFFECTS] = {[BAN_SLOWS] = 1, [BAN_CHALLENGES] = 2, [BAN_DENIES] = 3};

	return strengths[effect];
}

bool ban_outranks(const struct ban *there, const struct ban *ban)
{
	if (strength(there->effect) != strength(ban->effect))
		return strength(there->effect) > strength(ban->effect);
	return there->expire_ms > ban->expire_ms;
}

bool bans_outranked(const struct bans *bans, const struct ban *ban, int64_t now_ms)
{
	const struct subject *found = bans_find(bans, &ban->subject);
	const struct entry *old = found ? found->entries[BAN_BY_DETECTOR] : NULL;

	for (; old; old = old->next) {
		if (ban_in_force(&old->ban, now_ms) && !is_exempt(&old->ban, exempts_of(found, now_ms)) &&
			ban_outranks(&old->ban, ban))
			return true;
	}
	return false;
}

static bool covered_by_allowance(const struct bans *bans, const struct address *address, int64_t now_ms)
{
	struct bans_verdict unused = {NULL, NULL};
	struct cover cover;
	size_t at = 0;

	for (gather_covers(bans, address, &at, &cover); cover.count;
		gather_covers(bans, address, &at, &cover)) {
		for (size_t i = 0; i < cover.count; i++) {
			const struct subject *subject = bans_find_hash(bans, &cover.cuts[i], cover.hashes[i]);

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
	found = bans_find(bans, subject);
	return found && weigh(found, now_ms, &unused);
}
