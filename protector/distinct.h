/* protector/distinct.h - how many different things were seen in the last seconds, exactly, up to a few.
 *
 * Each thing is kept with the time it was seen last; when there is no room the one that was seen longest ago is forgotten, so the count stops at the room there is. Things are
 * told apart by 32 bits of a hash: two that share them count as one. Never too many, then.
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_DISTINCT_H
#define FLASHSALE_PROTECTOR_DISTINCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct distinct_slot {
	uint32_t tag, seen; /* seen: in the caller's unit of time; 0: free */
};

/* Time begins at 1. True: it is new, or was not seen within the window. */
static inline bool distinct_add(struct distinct_slot *slots, size_t room, uint32_t tag, uint32_t now, uint32_t window)
{
	struct distinct_slot *oldest = &slots[0];

	for (size_t i = 0; i < room; i++) {
		if (slots[i].tag == tag && slots[i].seen) {
			const bool again = now - slots[i].seen > window;

			slots[i].seen = now;
			return again;
		}
		if (slots[i].seen < oldest->seen)
			oldest = &slots[i];
	}
	*oldest = (struct distinct_slot){.tag = tag, .seen = now};
	return true;
}

static inline uint32_t distinct_count(const struct distinct_slot *slots, size_t room, uint32_t now, uint32_t window)
{
	uint32_t count = 0;

	for (size_t i = 0; i < room; i++)
		count += slots[i].seen && now - slots[i].seen <= window;
	return count;
}

#endif
