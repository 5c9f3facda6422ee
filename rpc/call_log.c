/* call_log.c - what is counted and told of calls and their items, with their traces. At debug every call has one, and in a batch every item; what failed or was slow is told at any level, one line a second a
 * kind. A batch mixes strangers: each of its items has a trace of its own. */
#include <stdio.h>

#include "base/log.h"
#include "flashsale/common/v1/common.pb-c.h"
#include "rpc/call.h"
#include "rpc/counters.h"
#include "rpc/reason.h"

#define SLOW_NS INT64_C(1000000000)
#define FAILED_HTTP_STATUS 500 /* reasons from here on are somebody's failure; others are a no */

/* ---- the shape ---- */

static const ProtobufCFieldDescriptor *find(
	const ProtobufCMessageDescriptor *type, const char *name, ProtobufCType kind, ProtobufCLabel label)
{
	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, name);

	return field && field->type == kind && field->label == label ? field : NULL;
}

static const ProtobufCFieldDescriptor *find_items(const ProtobufCMessageDescriptor *type)
{
	return find(type, "items", PROTOBUF_C_TYPE_MESSAGE, PROTOBUF_C_LABEL_REPEATED);
}

static const ProtobufCFieldDescriptor *find_refusal(const ProtobufCMessageDescriptor *item)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(item, "refusal");

	return field && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			       field->descriptor == &common__refusal__descriptor
		       ? field
		       : NULL;
}

void call_items_init(struct call_items *items, const ProtobufCMethodDescriptor *type)
{
	const ProtobufCFieldDescriptor *request = find_items(type->input), *answer = find_items(type->output);
	const ProtobufCMessageDescriptor *item;

	*items = (struct call_items){0};
	if (!request || !answer)
		return;
	item = request->descriptor;
	items->request = request;
	items->answer = answer;
	items->trace = find(item, "trace_id", PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_LABEL_NONE);
	items->user = find(item, "user_id", PROTOBUF_C_TYPE_STRING, PROTOBUF_C_LABEL_NONE);
	items->sku = find(item, "sku", PROTOBUF_C_TYPE_STRING, PROTOBUF_C_LABEL_NONE);
	items->refusal = find_refusal(answer->descriptor);
}

/* ---- an item ---- */

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *items)
{
	return *(const size_t *)((const char *)message + items->quantifier_offset);
}

static const char *item_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *items, size_t i)
{
	return (*(const char *const *const *)((const char *)message + items->offset))[i];
}

static const char *text_of(const char *item, const ProtobufCFieldDescriptor *field)
{
	return field ? *(const char *const *)(item + field->offset) : "";
}

static const char *trace_of(const struct call_items *items, const char *item, char *buffer)
{
	const ProtobufCBinaryData *trace =
		items->trace ? (const ProtobufCBinaryData *)(item + items->trace->offset) : NULL;

	return trace_id_format(trace ? trace->data : NULL, trace ? trace->len : 0, buffer);
}

/* NULL: it is not refused. */
static const Common__Refusal *refusal_of(const ProtobufCFieldDescriptor *refusal, const char *answer)
{
	if (*(const uint32_t *)(answer + refusal->quantifier_offset) != refusal->id)
		return NULL;
	return *(const Common__Refusal *const *)(answer + refusal->offset);
}

static const char *reason_name(const Common__Refusal *refusal)
{
	const struct rpc_reason *reason = rpc_reason_get(refusal->reason);

	return reason ? reason->name : "REFUSED";
}

/* "grant", "limit", or the reason why not. */
static const char *outcome_of(const struct call_items *items, const char *answer)
{
	const ProtobufCMessageDescriptor *type = items->answer->descriptor;
	const Common__Refusal *refusal = items->refusal ? refusal_of(items->refusal, answer) : NULL;

	if (refusal)
		return reason_name(refusal);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
			*(const uint32_t *)(answer + field->quantifier_offset) == field->id)
			return field->name;
	}
	return "";
}

static void tell_items(const struct rpc_call *call, int64_t taken_ns)
{
	const struct call_items *items = &call->method->items;
	char trace[TRACE_ID_LENGTH + 1];

	for (size_t i = 0; i < count_of(call->answer, items->answer); i++) {
		const char *item = item_of(call->request, items->request, i);

		log_debug("item", LOG_TEXT("method", call->method->type->name),
			LOG_TEXT("trace", trace_of(items, item, trace)),
			LOG_TEXT("user", text_of(item, items->user)),
			LOG_TEXT("sku", text_of(item, items->sku)),
			LOG_TEXT("outcome", outcome_of(items, item_of(call->answer, items->answer, i))),
			LOG_INT("us", taken_ns / 1000));
	}
}

static void tell_failed_item(
	const struct rpc_call *call, size_t i, const Common__Refusal *refusal, int64_t taken_ns)
{
	const struct call_items *items = &call->method->items;
	char trace[TRACE_ID_LENGTH + 1];

	LOG_LIMITED(LOG_WARN, "an item failed", LOG_TEXT("method", call->method->type->name),
		LOG_TEXT("trace", trace_of(items, item_of(call->request, items->request, i), trace)),
		LOG_TEXT("reason", reason_name(refusal)), LOG_TEXT("why", refusal->message),
		LOG_INT("us", taken_ns / 1000));
}

/* Counts them, and tells of those that failed. */
static void account_items(const struct rpc_call *call, int64_t taken_ns)
{
	const struct call_items *items = &call->method->items;
	uint32_t by_reason[COUNTERS_REASONS] = {0};

	for (size_t i = 0; i < count_of(call->answer, items->answer); i++) {
		const Common__Refusal *refusal =
			items->refusal ? refusal_of(items->refusal, item_of(call->answer, items->answer, i))
				       : NULL;
		const struct rpc_reason *reason = refusal ? rpc_reason_get(refusal->reason) : NULL;

		if (!reason || reason->value >= COUNTERS_REASONS) {
			by_reason[0]++;
			continue;
		}
		by_reason[reason->value]++;
		if (reason->http_status >= FAILED_HTTP_STATUS)
			tell_failed_item(call, i, refusal, taken_ns);
	}
	counters_items(call->method->counters, by_reason);
}

/* ---- a call ---- */

/* The call's own, or that of a batch's first item. */
static const char *some_trace(const struct rpc_call *call, char *buffer)
{
	const struct call_items *items = &call->method->items;

	if (!call->trace[0] && call->request && items->request && count_of(call->request, items->request))
		return trace_of(items, item_of(call->request, items->request, 0), buffer);
	return trace_id_format(call->trace_id, call->trace[0] ? TRACE_ID_BYTES : 0, buffer);
}

static bool is_failure(enum rpc_code code)
{
	switch (code) {
	case RPC_UNKNOWN:
	case RPC_DEADLINE_EXCEEDED:
	case RPC_RESOURCE_EXHAUSTED:
	case RPC_INTERNAL:
	case RPC_UNAVAILABLE:
	case RPC_DATA_LOSS:
		return true;
	default:
		return false;
	}
}

static void account_refusal(const struct rpc_status *status)
{
	const struct rpc_reason *reason = rpc_reason_by_name(status->reason);

	if (reason)
		counters_refused(reason);
}

static void tell_call(
	const struct rpc_call *call, const struct rpc_status *status, enum rpc_code code, int64_t taken_ns)
{
	char trace[TRACE_ID_LENGTH + 1];

	log_debug("call", LOG_TEXT("method", call->method->type->name),
		LOG_TEXT("trace", some_trace(call, trace)), LOG_TEXT("code", rpc_code_name(code)),
		LOG_TEXT("reason", status ? status->reason : ""), LOG_INT("us", taken_ns / 1000));
}

static void tell_failed_call(const struct rpc_call *call, const struct rpc_status *status, int64_t taken_ns)
{
	char trace[TRACE_ID_LENGTH + 1];

	LOG_LIMITED(LOG_WARN, "a call failed", LOG_TEXT("method", call->method->type->name),
		LOG_TEXT("trace", some_trace(call, trace)), LOG_TEXT("code", rpc_code_name(status->code)),
		LOG_TEXT("reason", status->reason), LOG_TEXT("why", status->message),
		LOG_INT("us", taken_ns / 1000));
}

static void tell_slow_call(const struct rpc_call *call, enum rpc_code code, int64_t taken_ns)
{
	char trace[TRACE_ID_LENGTH + 1];

	LOG_LIMITED(LOG_WARN, "a call was slow", LOG_TEXT("method", call->method->type->name),
		LOG_TEXT("trace", some_trace(call, trace)), LOG_TEXT("code", rpc_code_name(code)),
		LOG_INT("us", taken_ns / 1000));
}

void call_account(
	const struct rpc_call *call, const struct rpc_status *status, enum rpc_code code, int64_t taken_ns)
{
	const struct rpc_method *method = call->method;
	const bool items = method->items.request && call->request && call->answer && !status;

	if (method->vital || method->shape != RPC_UNARY)
		return;
	if (log_enabled(LOG_DEBUG)) {
		tell_call(call, status, code, taken_ns);
		if (items)
			tell_items(call, taken_ns);
	}
	if (items)
		account_items(call, taken_ns);
	if (status && status->reason[0])
		account_refusal(status);
	if (status && is_failure(status->code))
		tell_failed_call(call, status, taken_ns);
	else if (taken_ns >= SLOW_NS)
		tell_slow_call(call, code, taken_ns);
}
