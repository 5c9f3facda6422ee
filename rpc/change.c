#include "rpc/change.h"

#include "base/memory.h"
#include "rpc/reason.h"

static int run_apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct change *change = container_of(command, struct change, command);

	return change->apply(change, domain, txn, now_ms);
}

static void settle(struct rpc_task *task)
{
	struct change *change = container_of(task, struct change, task);

	switch (change->result) {
	case WRITER_COMMITTED:
		change->settle(change);
		return;
	case WRITER_FULL:
		rpc_fail_reason(change->call, COMMON__REASON__REASON_STORE_FULL,
			"the store is full: nothing was changed; give it more room with --store-size");
		return;
	default:
		rpc_fail_reason(change->call, COMMON__REASON__REASON_STORE_FAILED,
			"the store refused the change: nothing was changed");
	}
}

static void run_done(struct command *command, enum writer_result result)
{
	struct change *change = container_of(command, struct change, command);

	change->result = result;
	change->task.run = settle;
	rpc_post(change->loop, &change->task);
}

void change_submit(struct change *change, struct writer *writer)
{
	struct rpc_call *call = change->call;

	change->command = (struct command){.apply = run_apply,
		.done = run_done,
		.items = change->items ? change->items : 1,
		.grows = change->grows};
	if (!writer_submit(writer, &change->command))
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
			"too many changes wait for the store: nothing was changed");
}
