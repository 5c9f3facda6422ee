/* tests/unit/gatekeeper/fakes.h - policy, protector, cart and inventory in the test's own process, over loopback, that do as they are told.
 *
 * What an item asks for decides its answer: a SKU "P-SOLD_OUT" is refused with that reason by policy, "C-..." by the cart, a user "banned-..." is banned by the protector,
 * "odd-..." refused as INVALID by it. Everybody else is welcome, may have five, and gets it. A user's key is remembered with its grant. */
#ifndef FLASHSALE_TESTS_GATEKEEPER_FAKES_H
#define FLASHSALE_TESTS_GATEKEEPER_FAKES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "flashsale/protector/v1/protector.pb-c.h"
#include "gatekeeper/edge/edge.h"
#include "rpc/server.h"
#include "rpc/watch.h"

enum fake_service { FAKE_INVENTORY, FAKE_CART, FAKE_POLICY, FAKE_PROTECTOR, FAKE_ECHO, FAKE_SERVICES };

enum fake_mood {
	FAKE_WELL,
	FAKE_STARTING, /* every call fails with a reason of ours */
	FAKE_BREAKING, /* every call is read, then fails as a broken connection does */
	FAKE_SILENT,   /* no call is answered until the mood changes */
};

/* A protector.TrafficEvent that was reported, and on which stream. */
#define FAKE_EVENTS_MAX 8192
struct fake_event {
	uint32_t stream; /* from 1, in the order of their beginnings */
	int64_t time_us;
	uint8_t address[16];
	size_t address_size;
	char user_id[80];
	int kind, reason;
	bool counts_address, counts_account;
};

struct fakes {
	char folder[512], file[600];
	struct rpc_loop *loops[FAKE_SERVICES];
	struct rpc_server *servers[FAKE_SERVICES]; /* NULL: away */
	int ports[FAKE_SERVICES];
	struct rpc_self *selves[FAKE_SERVICES];    /* who each says it is */
	struct watch_board *stock, *bans, *rules;
	_Atomic int mood[FAKE_SERVICES];
	_Atomic bool starting; /* all say that they do not serve yet */

	/* what they saw */
	_Atomic uint32_t clients, limits, lines, lookups, updates, calls;
	_Atomic uint32_t last_timeout_ms, last_shard, last_shards, last_limit, last_quantity; /* of a NewItem; limit 0: unlimited */
	_Atomic uint32_t events, event_streams; /* how many were reported, on how many streams */
	_Atomic uint64_t events_dropped;
	struct fake_event *reported; /* the first FAKE_EVENTS_MAX; under the lock */
	pthread_mutex_t lock; /* of the texts: read them by fakes_text */
	char last_trace[64], last_client_ip[64], last_session[80];
};

void fakes_start(struct fakes *fakes); /* all of them */
void fakes_stop(struct fakes *fakes);
void fakes_kill(struct fakes *fakes, enum fake_service service);
void fakes_revive(struct fakes *fakes, enum fake_service service); /* at the same address */
void fakes_set_mood(struct fakes *fakes, enum fake_service service, enum fake_mood mood); /* silent calls fail when it changes */

/* The static list from now on names so many protectors, which are one. */
void fakes_list(struct fakes *fakes, int protectors);
struct fake_event fakes_event(struct fakes *fakes, uint32_t index);

const char *fakes_text(struct fakes *fakes, const char *last); /* a copy, until the next one */

/* What the streams tell. */
void fakes_stock(struct fakes *fakes, const char *sku, uint64_t available, bool closed);
void fakes_ban(struct fakes *fakes, const char *ban_id, const char *user_id, int64_t end_ms); /* 0: never */
void fakes_ban_as(struct fakes *fakes, const char *ban_id, const char *user_id, const char *address, Protector__BanEffect effect); /* without an end; of one of the two */
void fakes_unban(struct fakes *fakes, const char *ban_id);
void fakes_rule(struct fakes *fakes, const char *sku, int32_t level, uint32_t limit, int64_t open_ms, int64_t close_ms); /* 0: none */

/* A door: what nginx does, without nginx. One test thread. */
struct door {
	struct edge *edge;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct edge_request *first, **last;
	uint32_t waiting; /* sent, not back */
};
#define DOOR_DEADLINE_MS 8000 /* a quarter of it is for the checks, and enough on a busy machine */
struct edge_options door_options(const struct fakes *fakes, struct door *door);
void door_open(struct door *door, const struct edge_options *options); /* returns when the edge is healthy */
void door_open_early(struct door *door, const struct edge_options *options); /* healthy or not */
void door_close(struct door *door);

/* What a request says beyond method, path and body; NULL: nothing. */
struct headers {
	const char *key, *trace, *type, *authorization, *solution;
};
/* Judged, sent if need be, and back. Free it with edge_request_free. */
struct edge_request *door_visit(
	struct door *door, enum edge_method method, const char *target, const char *body, const struct headers *headers);
/* Not waiting for it: NULL if it was sent, else answered. */
struct edge_request *door_begin(
	struct door *door, enum edge_method method, const char *target, const char *body, const struct headers *headers);
struct edge_request *door_take(struct door *door); /* the next one that comes back */

/* Until it is true; the test fails after 20 s. */
void wait_until(bool (*condition)(const void *context), const void *context);

#endif
