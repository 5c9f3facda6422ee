/* rpc/client_metrics.h - what a client of one service counts. For the files of rpc/ only.
 *
 * One set a service and process, shared by all its pools, alive to the end. Any thread. */
#ifndef FLASHSALE_RPC_CLIENT_METRICS_H
#define FLASHSALE_RPC_CLIENT_METRICS_H

#include <stdbool.h>

#include "base/metrics.h"

#define CLIENT_QUEUES_MAX 64 /* whose age is counted */

struct client_metrics {
	struct client_metrics *next;
	char *service, *labels, *labels_sent, *labels_unsent;
	struct metric instances, ready; /* gauges: known, and connected */
	struct metric calls;            /* unary calls and batches that were put on the wire */
	struct metric failed_sent;      /* of those, ended with another status than OK */
	struct metric failed_unsent;    /* asks and requests that never left */
	struct metric seconds;          /* a call, from its start to its end */
	struct metric batch_items;      /* asks a batch */
	struct metric repeated;         /* calls that were sent again */
	struct metric queued;           /* gauge: asks that wait */
	struct metric queue_age;        /* gauge: the longest wait of one of them, at most */
	_Atomic int64_t since_ns[CLIENT_QUEUES_MAX]; /* of each queue: when it was empty last; 0: it is empty */
	bool taken[CLIENT_QUEUES_MAX];  /* under the lock */
	struct metric subscription_opens;
};

struct client_metrics *client_metrics_of(const char *service);
/* Where a queue keeps since when asks wait; NULL: there are too many queues. */
_Atomic int64_t *client_metrics_take_queue(struct client_metrics *metrics);
void client_metrics_give_queue(struct client_metrics *metrics, _Atomic int64_t *since_ns); /* NULL is fine */

#endif
