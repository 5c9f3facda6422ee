/* protector/chores.h - changes of the store that nobody waits for: each is tried until it is done, or this service ends.
 *
 * Threads: the loop; free after its last task. */
#ifndef FLASHSALE_PROTECTOR_CHORES_H
#define FLASHSALE_PROTECTOR_CHORES_H

#include <sys/queue.h>

#include "protector/protector.h"

/* The first member of a piece of malloc'd memory, which chores_do takes: fill the functions and `grows`. */
struct chore {
	int (*apply)(struct chore *chore, struct protector *protector, MDB_txn *txn, int64_t now_ms); /* on the writer's thread; perhaps more than once */
	void (*settle)(struct chore *chore, struct protector *protector);     /* after the commit; on the loop */
	bool grows;							      /* as a command's */
	/* chores.c's: */
	TAILQ_ENTRY(chore) link;
	struct chores *chores;
	struct rpc_timer retry;
	struct rpc_task task;
	struct command command;
	enum writer_result result;
};

struct chores;
struct chores *chores_new(struct protector *protector);
void chores_end(struct chores *chores); /* no more is given to the writer */
void chores_free(struct chores *chores);

void chores_do(struct chores *chores, struct chore *chore);

#endif
