/* edge_log.c - what is counted and told of each request, with its trace; every request has its line in nginx's access log besides. */
#include "base/log.h"
#include "gatekeeper/edge/edge_internal.h"
#include "gatekeeper/edge/edge_metrics.h"

#define SLOW_NS INT64_C(1000000000)
#define FAILED_STATUS 500

void work_account(const struct work *work, int64_t taken_ns)
{
	const struct edge_output *out = &work->request->out;
	const bool failed = out->status >= FAILED_STATUS, slow = taken_ns >= SLOW_NS;
	char trace[TRACE_ID_LENGTH + 1];

	edge_metrics_answered(out->status);
	if (!failed && !slow && !log_enabled(LOG_DEBUG))
		return;
	trace_id_format(work->trace.id, TRACE_ID_BYTES, trace);
	log_debug("request", LOG_TEXT("trace", trace), LOG_TEXT("route", out->route),
		LOG_TEXT("user", out->user_id), LOG_INT("status", out->status),
		LOG_TEXT("reason", out->reason), LOG_INT("us", taken_ns / 1000));
	if (failed)
		LOG_LIMITED(LOG_WARN, "a request failed", LOG_TEXT("trace", trace),
			LOG_TEXT("route", out->route), LOG_INT("status", out->status),
			LOG_TEXT("reason", out->reason), LOG_INT("us", taken_ns / 1000));
	else if (slow)
		LOG_LIMITED(LOG_WARN, "a request was slow", LOG_TEXT("trace", trace),
			LOG_TEXT("route", out->route), LOG_INT("status", out->status),
			LOG_INT("us", taken_ns / 1000));
}
