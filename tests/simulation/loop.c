/* tests/simulation/loop.c - rpc/loop.h for the shelf and the calls: posts and timers as events of its process. */
#include "rpc/loop.h"

#include <stdlib.h>

#include "base/memory.h"
#include "cart_process.h"

static void run_task(void *context, uint64_t a, uint64_t b)
{
	struct rpc_task *task = context;

	task->run(task);
}

/* What was posted to the loop of a process that has crashed, for whoever clears up after it. */
struct left_task {
	struct left_task *next;
	struct rpc_task *task;
};
static struct left_task *left_tasks;

void loop_run_left(void)
{
	while (left_tasks) {
		struct left_task *left = left_tasks;
		struct rpc_task *task = left->task;

		left_tasks = left->next;
		free(left);
		task->run(task);
	}
}

void __wrap_rpc_post(struct rpc_loop *loop, struct rpc_task *task);
void __wrap_rpc_post(struct rpc_loop *loop, struct rpc_task *task)
{
	if (loop->process->dead) {
		struct left_task *left = NEW(struct left_task);

		*left = (struct left_task){left_tasks, task};
		left_tasks = left;
		return;
	}
	world_after(loop->process, world_between(1, 100), run_task, task, 0, 0);
}

/* Armed timers by number, which is also what the timer knows: whose memory may be gone when an event of a stopped one comes. */
struct armed {
	struct armed *next;
	struct rpc_timer *timer;
	uint32_t number;
};
static struct armed *armed;
static uint32_t numbers;

/* NULL: it was stopped. */
static struct rpc_timer *disarm(uint32_t number)
{
	for (struct armed **at = &armed; *at; at = &(*at)->next)
		if ((*at)->number == number) {
			struct armed *found = *at;
			struct rpc_timer *timer = found->timer;

			*at = found->next;
			free(found);
			timer->position = 0;
			return timer;
		}
	return NULL;
}

static void run_timer(void *context, uint64_t number, uint64_t unused)
{
	struct rpc_timer *timer = disarm((uint32_t)number);

	if (timer)
		timer->task.run(&timer->task);
}

void __wrap_rpc_timer_start(struct rpc_loop *loop, struct rpc_timer *timer, int64_t delay_ms);
void __wrap_rpc_timer_start(struct rpc_loop *loop, struct rpc_timer *timer, int64_t delay_ms)
{
	struct armed *self = NEW(struct armed);

	if (timer->position)
		disarm(timer->position);
	self->timer = timer;
	self->number = timer->position = ++numbers;
	self->next = armed;
	armed = self;
	timer->at_ns = (world.now_us + delay_ms * MS) * 1000;
	world_after(loop->process, delay_ms * MS, run_timer, NULL, self->number, 0);
}

void __wrap_rpc_timer_stop(struct rpc_loop *loop, struct rpc_timer *timer);
void __wrap_rpc_timer_stop(struct rpc_loop *loop, struct rpc_timer *timer)
{
	if (timer->position)
		disarm(timer->position);
}

/* The end of a run, when no process is left. */
void timers_release(void)
{
	while (armed) {
		struct armed *self = armed;

		armed = self->next;
		free(self);
	}
	numbers = 0;
}
