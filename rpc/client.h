/* rpc/client.h - calling other services: a pool is the instances of one service; a batcher turns asks into Batch... calls.
 *
 * A pool holds one channel per instance, fed by discovery: instances come and go while calls fly. A pick is by shard number; among several the less busy of two by
 * chance, none that is critical or has just failed while there is another. Reconnects are quick (back-off 50 to 200 ms), keepalive finds a frozen peer within 2 s.
 *  - gRPC has one code, UNAVAILABLE, for "never sent" and "perhaps executed": `sent` tells them apart. Calls start only on a connected channel, and from
 *    then on count as sent. An error with `sent` and no answer, whatever its code: unknown, ask again with the same key. Without `sent`: it never
 *    left. Nothing here sends a write twice; what says that it is a `read` is sent once more when an instance was found unavailable, to another if there is
 *    one, as long as such repetitions are at most a tenth of all calls.
 *  - With no connected instance a call waits up to 100 ms for one that is just connecting; with none but dead ones it fails at once: UNAVAILABLE, not sent.
 *  - A pool may be freed before or after its batchers and subscriptions; without it they bring nothing more, and asks come back UNAVAILABLE.
 *  - An ask or a request is embedded in its owner, is the client's until done(), and comes back exactly once.
 * Threads: all on the loop of the pool (rpc_pool_new and rpc_pool_free from any thread, not concurrently with use). */
#ifndef FLASHSALE_RPC_CLIENT_H
#define FLASHSALE_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "discovery/discovery.h"
#include "rpc/loop.h"
#include "rpc/status.h"

struct rpc_pool;
struct rpc_tls;

/* `service` is discovery's name ("inventory"). `tls` must outlive the pool; NULL: plaintext. */
struct rpc_pool *rpc_pool_new(struct rpc_loop *loop, struct discovery *discovery, const char *service, struct rpc_tls *tls);
void rpc_pool_free(struct rpc_pool *pool); /* what is open comes back UNAVAILABLE first; not from the loop */
size_t rpc_pool_count(const struct rpc_pool *pool); /* instances known; any thread */
void rpc_pool_each_id(const struct rpc_pool *pool, void (*each)(void *context, const char *id), void *context); /* instances known, in no order; loop only */
/* Hears once soon, then of every change of the set of instances and of an instance that was lost or came back; on the loop. From any thread; for few, each of which stays until
 * the pool is gone. */
void rpc_pool_on_change(struct rpc_pool *pool, void (*changed)(void *context), void *context);

void rpc_pool_set_age(struct rpc_pool *pool, int64_t age_ms); /* of a connection, half an hour otherwise; loop only */

#define RPC_ANY_SHARD (-1)

/* One unary call. Fill up to `done`, start, and read the rest in done(). */
struct rpc_request {
	const ProtobufCMethodDescriptor *method; /* its index and service give the path */
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMessage *input;           /* packed at once, not kept */
	int32_t shard;
	const char *instance;                    /* its id, and no other, which must be connected; until done(). NULL: any of the shard */
	int64_t deadline_ns;                     /* CLOCK_MONOTONIC */
	bool read;                               /* asking twice does no harm */
	const char *trace;                       /* traceparent, or "" or NULL; not kept */
	struct arena *arena;                     /* for the answer; the caller's */
	void (*done)(struct rpc_request *request);
	/* set before done(): */
	struct rpc_status status;
	bool sent;
	ProtobufCMessage *output;                /* in the arena; NULL unless status.code is RPC_OK */
	void *call_;                             /* the client's own */
};
void rpc_request_start(struct rpc_pool *pool, struct rpc_request *request); /* done() never runs inside start */
void rpc_request_cancel(struct rpc_request *request);                       /* done() still comes, with CANCELLED */

/* A server stream that is kept open: on its end, on an error and after `silence_ms` without a message it is opened again, with back-off (50 ms
 * to 1 s, jitter). open() fills the first message (its resume position) each time. */
struct rpc_subscription;
struct rpc_subscription_options {
	struct rpc_pool *pool;
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method;
	int32_t shard;
	const char *instance;                                                /* its id, and no other; copied. NULL: any of the shard */
	int64_t silence_ms;
	void (*open)(void *context, ProtobufCMessage *request);              /* request is an initialised message of the input type; what it points to is the callee's until the next open */
	bool (*message)(void *context, const ProtobufCMessage *message);     /* false: drop the stream and open it anew */
	void (*lost)(void *context, const struct rpc_status *why);           /* each time it ends or falls silent; may be NULL */
	void *context;
	uint32_t message_arena_bytes_max;
};
struct rpc_subscription *rpc_subscribe(const struct rpc_subscription_options *options); /* loop only */
void rpc_subscription_reopen(struct rpc_subscription *subscription);                    /* loop only */
void rpc_unsubscribe(struct rpc_subscription *subscription); /* no callback after it returned; loop only */

/* Batches without timers: while one batch to a shard is on the wire the next gathers; the first leaves at the turn's end. */
struct rpc_ask {
	struct rpc_ask *next;
	int32_t shard;                        /* or RPC_ANY_SHARD */
	int64_t deadline_ns;                  /* expired ones are not sent; the item carries what is left of it if it has a field timeout_ms */
	const ProtobufCMessage *item;         /* an element of the Batch request's `items` */
	void (*done)(struct rpc_ask *ask);    /* on the loop; then these are set: */
	struct rpc_status status;             /* of the batch as a whole, RPC_OK if `answer` is there */
	bool sent;
	const ProtobufCMessage *answer;       /* element of the Batch response's `items`; valid during done() only */
};
struct rpc_batcher;
struct rpc_batcher_options {
	struct rpc_pool *pool;
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method; /* request and response have `repeated ... items`, answered in order */
	uint32_t items_max;       /* a batch */
	uint32_t in_flight_max;   /* batches on the wire to one shard */
	uint32_t queue_max;       /* asks that wait, for all shards together; past it they come back RESOURCE_EXHAUSTED, not sent */
	uint32_t arena_bytes_max; /* an answer */
	bool read;                /* asking twice does no harm */
	/* Called when a batch is about to leave, to fill what is common to it (shard, epoch, ...); may be NULL. */
	void (*prepare)(void *context, ProtobufCMessage *request, int32_t shard);
	void *context;
	/* Where these asks go next, if that is slower: to leave before it can take them only makes batches small, which costs both ends. While it has items on the
	 * wire, at least half as many gather here first, for a millisecond or two at most. NULL: none. It must be freed after this one. */
	struct rpc_batcher *next_hop;
};
struct rpc_batcher *rpc_batcher_new(const struct rpc_batcher_options *options);
/* Loop only. Before it returns all asks came back UNAVAILABLE: those that waited not sent, those on the wire sent. No ask may be made meanwhile. */
void rpc_batcher_free(struct rpc_batcher *batcher);
void rpc_ask(struct rpc_batcher *batcher, struct rpc_ask *ask); /* loop only; done() never runs inside it */

#endif
