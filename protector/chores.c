#include "protector/chores.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

#define RETRY_MS 50 /* the writer's queue was full, or the store */

struct chores {
	struct protector *protector;
	TAILQ_HEAD(, chore) open;
	bool ended;
};

static void drop(struct chore *chore)
{
	TAILQ_REMOVE(&chore->chores->open, chore, link);
	free(chore);
}

static int apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct chore *chore = container_of(command, struct chore, command);

	return chore->apply(chore, chore->chores->protector, txn, now_ms);
}

static void settle(struct rpc_task *task)
{
	struct chore *chore = container_of(task, struct chore, task);
	struct chores *chores = chore->chores;

	if (chore->result == WRITER_COMMITTED) {
		chore->settle(chore, chores->protector);
		drop(chore);
	} else if (chores->ended) {
		drop(chore);
	} else {
		LOG_LIMITED(LOG_WARN, "what another protector said could not be stored; it is tried again");
		rpc_timer_start(chores->protector->loop, &chore->retry, RETRY_MS);
	}
}

static void done(struct command *command, enum writer_result result)
{
	struct chore *chore = container_of(command, struct chore, command);

	chore->result = result;
	rpc_post(chore->chores->protector->loop, &chore->task);
}

static void submit(struct rpc_task *task)
{
	struct chore *chore = container_of(task, struct chore, retry.task);
	struct protector *protector = chore->chores->protector;

	chore->command = (struct command){.apply = apply, .done = done, .items = 1, .grows = chore->grows};
	if (!writer_submit(protector->writer, &chore->command))
		rpc_timer_start(protector->loop, &chore->retry, RETRY_MS);
}

void chores_do(struct chores *chores, struct chore *chore)
{
	if (chores->ended) {
		free(chore);
		return;
	}
	chore->chores = chores;
	chore->retry.task.run = submit;
	chore->task.run = settle;
	TAILQ_INSERT_TAIL(&chores->open, chore, link);
	submit(&chore->retry.task);
}

struct chores *chores_new(struct protector *protector)
{
	struct chores *chores = NEW(struct chores);

	chores->protector = protector;
	TAILQ_INIT(&chores->open);
	return chores;
}

void chores_end(struct chores *chores)
{
	struct chore *chore, *next;

	chores->ended = true;
	for (chore = TAILQ_FIRST(&chores->open); chore; chore = next) {
		next = TAILQ_NEXT(chore, link);
		if (!chore->retry.position)
			continue; /* with the writer: it comes back */
		rpc_timer_stop(chores->protector->loop, &chore->retry);
		drop(chore);
	}
}

void chores_free(struct chores *chores)
{
	free(chores);
}
