#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "grpc/health/v1/health.pb-c.h"
#include "trial.h"

#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name
#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

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

static enum rpc_code check(struct trial *trial, const char *service, int *ret)
{
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckResponse *response = NULL;
	struct rpc_status status;

	request.service = (char *)service;
	client_ask(&trial->client, CHECK, &request.base, &status,
		&grpc__health__v1__health_check_response__descriptor, &response);
	if (response) {
		*ret = (int)response->status;
		grpc__health__v1__health_check_response__free_unpacked(response, NULL);
	}
	return status.code;
}

static void test_check(void **state)
{
	struct trial *trial = *state;
	int now = -1;

	assert_int_equal(check(trial, "", &now), RPC_OK);
	assert_int_equal(now, STATUS(NOT_SERVING)); /* from the start */
	rpc_server_set_serving(trial->server, true);
	assert_int_equal(check(trial, "", &now), RPC_OK);
	assert_int_equal(now, STATUS(SERVING));
	assert_int_equal(check(trial, "flashsale.trial.v1.Trial", &now), RPC_OK);
	assert_int_equal(now, STATUS(SERVING));
	rpc_server_set_serving(trial->server, false);
	assert_int_equal(check(trial, "grpc.health.v1.Health", &now), RPC_OK);
	assert_int_equal(now, STATUS(NOT_SERVING));
	assert_int_equal(check(trial, "nobody", &now), RPC_NOT_FOUND);
}

static void test_liveness_is_no_readiness(void **state)
{
	struct trial *trial = *state;
	int now = -1;

	assert_int_equal(check(trial, "liveness", &now), RPC_OK);
	assert_int_equal(now, STATUS(SERVING));
	rpc_server_set_serving(trial->server, true);
	rpc_server_set_serving(trial->server, false);
	assert_int_equal(check(trial, "liveness", &now), RPC_OK);
	assert_int_equal(now, STATUS(SERVING));
}

static void watch(struct trial *trial, struct client_call *call, const char *service)
{
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;

	request.service = (char *)service;
	client_start(call, &trial->client, WATCH, CLIENT_FOREVER, NULL);
	client_send_message(call, &request.base);
	client_half_close(call);
}

static int next(struct client_call *call)
{
	Grpc__Health__V1__HealthCheckResponse *response;
	int status;

	assert_true(client_receive(call));
	response = client_unpack(call, &grpc__health__v1__health_check_response__descriptor);
	status = (int)response->status;
	grpc__health__v1__health_check_response__free_unpacked(response, NULL);
	return status;
}

static void test_watch(void **state)
{
	struct trial *trial = *state;
	struct client_call all, one, nobody;
	struct rpc_status status;

	watch(trial, &all, "");
	watch(trial, &one, "flashsale.trial.v1.Trial");
	watch(trial, &nobody, "nobody");
	assert_int_equal(next(&all), STATUS(NOT_SERVING));
	assert_int_equal(next(&one), STATUS(NOT_SERVING));
	assert_int_equal(next(&nobody), STATUS(SERVICE_UNKNOWN)); /* and it stays open */
	for (int i = 0; i < 50; i++) {
		rpc_server_set_serving(trial->server, true);
		rpc_server_set_serving(trial->server, true); /* no change: no message */
		assert_int_equal(next(&all), STATUS(SERVING));
		assert_int_equal(next(&one), STATUS(SERVING));
		rpc_server_set_serving(trial->server, false);
		assert_int_equal(next(&all), STATUS(NOT_SERVING));
		assert_int_equal(next(&one), STATUS(NOT_SERVING));
	}
	grpc_call_cancel(all.call, NULL);
	grpc_call_cancel(one.call, NULL);
	grpc_call_cancel(nobody.call, NULL);
	client_finish(&all, &status);
	client_finish(&one, &status);
	client_finish(&nobody, &status);
	assert_int_equal(status.code, RPC_CANCELLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_liveness_is_no_readiness, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watch, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
