/* rpc/followers.h - watches every instance of a service, each by a follower of its own, as discovery names them.
 *
 * An instance has a place, a small number. One that is not named any more is not followed, but keeps its place until another instance needs one, for what it said last may
 * still count; in a place that changed hands all begins with a snapshot. Instances for which there is no place are not followed, which the log says.
 * A process that is an instance of that service itself gives its own incarnation: the stream that bears it is left, and has no place.
 * Threads: opened, fed and closed on the loop; the questions from any; new and free before and after the pool. */
#ifndef FLASHSALE_RPC_FOLLOWERS_H
#define FLASHSALE_RPC_FOLLOWERS_H

#include "base/id.h"
#include "rpc/follower.h"

#define FOLLOWERS_MAX 16

struct followers_options {
	const ProtobufCServiceDescriptor *service;
	const char *method;
	const struct id *self; /* copied; NULL: nobody is */
	/* As a follower's; the place instead of the shard. */
	bool (*apply)(void *context, uint32_t place, const Common__WatchHeader *header,
		const ProtobufCMessage *message);
	void *context;
};

struct followers;
struct followers *followers_new(const struct followers_options *options);
void followers_free(struct followers *followers);
void followers_open(struct followers *followers, struct rpc_loop *loop, struct rpc_pool *pool);
void followers_close(struct followers *followers);

bool followers_synced(struct followers *followers); /* what some instance has was there as a whole once */
/* CLOCK_MONOTONIC of the last message of that instance which was silent longest; 0: never heard. */
int64_t followers_heard_ns(struct followers *followers);

/* On the loop: who has the place, and whether it is named and was heard of late; NULL: nobody. The text is valid until the next turn. */
const char *followers_instance(struct followers *followers, uint32_t place, bool *ret_fresh);
bool followers_is_self(const struct followers *followers, const char *instance);

#endif
