#include "gatekeeper/edge/ban_list.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "gatekeeper/edge/ban_feed.h"
#include "gatekeeper/edge/ban_table.h"

#define LENGTHS_MAX (ADDRESS_BITS + 1)
#define CUTS_AT_ONCE 8

/* The lengths of ranges of one family of which there are any, in some source; the longest first. */
struct lengths {
	uint8_t used[LENGTHS_MAX];
	uint32_t count;
};

struct source {
	struct ban_table *live;	   /* NULL: never heard of */
	struct ban_table *growing; /* the thread's: a snapshot that is not whole yet */
};

struct ban_list {
	struct ban_feed *feed;

	pthread_mutex_t mutex; /* guards what live tables hold, and: */
	struct source sources[BAN_SOURCES_MAX];
	uint32_t source_count; /* those below it may be in use */
	struct lengths lengths[2];
};

/* ---- what comes ---- */

static void list_lengths(struct ban_list *list)
{
	for (int family = 0; family < 2; family++) {
		struct lengths *lengths = &list->lengths[family];

		lengths->count = 0;
		for (int bits = LENGTHS_MAX - 1; bits >= 0; bits--) {
			uint32_t bans = 0;

			for (uint32_t i = 0; i < list->source_count; i++)
				bans += list->sources[i].live ? list->sources[i].live->ranges[family][bits]
							      : 0;
			if (bans)
				lengths->used[lengths->count++] = (uint8_t)bits;
		}
	}
}

/* How many bans its table has of ranges as long; of an account 0. */
static uint32_t same_length(const struct ban_table *table, const struct ban_key *key)
{
	return key->user ? 0 : table->ranges[!address_is_v4(&key->address)][key->address.bits];
}

static void put_live(struct ban_list *list, struct ban_table *table, const struct ban_news *news)
{
	const struct ban_key key = ban_news_key(news);
	struct ban_growth growth;
	const bool grows = ban_table_grow(table, &growth);

	pthread_mutex_lock(&list->mutex);
	if (grows)
		ban_table_adopt(table, &growth);
	ban_table_remove(table, &news->ban.id); /* its subject may be another now */
	ban_table_put(table, &key, &news->ban);
	if (same_length(table, &key) == 1)
		list_lengths(list);
	pthread_mutex_unlock(&list->mutex);
	if (grows)
		ban_growth_release(&growth);
}

static void put_growing(struct ban_table *table, const struct ban_news *news)
{
	const struct ban_key key = ban_news_key(news);
	struct ban_growth growth;

	if (ban_table_grow(table, &growth)) {
		ban_table_adopt(table, &growth);
		ban_growth_release(&growth);
	}
	ban_table_remove(table, &news->ban.id);
	ban_table_put(table, &key, &news->ban);
}

static void take_out(struct ban_list *list, struct source *source, const struct id *id)
{
	if (source->growing) {
		ban_table_remove(source->growing, id);
		return;
	}
	if (!source->live)
		return;
	pthread_mutex_lock(&list->mutex);
	ban_table_remove(source->live, id);
	pthread_mutex_unlock(&list->mutex);
}

static void drop_table(struct ban_table *table)
{
	if (!table)
		return;
	ban_table_release(table);
	free(table);
}

static void begin_snapshot(struct source *source)
{
	drop_table(source->growing);
	source->growing = NEW(struct ban_table);
	ban_table_init(source->growing);
}

static void end_snapshot(struct ban_list *list, struct source *source)
{
	struct ban_table *old = source->live;

	pthread_mutex_lock(&list->mutex);
	source->live = source->growing;
	source->growing = NULL;
	if (source >= list->sources + list->source_count)
		list->source_count = (uint32_t)(source - list->sources) + 1;
	list_lengths(list);
	pthread_mutex_unlock(&list->mutex);
	drop_table(old);
}

/* On the feed's thread. */
static void take(void *context, const struct ban_bundle *bundle)
{
	struct ban_list *list = context;
	struct source *source = &list->sources[bundle->source];

	if (bundle->begin)
		begin_snapshot(source);
	for (uint32_t i = 0; i < bundle->count; i++) {
		if (source->growing)
			put_growing(source->growing, &bundle->news[i]);
		else if (source->live)
			put_live(list, source->live, &bundle->news[i]);
	}
	for (uint32_t i = 0; i < bundle->removed_count; i++)
		take_out(list, source, &bundle->removed[i]);
	if (bundle->end && source->growing)
		end_snapshot(list, source);
}

bool ban_list_apply(struct ban_list *list, uint32_t source, const Protector__WatchBansResponse *message)
{
	assert(source < BAN_SOURCES_MAX);
	return ban_feed_put(list->feed, source, message);
}

void ban_list_settle(struct ban_list *list)
{
	ban_feed_settle(list->feed);
}

/* ---- what is in force ---- */

/* What is said of one subject, by all sources. */
struct words {
	const struct ban_entry *person;	  /* the newest */
	const struct ban_entry *detector; /* the worst of those that count */
	const struct ban_entry *lifted;	  /* the newest lifting of what persons said */
	uint16_t exempt;		  /* the detectors whose bans do not count */
	bool allowed;			  /* by a setting */
};

/* Of two, either may be NULL: the stronger, then the one that ends later, then the first. */
static const struct ban_entry *worse(const struct ban_entry *a, const struct ban_entry *b)
{
	if (!a || !b)
		return a ? a : b;
	if (a->effect != b->effect)
		return b->effect > a->effect ? b : a;
	return b->end_ms > a->end_ms ? b : a;
}

/* The first may be NULL. */
static const struct ban_entry *newer(const struct ban_entry *a, const struct ban_entry *b)
{
	return !a || id_compare(&b->id, &a->id) > 0 ? b : a;
}

static void hear_lift(struct words *words, const struct ban_entry *ban)
{
	if (ban->effect != BAN_EFFECT_LIFT)
		return;
	words->exempt |= ban->detectors;
	if (ban->detectors & BAN_LIFTS_PERSONS)
		words->lifted = newer(words->lifted, ban);
}

/* After all lifts. */
static void hear(struct words *words, const struct ban_entry *ban)
{
	if (ban->effect == BAN_EFFECT_LIFT)
		return;
	if (ban->source == BAN_OF_PERSON) {
		words->person = newer(words->person, ban);
	} else if (ban->source == BAN_OF_SETTING) {
		words->allowed = words->allowed || ban->effect == BAN_EFFECT_ALLOW;
	} else if (!(ban->detectors & words->exempt)) {
		words->detector = worse(words->detector, ban);
	}
}

static bool was_lifted(const struct ban_entry *ban, const struct ban_entry *lifting)
{
	return ban && lifting && id_compare(&ban->id, &lifting->id) < 0;
}

/* The ban that counts, or NULL; *ret_allowed: the subject is on the allow list. */
static const struct ban_entry *weigh(const struct words *words, bool *ret_allowed)
{
	const struct ban_entry *person = was_lifted(words->person, words->lifted) ? NULL : words->person;
	const struct ban_entry *detector = words->detector;

	*ret_allowed = words->allowed || (person && person->effect == BAN_EFFECT_ALLOW);
	if (person && person->effect != BAN_EFFECT_DENY)
		detector = NULL;
	person = worse(person, detector);
	return person && person->effect != BAN_EFFECT_NONE ? person : NULL;
}

/* Each ban of the key that is in force; whether there is any. */
static bool each_ban(const struct ban_list *list, const struct ban_key *key, int64_t now_ms,
	void (*each)(struct words *words, const struct ban_entry *ban), struct words *words)
{
	bool any = false;

	for (uint32_t i = 0; i < list->source_count; i++) {
		const struct ban_table *table = list->sources[i].live;
		const struct ban_entry *ban;
		uint32_t at = 0;

		while (table && (ban = ban_table_next(table, key, &at))) {
			if (now_ms >= ban->end_ms)
				continue;
			any = true;
			each(words, ban);
		}
	}
	return any;
}

static const struct ban_entry *judge_key(
	const struct ban_list *list, const struct ban_key *key, int64_t now_ms, bool *ret_allowed)
{
	struct words words = {0};

	if (each_ban(list, key, now_ms, hear_lift, &words))
		each_ban(list, key, now_ms, hear, &words);
	return weigh(&words, ret_allowed);
}

static const struct ban_entry *judge_account(const struct ban_list *list, const char *user_id, int64_t now_ms)
{
	const size_t length = strlen(user_id);
	const struct ban_key key = ban_key_user(user_id, length);
	const struct ban_entry *found;
	bool allowed;

	if (!length || length > BAN_USER_MAX)
		return NULL;
	found = judge_key(list, &key, now_ms, &allowed);
	return allowed ? NULL : found;
}

/* The next ranges around the address of which there may be bans; their places are asked for at once, so that waiting for memory is done once. */
static uint32_t gather_cuts(const struct ban_list *list, const struct address *address, uint32_t *at,
	struct ban_key cuts[CUTS_AT_ONCE])
{
	const struct lengths *lengths = &list->lengths[!address_is_v4(address)];
	uint32_t count = 0;

	for (; *at < lengths->count && count < CUTS_AT_ONCE; ++*at) {
		const struct address range = address_prefix(address, lengths->used[*at]);

		cuts[count] = ban_key_range(&range);
		for (uint32_t i = 0; i < list->source_count; i++) {
			if (list->sources[i].live)
				ban_table_prepare(list->sources[i].live, &cuts[count]);
		}
		count++;
	}
	return count;
}

/* Every range that covers the address is looked at: any of them may be on the allow list. */
static const struct ban_entry *judge_address(
	const struct ban_list *list, const struct address *address, int64_t now_ms)
{
	struct ban_key cuts[CUTS_AT_ONCE];
	const struct ban_entry *found = NULL;
	uint32_t at = 0, count;

	while ((count = gather_cuts(list, address, &at, cuts))) {
		for (uint32_t i = 0; i < count; i++) {
			bool allowed;
			const struct ban_entry *ban = judge_key(list, &cuts[i], now_ms, &allowed);

			if (allowed)
				return NULL;
			found = worse(found, ban);
		}
	}
	return found;
}

static enum ban_grip grip(const struct ban_entry *ban)
{
	static const enum ban_grip grips[] = {[BAN_EFFECT_NONE] = BAN_NONE,
		[BAN_EFFECT_SLOW] = BAN_SLOW,
		[BAN_EFFECT_CHALLENGE] = BAN_CHALLENGE,
		[BAN_EFFECT_DENY] = BAN_DENY};

	return grips[ban->effect];
}

void ban_list_judge(struct ban_list *list, const char *user_id, const struct address *address, int64_t now_ms,
	struct ban_verdict *ret)
{
	const struct ban_entry *account, *other = NULL, *found;

	*ret = (struct ban_verdict){.effect = BAN_NONE};
	pthread_mutex_lock(&list->mutex);
	account = judge_account(list, user_id, now_ms);
	if (address && (!account || account->effect != BAN_EFFECT_DENY))
		other = judge_address(list, address, now_ms);
	found = account && other && account->effect == other->effect ? account : worse(account, other);
	if (found) {
		ret->effect = grip(found);
		ret->of_address = found != account;
		id_format(&found->id, ret->ban_id);
		ret->end_ms = found->end_ms;
	}
	pthread_mutex_unlock(&list->mutex);
}

size_t ban_list_count(struct ban_list *list)
{
	size_t count = 0;

	pthread_mutex_lock(&list->mutex);
	for (uint32_t i = 0; i < list->source_count; i++)
		count += list->sources[i].live ? ban_table_count(list->sources[i].live) : 0;
	pthread_mutex_unlock(&list->mutex);
	return count;
}

/* ---- its life ---- */

struct ban_list *ban_list_new(void)
{
	struct ban_list *list = NEW(struct ban_list);

	pthread_mutex_init(&list->mutex, NULL);
	list->feed = ban_feed_new(take, list);
	return list;
}

void ban_list_free(struct ban_list *list)
{
	if (!list)
		return;
	ban_feed_free(list->feed);
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		drop_table(list->sources[i].live);
		drop_table(list->sources[i].growing);
	}
	pthread_mutex_destroy(&list->mutex);
	free(list);
}
