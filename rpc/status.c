#include "rpc/status.h"

#include <google/protobuf/any.pb-c.h>
#include <google/protobuf/duration.pb-c.h>
#include <google/rpc/error_details.pb-c.h>
#include <google/rpc/status.pb-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"
#include "rpc/validate.h"

#define TYPE_PREFIX "type.googleapis.com/"
#define DOMAIN "flashsale"
#define DETAILS_MAX 3
#define UNPACK_BYTES_MAX (64 * 1024) /* a stranger's details: metadata is smaller than that anyway */
#define DETAILS_READ_MAX 16

const char *rpc_code_name(enum rpc_code code)
{
	static const char *const names[] = {"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
		"DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
		"FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
		"DATA_LOSS", "UNAUTHENTICATED"};

	return (size_t)code < sizeof(names) / sizeof(names[0]) ? names[code] : "UNKNOWN";
}

void rpc_status_set(
	struct rpc_status *status, enum rpc_code code, const char *reason, const char *format, ...)
{
	va_list arguments;

	*status = (struct rpc_status){.code = code};
	snprintf(status->reason, sizeof(status->reason), "%s", reason);
	va_start(arguments, format);
	vsnprintf(status->message, sizeof(status->message), format, arguments);
	va_end(arguments);
}

/* ---- out ---- */

/* All that one google.rpc.Status is made of. */
struct details {
	Google__Rpc__Status status;
	Google__Protobuf__Any anys[DETAILS_MAX], *list[DETAILS_MAX];
	void *packed[DETAILS_MAX];
	size_t count;
};

static void add_detail(struct details *details, const char *type_url, const ProtobufCMessage *message)
{
	Google__Protobuf__Any *any = &details->anys[details->count];

	google__protobuf__any__init(any);
	any->type_url = (char *)type_url; /* packed, never written */
	any->value.len = protobuf_c_message_get_packed_size(message);
	any->value.data = details->packed[details->count] = memory_new(any->value.len + 1);
	protobuf_c_message_pack(message, any->value.data);
	details->list[details->count++] = any;
}

static void add_reason(struct details *details, const struct rpc_status *status)
{
	Google__Rpc__ErrorInfo info = GOOGLE__RPC__ERROR_INFO__INIT;

	if (!status->reason[0])
		return;
	info.reason = (char *)status->reason;
	info.domain = (char *)DOMAIN;
	add_detail(details, TYPE_PREFIX "google.rpc.ErrorInfo", &info.base);
}

static void add_field(struct details *details, const struct rpc_status *status)
{
	Google__Rpc__BadRequest__FieldViolation violation = GOOGLE__RPC__BAD_REQUEST__FIELD_VIOLATION__INIT;
	Google__Rpc__BadRequest__FieldViolation *violations[] = {&violation};
	Google__Rpc__BadRequest bad = GOOGLE__RPC__BAD_REQUEST__INIT;

	if (!status->field[0])
		return;
	violation.field = (char *)status->field;
	violation.description = (char *)status->message;
	bad.n_field_violations = 1;
	bad.field_violations = violations;
	add_detail(details, TYPE_PREFIX "google.rpc.BadRequest", &bad.base);
}

static void add_retry(struct details *details, const struct rpc_status *status)
{
	Google__Protobuf__Duration delay = GOOGLE__PROTOBUF__DURATION__INIT;
	Google__Rpc__RetryInfo retry = GOOGLE__RPC__RETRY_INFO__INIT;

	if (status->retry_after_ms <= 0)
		return;
	delay.seconds = status->retry_after_ms / 1000;
	delay.nanos = (int32_t)(status->retry_after_ms % 1000) * 1000000;
	retry.retry_delay = &delay;
	add_detail(details, TYPE_PREFIX "google.rpc.RetryInfo", &retry.base);
}

void *rpc_status_pack(const struct rpc_status *status, size_t *ret_size)
{
	struct details details = {.status = GOOGLE__RPC__STATUS__INIT};
	void *bytes;

	add_reason(&details, status);
	add_field(&details, status);
	add_retry(&details, status);
	details.status.code = (int32_t)status->code;
	details.status.message = (char *)status->message;
	details.status.n_details = details.count;
	details.status.details = details.list;
	bytes = memory_new(google__rpc__status__get_packed_size(&details.status) + 1);
	*ret_size = google__rpc__status__pack(&details.status, bytes);
	for (size_t i = 0; i < details.count; i++)
		free(details.packed[i]);
	return bytes;
}

/* ---- in, from untrusted bytes ---- */

static void *unpack_checked(
	struct arena *arena, const ProtobufCMessageDescriptor *type, const void *bytes, size_t size)
{
	struct rpc_status why;

	if (!validate_message(type, bytes, size, DETAILS_READ_MAX, &why))
		return NULL;
	return protobuf_c_message_unpack(type, &arena->allocator, size, bytes);
}

static void take_reason(struct rpc_status *status, const Google__Rpc__ErrorInfo *info)
{
	if (info && !strcmp(info->domain, DOMAIN))
		snprintf(status->reason, sizeof(status->reason), "%s", info->reason);
}

static void take_field(struct rpc_status *status, const Google__Rpc__BadRequest *bad)
{
	if (bad && bad->n_field_violations)
		snprintf(status->field, sizeof(status->field), "%s", bad->field_violations[0]->field);
}

static void take_retry(struct rpc_status *status, const Google__Rpc__RetryInfo *retry)
{
	const Google__Protobuf__Duration *delay = retry ? retry->retry_delay : NULL;

	if (delay && delay->seconds >= 0 && delay->seconds < 86400 && delay->nanos >= 0 &&
		delay->nanos < 1000000000)
		status->retry_after_ms = delay->seconds * 1000 + delay->nanos / 1000000;
}

static void take_detail(struct arena *arena, struct rpc_status *status, const Google__Protobuf__Any *any)
{
	const ProtobufCBinaryData *value = &any->value;

	if (!strcmp(any->type_url, TYPE_PREFIX "google.rpc.ErrorInfo"))
		take_reason(status,
			unpack_checked(arena, &google__rpc__error_info__descriptor, value->data, value->len));
	else if (!strcmp(any->type_url, TYPE_PREFIX "google.rpc.BadRequest"))
		take_field(status, unpack_checked(arena, &google__rpc__bad_request__descriptor, value->data,
					   value->len));
	else if (!strcmp(any->type_url, TYPE_PREFIX "google.rpc.RetryInfo"))
		take_retry(status,
			unpack_checked(arena, &google__rpc__retry_info__descriptor, value->data, value->len));
}

bool rpc_status_unpack(const void *bytes, size_t size, struct rpc_status *status)
{
	const Google__Rpc__Status *packed;
	struct arena arena;

	arena_init(&arena, 4096, UNPACK_BYTES_MAX);
	packed = unpack_checked(&arena, &google__rpc__status__descriptor, bytes, size);
	if (packed) {
		rpc_status_set(status, (enum rpc_code)packed->code, "", "%s", packed->message);
		for (size_t i = 0; i < packed->n_details; i++)
			take_detail(&arena, status, packed->details[i]);
	}
	arena_release(&arena);
	return packed != NULL;
}
