/* gatekeeper/edge/edge.h - everything the gatekeeper does with a request, and nothing of nginx.
 *
 * The door (the nginx module, or a test) fills an edge_request and calls edge_judge() on its own thread: route, identity, body, and the glance (banned,
 * sold out, closed, from snapshots). Most refusals end there and never cross a thread. What is left goes to the edge's loop as one
 * list a turn by edge_send(), runs there through its hops, and comes back through finished(), which is called on the loop
 * with all that ended in a turn, as a list, and only hands it over (a mailbox).
 *  - A request belongs to the door before edge_send() and after finished(), to the loop between. It comes back exactly once, also
 *    when the edge is drained. A shopper who hangs up changes nothing here: the door forgets them and frees the request when it comes back.
 *  - Its texts (in and out) live in its arena, or for `in` in the door's memory until edge_judge() returned: what the loop needs was copied.
 * Threads: edge_judge and edge_send on the door's one thread; snapshots have a mutex each; everything else on the loop. */
#ifndef FLASHSALE_GATEKEEPER_EDGE_EDGE_H
#define FLASHSALE_GATEKEEPER_EDGE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"

enum edge_method { EDGE_GET, EDGE_HEAD, EDGE_POST, EDGE_PUT, EDGE_DELETE, EDGE_PATCH, EDGE_OPTIONS, EDGE_OTHER };

struct edge_slice {
	const char *data; /* not terminated; NULL when absent */
	size_t size;
};

struct edge_input {
	enum edge_method method;
	struct edge_slice path;            /* raw, percent-encoded, without query */
	struct edge_slice query;           /* without '?' */
	struct edge_slice body;
	struct edge_slice content_type;
	struct edge_slice idempotency_key; /* header Idempotency-Key */
	struct edge_slice authorization;
	struct edge_slice traceparent;
	struct edge_slice if_match;
	struct edge_slice solution;        /* header Flashsale-Solution */
	struct edge_slice client_ip;       /* of the peer, after nginx's realip */
};

struct edge_output {
	int status;
	const char *content_type;          /* a literal */
	const char *body;
	size_t body_size;
	const char *allow;                 /* header Allow, or NULL */
	const char *location;              /* or NULL */
	const char *etag;                  /* or NULL */
	const char *challenge;             /* header Flashsale-Challenge, or NULL */
	bool truncated;                    /* header Flashsale-Truncated: a bare list is not all there is */
	const char *trace;                 /* traceparent of this request */
	const char *page_policy;           /* of a page for browsers: header Content-Security-Policy, and what goes with it; or NULL */
	int32_t retry_after_s;             /* header Retry-After; 0: none */
	/* for the access log; never NULL */
	const char *reason, *user_id, *session_id, *route;
};

struct edge_request {
	struct edge_request *next;         /* of whoever owns it now */
	struct arena arena;
	struct edge_input in;
	struct edge_output out;
	void *door;                        /* the door's own */
	void *work;                        /* the edge's own, in the arena */
};

struct edge_options {
	const char *discovery_file;        /* the static list; NULL: services are found through Consul, */
	const char *consul_prefix;         /* by names that begin so; NULL: the standard one */
	const char *advertise;             /* HOST:PORT that Consul tells others; NULL: this gatekeeper is not registered */
	const char *advertise_admin;       /* HOST:PORT where Consul asks for /healthz; with `advertise` */
	const char *tls_cert, *tls_key, *tls_ca; /* PEM files, all or none: mutual TLS to the services */
	bool demo;                         /* identity from the body; only on a loopback listener unless told outright */
	const char *keys_folder;           /* public keys of the tokens; needed unless demo */
	bool protector_fail_closed;        /* refuse buys while the protector is away */
	bool bench;                        /* serve /bench/echo, which goes through three echo services */
	int64_t deadline_ms;               /* of a request, 2,000 */
	int64_t policy_fallback_ms;        /* how old the last heartbeat of policy may be, 60,000 */
	void *shared;                      /* memory that all workers of a gatekeeper share, see edge_shared_init(); NULL: of this edge alone */
	const char *challenge_key;         /* a file that gatekeepers share, NULL: a random key in `shared` */
	uint32_t challenge_difficulty;     /* zero bits, 1 to EDGE_DIFFICULTY_MAX */
	int64_t challenge_lifetime_ms;     /* how long a challenge can be solved */
	uint32_t slow_account_rate;        /* attempts a second of a slowed client, */
	uint32_t slow_address_rate;        /* of all clients together behind a slowed address or range */
	uint32_t inventory_shards, cart_shards;
	uint32_t queue_max;                /* requests on the loop at once; past it OVERLOADED */
	void (*finished)(void *context, struct edge_request *first, struct edge_request *last);
	void *context;
};

#define EDGE_DIFFICULTY_MAX 32

/* What the workers share: so many bytes, aligned as malloc does, prepared once before any worker uses them. */
size_t edge_shared_size(void);
void edge_shared_init(void *shared);

/* Whether the files that the options name are good: those of tokens, TLS and challenges. Starts nothing, on any thread of any process. */
bool edge_check(const struct edge_options *options, struct error *error);

struct edge;
struct edge *edge_new(const struct edge_options *options, struct error *error); /* after the fork; starts the loop's thread */
/* leave: discovery is told that this gatekeeper ends; else another worker of it goes on under its name. */
void edge_drain(struct edge *edge, bool leave); /* takes no more; what is open has come back when it returns; not from the loop */
void edge_free(struct edge *edge);  /* after edge_drain, and after all its requests were freed */

struct edge_request *edge_request_new(struct edge *edge);             /* from a bounded free list; NULL never */
void edge_request_free(struct edge *edge, struct edge_request *request);

/* true: answered, `out` is filled. false: send it. */
bool edge_judge(struct edge *edge, struct edge_request *request);
void edge_send(struct edge *edge, struct edge_request *first, struct edge_request *last);

/* Fills `out` for an error the door itself found (400, 404, 413, 414, 415, 429, 494 ...), in the form of the surface its path belongs to. 504: a request that was sent and
 * has not come back in time, in the name of which this answers; what came of it the protectors hear when it comes back. */
void edge_problem(struct edge *edge, struct edge_request *request, int http_status);

/* How many gatekeepers share what there is for all of them, this one included. Any thread. */
uint32_t edge_fleet(const struct edge *edge);

/* Whether every dependency was seen: /healthz. Any thread. */
bool edge_healthy(struct edge *edge);

#endif
