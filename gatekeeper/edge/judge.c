/* judge.c - what happens on the door's thread: which route, who asks, what exactly; refusals that need no service end here. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "gatekeeper/edge/buy.h"

#define V1_PREFIX "/v1/"

static const struct edge_slice method_names[] = {
	[EDGE_GET] = {"GET", 3},
	[EDGE_HEAD] = {"HEAD", 4},
	[EDGE_POST] = {"POST", 4},
	[EDGE_PUT] = {"PUT", 3},
	[EDGE_DELETE] = {"DELETE", 6},
	[EDGE_PATCH] = {"PATCH", 5},
	[EDGE_OPTIONS] = {"OPTIONS", 7},
	[EDGE_OTHER] = {"OTHER", 5},
};

static bool slice_is(struct edge_slice slice, const char *text)
{
	return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

struct work *work_new(struct edge *edge, struct edge_request *request)
{
	const struct edge_input *in = &request->in;
	struct work *work = ARENA_NEW(&request->arena, struct work);
	const size_t prefix = sizeof(V1_PREFIX) - 1;

	assert(work); /* a fresh arena has room */
	work->edge = edge;
	work->request = request;
	work->scratch = &edge->door_text;
	work->arrived_ns = clock_mono_ns();
	work->deadline_ns = work->arrived_ns + edge->options.deadline_ms * INT64_C(1000000);
	work->surface = in->path.size >= prefix && memcmp(in->path.data, V1_PREFIX, prefix) == 0
				? JSON_V1
				: JSON_COMPATIBLE;
	trace_take(&edge->traces, in->traceparent.data, in->traceparent.size, &work->trace);
	request->work = work;
	request->out = (struct edge_output){
		.trace = work->trace.text, .reason = "", .user_id = "", .session_id = "", .route = ""};
	return work;
}

static bool refuse(struct work *work, const struct problem *problem)
{
	if (work->facts && work->facts->buys)
		buy_answer_problem(work, problem);
	else
		answer_problem(work, problem);
	return true;
}

static bool match(struct work *work, struct route_match *match, struct problem *problem)
{
	const struct edge_input *in = &work->request->in;
	const struct edge_slice method = method_names[in->method];

	if (!routes_match(work->edge->routes, method.data, method.size, in->path.data, in->path.size, match,
		    problem))
		return false;
	work->route = match->route;
	work->facts = &work->edge->facts[match->route->index];
	work->surface = match->route->surface;
	work->request->out.route = match->route->path;
	return true;
}

static const char *new_session(struct work *work)
{
	const struct id id = id_next(&work->edge->ids);
	char *text = arena_alloc(&work->request->arena, ID_TEXT_LENGTH + 1);

	return text ? id_format(&id, text) : NULL;
}

static const char *text_of(const struct json_field *field, const ProtobufCMessage *message)
{
	return field && field->kind == SHAPE_STRING && !field->repeated && json_field_chosen(field, message)
		       ? *(char **)json_field_value(field, message)
		       : "";
}

static bool read_request(struct work *work, const struct route_match *match, struct problem *problem)
{
	const struct edge_input *in = &work->request->in;
	struct route_request request = {
		.match = match,
		.query = in->query.data,
		.query_length = in->query.size,
		.content_type = in->content_type.data,
		.content_type_length = in->content_type.size,
		.body = in->body.data,
		.body_length = in->body.size,
		.session_id = work->route->session_id ? new_session(work) : NULL,
	};

	work->message = route_read(&request, &work->request->arena, problem);
	return work->message != NULL;
}

static bool admit(struct work *work, struct problem *problem)
{
	const struct route_facts *facts = work->facts;
	const struct identity_request request = {
		.in = &work->request->in,
		.access = work->route->method->access,
		.message = work->message,
		.user_id = facts->user_id,
		.user_level = facts->user_level,
		.client_ip = facts->client_ip,
	};
	struct edge_output *out = &work->request->out;

	if (!identity_admit(work->edge->identifier, &request, &work->request->arena, problem))
		return false;
	out->user_id = text_of(facts->user_id, work->message);
	out->session_id = text_of(work->route->session_id, work->message);
	return true;
}

static bool judge_buy(struct work *work, struct problem *problem)
{
	struct purchase purchase;

	if (!purchase_read(&purchase, work->facts->purchase, work->message, work->request->in.idempotency_key,
		    &work->request->arena, problem))
		return refuse(work, problem);
	work->has_address = purchase.has_address;
	work->address = purchase.address;
	return buy_glance(work, &purchase);
}

static bool take_key(struct work *work, struct problem *problem)
{
	const char **value = json_field_value(work->facts->idempotency_key, work->message);

	return purchase_key(work->request->in.idempotency_key, &work->request->arena, value, problem);
}

static bool judge_route(struct work *work)
{
	struct route_match found;
	struct problem problem;

	if (!match(work, &found, &problem)) {
		if (problem.http_status == 405 && work->request->in.method == EDGE_OPTIONS) {
			work->request->out.allow =
				arena_text(&work->request->arena, problem.allow, strlen(problem.allow));
			answer_text(work, 204, "application/json", "", 0);
			return true;
		}
		return refuse(work, &problem);
	}
	if (!read_request(work, &found, &problem) || !version_expect(work, &problem) ||
		!admit(work, &problem))
		return refuse(work, &problem);
	if (work->facts->buys)
		return judge_buy(work, &problem);
	if (work->facts->idempotency_key && !take_key(work, &problem))
		return refuse(work, &problem);
	work->start = work->facts->local ? work->facts->local : call_start;
	return false;
}

static bool is_open(const struct work *work)
{
	return atomic_load_explicit(&work->edge->open, memory_order_relaxed) < work->edge->options.queue_max;
}

static bool judge_any(struct work *work)
{
	const struct edge_input *in = &work->request->in;
	struct edge *edge = work->edge;

	if (slice_is(in->path, "/openapi.json") && (in->method == EDGE_GET || in->method == EDGE_HEAD)) {
		answer_text(work, 200, "application/json", edge->openapi, edge->openapi_size);
		work->request->out.route = "/openapi.json";
		return true;
	}
	if (edge->echo && slice_is(in->path, "/bench/echo")) {
		work->start = echo_start;
		work->request->out.route = "/bench/echo";
		return false;
	}
	return judge_route(work);
}

static void answered_at_the_door(struct work *work)
{
	work_account(work, 0);
	report_from_door(work);
}

bool edge_judge(struct edge *edge, struct edge_request *request)
{
	struct work *work = work_new(edge, request);
	bool answered = judge_any(work);
	struct problem problem;

	if (!answered && !is_open(work)) {
		problem_from_reason(&problem, COMMON__REASON__REASON_OVERLOADED, "%s", "");
		answered = refuse(work, &problem);
	}
	report_client(work);
	if (answered)
		answered_at_the_door(work);
	return answered;
}

void edge_problem(struct edge *edge, struct edge_request *request, int http_status)
{
	struct work *work = work_new(edge, request);
	const bool reads = request->in.method == EDGE_GET || request->in.method == EDGE_HEAD;
	struct route_match found;
	struct problem problem, unmatched;
	bool matched = match(work, &found, &unmatched);

	if (http_status == 504 && !reads)
		problem_from_reason(&problem, COMMON__REASON__REASON_OUTCOME_UNKNOWN,
			"it may or may not have taken effect; ask again with the same Idempotency-Key");
	else
		problem_from_http(&problem, (unsigned)http_status, NULL);
	if (http_status == 405 && !matched)
		memcpy(problem.allow, unmatched.allow, sizeof(problem.allow));
	refuse(work, &problem);
	if (http_status == 504) { /* the request that is late comes back, and then is reported, once */
		work_account(work, 0);
		return;
	}
	report_client(work);
	answered_at_the_door(work);
}
