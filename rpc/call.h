/* rpc/call.h - the inside of the server: what its files share. For server.c, call.c, call_*.c, message.c,
 * methods.c, health.c and reflection.c only.
 *
 * The life of a call: *armed* (offered to gRPC, waiting for a client) -> *arrived* -> its method runs -> *ended* (answer, failure or stream's end;
 * claimed once, by any thread) -> *released* when nothing refers to it any more: every tag is back, no task is posted, the method is done. What
 * refers to it is counted in `holds`. Released calls go to a bounded free list with the first block of their arena.
 * Threads: everything runs on the server's loop but call_claim, rpc_wake and posting; those touch only the atomics and what they claim. */
#ifndef FLASHSALE_RPC_CALL_H
#define FLASHSALE_RPC_CALL_H

#include <grpc/grpc.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "rpc/counters.h"
#include "rpc/descriptors.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "rpc/role.h"
#include "base/trace.h"
#include "rpc/tag.h"

#define CALL_MAGIC 0xca11ed01u
#define METHODS_MAX 256

enum rpc_shape { RPC_UNARY, RPC_STREAM_OUT, RPC_STREAM_IN, RPC_STREAM_BOTH };

/* Where a Batch... method keeps what its log lines tell; all NULL for others. */
struct call_items {
	const ProtobufCFieldDescriptor *request, *answer; /* the repeated `items` */
	const ProtobufCFieldDescriptor *trace;		  /* bytes `trace_id` of an item of the request */
	const ProtobufCFieldDescriptor *refusal;	  /* of an item of the answer, in its oneof */
	const ProtobufCFieldDescriptor *user, *sku;	  /* texts of an item of the request */
};

struct rpc_method {
	struct rpc_server *server;
	ProtobufCService *service;
	unsigned index;
	const ProtobufCMethodDescriptor *type;
	enum rpc_shape shape;
	bool vital; /* answers even when the limit of calls is reached: health */
	uint32_t roles; /* who may call it, where there is TLS; ROLE_ANY: every certificate */
	char *path;
	void *registered; /* gRPC's */
	struct method_counters *counters;
	struct call_items items; /* of a Batch... method */
};

struct rpc_call {
	uint32_t magic;
	_Atomic uint32_t holds;
	_Atomic bool abandoned, claimed, wake_posted;
	bool admitted;	    /* counted in the server's calls or streams */
	bool metadata_sent; /* the initial one */
	struct rpc_server *server;
	struct rpc_method *method;	/* NULL: the generic request, for what no method has */
	struct rpc_call *newer, *older; /* in the server's list of live calls */
	int64_t arrived_ns, deadline_ns;
	const char *peer;
	uint32_t roles; /* of the client's certificate */
	char trace[TRACEPARENT_LENGTH + 1]; /* "": none, and then the id is zeros */
	uint8_t trace_id[TRACE_ID_BYTES];

	grpc_call *grpc;
	gpr_timespec deadline;
	grpc_call_details details;
	grpc_metadata_array metadata;
	grpc_byte_buffer *received, *sending;
	grpc_metadata trailing; /* the status's details, while they are sent */
	int cancelled;
	struct rpc_tag arrival, closing, sent, reading;

	struct arena arena;		/* the call's */
	struct arena scratch;		/* streams: one message's */
	const ProtobufCMessage *request; /* of a unary one, once it was read */
	const ProtobufCMessage *answer;  /* between the claim and the sending */
	struct rpc_status status;
	struct rpc_task end_task, open_task, wake_task;

	/* streams */
	struct rpc_stream stream;
	struct rpc_timer heartbeat;
	bool streaming, writing; /* out: open; a message is on its way */
	bool answered;		 /* both: the last message has its answer */
	bool input_over;	 /* in: the method has seen NULL */
	const struct rpc_status
		*verdict; /* in: sent whatever the method answers; in the scratch, or static */
	void *state;
};

struct rpc_server {
	struct rpc_loop *loop;
	struct rpc_limits limits;
	struct descriptors *descriptors, *described; /* the embedded set; rpc_describe()'s, or NULL */
	const char *first_service; /* NULL: none is served yet */
	grpc_server *grpc;
	int port;
	bool secure;
	struct rpc_method *methods;
	size_t method_count;
	struct health *health;
	struct reflection *reflection;

	/* the loop's own */
	struct rpc_call *free_calls;
	uint32_t free_count;
	struct rpc_call *live; /* arrived and not yet released */
	uint32_t open;	       /* armed and live */
	uint32_t calls, streams;
	bool leaving, draining, shut_down; /* one after the other */
	struct rpc_tag shut;
	struct rpc_timer grace;
	struct rpc_task drain_task;
	int64_t leave_ms, grace_ms;
	sem_t drained, over; /* posted once each: drain may return; nothing is open any more */
	bool drain_begun, drain_posted, over_posted;
};

/* call.c */
void call_arm(struct rpc_server *server, struct rpc_method *method);
void call_pool_release(struct rpc_server *server);
void call_hold(struct rpc_call *call);
void call_drop(struct rpc_call *call); /* loop only; may release it */
bool call_batch(struct rpc_call *call, const grpc_op *ops, size_t count,
	struct rpc_tag *tag);		/* with a hold for the tag */
void call_claim(struct rpc_call *call); /* asserts that it is the first */
void call_end(struct rpc_call *
		call); /* any thread, after the claim: sends `answer`, or `status` without one; on the loop */
void call_finish(struct rpc_call *call); /* the loop's part of it */
void call_refuse(struct rpc_call *call, enum rpc_code code, const char *reason,
	const char *text); /* claims and ends */
/* message.c: checks and unpacks `received` into the arena, and gives the buffer back. False: *status is filled. */
bool call_unpack(
	struct rpc_call *call, struct arena *arena, const ProtobufCMessage **ret, struct rpc_status *status);
/* call.c again */
size_t call_metadata_op(struct rpc_call *call, grpc_op *op); /* 1 the first time, then 0 */

/* call_peer.c: reads who calls, where there is TLS. False: the method is not for them, and the call has ended. */
bool call_know_peer(struct rpc_call *call);

/* What a shape does when its call has arrived and was admitted. */
void call_answer(const ProtobufCMessage *message, void *call); /* the closure of every method */
void unary_start(struct rpc_call *call);
void stream_out_start(struct rpc_call *call);
void stream_in_start(struct rpc_call *call);

/* The client left, or the server drains: streams that wait end. */
void stream_out_nudge(struct rpc_call *call);
void stream_in_nudge(struct rpc_call *call);
bool stream_both_answer(
	struct rpc_call *call, const ProtobufCMessage *message); /* loop only; false: refused */

/* methods.c */
void methods_add(struct rpc_server *server, ProtobufCService *service);
void methods_arm(struct rpc_server *server);
bool methods_register(struct rpc_server *server);
void methods_release(struct rpc_server *server);
void methods_restrict(struct rpc_server *server, const struct rpc_access *table);

/* call_log.c: counts what calls and items came to; lines about them, with their traces. */
void call_items_init(struct call_items *items, const ProtobufCMethodDescriptor *type);
void call_account(const struct rpc_call *call, const struct rpc_status *status, enum rpc_code code, int64_t taken_ns);

/* server.c */
void server_check_drained(struct rpc_server *server);

/* reflection.c */
struct reflection *reflection_new(struct rpc_server *server);
void reflection_free(struct reflection *reflection);
void reflection_serve(struct reflection *reflection); /* adds both versions */

#endif
