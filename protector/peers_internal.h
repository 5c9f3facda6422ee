/* protector/peers_internal.h - what the files of peers.h share. */
#ifndef FLASHSALE_PROTECTOR_PEERS_INTERNAL_H
#define FLASHSALE_PROTECTOR_PEERS_INTERNAL_H

#include <assert.h>

#include "protector/peers.h"
#include "protector/chores.h"
#include "rpc/followers.h"

static_assert(FOLLOWERS_MAX <= BANS_PEERS_MAX, "each place has a number");

struct peers {
	struct protector *protector;
	struct rpc_pool *pool; /* NULL: not open */
	struct followers *bans;
	struct followers *settings;
	struct chores *chores;
	struct rpc_task sweep; /* removes what snapshots did not have any more, some at a time */
	bool sweeping;
	bool stale[BANS_OWNERS_MAX]; /* by owner: there is something to sweep */
	struct rpc_timer tick;
	struct id looked_at; /* how far bans that ended were looked for */
};

#endif
