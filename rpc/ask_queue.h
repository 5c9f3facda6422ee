/* rpc/ask_queue.h - asks that wait, first come first served; each may lose its patience.
 *
 * Asks are embedded in their owners; one is in one queue at a time, linked by `next`. Nothing here is allocated. One thread. */
#ifndef FLASHSALE_RPC_ASK_QUEUE_H
#define FLASHSALE_RPC_ASK_QUEUE_H

#include "rpc/client.h"

struct ask_queue {
	struct rpc_ask *first, **last;
	int64_t look_ns; /* nothing in it has to be expired before this time; INT64_MAX: empty */
};

void ask_queue_init(struct ask_queue *queue);
void ask_queue_put(struct ask_queue *queue, struct rpc_ask *ask);
struct rpc_ask *ask_queue_take(struct ask_queue *queue); /* or NULL */
/* Takes out those whose deadline has passed, as a list in their order; or NULL. A queue is searched every 10 ms at most. */
struct rpc_ask *ask_queue_expire(struct ask_queue *queue, int64_t now_ns);

#endif
