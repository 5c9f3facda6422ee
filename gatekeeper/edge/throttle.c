#include "gatekeeper/edge/throttle.h"

#include <assert.h>

#define SECOND_NS INT64_C(1000000000)

struct throttle_limit throttle_share(uint32_t rate, uint32_t burst, uint32_t sharers)
{
	struct throttle_limit limit;

	assert(rate && rate <= THROTTLE_RATE_MAX && burst <= THROTTLE_BURST_MAX && sharers);
	limit.step_ns = SECOND_NS * sharers / rate;
	limit.room_ns = limit.step_ns * (burst / sharers + 1);
	return limit;
}

bool throttle_take(struct throttle *throttle, const struct throttle_limit *limit, int64_t now_ns)
{
	int64_t full_ns = atomic_load_explicit(&throttle->full_ns, memory_order_relaxed), next_ns;

	do {
		next_ns = (full_ns > now_ns ? full_ns : now_ns) + limit->step_ns;
		if (next_ns - now_ns > limit->room_ns)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&throttle->full_ns, &full_ns, next_ns, memory_order_relaxed, memory_order_relaxed));
	return true;
}
