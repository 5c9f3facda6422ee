/* answer.c - what goes back to the door: written into the thread's scratch text, then copied into the request's arena. */
#include <stdio.h>
#include <string.h>

#include "gatekeeper/edge/edge_internal.h"

#define JSON_TYPE "application/json"
#define PAGE_TYPE "text/html; charset=utf-8"

/* When not even the answer has room. */
static const char overloaded[] =
	"{\"type\":\"urn:flashsale:problem:OVERLOADED\",\"title\":\"The service is "
	"overloaded\",\"status\":503,"
	"\"reason\":\"OVERLOADED\",\"retry\":\"later\",\"isThrottled\":false,\"version\":\"1.0\"}";

static void answer_overloaded(struct edge_output *out)
{
	out->status = 503;
	out->content_type = PROBLEM_CONTENT_TYPE;
	out->body = overloaded;
	out->body_size = sizeof(overloaded) - 1;
	out->retry_after_s = 1;
	out->reason = "OVERLOADED";
	out->location = NULL;
}

void answer_text(struct work *work, int status, const char *content_type, const char *body, size_t size)
{
	struct edge_output *out = &work->request->out;

	out->status = status;
	out->content_type = content_type;
	out->body = body;
	out->body_size = size;
}

/* The scratch text becomes the body. */
static void answer_scratch(struct work *work, int status, const char *content_type)
{
	struct text *text = work->scratch;
	const char *body =
		text->overflowed ? NULL : arena_copy(&work->request->arena, text->data, text->length);

	if (body)
		answer_text(work, status, content_type, body, text->length);
	else
		answer_overloaded(&work->request->out);
}

void answer_page(struct work *work, bool whole, const char *policy)
{
	if (!whole) {
		answer_overloaded(&work->request->out);
		return;
	}
	answer_scratch(work, 200, PAGE_TYPE);
	work->request->out.page_policy = policy;
}

void answer_message(struct work *work, int status, const ProtobufCMessage *message)
{
	text_clear(work->scratch);
	route_write(work->route, message, work->scratch);
	answer_scratch(work, status, JSON_TYPE);
}

/* The detail names the field: people read it, not the field beside it. */
static void name_field(struct problem *problem)
{
	char detail[sizeof(problem->detail)];

	if (!problem->field[0] || strstr(problem->detail, problem->field))
		return;
	snprintf(detail, sizeof(detail), "%.95s: %.150s", problem->field, problem->detail);
	memcpy(problem->detail, detail, sizeof(detail));
}

void answer_problem(struct work *work, const struct problem *problem)
{
	struct edge_output *out = &work->request->out;
	struct problem named = *problem;
	char trace_id[TRACE_ID_LENGTH + 1] = {0};

	name_field(&named);
	memcpy(trace_id, work->trace.text + TRACE_ID_OFFSET, TRACE_ID_LENGTH);
	text_clear(work->scratch);
	problem_write(work->scratch, &named, work->surface, trace_id);
	out->reason = named.reason ? named.reason->name : "";
	work->reason = named.reason ? named.reason->value : COMMON__REASON__REASON_INVALID;
	out->retry_after_s = (int32_t)problem_retry_after_s(&named);
	out->challenge = named.challenge;
	if (named.allow[0])
		out->allow = arena_text(&work->request->arena, named.allow, strlen(named.allow));
	answer_scratch(work, (int)named.http_status, PROBLEM_CONTENT_TYPE);
}

void answer_flags(struct work *work, int status, const char *message, bool result, bool throttled)
{
	struct text *text = work->scratch;

	text_clear(text);
	text_append_string(text, "{\"reponseMsg\":");
	text_append_json_string(text, message, strlen(message));
	text_appendf(text, ",\"repResult\":%s,\"isThrottled\":%s,\"version\":\"1.0\"}",
		result ? "true" : "false", throttled ? "true" : "false");
	answer_scratch(work, status, JSON_TYPE);
}
