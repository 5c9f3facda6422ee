#include "protector/decisions.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "protector/detection.h"
#include "protector/shelf.h"

#define RETRY_MS 20    /* the writer's queue is full */
#define BAN_BYTES 2048 /* its texts and what was seen */

struct making;
struct decisions {
	struct protector *protector;
	_Atomic uint32_t under_way;

	/* the loop's */
	struct making *waiting; /* for the writer, in order: of two about one client the later counts */
	struct making **last;
	struct rpc_timer retry;
	struct making *strongest; /* of each subject of those that are with the writer, or wait for it */
	void (*revoked)(struct protector *protector, const struct ban *ban); /* or NULL */
	bool ended;
};

/* One decision on its way to being a ban. */
struct making {
	struct rpc_task task;
	struct making *next;
	struct command command;
	struct decisions *decisions;
	enum writer_result result;
	struct arena arena; /* what the ban points to */
	struct ban ban;
	uint8_t subject[SUBJECT_KEY_MAX];
	bool listed; /* among the strongest */
	UT_hash_handle hh;
};

#define COUNTER(outcome, text) \
	{ \
		.kind = METRIC_COUNTER, .name = "flashsale_protector_decisions_total", \
		.help = "Decisions of detectors, by what became of them.", .labels = "outcome=\"" text "\"" \
	}
enum outcome_of_decision { MADE, OVERRULED, NO_ROOM, OUTCOMES_OF_DECISION };
static struct metric counters[OUTCOMES_OF_DECISION] = {
	[MADE] = COUNTER(MADE, "made"),
	[OVERRULED] = COUNTER(OVERRULED, "overruled"),
	[NO_ROOM] = COUNTER(NO_ROOM, "dropped"),
};

/* What each detector said, by what it leads to: of those in shadow to nothing. */
static const char *const steps[] = {
	[BAN_DENIES] = "ban", [BAN_SHADOWS] = "shadow", [BAN_SLOWS] = "slow", [BAN_CHALLENGES] = "challenge"};
#define STEPS (sizeof(steps) / sizeof(steps[0]))
static struct metric detections[DETECTORS][STEPS];

static void register_metrics(void)
{
	for (int i = 0; i < OUTCOMES_OF_DECISION; i++)
		metrics_register(&counters[i]);
	for (size_t i = 0; i < (DETECTORS - 1) * STEPS; i++) {
		const enum detector detector = (enum detector)(1 + i / STEPS);
		struct metric *metric = &detections[detector][i % STEPS];

		if (!steps[i % STEPS] || metric->registered)
			continue;
		*metric = (struct metric){.kind = METRIC_COUNTER,
			.name = "flashsale_protector_detections_total",
			.help = "Decisions of detectors, by detector and the step it is.",
			.labels = memory_format(
				"detector=\"%s\",step=\"%s\"", detector_name(detector), steps[i % STEPS])};
		metrics_register(metric);
	}
}

/* ---- on its way ---- */

static void unlist(struct making *making)
{
	if (making->listed)
		HASH_DEL(making->decisions->strongest, making);
	making->listed = false;
}

/* What is on its way already and not in force yet. It has outranked all of its subject that are. */
static struct making *strongest_of(struct making *making, size_t *ret_size)
{
	struct making *found;

	*ret_size = subject_pack(&making->ban.subject, making->subject);
	HASH_FIND(hh, making->decisions->strongest, making->subject, *ret_size, found);
	return found;
}

/* False: it says nothing new beside what is on its way. */
static bool list(struct making *making)
{
	size_t size;
	struct making *before = strongest_of(making, &size);

	if (before && ban_outranks(&before->ban, &making->ban))
		return false;
	if (before)
		unlist(before);
	HASH_ADD_KEYPTR(hh, making->decisions->strongest, making->subject, size, making);
	making->listed = true;
	return true;
}

static void end(struct making *making, enum outcome_of_decision outcome)
{
	struct decisions *decisions = making->decisions;

	if (outcome != MADE && decisions->revoked)
		decisions->revoked(decisions->protector, &making->ban);
	unlist(making);
	metric_add(&counters[outcome], 1);
	atomic_fetch_sub(&decisions->under_way, 1);
	arena_release(&making->arena);
	free(making);
}

/* ---- to the store, and in effect ---- */

static int apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct making *making = container_of(command, struct making, command);

	return shelf_put(&making->decisions->protector->history, txn, &making->ban, now_ms);
}

static void settle(struct rpc_task *task)
{
	struct making *making = container_of(task, struct making, task);
	struct protector *protector = making->decisions->protector;

	if (making->result != WRITER_COMMITTED) {
		LOG_LIMITED(LOG_ERROR, "a detector's ban could not be stored and is not in force",
			LOG_TEXT("why", making->result == WRITER_FULL ? "the store is full: --store-size"
								      : "the store refused it"));
		end(making, NO_ROOM);
		return;
	}
	protector_put(protector, &making->ban);
	watch_board_flush(protector->board);
	end(making, MADE);
}

static void done(struct command *command, enum writer_result result)
{
	struct making *making = container_of(command, struct making, command);

	making->result = result;
	making->task.run = settle;
	rpc_post(making->decisions->protector->loop, &making->task);
}

/* As many of those that wait as the writer takes. */
static void submit_waiting(struct decisions *decisions)
{
	struct protector *protector = decisions->protector;

	while (decisions->waiting) {
		struct making *making = decisions->waiting, *next = making->next;

		making->command = (struct command){.apply = apply, .done = done, .items = 1, .grows = true};
		if (!writer_submit(protector->writer, &making->command)) {
			if (!decisions->retry.position)
				rpc_timer_start(protector->loop, &decisions->retry, RETRY_MS);
			return;
		}
		decisions->waiting = next;
	}
	decisions->last = &decisions->waiting;
}

static void submit(struct making *making)
{
	struct decisions *decisions = making->decisions;
	const bool others_wait = decisions->waiting;

	making->next = NULL;
	*decisions->last = making;
	decisions->last = &making->next;
	if (!others_wait)
		submit_waiting(decisions);
}

static void retry(struct rpc_task *task)
{
	submit_waiting(container_of(task, struct decisions, retry.task));
}

void decisions_mute(struct decisions *decisions)
{
	decisions->revoked = NULL;
}

void decisions_end(struct decisions *decisions)
{
	decisions->ended = true;
	rpc_timer_stop(decisions->protector->loop, &decisions->retry);
	while (decisions->waiting) {
		struct making *making = decisions->waiting;

		decisions->waiting = making->next;
		end(making, NO_ROOM);
	}
	decisions->last = &decisions->waiting;
}

/* ---- weighing ---- */

static bool overruled(const struct bans *bans, const struct ban *ban, int64_t now_ms)
{
	return bans_of_person(bans, &ban->subject, now_ms) || bans_outranked(bans, ban, now_ms) ||
	       bans_exempt(bans, &ban->subject, DETECTOR_BIT(ban->detection->detector), now_ms) ||
	       bans_allow(bans, &ban->subject, now_ms);
}

static void weigh(struct rpc_task *task)
{
	struct making *making = container_of(task, struct making, task);
	struct protector *protector = making->decisions->protector;
	const int64_t now_ms = clock_wall_ms(protector->clock);

	if (making->decisions->ended) {
		end(making, NO_ROOM);
		return;
	}
	if (overruled(protector->bans, &making->ban, now_ms)) {
		end(making, OVERRULED);
		return;
	}
	if (!protector_has_room(protector, &making->ban, 0)) {
		LOG_LIMITED(LOG_ERROR, "a detector's ban has no room and is not in force: raise --bans-max",
			LOG_INT("bans", (int64_t)bans_count(protector->bans, BANS_OWN)));
		end(making, NO_ROOM);
		return;
	}
	if (!list(making)) {
		end(making, OVERRULED);
		return;
	}
	making->ban.id = id_next(&protector->ids);
	submit(making);
}

/* ---- from the analysis ---- */

void decisions_decided(void *context, const struct decision *decision)
{
	struct decisions *decisions = context;
	struct making *making;
	bool made;

	metric_add(&detections[decision->detector][decision->effect], 1);
	if (atomic_fetch_add(&decisions->under_way, 1) >= DECISIONS_MAX) {
		atomic_fetch_sub(&decisions->under_way, 1);
		metric_add(&counters[NO_ROOM], 1);
		return;
	}
	making = NEW(struct making);
	making->decisions = decisions;
	arena_init(&making->arena, BAN_BYTES, BAN_BYTES);
	made = ban_from_decision(&making->arena, decision, &making->ban);
	assert(made); /* everything in it is bounded */
	making->task.run = weigh;
	rpc_post(decisions->protector->loop, &making->task);
}

struct decisions *decisions_new(
	struct protector *protector, void (*revoked)(struct protector *protector, const struct ban *ban))
{
	struct decisions *decisions = NEW(struct decisions);

	decisions->protector = protector;
	decisions->revoked = revoked;
	decisions->retry.task.run = retry;
	decisions->last = &decisions->waiting;
	register_metrics();
	return decisions;
}

void decisions_free(struct decisions *decisions)
{
	free(decisions);
}
