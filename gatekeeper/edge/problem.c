#include "gatekeeper/edge/problem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_MS 1000 /* for statuses that must carry Retry-After and have no reason to say when */
#define HEADER_TOO_LARGE_OF_NGINX 494
#define HEADER_TOO_LARGE 431

static const struct {
	unsigned status;
	const char *title;
} titles[] = {
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{428, "Precondition Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{499, "Client Closed Request"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
	{507, "Insufficient Storage"},
};

const char *problem_http_title(unsigned http_status)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == http_status)
			return titles[i].title;
	return http_status >= 500 ? "Server Error" : "Error";
}

/* The table of google.rpc.Code. */
static unsigned code_status(enum rpc_code code)
{
	switch (code) {
	case RPC_OK:
		return 200;
	case RPC_CANCELLED:
		return 499;
	case RPC_INVALID_ARGUMENT:
	case RPC_FAILED_PRECONDITION:
	case RPC_OUT_OF_RANGE:
		return 400;
	case RPC_DEADLINE_EXCEEDED:
		return 504;
	case RPC_NOT_FOUND:
		return 404;
	case RPC_ALREADY_EXISTS:
	case RPC_ABORTED:
		return 409;
	case RPC_PERMISSION_DENIED:
		return 403;
	case RPC_UNAUTHENTICATED:
		return 401;
	case RPC_RESOURCE_EXHAUSTED:
		return 429;
	case RPC_UNIMPLEMENTED:
		return 501;
	case RPC_UNAVAILABLE:
		return 503;
	case RPC_UNKNOWN:
	case RPC_INTERNAL:
	case RPC_DATA_LOSS:
		break;
	}
	return 500;
}

static int64_t default_retry_ms(unsigned http_status)
{
	return http_status == 429 || http_status == 503 || http_status == 504 ? RETRY_AFTER_MS : 0;
}

void problem_from_status(struct problem *problem, const struct rpc_status *status)
{
	const struct rpc_reason *reason = rpc_reason_by_name(status->reason);

	assert(status->code != RPC_OK);
	*problem = (struct problem){
		.http_status = reason ? reason->http_status : code_status(status->code),
		.reason = reason,
		.retry_after_ms = status->retry_after_ms,
	};
	if (!problem->retry_after_ms)
		problem->retry_after_ms =
			reason ? reason->retry_after_ms : default_retry_ms(problem->http_status);
	snprintf(problem->field, sizeof(problem->field), "%s", status->field);
	/* A text without a reason is gRPC's own, about addresses and connections: not for strangers. */
	if (reason || status->code == RPC_INVALID_ARGUMENT)
		snprintf(problem->detail, sizeof(problem->detail), "%s", status->message);
}

void problem_from_reason(struct problem *problem, Common__Reason value, const char *format, ...)
{
	const struct rpc_reason *reason = rpc_reason_get(value);
	va_list arguments;

	assert(reason);
	*problem = (struct problem){.http_status = reason->http_status,
		.reason = reason,
		.retry_after_ms = reason->retry_after_ms};
	va_start(arguments, format);
	vsnprintf(problem->detail, sizeof(problem->detail), format, arguments);
	va_end(arguments);
}

void problem_from_http(struct problem *problem, unsigned http_status, const char *detail)
{
	if (http_status == HEADER_TOO_LARGE_OF_NGINX)
		http_status = HEADER_TOO_LARGE;
	*problem =
		(struct problem){.http_status = http_status, .retry_after_ms = default_retry_ms(http_status)};
	if (http_status == 429)
		problem->reason = rpc_reason_get(COMMON__REASON__REASON_THROTTLED);
	snprintf(problem->detail, sizeof(problem->detail), "%s", detail ? detail : "");
}

bool problem_is_throttled(const struct problem *problem)
{
	return problem->reason && (problem->reason->value == COMMON__REASON__REASON_THROTTLED ||
					  problem->reason->value == COMMON__REASON__REASON_SLOWED);
}

unsigned problem_retry_after_s(const struct problem *problem)
{
	return (unsigned)((problem->retry_after_ms + 999) / 1000);
}

static void write_member(struct text *text, const char *name, const char *value)
{
	text_append(text, ",\"", 2);
	text_append_string(text, name);
	text_append(text, "\":", 2);
	text_append_json_string(text, value, strlen(value));
}

static void write_errors(struct text *text, const struct problem *problem)
{
	write_member(text, "field", problem->field);
	text_append_string(text, ",\"errors\":[{\"field\":");
	text_append_json_string(text, problem->field, strlen(problem->field));
	write_member(text, "detail", problem->detail);
	text_append_string(text, "}]");
}

static void write_retry(struct text *text, const struct problem *problem)
{
	if (problem->reason && problem->reason->retry == OPTIONS__RETRY__RETRY_SAME_KEY)
		write_member(text, "retry", "same-key");
	else if (problem->reason && problem->reason->retry == OPTIONS__RETRY__RETRY_WITH_SOLUTION)
		write_member(text, "retry", "with-solution");
	else if (problem->retry_after_ms)
		write_member(text, "retry", "later");
	if (problem->retry_after_ms)
		text_appendf(text, ",\"retryAfterMs\":%lld", (long long)problem->retry_after_ms);
}

bool problem_write(
	struct text *text, const struct problem *problem, enum json_surface surface, const char *trace_id)
{
	const struct rpc_reason *reason = problem->reason;

	text_append_string(text, reason ? "{\"type\":\"urn:flashsale:problem:" : "{\"type\":\"about:blank");
	text_append_string(text, reason ? reason->name : "");
	text_append_char(text, '"');
	write_member(text, "title", reason ? reason->title : problem_http_title(problem->http_status));
	text_append_string(text, ",\"status\":");
	text_append_int(text, problem->http_status);
	if (problem->detail[0])
		write_member(text, "detail", problem->detail);
	if (reason)
		write_member(text, "reason", reason->name);
	if (problem->field[0])
		write_errors(text, problem);
	write_retry(text, problem);
	if (problem->challenge)
		write_member(text, "challenge", problem->challenge);
	if (trace_id && trace_id[0])
		write_member(text, "traceId", trace_id);
	if (surface == JSON_COMPATIBLE)
		text_appendf(text, ",\"isThrottled\":%s,\"version\":\"1.0\"",
			problem_is_throttled(problem) ? "true" : "false");
	text_append_char(text, '}');
	return !text->overflowed;
}
