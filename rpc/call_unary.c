#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "rpc/call.h"

void unary_start(struct rpc_call *call)
{
	struct rpc_method *method = call->method;
	const ProtobufCMessage *request;

	if (!call_unpack(call, &call->arena, &request, &call->status)) {
		call_claim(call);
		call_finish(call);
		return;
	}
	call->request = request;
	method->service->invoke(method->service, method->index, request, call_answer, call);
}

void call_answer(const ProtobufCMessage *message, void *closure_data)
{
	struct rpc_call *call = closure_data;

	assert(call->magic == CALL_MAGIC);
	if (call->method->shape == RPC_STREAM_BOTH && message) {
		stream_both_answer(call, message);
		return;
	}
	call_claim(call);
	call->answer = message;
	if (message)
		assert(message->descriptor == call->method->type->output);
	else if (call->method->shape == RPC_STREAM_BOTH)
		rpc_status_set(&call->status, RPC_OK, "", "%s", "");
	else
		rpc_status_set(&call->status, RPC_INTERNAL, "", "the method gave no answer");
	call_end(call);
}

void rpc_fail(struct rpc_call *call, const struct rpc_status *status)
{
	assert(status->code != RPC_OK);
	call_claim(call);
	call->status = *status;
	call_end(call);
}

void rpc_refuse(struct rpc_call *call, const char *field, const char *format, ...)
{
	struct rpc_status status = {.code = RPC_INVALID_ARGUMENT, .reason = "INVALID"};
	va_list arguments;

	snprintf(status.field, sizeof(status.field), "%s", field);
	va_start(arguments, format);
	vsnprintf(status.message, sizeof(status.message), format, arguments);
	va_end(arguments);
	rpc_fail(call, &status);
}
