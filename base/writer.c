#include "base/writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "base/signals.h"

/* The domain's time may run differently from the timer that sleeps (suspend, a test's clock): it is asked at least this often. */
#define SLEEP_MAX_MS 250
/* After a group that the store failed, tick waits this long before it tries again. */
#define RETRY_MS 100

struct writer {
	struct writer_options options;
	pthread_t thread;

	/* Guarded by the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct command *first, **last;
	bool ending, woken;
	_Atomic uint32_t queued; /* written under the mutex, read anywhere */

	int64_t next_ms; /* the thread's own: when tick is due */
};

static struct metric metric_groups = {
	.name = "flashsale_writer_groups_total", .help = "Groups that were committed."};
static struct metric metric_items = {
	.name = "flashsale_writer_items_total", .help = "Items of commands that were committed."};
static struct metric metric_failed = {.name = "flashsale_writer_failed_groups_total",
	.help = "Groups that the store refused and that were rolled back."};
static struct metric metric_full = {.name = "flashsale_writer_full_groups_total",
	.help = "Groups that met a full map and ran again without what grows."};
static struct metric metric_refused = {.name = "flashsale_writer_refused_total",
	.help = "Commands that were not taken because the queue was full."};
static struct metric metric_queued = {.kind = METRIC_GAUGE,
	.name = "flashsale_writer_queued_items",
	.help = "Items of commands that wait for the next group."};
static struct metric metric_commit = {.kind = METRIC_HISTOGRAM,
	.name = "flashsale_writer_commit_seconds",
	.help = "Time of a durable commit.",
	.bounds = metric_bounds_seconds,
	.scale = 1e-9};
static struct metric metric_group_items = {.kind = METRIC_HISTOGRAM,
	.name = "flashsale_writer_group_items",
	.help = "Items a group.",
	.bounds = metric_bounds_items};

/* Of the one writer of a process. */
static _Atomic int64_t waiting_since_ns; /* 0: nothing waits */

static int64_t queue_age_ns(void *context)
{
	const int64_t since_ns = atomic_load(&waiting_since_ns);

	return since_ns ? clock_mono_ns() - since_ns : 0;
}

static struct metric metric_queue_age = {.kind = METRIC_GAUGE,
	.name = "flashsale_writer_queue_age_seconds",
	.help = "How long the oldest command has waited for the writer, at most; 0: none waits.",
	.read = queue_age_ns,
	.scale = 1e-9};

static void register_metrics(void)
{
	struct metric *all[] = {&metric_groups, &metric_items, &metric_failed, &metric_full, &metric_refused,
		&metric_queued, &metric_queue_age, &metric_commit, &metric_group_items};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		metrics_register(all[i]);
}

/* Milliseconds until tick is due; 0: now. */
static int64_t tick_delay(struct writer *writer)
{
	int64_t now_ms;

	if (!writer->options.tick)
		return SLEEP_MAX_MS;
	now_ms = writer->options.now_ms(writer->options.domain);
	if (writer->next_ms <= now_ms)
		return 0;
	return writer->next_ms - now_ms < SLEEP_MAX_MS ? writer->next_ms - now_ms : SLEEP_MAX_MS;
}

static void sleep_unlocked(struct writer *writer, int64_t ms)
{
	int64_t until_ns = clock_mono_ns() + ms * 1000000;
	struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};

	pthread_cond_timedwait(&writer->changed, &writer->mutex, &until);
}

/* Under the mutex. */
static void set_queued(struct writer *writer, uint32_t items)
{
	atomic_store(&writer->queued, items);
	metric_set(&metric_queued, items);
}

/* Takes from the queue, in its order, what fits in one group; at least one command if there is any. */
static struct command *take_group(struct writer *writer)
{
	struct command *group = writer->first, **end = &writer->first;
	uint32_t items = 0;

	while (*end && (items == 0 || items + (*end)->items <= writer->options.group_max)) {
		items += (*end)->items;
		end = &(*end)->next;
	}
	if (end == &writer->first)
		return NULL;
	writer->first = *end;
	*end = NULL;
	if (!writer->first)
		writer->last = &writer->first;
	set_queued(writer, atomic_load(&writer->queued) - items);
	if (!writer->first)
		atomic_store(&waiting_since_ns, 0);
	return group;
}

/* Waits for work. False: the end, and nothing is queued. *ret_group may be NULL when only tick is to run. */
static bool gather(struct writer *writer, struct command **ret_group)
{
	for (;;) {
		int64_t delay_ms = tick_delay(writer);
		bool due = delay_ms == 0, ending;

		pthread_mutex_lock(&writer->mutex);
		if (!writer->first && !writer->ending && !writer->woken && !due)
			sleep_unlocked(writer, delay_ms);
		due = due || writer->woken;
		writer->woken = false;
		ending = writer->ending;
		*ret_group = take_group(writer);
		pthread_mutex_unlock(&writer->mutex);
		if (*ret_group || (due && !ending && writer->options.tick))
			return true;
		if (ending)
			return false;
	}
}

static void die(struct writer *writer, const char *doing, int rc)
{
	char why[160];

	snprintf(why, sizeof(why), "%s: %s", doing, mdb_strerror(rc));
	writer->options.fatal(writer->options.fatal_context, why);
	abort();
}

/* 0: committed. MDB_MAP_FULL: it was full before anything was written. Any other error leaves the outcome open. */
static int commit(struct writer *writer, MDB_txn *txn)
{
	int64_t began_ns = clock_mono_ns();
	int rc = mdb_txn_commit(txn);

	if (rc && rc != MDB_MAP_FULL)
		die(writer, "a commit failed, its outcome is unknown", rc);
	metric_observe(&metric_commit, clock_mono_ns() - began_ns);
	return rc;
}

static int apply_all(struct writer *writer, struct command *group, MDB_txn *txn, int64_t now_ms, bool growing)
{
	for (struct command *command = group; command; command = command->next) {
		int rc;

		if (command->grows && !growing)
			continue;
		rc = command->apply(command, writer->options.domain, txn, now_ms);
		if (rc)
			return rc;
	}
	return 0;
}

/* Runs the group once. An error: everything in it is undone. */
static int attempt(struct writer *writer, struct command *group, bool growing)
{
	const struct writer_options *options = &writer->options;
	int64_t now_ms, next_ms = INT64_MAX;
	bool changed = false;
	MDB_txn *txn;
	int rc;

	now_ms = options->now_ms(options->domain);
	writer->next_ms = now_ms + RETRY_MS; /* until the group is through */
	rc = mdb_txn_begin(options->store->env, NULL, 0, &txn);
	if (rc == MDB_PANIC)
		die(writer, "the store is unusable", rc);
	if (rc)
		return rc;
	if (options->tick)
		rc = options->tick(options->domain, txn, now_ms, &next_ms, &changed);
	if (!rc && !group && !changed) {
		mdb_txn_abort(txn);
		writer->next_ms = next_ms;
		return 0;
	}
	if (!rc)
		rc = apply_all(writer, group, txn, now_ms, growing);
	if (!rc && options->finish)
		rc = options->finish(options->domain, txn, now_ms);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = commit(writer, txn);
	if (rc) {
		if (options->rollback)
			options->rollback(options->domain);
		return rc;
	}
	writer->next_ms = next_ms;
	metric_add(&metric_groups, 1);
	if (options->committed)
		options->committed(options->domain);
	return 0;
}

static void answer(struct command *group, enum writer_result result, enum writer_result growing_result)
{
	uint32_t items = 0;

	while (group) {
		struct command *command = group;

		group = command->next; /* done() may free it */
		if (result == WRITER_COMMITTED)
			items += command->items;
		command->done(command, command->grows ? growing_result : result);
	}
	if (items) {
		metric_add(&metric_items, items);
		metric_observe(&metric_group_items, items);
	}
}

static void run_group(struct writer *writer, struct command *group)
{
	int rc = attempt(writer, group, true);
	enum writer_result result = WRITER_COMMITTED, growing = WRITER_COMMITTED;

	if (rc == MDB_MAP_FULL) {
		metric_add(&metric_full, 1);
		rc = attempt(writer, group, false);
		growing = WRITER_FULL;
	}
	if (rc) {
		metric_add(&metric_failed, 1);
		LOG_LIMITED(LOG_ERROR, "the store refused a group", LOG_TEXT("error", mdb_strerror(rc)));
		result = rc == MDB_MAP_FULL ? WRITER_FULL : WRITER_FAILED;
		growing = growing == WRITER_FULL ? WRITER_FULL : result;
	}
	answer(group, result, growing);
}

static void *run(void *argument)
{
	struct writer *writer = argument;
	struct command *group;

	while (gather(writer, &group))
		run_group(writer, group);
	return NULL;
}

struct writer *writer_new(const struct writer_options *options)
{
	struct writer *writer = NEW(struct writer);
	pthread_condattr_t attributes;
	sigset_t all, before;
	int rc;

	assert(options->store && options->now_ms && options->fatal);
	assert(options->group_max >= 1 && options->queue_max >= 1);
	register_metrics();
	writer->options = *options;
	writer->last = &writer->first;
	writer->next_ms = options->tick ? INT64_MIN : INT64_MAX;
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&writer->thread, NULL, run, writer);
	assert(rc == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (options->name)
		pthread_setname_np(writer->thread, options->name);
	return writer;
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	assert(!pthread_equal(pthread_self(), writer->thread));
	pthread_mutex_lock(&writer->mutex);
	writer->ending = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
	pthread_join(writer->thread, NULL);
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->mutex);
	free(writer);
}

bool writer_submit(struct writer *writer, struct command *command)
{
	bool taken;

	assert(command->items >= 1);
	command->next = NULL;
	pthread_mutex_lock(&writer->mutex);
	taken = !writer->ending && command->items <= writer->options.queue_max - atomic_load(&writer->queued);
	if (taken) {
		if (!writer->first)
			atomic_store(&waiting_since_ns, clock_mono_ns());
		set_queued(writer, atomic_load(&writer->queued) + command->items);
		*writer->last = command;
		writer->last = &command->next;
		pthread_cond_signal(&writer->changed);
	}
	pthread_mutex_unlock(&writer->mutex);
	if (!taken)
		metric_add(&metric_refused, 1);
	return taken;
}

void writer_wake(struct writer *writer)
{
	pthread_mutex_lock(&writer->mutex);
	writer->woken = true;
	pthread_cond_signal(&writer->changed);
	pthread_mutex_unlock(&writer->mutex);
}

uint32_t writer_queued(const struct writer *writer)
{
	return atomic_load(&writer->queued);
}
