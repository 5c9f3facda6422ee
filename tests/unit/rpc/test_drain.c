#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "trial.h"

struct drainer {
	struct trial *trial;
	int64_t leave_ms, grace_ms;
	_Atomic uint32_t over;
	pthread_t thread;
};

static void *drain(void *argument)
{
	struct drainer *drainer = argument;

	rpc_server_drain(drainer->trial->server, drainer->leave_ms, drainer->grace_ms);
	atomic_store(&drainer->over, 1);
	return NULL;
}

static void start_never(struct trial *trial, struct client_call *call)
{
	client_start(call, &trial->client, TRIAL "AskNever", CLIENT_FOREVER, NULL);
	client_send(call, "", 0);
	client_half_close(call);
	sem_wait(&trial->kept_one);
}

static void let_go(struct trial *trial)
{
	struct rpc_status status;

	rpc_status_set(&status, RPC_NOT_FOUND, "", "let go");
	rpc_fail(trial->kept, &status);
}

static void await_not_serving(struct drainer *drainer)
{
	struct client other;
	struct rpc_status status;

	/* Health says no at once; soon after no new call is taken at all. */
	do {
		struct client_call call;

		client_open(&other, rpc_server_port(drainer->trial->server), NULL, NULL);
		client_start(&call, &other, TRIAL "Ask", 200, NULL);
		client_finish(&call, &status);
		client_close(&other);
	} while (status.code == RPC_OK || status.code == RPC_INVALID_ARGUMENT);
}

static void test_waits_for_calls(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct drainer drainer = {.trial = trial, .grace_ms = 20000};
	struct client_call call;
	struct rpc_status status;

	start_never(trial, &call);
	pthread_create(&drainer.thread, NULL, drain, &drainer);
	await_not_serving(&drainer);
	assert_int_equal(drainer.over, 0);
	let_go(trial);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_NOT_FOUND); /* it got its answer */
	trial_await(&drainer.over, 1);
	pthread_join(drainer.thread, NULL);
	trial_free(trial);
}

static bool asks_in_vain(struct client *client)
{
	struct rpc_status status;

	client_unary(client, TRIAL "Ask", "", 0, &status, NULL, NULL);
	return status.code != RPC_OK && status.code != RPC_INVALID_ARGUMENT;
}

/* NOT_SERVING is said at once; calls are taken until the one that was open has ended. */
static void test_serves_until_callers_have_left(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct drainer drainer = {.trial = trial, .leave_ms = 1000 * 1000, .grace_ms = 1000 * 1000};
	struct client_call call, health;
	struct rpc_status status;

	start_never(trial, &call);
	rpc_server_set_serving(trial->server, true);
	client_start(&health, &trial->client, "/grpc.health.v1.Health/Watch", CLIENT_FOREVER, NULL);
	client_send(&health, "", 0);
	client_half_close(&health);
	assert_true(client_receive(&health));
	pthread_create(&drainer.thread, NULL, drain, &drainer);
	assert_true(client_receive(&health)); /* the change */
	for (int i = 0; i < 10; i++)
		assert_false(asks_in_vain(&trial->client));
	assert_int_equal(drainer.over, 0);
	grpc_call_cancel(health.call, NULL);
	client_finish(&health, &status);
	let_go(trial);
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_NOT_FOUND);
	trial_await(&drainer.over, 1);
	pthread_join(drainer.thread, NULL);
	trial_free(trial);
}

/* Who does not leave is not waited for any longer. */
static void test_the_time_to_leave_ends(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct drainer drainer = {.trial = trial, .leave_ms = 20, .grace_ms = 20};
	struct client_call call;
	struct rpc_status status;

	start_never(trial, &call);
	pthread_create(&drainer.thread, NULL, drain, &drainer);
	client_finish(&call, &status);
	assert_int_not_equal(status.code, RPC_OK);
	trial_await(&drainer.over, 1);
	pthread_join(drainer.thread, NULL);
	let_go(trial);
	trial_free(trial);
}

static void test_cancels_after_the_grace(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct drainer drainer = {.trial = trial, .grace_ms = 50};
	struct client_call call;
	struct rpc_status status;

	start_never(trial, &call);
	pthread_create(&drainer.thread, NULL, drain, &drainer);
	client_finish(&call, &status);
	assert_int_not_equal(status.code, RPC_OK);
	trial_await(&drainer.over, 1); /* although the method holds its call */
	pthread_join(drainer.thread, NULL);
	assert_true(rpc_abandoned(trial->kept));
	let_go(trial);
	trial_free(trial);
}

/* Streams that wait do not cost the grace: who watches is told to ask another. */
static void test_ends_streams_that_wait(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct drainer drainer = {.trial = trial, .grace_ms = 1000 * 1000};
	struct client_call out, in, health;
	Trial__AddRequest number = TRIAL__ADD_REQUEST__INIT;
	struct rpc_status status;

	client_start(&out, &trial->client, TRIAL "Count", CLIENT_FOREVER, NULL);
	client_send(&out, "", 0);
	client_half_close(&out);
	trial_await(&trial->pulls, 1);
	client_start(&in, &trial->client, TRIAL "Add", CLIENT_FOREVER, NULL);
	client_send_message(&in, &number.base);
	trial_await(&trial->pulls, 2);
	client_start(&health, &trial->client, "/grpc.health.v1.Health/Watch", CLIENT_FOREVER, NULL);
	client_send(&health, "", 0);
	client_half_close(&health);
	assert_true(client_receive(&health));
	pthread_create(&drainer.thread, NULL, drain, &drainer);
	trial_await(&drainer.over, 1);
	pthread_join(drainer.thread, NULL);
	client_finish(&out, &status);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	client_finish(&in, &status);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	client_finish(&health, &status);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	assert_int_equal(trial->stream_ends, 2);
	trial_free(trial);
}

static void test_free_without_drain(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct rpc_status status;

	client_unary(&trial->client, TRIAL "Ask", "", 0, &status, NULL, NULL);
	assert_int_equal(status.code, RPC_OK);
	trial_free(trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_calls),
		cmocka_unit_test(test_serves_until_callers_have_left),
		cmocka_unit_test(test_the_time_to_leave_ends),
		cmocka_unit_test(test_cancels_after_the_grace),
		cmocka_unit_test(test_ends_streams_that_wait),
		cmocka_unit_test(test_free_without_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
