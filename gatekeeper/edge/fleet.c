#include "gatekeeper/edge/fleet.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"

struct fleet {
	char *self;
	struct discovery_watch *watch;
	_Atomic uint32_t size;
	struct metric metric;
};

uint32_t fleet_count(const struct instances *list, const char *self)
{
	uint32_t count = self ? 1 : 0; /* this one serves, whatever others think of it */

	for (size_t i = 0; i < list->count; i++) {
		const struct instance *item = &list->items[i];

		if (item->health != INSTANCE_CRITICAL && (!self || strcmp(item->address, self) != 0))
			count++;
	}
	return count ? count : 1;
}

/* On discovery's thread. */
static void list_changed(void *context, const struct instances *list)
{
	struct fleet *fleet = context;
	uint32_t size = fleet_count(list, fleet->self);

	if (atomic_exchange(&fleet->size, size) == size)
		return;
	metric_set(&fleet->metric, size);
	log_info("the throttle is shared anew", LOG_INT("gatekeepers", size));
}

struct fleet *fleet_new(struct discovery *discovery, const char *self)
{
	struct fleet *fleet = NEW(struct fleet);

	fleet->self = self ? memory_copy_text(self) : NULL;
	fleet->size = 1;
	fleet->metric = (struct metric){.kind = METRIC_GAUGE,
		.name = "flashsale_gatekeeper_fleet",
		.help = "Gatekeepers that share the throttle."};
	metric_set(&fleet->metric, 1);
	metrics_register(&fleet->metric);
	fleet->watch = discovery_watch(discovery, "gatekeeper", list_changed, fleet);
	return fleet;
}

uint32_t fleet_size(const struct fleet *fleet)
{
	return atomic_load_explicit(&fleet->size, memory_order_relaxed);
}

void fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return;
	discovery_unwatch(fleet->watch);
	metrics_unregister(&fleet->metric);
	free(fleet->self);
	free(fleet);
}
