/* base/signals.h - which signals the threads of a library block, so that the main thread or nginx gets them: all but those by which a thread learns of its own
 * fault. Were these blocked, the process would die without its handler (rpc/store_fault.h, a sanitizer's) having said why. */
#ifndef FLASHSALE_BASE_SIGNALS_H
#define FLASHSALE_BASE_SIGNALS_H

#include <signal.h>

static inline void signals_fill(sigset_t *set)
{
	const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(set, faults[i]);
}

#endif
