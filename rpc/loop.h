/* rpc/loop.h - one thread, one completion queue, everything that belongs to it.
 *
 * Calls, streams, pools, batchers and timers belong to one loop; their callbacks run on its thread, one at a time, so nothing in it
 * locks. The only door from another thread is rpc_post(). A post is an empty op batch on a lame call of this queue (no alarm is exported to C);
 * a timer is the deadline of grpc_completion_queue_next. */
#ifndef FLASHSALE_RPC_LOOP_H
#define FLASHSALE_RPC_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct rpc_loop;

/* Embed it in what should run; it is the loop's until run(). */
struct rpc_task {
	struct rpc_task *next;
	void (*run)(struct rpc_task *task);
};

struct rpc_timer {
	struct rpc_task task;
	int64_t at_ns;      /* CLOCK_MONOTONIC */
	uint32_t position;  /* in the loop's heap, from 1; 0: not armed */
};

struct rpc_loop *rpc_loop_new(const char *name); /* starts the thread, all signals blocked */
void rpc_loop_free(struct rpc_loop *loop);       /* after all that belongs to it; drains, joins; not from the loop */

void rpc_post(struct rpc_loop *loop, struct rpc_task *task);                              /* any thread */
void rpc_post_list(struct rpc_loop *loop, struct rpc_task *first, struct rpc_task *last); /* any thread; one wake a list */
bool rpc_on_loop(const struct rpc_loop *loop);
/* Runs it on the loop, after all that was posted before, and returns when it has. Not from the loop. `run` may be NULL. */
void rpc_run(struct rpc_loop *loop, void (*run)(void *context), void *context);

/* On the loop only: */
void rpc_timer_start(struct rpc_loop *loop, struct rpc_timer *timer, int64_t delay_ms); /* re-arms an armed one */
void rpc_timer_stop(struct rpc_loop *loop, struct rpc_timer *timer);                    /* not armed: harmless */
void rpc_at_turn_end(struct rpc_loop *loop, struct rpc_task *task);                     /* where gathered work leaves */

#endif
