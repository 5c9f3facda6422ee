/* rpc/change.h - a call that changes something, for services whose memory belongs to the loop and whose store belongs to a writer.
 *
 * apply() runs on the writer's thread and touches the store only; after the commit settle() runs on the loop, in the order of the commits: it
 * puts the change in effect in memory and ends the call. So a change counts for every call that arrives after its answer, and
 * memory never shows what is not on disk. Without a commit there is no settle(): the call ends with OVERLOADED, STORE_FULL or STORE_FAILED.
 * Embed it in a struct from the call's arena; it is the writer's, then the loop's, until settle() ends the call. */
#ifndef FLASHSALE_RPC_CHANGE_H
#define FLASHSALE_RPC_CHANGE_H

#include "base/writer.h"
#include "rpc/loop.h"
#include "rpc/server.h"

struct change {
	/* 0, or LMDB's error code; perhaps more than once, as for any command. */
	int (*apply)(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms);
	void (*settle)(struct change *change);
	bool grows; /* needs room in the store */
	uint32_t items; /* what it counts towards the writer's bounds; 0: one */
	struct rpc_call *call;
	struct rpc_loop *loop;
	/* change.c's: */
	struct command command;
	struct rpc_task task;
	enum writer_result result;
};

void change_submit(struct change *change, struct writer *writer); /* with the fields above filled */

#endif
