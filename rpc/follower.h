/* rpc/follower.h - one Watch... stream, kept open: from which snapshot it resumes, and when it was heard last.
 *
 * All Watch... methods have one shape (rpc/watch.h); what differs is what their entries mean, and that is apply()'s. A stream that is silent for FOLLOWER_SILENCE_MS
 * is opened again; one that ends within a snapshot begins with a new snapshot.
 * Threads: the loop; follower_heard_ns, follower_synced and follower_fresh from any. */
#ifndef FLASHSALE_RPC_FOLLOWER_H
#define FLASHSALE_RPC_FOLLOWER_H

#include "flashsale/common/v1/common.pb-c.h"
#include "rpc/client.h"

#define FOLLOWER_SILENCE_MS 1000 /* past it what it feeds is old */

struct follower_options {
	struct rpc_pool *pool;
	const ProtobufCServiceDescriptor *service;
	const char *method;
	int32_t shard;
	const char *instance; /* its id, and no other; copied. NULL: any of the shard */
	int64_t silence_ms;   /* 0: FOLLOWER_SILENCE_MS */
	/* A message: forget what was there after header->snapshot_end unless it came again since header->snapshot_begin. False: it could not be kept; then comes a snapshot. */
	bool (*apply)(void *context, int32_t shard, const Common__WatchHeader *header,
		const ProtobufCMessage *message);
	void *context;
};

struct follower;
struct follower *follower_new(const struct follower_options *options);
void follower_free(struct follower *follower);

bool follower_synced(const struct follower *follower); /* a whole snapshot was there once */
int64_t follower_heard_ns(
	const struct follower *follower); /* CLOCK_MONOTONIC of the last message; 0: never */
/* What it feeds is whole, and it was heard at most max_ms ago. */
bool follower_fresh(const struct follower *follower, int64_t now_ns, int64_t max_ms);

#endif
