/* rpc/grpc_locks.h - gRPC's locks, as Debian builds them, look for cycles among all locks each time that one is taken: a tenth of what a call costs, and an abort
 * where there might be a deadlock one day. This turns it off. Threads: any. */
#ifndef FLASHSALE_RPC_GRPC_LOCKS_H
#define FLASHSALE_RPC_GRPC_LOCKS_H

#include <stdbool.h>

/* Again is harmless. False: this gRPC has no such thing, or calls it otherwise; then nothing has changed. */
bool grpc_locks_relax(void);

#endif
