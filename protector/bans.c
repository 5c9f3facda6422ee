#include "protector/bans_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

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

uint64_t bans_hash(const struct ban_subject *subject)
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

struct subject *bans_find_hash(const struct bans *bans, const struct ban_subject *subject, uint64_t hash)
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

struct subject *bans_find(const struct bans *bans, const struct ban_subject *subject)
{
	return bans_find_hash(bans, subject, bans_hash(subject));
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
	subject->hash = bans_hash(from);
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
	for (int owner = 0; owner < BANS_OWNERS_MAX; owner++)
		TAILQ_INIT(&bans->owned[owner].entries);
	return bans;
}

size_t bans_count(const struct bans *bans, uint8_t owner)
{
	return bans->owned[owner].count;
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

/* Where the subject has its owner's ban of this origin, or would have it: the link that points to it or is the last. */
static struct entry **place_of(struct subject *subject, enum ban_origin origin, uint8_t owner)
{
	struct entry **place = &subject->entries[origin];

	while (*place && (*place)->ban.owner != owner)
		place = &(*place)->next;
	return place;
}

/* Its subject may be bare after it. */
static void drop_entry(struct bans *bans, struct entry *entry)
{
	struct owned *owned = &bans->owned[entry->ban.owner];

	*place_of(entry->subject, entry->ban.origin, entry->ban.owner) = entry->next;
	RB_REMOVE(entries, &bans->by_id, entry);
	if (entry->allowed)
		RB_REMOVE(allowances, &bans->allowances, entry->allowed);
	TAILQ_REMOVE(&owned->entries, entry, link);
	owned->count--;
	free(entry->allowed);
	free(entry);
}

static void remove_entry(struct bans *bans, struct entry *entry)
{
	struct subject *subject = entry->subject;

	drop_entry(bans, entry);
	drop_subject_if_bare(bans, subject);
}

void bans_free(struct bans *bans)
{
	struct entry *entry;

	if (!bans)
		return;
	while ((entry = RB_MIN(entries, &bans->by_id)))
		remove_entry(bans, entry);
	assert(bans->table.count == 0);
	table_release(&bans->table);
	free(bans);
}

static void list_allowance(struct bans *bans, struct entry *entry)
{
	if (entry->ban.effect != BAN_ALLOWS)
		return;
	entry->allowed = NEW(struct allowed);
	entry->allowed->entry = entry;
	RB_INSERT(allowances, &bans->allowances, entry->allowed);
}

static struct entry *find_id(const struct bans *bans, const struct id *id)
{
	struct entry least = {.ban.id = *id};

	return RB_FIND(entries, (struct entries *)(uintptr_t)&bans->by_id, &least);
}

static void enter(struct bans *bans, struct subject *subject, struct entry *entry)
{
	struct owned *owned = &bans->owned[entry->ban.owner];
	struct entry **first = &subject->entries[entry->ban.origin];
	struct entry *clash = RB_INSERT(entries, &bans->by_id, entry);

	assert(!clash); /* ids are unique */
	entry->subject = subject;
	entry->next = *first;
	*first = entry;
	entry->round = owned->round;
	TAILQ_INSERT_TAIL(&owned->entries, entry, link);
	owned->count++;
	list_allowance(bans, entry);
}

bool bans_put(struct bans *bans, const struct ban *ban, struct id *ret_replaced)
{
	struct subject *subject = bans_find(bans, &ban->subject);
	struct entry *old;

	assert(ban_valid(ban) && ban->owner < BANS_OWNERS_MAX);
	if (!subject)
		subject = make_subject(bans, &ban->subject);
	old = *place_of(subject, ban->origin, ban->owner);
	if (old) {
		*ret_replaced = old->ban.id;
		drop_entry(bans, old);
	}
	enter(bans, subject, make_entry(ban));
	return old;
}

bool bans_remove(struct bans *bans, const struct id *id, uint8_t owner)
{
	struct entry *entry = find_id(bans, id);

	if (!entry || entry->ban.owner != owner)
		return false;
	remove_entry(bans, entry);
	return true;
}

/* ---- what peers say ---- */

void bans_begin_round(struct bans *bans, uint8_t owner)
{
	bans->owned[owner].round++;
}

bool bans_drop_old(struct bans *bans, uint8_t owner, size_t max)
{
	struct owned *owned = &bans->owned[owner];
	struct entry *entry;

	while ((entry = TAILQ_FIRST(&owned->entries)) && entry->round != owned->round) {
		if (!max--)
			return false;
		remove_entry(bans, entry);
	}
	return true;
}

void bans_drop_ended(struct bans *bans, struct id *at, size_t max, int64_t now_ms)
{
	const struct ban *ban;

	while (max-- && (ban = bans_after(bans, at))) {
		*at = ban->id;
		if (ban->owner != BANS_OWN && !ban_in_force(ban, now_ms))
			bans_remove(bans, at, ban->owner);
	}
	if (max + 1)
		memset(at, 0, sizeof(*at));
}

/* ---- finding ---- */

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
	struct subject *found = bans_find(bans, subject);
	const struct entry *entry = found ? *place_of(found, origin, BANS_OWN) : NULL;

	return entry ? &entry->ban : NULL;
}

size_t bans_of_peers(
	const struct bans *bans, const struct ban_subject *subject, const struct ban *ret[BANS_OF_PEERS_MAX])
{
	const struct subject *found = bans_find(bans, subject);
	size_t count = 0;

	for (int origin = 0; found && origin < BAN_ORIGINS; origin++) {
		for (const struct entry *entry = found->entries[origin]; entry; entry = entry->next) {
			if (entry->ban.owner != BANS_OWN)
				ret[count++] = &entry->ban;
		}
	}
	return count;
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
