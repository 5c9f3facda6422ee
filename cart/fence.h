/* cart/fence.h - the word of this process towards one inventory shard: which epoch is in force, and whether it may be used.
 *
 * An epoch is proposed (FenceCart), accepted as the ledger's entry at `sequence`, and usable once the follower has applied that entry: then
 * every command of older epochs is in the ledger or never happens. After an ambiguous result a new one is needed. Until the first was accepted,
 * a newer epoch of somebody else is simply outbid; after that it means that another process has taken over.
 * Pure: no clock, no log, no network. Threads: belongs to one. */
#ifndef FLASHSALE_CART_FENCE_H
#define FLASHSALE_CART_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"

struct fence {
	struct id instance; /* of this process */
	uint64_t known;	    /* the greatest epoch heard of */
	uint64_t accepted;  /* ours in force; 0: none yet */
	uint64_t proposed;  /* asked for, and not answered; 0: nothing is */
	uint64_t sequence;  /* the ledger's entry of `accepted` */
};

enum fence_result {
	FENCE_FINE,
	FENCE_AGAIN,	 /* ask once more, `proposed` has changed */
	FENCE_SUCCEEDED, /* another process has taken over */
};

void fence_init(struct fence *fence, const struct id *instance, uint64_t known);

/* A new epoch is needed. True: `proposed` is to be asked for now; false: that is under way already. */
bool fence_propose(struct fence *fence);

/* The answer to the proposal of `proposed`: accepted at `sequence`, or not, since `epoch` is in force. */
enum fence_result fence_answered(struct fence *fence, bool accepted, uint64_t epoch, uint64_t sequence);

/* The ledger says that an epoch came into force. */
enum fence_result fence_heard(struct fence *fence, uint64_t epoch, const struct id *instance);

/* Whether commands may leave, given what the follower has applied. */
static inline bool fence_usable(const struct fence *fence, uint64_t position)
{
	return fence->accepted && !fence->proposed && position >= fence->sequence;
}

/* Whether a command whose epoch was `epoch` at most is in the ledger by now or never will be. */
static inline bool fence_settles(const struct fence *fence, uint64_t position, uint64_t epoch)
{
	return epoch < fence->accepted && position >= fence->sequence;
}

#endif
