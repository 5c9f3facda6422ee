/* rpc/counters.h - what is counted of each method of a server: calls in flight, ends by code, time. One object a path, shared by all
 * servers of the process, never freed. Threads: counting from any, without a lock but for the first end with some code. */
#ifndef FLASHSALE_RPC_COUNTERS_H
#define FLASHSALE_RPC_COUNTERS_H

#include <stdint.h>

#include "rpc/reason.h"
#include "rpc/status.h"

struct method_counters;

struct method_counters *counters_of(const char *path);
void counters_begin(struct method_counters *counters);
/* Of a Batch... method that was answered: how many items came to what; [0]: no refusal, else by Reason. */
#define COUNTERS_REASONS 64 /* values of Reason; the contracts' list ends far before */
void counters_items(struct method_counters *counters, const uint32_t by_reason[COUNTERS_REASONS]);
void counters_refused(const struct rpc_reason *reason); /* a whole call */
void counters_end(struct method_counters *counters, enum rpc_code code, int64_t took_ns);

#endif
