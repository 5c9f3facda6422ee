#include "gatekeeper/edge/ban_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gatekeeper/edge/table.h"
#include "rpc/timestamp.h"

/* Whom bans are about: an account or a range, and its bans. */
struct subject {
	UT_hash_handle hh;
	struct ban *bans;
	struct address address; /* of a range */
	size_t key_size;
	char key[]; /* 'u' and the account, or 'a', the bits and the bytes */
};

struct ban {
	UT_hash_handle hh;
	struct ban *next; /* of the same subject */
	struct subject *subject;
	uint64_t round; /* of the snapshot or later that named it */
	int64_t end_ms;
	Protector__BanEffect effect;
	char id[BAN_ID_MAX + 1];
};

struct ban_list {
	pthread_mutex_t mutex;
	struct ban *bans;
	struct subject *subjects;
	uint32_t ranges[ADDRESS_BITS + 1];		 /* subjects of so many bits */
	uint8_t lengths[ADDRESS_BITS + 1], length_count; /* those of which there are any */
	uint64_t round;
};

#define ADDRESS_KEY_SIZE (2 + 16)
#define ACCOUNT_KEY_MAX 1024

static void address_key(const struct address *address, char key[ADDRESS_KEY_SIZE])
{
	key[0] = 'a';
	key[1] = (char)address->bits;
	memcpy(key + 2, address->bytes, 16);
}

/* 0: an account that nobody can have. */
static size_t account_key(const char *user_id, char key[ACCOUNT_KEY_MAX])
{
	const size_t length = strlen(user_id);

	if (length + 1 > ACCOUNT_KEY_MAX)
		return 0;
	key[0] = 'u';
	memcpy(key + 1, user_id, length);
	return length + 1;
}

struct ban_list *ban_list_new(void)
{
	struct ban_list *list = NEW(struct ban_list);

	pthread_mutex_init(&list->mutex, NULL);
	return list;
}

/* Few lengths of ranges are ever in use: a look-up visits only those. */
static void count_range(struct ban_list *list, uint8_t bits, int change)
{
	list->ranges[bits] += (uint32_t)change;
	list->length_count = 0;
	for (unsigned length = 0; length <= ADDRESS_BITS; length++) {
		if (list->ranges[length])
			list->lengths[list->length_count++] = (uint8_t)length;
	}
}

static struct subject *find_subject(const struct ban_list *list, const char *key, size_t size)
{
	struct subject *subject;

	HASH_FIND(hh, list->subjects, key, size, subject);
	return subject;
}

static struct subject *add_subject(
	struct ban_list *list, const char *key, size_t size, const struct address *address)
{
	struct subject *subject = find_subject(list, key, size);

	if (subject)
		return subject;
	subject = memory_new(sizeof(*subject) + size);
	memcpy(subject->key, key, size);
	subject->key_size = size;
	if (address) {
		subject->address = *address;
		count_range(list, address->bits, 1);
	}
	HASH_ADD_KEYPTR(hh, list->subjects, subject->key, size, subject);
	return subject;
}

static void leave_subject(struct ban_list *list, struct ban *ban)
{
	struct subject *subject = ban->subject;
	struct ban **place = &subject->bans;

	while (*place != ban)
		place = &(*place)->next;
	*place = ban->next;
	if (subject->bans)
		return;
	if (subject->key[0] == 'a')
		count_range(list, subject->address.bits, -1);
	HASH_DEL(list->subjects, subject);
	free(subject);
}

static void drop(struct ban_list *list, struct ban *ban)
{
	leave_subject(list, ban);
	HASH_DEL(list->bans, ban);
	free(ban);
}

void ban_list_free(struct ban_list *list)
{
	struct ban *ban, *next;

	if (!list)
		return;
	HASH_ITER (hh, list->bans, ban, next)
		drop(list, ban);
	pthread_mutex_destroy(&list->mutex);
	free(list);
}

static struct ban *find_ban(const struct ban_list *list, const char *id)
{
	struct ban *ban;

	HASH_FIND_STR(list->bans, id, ban);
	return ban;
}

/* NULL: it names nobody, or not in a way that this program knows. */
static struct subject *subject_of(struct ban_list *list, const Protector__Ban *item)
{
	struct address address;
	char key[ACCOUNT_KEY_MAX];
	size_t size;

	switch (item->subject_case) {
	case PROTECTOR__BAN__SUBJECT_USER_ID:
		size = account_key(item->user_id, key);
		return size ? add_subject(list, key, size, NULL) : NULL;
	case PROTECTOR__BAN__SUBJECT_ADDRESS:
		if (!address_parse_range(item->address, strlen(item->address), &address))
			return NULL;
		address_key(&address, key);
		return add_subject(list, key, ADDRESS_KEY_SIZE, &address);
	default:
		return NULL;
	}
}

static struct ban *add_ban(struct ban_list *list, const Protector__Ban *item)
{
	struct subject *subject;
	struct ban *ban;

	if (HASH_COUNT(list->bans) >= BAN_LIST_MAX || strlen(item->ban_id) > BAN_ID_MAX) {
		LOG_LIMITED(LOG_WARN, "a ban is not kept at the edge: too many, or its id is too long",
			LOG_INT("max", BAN_LIST_MAX));
		return NULL;
	}
	subject = subject_of(list, item);
	if (!subject) {
		LOG_LIMITED(LOG_WARN, "a ban of an unknown kind is not kept at the edge",
			LOG_TEXT("ban", item->ban_id));
		return NULL;
	}
	ban = NEW(struct ban);
	memcpy(ban->id, item->ban_id, strlen(item->ban_id) + 1);
	ban->subject = subject;
	ban->next = subject->bans;
	subject->bans = ban;
	HASH_ADD_STR(list->bans, id, ban);
	return ban;
}

static void put(struct ban_list *list, const Protector__Ban *item)
{
	struct ban *ban = find_ban(list, item->ban_id);

	if (ban) /* its subject may be another now */
		drop(list, ban);
	ban = add_ban(list, item);
	if (!ban)
		return;
	ban->round = list->round;
	ban->effect = item->effect;
	if (!item->expire_time || !timestamp_get(item->expire_time, &ban->end_ms))
		ban->end_ms = INT64_MAX;
}

static void sweep(struct ban_list *list)
{
	struct ban *ban, *next;

	HASH_ITER (hh, list->bans, ban, next) {
		if (ban->round < list->round)
			drop(list, ban);
	}
}

void ban_list_apply(struct ban_list *list, const Protector__WatchBansResponse *message)
{
	struct ban *ban;

	pthread_mutex_lock(&list->mutex);
	list->round += message->header->snapshot_begin;
	for (size_t i = 0; i < message->n_items; i++)
		put(list, message->items[i]);
	for (size_t i = 0; i < message->n_removed_keys; i++) {
		ban = find_ban(list, message->removed_keys[i]);
		if (ban)
			drop(list, ban);
	}
	if (message->header->snapshot_end)
		sweep(list);
	pthread_mutex_unlock(&list->mutex);
}

static enum ban_grip grip(const struct ban *ban)
{
	switch (ban->effect) {
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_UNSPECIFIED:
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY:
		return BAN_DENY;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE:
		return BAN_CHALLENGE;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW:
		return BAN_SLOW;
	default:
		return BAN_NONE;
	}
}

/* Of two, either may be NULL: the stronger, then the one that ends later, then the first. */
static const struct ban *worse(const struct ban *a, const struct ban *b)
{
	if (!a || !b)
		return a ? a : b;
	if (grip(a) != grip(b))
		return grip(b) > grip(a) ? b : a;
	return b->end_ms > a->end_ms ? b : a;
}

/* What is in force; NULL: nothing. */
static const struct ban *worst(const struct subject *subject, int64_t now_ms)
{
	const struct ban *found = NULL;

	for (const struct ban *ban = subject->bans; ban; ban = ban->next) {
		if (grip(ban) != BAN_NONE && now_ms < ban->end_ms)
			found = worse(found, ban);
	}
	return found;
}

static bool allows(const struct subject *subject, int64_t now_ms)
{
	for (const struct ban *ban = subject->bans; ban; ban = ban->next) {
		if (ban->effect == PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW && now_ms < ban->end_ms)
			return true;
	}
	return false;
}

static const struct ban *find_account(const struct ban_list *list, const char *user_id, int64_t now_ms)
{
	char key[ACCOUNT_KEY_MAX];
	const size_t size = account_key(user_id, key);
	const struct subject *subject = size ? find_subject(list, key, size) : NULL;

	return subject ? worst(subject, now_ms) : NULL;
}

/* Every range that covers the address is looked at: any of them may be on the allow list. */
static const struct ban *find_address(
	const struct ban_list *list, const struct address *address, int64_t now_ms)
{
	const struct ban *found = NULL;

	for (unsigned i = 0; i < list->length_count; i++) {
		const struct address range = address_prefix(address, list->lengths[i]);
		const struct subject *subject;
		char key[ADDRESS_KEY_SIZE];

		if (!address_covers(&range, address)) /* of so few bits it is of the other family */
			continue;
		address_key(&range, key);
		subject = find_subject(list, key, ADDRESS_KEY_SIZE);
		if (subject && allows(subject, now_ms))
			return NULL;
		if (subject)
			found = worse(found, worst(subject, now_ms));
	}
	return found;
}

void ban_list_judge(struct ban_list *list, const char *user_id, const struct address *address, int64_t now_ms,
	struct ban_verdict *ret)
{
	const struct ban *account, *other = NULL, *found;

	*ret = (struct ban_verdict){.effect = BAN_NONE};
	pthread_mutex_lock(&list->mutex);
	account = find_account(list, user_id, now_ms);
	if (address && (!account || grip(account) != BAN_DENY))
		other = find_address(list, address, now_ms);
	found = account && other && grip(account) == grip(other) ? account : worse(account, other);
	if (found) {
		ret->effect = grip(found);
		ret->of_address = found != account;
		memcpy(ret->ban_id, found->id, sizeof(ret->ban_id));
		ret->end_ms = found->end_ms;
	}
	pthread_mutex_unlock(&list->mutex);
}
