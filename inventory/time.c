#include "inventory/time.h"

#include <assert.h>

void inventory_time_start(struct inventory_time *time, const struct clock_source *clock, int64_t last_ms,
	int64_t shift_ms, int64_t grace_max_ms)
{
	int64_t wall_ms = clock_wall_ms(clock);

	assert(grace_max_ms >= 0);
	*time = (struct inventory_time){
		.clock = clock, .start_boot_ms = clock_boot_ms(clock), .start_wall_ms = wall_ms};
	if (last_ms == INT64_MIN) {
		time->start_ms = wall_ms;
		return;
	}
	if (wall_ms > last_ms + shift_ms)
		time->outage_ms = wall_ms - (last_ms + shift_ms);
	time->moved_ms = time->outage_ms < grace_max_ms ? time->outage_ms : grace_max_ms;
	time->shift_ms = shift_ms + time->moved_ms;
	time->start_ms = wall_ms - time->shift_ms > last_ms ? wall_ms - time->shift_ms : last_ms;
}

int64_t inventory_time_now_ms(const struct inventory_time *time)
{
	return time->start_ms + (clock_boot_ms(time->clock) - time->start_boot_ms);
}

int64_t inventory_time_drift_ms(const struct inventory_time *time)
{
	return (clock_wall_ms(time->clock) - time->start_wall_ms) -
	       (clock_boot_ms(time->clock) - time->start_boot_ms);
}
