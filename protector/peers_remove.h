/* protector/peers_remove.h - takes bans away that other protectors have (protector/peers.h): each is asked to, with the call's deadline.
 *
 * One that is away makes it fail before anything was changed. With several it can still come to some that are gone and one that did not answer; asking again does no harm.
 * Threads: the loop. */
#ifndef FLASHSALE_PROTECTOR_PEERS_REMOVE_H
#define FLASHSALE_PROTECTOR_PEERS_REMOVE_H

#include "protector/bans.h"
#include "rpc/server.h"

struct peers;

/* Lives in the call's arena. */
struct peers_removal {
	struct rpc_call *call;
	void (*done)(struct peers_removal *removal);
	struct peers *peers;
	size_t open;		  /* answers that have not come */
	size_t missing;		  /* bans that were gone already */
	int64_t end_ms;		  /* when the last of the others ended, as its protector says */
	struct rpc_status status; /* RPC_OK while nothing went wrong */
};

/* done() comes on the loop, perhaps at once, when none of the bans is there any more; else the call has ended. Without bans `peers` may be NULL. */
void peers_remove(struct peers *peers, struct rpc_call *call, const struct ban *const *bans, size_t count,
	struct peers_removal *removal, void (*done)(struct peers_removal *removal));

#endif
