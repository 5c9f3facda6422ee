/* rpc/server.h - protobuf-c services over gRPC.
 *
 * A service is the vtable that protoc-c generates: its functions get the request, a closure that answers and the call as closure_data.
 *  - Request, answer and rpc_arena() memory live in the call's arena until the call's end.
 *  - A unary call ends exactly once, by its closure or by rpc_fail(), now or later, from any thread; packing and sending happen on its
 *    loop, so from another thread the answer must live in the call's arena. If the client left: end it all the same, the answer is dropped.
 *    After the end the call, its request and its arena are not to be touched.
 *  - Over a limit (bytes, arena, items, calls at once) the function never sees the call: RESOURCE_EXHAUSTED. A message that does not parse, or
 *    holds NUL or bad UTF-8 in a string: INVALID_ARGUMENT with the field's name. An unknown method: UNIMPLEMENTED at once.
 *  - Health (grpc.health.v1 Check and Watch) and reflection (v1 and v1alpha, from the embedded descriptor set) are built in.
 * Threads: functions of the vtable run on a loop of the server. */
#ifndef FLASHSALE_RPC_SERVER_H
#define FLASHSALE_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "rpc/loop.h"
#include "rpc/status.h"

struct rpc_call;
struct rpc_server;
struct rpc_tls; /* rpc/tls.h; NULL means plaintext */
struct rpc_access; /* rpc/access.h */

struct rpc_limits {
	uint32_t request_bytes_max; /* on the wire */
	uint32_t arena_bytes_max;   /* a call, unpacked, the answer included */
	uint32_t items_max;         /* of any repeated field of a request */
	uint32_t calls_max;         /* unary calls in flight */
	uint32_t streams_max;       /* streams open */
	uint32_t keepalive_ms;      /* between pings of a client that has a call open; 0: 10 s */
};
extern const struct rpc_limits rpc_limits_standard; /* of a service whose items are small: a batch of 4,096 */

struct rpc_server *rpc_server_new(struct rpc_loop *loop, const struct rpc_limits *limits);
void rpc_serve(struct rpc_server *server, ProtobufCService *service); /* before listen; shapes come from the descriptor set */
/* Services that are not in the embedded descriptor set; `set` must outlive the server. Before rpc_serve. */
bool rpc_describe(struct rpc_server *server, const void *set, size_t size, struct error *error);
/* Who may call what, where there is TLS: the rows, the last with a NULL method, must outlive the server. After rpc_serve, before listen. Without it: anybody with a
 * certificate, everything. Health and reflection are always open to those. */
void rpc_server_restrict(struct rpc_server *server, const struct rpc_access *table);
bool rpc_listen(struct rpc_server *server, const char *address, struct rpc_tls *tls, struct error *error);
const char *rpc_server_service(const struct rpc_server *server); /* the full name of the first one served; "": none */
int rpc_server_port(const struct rpc_server *server);
/* "" is the whole server. Set from any thread; Watch streams hear of it. NOT_SERVING from the start. */
void rpc_server_set_serving(struct rpc_server *server, bool serving);
/* NOT_SERVING, while calls are taken as ever: until nobody has one open, or for leave_ms. Then no new calls; streams that wait end with UNAVAILABLE; returns
 * when the last call ended, or soon after the grace's end, when all calls were cancelled. Not from the loop. */
void rpc_server_drain(struct rpc_server *server, int64_t leave_ms, int64_t grace_ms);
/* Drains if nobody did, then waits for methods that have not ended their calls; before the loop's end, not from it. */
void rpc_server_free(struct rpc_server *server);

struct arena *rpc_arena(struct rpc_call *call);
int64_t rpc_deadline_ns(const struct rpc_call *call); /* CLOCK_MONOTONIC; INT64_MAX: none */
bool rpc_abandoned(const struct rpc_call *call);      /* the client left: a hint */
const char *rpc_peer(const struct rpc_call *call);    /* name in the client's certificate, or "" */
const char *rpc_trace(const struct rpc_call *call);   /* traceparent from the metadata, or "" */
const uint8_t *rpc_trace_id(const struct rpc_call *call); /* the id in it, TRACE_ID_BYTES (base/trace.h); NULL: none */

/* Ends the call with a status of google.rpc form: code, message, ErrorInfo{reason, domain "flashsale"}, and a BadRequest with `field` if given. */
void rpc_fail(struct rpc_call *call, const struct rpc_status *status);
/* INVALID_ARGUMENT, reason INVALID, for one field ("items[3].sku"). */
void rpc_refuse(struct rpc_call *call, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Server stream: pulled, never pushed, so a slow reader costs one message. The method opens it; next() runs on the loop whenever the wire has
 * room: RPC_MORE with a message (packed before the arena is cleared), RPC_WAIT until rpc_wake() (any thread), RPC_END; or RPC_FAILED after filling *status. */
enum rpc_pull { RPC_MORE, RPC_WAIT, RPC_END, RPC_FAILED };
struct rpc_stream {
	enum rpc_pull (*next)(void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status);
	void (*end)(void *cursor);    /* exactly once, after the last next(); on the loop */
	void *cursor;
	int64_t heartbeat_ms;         /* next() runs again after this long without a message, even without a wake; 0: no */
};
void rpc_stream_open(struct rpc_call *call, const struct rpc_stream *stream); /* any thread; the call may be gone after it */
void rpc_wake(struct rpc_call *call); /* any thread; harmless until end() returned */

/* Client stream: the method runs for each message, which is valid until it returns; then the next is read. At last it runs once with a NULL
 * request and must end the call, also when the client left (rpc_abandoned may know it by then) or a message was refused; not after it ended the call by itself, which
 * it does from within. Its state: */
void **rpc_state(struct rpc_call *call);

#endif
