/* cart/limits.c - see limits.h. */
#include "cart/limits.h"

#include <assert.h>

enum limit_verdict limit_judge(const struct limit *limit, const struct limit_count *count, uint32_t quantity)
{
	assert(quantity && count->overdue <= count->taken);
	if (limit->unlimited || count->taken + count->pending + quantity <= limit->units)
		return LIMIT_FITS;
	if (count->taken - count->overdue + quantity <= limit->units)
		return LIMIT_UNDECIDED;
	return LIMIT_EXCEEDED;
}
