/* discovery/catalog.h - what a source knows and who watches it: the half that all sources share.
 *
 * A source puts the list of a service whenever it learned one; watchers hear of it if it differs from the last. The last list stays until another
 * is put. Watchers are called under the catalog's lock, so after catalog_unwatch returned none runs; a callback must not come
 * back into the catalog. Threads: one mutex inside; put from the source's thread, watch and unwatch from any other. */
#ifndef FLASHSALE_DISCOVERY_CATALOG_H
#define FLASHSALE_DISCOVERY_CATALOG_H

#include <pthread.h>

#include "discovery/instances.h"

#define CATALOG_SERVICES_MAX 64        /* of which a program may watch half, */
#define CATALOG_SERVICES_PUT_MAX 32    /* and a source may bring half */

struct catalog_service;
struct catalog {
	pthread_mutex_t lock;
	struct catalog_service *services;
	size_t count;
	uint64_t version;  /* of the newest list of any service */
	bool complete;     /* services that were never put have no instances; else nothing is known of them */
};

void catalog_init(struct catalog *catalog);
void catalog_release(struct catalog *catalog); /* after its watches */

/* A program watches few services, by names of its own: one too many, or a bad name, is its mistake and ends it. */
struct discovery_watch *catalog_watch(struct catalog *catalog, struct discovery *discovery, const char *service,
	discovery_changed *changed, void *context);
void catalog_unwatch(struct catalog *catalog, struct discovery_watch *watch);

/* Takes the caller's reference. False: more services than a source may bring; the list is dropped. */
bool catalog_put(struct catalog *catalog, const char *service, struct instances *list);

/* Everything there is, at once, for a source that knows all: services that are not named become empty, now and for later watches. Takes all
 * references. False: too many services; nothing changed. */
struct catalog_entry {
	const char *service;
	struct instances *list;
};
bool catalog_replace(struct catalog *catalog, const struct catalog_entry *entries, size_t count);

#endif
