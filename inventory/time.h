/* inventory/time.h - the inventory's own time.
 *
 * Internal time drives every decision: max(last committed, wall clock at start less the shift) + what CLOCK_BOOTTIME counted since. It never goes
 * back, a jump of the wall clock while we run changes nothing, and while the service is away it stands still, up to a cap. `shift` is the sum of
 * what it stood still, so the time that people see is internal + shift. Deadlines are stored internally and shown externally: an outage moves
 * every live deadline by min(downtime, cap) without touching one of them.
 * Threads: filled once by inventory_time_start, read-only after; reading is safe from any. */
#ifndef FLASHSALE_INVENTORY_TIME_H
#define FLASHSALE_INVENTORY_TIME_H

#include "base/clock.h"

struct inventory_time {
	const struct clock_source *clock;
	int64_t start_ms;      /* internal, at start */
	int64_t start_boot_ms;
	int64_t start_wall_ms;
	int64_t shift_ms;      /* external - internal */
	int64_t moved_ms;      /* by how much this start moved the deadlines */
	int64_t outage_ms;     /* how long we were away, as far as the wall clock tells */
};

/* last_ms: the last committed internal time, INT64_MIN for a new store; shift_ms as stored with it. */
void inventory_time_start(struct inventory_time *time, const struct clock_source *clock, int64_t last_ms, int64_t shift_ms,
	int64_t grace_max_ms);

int64_t inventory_time_now_ms(const struct inventory_time *time); /* internal */
/* By how much the wall clock moved apart from boot time since the start: 0 when nobody sets it. */
int64_t inventory_time_drift_ms(const struct inventory_time *time);

static inline int64_t inventory_time_shown_ms(const struct inventory_time *time, int64_t internal_ms)
{
	return internal_ms + time->shift_ms;
}

#endif
