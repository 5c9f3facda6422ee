/* inventory/followers.h - the streams that wait at the ledger's head, to be woken after each commit.
 *
 * Threads: join and leave on the loop, wake on the writer's thread; one mutex inside. */
#ifndef FLASHSALE_INVENTORY_FOLLOWERS_H
#define FLASHSALE_INVENTORY_FOLLOWERS_H

#include <pthread.h>

struct rpc_call;

struct follower {
	struct rpc_call *call;
	struct follower *previous, *next;
};

struct followers {
	pthread_mutex_t mutex;
	struct follower *first;
};

void followers_init(struct followers *followers);
void followers_release(struct followers *followers); /* all have left */
void followers_join(struct followers *followers, struct follower *follower);
void followers_leave(struct followers *followers, struct follower *follower); /* after it, no wake */
void followers_wake(struct followers *followers);

#endif
