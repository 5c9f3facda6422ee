/* gatekeeper/edge/problem.h - what an answer that is not a yes says: RFC 9457 problem+json and its HTTP status.
 *
 * A problem is a plain value, texts inside. It comes from a status of gRPC (its reason decides; without one the code does, by the table of
 * google.rpc.Code) or from an HTTP status alone. Threads: pure. */
#ifndef FLASHSALE_EDGE_PROBLEM_H
#define FLASHSALE_EDGE_PROBLEM_H

#include "base/text.h"
#include "gatekeeper/edge/shapes.h"
#include "rpc/reason.h"
#include "rpc/status.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

struct problem {
	unsigned http_status;
	const struct rpc_reason *reason; /* NULL: plain HTTP */
	char field[96];			 /* JSON name or path of what is wrong, or "" */
	char detail[256];		 /* for a person, or "" */
	int64_t retry_after_ms;		 /* 0: no hint */
	char allow[64];			 /* of a 405: "GET, HEAD, PUT" */
	const char *challenge;		 /* of CHALLENGE_REQUIRED, else NULL; lives in the request's arena */
};

void problem_from_status(struct problem *problem, const struct rpc_status *status);
void problem_from_reason(struct problem *problem, Common__Reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* 400, 404, 405, 408, 413, 414, 415, 429, 431, 494 (nginx's: shown as 431), 500, 502, 503, 504, ... `detail` may be NULL. */
void problem_from_http(struct problem *problem, unsigned http_status, const char *detail);

/* Of the header Retry-After, rounded up; 0: none. */
unsigned problem_retry_after_s(const struct problem *problem);

/* What the compatible surface calls isThrottled. */
bool problem_is_throttled(const struct problem *problem);

/* The body: type, title, status, detail, reason, field and errors, retry and retryAfterMs, challenge, traceId (left out when `trace_id` is NULL or ""); on
 * the compatible surface isThrottled and version too. */
bool problem_write(
	struct text *text, const struct problem *problem, enum json_surface surface, const char *trace_id);

/* "Not Found"; never NULL. */
const char *problem_http_title(unsigned http_status);

#endif
