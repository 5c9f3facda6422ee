/* rpc/counters.h - what is counted of each method of a server: calls in flight, ends by code, time. One object a path, shared by all
 * servers of the process, never freed. Threads: counting from any, without a lock but for the first end with some code. */
#ifndef FLASHSALE_RPC_COUNTERS_H
#define FLASHSALE_RPC_COUNTERS_H

#include <stdint.h>

#include "rpc/status.h"

struct method_counters;

struct method_counters *counters_of(const char *path);
void counters_begin(struct method_counters *counters);
void counters_end(struct method_counters *counters, enum rpc_code code, int64_t took_ns);

#endif
