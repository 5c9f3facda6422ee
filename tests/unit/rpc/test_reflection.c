#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "google/protobuf/descriptor.pb-c.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "trial.h"

#define V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define V1ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
#define ASK(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name
#define ANSWER(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##name

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

static int setup(void **state)
{
	*state = trial_new(NULL);
	return 0;
}

static int teardown(void **state)
{
	trial_free(*state);
	return 0;
}

static response_message *ask(struct client_call *call, const request_message *request)
{
	response_message *response;

	client_send_message(call, &request->base);
	assert_true(client_receive(call));
	response = client_unpack(call, &grpc__reflection__v1__server_reflection_response__descriptor);
	assert_string_equal(response->valid_host, request->host);
	assert_non_null(response->original_request);
	assert_int_equal(response->original_request->message_request_case, request->message_request_case);
	return response;
}

static void release(response_message *response)
{
	grpc__reflection__v1__server_reflection_response__free_unpacked(response, NULL);
}

static bool lists(const response_message *response, const char *service)
{
	int found = 0;

	for (size_t i = 0; i < response->list_services_response->n_service; i++)
		found += !strcmp(response->list_services_response->service[i]->name, service);
	assert_true(found <= 1);
	return found;
}

static void test_services(const char *path, struct trial *trial)
{
	request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	response_message *response;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, path, CLIENT_FOREVER, NULL);
	request.host = (char *)"a host";
	request.message_request_case = ASK(LIST_SERVICES);
	request.list_services = (char *)"*";
	response = ask(&call, &request);
	assert_int_equal(response->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
	assert_true(lists(response, "flashsale.trial.v1.Trial"));
	assert_true(lists(response, "grpc.health.v1.Health"));
	assert_true(lists(response, "grpc.reflection.v1.ServerReflection"));
	assert_true(lists(response, "grpc.reflection.v1alpha.ServerReflection"));
	release(response);
	client_half_close(&call);
	assert_false(client_receive(&call));
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void test_both_versions(void **state)
{
	test_services(V1, *state);
	test_services(V1ALPHA, *state);
}

/* The first file defines what was asked for, and every import of every file is there too. */
static void check_files(const response_message *response, const char *name)
{
	const Grpc__Reflection__V1__FileDescriptorResponse *files = response->file_descriptor_response;
	Google__Protobuf__FileDescriptorProto *parsed[64];

	assert_int_equal(response->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
	assert_in_range(files->n_file_descriptor_proto, 1, 64);
	for (size_t i = 0; i < files->n_file_descriptor_proto; i++) {
		const ProtobufCBinaryData *bytes = &files->file_descriptor_proto[i];

		parsed[i] = google__protobuf__file_descriptor_proto__unpack(NULL, bytes->len, bytes->data);
		assert_non_null(parsed[i]);
	}
	assert_string_equal(parsed[0]->name, name);
	for (size_t i = 0; i < files->n_file_descriptor_proto; i++)
		for (size_t k = 0; k < parsed[i]->n_dependency; k++) {
			bool there = false;

			for (size_t j = 0; j < files->n_file_descriptor_proto; j++)
				there |= !strcmp(parsed[j]->name, parsed[i]->dependency[k]);
			assert_true(there);
		}
	for (size_t i = 0; i < files->n_file_descriptor_proto; i++)
		google__protobuf__file_descriptor_proto__free_unpacked(parsed[i], NULL);
}

static void test_files(void **state)
{
	static const char *const symbols[][2] = {
		{"flashsale.trial.v1.Trial", "trial.proto"},
		{"flashsale.trial.v1.Trial.Ask", "trial.proto"},
		{"flashsale.trial.v1.AskRequest", "trial.proto"},
		{"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"},
		{"flashsale.common.v1.REASON_SOLD_OUT", "flashsale/common/v1/reason.proto"},
	};
	struct trial *trial = *state;
	request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	response_message *response;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, V1, CLIENT_FOREVER, NULL);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
		request.file_containing_symbol = (char *)symbols[i][0];
		response = ask(&call, &request);
		check_files(response, symbols[i][1]);
		release(response);
	}
	request.message_request_case = ASK(FILE_BY_FILENAME);
	request.file_by_filename = (char *)"flashsale/inventory/v1/inventory.proto";
	response = ask(&call, &request);
	check_files(response, request.file_by_filename);
	release(response);
	client_half_close(&call);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void expect_error(struct client_call *call, const request_message *request, enum rpc_code code)
{
	response_message *response = ask(call, request);

	assert_int_equal(response->message_response_case, ANSWER(ERROR_RESPONSE));
	assert_int_equal(response->error_response->error_code, code);
	release(response);
}

static void test_errors_go_in_the_stream(void **state)
{
	struct trial *trial = *state;
	request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, V1, CLIENT_FOREVER, NULL);
	expect_error(&call, &request, RPC_UNIMPLEMENTED);
	request.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
	request.file_containing_symbol = (char *)"no.such.Thing";
	expect_error(&call, &request, RPC_NOT_FOUND);
	request.message_request_case = ASK(FILE_BY_FILENAME);
	request.file_by_filename = (char *)"no.proto";
	expect_error(&call, &request, RPC_NOT_FOUND);
	request.message_request_case = ASK(ALL_EXTENSION_NUMBERS_OF_TYPE);
	request.all_extension_numbers_of_type = (char *)"no.such.Thing";
	expect_error(&call, &request, RPC_NOT_FOUND);
	client_half_close(&call);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void test_extensions(void **state)
{
	enum { HTTP = 72295728 };
	struct trial *trial = *state;
	request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
	response_message *response;
	struct client_call call;
	struct rpc_status status;
	bool found = false;

	client_start(&call, &trial->client, V1, CLIENT_FOREVER, NULL);
	request.message_request_case = ASK(ALL_EXTENSION_NUMBERS_OF_TYPE);
	request.all_extension_numbers_of_type = (char *)"google.protobuf.MethodOptions";
	response = ask(&call, &request);
	assert_int_equal(response->message_response_case, ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE));
	for (size_t i = 0; i < response->all_extension_numbers_response->n_extension_number; i++)
		found |= response->all_extension_numbers_response->extension_number[i] == HTTP;
	assert_true(found);
	release(response);
	request.message_request_case = ASK(FILE_CONTAINING_EXTENSION);
	request.file_containing_extension = &extension;
	extension.containing_type = (char *)"google.protobuf.MethodOptions";
	extension.extension_number = HTTP;
	response = ask(&call, &request);
	check_files(response, "google/api/annotations.proto");
	release(response);
	extension.extension_number = 1;
	expect_error(&call, &request, RPC_NOT_FOUND);
	client_half_close(&call);
	client_finish(&call, &status);
}

static void test_client_leaves(void **state)
{
	struct trial *trial = *state;
	request_message request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	struct rpc_status status;

	for (int i = 0; i < 20; i++) {
		struct client_call call;

		client_start(&call, &trial->client, V1, CLIENT_FOREVER, NULL);
		client_send_message(&call, &request.base);
		if (i % 2)
			assert_true(client_receive(&call));
		grpc_call_cancel(call.call, NULL);
		client_finish(&call, &status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_go_in_the_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_extensions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_leaves, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
