#include "discovery/consul_watch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define FAILURES_COUNTED 16 /* more make no difference */

/* Full jitter: anything up to the exponential bound. */
static int64_t backoff_ms(const struct consul_options *options, unsigned failures, uint32_t random)
{
	int64_t bound = 100LL << (failures < FAILURES_COUNTED ? failures : FAILURES_COUNTED);

	bound = bound < options->backoff_max_ms ? bound : options->backoff_max_ms;
	return bound <= CONSUL_BACKOFF_MIN_MS
		       ? bound
		       : CONSUL_BACKOFF_MIN_MS +
				 (int64_t)(random % (uint64_t)(bound - CONSUL_BACKOFF_MIN_MS + 1));
}

/* ---- a watch ---- */

void consul_watch_init(struct consul_watch *watch, const struct consul_options *options, int64_t now_ms)
{
	*watch = (struct consul_watch){.options = options, .next_ms = now_ms, .heard_ms = now_ms};
}

static const struct instance *find(const struct instances *list, const char *id)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(id, list->items[middle].id);

		if (!order)
			return &list->items[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Of `list` what `fresh` does not name, as critical ones; NULL: nothing. */
static struct instances *without(const struct instances *list, const struct instances *fresh)
{
	struct instance *items = NEW_ARRAY(list->count, struct instance);
	struct instances *rest = NULL;
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (find(fresh, list->items[i].id))
			continue;
		items[count] = list->items[i];
		items[count++].health = INSTANCE_CRITICAL;
	}
	if (count)
		rest = instances_make(items, count, list->seen_wall_ms, NULL);
	free(items);
	return rest;
}

/* Both, or NULL when they can't be of one service: there are too many, or the count of shards has changed. */
static struct instances *join(const struct instances *fresh, const struct instances *missing)
{
	struct instance *items = NEW_ARRAY(fresh->count + missing->count, struct instance);
	struct instances *both;

	memcpy(items, fresh->items, fresh->count * sizeof(*items));
	memcpy(items + fresh->count, missing->items, missing->count * sizeof(*items));
	both = instances_make(items, fresh->count + missing->count, fresh->seen_wall_ms, NULL);
	free(items);
	return both;
}

static void forget_missing(struct consul_watch *watch)
{
	instances_drop(watch->missing);
	watch->missing = NULL;
}

void consul_watch_release(struct consul_watch *watch)
{
	instances_drop(watch->list);
	watch->list = NULL;
	forget_missing(watch);
}

/* The new list with what is missing in it, if anything is. */
static struct instances *with_missing(
	struct consul_watch *watch, bool lost, struct instances *fresh, int64_t now_ms)
{
	const struct instances *from = lost ? watch->list : watch->missing;
	struct instances *both = NULL;

	if (lost)
		watch->linger_until_ms = now_ms + watch->options->linger_ms;
	if (from) {
		struct instances *still = without(from, fresh);

		forget_missing(watch);
		watch->missing = still;
	}
	if (watch->missing && now_ms < watch->linger_until_ms)
		both = join(fresh, watch->missing);
	if (!both) {
		forget_missing(watch);
		return fresh;
	}
	instances_drop(fresh);
	return both;
}

static void pace(struct consul_watch *watch, bool changed, int64_t sent_ms, int64_t now_ms)
{
	int64_t gap = CONSUL_PACE_MS;

	if (changed || now_ms - sent_ms >= watch->options->wait_ms / 2)
		watch->idle = 0;
	else
		watch->idle += watch->idle < FAILURES_COUNTED;
	for (unsigned i = 1; i < watch->idle && gap < CONSUL_PACE_MAX_MS; i++)
		gap *= 2;
	gap = gap < CONSUL_PACE_MAX_MS ? gap : CONSUL_PACE_MAX_MS;
	watch->next_ms = sent_ms + gap > now_ms ? sent_ms + gap : now_ms;
}

struct instances *consul_watch_heard(
	struct consul_watch *watch, uint64_t index, struct instances *fresh, int64_t sent_ms, int64_t now_ms)
{
	bool back, changed;

	index = index ? index : 1;
	back = index < watch->index;
	fresh = with_missing(watch, watch->list && (watch->failures || back), fresh, now_ms);
	watch->index = back ? 0 : index;
	watch->failures = 0;
	watch->heard_ms = now_ms;
	changed = !watch->list || !instances_equal(watch->list, fresh);
	pace(watch, changed, sent_ms, now_ms);
	if (!changed) {
		instances_drop(fresh);
		return NULL;
	}
	instances_drop(watch->list);
	watch->list = instances_keep(fresh);
	return fresh;
}

void consul_watch_failed(struct consul_watch *watch, int64_t now_ms, uint32_t random)
{
	watch->failures += watch->failures < FAILURES_COUNTED;
	watch->index = 0;
	watch->idle = 0;
	watch->next_ms = now_ms + backoff_ms(watch->options, watch->failures - 1, random);
}

/* ---- our registration ---- */

void consul_enroll_init(struct consul_enroll *enroll, const struct consul_options *options)
{
	*enroll = (struct consul_enroll){.options = options, .next = CONSUL_NOTHING};
}

void consul_enroll_begin(struct consul_enroll *enroll, int64_t now_ms)
{
	enroll->next = CONSUL_REGISTER;
	enroll->next_ms = now_ms;
}

void consul_enroll_end(struct consul_enroll *enroll, int64_t now_ms)
{
	/* not registered as far as we know: yet an answer may have been lost */
	enroll->next = enroll->next == CONSUL_NOTHING ? CONSUL_NOTHING : CONSUL_WITHDRAW;
	enroll->next_ms = now_ms;
}

void consul_enroll_heard(
	struct consul_enroll *enroll, enum consul_found found, int64_t now_ms, uint32_t random)
{
	assert(enroll->next != CONSUL_NOTHING);
	if (enroll->next == CONSUL_WITHDRAW) { /* once: who ends does not wait for Consul */
		enroll->next = CONSUL_NOTHING;
		enroll->registered = false;
		return;
	}
	if (found == CONSUL_FAILED) {
		enroll->failures += enroll->failures < FAILURES_COUNTED;
		enroll->next_ms = now_ms + backoff_ms(enroll->options, enroll->failures - 1, random);
		return;
	}
	enroll->failures = 0;
	enroll->registered = found == CONSUL_DONE;
	enroll->next = enroll->registered ? CONSUL_LOOK : CONSUL_REGISTER;
	/* not all processes of a machine at the same moment */
	enroll->next_ms = now_ms;
	if (enroll->registered)
		enroll->next_ms += enroll->options->look_ms * 3 / 4 +
				   (int64_t)(random % (uint64_t)(enroll->options->look_ms / 2 + 1));
}

void consul_enroll_hurry(struct consul_enroll *enroll, int64_t now_ms)
{
	if (enroll->next != CONSUL_NOTHING && enroll->next_ms > now_ms)
		enroll->next_ms = now_ms;
}
