#include "gatekeeper/edge/events.h"

#include <stdlib.h>

#include "base/memory.h"

void events_init(struct events *events)
{
	*events = (struct events){.slots = NEW_ARRAY(EVENTS_ROOM, struct event)};
}

void events_release(struct events *events)
{
	free(events->slots);
}

bool events_sleep(struct events *events)
{
	atomic_store(&events->awake, false);
	if (atomic_load(&events->head) == atomic_load_explicit(&events->tail, memory_order_relaxed))
		return true;
	/* The writer may have seen it too, and wakes: then it is its turn. */
	return atomic_exchange(&events->awake, true);
}

uint64_t events_dropped(struct events *events)
{
	return atomic_exchange_explicit(&events->dropped, 0, memory_order_relaxed);
}
