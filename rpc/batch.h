/* rpc/batch.h - one batch: asks in, a Batch... call, answers out. For rpc/batcher.c only.
 *
 * A batch keeps its memory for the next one. Its asks are its own until each came back: with its answer, with the batch's error, or, when an ask's own
 * deadline passes before, alone. The messages of the method have `repeated ... items`; what else the request holds prepare() fills. */
#ifndef FLASHSALE_RPC_BATCH_H
#define FLASHSALE_RPC_BATCH_H

#include "rpc/unary.h"

/* Where a method keeps what a batcher must touch. */
struct batch_shape {
	const ProtobufCMessageDescriptor *request, *response, *item;
	const ProtobufCFieldDescriptor *request_items, *response_items;
	const ProtobufCFieldDescriptor *timeout; /* uint32 `timeout_ms` of an item; NULL: it has none */
};
void batch_shape_init(struct batch_shape *shape, const ProtobufCMethodDescriptor *method); /* another shape is a mistake of the program */

struct batch {
	LIST_ENTRY(batch) link;
	struct rpc_unary unary;
	struct rpc_timer expiry;
	struct rpc_loop *loop;
	const struct batch_shape *shape;
	struct arena arena;                /* of the answer */
	uint32_t count, room;
	uint32_t sent;                     /* how many left with it; the batcher's */
	struct rpc_ask **asks;             /* NULL: came back already */
	const ProtobufCMessage **items;
	char *copies;                      /* of items, where each carries its own timeout */
	void *owner;                       /* the lane; NULL: nobody waits any more */
	bool repeated;
	/* The call found its instance unavailable: true, and it was sent again (batch_clean, batch_send), or its asks have come back. */
	bool (*again)(struct batch *batch);
	void (*ended)(struct batch *batch); /* after the last ask came back and the call is over */
};

struct batch *batch_new(struct rpc_loop *loop, const struct batch_shape *shape, uint32_t room, uint32_t arena_bytes_max);
void batch_free(struct batch *batch); /* no call in flight */
void batch_add(struct batch *batch, struct rpc_ask *ask, int64_t now_ns);

/* Sends what was added. False: nothing left; the asks are still in the batch. */
bool batch_send(struct batch *batch, struct rpc_channel *channel, grpc_slice path, int64_t now_ns,
	void (*prepare)(void *context, ProtobufCMessage *request, int32_t shard), void *context, int32_t shard);
uint32_t batch_left(const struct batch *batch); /* asks that have not come back */
void batch_clean(struct batch *batch, int64_t now_ns); /* without what came back meanwhile; to be sent again */
void batch_fail(struct batch *batch, const struct rpc_status *status, bool sent); /* every ask that is left comes back */
void batch_abandon(struct batch *batch);  /* in flight: the call is cancelled; ended() still comes */

#endif
