/* discovery/consul_internal.h - the inside of the Consul source: consul.c has its life and its thread, consul_lookup.c a watched service, consul_self.c our own
 * registration. All on discovery's thread unless said otherwise. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_INTERNAL_H
#define FLASHSALE_DISCOVERY_CONSUL_INTERNAL_H

#include <pthread.h>

#include "discovery/catalog.h"
#include "discovery/consul_exchange.h"
#include "discovery/consul_metrics.h"
#include "discovery/consul_watch.h"

/* A watched service. */
struct consul_lookup {
	struct consul_source *source;
	struct consul_lookup *next;
	char *name, *path;            /* ours; Consul's, escaped, up to the query */
	struct consul_watch watch;
	struct consul_exchange exchange;
	struct consul_watch_metrics metrics;
	bool away;                    /* it was said that Consul does not answer */
};

/* Our own registration; there is always one, which may have nothing to do. */
struct consul_self {
	struct consul_source *source;
	struct registration *registration; /* owned; NULL: none was given */
	char *name, *id;                  /* in Consul; escaped */
	struct consul_enroll enroll;
	enum consul_step asked;           /* what is in flight */
	struct consul_exchange exchange;
	struct consul_enroll_metrics metrics;
	bool away;
};

struct consul_source {
	struct discovery base;
	struct catalog catalog;
	struct consul_options options;
	struct consul_client client;
	pthread_t thread;
	uint64_t random;
	struct consul_lookup *lookups;
	struct consul_self self;

	pthread_mutex_t lock;   /* the rest: what other threads want */
	pthread_cond_t settled;
	char *wanted[CATALOG_SERVICES_MAX];
	size_t wanted_count, taken_count;
	struct registration *enroll; /* owned; NULL: none, or taken */
	bool enrolled, withdraw, withdrawn, stopping;
};

uint32_t consul_random(struct consul_source *source);

struct consul_lookup *consul_lookup_new(struct consul_source *source, const char *service);
void consul_lookup_free(struct consul_lookup *lookup);
int64_t consul_lookup_run(struct consul_lookup *lookup, int64_t now_ms); /* sends what is due; when to come back at the latest */

void consul_self_init(struct consul_self *self, struct consul_source *source);
void consul_self_release(struct consul_self *self);
void consul_self_begin(struct consul_self *self, struct registration *registration); /* takes it over */
int64_t consul_self_run(struct consul_self *self, int64_t now_ms);
bool consul_self_is_idle(const struct consul_self *self); /* nothing in flight, nothing to do */

struct registration *registration_copy(const struct registration *registration);
void registration_free(struct registration *registration); /* NULL is fine */

#endif
