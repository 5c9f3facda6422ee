/* cart/fence.c - see fence.h. */
#include "cart/fence.h"

#include <assert.h>

void fence_init(struct fence *fence, const struct id *instance, uint64_t known)
{
	*fence = (struct fence){.instance = *instance, .known = known};
}

bool fence_propose(struct fence *fence)
{
	if (fence->proposed)
		return false;
	assert(fence->known < UINT64_MAX); /* inventory takes none that is half as great */
	fence->proposed = fence->known + 1;
	return true;
}

enum fence_result fence_answered(struct fence *fence, bool accepted, uint64_t epoch, uint64_t sequence)
{
	assert(fence->proposed);
	if (accepted) {
		fence->accepted = fence->proposed;
		fence->sequence = sequence;
		if (fence->known < fence->proposed)
			fence->known = fence->proposed;
		fence->proposed = 0;
		return FENCE_FINE;
	}
	if (fence->accepted)
		return FENCE_SUCCEEDED;
	if (fence->known < epoch)
		fence->known = epoch;
	fence->proposed = fence->known + 1;
	return FENCE_AGAIN;
}

enum fence_result fence_heard(struct fence *fence, uint64_t epoch, const struct id *instance)
{
	bool ours = id_compare(instance, &fence->instance) == 0;

	if (fence->known < epoch)
		fence->known = epoch;
	if (!ours && fence->accepted && epoch > fence->accepted)
		return FENCE_SUCCEEDED;
	return FENCE_FINE;
}
