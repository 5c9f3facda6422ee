/* cart/limits.h - may this person have so many more units? Pure: any thread. */
#ifndef FLASHSALE_CART_LIMITS_H
#define FLASHSALE_CART_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct limit {
	bool unlimited;
	uint32_t units; /* unless unlimited */
};

/* What a person has of one SKU. */
struct limit_count {
	uint64_t taken; /* units of lines: held, ordered, sold */
	uint64_t
		overdue; /* of these, units that are past their deadline: their end is only a matter of time */
	uint64_t pending; /* units asked for whose answer is not known */
};

enum limit_verdict {
	LIMIT_FITS,
	LIMIT_UNDECIDED, /* it would fit if what is pending failed and what is overdue ended: ask again shortly */
	LIMIT_EXCEEDED,
};

enum limit_verdict limit_judge(const struct limit *limit, const struct limit_count *count, uint32_t quantity);

#endif
