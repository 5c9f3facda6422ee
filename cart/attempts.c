/* cart/attempts.c - see attempts.h. */
#include "cart/attempts.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

void attempts_init(struct attempts *attempts, struct lines *lines, size_t max)
{
	*attempts = (struct attempts){.lines = lines, .max = max};
	map_init(&attempts->by_id);
	map_init(&attempts->by_key);
	slab_init(&attempts->slab, sizeof(struct attempt));
	attempts->lists = NEW_ARRAY((size_t)lines->shards * ATTEMPT_STATES, struct attempt_list);
}

void attempts_release(struct attempts *attempts)
{
	for (size_t i = 0; i < (size_t)attempts->lines->shards * ATTEMPT_STATES; i++)
		while (attempts->lists[i].first)
			attempts_free(attempts, attempts->lists[i].first);
	map_release(&attempts->by_id);
	map_release(&attempts->by_key);
	slab_release(&attempts->slab);
	free(attempts->lists);
}

struct attempt_list *attempts_list(const struct attempts *attempts, uint32_t shard, enum attempt_state state)
{
	return &attempts->lists[(size_t)shard * ATTEMPT_STATES + state];
}

static void attempt_link(struct attempts *attempts, struct attempt *attempt)
{
	struct attempt_list *list = attempts_list(attempts, attempt->usage->goods->shard, attempt->state);

	attempt->previous = list->last;
	attempt->next = NULL;
	*(list->last ? &list->last->next : &list->first) = attempt;
	list->last = attempt;
	list->count++;
}

static void attempt_unlink(struct attempts *attempts, struct attempt *attempt)
{
	struct attempt_list *list = attempts_list(attempts, attempt->usage->goods->shard, attempt->state);

	*(attempt->previous ? &attempt->previous->next : &list->first) = attempt->next;
	*(attempt->next ? &attempt->next->previous : &list->last) = attempt->previous;
	list->count--;
}

struct attempt *attempts_new(struct attempts *attempts, const struct id *id, struct usage *usage,
	struct span session, uint32_t quantity, const struct hash128 *key, const struct hash128 *fingerprint)
{
	struct attempt *attempt;

	if (attempts->count >= attempts->max)
		return NULL;
	attempts->count++;
	attempt = slab_get(&attempts->slab);
	attempt->id = *id;
	attempt->usage = usage;
	attempt->session = lines_name_new(attempts->lines, session);
	attempt->quantity = quantity;
	attempt->state = ATTEMPT_QUEUED;
	map_put(&attempts->by_id, &attempt->id_node, lines_id_hash(id));
	if (key) {
		attempt->keyed = true;
		attempt->key = *key;
		attempt->fingerprint = *fingerprint;
		map_put(&attempts->by_key, &attempt->key_node, key_short(key));
	}
	attempt_link(attempts, attempt);
	return attempt;
}

void attempts_free(struct attempts *attempts, struct attempt *attempt)
{
	struct usage *usage = attempt->usage;

	assert(!attempt->waiters);
	attempt_set_pending(attempt, false);
	attempt_unlink(attempts, attempt);
	map_remove(&attempts->by_id, &attempt->id_node);
	if (attempt->keyed)
		map_remove(&attempts->by_key, &attempt->key_node);
	lines_name_free(attempts->lines, attempt->session);
	slab_put(&attempts->slab, attempt);
	lines_unuse(attempts->lines, usage);
	attempts->count--;
}

struct attempt *attempts_find(const struct attempts *attempts, const struct id *id)
{
	struct map_node *node = map_first(&attempts->by_id, lines_id_hash(id));

	for (; node; node = map_next(node)) {
		struct attempt *attempt = container_of(node, struct attempt, id_node);

		if (id_compare(&attempt->id, id) == 0)
			return attempt;
	}
	return NULL;
}

struct attempt *attempts_find_key(const struct attempts *attempts, const struct hash128 *key)
{
	struct map_node *node = map_first(&attempts->by_key, key_short(key));

	for (; node; node = map_next(node)) {
		struct attempt *attempt = container_of(node, struct attempt, key_node);

		if (key_equal(&attempt->key, key))
			return attempt;
	}
	return NULL;
}

void attempts_move(struct attempts *attempts, struct attempt *attempt, enum attempt_state state)
{
	attempt_unlink(attempts, attempt);
	attempt->state = (uint8_t)state;
	attempt_link(attempts, attempt);
}

void attempt_set_pending(struct attempt *attempt, bool pending)
{
	if (attempt->pending == pending)
		return;
	attempt->pending = pending;
	if (pending) {
		attempt->usage->pending += attempt->quantity;
		return;
	}
	assert(attempt->usage->pending >= attempt->quantity);
	attempt->usage->pending -= attempt->quantity;
}

bool attempt_join(struct attempt *attempt, struct waiter *waiter)
{
	if (attempt->waiter_count >= ATTEMPT_WAITERS_MAX)
		return false;
	attempt->waiter_count++;
	waiter->attempt = attempt;
	waiter->previous = NULL;
	waiter->next = attempt->waiters;
	if (waiter->next)
		waiter->next->previous = waiter;
	attempt->waiters = waiter;
	if (attempt->deadline_ms < waiter->deadline_ms)
		attempt->deadline_ms = waiter->deadline_ms;
	return true;
}

void attempt_leave(struct waiter *waiter)
{
	struct attempt *attempt = waiter->attempt;

	*(waiter->previous ? &waiter->previous->next : &attempt->waiters) = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	waiter->attempt = NULL;
	attempt->waiter_count--;
}
