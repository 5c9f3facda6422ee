#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "rpc/access.h"
#include "rpc/call.h"
#include "rpc/validate.h"

/* Calls offered to gRPC ahead of their clients. Each is offered anew on arrival, so this bounds what arrives within one turn of the loop
 * before the library begins to queue. */
#define ARMED_UNARY 64
#define ARMED_STREAM 8
#define ARMED_GENERIC 4

static enum rpc_shape shape_of(const struct rpc_server *server, const char *service, const char *method)
{
	char *name = memory_format("%s.%s", service, method);
	struct descriptor_method found;

	if (!(server->described && descriptors_method(server->described, name, &found)) &&
		!descriptors_method(server->descriptors, name, &found)) {
		log_error("a method is not in the descriptor set", LOG_TEXT("method", name));
		abort();
	}
	free(name);
	if (found.client_streaming)
		return found.server_streaming ? RPC_STREAM_BOTH : RPC_STREAM_IN;
	return found.server_streaming ? RPC_STREAM_OUT : RPC_UNARY;
}

static void add_method(struct rpc_server *server, ProtobufCService *service, unsigned index)
{
	const ProtobufCMethodDescriptor *type = &service->descriptor->methods[index];
	struct rpc_method *method = &server->methods[server->method_count++];

	assert(server->method_count <= METHODS_MAX);
	assert(validate_type(type->input));
	*method = (struct rpc_method){
		.server = server,
		.service = service,
		.index = index,
		.type = type,
		.shape = shape_of(server, service->descriptor->name, type->name),
		.roles = ROLE_ANY,
		.vital = server->health && service == health_service(server->health),
		.path = memory_format("/%s/%s", service->descriptor->name, type->name),
	};
	method->counters = counters_of(method->path);
	call_items_init(&method->items, type);
}

void methods_add(struct rpc_server *server, ProtobufCService *service)
{
	for (unsigned i = 0; i < service->descriptor->n_methods; i++)
		add_method(server, service, i);
}

static struct rpc_method *find_method(struct rpc_server *server, const char *service, const char *name)
{
	for (size_t i = 0; i < server->method_count; i++) {
		struct rpc_method *method = &server->methods[i];

		if (!strcmp(method->service->descriptor->name, service) && !strcmp(method->type->name, name))
			return method;
	}
	return NULL;
}

void methods_restrict(struct rpc_server *server, const struct rpc_access *table)
{
	const char *service = server->first_service;

	for (size_t i = 0; i < server->method_count; i++)
		if (!strcmp(server->methods[i].service->descriptor->name, service))
			server->methods[i].roles = ROLE_OPERATOR;
	for (; table->method; table++) {
		struct rpc_method *method = find_method(server, service, table->method);

		if (!method) {
			log_error("the table of who may call what names a method that is not there",
				LOG_TEXT("service", service), LOG_TEXT("method", table->method));
			abort();
		}
		method->roles |= table->roles;
	}
}

bool methods_register(struct rpc_server *server)
{
	for (size_t i = 0; i < server->method_count; i++) {
		struct rpc_method *method = &server->methods[i];
		bool payload = method->shape == RPC_UNARY || method->shape == RPC_STREAM_OUT;

		method->registered = grpc_server_register_method(server->grpc, method->path, NULL,
			payload ? GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER : GRPC_SRM_PAYLOAD_NONE, 0);
		if (!method->registered)
			return false;
	}
	return true;
}

void methods_arm(struct rpc_server *server)
{
	for (size_t i = 0; i < server->method_count; i++) {
		struct rpc_method *method = &server->methods[i];
		int count = method->shape == RPC_UNARY ? ARMED_UNARY : ARMED_STREAM;

		for (int k = 0; k < count; k++)
			call_arm(server, method);
	}
	/* Without these, unknown methods would hang to their clients' deadlines. */
	for (int k = 0; k < ARMED_GENERIC; k++)
		call_arm(server, NULL);
}

void methods_release(struct rpc_server *server)
{
	for (size_t i = 0; i < server->method_count; i++)
		free(server->methods[i].path);
	free(server->methods);
}
