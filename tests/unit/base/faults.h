/* tests/unit/base/faults.h - LMDB (and what base/store asks of the system) fails, or finds damage, at the n-th call.
 *
 * A test program that links the library `faults` has these calls wrapped. faults_arm(kind, n): the n-th call from now on that such a fault can
 * happen to suffers it, once; those before and after go through. So a test walks n up until the fault did not fire any more, and has seen every
 * call of what it runs go wrong:
 *
 *     for (int n = 1; faults_arm(FAULT_ERROR, n), run(), faults_fired(); n++)
 *
 * Threads: one at a time. */
#ifndef FLASHSALE_TESTS_FAULTS_H
#define FLASHSALE_TESTS_FAULTS_H

#include <stdbool.h>

enum fault {
	FAULT_ERROR,       /* the call fails with FAULT_CODE; the system's with errno EIO */
	FAULT_ABSENT,      /* a read finds nothing */
	FAULT_SHORT_VALUE, /* what a read finds lacks its last byte */
	FAULT_SHORT_KEY,   /* the same of the key, where a read gives one */
	FAULT_KINDS
};

#define FAULT_CODE 5 /* EIO */

void faults_arm(enum fault kind, int n);
bool faults_fired(void); /* and none is armed any more */

/* What a test does in between is not counted. */
int faults_paused(void);
void faults_go_on(int paused);

#endif
