/* rpc/stream_metrics.h - how long ago each stream that this process keeps open was heard: messages and heartbeats. For the files of rpc/ only.
 *
 * One gauge a service, method and shard; who subscribes twice to the same shares it, and the one heard last counts. Any thread. */
#ifndef FLASHSALE_RPC_STREAM_METRICS_H
#define FLASHSALE_RPC_STREAM_METRICS_H

#include <stdint.h>

struct stream_metrics;
struct stream_metrics *stream_metrics_get(const char *service, const char *method, int32_t shard); /* its age begins now */
void stream_metrics_heard(struct stream_metrics *metrics);
void stream_metrics_put(struct stream_metrics *metrics); /* after the last one it is not shown any more */

#endif
