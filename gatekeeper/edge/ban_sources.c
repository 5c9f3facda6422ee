#include "gatekeeper/edge/ban_sources.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

struct ban_source {
	struct ban_sources *sources;
	char *id;		   /* NULL: the place was never used */
	struct follower *follower; /* NULL: not named now */
	bool seen, synced;
};

struct ban_sources {
	struct ban_list *list;
	struct rpc_pool *pool; /* NULL: closed; the loop's */

	pthread_mutex_t mutex; /* guards the rest, which the loop changes */
	struct ban_source places[BAN_SOURCES_MAX];
};

static bool apply(
	void *context, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	struct ban_source *source = context;

	return ban_list_apply(source->sources->list, (uint32_t)(source - source->sources->places),
		(const Protector__WatchBansResponse *)message);
}

static struct ban_source *find(struct ban_sources *sources, const char *id)
{
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		if (sources->places[i].id && strcmp(sources->places[i].id, id) == 0)
			return &sources->places[i];
	}
	return NULL;
}

/* A place that was never used, else one whose protector is not named; NULL: all are watched. */
static struct ban_source *take_place(struct ban_sources *sources)
{
	struct ban_source *found = NULL;

	for (int i = BAN_SOURCES_MAX - 1; i >= 0; i--) {
		struct ban_source *place = &sources->places[i];

		if (!place->follower && (!found || found->id || !place->id))
			found = place;
	}
	return found;
}

static void see(void *context, const char *id)
{
	struct ban_sources *sources = context;
	struct ban_source *source = find(sources, id);

	if (!source) {
		source = take_place(sources);
		if (!source) {
			LOG_LIMITED(
				LOG_WARN, "more protectors than can be watched", LOG_TEXT("protector", id));
			return;
		}
		free(source->id);
		source->id = memory_copy_text(id);
	}
	source->seen = true;
	if (source->follower)
		return;
	source->follower = follower_new(&(struct follower_options){
		.pool = sources->pool,
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.shard = RPC_ANY_SHARD,
		.instance = source->id,
		.apply = apply,
		.context = source,
	});
}

static void unwatch(struct ban_source *place)
{
	place->synced = place->synced || (place->follower && follower_synced(place->follower));
	follower_free(place->follower);
	place->follower = NULL;
}

static void pool_changed(void *context)
{
	struct ban_sources *sources = context;

	if (!sources->pool)
		return;
	pthread_mutex_lock(&sources->mutex);
	for (int i = 0; i < BAN_SOURCES_MAX; i++)
		sources->places[i].seen = false;
	rpc_pool_each_id(sources->pool, see, sources);
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		if (!sources->places[i].seen)
			unwatch(&sources->places[i]);
	}
	pthread_mutex_unlock(&sources->mutex);
}

struct ban_sources *ban_sources_new(struct ban_list *list)
{
	struct ban_sources *sources = NEW(struct ban_sources);

	sources->list = list;
	pthread_mutex_init(&sources->mutex, NULL);
	for (int i = 0; i < BAN_SOURCES_MAX; i++)
		sources->places[i].sources = sources;
	return sources;
}

void ban_sources_open(struct ban_sources *sources, struct rpc_pool *protectors)
{
	sources->pool = protectors;
	rpc_pool_on_change(protectors, pool_changed, sources);
}

void ban_sources_close(struct ban_sources *sources)
{
	sources->pool = NULL;
	pthread_mutex_lock(&sources->mutex);
	for (int i = 0; i < BAN_SOURCES_MAX; i++)
		unwatch(&sources->places[i]);
	pthread_mutex_unlock(&sources->mutex);
}

void ban_sources_free(struct ban_sources *sources)
{
	if (!sources)
		return;
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		assert(!sources->places[i].follower);
		free(sources->places[i].id);
	}
	pthread_mutex_destroy(&sources->mutex);
	free(sources);
}

bool ban_sources_synced(struct ban_sources *sources)
{
	bool synced = false;

	pthread_mutex_lock(&sources->mutex);
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		const struct ban_source *place = &sources->places[i];

		synced = synced || place->synced || (place->follower && follower_synced(place->follower));
	}
	pthread_mutex_unlock(&sources->mutex);
	return synced;
}

int64_t ban_sources_heard_ns(struct ban_sources *sources)
{
	int64_t oldest_ns = INT64_MAX;

	pthread_mutex_lock(&sources->mutex);
	for (int i = 0; i < BAN_SOURCES_MAX; i++) {
		const struct follower *follower = sources->places[i].follower;

		if (follower && follower_heard_ns(follower) < oldest_ns)
			oldest_ns = follower_heard_ns(follower);
	}
	pthread_mutex_unlock(&sources->mutex);
	return oldest_ns == INT64_MAX ? 0 : oldest_ns;
}
