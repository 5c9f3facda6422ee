/* rpc/ask_queue.c - see rpc/ask_queue.h. */
#include "rpc/ask_queue.h"

#define LOOK_STEP_NS (10 * INT64_C(1000000))

void ask_queue_init(struct ask_queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
	queue->look_ns = INT64_MAX;
}

void ask_queue_put(struct ask_queue *queue, struct rpc_ask *ask)
{
	ask->next = NULL;
	*queue->last = ask;
	queue->last = &ask->next;
	if (ask->deadline_ns < queue->look_ns)
		queue->look_ns = ask->deadline_ns;
}

struct rpc_ask *ask_queue_take(struct ask_queue *queue)
{
	struct rpc_ask *ask = queue->first;

	if (!ask)
		return NULL;
	queue->first = ask->next;
	if (!queue->first)
		ask_queue_init(queue);
	return ask;
}

struct rpc_ask *ask_queue_expire(struct ask_queue *queue, int64_t now_ns)
{
	struct rpc_ask *ask, *all = queue->first, *expired = NULL, **last = &expired;

	if (queue->look_ns > now_ns)
		return NULL;
	ask_queue_init(queue);
	while ((ask = all)) {
		all = ask->next;
		if (ask->deadline_ns > now_ns) {
			ask_queue_put(queue, ask);
			continue;
		}
		ask->next = NULL;
		*last = ask;
		last = &ask->next;
	}
	if (queue->first && queue->look_ns < now_ns + LOOK_STEP_NS)
		queue->look_ns = now_ns + LOOK_STEP_NS;
	return expired;
}
