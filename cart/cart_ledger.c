/* cart/cart_ledger.c - the ledger's word and the fences: what frees, adopts and settles. See cart.h. */
#include "cart/cart.h"

#include <assert.h>

#include "cart/cart_internal.h"

void cart_doubt(struct cart *cart, uint32_t shard)
{
	struct cart_link *link = &cart->links[shard];

	if (link->stopped || !fence_propose(&link->fence))
		return;
	link->usable = false;
	cart->options.effects.fence(cart->options.context, shard);
}

bool cart_stale(struct cart *cart, uint32_t shard, uint64_t epoch)
{
	const struct fence *fence = &cart->links[shard].fence;

	if (epoch != fence->accepted || fence->proposed)
		return false;
	cart->options.effects.succeeded(cart->options.context, shard);
	return true;
}

/* A fence has been applied that is newer than they are: those that are not in the ledger never happened. */
static void link_settle_unknown(struct cart *cart, uint32_t shard, int64_t now_ms)
{
	const struct cart_link *link = &cart->links[shard];
	struct attempt *attempt = attempts_list(&cart->attempts, shard, ATTEMPT_UNKNOWN)->first, *next;

	for (; attempt; attempt = next) {
		next = attempt->next;
		if (!fence_settles(&link->fence, link->position, attempt->epoch))
			continue;
		cart->counters.vanished++;
		attempt_requeue(cart, attempt, now_ms);
	}
}

/* A yes of inventory that is not in its ledger is a broken promise of its: the ledger counts. */
static void link_settle_granted(struct cart *cart, uint32_t shard)
{
	const struct cart_link *link = &cart->links[shard];
	struct attempt *attempt = attempts_list(&cart->attempts, shard, ATTEMPT_GRANTED)->first, *next;
	struct line *line;

	for (; attempt; attempt = next) {
		next = attempt->next;
		if (!fence_settles(&link->fence, link->position, attempt->epoch))
			continue;
		cart->counters.anomalies++;
		line = lines_find(&cart->lines, &attempt->id);
		if (line) { /* else it had ended already, and was forgotten */
			assert(line->unseen);
			lines_remove(&cart->lines, line);
		}
		attempts_free(&cart->attempts, attempt);
	}
}

static void link_settle(struct cart *cart, uint32_t shard, int64_t now_ms)
{
	struct cart_link *link = &cart->links[shard];
	struct attempt_list *queued = attempts_list(&cart->attempts, shard, ATTEMPT_QUEUED);
	size_t left;

	if (link->stopped)
		return;
	link_settle_unknown(cart, shard, now_ms);
	link_settle_granted(cart, shard);
	if (link->usable || !fence_usable(&link->fence, link->position))
		return;
	link->usable = link->was_usable = true;
	for (left = queued->count; left; left--)
		attempt_dispatch(cart, queued->first, now_ms);
	cart->options.effects.usable(cart->options.context, shard);
}

void cart_fenced(
	struct cart *cart, uint32_t shard, bool accepted, uint64_t epoch, uint64_t sequence, int64_t now_ms)
{
	struct cart_link *link = &cart->links[shard];

	if (link->stopped)
		return;
	switch (fence_answered(&link->fence, accepted, epoch, sequence)) {
	case FENCE_FINE:
		link_settle(cart, shard, now_ms);
		break;
	case FENCE_AGAIN:
		cart->options.effects.fence(cart->options.context, shard);
		break;
	case FENCE_SUCCEEDED:
		cart->options.effects.succeeded(cart->options.context, shard);
		break;
	}
}

void cart_removed(struct cart *cart, uint32_t shard, const struct id *removed)
{
	struct cart_link *link = &cart->links[shard];

	id_generator_pass(&cart->ids, removed);
	if (id_compare(removed, &link->removed) > 0)
		link->removed = *removed;
}

bool cart_lineage(struct cart *cart, uint32_t shard, const struct id *lineage)
{
	struct cart_link *link = &cart->links[shard];

	if (id_is_zero(&link->lineage))
		link->lineage = *lineage;
	return id_compare(&link->lineage, lineage) == 0;
}

/* The ledger has it: its units are on a line, and whoever waits may know. */
static void attempt_adopt(struct cart *cart, struct attempt *attempt, const struct line *line)
{
	attempt_set_pending(attempt, false);
	if (attempt->state ==
		ATTEMPT_SENT) { /* its answer is about to come, with what only the answer says */
		attempt->seen = true;
		return;
	}
	if (attempt->state != ATTEMPT_GRANTED)
		cart->counters.adopted++;
	attempt_tell_line(cart, attempt, line, 0);
	attempts_free(&cart->attempts, attempt);
}

static void apply_created(struct cart *cart, const struct hold *hold)
{
	struct line *line = lines_find(&cart->lines, &hold->id);
	struct attempt *attempt = attempts_find(&cart->attempts, &hold->id);

	id_generator_pass(&cart->ids, &hold->id);
	if (!line) {
		line = lines_add(&cart->lines, hold);
		if (!attempt)
			cart->counters.adopted++;
	} else if (line->unseen) {
		lines_see(&cart->lines, line, hold);
	} else {
		return;
	}
	cart->options.effects.changed(cart->options.context, line);
	if (attempt)
		attempt_adopt(cart, attempt, line);
}

static void apply_changed(struct cart *cart, const struct cart_link *link, const struct entry *entry)
{
	const struct hold *change = &entry->hold;
	struct line *line = lines_find(&cart->lines, &change->id);

	if (!line) { /* its begin may be gone from the ledger; then it has ended */
		cart->counters.anomalies +=
			entry->sequence > link->floor && id_compare(&change->id, &link->removed) > 0;
		return;
	}
	if (lines_change(&cart->lines, line, change))
		cart->options.effects.changed(cart->options.context, line);
}

void cart_apply(struct cart *cart, uint32_t shard, const struct entry *entry)
{
	struct cart_link *link = &cart->links[shard];

	if (entry->sequence <= link->position)
		return;
	link->position = entry->sequence;
	switch (entry->kind) {
	case ENTRY_CREATED:
		apply_created(cart, &entry->hold);
		break;
	case ENTRY_CHANGED:
		apply_changed(cart, link, entry);
		break;
	case ENTRY_FENCED:
		if (fence_heard(&link->fence, entry->epoch, &entry->instance) == FENCE_SUCCEEDED)
			cart->options.effects.succeeded(cart->options.context, shard);
		break;
	case ENTRY_INCARNATION:
		cart->lines.moved_ms[shard] += entry->moved_ms;
		break;
	case ENTRY_ARCHIVED: /* its lines have gone before: cart_archive */
	case ENTRY_ORDER:    /* the entries of its holds have come; the order itself is for cart/orders.h */
	case ENTRY_OTHER:
		break;
	}
}

bool cart_archive(struct cart *cart, struct span sku, struct map_walk *walk, size_t slots)
{
	return lines_archive(
		&cart->lines, sku, walk, slots, cart->options.effects.forgotten, cart->options.context);
}

void cart_applied(struct cart *cart, uint32_t shard, uint64_t position, int64_t now_ms)
{
	struct cart_link *link = &cart->links[shard];

	if (link->position < position)
		link->position = position;
	link_settle(cart, shard, now_ms);
}

/* Promises that the ledger did not come to tell of: whoever reconciles has to know of them. */
static void keep_unseen(struct cart *cart, uint32_t shard)
{
	struct attempt *attempt = attempts_list(&cart->attempts, shard, ATTEMPT_GRANTED)->first;

	for (; attempt; attempt = attempt->next) {
		const struct line *line = lines_find(&cart->lines, &attempt->id);

		assert(!line || line->unseen); /* once it is told, the attempt is over */
		if (line)
			cart->options.effects.changed(cart->options.context, line);
	}
}

void cart_stop_link(struct cart *cart, uint32_t shard)
{
	struct cart_link *link = &cart->links[shard];
	struct attempt_list *queued = attempts_list(&cart->attempts, shard, ATTEMPT_QUEUED);

	link->stopped = true;
	link->usable = false;
	keep_unseen(cart, shard);
	while (queued->first)
		attempt_refuse(cart, queued->first, COMMON__REASON__REASON_DEPENDENCY_DOWN, 0);
}

size_t cart_sweep(struct cart *cart, int64_t now_ms, size_t max)
{
	size_t count = 0;
	struct line *line;

	for (; count < max && (line = lines_forgettable(&cart->lines, now_ms)); count++) {
		cart->options.effects.forgotten(cart->options.context, line);
		lines_remove(&cart->lines, line);
	}
	return count;
}
