#include "rpc/followers.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

struct place {
	struct followers *followers;
	char *id;		   /* NULL: never used, or left by ourselves */
	struct follower *follower; /* NULL: not named now */
	bool seen, synced;
	bool is_self; /* found out in this turn */
};

struct followers {
	struct followers_options options;
	char self[ID_TEXT_LENGTH + 1]; /* "": nobody is */
	struct rpc_loop *loop;
	struct rpc_pool *pool; /* NULL: closed; the loop's */
	struct rpc_task leave;
	bool leaving;
	char *self_id; /* which of the instances we are; NULL: none that is known */
	bool self_seen;

	pthread_mutex_t mutex; /* guards the rest, which the loop changes */
	struct place places[FOLLOWERS_MAX];
};

/* ---- places ---- */

static struct place *find(struct followers *followers, const char *id)
{
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		if (followers->places[i].id && strcmp(followers->places[i].id, id) == 0)
			return &followers->places[i];
	}
	return NULL;
}

/* A place that was never used, else one whose instance is not named; NULL: all are followed. */
static struct place *take_place(struct followers *followers)
{
	struct place *found = NULL;

	for (int i = FOLLOWERS_MAX - 1; i >= 0; i--) {
		struct place *place = &followers->places[i];

		if (!place->follower && (!found || found->id || !place->id))
			found = place;
	}
	return found;
}

static void unfollow(struct place *place)
{
	place->synced = place->synced || (place->follower && follower_synced(place->follower));
	follower_free(place->follower);
	place->follower = NULL;
}

/* ---- messages ---- */

/* At the end of the turn: a follower can't be ended by what it calls. */
static void leave(struct rpc_task *task)
{
	struct followers *followers = container_of(task, struct followers, leave);

	followers->leaving = false;
	pthread_mutex_lock(&followers->mutex);
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		struct place *place = &followers->places[i];

		if (!place->is_self)
			continue;
		unfollow(place);
		place->is_self = place->synced = false;
		free(followers->self_id);
		followers->self_id = place->id;
		place->id = NULL;
	}
	pthread_mutex_unlock(&followers->mutex);
}

static void found_self(struct place *place)
{
	struct followers *followers = place->followers;

	place->is_self = true;
	if (followers->leaving)
		return;
	followers->leaving = true;
	rpc_at_turn_end(followers->loop, &followers->leave);
}

static bool apply(
	void *context, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	struct place *place = context;
	const struct followers_options *options = &place->followers->options;

	if (strcmp(header->incarnation, place->followers->self) == 0) {
		found_self(place);
		return true;
	}
	return options->apply(
		options->context, (uint32_t)(place - place->followers->places), header, message);
}

/* ---- who is there ---- */

static void see(void *context, const char *id)
{
	struct followers *followers = context;
	struct place *place = find(followers, id);

	if (followers->self_id && strcmp(followers->self_id, id) == 0) {
		followers->self_seen = true;
		return;
	}
	if (!place) {
		place = take_place(followers);
		if (!place) {
			LOG_LIMITED(LOG_WARN, "more instances than can be watched",
				LOG_TEXT("method", followers->options.method), LOG_TEXT("instance", id));
			return;
		}
		free(place->id);
		place->id = memory_copy_text(id);
	}
	place->seen = true;
	if (place->follower)
		return;
	place->follower = follower_new(&(struct follower_options){
		.pool = followers->pool,
		.service = followers->options.service,
		.method = followers->options.method,
		.shard = RPC_ANY_SHARD,
		.instance = place->id,
		.apply = apply,
		.context = place,
	});
}

static void pool_changed(void *context)
{
	struct followers *followers = context;

	if (!followers->pool)
		return;
	pthread_mutex_lock(&followers->mutex);
	followers->self_seen = false;
	for (int i = 0; i < FOLLOWERS_MAX; i++)
		followers->places[i].seen = false;
	rpc_pool_each_id(followers->pool, see, followers);
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		if (!followers->places[i].seen)
			unfollow(&followers->places[i]);
	}
	if (!followers->self_seen) {
		free(followers->self_id);
		followers->self_id = NULL;
	}
	pthread_mutex_unlock(&followers->mutex);
}

/* ---- its life ---- */

struct followers *followers_new(const struct followers_options *options)
{
	struct followers *followers = NEW(struct followers);

	followers->options = *options;
	if (options->self)
		id_format(options->self, followers->self);
	followers->leave.run = leave;
	pthread_mutex_init(&followers->mutex, NULL);
	for (int i = 0; i < FOLLOWERS_MAX; i++)
		followers->places[i].followers = followers;
	return followers;
}

void followers_open(struct followers *followers, struct rpc_loop *loop, struct rpc_pool *pool)
{
	followers->loop = loop;
	followers->pool = pool;
	rpc_pool_on_change(pool, pool_changed, followers);
}

void followers_close(struct followers *followers)
{
	followers->pool = NULL;
	pthread_mutex_lock(&followers->mutex);
	for (int i = 0; i < FOLLOWERS_MAX; i++)
		unfollow(&followers->places[i]);
	pthread_mutex_unlock(&followers->mutex);
}

void followers_free(struct followers *followers)
{
	if (!followers)
		return;
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		assert(!followers->places[i].follower);
		free(followers->places[i].id);
	}
	free(followers->self_id);
	pthread_mutex_destroy(&followers->mutex);
	free(followers);
}

/* ---- questions ---- */

bool followers_synced(struct followers *followers)
{
	bool synced = false;

	pthread_mutex_lock(&followers->mutex);
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		const struct place *place = &followers->places[i];

		synced = synced || place->synced || (place->follower && follower_synced(place->follower));
	}
	pthread_mutex_unlock(&followers->mutex);
	return synced;
}

int64_t followers_heard_ns(struct followers *followers)
{
	int64_t oldest_ns = INT64_MAX;

	pthread_mutex_lock(&followers->mutex);
	for (int i = 0; i < FOLLOWERS_MAX; i++) {
		const struct follower *follower = followers->places[i].follower;

		if (follower && follower_heard_ns(follower) < oldest_ns)
			oldest_ns = follower_heard_ns(follower);
	}
	pthread_mutex_unlock(&followers->mutex);
	return oldest_ns == INT64_MAX ? 0 : oldest_ns;
}

const char *followers_instance(struct followers *followers, uint32_t place, bool *ret_fresh)
{
	const struct follower *follower = followers->places[place].follower;

	assert(place < FOLLOWERS_MAX && (!followers->pool || rpc_on_loop(followers->loop)));
	*ret_fresh = follower && follower_fresh(follower, clock_mono_ns(), FOLLOWER_SILENCE_MS);
	return followers->places[place].id;
}

bool followers_is_self(const struct followers *followers, const char *instance)
{
	return followers->self_id && strcmp(followers->self_id, instance) == 0;
}
