/* rpc/client_metrics.h - what a client of one service counts. For the files of rpc/ only.
 *
 * One set a service and process, shared by all its pools, alive to the end. Any thread. */
#ifndef FLASHSALE_RPC_CLIENT_METRICS_H
#define FLASHSALE_RPC_CLIENT_METRICS_H

#include "base/metrics.h"

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
	struct metric subscription_opens;
};

struct client_metrics *client_metrics_of(const char *service);

#endif
