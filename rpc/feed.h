/* rpc/feed.h - a client stream that is kept open to one instance, and what its owner has to tell, pulled.
 *
 * The owner is asked for the next message when the wire has taken the last one: one message is on its way at most, so a slow reader costs no memory here, and the owner
 * decides what becomes of what waits. A stream that ends is opened again, with back-off (50 ms to 1 s, jitter); what was on its way may be lost with it.
 *  - next() fills the message and says true, or has nothing: then it is asked again after rpc_feed_wake(). What the message points to must stay until next() is called
 *    again or the feed is gone.
 *  - opened() comes when a stream stands, lost() when that one ended. Between them the feed is open.
 *  - A pool may be freed before its feeds; without it they bring nothing more.
 * Threads: all on the loop of the pool. */
#ifndef FLASHSALE_RPC_FEED_H
#define FLASHSALE_RPC_FEED_H

#include "rpc/client.h"

struct rpc_feed;
struct rpc_feed_options {
	struct rpc_pool *pool;
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method;
	const char *instance;					/* its id; copied. NULL: any */
	bool (*next)(void *context, ProtobufCMessage *message); /* an initialised message of the input type */
	void (*opened)(void *context);				/* may be NULL */
	void (*lost)(void *context, const struct rpc_status *why); /* may be NULL */
	void *context;
};

struct rpc_feed *rpc_feed_new(const struct rpc_feed_options *options);
void rpc_feed_free(struct rpc_feed *feed); /* no callback after it returned; not from next() */
void rpc_feed_wake(struct rpc_feed *feed); /* there is something to tell; next() may run inside it */
bool rpc_feed_open(const struct rpc_feed *feed);

#endif
