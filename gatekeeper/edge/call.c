/* call.c - a route of a service: the request message goes to its pool and shard, the answer comes back as JSON. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "gatekeeper/edge/edge_internal.h"

/* Calls at once: each can hold a large answer, other than a buy. */
#define CALLS_MAX 1024

static const char *const service_names[EDGE_SERVICES] = {"inventory", "the cart", "policy", "the protector"};

static void fail_unanswered(const struct work *work, const struct rpc_request *request, struct problem *ret)
{
	const bool reads = work->route->http_method == ROUTE_GET;
	const char *name = service_names[work->facts->service];

	if (!request->sent)
		problem_from_reason(ret, COMMON__REASON__REASON_DEPENDENCY_DOWN, "%s is not available", name);
	else if (reads)
		problem_from_reason(ret, COMMON__REASON__REASON_DEPENDENCY_DOWN, "%s did not answer", name);
	else
		problem_from_reason(ret, COMMON__REASON__REASON_OUTCOME_UNKNOWN,
			"%s did not answer: it may or may not have taken effect", name);
}

static bool is_answer(const struct rpc_status *status)
{
	return rpc_reason_by_name(status->reason) ||
	       (status->code != RPC_UNAVAILABLE && status->code != RPC_DEADLINE_EXCEEDED &&
		       status->code != RPC_CANCELLED);
}

/* "/v1/goods/" and the id, for ids that need no encoding: all of ours. */
static const char *location_of(const struct work *work, const ProtobufCMessage *output)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const struct route *created = work->route->created;
	const ProtobufCMessage *shown = output;
	const char *id;

	if (work->route->response_body)
		shown = *(ProtobufCMessage **)json_field_value(work->route->response_body, output);
	if (!shown)
		return NULL;
	id = *(char **)json_field_value(work->route->created_id, shown);
	if (!id[0] || id[strspn(id, plain)])
		return NULL;
	return arena_format(
		&work->request->arena, "%.*s%s", (int)strcspn(created->path, "{"), created->path, id);
}

/* In the request's arena. */
struct call {
	struct rpc_request request;
	struct round round;
};

static void came(struct rpc_request *request)
{
	struct work *work = container_of(request->arena, struct edge_request, arena)->work;
	struct call *call = container_of(request, struct call, request);
	struct problem problem;

	if (round_goes_on(&call->round, work, request)) {
		rpc_request_start(work->edge->pools[work->facts->service], request);
		return;
	}
	if (work->route->http_method != ROUTE_GET)
		atomic_store(&work->edge->changed_ns[work->facts->service], clock_mono_ns());
	if (request->output) {
		answer_message(work, route_status(work->route), request->output);
		version_show(work, request->output);
		work->request->out.truncated = route_truncates(work->route, request->output);
		if (work->route->created && work->request->out.status == 201)
			work->request->out.location = location_of(work, request->output);
	} else if (is_answer(&request->status)) {
		route_problem(work->route, &request->status, &problem);
		answer_problem(work, &problem);
	} else {
		fail_unanswered(work, request, &problem);
		answer_problem(work, &problem);
	}
	work_finish(work);
}

static void refuse(struct work *work, const struct problem *problem)
{
	answer_problem(work, problem);
	work_finish(work);
}

void call_start(struct work *work)
{
	struct call *call = ARENA_NEW(&work->request->arena, struct call);
	struct rpc_request *request = &call->request;
	struct edge *edge = work->edge;
	struct problem problem;

	if (!call || edge->calls >= CALLS_MAX) {
		problem_from_reason(
			&problem, COMMON__REASON__REASON_OVERLOADED, "too many requests are open");
		refuse(work, &problem);
		return;
	}
	if (!round_begin(&call->round, work, request, &problem)) {
		refuse(work, &problem);
		return;
	}
	edge->calls++;
	work->is_call = true;
	request->service = work->route->method->service;
	request->method = work->route->method->method;
	request->input = work->message;
	request->read = work->route->http_method == ROUTE_GET;
	request->deadline_ns = work->deadline_ns;
	request->trace = work->trace.text;
	request->arena = &work->request->arena;
	request->done = came;
	rpc_request_start(edge->pools[work->facts->service], request);
}
