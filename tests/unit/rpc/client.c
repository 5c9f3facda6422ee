#include "client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

void client_open(struct client *client, int port, grpc_channel_credentials *credentials, const char *name)
{
	char target[64];
	grpc_arg list[] = {
		{.type = GRPC_ARG_INTEGER,
			.key = (char *)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
			.value.integer = 1},
		{.type = GRPC_ARG_INTEGER,
			.key = (char *)GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
			.value.integer = -1},
		{.type = GRPC_ARG_STRING,
			.key = (char *)GRPC_ARG_DEFAULT_AUTHORITY,
			.value.string = (char *)name},
	};
	grpc_channel_args args = {.num_args = name ? 3 : 2, .args = list};

	grpc_init();
	snprintf(target, sizeof(target), "ipv4:127.0.0.1:%d", port);
	if (!credentials)
		credentials = grpc_insecure_credentials_create();
	client->channel = grpc_channel_create(target, credentials, &args);
	grpc_channel_credentials_release(credentials);
	client->queue = grpc_completion_queue_create_for_pluck(NULL);
}

void client_close(struct client *client)
{
	grpc_channel_destroy(client->channel);
	grpc_completion_queue_shutdown(client->queue);
	grpc_completion_queue_destroy(client->queue);
	grpc_shutdown();
}

static bool await(struct client *client, void *tag)
{
	gpr_timespec deadline = gpr_time_add(
		gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(CLIENT_WAIT_S, GPR_TIMESPAN));
	grpc_event event = grpc_completion_queue_pluck(client->queue, tag, deadline, NULL);

	assert_int_equal(event.type, GRPC_OP_COMPLETE);
	return event.success;
}

static void begin(struct client_call *call, const grpc_op *ops, size_t count, void *tag)
{
	assert_int_equal(grpc_call_start_batch(call->call, ops, count, tag, NULL), GRPC_CALL_OK);
}

void client_start(
	struct client_call *call, struct client *client, const char *path, int deadline_ms, const char *trace)
{
	gpr_timespec deadline = deadline_ms < 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
						: gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
							  gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
	grpc_metadata metadata;
	grpc_op open[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
	grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	grpc_slice method = grpc_slice_from_copied_string(path);

	memset(call, 0, sizeof(*call));
	call->client = client;
	call->call = grpc_channel_create_call(
		client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue, method, NULL, deadline, NULL);
	grpc_slice_unref(method);
	memset(&metadata, 0, sizeof(metadata));
	metadata.key = grpc_slice_from_static_string("traceparent");
	metadata.value = grpc_slice_from_copied_string(trace ? trace : "");
	open[0].data.send_initial_metadata.metadata = &metadata;
	open[0].data.send_initial_metadata.count = trace != NULL;
	open[0].flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY;
	open[1].data.recv_initial_metadata.recv_initial_metadata = &call->initial;
	end.data.recv_status_on_client.status = &call->code;
	end.data.recv_status_on_client.status_details = &call->details;
	end.data.recv_status_on_client.trailing_metadata = &call->trailing;
	begin(call, &end, 1, &call->ending);
	begin(call, open, 2, &call->opening);
	grpc_slice_unref(metadata.value);
}

void client_send(struct client_call *call, const void *bytes, size_t size)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(bytes, size);
	grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};

	op.data.send_message.send_message = buffer;
	begin(call, &op, 1, &call->sending);
	await(call->client, &call->sending);
	grpc_byte_buffer_destroy(buffer);
	grpc_slice_unref(slice);
}

void client_send_message(struct client_call *call, const ProtobufCMessage *message)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	void *bytes = malloc(size + 1);

	protobuf_c_message_pack(message, bytes);
	client_send(call, bytes, size);
	free(bytes);
}

void client_half_close(struct client_call *call)
{
	grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

	begin(call, &op, 1, &call->sending);
	await(call->client, &call->sending);
}

bool client_receive(struct client_call *call)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

	if (call->received)
		grpc_byte_buffer_destroy(call->received);
	call->received = NULL;
	op.data.recv_message.recv_message = &call->received;
	begin(call, &op, 1, &call->receiving);
	await(call->client, &call->receiving);
	return call->received != NULL;
}

void *client_unpack(struct client_call *call, const ProtobufCMessageDescriptor *type)
{
	grpc_byte_buffer_reader reader;
	grpc_slice slice;
	ProtobufCMessage *message;

	assert_non_null(call->received);
	grpc_byte_buffer_reader_init(&reader, call->received);
	slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	message =
		protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(slice), GRPC_SLICE_START_PTR(slice));
	grpc_slice_unref(slice);
	assert_non_null(message);
	return message;
}

static void take_status(struct client_call *call, struct rpc_status *status)
{
	char *text = grpc_slice_to_c_string(call->details);

	rpc_status_set(status, (enum rpc_code)call->code, "", "%s", text);
	gpr_free(text);
	for (size_t i = 0; i < call->trailing.count; i++) {
		const grpc_metadata *pair = &call->trailing.metadata[i];

		if (!grpc_slice_str_cmp(pair->key, "grpc-status-details-bin"))
			assert_true(rpc_status_unpack(
				GRPC_SLICE_START_PTR(pair->value), GRPC_SLICE_LENGTH(pair->value), status));
	}
}

void client_finish(struct client_call *call, struct rpc_status *status)
{
	await(call->client, &call->opening);
	await(call->client, &call->ending);
	take_status(call, status);
	grpc_slice_unref(call->details);
	grpc_metadata_array_destroy(&call->initial);
	grpc_metadata_array_destroy(&call->trailing);
	if (call->received)
		grpc_byte_buffer_destroy(call->received);
	grpc_call_unref(call->call);
}

void client_unary(struct client *client, const char *path, const void *bytes, size_t size,
	struct rpc_status *status, const ProtobufCMessageDescriptor *type, void *ret_answer)
{
	struct client_call call;

	client_start(&call, client, path, CLIENT_WAIT_S * 1000, NULL);
	client_send(&call, bytes, size);
	client_half_close(&call);
	if (client_receive(&call) && ret_answer)
		*(void **)ret_answer = client_unpack(&call, type);
	client_finish(&call, status);
}

void client_ask(struct client *client, const char *path, const ProtobufCMessage *request,
	struct rpc_status *status, const ProtobufCMessageDescriptor *type, void *ret_answer)
{
	size_t size = protobuf_c_message_get_packed_size(request);
	void *bytes = malloc(size + 1);

	protobuf_c_message_pack(request, bytes);
	client_unary(client, path, bytes, size, status, type, ret_answer);
	free(bytes);
}
