#include "discovery/consul.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "discovery/consul_internal.h"

#define TURN_MS_MAX 60000

static struct consul_source *source_of(struct discovery *discovery)
{
	return container_of(discovery, struct consul_source, base);
}

/* xorshift64*: for jitter, not for secrets. */
uint32_t consul_random(struct consul_source *source)
{
	uint64_t x = source->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	source->random = x;
	return (uint32_t)((x * 2685821657736338717ULL) >> 32);
}

/* ---- the thread ---- */

static void take_wanted_locked(struct consul_source *source)
{
	for (; source->taken_count < source->wanted_count; source->taken_count++) {
		struct consul_lookup *lookup = consul_lookup_new(source, source->wanted[source->taken_count]);

		lookup->next = source->lookups;
		source->lookups = lookup;
	}
	if (source->enroll) {
		consul_self_begin(&source->self, source->enroll);
		source->enroll = NULL;
	}
	if (source->withdraw) {
		source->withdraw = false;
		consul_enroll_end(&source->self.enroll, consul_now_ms());
	}
}

/* Takes what others want; false: the end. */
static bool take(struct consul_source *source)
{
	bool stopping;

	pthread_mutex_lock(&source->lock);
	take_wanted_locked(source);
	stopping = source->stopping;
	pthread_mutex_unlock(&source->lock);
	return !stopping;
}

static void tell_withdrawn(struct consul_source *source)
{
	pthread_mutex_lock(&source->lock);
	source->withdrawn = !source->enroll && !source->withdraw && consul_self_is_idle(&source->self);
	pthread_cond_broadcast(&source->settled);
	pthread_mutex_unlock(&source->lock);
}

static void *run(void *context)
{
	struct consul_source *source = context;

	while (take(source)) {
		int64_t now_ms = consul_now_ms(), next_ms = now_ms + TURN_MS_MAX;
		int64_t at_ms = consul_self_run(&source->self, now_ms);

		next_ms = at_ms < next_ms ? at_ms : next_ms;
		for (struct consul_lookup *lookup = source->lookups; lookup; lookup = lookup->next) {
			at_ms = consul_lookup_run(lookup, now_ms);
			next_ms = at_ms < next_ms ? at_ms : next_ms;
		}
		if (consul_self_is_idle(&source->self))
			tell_withdrawn(source);
		consul_client_run(&source->client, next_ms > now_ms ? next_ms - now_ms : 0);
	}
	return NULL;
}

/* ---- what other threads call ---- */

static void want_locked(struct consul_source *source, const char *service)
{
	for (size_t i = 0; i < source->wanted_count; i++)
		if (!strcmp(source->wanted[i], service))
			return;
	assert(source->wanted_count < CATALOG_SERVICES_PUT_MAX); /* a program's own mistake */
	source->wanted[source->wanted_count++] = memory_copy_text(service);
}

static struct discovery_watch *consul_watch_service(
	struct discovery *discovery, const char *service, discovery_changed *changed, void *context)
{
	struct consul_source *source = source_of(discovery);
	struct discovery_watch *watch = catalog_watch(&source->catalog, discovery, service, changed, context);

	pthread_mutex_lock(&source->lock);
	want_locked(source, service);
	pthread_mutex_unlock(&source->lock);
	consul_client_wake(&source->client);
	return watch;
}

static void consul_unwatch(struct discovery_watch *watch)
{
	struct consul_source *source = source_of(watch->discovery);

	assert(!pthread_equal(pthread_self(), source->thread));
	catalog_unwatch(&source->catalog, watch);
}

static bool consul_register(
	struct discovery *discovery, const struct registration *registration, struct error *error)
{
	struct consul_source *source = source_of(discovery);

	if (!registration_check(registration, error))
		return false;
	pthread_mutex_lock(&source->lock);
	assert(!source->enroll && !source->enrolled);
	source->enrolled = true;
	source->enroll = registration_copy(registration);
	pthread_mutex_unlock(&source->lock);
	consul_client_wake(&source->client);
	return true;
}

static void consul_withdraw(struct discovery *discovery)
{
	struct consul_source *source = source_of(discovery);
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += CONSUL_WITHDRAW_MS / 1000 + 1;
	pthread_mutex_lock(&source->lock);
	if (source->enrolled) {
		source->withdraw = true;
		source->withdrawn = false;
		consul_client_wake(&source->client);
	}
	while (source->enrolled && !source->withdrawn &&
		pthread_cond_timedwait(&source->settled, &source->lock, &end) != ETIMEDOUT)
		continue;
	source->enrolled = false;
	pthread_mutex_unlock(&source->lock);
}

/* ---- its life ---- */

static void release(struct consul_source *source)
{
	struct consul_lookup *lookup, *next;

	for (lookup = source->lookups; lookup; lookup = next) {
		next = lookup->next;
		consul_lookup_free(lookup);
	}
	if (source->client.multi) {
		consul_self_release(&source->self);
		consul_client_release(&source->client);
	}
	for (size_t i = 0; i < source->wanted_count; i++)
		free(source->wanted[i]);
	registration_free(source->enroll);
	catalog_release(&source->catalog);
	consul_options_release(&source->options);
	pthread_mutex_destroy(&source->lock);
	pthread_cond_destroy(&source->settled);
	free(source);
}

static void consul_free(struct discovery *discovery)
{
	struct consul_source *source = source_of(discovery);

	pthread_mutex_lock(&source->lock);
	source->stopping = true;
	pthread_mutex_unlock(&source->lock);
	consul_client_wake(&source->client);
	pthread_join(source->thread, NULL);
	release(source);
}

static const struct discovery_source consul_vtable = {
	.watch = consul_watch_service,
	.unwatch = consul_unwatch,
	.enroll = consul_register,
	.withdraw = consul_withdraw,
	.free = consul_free,
};

static bool start_thread(struct consul_source *source, struct error *error)
{
	sigset_t all, before;
	int code;

	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&source->thread, NULL, run, source);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code)
		return error_set(error, "no thread for discovery: %s", strerror(code));
	pthread_setname_np(source->thread, "discovery");
	return true;
}

struct discovery *discovery_consul_new(struct consul_options *options, struct error *error)
{
	struct consul_source *source = NEW(struct consul_source);
	ssize_t got = getrandom(&source->random, sizeof(source->random), 0);

	assert(got == sizeof(source->random));
	source->random |= 1; /* never zero */
	source->base.source = &consul_vtable;
	source->options = *options;
	*options = (struct consul_options){0};
	catalog_init(&source->catalog);
	pthread_mutex_init(&source->lock, NULL);
	pthread_cond_init(&source->settled, NULL);
	if (consul_client_init(&source->client, &source->options, error)) {
		consul_self_init(&source->self, source);
		if (start_thread(source, error)) {
			log_info("services are found through Consul",
				LOG_TEXT("consul", source->options.base),
				LOG_TEXT("prefix", source->options.prefix));
			return &source->base;
		}
	}
	release(source);
	return NULL;
}

struct discovery *discovery_consul_new_standard(const char *prefix, struct error *error)
{
	struct consul_options options;

	if (!consul_options_read(&options, getenv, prefix ? prefix : "flashsale", error))
		return NULL;
	return discovery_consul_new(&options, error);
}
