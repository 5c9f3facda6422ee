/* A client for the tests of the server: gRPC's C interface and nothing of rpc/, one step after the other. Any thread, one at a time. */
#ifndef FLASHSALE_TESTS_RPC_CLIENT_H
#define FLASHSALE_TESTS_RPC_CLIENT_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "rpc/status.h"

#define CLIENT_WAIT_S 30

struct client {
	grpc_channel *channel;
	grpc_completion_queue *queue;
};

void client_open(struct client *client, int port, grpc_channel_credentials *credentials, const char *name);
void client_close(struct client *client);

/* A call step by step. Steps that wait fail the test after CLIENT_WAIT_S. */
struct client_call {
	struct client *client;
	grpc_call *call;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *received;
	grpc_status_code code;
	grpc_slice details;
	char opening, ending, sending, receiving; /* their addresses are tags */
};

#define CLIENT_FOREVER (-1)
void client_start(struct client_call *call, struct client *client, const char *path, int deadline_ms,
	const char *trace);
void client_send(struct client_call *call, const void *bytes, size_t size);
void client_send_message(struct client_call *call, const ProtobufCMessage *message);
void client_half_close(struct client_call *call);
bool client_receive(struct client_call *call); /* into `received`; false: the server has ended */
void *client_unpack(struct client_call *call,
	const ProtobufCMessageDescriptor *type); /* what was received; free_unpacked */
void client_finish(struct client_call *call, struct rpc_status *status); /* waits for the end, and releases */

/* The whole of a unary call; the answer, if there is one and ret_answer is not NULL, is to be freed. */
void client_unary(struct client *client, const char *path, const void *bytes, size_t size,
	struct rpc_status *status, const ProtobufCMessageDescriptor *type, void *ret_answer);
void client_ask(struct client *client, const char *path, const ProtobufCMessage *request,
	struct rpc_status *status, const ProtobufCMessageDescriptor *type, void *ret_answer);

#endif
