#include "protector/retire.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/log.h"
#include "base/memory.h"
#include "protector/shelf.h"

#define RETRY_MS 50 /* the writer's queue is full, or the store was */

struct retirement {
	TAILQ_ENTRY(retirement) link;
	struct retirements *retirements;
	struct rpc_timer retry;
	struct rpc_task task;
	struct command command;
	enum writer_result result;
	struct id id, replaced_by; /* the zero id: it is lifted */
	bool found;
};

struct retirements {
	struct protector *protector;
	TAILQ_HEAD(, retirement) open;
	bool ended;
};

static void drop(struct retirement *retirement)
{
	TAILQ_REMOVE(&retirement->retirements->open, retirement, link);
	free(retirement);
}

static int apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct retirement *retirement = container_of(command, struct retirement, command);

	const bool lifted = id_is_zero(&retirement->replaced_by);

	return shelf_remove(&retirement->retirements->protector->history, txn, &retirement->id,
		lifted ? BAN_LIFTED : BAN_REPLACED, &retirement->replaced_by, now_ms, &retirement->found);
}

static void settle(struct rpc_task *task)
{
	struct retirement *retirement = container_of(task, struct retirement, task);
	struct retirements *retirements = retirement->retirements;
	struct protector *protector = retirements->protector;

	if (retirement->result != WRITER_COMMITTED && !retirements->ended) {
		rpc_timer_start(protector->loop, &retirement->retry, RETRY_MS);
		return;
	}
	if (retirement->result == WRITER_COMMITTED && retirement->found) {
		protector_remove(protector, &retirement->id);
		watch_board_flush(protector->board);
	}
	drop(retirement);
}

static void done(struct command *command, enum writer_result result)
{
	struct retirement *retirement = container_of(command, struct retirement, command);

	retirement->result = result;
	rpc_post(retirement->retirements->protector->loop, &retirement->task);
}

static void submit(struct retirement *retirement)
{
	struct protector *protector = retirement->retirements->protector;

	retirement->command = (struct command){.apply = apply, .done = done, .items = 1};
	if (!writer_submit(protector->writer, &retirement->command))
		rpc_timer_start(protector->loop, &retirement->retry, RETRY_MS);
}

static void submit_again(struct rpc_task *task)
{
	submit(container_of(task, struct retirement, retry.task));
}

void retire(struct retirements *retirements, const struct id *id, const struct id *replaced_by)
{
	struct retirement *retirement;

	if (retirements->ended)
		return;
	retirement = NEW(struct retirement);
	retirement->retirements = retirements;
	retirement->id = *id;
	if (replaced_by)
		retirement->replaced_by = *replaced_by;
	retirement->retry.task.run = submit_again;
	retirement->task.run = settle;
	TAILQ_INSERT_TAIL(&retirements->open, retirement, link);
	submit(retirement);
}

struct retirements *retirements_new(struct protector *protector)
{
	struct retirements *retirements = NEW(struct retirements);

	retirements->protector = protector;
	TAILQ_INIT(&retirements->open);
	return retirements;
}

void retirements_end(struct retirements *retirements)
{
	struct retirement *retirement, *next;

	retirements->ended = true;
	for (retirement = TAILQ_FIRST(&retirements->open); retirement; retirement = next) {
		next = TAILQ_NEXT(retirement, link);
		if (!retirement->retry.position)
			continue; /* with the writer: it comes back */
		rpc_timer_stop(retirements->protector->loop, &retirement->retry);
		drop(retirement);
	}
}

void retirements_free(struct retirements *retirements)
{
	free(retirements);
}
