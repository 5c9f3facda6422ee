#include "gatekeeper/edge/ban_feed.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "gatekeeper/edge/ban_list.h"
#include "rpc/timestamp.h"

#define NAME_BYTES 64

struct ban_feed {
	char detectors[BAN_DETECTORS_MAX][NAME_BYTES]; /* "": not used yet; of who puts */
	void (*take)(void *context, const struct ban_bundle *bundle);
	void *context;
	pthread_t thread;

	pthread_mutex_t mutex; /* guards the rest */
	pthread_cond_t changed;
	struct ban_bundle *first, **last;
	size_t waiting; /* bans and removals, of the bundle that is taken too */
	bool taking, ending;
};

/* ---- reading ---- */

static enum ban_effect_kind read_effect(Protector__BanEffect effect)
{
	switch (effect) {
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_UNSPECIFIED:
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY:
		return BAN_EFFECT_DENY;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE:
		return BAN_EFFECT_CHALLENGE;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW:
		return BAN_EFFECT_SLOW;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW:
		return BAN_EFFECT_ALLOW;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT:
		return BAN_EFFECT_LIFT;
	default:
		return BAN_EFFECT_NONE;
	}
}

static enum ban_source read_source(Protector__BanSource source)
{
	switch (source) {
	case PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR:
		return BAN_OF_DETECTOR;
	case PROTECTOR__BAN_SOURCE__BAN_SOURCE_SETTING:
		return BAN_OF_SETTING;
	default:
		return BAN_OF_PERSON;
	}
}

static uint16_t detector_bit(struct ban_feed *feed, const char *name)
{
	if (!*name || strlen(name) >= NAME_BYTES)
		return 0;
	for (int i = 0; i < BAN_DETECTORS_MAX; i++) {
		if (!*feed->detectors[i])
			strcpy(feed->detectors[i], name);
		if (strcmp(feed->detectors[i], name) == 0)
			return (uint16_t)(2u << i);
	}
	return 0;
}

static uint16_t read_detectors(struct ban_feed *feed, const Protector__Ban *item)
{
	uint16_t detectors = item->detection ? detector_bit(feed, item->detection->detector) : 0;

	for (size_t i = 0; item->exemption && i < item->exemption->n_detectors; i++) {
		const char *name = item->exemption->detectors[i];

		detectors |= strcmp(name, "operator") == 0 ? BAN_LIFTS_PERSONS : detector_bit(feed, name);
	}
	return detectors;
}

static bool read_subject(const Protector__Ban *item, struct ban_news *news, char **texts)
{
	struct address range;
	size_t length;

	switch (item->subject_case) {
	case PROTECTOR__BAN__SUBJECT_USER_ID:
		length = strlen(item->user_id);
		if (!length || length > BAN_USER_MAX)
			return false;
		news->ban.is_user = true;
		news->user_length = (uint8_t)length;
		news->ban.user = memcpy(*texts, item->user_id, length);
		*texts += length;
		return true;
	case PROTECTOR__BAN__SUBJECT_ADDRESS:
		if (!address_parse_range(item->address, strlen(item->address), &range))
			return false;
		news->ban.bits = range.bits;
		memcpy(news->ban.address, range.bytes, sizeof(range.bytes));
		return true;
	default:
		return false;
	}
}

static bool read_item(struct ban_feed *feed, const Protector__Ban *item, struct ban_news *news, char **texts)
{
	*news = (struct ban_news){.ban = {.end_ms = INT64_MAX}};
	if (!id_parse(item->ban_id, &news->ban.id) || !read_subject(item, news, texts)) {
		LOG_LIMITED(LOG_WARN, "a ban of an unknown kind is not kept at the edge",
			LOG_TEXT("ban", item->ban_id));
		return false;
	}
	news->ban.effect = read_effect(item->effect);
	news->ban.source = read_source(item->source);
	if (news->ban.source == BAN_OF_DETECTOR && news->ban.effect == BAN_EFFECT_ALLOW)
		news->ban.effect = BAN_EFFECT_NONE; /* detectors allow nobody */
	news->ban.detectors = read_detectors(feed, item);
	if (!item->expire_time || !timestamp_get(item->expire_time, &news->ban.end_ms))
		news->ban.end_ms = INT64_MAX;
	return true;
}

static size_t texts_size(const Protector__WatchBansResponse *message)
{
	size_t size = 0;

	for (size_t i = 0; i < message->n_items; i++) {
		if (message->items[i]->subject_case == PROTECTOR__BAN__SUBJECT_USER_ID)
			size += strlen(message->items[i]->user_id);
	}
	return size;
}

/* One piece of memory: the bundle, what it tells, the ids that are gone, the accounts. */
static struct ban_bundle *read_message(
	struct ban_feed *feed, uint32_t source, const Protector__WatchBansResponse *message)
{
	const size_t news = message->n_items * sizeof(struct ban_news);
	const size_t removed = message->n_removed_keys * sizeof(struct id);
	struct ban_bundle *bundle = memory_new(sizeof(*bundle) + news + removed + texts_size(message));
	char *texts = (char *)(bundle + 1) + news + removed;

	bundle->source = source;
	bundle->begin = message->header->snapshot_begin;
	bundle->end = message->header->snapshot_end;
	bundle->news = (struct ban_news *)(void *)(bundle + 1);
	bundle->removed = (struct id *)(void *)((char *)(bundle + 1) + news);
	for (size_t i = 0; i < message->n_items; i++)
		bundle->count += read_item(feed, message->items[i], &bundle->news[bundle->count], &texts);
	for (size_t i = 0; i < message->n_removed_keys; i++)
		bundle->removed_count +=
			id_parse(message->removed_keys[i], &bundle->removed[bundle->removed_count]);
	return bundle;
}

/* ---- waiting ---- */

bool ban_feed_put(struct ban_feed *feed, uint32_t source, const Protector__WatchBansResponse *message)
{
	const size_t size = message->n_items + message->n_removed_keys;
	struct ban_bundle *bundle;
	bool full;

	if (!size && !message->header->snapshot_begin && !message->header->snapshot_end)
		return true; /* a heartbeat */
	pthread_mutex_lock(&feed->mutex);
	full = feed->waiting && feed->waiting + size > BAN_WAITING_MAX;
	pthread_mutex_unlock(&feed->mutex);
	if (full) {
		LOG_LIMITED(
			LOG_WARN, "more bans come than this machine takes in; asking for all of them anew");
		return false;
	}
	bundle = read_message(feed, source, message);
	pthread_mutex_lock(&feed->mutex);
	*feed->last = bundle;
	feed->last = &bundle->next;
	feed->waiting += bundle->count + bundle->removed_count;
	pthread_cond_broadcast(&feed->changed);
	pthread_mutex_unlock(&feed->mutex);
	return true;
}

void ban_feed_settle(struct ban_feed *feed)
{
	pthread_mutex_lock(&feed->mutex);
	while (feed->first || feed->taking)
		pthread_cond_wait(&feed->changed, &feed->mutex);
	pthread_mutex_unlock(&feed->mutex);
}

static struct ban_bundle *next_bundle(struct ban_feed *feed)
{
	struct ban_bundle *bundle;

	while (!feed->first && !feed->ending)
		pthread_cond_wait(&feed->changed, &feed->mutex);
	if (feed->ending)
		return NULL;
	bundle = feed->first;
	feed->first = bundle->next;
	if (!feed->first)
		feed->last = &feed->first;
	feed->taking = true;
	return bundle;
}

static void *run(void *context)
{
	struct ban_feed *feed = context;
	struct ban_bundle *bundle;

	pthread_mutex_lock(&feed->mutex);
	while ((bundle = next_bundle(feed))) {
		pthread_mutex_unlock(&feed->mutex);
		feed->take(feed->context, bundle);
		pthread_mutex_lock(&feed->mutex);
		feed->waiting -= bundle->count + bundle->removed_count;
		feed->taking = false;
		pthread_cond_broadcast(&feed->changed);
		free(bundle);
	}
	pthread_mutex_unlock(&feed->mutex);
	return NULL;
}

struct ban_feed *ban_feed_new(void (*take)(void *context, const struct ban_bundle *bundle), void *context)
{
	struct ban_feed *feed = NEW(struct ban_feed);
	sigset_t all, before;

	feed->take = take;
	feed->context = context;
	feed->last = &feed->first;
	pthread_mutex_init(&feed->mutex, NULL);
	pthread_cond_init(&feed->changed, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&feed->thread, NULL, run, feed) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setname_np(feed->thread, "bans");
	return feed;
}

void ban_feed_free(struct ban_feed *feed)
{
	struct ban_bundle *bundle;

	pthread_mutex_lock(&feed->mutex);
	feed->ending = true;
	pthread_cond_broadcast(&feed->changed);
	pthread_mutex_unlock(&feed->mutex);
	pthread_join(feed->thread, NULL);
	while ((bundle = feed->first)) {
		feed->first = bundle->next;
		free(bundle);
	}
	pthread_mutex_destroy(&feed->mutex);
	pthread_cond_destroy(&feed->changed);
	free(feed);
}
