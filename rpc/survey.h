/* rpc/survey.h - one question to every instance of a pool at once, each answered by itself.
 *
 * Who is connected is asked; who is not is listed as such, and so is who did not answer by the deadline. At most RPC_SURVEY_CALLS_MAX are asked, the rest is listed as
 * RESOURCE_EXHAUSTED. done() comes once, when all have answered or the deadline has passed, never inside rpc_survey_start. A pool that closes ends it
 * early. Threads: the pool's loop. */
#ifndef FLASHSALE_RPC_SURVEY_H
#define FLASHSALE_RPC_SURVEY_H

#include "rpc/client.h"

#define RPC_SURVEY_CALLS_MAX 256

struct rpc_survey_entry {
	const char *id, *address;       /* as discovery names them */
	bool connected;
	struct rpc_status status;       /* of the call; UNAVAILABLE when not connected */
	const ProtobufCMessage *answer; /* NULL unless the status is OK */
};

struct rpc_survey {
	const ProtobufCServiceDescriptor *service;
	const ProtobufCMethodDescriptor *method;
	const ProtobufCMessage *input; /* packed at once, not kept */
	int64_t deadline_ns;           /* CLOCK_MONOTONIC */
	const char *trace;             /* traceparent, or NULL; not kept */
	struct arena *arena;           /* for entries and answers; the caller's */
	void (*done)(struct rpc_survey *survey);
	/* set before done(), both valid as long as the arena: */
	struct rpc_survey_entry *entries; /* NULL: the arena is at its cap */
	size_t count;
};

void rpc_survey_start(struct rpc_pool *pool, struct rpc_survey *survey);

#endif
