/* rpc/unary.h - one unary call on a channel that was READY: what a request and a batch have in common. For the client's files of rpc/ only.
 *
 * Start it; if that says yes the message may have left, and done() comes exactly once, on the loop. In done(): read the status, take the answer,
 * release. The channel stays as long as the call. */
#ifndef FLASHSALE_RPC_UNARY_H
#define FLASHSALE_RPC_UNARY_H

#include "rpc/pool.h"

struct rpc_unary {
	struct rpc_tag tag;
	struct rpc_channel *channel;
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *answer;
	grpc_status_code code;
	grpc_slice details;
	int64_t started_ns;
	bool cancelled;                            /* by us */
	bool closing;                              /* cancelled because the pool or the batcher ends */
	struct rpc_status status;                  /* set before done() */
	void (*done)(struct rpc_unary *unary);
};

/* NULL: does not parse, or needs more than the arena has. */
ProtobufCMessage *rpc_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type, struct arena *arena);
/* The path of a method; unref it. */
grpc_slice rpc_path(const ProtobufCServiceDescriptor *service, const ProtobufCMethodDescriptor *method);

/* Takes the message. False: nothing left, and done() will not come. */
bool rpc_unary_start(struct rpc_unary *unary, struct rpc_channel *channel, grpc_slice path, grpc_byte_buffer *message,
	int64_t deadline_ns, const char *trace);
void rpc_unary_cancel(struct rpc_unary *unary, bool closing);
/* When the status is OK: the answer, or NULL and the status tells why. */
ProtobufCMessage *rpc_unary_answer(struct rpc_unary *unary, const ProtobufCMessageDescriptor *type, struct arena *arena);
void rpc_unary_release(struct rpc_unary *unary);

/* gRPC's end of a call, with the details in its trailing metadata, as a status of ours. */
void rpc_status_receive(struct rpc_status *status, grpc_status_code code, grpc_slice details,
	const grpc_metadata_array *trailing);

#endif
