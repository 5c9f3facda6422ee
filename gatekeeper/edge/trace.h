/* gatekeeper/edge/trace.h - a request's trace: its traceparent is taken over if it is one, else begun. A maker belongs to one thread. */
#ifndef FLASHSALE_EDGE_TRACE_H
#define FLASHSALE_EDGE_TRACE_H

#include "base/trace.h"

struct trace {
	char text[TRACEPARENT_LENGTH + 1]; /* the traceparent: goes back to who asked, and on to services in metadata */
	uint8_t id[TRACE_ID_BYTES];	   /* goes on in items of batches */
};

struct trace_maker {
	uint64_t state;
};

void trace_maker_init(struct trace_maker *maker); /* seeded from the system */
/* `given` may be NULL. */
void trace_take(struct trace_maker *maker, const char *given, size_t length, struct trace *ret);

#endif
