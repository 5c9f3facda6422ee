#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/loop.h"

static int setup(void **state)
{
	*state = rpc_loop_new("test loop with a long name");
	return 0;
}

static int teardown(void **state)
{
	rpc_loop_free(*state);
	return 0;
}

/* A task that says where it ran and in which order. */
struct probe {
	struct rpc_task task;
	struct rpc_loop *loop;
	sem_t *done;
	int *counter;
	int order;
	bool on_loop;
};

static void probe_run(struct rpc_task *task)
{
	struct probe *probe = container_of(task, struct probe, task);

	probe->on_loop = rpc_on_loop(probe->loop);
	probe->order = (*probe->counter)++;
	if (probe->done)
		sem_post(probe->done);
}

static void test_post_runs_on_the_loop(void **state)
{
	struct rpc_loop *loop = *state;
	sem_t done;
	int counter = 0;
	struct probe probe = {.task.run = probe_run, .loop = loop, .done = &done, .counter = &counter};

	sem_init(&done, 0, 0);
	assert_false(rpc_on_loop(loop));
	rpc_post(loop, &probe.task);
	sem_wait(&done);
	assert_true(probe.on_loop);
}

static void note(void *context)
{
	*(int *)context += 1;
}

static void test_run_waits(void **state)
{
	struct rpc_loop *loop = *state;
	int counter = 0;
	struct probe probe = {.task.run = probe_run, .loop = loop, .counter = &counter};

	rpc_run(loop, note, &counter);
	assert_int_equal(counter, 1);
	rpc_post(loop, &probe.task);
	rpc_run(loop, NULL, NULL);
	assert_int_equal(counter, 2);
}

static void test_list_keeps_its_order(void **state)
{
	enum { COUNT = 1000 };
	struct rpc_loop *loop = *state;
	struct probe *probes = NEW_ARRAY(COUNT, struct probe);
	sem_t done;
	int counter = 0;

	sem_init(&done, 0, 0);
	for (int i = 0; i < COUNT; i++) {
		probes[i] = (struct probe){.task.run = probe_run, .loop = loop, .counter = &counter};
		if (i)
			probes[i - 1].task.next = &probes[i].task;
	}
	probes[COUNT - 1].done = &done;
	rpc_post_list(loop, &probes[0].task, &probes[COUNT - 1].task);
	sem_wait(&done);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(probes[i].order, i);
	free(probes);
}

/* One thread goes back and forth with the loop: each post meets it idle, going idle or busy. */
static void test_no_wake_is_lost(void **state)
{
	struct rpc_loop *loop = *state;
	sem_t done;
	int counter = 0;
	struct probe probe = {.task.run = probe_run, .loop = loop, .done = &done, .counter = &counter};

	sem_init(&done, 0, 0);
	for (int i = 0; i < 5000; i++) {
		rpc_post(loop, &probe.task);
		sem_wait(&done);
	}
	assert_int_equal(counter, 5000);
}

enum { PRODUCERS = 4, POSTS = 5000 };
struct producer {
	struct rpc_loop *loop;
	sem_t *done;
	int *counter;
	struct probe probes[POSTS];
};

static void *produce(void *argument)
{
	struct producer *producer = argument;

	for (int i = 0; i < POSTS; i++) {
		producer->probes[i] = (struct probe){.task.run = probe_run,
			.loop = producer->loop,
			.done = producer->done,
			.counter = producer->counter};
		rpc_post(producer->loop, &producer->probes[i].task);
	}
	return NULL;
}

static void test_many_producers(void **state)
{
	struct producer *producers = NEW_ARRAY(PRODUCERS, struct producer);
	pthread_t threads[PRODUCERS];
	sem_t done;
	int counter = 0;

	sem_init(&done, 0, 0);
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i].loop = *state;
		producers[i].done = &done;
		producers[i].counter = &counter;
		pthread_create(&threads[i], NULL, produce, &producers[i]);
	}
	for (int i = 0; i < PRODUCERS * POSTS; i++)
		sem_wait(&done);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(counter, PRODUCERS * POSTS);
	for (int i = 0; i < PRODUCERS; i++)
		for (int k = 1; k < POSTS; k++)
			assert_true(producers[i].probes[k - 1].order < producers[i].probes[k].order);
	free(producers);
}

/* ---- timers ---- */

enum { TIMERS = 300 };
struct timers {
	struct rpc_task task;
	struct rpc_loop *loop;
	struct rpc_timer timers[TIMERS];
	int64_t due_ns[TIMERS];
	int fired;
	int64_t last_due_ns;
	bool in_order, never_early;
	sem_t done;
};
static struct timers bench;

static void timer_fired(struct rpc_task *task)
{
	struct rpc_timer *timer = container_of(task, struct rpc_timer, task);
	ptrdiff_t i = timer - bench.timers;

	bench.never_early &= clock_mono_ns() >= bench.due_ns[i];
	bench.in_order &= bench.due_ns[i] >= bench.last_due_ns;
	bench.last_due_ns = bench.due_ns[i];
	if (++bench.fired == TIMERS / 3 * 2)
		sem_post(&bench.done);
}

/* Each third one is stopped; another third is started twice, so that only its later time counts. */
static void start_timers(struct rpc_task *task)
{
	for (int i = 0; i < TIMERS; i++) {
		bench.timers[i].task.run = timer_fired;
		rpc_timer_start(bench.loop, &bench.timers[i], (i * 37) % 50);
	}
	for (int i = 0; i < TIMERS; i += 3) {
		rpc_timer_stop(bench.loop, &bench.timers[i]);
		rpc_timer_stop(bench.loop, &bench.timers[i]);
		rpc_timer_start(bench.loop, &bench.timers[i + 1], (i * 53) % 60);
		bench.due_ns[i + 1] = bench.timers[i + 1].at_ns;
		bench.due_ns[i + 2] = bench.timers[i + 2].at_ns;
	}
}

static void test_timers(void **state)
{
	bench = (struct timers){
		.loop = *state, .in_order = true, .never_early = true, .task.run = start_timers};
	sem_init(&bench.done, 0, 0);
	rpc_post(bench.loop, &bench.task);
	sem_wait(&bench.done);
	rpc_loop_free(*state);
	*state = rpc_loop_new("next");
	assert_int_equal(bench.fired, TIMERS / 3 * 2);
	assert_true(bench.in_order);
	assert_true(bench.never_early);
	for (int i = 0; i < TIMERS; i++)
		assert_int_equal(bench.timers[i].position, 0);
}

/* ---- the end of a turn ---- */

struct gathering {
	struct rpc_task first, second, leave, later;
	struct rpc_loop *loop;
	int gathered, gathered_at_leave;
	bool later_ran;
	sem_t done;
};

static void gather_first(struct rpc_task *task)
{
	struct gathering *gathering = container_of(task, struct gathering, first);

	gathering->gathered++;
	rpc_at_turn_end(gathering->loop, &gathering->leave);
}

static void gather_second(struct rpc_task *task)
{
	container_of(task, struct gathering, second)->gathered++;
}

static void gather_leave(struct rpc_task *task)
{
	struct gathering *gathering = container_of(task, struct gathering, leave);

	gathering->gathered_at_leave = gathering->gathered;
	rpc_post(gathering->loop,
		&gathering->later); /* from the loop itself: no wake is needed, none is missed */
}

static void gather_later(struct rpc_task *task)
{
	struct gathering *gathering = container_of(task, struct gathering, later);

	gathering->later_ran = true;
	sem_post(&gathering->done);
}

static void test_turn_end_comes_after_the_turn(void **state)
{
	struct gathering gathering = {.first.run = gather_first,
		.second.run = gather_second,
		.leave.run = gather_leave,
		.later.run = gather_later,
		.loop = *state};

	sem_init(&gathering.done, 0, 0);
	gathering.first.next = &gathering.second;
	rpc_post_list(*state, &gathering.first, &gathering.second);
	sem_wait(&gathering.done);
	assert_int_equal(gathering.gathered_at_leave, 2);
	assert_true(gathering.later_ran);
}

static void test_free_runs_what_was_posted(void **state)
{
	struct rpc_loop *loop = rpc_loop_new("short");
	int counter = 0;
	struct probe probes[100];

	for (int i = 0; i < 100; i++) {
		probes[i] = (struct probe){.task.run = probe_run, .loop = loop, .counter = &counter};
		rpc_post(loop, &probes[i].task);
	}
	rpc_loop_free(loop);
	assert_int_equal(counter, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_post_runs_on_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_keeps_its_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_wake_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_producers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turn_end_comes_after_the_turn, setup, teardown),
		cmocka_unit_test(test_free_runs_what_was_posted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
