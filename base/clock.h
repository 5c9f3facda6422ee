/* base/clock.h - wall time and boot time behind one interface that tests can set.
 *
 * wall_ms: CLOCK_REALTIME, milliseconds since 1970; may jump. boot_ms: CLOCK_BOOTTIME, milliseconds; never jumps, counts suspend.
 * mono_ns: CLOCK_MONOTONIC, nanoseconds: deadlines inside a process. Nothing else in the project asks the system for the time.
 * Threads: reading is safe from any. A test clock is set by one thread, read by any. */
#ifndef FLASHSALE_BASE_CLOCK_H
#define FLASHSALE_BASE_CLOCK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct clock_source {
	int64_t (*wall_ms)(const struct clock_source *source);
	int64_t (*boot_ms)(const struct clock_source *source);
};

extern const struct clock_source clock_system;

/* A clock that stands still until it is told. `base` must be the first member. */
struct clock_manual {
	struct clock_source base;
	_Atomic int64_t wall_ms, boot_ms;
};
void clock_manual_init(struct clock_manual *manual, int64_t wall_ms, int64_t boot_ms);
void clock_manual_advance(struct clock_manual *manual, int64_t ms);    /* both move */
void clock_manual_jump_wall(struct clock_manual *manual, int64_t ms);  /* an operator or NTP moved the wall clock */

static inline int64_t clock_wall_ms(const struct clock_source *source)
{
	return source->wall_ms(source);
}

static inline int64_t clock_boot_ms(const struct clock_source *source)
{
	return source->boot_ms(source);
}

int64_t clock_mono_ns(void);
int64_t clock_wall_us(void); /* CLOCK_REALTIME, for stamps of what happened; may jump */

/* "2026-03-01T12:00:00.123Z"; buffer of at least CLOCK_TEXT_MAX. */
#define CLOCK_TEXT_MAX 32
char *clock_format_rfc3339(int64_t wall_ms, char buffer[CLOCK_TEXT_MAX]);

#endif
