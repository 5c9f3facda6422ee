/* The ring between the door's thread and the loop: in order, bounded, and nobody sleeps while something is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "gatekeeper/edge/events.h"

#define MANY 200000

static struct events events;

static int setup(void **state)
{
	events_init(&events);
	return 0;
}

static int teardown(void **state)
{
	events_release(&events);
	return 0;
}

static bool put(int64_t number)
{
	struct event *event = events_place(&events);

	assert_non_null(event);
	event->time_us = number;
	return events_put(&events);
}

static int64_t take(void)
{
	const struct event *event = events_first(&events);
	int64_t number;

	assert_non_null(event);
	number = event->time_us;
	events_take(&events);
	return number;
}

static void what_was_put_comes_out_in_order(void **state)
{
	for (int64_t round = 0; round < 5 * EVENTS_ROOM; round += 3) {
		for (int64_t i = 0; i < 3; i++)
			put(round + i);
		for (int64_t i = 0; i < 3; i++)
			assert_int_equal(take(), round + i);
		assert_null(events_first(&events));
	}
}

static void what_has_no_room_is_dropped_and_counted(void **state)
{
	for (int64_t i = 0; i < EVENTS_ROOM; i++)
		put(i);
	for (int i = 0; i < 7; i++)
		assert_null(events_place(&events));
	assert_int_equal(events_dropped(&events), 7);
	assert_int_equal(events_dropped(&events), 0);
	for (int64_t i = 0; i < EVENTS_ROOM; i++)
		assert_int_equal(take(), i);
	put(1);
	assert_int_equal(take(), 1);
}

static void the_reader_is_woken_once(void **state)
{
	assert_true(put(1));
	assert_false(put(2));
	assert_false(events_sleep(&events)); /* there is something to read */
	take();
	take();
	assert_true(events_sleep(&events));
	assert_true(put(3));
}

/* ---- both at once ---- */

static sem_t wakes;

static void *write_many(void *unused)
{
	for (int64_t i = 0; i < MANY;) {
		struct event *event = events_place(&events);

		if (!event)
			continue;
		event->time_us = i++;
		memset(event->user_id, 'u', sizeof(event->user_id));
		if (events_put(&events))
			sem_post(&wakes);
	}
	return NULL;
}

static void nothing_is_lost_between_two_threads(void **state)
{
	pthread_t writer;
	int64_t next = 0;

	sem_init(&wakes, 0, 0);
	assert_int_equal(pthread_create(&writer, NULL, write_many, NULL), 0);
	while (next < MANY) {
		assert_int_equal(sem_wait(&wakes), 0);
		do {
			while (events_first(&events))
				assert_int_equal(take(), next++);
		} while (!events_sleep(&events));
	}
	pthread_join(writer, NULL);
	assert_null(events_first(&events));
	sem_destroy(&wakes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(what_was_put_comes_out_in_order),
		TEST(what_has_no_room_is_dropped_and_counted),
		TEST(the_reader_is_woken_once),
		TEST(nothing_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
