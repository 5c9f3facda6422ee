/* rpc/tag.h - what travels through a completion queue. For the files of rpc/ only.
 *
 * A tag is embedded in the object that started an operation, and comes back exactly once, on the loop's thread, by done(). Between
 * departure and arrival the object must not be freed. Each tag carries a magic number, looked at on arrival: a stale or foreign pointer
 * ends the process and does not run wild.
 * gRPC's library is not instrumented, so ThreadSanitizer can't see that an arrival follows its departure: rpc_tag_depart and
 * rpc_tag_arrive tell it, and nothing else in the project does. */
#ifndef FLASHSALE_RPC_TAG_H
#define FLASHSALE_RPC_TAG_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc/loop.h"

#define RPC_TAG_MAGIC 0x7a61fee1u
#define RPC_TAG_FLYING 0x7a61f1a9u

struct rpc_tag {
	uint32_t magic;
	void (*done)(struct rpc_tag *tag, bool ok);
};

void rpc_tag_init(struct rpc_tag *tag, void (*done)(struct rpc_tag *tag, bool ok));
bool rpc_tag_flying(const struct rpc_tag *tag);

/* Before handing a tag to any function of gRPC other than a batch; rpc_tag_return takes that back when the function refused it. */
void *rpc_tag_depart(struct rpc_tag *tag);
void rpc_tag_return(struct rpc_tag *tag);
void rpc_tag_arrive(void *pointer, bool ok); /* the loop's: checks and runs done() */

/* grpc_call_start_batch. What it refuses is a mistake of ours or a call that is over: false, and the tag does not come. */
bool rpc_batch_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag);

grpc_completion_queue *rpc_loop_queue(const struct rpc_loop *loop);

#endif
