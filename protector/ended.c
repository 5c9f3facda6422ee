#include <stdlib.h>

#include "base/memory.h"
#include "base/metrics.h"
#include "protector/protector.h"
#include "protector/shelf.h"

#define ENDED_MAX \
	128 /* a group: at 1 M bans its commit takes a fourth of that of 512, and who wants to ban waits for it */

#define ERASED_MAX 128 /* of the history, a group */

/* A ban that is made in this group may end before the one that tick knows to be next: so it looks again after this long at the latest. */
#define LOOK_MS 500

static struct metric metric_ended = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_ended_bans",
	.help = "Bans that are over and kept, to be explained."};

void protector_register_history(void)
{
	metrics_register(&metric_ended);
}

/* What a group removed; it travels to the loop when the group is committed. */
struct ended_bans {
	struct rpc_task task;
	struct protector *protector;
	size_t count;
	struct id ids[ENDED_MAX];
};

static void settle(struct rpc_task *task)
{
	struct ended_bans *ended = container_of(task, struct ended_bans, task);

	for (size_t i = 0; i < ended->count; i++)
		protector_remove(ended->protector, &ended->ids[i]);
	watch_board_flush(ended->protector->board);
	free(ended);
}

int protector_tick(void *domain, MDB_txn *txn, int64_t now_ms, int64_t *ret_next_ms, bool *ret_changed)
{
	struct protector *protector = domain;
	struct ended_bans *ended = NEW(struct ended_bans);
	int64_t next_ms = INT64_MAX;
	int rc = shelf_expire(
		&protector->history, txn, now_ms, ENDED_MAX, ended->ids, &ended->count, ret_next_ms);

	*ret_changed = false;
	if (!rc)
		rc = history_tick(&protector->history, txn, now_ms, ERASED_MAX, &next_ms, ret_changed);
	metric_set(&metric_ended, history_rows(&protector->history, txn));
	if (next_ms < *ret_next_ms)
		*ret_next_ms = next_ms;
	if (*ret_next_ms > now_ms + LOOK_MS)
		*ret_next_ms = now_ms + LOOK_MS;
	if (rc || !ended->count) {
		free(ended);
		return rc;
	}
	*ret_changed = true;
	ended->task.run = settle;
	ended->protector = protector;
	protector->ended = ended;
	return 0;
}

void protector_rollback(void *domain)
{
	struct protector *protector = domain;

	free(protector->ended);
	protector->ended = NULL;
	history_rollback(&protector->history);
}

void protector_committed(void *domain)
{
	struct protector *protector = domain;

	if (protector->ended)
		rpc_post(protector->loop, &protector->ended->task);
	protector->ended = NULL;
}
