/* tests/bench/link.c - see link.h. */
#include "link.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define CALL_TIMEOUT_NS (30 * INT64_C(1000000000))

static gpr_timespec time_of(int64_t mono_ns)
{
	return (gpr_timespec){.tv_sec = mono_ns / 1000000000,
		.tv_nsec = (int32_t)(mono_ns % 1000000000),
		.clock_type = GPR_CLOCK_MONOTONIC};
}

void link_open(struct link *link, const char *address)
{
	grpc_arg arguments[] = {
		{.type = GRPC_ARG_INTEGER, .key = (char *)GRPC_ARG_ENABLE_HTTP_PROXY, .value.integer = 0}};
	grpc_channel_args list = {sizeof(arguments) / sizeof(arguments[0]), arguments};
	grpc_channel_credentials *plain = grpc_insecure_credentials_create();

	link->queue = grpc_completion_queue_create_for_next(NULL);
	link->channel = grpc_channel_create(address, plain, &list);
	grpc_channel_credentials_release(plain);
}

void link_close(struct link *link)
{
	grpc_channel_destroy(link->channel);
	grpc_completion_queue_shutdown(link->queue);
	while (grpc_completion_queue_next(link->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
		GRPC_QUEUE_SHUTDOWN)
		;
	grpc_completion_queue_destroy(link->queue);
}

void call_start(struct link *link, struct call *call, const char *path, grpc_slice message)
{
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&message, 1);
	grpc_call_error error;
	grpc_op ops[6];

	grpc_slice_unref(message);
	call->started_ns = clock_mono_ns();
	call->grpc = grpc_channel_create_call(link->channel, NULL, GRPC_PROPAGATE_DEFAULTS, link->queue,
		grpc_slice_from_static_string(path), NULL, time_of(call->started_ns + CALL_TIMEOUT_NS), NULL);
	call->answer = NULL;
	call->details = grpc_empty_slice();
	grpc_metadata_array_init(&call->initial);
	grpc_metadata_array_init(&call->trailing);
	memset(ops, 0, sizeof(ops));
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_SEND_MESSAGE;
	ops[1].data.send_message.send_message = buffer;
	ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[3].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
	ops[4].op = GRPC_OP_RECV_MESSAGE;
	ops[4].data.recv_message.recv_message = &call->answer;
	ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[5].data.recv_status_on_client.status = &call->code;
	ops[5].data.recv_status_on_client.status_details = &call->details;
	ops[5].data.recv_status_on_client.trailing_metadata = &call->trailing;
	error = grpc_call_start_batch(call->grpc, ops, 6, call, NULL);
	assert(error == GRPC_CALL_OK);
	grpc_byte_buffer_destroy(buffer);
}

struct call *call_next(struct link *link, int64_t until_ns)
{
	grpc_event event = grpc_completion_queue_next(link->queue, time_of(until_ns), NULL);

	return event.type == GRPC_OP_COMPLETE ? event.tag : NULL;
}

grpc_slice call_answer(struct call *call)
{
	grpc_byte_buffer_reader reader;
	grpc_slice answer;

	if (call->code != GRPC_STATUS_OK || !call->answer ||
		!grpc_byte_buffer_reader_init(&reader, call->answer)) {
		char *details = grpc_slice_to_c_string(call->details);

		fprintf(stderr, "a call failed with code %d: %s\n", (int)call->code, details);
		exit(1);
	}
	answer = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	return answer;
}

void call_end(struct call *call)
{
	if (call->answer)
		grpc_byte_buffer_destroy(call->answer);
	grpc_metadata_array_destroy(&call->initial);
	grpc_metadata_array_destroy(&call->trailing);
	grpc_slice_unref(call->details);
	grpc_call_unref(call->grpc);
}
