/* gatekeeper/edge/trace.h - W3C trace context: a request's traceparent is taken over if it is one, else begun. A maker belongs to one thread. */
#ifndef FLASHSALE_EDGE_TRACE_H
#define FLASHSALE_EDGE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_TEXT_LENGTH 55
#define TRACE_TEXT_MAX (TRACE_TEXT_LENGTH + 1)
#define TRACE_ID_OFFSET 3
#define TRACE_ID_LENGTH 32

struct trace_maker {
	uint64_t state;
};

void trace_maker_init(struct trace_maker *maker); /* seeded from the system */
/* `given` may be NULL. */
void trace_take(struct trace_maker *maker, const char *given, size_t length, char ret[TRACE_TEXT_MAX]);

#endif
