/* Everything at once: callers that stay, leave and wait, answers from the loop and from a writer's thread in lists, wakes from several threads while
 * streams come and go. What it finds, ThreadSanitizer and AddressSanitizer find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "trial.h"

enum { CALLERS = 4, ROUNDS = 150, WAKERS = 2, STREAMS = 40 };

struct caller {
	struct trial *trial;
	int number;
	uint32_t answered, left;
	pthread_t thread;
};

/* Each third call is dropped by its caller at some moment. */
static void *call_on(void *argument)
{
	struct caller *caller = argument;
	struct client client;
	struct rpc_status status;

	client_open(&client, rpc_server_port(caller->trial->server), NULL, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		bool leaves = (i + caller->number) % 3 == 0;
		struct client_call call;

		client_start(&call, &client, TRIAL "AskWriter", CLIENT_WAIT_S * 1000, NULL);
		client_send(&call, "\x0a\x05hello", 7);
		client_half_close(&call);
		if (leaves)
			grpc_call_cancel(call.call, NULL);
		else
			client_receive(&call);
		client_finish(&call, &status);
		caller->answered += status.code == RPC_OK;
		caller->left += leaves;
	}
	client_close(&client);
	return NULL;
}

static void test_callers(void **state)
{
	struct rpc_limits limits = trial_limits;
	struct trial *trial;
	struct caller callers[CALLERS];

	limits.calls_max = 1000;
	trial = trial_new(&limits);
	for (int i = 0; i < CALLERS; i++) {
		callers[i] = (struct caller){.trial = trial, .number = i};
		pthread_create(&callers[i].thread, NULL, call_on, &callers[i]);
	}
	for (int i = 0; i < CALLERS; i++) {
		pthread_join(callers[i].thread, NULL);
		assert_true(callers[i].answered >= ROUNDS - callers[i].left);
	}
	trial_free(trial);
}

/* ---- wakes: none is lost, and none comes to a stream that has ended ---- */

struct waking {
	struct trial *trial;
	_Atomic bool over;
	pthread_t threads[WAKERS];
};

static void *wake_on(void *argument)
{
	struct waking *waking = argument;

	while (!atomic_load(&waking->over))
		trial_tick(waking->trial); /* a number more, and a wake for each stream */
	return NULL;
}

static void test_wakes(void **state)
{
	struct rpc_limits limits = trial_limits;
	struct waking waking = {.over = false};
	struct trial *trial;
	struct rpc_status status;

	limits.streams_max = STREAMS; /* those that were left may still be there for a while */
	trial = waking.trial = trial_new(&limits);

	for (int i = 0; i < WAKERS; i++)
		pthread_create(&waking.threads[i], NULL, wake_on, &waking);
	for (int i = 0; i < STREAMS; i++) {
		struct client_call call;

		client_start(&call, &trial->client, TRIAL "Follow", CLIENT_FOREVER, NULL);
		client_send(&call, "", 0);
		client_half_close(&call);
		for (int k = 0; k < i % 5; k++)
			assert_true(client_receive(&call));
		grpc_call_cancel(call.call, NULL);
		client_finish(&call, &status);
	}
	atomic_store(&waking.over, true);
	for (int i = 0; i < WAKERS; i++)
		pthread_join(waking.threads[i], NULL);
	trial_free(trial);
}

static uint32_t take_number(struct client_call *call)
{
	Trial__CountResponse *response;
	uint32_t number;

	assert_true(client_receive(call));
	response = client_unpack(call, &trial__count_response__descriptor);
	number = response->number;
	trial__count_response__free_unpacked(response, NULL);
	return number;
}

/* Each wake meets the stream in another state: waiting, writing, about to wait. */
static void test_no_wake_is_lost(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct client_call call;
	struct rpc_status status;

	client_start(&call, &trial->client, TRIAL "Follow", CLIENT_FOREVER, NULL);
	client_send(&call, "", 0);
	client_half_close(&call);
	assert_int_equal(take_number(&call), 0);
	for (uint32_t i = 1; i <= 3000; i++) {
		trial_tick(trial);
		while (take_number(&call) < i)
			;
	}
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	trial_free(trial);
}

/* The wake that comes while another is being served. */
static void test_wake_in_wake(void **state)
{
	struct trial *trial = trial_new(NULL);
	Trial__CountRequest request = TRIAL__COUNT_REQUEST__INIT;
	struct client_call call;
	struct rpc_status status;

	request.to = 10;
	client_start(&call, &trial->client, TRIAL "Follow", CLIENT_FOREVER, NULL);
	client_send_message(&call, &request.base);
	client_half_close(&call);
	for (uint32_t i = 0; i <= request.to; i++)
		assert_int_equal(take_number(&call), i);
	grpc_call_cancel(call.call, NULL);
	client_finish(&call, &status);
	trial_free(trial);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callers),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_no_wake_is_lost),
		cmocka_unit_test(test_wake_in_wake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
