/* grpc.reflection, v1 and v1alpha: the two differ in nothing but the package, so one handler serves both paths with v1's messages. Files are
 * slices of the descriptor set's own bytes: the requested one first, then everything it imports. */
#include <assert.h>
#include <grpc/reflection/v1/reflection.pb-c.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/call.h"

#define FILES_MAX 256
#define EXTENSIONS_MAX 64

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

struct reflection {
	ProtobufCService v1, v1alpha;
	struct rpc_server *server;
};

static const ProtobufCMethodDescriptor methods[] = {{
	.name = "ServerReflectionInfo",
	.input = &grpc__reflection__v1__server_reflection_request__descriptor,
	.output = &grpc__reflection__v1__server_reflection_response__descriptor,
}};
static const unsigned methods_by_name[] = {0};

#define REFLECTION_SERVICE(full_name, package_name) \
	{ \
		.magic = PROTOBUF_C__SERVICE_DESCRIPTOR_MAGIC, .name = (full_name), \
		.short_name = "ServerReflection", .c_name = "ServerReflection", .package = (package_name), \
		.n_methods = 1, .methods = methods, .method_indices_by_name = methods_by_name, \
	}
static const ProtobufCServiceDescriptor v1_type =
	REFLECTION_SERVICE("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1");
static const ProtobufCServiceDescriptor v1alpha_type =
	REFLECTION_SERVICE("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1alpha");

/* One question being answered; everything is in the arena, which holds one question at a time. */
struct inquiry {
	struct reflection *reflection;
	struct arena *arena;
	const request_message *request;
	response_message *response;
};

static bool fail(struct inquiry *inquiry, enum rpc_code code, const char *text)
{
	Grpc__Reflection__V1__ErrorResponse *error =
		ARENA_NEW(inquiry->arena, Grpc__Reflection__V1__ErrorResponse);

	if (!error)
		return false;
	grpc__reflection__v1__error_response__init(error);
	error->error_code = (int32_t)code;
	error->error_message = (char *)text;
	inquiry->response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
	inquiry->response->error_response = error;
	return true;
}

/* ---- files ---- */

struct file_list {
	const struct descriptor_file *files[FILES_MAX];
	size_t count;
};

static void collect(struct file_list *list, const struct descriptor_file *file)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->files[i] == file)
			return;
	if (list->count < FILES_MAX)
		list->files[list->count++] = file;
}

static bool answer_file(struct inquiry *inquiry, const struct descriptor_file *file)
{
	Grpc__Reflection__V1__FileDescriptorResponse *response;
	struct file_list list = {.count = 0};

	if (!file)
		return fail(inquiry, RPC_NOT_FOUND, "not in this server's descriptors");
	collect(&list, file);
	for (size_t i = 0; i < list.count; i++)
		for (size_t k = 0; k < list.files[i]->import_count; k++)
			collect(&list, list.files[i]->imports[k]);
	response = ARENA_NEW(inquiry->arena, Grpc__Reflection__V1__FileDescriptorResponse);
	if (!response)
		return false;
	grpc__reflection__v1__file_descriptor_response__init(response);
	response->file_descriptor_proto = ARENA_ARRAY(inquiry->arena, list.count, ProtobufCBinaryData);
	if (!response->file_descriptor_proto)
		return false;
	response->n_file_descriptor_proto = list.count;
	for (size_t i = 0; i < list.count; i++)
		response->file_descriptor_proto[i] =
			(ProtobufCBinaryData){list.files[i]->size, (uint8_t *)list.files[i]->bytes};
	inquiry->response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
	inquiry->response->file_descriptor_response = response;
	return true;
}

static const struct descriptor_file *find_file(const struct rpc_server *server, const char *name)
{
	const struct descriptor_file *file =
		server->described ? descriptors_file(server->described, name) : NULL;

	return file ? file : descriptors_file(server->descriptors, name);
}

static const struct descriptor_file *find_symbol(const struct rpc_server *server, const char *name)
{
	const struct descriptor_file *file =
		server->described ? descriptors_symbol(server->described, name) : NULL;

	return file ? file : descriptors_symbol(server->descriptors, name);
}

static const struct descriptor_file *find_extension(
	const struct rpc_server *server, const Grpc__Reflection__V1__ExtensionRequest *asked)
{
	return descriptors_extension(server->descriptors, asked->containing_type, asked->extension_number);
}

/* ---- extensions and services ---- */

static bool answer_extension_numbers(struct inquiry *inquiry, const char *type)
{
	const struct rpc_server *server = inquiry->reflection->server;
	Grpc__Reflection__V1__ExtensionNumberResponse *response;
	int32_t *numbers = ARENA_ARRAY(inquiry->arena, EXTENSIONS_MAX, int32_t);
	size_t count;

	if (!find_symbol(server, type))
		return fail(inquiry, RPC_NOT_FOUND, "not in this server's descriptors");
	response = ARENA_NEW(inquiry->arena, Grpc__Reflection__V1__ExtensionNumberResponse);
	if (!numbers || !response)
		return false;
	count = descriptors_extension_numbers(server->descriptors, type, numbers, EXTENSIONS_MAX);
	grpc__reflection__v1__extension_number_response__init(response);
	response->base_type_name = (char *)type;
	response->extension_number = numbers;
	response->n_extension_number = count < EXTENSIONS_MAX ? count : EXTENSIONS_MAX;
	inquiry->response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
	inquiry->response->all_extension_numbers_response = response;
	return true;
}

static bool answer_services(struct inquiry *inquiry)
{
	const struct rpc_server *server = inquiry->reflection->server;
	Grpc__Reflection__V1__ListServiceResponse *response =
		ARENA_NEW(inquiry->arena, Grpc__Reflection__V1__ListServiceResponse);

	if (!response)
		return false;
	grpc__reflection__v1__list_service_response__init(response);
	response->service =
		ARENA_ARRAY(inquiry->arena, server->method_count, Grpc__Reflection__V1__ServiceResponse *);
	if (!response->service)
		return false;
	for (size_t i = 0; i < server->method_count; i++) {
		Grpc__Reflection__V1__ServiceResponse *service;

		if (server->methods[i].index != 0)
			continue; /* a service is named once, by its first method */
		service = ARENA_NEW(inquiry->arena, Grpc__Reflection__V1__ServiceResponse);
		if (!service)
			return false;
		grpc__reflection__v1__service_response__init(service);
		service->name = (char *)server->methods[i].service->descriptor->name;
		response->service[response->n_service++] = service;
	}
	inquiry->response->message_response_case =
		GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
	inquiry->response->list_services_response = response;
	return true;
}

/* False: the arena is at its cap. */
static bool answer(struct inquiry *inquiry)
{
	const struct rpc_server *server = inquiry->reflection->server;
	const request_message *request = inquiry->request;

	switch (request->message_request_case) {
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
		return answer_file(inquiry, find_file(server, request->file_by_filename));
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
		return answer_file(inquiry, find_symbol(server, request->file_containing_symbol));
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
		return answer_file(inquiry, find_extension(server, request->file_containing_extension));
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
		return answer_extension_numbers(inquiry, request->all_extension_numbers_of_type);
	case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
		return answer_services(inquiry);
	default:
		return fail(inquiry, RPC_UNIMPLEMENTED, "an unknown kind of question");
	}
}

static void invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
	ProtobufCClosure closure, void *closure_data)
{
	struct rpc_call *call = closure_data;
	struct inquiry inquiry = {
		.reflection = service->descriptor == &v1_type
				      ? container_of(service, struct reflection, v1)
				      : container_of(service, struct reflection, v1alpha),
		.arena = &call->scratch,
		.request = (const request_message *)input,
	};
	struct rpc_status full;

	if (!input) {
		closure(NULL, call);
		return;
	}
	inquiry.response = ARENA_NEW(inquiry.arena, response_message);
	if (inquiry.response) {
		grpc__reflection__v1__server_reflection_response__init(inquiry.response);
		inquiry.response->valid_host = inquiry.request->host;
		inquiry.response->original_request = (request_message *)input;
	}
	if (inquiry.response && answer(&inquiry)) {
		closure(&inquiry.response->base, call);
		return;
	}
	rpc_status_set(&full, RPC_RESOURCE_EXHAUSTED, "", "the answer is larger than a call may be");
	rpc_fail(call, &full);
}

struct reflection *reflection_new(struct rpc_server *server)
{
	struct reflection *reflection = NEW(struct reflection);

	reflection->server = server;
	reflection->v1 = (ProtobufCService){.descriptor = &v1_type, .invoke = invoke};
	reflection->v1alpha = (ProtobufCService){.descriptor = &v1alpha_type, .invoke = invoke};
	return reflection;
}

void reflection_serve(struct reflection *reflection)
{
	methods_add(reflection->server, &reflection->v1);
	methods_add(reflection->server, &reflection->v1alpha);
}

void reflection_free(struct reflection *reflection)
{
	free(reflection);
}
