/* tests/simulation/threads.c - see threads.h. */
#include "threads.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>

#include "base/memory.h"

#define STACK_BYTES (256 << 10)
#define SIGNAL_DELAY_MAX_US 300

struct thread {
	struct thread *next;
	struct process *owner;
	ucontext_t context;
	void *(*run)(void *);
	void *argument;
	void *stack;
	pthread_cond_t *waits_for;
	uint64_t ticket; /* of its present wait: older wakes are stale */
	bool ended, abandoned;
};

struct process *thread_owner;
static struct thread *threads, *inside;
static ucontext_t outside;

/* Stacks are kept: a crash takes one away with everything on it. */
static void *spare_stacks[64];
static int spare_count;

static void thread_main(void)
{
	struct thread *thread = inside;

	thread->run(thread->argument);
	thread->ended = true;
	swapcontext(&thread->context, &outside);
}

static void thread_resume(struct thread *thread)
{
	assert(!inside);
	thread->ticket++;
	thread->waits_for = NULL;
	inside = thread;
	swapcontext(&outside, &thread->context);
	inside = NULL;
}

static void wake(void *context, uint64_t ticket, uint64_t unused)
{
	struct thread *thread = context;

	if (!thread->ended && !thread->abandoned && thread->ticket == ticket)
		thread_resume(thread);
}

static void leave(void)
{
	swapcontext(&inside->context, &outside);
}

bool thread_inside(void)
{
	return inside != NULL;
}

void thread_pause(int64_t us)
{
	world_after(inside->owner, us, wake, inside, inside->ticket, 0);
	leave();
}

_Noreturn void thread_stop(void)
{
	inside->abandoned = true;
	leave();
	abort();
}

void threads_abandon(const struct process *process)
{
	for (struct thread *thread = threads; thread; thread = thread->next)
		if (thread->owner == process)
			thread->abandoned = true;
}

void threads_release(void)
{
	while (threads) {
		struct thread *thread = threads;

		threads = thread->next;
		if (spare_count < 64)
			spare_stacks[spare_count++] = thread->stack;
		else
			free(thread->stack);
		free(thread);
	}
}

/* ---- what the linker puts in the place of the system's ---- */

int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(
	pthread_t *ret, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	struct thread *thread = NEW(struct thread);

	thread->next = threads;
	threads = thread;
	thread->owner = thread_owner;
	thread->run = run;
	thread->argument = argument;
	thread->stack = spare_count ? spare_stacks[--spare_count] : malloc(STACK_BYTES);
	getcontext(&thread->context);
	thread->context.uc_stack.ss_sp = thread->stack;
	thread->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&thread->context, thread_main, 0);
	world_after(thread->owner, 1, wake, thread, thread->ticket, 0);
	*ret = (pthread_t)(uintptr_t)thread;
	return 0;
}

/* Who is joined ends now: its waits return at once, whatever the clock says. */
int __wrap_pthread_join(pthread_t which, void **ret);
int __wrap_pthread_join(pthread_t which, void **ret)
{
	struct thread *thread = (struct thread *)(uintptr_t)which;

	while (!thread->ended && !thread->abandoned)
		thread_resume(thread);
	return 0;
}

int __wrap_pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(
	pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
	int64_t until_us = until->tv_sec * SECOND + until->tv_nsec / 1000;

	inside->waits_for = condition;
	world_after(inside->owner, until_us > world.now_us ? until_us - world.now_us : 1, wake, inside,
		inside->ticket, 0);
	pthread_mutex_unlock(mutex);
	leave();
	pthread_mutex_lock(mutex);
	return 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *condition);
int __wrap_pthread_cond_signal(pthread_cond_t *condition)
{
	for (struct thread *thread = threads; thread; thread = thread->next)
		if (thread->waits_for == condition && !thread->abandoned)
			world_after(thread->owner, world_between(1, SIGNAL_DELAY_MAX_US), wake, thread,
				thread->ticket, 0);
	return 0;
}

int __wrap_pthread_setname_np(pthread_t thread, const char *name);
int __wrap_pthread_setname_np(pthread_t thread, const char *name)
{
	return 0;
}

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old);
int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	return 0;
}

/* Who waits here for another thread of a stepped process has seen to it that it ended. */
int __wrap_sem_wait(sem_t *semaphore);
int __wrap_sem_wait(sem_t *semaphore)
{
	return 0;
}
