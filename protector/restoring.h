/* protector/restoring.h - what the detectors are told of bans that others keep: at the start, and when a person lifts one.
 *
 * Before it hears of any traffic the analysis knows which bans are in force, who is exempt, and how often a client was banned: also by bans that are over, as
 * long as they are kept, not forgotten by the ladder, not lifted by a person, and their address is not erased.
 * Threads: the analysis's own, or before it has one. */
#ifndef FLASHSALE_PROTECTOR_RESTORING_H
#define FLASHSALE_PROTECTOR_RESTORING_H

#include "protector/analysis.h"
#include "protector/history.h"

/* 0 or LMDB's error code. */
int restore_analysis(struct analysis *analysis, const struct bans *bans, const struct history *history,
	MDB_txn *txn, int64_t now_ms);

/* Some detectors, as bits, leave a subject alone. */
void restore_exemption(
	struct analysis *analysis, const struct ban_subject *subject, uint32_t detectors, int64_t until_us);

#endif
