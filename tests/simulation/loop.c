/* tests/simulation/loop.c - rpc/loop.h for the shelf: posts and timers as events of its process. */
#include "rpc/loop.h"

#include "cart_process.h"

static void run_task(void *context, uint64_t a, uint64_t b)
{
	struct rpc_task *task = context;

	task->run(task);
}

void rpc_post(struct rpc_loop *loop, struct rpc_task *task)
{
	world_after(loop->process, world_between(1, 100), run_task, task, 0, 0);
}

static void run_timer(void *context, uint64_t at_ns, uint64_t unused)
{
	struct rpc_timer *timer = context;

	if (!timer->position || timer->at_ns != (int64_t)at_ns)
		return; /* stopped, or started anew */
	timer->position = 0;
	timer->task.run(&timer->task);
}

void rpc_timer_start(struct rpc_loop *loop, struct rpc_timer *timer, int64_t delay_ms)
{
	timer->position = 1;
	timer->at_ns = (world.now_us + delay_ms * MS) * 1000;
	world_after(loop->process, delay_ms * MS, run_timer, timer, (uint64_t)timer->at_ns, 0);
}

void rpc_timer_stop(struct rpc_loop *loop, struct rpc_timer *timer)
{
	timer->position = 0;
}
