#include "discovery/discovery.h"

#include <assert.h>
#include <stdlib.h>

/* The count lives in the list, so a const list is written to in this one place. */
static _Atomic uint32_t *references_of(const struct instances *list)
{
	return (_Atomic uint32_t *)&list->references;
}

const struct instances *instances_keep(const struct instances *list)
{
	uint32_t before = atomic_fetch_add_explicit(references_of(list), 1, memory_order_relaxed);

	assert(before > 0 && before < UINT32_MAX);
	return list;
}

void instances_drop(const struct instances *list)
{
	uint32_t before;

	if (!list)
		return;
	/* acq_rel: what other holders read must have been read before the memory goes */
	before = atomic_fetch_sub_explicit(references_of(list), 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1)
		free((void *)list);
}

struct discovery_watch *discovery_watch(
	struct discovery *discovery, const char *service, discovery_changed *changed, void *context)
{
	assert(discovery && service && changed);
	return discovery->source->watch(discovery, service, changed, context);
}

void discovery_unwatch(struct discovery_watch *watch)
{
	if (watch)
		watch->discovery->source->unwatch(watch);
}

bool discovery_register(
	struct discovery *discovery, const struct registration *registration, struct error *error)
{
	return discovery->source->enroll(discovery, registration, error);
}

void discovery_deregister(struct discovery *discovery)
{
	discovery->source->withdraw(discovery);
}

void discovery_free(struct discovery *discovery)
{
	if (discovery)
		discovery->source->free(discovery);
}
