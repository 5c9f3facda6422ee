/* tests/bench/link.h - gRPC for a load generator: one channel, one completion queue, one thread, and messages as bytes that were packed before.
 *
 * A call is embedded in its owner, belongs to the link from call_start until call_next gave it back, and ends with call_end. */
#ifndef FLASHSALE_BENCH_LINK_H
#define FLASHSALE_BENCH_LINK_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"

struct link {
	grpc_completion_queue *queue;
	grpc_channel *channel;
};

struct call {
	grpc_call *grpc;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *answer;
	grpc_status_code code;
	grpc_slice details;
	int64_t started_ns;
};

void link_open(struct link *link, const char *address);
void link_close(struct link *link); /* every call must have ended */

void call_start(struct link *link, struct call *call, const char *path, grpc_slice message); /* takes the message */
struct call *call_next(struct link *link, int64_t until_ns); /* one that came back; NULL: it is later than that */
grpc_slice call_answer(struct call *call);                   /* the answer's bytes, to unref; ends the program if the call failed */
void call_end(struct call *call);

#endif
