#include "rpc/loop.h"

#include <assert.h>
#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/signals.h"
#include "rpc/grpc_locks.h"
#include "rpc/grpc_log.h"
#include "rpc/tag.h"

/* Events taken before gathered work leaves and timers are looked at: large enough to gather, small enough to be on time. */
#define TURN_EVENTS_MAX 128
#define THREAD_NAME_MAX 15 /* Linux */

struct task_list {
	struct rpc_task *first, **last;
};

struct rpc_loop {
	grpc_completion_queue *queue;
	grpc_channel *lame;
	grpc_call *bell; /* an empty batch on it wakes the loop */
	struct rpc_tag rung;
	pthread_t thread;
	char name[THREAD_NAME_MAX + 1];

	pthread_mutex_t lock; /* guards the two below */
	struct task_list posted;
	bool ringing; /* from the decision to wake until that wake arrived: the one tag flies once at a time */
	pthread_mutex_t
		bell_lock; /* held while the wake is started, so that the end can wait for whoever is in there */

	/* the loop thread's own */
	bool ending;
	struct task_list turn_end;
	struct rpc_timer **heap; /* from 1; earliest first */
	uint32_t heap_count, heap_room;
};

static _Thread_local const struct rpc_loop *current_loop;

static void list_init(struct task_list *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void list_append(struct task_list *list, struct rpc_task *first, struct rpc_task *last)
{
	last->next = NULL;
	*list->last = first;
	list->last = &last->next;
}

/* Runs what is there now; what these tasks append waits for the next time. */
static void list_run(struct rpc_task *task)
{
	while (task) {
		struct rpc_task *next = task->next; /* run() may free the task */

		task->run(task);
		task = next;
	}
}

static struct rpc_task *list_take(struct task_list *list)
{
	struct rpc_task *first = list->first;

	list_init(list);
	return first;
}

/* ---- posts ---- */

static void bell_rung(struct rpc_tag *tag, bool ok)
{
	struct rpc_loop *loop = container_of(tag, struct rpc_loop, rung);

	/* What was posted is taken later in this turn: no wake is lost by allowing the next one already. */
	pthread_mutex_lock(&loop->lock);
	loop->ringing = false;
	pthread_mutex_unlock(&loop->lock);
}

void rpc_post_list(struct rpc_loop *loop, struct rpc_task *first, struct rpc_task *last)
{
	assert(first && last);
	pthread_mutex_lock(&loop->lock);
	list_append(&loop->posted, first, last);
	if (loop->ringing || current_loop == loop) {
		pthread_mutex_unlock(&loop->lock);
		return;
	}
	loop->ringing = true;
	pthread_mutex_lock(&loop->bell_lock); /* never contended but at the loop's end */
	pthread_mutex_unlock(&loop->lock);    /* before the wake, or the woken loop runs into it */
	if (!rpc_batch_start(loop->bell, NULL, 0, &loop->rung))
		abort();
	pthread_mutex_unlock(&loop->bell_lock);
}

void rpc_post(struct rpc_loop *loop, struct rpc_task *task)
{
	rpc_post_list(loop, task, task);
}

struct errand {
	struct rpc_task task;
	void (*run)(void *context);
	void *context;
	sem_t done;
};

static void errand_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	if (errand->run)
		errand->run(errand->context);
	sem_post(&errand->done);
}

void rpc_run(struct rpc_loop *loop, void (*run)(void *context), void *context)
{
	struct errand errand = {.task.run = errand_run, .run = run, .context = context};

	assert(!rpc_on_loop(loop));
	sem_init(&errand.done, 0, 0);
	rpc_post(loop, &errand.task);
	while (sem_wait(&errand.done) != 0)
		continue;
	sem_destroy(&errand.done);
}

bool rpc_on_loop(const struct rpc_loop *loop)
{
	return current_loop == loop;
}

static void run_posted(struct rpc_loop *loop)
{
	struct rpc_task *first;

	pthread_mutex_lock(&loop->lock);
	first = list_take(&loop->posted);
	pthread_mutex_unlock(&loop->lock);
	list_run(first);
}

static bool any_posted(struct rpc_loop *loop)
{
	bool any;

	pthread_mutex_lock(&loop->lock);
	any = loop->posted.first != NULL;
	pthread_mutex_unlock(&loop->lock);
	return any;
}

/* ---- timers: a binary heap, each timer knows its place ---- */

static void heap_set(struct rpc_loop *loop, uint32_t position, struct rpc_timer *timer)
{
	loop->heap[position] = timer;
	timer->position = position;
}

static void heap_up(struct rpc_loop *loop, uint32_t position, struct rpc_timer *timer)
{
	while (position > 1 && loop->heap[position / 2]->at_ns > timer->at_ns) {
		heap_set(loop, position, loop->heap[position / 2]);
		position /= 2;
	}
	heap_set(loop, position, timer);
}

static void heap_down(struct rpc_loop *loop, uint32_t position, struct rpc_timer *timer)
{
	for (;;) {
		uint32_t child = position * 2;

		if (child > loop->heap_count)
			break;
		if (child < loop->heap_count && loop->heap[child + 1]->at_ns < loop->heap[child]->at_ns)
			child++;
		if (loop->heap[child]->at_ns >= timer->at_ns)
			break;
		heap_set(loop, position, loop->heap[child]);
		position = child;
	}
	heap_set(loop, position, timer);
}

static void heap_remove(struct rpc_loop *loop, struct rpc_timer *timer)
{
	uint32_t position = timer->position;
	struct rpc_timer *moved = loop->heap[loop->heap_count--];

	assert(loop->heap[position] == timer || moved == timer);
	timer->position = 0;
	if (moved == timer)
		return;
	if (moved->at_ns < timer->at_ns)
		heap_up(loop, position, moved);
	else
		heap_down(loop, position, moved);
}

void rpc_timer_start(struct rpc_loop *loop, struct rpc_timer *timer, int64_t delay_ms)
{
	assert(rpc_on_loop(loop) && timer->task.run);
	rpc_timer_stop(loop, timer);
	timer->at_ns = clock_mono_ns() + (delay_ms > 0 ? delay_ms : 0) * 1000000;
	if (loop->heap_count + 1 >= loop->heap_room) {
		loop->heap_room = loop->heap_room ? loop->heap_room * 2 : 64;
		loop->heap = memory_resize(loop->heap, loop->heap_room, sizeof(*loop->heap));
	}
	heap_up(loop, ++loop->heap_count, timer);
}

void rpc_timer_stop(struct rpc_loop *loop, struct rpc_timer *timer)
{
	assert(rpc_on_loop(loop));
	if (timer->position)
		heap_remove(loop, timer);
}

/* Those that are due as it begins; one that re-arms itself with no delay waits for the next turn. */
static void run_timers(struct rpc_loop *loop)
{
	int64_t now_ns;

	if (!loop->heap_count)
		return;
	now_ns = clock_mono_ns();
	while (loop->heap_count && loop->heap[1]->at_ns <= now_ns) {
		struct rpc_timer *timer = loop->heap[1];

		heap_remove(loop, timer);
		timer->task.run(&timer->task);
	}
}

/* ---- the turn ---- */

void rpc_at_turn_end(struct rpc_loop *loop, struct rpc_task *task)
{
	assert(rpc_on_loop(loop));
	list_append(&loop->turn_end, task, task);
}

static gpr_timespec time_monotonic(int64_t at_ns)
{
	return (gpr_timespec){.tv_sec = at_ns / 1000000000,
		.tv_nsec = (int32_t)(at_ns % 1000000000),
		.clock_type = GPR_CLOCK_MONOTONIC};
}

static gpr_timespec next_deadline(struct rpc_loop *loop)
{
	if (loop->turn_end.first || any_posted(loop))
		return gpr_time_0(GPR_CLOCK_MONOTONIC);
	if (loop->heap_count)
		return time_monotonic(loop->heap[1]->at_ns);
	return gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

/* Waits for the first event, then takes what else is there. False: the queue is shut down and empty. */
static bool take_events(struct rpc_loop *loop, gpr_timespec deadline)
{
	for (int i = 0; i < TURN_EVENTS_MAX; i++) {
		grpc_event event = grpc_completion_queue_next(loop->queue, deadline, NULL);

		if (event.type == GRPC_QUEUE_SHUTDOWN)
			return false;
		if (event.type == GRPC_QUEUE_TIMEOUT)
			return true;
		rpc_tag_arrive(event.tag, event.success);
		deadline = gpr_time_0(GPR_CLOCK_MONOTONIC);
	}
	return true;
}

static bool turn(struct rpc_loop *loop)
{
	bool open = take_events(loop, next_deadline(loop));

	run_posted(loop);
	run_timers(loop);
	list_run(list_take(&loop->turn_end));
	return open;
}

static bool should_end(struct rpc_loop *loop)
{
	bool end;

	pthread_mutex_lock(&loop->lock);
	end = loop->ending && !loop->posted.first && !loop->ringing;
	pthread_mutex_unlock(&loop->lock);
	return end && !loop->turn_end.first;
}

static void *loop_main(void *argument)
{
	struct rpc_loop *loop = argument;

	current_loop = loop;
	while (!should_end(loop))
		turn(loop);
	grpc_completion_queue_shutdown(loop->queue);
	while (turn(loop))
		;
	current_loop = NULL;
	return NULL;
}

/* ---- its life ---- */

static grpc_call *bell_new(struct rpc_loop *loop)
{
	return grpc_channel_create_call(loop->lame, NULL, GRPC_PROPAGATE_DEFAULTS, loop->queue,
		grpc_slice_from_static_string("/bell"), NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void start_thread(struct rpc_loop *loop)
{
	sigset_t all, before;
	int result;

	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&loop->thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result)
		abort();
	pthread_setname_np(loop->thread, loop->name);
}

struct rpc_loop *rpc_loop_new(const char *name)
{
	struct rpc_loop *loop = NEW(struct rpc_loop);

	grpc_log_redirect();
	grpc_locks_relax();
	grpc_init();
	memcpy(loop->name, name, strnlen(name, THREAD_NAME_MAX));
	loop->queue = grpc_completion_queue_create_for_next(NULL);
	loop->lame = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "no calls here");
	loop->bell = bell_new(loop);
	rpc_tag_init(&loop->rung, bell_rung);
	pthread_mutex_init(&loop->lock, NULL);
	pthread_mutex_init(&loop->bell_lock, NULL);
	list_init(&loop->posted);
	list_init(&loop->turn_end);
	start_thread(loop);
	return loop;
}

struct end {
	struct rpc_task task;
	struct rpc_loop *loop;
};

/* Here and not where it is posted: a loop that knows too early shuts its queue down under the wake. */
static void end_run(struct rpc_task *task)
{
	container_of(task, struct end, task)->loop->ending = true;
}

void rpc_loop_free(struct rpc_loop *loop)
{
	struct end end = {.task.run = end_run, .loop = loop};

	if (!loop)
		return;
	assert(!rpc_on_loop(loop));
	rpc_post(loop, &end.task);
	pthread_join(loop->thread, NULL);
	pthread_mutex_lock(&loop->bell_lock);
	pthread_mutex_unlock(&loop->bell_lock);
	assert(!loop->heap_count); /* a timer that is still armed belongs to something that outlived its loop */
	grpc_call_unref(loop->bell);
	grpc_completion_queue_destroy(loop->queue);
	grpc_channel_destroy(loop->lame);
	pthread_mutex_destroy(&loop->lock);
	pthread_mutex_destroy(&loop->bell_lock);
	free(loop->heap);
	free(loop);
	grpc_shutdown();
}

grpc_completion_queue *rpc_loop_queue(const struct rpc_loop *loop)
{
	return loop->queue;
}
