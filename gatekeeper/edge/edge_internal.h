/* gatekeeper/edge/edge_internal.h - the inside of the edge: what its files share. For edge.c, judge.c, answer.c, buy*.c, call.c, round.c, echo.c, report.c, services.c
 * and snapshots.c only.
 *
 * A request's work begins on the door's thread (edge_judge), goes to the loop with its request, and ends there by work_finish(), once. It lives in the request's arena.
 * Threads: a field says whose it is; what says nothing is made by edge_new() and only read afterwards. */
#ifndef FLASHSALE_EDGE_EDGE_INTERNAL_H
#define FLASHSALE_EDGE_EDGE_INTERNAL_H

#include <semaphore.h>
#include <stdatomic.h>

#include "base/id.h"
#include "base/metrics.h"
#include "gatekeeper/edge/ban_list.h"
#include "gatekeeper/edge/edge.h"
#include "gatekeeper/edge/fleet.h"
#include "rpc/followers.h"
#include "gatekeeper/edge/identity.h"
#include "gatekeeper/edge/ladder.h"
#include "gatekeeper/edge/purchase.h"
#include "gatekeeper/edge/reporter.h"
#include "gatekeeper/edge/routes.h"
#include "gatekeeper/edge/rule_list.h"
#include "gatekeeper/edge/stock_marks.h"
#include "gatekeeper/edge/trace.h"
#include "rpc/client.h"
#include "rpc/tls.h"

struct work;

enum edge_service { EDGE_INVENTORY, EDGE_CART, EDGE_POLICY, EDGE_PROTECTOR, EDGE_SERVICES };

/* What the edge knows of a route beyond its description. */
struct route_facts {
	bool buys; /* else: one call to a service, or what the edge knows itself: */
	void (*local)(struct work *work); /* on the loop; NULL: not so */
	enum purchase_kind purchase;
	enum edge_service service;
	const struct json_field *user_id, *user_level, *client_ip; /* of the request; NULL without one */
	const struct json_field *idempotency_key; /* a call's: filled from the header */
	const struct json_field *if_version, *version; /* of the request, of the shown answer; NULL without one */
	struct metric *seconds;
	Protector__TrafficKind kind;
	bool of_shopper; /* its user_id is who asks */
};

struct edge {
	struct edge_options options;
	struct shapes *shapes;
	struct routes *routes;
	struct route_facts *facts; /* by route->index */
	char *openapi;
	size_t openapi_size;
	struct identifier *identifier;
	struct stock_marks *marks;
	struct ban_list *bans;
	struct ladder *ladder;
	struct rule_list *rules;
	struct discovery *discovery;
	char *instance; /* our id there */
	struct fleet *fleet;
	struct rpc_loop *loop;
	struct rpc_tls *tls; /* NULL: plaintext */
	struct rpc_pool *pools[EDGE_SERVICES];
	struct reporter *reporter;
	struct rpc_batcher *clients, *limits, *lines, *keys; /* used on the loop only */
	struct follower **stock_followers;		     /* by inventory shard */
	struct follower *rule_follower;
	struct followers *ban_followers; /* of every protector: a source of the list each */
	struct metric ages[3]; /* of stock, bans and rules */
	struct probe **cart_probes; /* by cart shard */
	struct services *services;
	struct echo *echo;	    /* NULL unless bench */
	_Atomic uint32_t open;	    /* requests that were sent and have not come back */
	/* When a call through here that may have changed something came back; 0: never. The snapshots need a moment to show it. */
	_Atomic int64_t changed_ns[EDGE_SERVICES];

	/* the door's thread */
	struct edge_request *free;
	uint32_t free_count;
	struct id_generator ids;
	struct trace_maker traces;
	struct text door_text;

	/* the loop */
	struct text loop_text;
	Common__Placement placement; /* of the batch that is being sent */
	uint32_t working, calls;
	struct edge_request *finished, **finished_last; /* in this turn */
	uint32_t finished_count;
	struct rpc_task hand_over;
	bool draining;
	sem_t drained; /* posted when the last request has come back */
};

struct work {
	struct edge *edge;
	struct edge_request *request;
	struct rpc_task task;
	void (*start)(struct work *work); /* on the loop */
	const struct route *route;	  /* NULL: none */
	const struct route_facts *facts;
	ProtobufCMessage *message;
	enum json_surface surface;
	int64_t arrived_ns, deadline_ns;
	struct trace trace;
	struct text *scratch; /* of the thread that has the work */
	void *own;	      /* of buy.c, call.c or echo.c, in the arena */
	bool is_call;	      /* counted in calls */

	/* for its event */
	bool has_address;
	struct address address; /* the client's */
	Common__Reason reason;	/* why not; UNSPECIFIED: it was a yes */
};

/* route_facts.c: reads the contracts, and what they say of each route; at the start. */
bool facts_learn(struct edge *edge, struct error *error);
const char *edge_service_name(enum edge_service service); /* as discovery knows it */

/* version.c: ETag and If-Match. */
void version_learn(const struct route *route, struct route_facts *facts);
bool version_expect(struct work *work, struct problem *problem); /* the header goes into the message */
void version_show(struct work *work, const ProtobufCMessage *answer);

/* answer.c: fills request->out. */
void answer_message(struct work *work, int status, const ProtobufCMessage *message);
/* The scratch text, when it is whole, is a page. */
void answer_page(struct work *work, bool whole, const char *policy);
void answer_problem(struct work *work, const struct problem *problem);
/* The shape of a buy's answer on the compatible surface. */
void answer_flags(struct work *work, int status, const char *message, bool result, bool throttled);
void answer_text(struct work *work, int status, const char *content_type, const char *body, size_t size);

/* edge.c: the work is over, `out` is filled; on the loop. */
void work_finish(struct work *work);

/* edge_log.c: it was answered. Counts it; a line at debug, and at any level if it failed or was slow. */
void work_account(const struct work *work, int64_t taken_ns); /* 0: at once */

/* judge.c */
struct work *work_new(struct edge *edge, struct edge_request *request);

/* buy.c. On the door's thread: takes the purchase, and says what can be said without asking anybody. True: answered. */
bool buy_glance(struct work *work, const struct purchase *purchase);

/* report.c: the event of a request that is answered. */
void report_learn(const struct route *route, struct route_facts *facts);
void report_client(struct work *work); /* notes the address while `in` is there */
void report_from_door(struct work *work);
void report_from_loop(struct work *work);

/* call.c */
void call_start(struct work *work);

/* round.c: a call that goes from shard to shard. In call.c's struct; loop. */
struct round {
	uint32_t shards, first, asked;
	struct rpc_status status;  /* of the shard that was asked first */
	ProtobufCMessage *whole;   /* what has been put together so far */
};
/* The request's shard, and the page token without its. False: *problem. */
bool round_begin(struct round *round, struct work *work, struct rpc_request *request, struct problem *problem);
/* An answer came. True: the request is to be started again; false: what it has is the answer now. */
bool round_goes_on(struct round *round, struct work *work, struct rpc_request *request);

/* echo.c */
struct echo *echo_new(struct edge *edge); /* on no thread yet */
void echo_open(struct echo *echo);	  /* loop */
void echo_close(struct echo *echo);	  /* loop */
void echo_free(struct echo *echo);
void echo_start(struct work *work);

/* snapshots.c: streams that feed what the glance looks at; loop. */
struct followers *snapshots_ban_followers(struct ban_list *list); /* which they feed */
void snapshots_open(struct edge *edge);
void snapshots_close(struct edge *edge);
/* Gauges of their age; any thread, between open and close. */
void snapshots_count(struct edge *edge);
void snapshots_uncount(struct edge *edge);
bool snapshots_stock_fresh(const struct edge *edge, const char *sku, int64_t now_ns);
bool snapshots_rules_fresh(const struct edge *edge, int64_t now_ns, int64_t max_ms);

#endif
