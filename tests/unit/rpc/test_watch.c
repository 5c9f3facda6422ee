#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "trial.h"

enum { KEYS_MAX = 400, ITEMS_MAX = 7, REMOVED_MAX = 5 };

/* What a watcher that does as it is told believes. */
struct view {
	struct client_call call;
	char incarnation[64];
	uint64_t version;
	uint32_t values[KEYS_MAX]; /* 0: not there */
	int snapshots;
	bool in_snapshot;
	uint32_t messages;
};

static int setup(void **state)
{
	struct trial *trial = trial_new(NULL);
	struct id incarnation;

	id_random(&incarnation);
	trial->board =
		watch_board_new(&trial__watch_response__descriptor, &incarnation, ITEMS_MAX, REMOVED_MAX);
	*state = trial;
	return 0;
}

static int teardown(void **state)
{
	trial_free(*state);
	return 0;
}

static char *key_of(uint32_t number, char key[16])
{
	snprintf(key, 16, "key%u", number);
	return key;
}

static void put(struct trial *trial, uint32_t number, uint32_t value)
{
	Trial__Entry entry = TRIAL__ENTRY__INIT;
	char key[16];

	entry.key = key_of(number, key);
	entry.value = value;
	watch_board_put(trial->board, key, &entry.base);
}

static void drop(struct trial *trial, uint32_t number)
{
	char key[16];

	watch_board_remove(trial->board, key_of(number, key));
}

static void watch(struct trial *trial, struct view *view)
{
	Trial__WatchRequest request = TRIAL__WATCH_REQUEST__INIT;

	request.resume_incarnation = view->incarnation;
	request.resume_version = view->version;
	client_start(&view->call, &trial->client, TRIAL "Watch", CLIENT_FOREVER, NULL);
	client_send_message(&view->call, &request.base);
	client_half_close(&view->call);
}

static void leave(struct view *view)
{
	struct rpc_status status;

	grpc_call_cancel(view->call.call, NULL);
	client_finish(&view->call, &status);
}

static uint32_t number_of(const char *key)
{
	uint32_t number = (uint32_t)strtoul(key + 3, NULL, 10);

	assert_true(number < KEYS_MAX);
	return number;
}

static void take(struct view *view)
{
	Trial__WatchResponse *message;

	assert_true(client_receive(&view->call));
	message = client_unpack(&view->call, &trial__watch_response__descriptor);
	view->messages++;
	assert_non_null(message->header);
	assert_non_null(message->header->time);
	assert_true(message->n_items + message->n_removed_keys <= ITEMS_MAX);
	if (message->header->snapshot_begin) {
		view->in_snapshot = true; /* also within one: a slow watcher begins anew */
		view->snapshots++;
		memset(view->values, 0, sizeof(view->values));
	}
	for (size_t i = 0; i < message->n_removed_keys; i++)
		view->values[number_of(message->removed_keys[i])] = 0;
	for (size_t i = 0; i < message->n_items; i++)
		view->values[number_of(message->items[i]->key)] = message->items[i]->value;
	if (message->header->snapshot_end) {
		assert_true(view->in_snapshot);
		view->in_snapshot = false;
	}
	assert_true(view->in_snapshot ? message->header->version == 0
				      : message->header->version >= view->version);
	view->version = message->header->version;
	strcpy(view->incarnation, message->header->incarnation);
	trial__watch_response__free_unpacked(message, NULL);
}

static void take_until(struct view *view, uint64_t version)
{
	while (view->in_snapshot || view->version < version)
		take(view);
	assert_int_equal(view->version, version);
}

static void test_snapshot_and_deltas(void **state)
{
	struct trial *trial = *state;
	struct view *view = NEW(struct view);

	for (uint32_t i = 0; i < 20; i++)
		put(trial, i, i + 1);
	drop(trial, 3);
	watch(trial, view);
	take_until(view, 21);
	assert_int_equal(view->snapshots, 1);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(view->values[i], i == 3 ? 0 : i + 1);
	assert_true(view->messages >= 3); /* bounded ones */
	put(trial, 5, 500);
	put(trial, 3, 300);
	drop(trial, 7);
	drop(trial, 7); /* not there any more: no change */
	watch_board_flush(trial->board);
	take_until(view, 24);
	assert_int_equal(view->values[5], 500);
	assert_int_equal(view->values[3], 300);
	assert_int_equal(view->values[7], 0);
	assert_int_equal(view->values[8], 9);
	assert_int_equal(view->snapshots, 1);
	assert_int_equal(watch_board_count(trial->board), 19);
	leave(view);
	free(view);
}

static void test_empty_board(void **state)
{
	struct view *view = NEW(struct view);

	watch(*state, view);
	take(view);
	assert_int_equal(view->snapshots, 1);
	assert_false(view->in_snapshot);
	leave(view);
	free(view);
}

static void test_the_dismissed_come_again(void **state)
{
	struct trial *trial = *state;
	struct view *view = NEW(struct view);
	struct rpc_status status;

	put(trial, 1, 10);
	watch(trial, view);
	take_until(view, 1);
	watch_board_dismiss(trial->board);
	while (client_receive(&view->call))
		continue; /* heartbeats that were on their way */
	client_finish(&view->call, &status);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	put(trial, 2, 20);
	watch(trial, view);
	take_until(view, 2);
	assert_int_equal(view->snapshots, 1); /* it went on where it was */
	assert_int_equal(view->values[2], 20);
	leave(view);
	free(view);
}

static void test_resume(void **state)
{
	struct trial *trial = *state;
	struct view *view = NEW(struct view);

	for (uint32_t i = 0; i < 10; i++)
		put(trial, i, 1);
	watch(trial, view);
	take_until(view, 10);
	leave(view);
	put(trial, 2, 2);
	drop(trial, 4);
	watch(trial, view); /* missed two changes, and hears just those */
	view->messages = 0;
	take_until(view, 12);
	assert_int_equal(view->messages, 1);
	assert_int_equal(view->snapshots, 1);
	assert_int_equal(view->values[2], 2);
	assert_int_equal(view->values[4], 0);
	leave(view);
	watch(trial, view); /* missed nothing: the first message says so */
	take(view);
	assert_int_equal(view->snapshots, 1);
	assert_int_equal(view->version, 12);
	leave(view);
	free(view);
}

static void test_resume_needs_a_snapshot(void **state)
{
	struct trial *trial = *state;
	struct view *view = NEW(struct view);

	for (uint32_t i = 0; i < 20; i++)
		put(trial, i, 1);
	watch(trial, view);
	take_until(view, 20);
	leave(view);
	for (uint32_t i = 0; i < 10; i++) /* more removals than are remembered */
		drop(trial, i);
	watch(trial, view);
	take_until(view, 30);
	assert_int_equal(view->snapshots, 2);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(view->values[i], i >= 10);
	leave(view);
	strcpy(view->incarnation, "another");
	watch(trial, view);
	take(view);
	take_until(view, 30);
	assert_int_equal(view->snapshots, 3);
	leave(view);
	view->version = 1000; /* from the future */
	watch(trial, view);
	take(view);
	assert_int_equal(view->snapshots, 4);
	leave(view);
	free(view);
}

static void test_heartbeat(void **state)
{
	struct trial *trial = *state;
	struct view *view = NEW(struct view);
	int64_t began_ns;

	put(trial, 1, 1);
	watch(trial, view);
	take_until(view, 1);
	began_ns = clock_mono_ns();
	for (int i = 0; i < 4; i++)
		take(view); /* nothing happened: they come by themselves */
	assert_int_equal(view->version, 1);
	assert_int_equal(view->snapshots, 1);
	assert_true(clock_mono_ns() - began_ns >=
		    3 * WATCH_HEARTBEAT_MS * INT64_C(1000000)); /* and not more often */
	leave(view);
	free(view);
}

/* Without the wakes each change would wait for the next heartbeat. */
static void test_flush_wakes(void **state)
{
	enum { ROUNDS = 200 };
	struct trial *trial = *state;
	struct view *view = NEW(struct view);
	int64_t began_ns;

	put(trial, 0, 1);
	watch(trial, view);
	take_until(view, 1);
	began_ns = clock_mono_ns();
	for (uint32_t i = 2; i < ROUNDS; i++) {
		put(trial, 0, i);
		watch_board_flush(trial->board);
		while (view->version < i)
			take(view);
		assert_int_equal(view->values[0], i);
	}
	assert_true(clock_mono_ns() - began_ns < ROUNDS * WATCH_HEARTBEAT_MS * INT64_C(1000000) / 2);
	leave(view);
	free(view);
}

/* An entry that went out early in a long snapshot, and is removed before its end. */
static void test_removed_within_a_snapshot(void **state)
{
	enum { COUNT = 200, SIZE = 200 * 1000 };
	struct trial *trial = *state;
	struct view *view = NEW(struct view);
	Trial__Entry entry = TRIAL__ENTRY__INIT;

	entry.filler.len = SIZE;
	entry.filler.data = memory_new(SIZE);
	for (uint32_t i = 0; i < COUNT; i++) {
		char key[16];

		entry.key = key_of(i, key);
		entry.value = 1;
		watch_board_put(trial->board, key, &entry.base);
	}
	watch(trial, view);
	take(view);
	assert_true(view->in_snapshot && view->values[0]);
	drop(trial, 0);
	watch_board_flush(trial->board);
	take_until(view, COUNT + 1);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(view->values[i], i > 0);
	leave(view);
	free(entry.filler.data);
	free(view);
}

/* ---- one publishes, several come and go ---- */

struct publisher {
	struct trial *trial;
	uint32_t values[KEYS_MAX];
	uint64_t version;
};

static void *publish(void *argument)
{
	struct publisher *publisher = argument;
	uint32_t random = 12345;

	for (int i = 0; i < 20000; i++) {
		uint32_t number;

		random = random * 1664525 + 1013904223;
		number = (random >> 8) % KEYS_MAX;
		if (random >> 30 == 0) {
			publisher->version += publisher->values[number] != 0;
			publisher->values[number] = 0;
			drop(publisher->trial, number);
		} else {
			publisher->version++;
			publisher->values[number] = (uint32_t)i + 1;
			put(publisher->trial, number, (uint32_t)i + 1);
		}
		if (i % 10 == 0)
			watch_board_flush(publisher->trial->board);
	}
	watch_board_flush(publisher->trial->board);
	return NULL;
}

static void test_views_agree(void **state)
{
	struct trial *trial = *state;
	struct publisher *publisher = NEW(struct publisher);
	struct view *views[3];
	pthread_t thread;

	publisher->trial = trial;
	for (int i = 0; i < 3; i++) {
		views[i] = NEW(struct view);
		watch(trial, views[i]);
	}
	pthread_create(&thread, NULL, publish, publisher);
	for (int i = 0; i < 30; i++)
		for (int k = 0; k < 3; k++) {
			take(views[k]);
			if (i % 10 == 5 + k && !views[k]->in_snapshot) {
				leave(views[k]);
				watch(trial, views[k]);
			}
		}
	pthread_join(thread, NULL);
	for (int k = 0; k < 3; k++) {
		take_until(views[k], publisher->version);
		for (uint32_t i = 0; i < KEYS_MAX; i++)
			assert_int_equal(views[k]->values[i], publisher->values[i]);
		leave(views[k]);
		free(views[k]);
	}
	free(publisher);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_snapshot_and_deltas, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_board, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_dismissed_come_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume_needs_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_wakes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_within_a_snapshot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_views_agree, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
