/* discovery/discovery.h - where the instances of a service are, and telling others where we are.
 *
 * A list is immutable, counted by reference, sorted by id, complete; every string in it was checked. The last good list stays when the source is
 * away. Two sources behind one interface: the static list (discovery/static.h) and Consul.
 * Threads: discovery has one thread of its own. changed() runs on it and only hands the list on (rpc_post); discovery_watch calls it at
 * once if a list is known. After discovery_unwatch returned it runs no more; unwatch is not for the discovery thread. Everything else: any thread. */
#ifndef FLASHSALE_DISCOVERY_DISCOVERY_H
#define FLASHSALE_DISCOVERY_DISCOVERY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum instance_health { INSTANCE_PASSING, INSTANCE_WARNING, INSTANCE_CRITICAL };

#define INSTANCES_MAX 1024           /* of one service */
#define INSTANCE_TEXT_MAX 255

struct instance {
	const char *id;              /* unique within the service, stable over restarts: name-host-port */
	const char *address;         /* "127.0.0.1:8083", "[::1]:8083" */
	const char *admin_address;   /* "" when unknown */
	const char *version;         /* "" when unknown */
	int32_t shard, shards;       /* -1 and 0: a service without shards */
	enum instance_health health;
};

struct instances {
	_Atomic uint32_t references;
	uint64_t version;            /* ascends with each change */
	int64_t seen_wall_ms;        /* when the source last confirmed it */
	size_t count;
	const struct instance *items;
};

const struct instances *instances_keep(const struct instances *list);
void instances_drop(const struct instances *list);

struct discovery;
struct discovery_watch;
typedef void discovery_changed(void *context, const struct instances *list); /* keep the list to hold it past the call */

struct discovery_watch *discovery_watch(struct discovery *discovery, const char *service, discovery_changed *changed, void *context);
void discovery_unwatch(struct discovery_watch *watch);

/* Tells the source where this process is, and how it finds out whether it is well; the static list has nothing to tell and says yes. Everything is
 * copied. A source that is away does not matter: the registration is kept up, and made again when the source forgot it, until deregister or free. One a
 * discovery. Deregister waits a moment for the source to hear it. */
struct registration {
	const char *service;
	struct instance self;
	const char *health_service;  /* asked for by grpc.health.v1 at self.address, "" the whole server; NULL: GET /healthz at self.admin_address */
};
bool discovery_register(struct discovery *discovery, const struct registration *registration, struct error *error);
void discovery_deregister(struct discovery *discovery);
void discovery_free(struct discovery *discovery); /* after its watches */

/* What a source implements; `struct discovery` is its first member. */
struct discovery_source {
	struct discovery_watch *(*watch)(struct discovery *, const char *service, discovery_changed *, void *context);
	void (*unwatch)(struct discovery_watch *);
	bool (*enroll)(struct discovery *, const struct registration *, struct error *);
	void (*withdraw)(struct discovery *);
	void (*free)(struct discovery *);
};
struct discovery {
	const struct discovery_source *source;
};
struct discovery_watch {
	struct discovery *discovery;
};

#endif
