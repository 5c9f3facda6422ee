/* gatekeeper/edge/edge_metrics.h - what the edge counts. One set a process, alive to the end. Threads: any. */
#ifndef FLASHSALE_EDGE_EDGE_METRICS_H
#define FLASHSALE_EDGE_EDGE_METRICS_H

#include "base/metrics.h"
#include "gatekeeper/edge/problem.h"

void edge_metrics_init(void); /* once is enough, more is harmless; not from two threads at a time */

void edge_metrics_answered(int status);
void edge_metrics_buy(const struct problem *problem, bool degraded); /* NULL: granted */
void edge_metrics_glance(const struct problem *problem);
extern struct metric edge_metrics_seconds_buy, edge_metrics_seconds_read, edge_metrics_seconds_write,
	edge_metrics_seconds_echo;
extern struct metric edge_metrics_open; /* requests on the loop */

#endif
