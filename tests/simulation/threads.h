/* tests/simulation/threads.h - the threads of the code under test, as coroutines that the world steps.
 *
 * The linker gives pthread_create and its kin to threads.c (see CMakeLists.txt), so base/writer.c runs as it is: its thread goes on until it waits
 * for its condition or is paused inside a commit, and the world decides when it wakes. A thread belongs to the process that was `current`
 * when it was made; a crash of that process leaves it where it stands. */
#ifndef FLASHSALE_TESTS_SIMULATION_THREADS_H
#define FLASHSALE_TESTS_SIMULATION_THREADS_H

#include "world.h"

extern struct process *thread_owner; /* of threads that are made next */

bool thread_inside(void);           /* whether one of them runs now */
void thread_pause(int64_t us);      /* inside: others run meanwhile */
_Noreturn void thread_stop(void);   /* inside: for good */
void threads_abandon(const struct process *process); /* it crashed: its threads never run again */
void threads_release(void);         /* the end of a run */

#endif
