/* rpc/pool.c - the instances of one service, as discovery names them; see rpc/pool.h. */
#include "rpc/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/role.h"
#include "rpc/tls.h"

#define RENEW_MS 1000		/* how often certificates and ages are looked at */
#define AGE_MS (30 * 60 * 1000) /* of a connection, then a new one is made; and up to an eighth more */

/* Something that a thread other than the loop's wants done there. */
struct errand {
	struct rpc_task task;
	struct rpc_pool *pool;
	const struct instances *list;
	void (*changed)(void *context);
	void *context;
};

struct rpc_loop *rpc_pool_loop(const struct rpc_pool *pool)
{
	return pool->loop;
}

struct client_metrics *rpc_pool_metrics(const struct rpc_pool *pool)
{
	return pool->metrics;
}

size_t rpc_pool_count(const struct rpc_pool *pool)
{
	return pool->listed;
}

/* ---- users ---- */

void rpc_pool_join(struct rpc_pool *pool, struct rpc_pool_user *user)
{
	TAILQ_INSERT_TAIL(&pool->users, user, link);
	pool->user_count++;
}

void rpc_pool_leave(struct rpc_pool *pool, struct rpc_pool_user *user)
{
	TAILQ_REMOVE(&pool->users, user, link);
	pool->user_count--;
	if (pool->closing)
		rpc_pool_state_changed(pool, false);
}

size_t rpc_pool_users(const struct rpc_pool *pool)
{
	return pool->user_count;
}

void rpc_pool_each(
	struct rpc_pool *pool, void (*each)(void *context, struct rpc_channel *channel), void *context)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed)
			each(context, channel);
}

/* Users come and go while they are called, any of them: so each turns to the end of the list before its call. */
static struct rpc_pool_user *next_user(struct rpc_pool *pool)
{
	struct rpc_pool_user *user = TAILQ_FIRST(&pool->users);

	if (user) {
		TAILQ_REMOVE(&pool->users, user, link);
		TAILQ_INSERT_TAIL(&pool->users, user, link);
	}
	return user;
}

/* ---- a new connection in the place of an old one: made first, taken when it stands, so that no call notices ---- */

/* The one that was to take its place goes too. */
static void abandon_successor(struct rpc_channel *channel)
{
	struct rpc_channel *successor = channel->successor;

	if (!successor)
		return;
	channel->successor = NULL;
	successor->predecessor = NULL;
	rpc_channel_retire(successor);
}

static void replace_channel(struct rpc_pool *pool, struct rpc_channel *channel)
{
	const struct instance instance = {.id = channel->id,
		.address = channel->address,
		.shard = channel->shard,
		.health = channel->health};
	struct rpc_channel *successor;

	abandon_successor(channel);
	successor = rpc_channel_new(pool, &instance, pool->credentials, pool->tls ? pool->name : NULL);
	channel->successor = successor;
	successor->predecessor = channel;
	TAILQ_INSERT_TAIL(&pool->channels, successor, link);
}

/* Calls on the old one end there. */
static void take_over(struct rpc_channel *successor)
{
	struct rpc_channel *channel = successor->predecessor;

	successor->shard = channel->shard;
	successor->health = channel->health;
	successor->listed = true;
	channel->successor = NULL;
	successor->predecessor = NULL;
	rpc_channel_retire(channel);
}

static bool may_take_over(const struct rpc_channel *channel)
{
	return channel->predecessor &&
	       (channel->state == GRPC_CHANNEL_READY || channel->predecessor->state != GRPC_CHANNEL_READY);
}

static void take_over_where_ready(struct rpc_pool *pool)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (may_take_over(channel))
			take_over(channel);
}

/* The last thing that the loop does to a pool: after it, the memory is rpc_pool_free's. */
static void say_closed(struct rpc_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->closed = true;
	pthread_cond_signal(&pool->signal);
	pthread_mutex_unlock(&pool->lock);
}

static void stir_run(struct rpc_task *task)
{
	struct rpc_pool *pool = container_of(task, struct rpc_pool, stir);
	struct rpc_pool_user *user;
	bool tell = pool->tell;

	pool->stirred = pool->tell = false;
	take_over_where_ready(pool);
	for (size_t left = pool->user_count; left && (user = next_user(pool)); left--)
		user->changed(user);
	for (uint32_t i = 0; tell && i < pool->listener_count && !pool->closing; i++)
		pool->listeners[i].changed(pool->listeners[i].context);
	if (pool->closing && !pool->stirred && TAILQ_EMPTY(&pool->users) && TAILQ_EMPTY(&pool->channels))
		say_closed(pool);
}

void rpc_pool_state_changed(struct rpc_pool *pool, bool ready_changed)
{
	pool->tell |= ready_changed;
	if (pool->stirred)
		return;
	pool->stirred = true;
	rpc_at_turn_end(pool->loop, &pool->stir);
}

/* ---- what discovery says ---- */

static struct rpc_channel *find_channel(struct rpc_pool *pool, const struct instance *instance)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed && !strcmp(channel->id, instance->id) &&
			!strcmp(channel->address, instance->address))
			return channel;
	return NULL;
}

static void add_channel(struct rpc_pool *pool, const struct instance *instance)
{
	struct rpc_channel *channel =
		rpc_channel_new(pool, instance, pool->credentials, pool->tls ? pool->name : NULL);

	channel->listed = channel->seen = true;
	TAILQ_INSERT_TAIL(&pool->channels, channel, link);
	pool->listed++;
	metric_add(&pool->metrics->instances, 1);
}

static void retire_channel(struct rpc_pool *pool, struct rpc_channel *channel)
{
	pool->listed--;
	metric_add(&pool->metrics->instances, -1);
	abandon_successor(channel);
	rpc_channel_retire(channel);
}

/* Nothing is freed while a list is walked: a channel goes when its watch came back, in an event of its own. */
static void retire_unseen(struct rpc_pool *pool)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed && !channel->seen)
			retire_channel(pool, channel);
}

static void update(struct rpc_pool *pool, const struct instances *list)
{
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		channel->seen = false;
	for (size_t i = 0; i < list->count; i++) {
		const struct instance *instance = &list->items[i];

		channel = find_channel(pool, instance);
		if (!channel) {
			add_channel(pool, instance);
			continue;
		}
		channel->seen = true;
		channel->shard = instance->shard;
		channel->health = instance->health;
	}
	retire_unseen(pool);
	pool->known = true;
	rpc_pool_state_changed(pool, true);
}

/* Certificates are renewed in their files: connections follow. */
static void refresh_credentials(struct rpc_pool *pool)
{
	uint64_t version = pool->tls ? rpc_tls_refresh(pool->tls) : 0;
	struct rpc_channel *channel;

	if (pool->credentials && version == pool->version)
		return;
	if (pool->credentials)
		grpc_channel_credentials_release(pool->credentials);
	pool->credentials = rpc_tls_channel(pool->tls);
	pool->version = version;
	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed)
			replace_channel(pool, channel);
}

/* Connections do not live for ever: who balances them on the way, and who has come since, gets a share. */
static void renew_aged(struct rpc_pool *pool)
{
	int64_t now_ns = clock_mono_ns();
	struct rpc_channel *channel;

	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed && !channel->successor && channel->state == GRPC_CHANNEL_READY &&
			now_ns - channel->born_ns >=
				pool->age_ns +
					(int64_t)(rpc_pool_random(pool) % (uint64_t)(pool->age_ns / 8 + 1)))
			replace_channel(pool, channel);
}

static void renew_run(struct rpc_task *task)
{
	struct rpc_pool *pool = container_of(task, struct rpc_pool, renewal.task);

	refresh_credentials(pool);
	renew_aged(pool);
	rpc_timer_start(pool->loop, &pool->renewal, pool->renew_ms);
}

void rpc_pool_set_age(struct rpc_pool *pool, int64_t age_ms)
{
	pool->age_ns = age_ms * 1000000;
	pool->renew_ms = age_ms / 4 + 1 < RENEW_MS ? age_ms / 4 + 1 : RENEW_MS;
	if (pool->renewal.position)
		rpc_timer_start(pool->loop, &pool->renewal, pool->renew_ms);
}

static void take_list(struct rpc_pool *pool, const struct instances *list)
{
	refresh_credentials(pool);
	update(pool, list);
	if (!pool->renewal.position)
		rpc_timer_start(pool->loop, &pool->renewal, pool->renew_ms);
}

static void update_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	take_list(errand->pool, errand->list);
	instances_drop(errand->list);
	free(errand);
}

/* On discovery's thread. */
static void list_changed(void *context, const struct instances *list)
{
	struct errand *errand = NEW(struct errand);

	errand->task.run = update_run;
	errand->pool = context;
	errand->list = instances_keep(list);
	rpc_post(errand->pool->loop, &errand->task);
}

/* ---- its life ---- */

struct rpc_pool *rpc_pool_new(
	struct rpc_loop *loop, struct discovery *discovery, const char *service, struct rpc_tls *tls)
{
	struct rpc_pool *pool = NEW(struct rpc_pool);

	pool->loop = loop;
	pool->tls = tls;
	if (tls)
		role_certificate_name(service, pool->name);
	pool->renewal.task.run = renew_run;
	pool->renew_ms = RENEW_MS;
	pool->age_ns = AGE_MS * INT64_C(1000000);
	pool->random = (uint64_t)clock_mono_ns() | 1;
	pool->budget = BUDGET_FIRST;
	pool->metrics = client_metrics_of(service);
	pool->service = memory_copy_text(service);
	pool->stir.run = stir_run;
	TAILQ_INIT(&pool->channels);
	TAILQ_INIT(&pool->users);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->signal, NULL);
	pool->watch = discovery_watch(discovery, service, list_changed, pool);
	return pool;
}

static void set_changed_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	assert(errand->pool->listener_count < POOL_LISTENERS_MAX);
	errand->pool->listeners[errand->pool->listener_count++] =
		(struct pool_listener){errand->changed, errand->context};
	rpc_pool_state_changed(errand->pool, true); /* it missed what was before */
	free(errand);
}

void rpc_pool_on_change(struct rpc_pool *pool, void (*changed)(void *context), void *context)
{
	struct errand *errand = NEW(struct errand);

	errand->task.run = set_changed_run;
	errand->pool = pool;
	errand->changed = changed;
	errand->context = context;
	rpc_post(pool->loop, &errand->task);
}

void rpc_pool_channel_gone(struct rpc_pool *pool, struct rpc_channel *channel)
{
	TAILQ_REMOVE(&pool->channels, channel, link);
	rpc_pool_state_changed(
		pool, false); /* which looks whether this was the last that held a closing pool up */
}

static void close_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);
	struct rpc_pool *pool = errand->pool;
	struct rpc_channel *channel;
	struct rpc_pool_user *user;

	pool->closing = true;
	rpc_timer_stop(pool->loop, &pool->renewal);
	for (size_t left = pool->user_count; left && (user = next_user(pool)); left--)
		user->closed(user);
	TAILQ_FOREACH (channel, &pool->channels, link)
		if (channel->listed)
			retire_channel(pool, channel);
	rpc_pool_state_changed(pool, false);
}

void rpc_pool_free(struct rpc_pool *pool)
{
	struct errand close = {.task.run = close_run, .pool = pool};

	if (!pool)
		return;
	assert(!rpc_on_loop(pool->loop));
	discovery_unwatch(pool->watch); /* lists that were handed on before are in front of the errand */
	rpc_post(pool->loop, &close.task);
	pthread_mutex_lock(&pool->lock);
	while (!pool->closed)
		pthread_cond_wait(&pool->signal, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->signal);
	if (pool->credentials)
		grpc_channel_credentials_release(pool->credentials);
	free(pool->service);
	free(pool);
}
