/* tests/simulation/model_holds.c - the model's holds, by id and by key. See model.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

#define KEY_SLOTS 65536

static struct model_hold **slots;
static size_t slot_mask, hold_count;
static struct model_hold *keys[KEY_SLOTS];

void model_holds_begin(void)
{
	slot_mask = 4095;
	hold_count = 0;
	slots = NEW_ARRAY(slot_mask + 1, struct model_hold *);
	memset(keys, 0, sizeof(keys));
}

void model_holds_end(void)
{
	for (size_t i = 0; i <= slot_mask; i++)
		free(slots[i]);
	free(slots);
}

static size_t slot_of(const struct id *id)
{
	uint64_t word;

	memcpy(&word, id->bytes + 8, sizeof(word));
	return (size_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> 24) & slot_mask;
}

struct model_hold *model_hold_get(const struct id *id)
{
	for (size_t at = slot_of(id); slots[at]; at = (at + 1) & slot_mask)
		if (id_compare(&slots[at]->id, id) == 0)
			return slots[at];
	return NULL;
}

static void slot_put(struct model_hold *hold)
{
	size_t at = slot_of(&hold->id);

	while (slots[at])
		at = (at + 1) & slot_mask;
	slots[at] = hold;
}

static void slots_grow(void)
{
	struct model_hold **old = slots;
	size_t count = slot_mask + 1;

	slot_mask = slot_mask * 2 + 1;
	slots = NEW_ARRAY(slot_mask + 1, struct model_hold *);
	for (size_t i = 0; i < count; i++)
		if (old[i])
			slot_put(old[i]);
	free(old);
}

struct model_hold *model_hold_make(const struct id *id)
{
	struct model_hold *hold = model_hold_get(id);

	if (hold)
		return hold;
	if (++hold_count * 2 > slot_mask)
		slots_grow();
	hold = NEW(struct model_hold);
	hold->id = *id;
	slot_put(hold);
	return hold;
}

void model_holds_each(void (*visit)(struct model_hold *hold))
{
	for (size_t i = 0; i <= slot_mask; i++)
		if (slots[i])
			visit(slots[i]);
}

const struct model_hold *model_find(const struct id *id)
{
	return model_hold_get(id);
}

void model_each(void (*visit)(const struct model_hold *hold))
{
	for (size_t i = 0; i <= slot_mask; i++)
		if (slots[i] && slots[i]->created)
			visit(slots[i]);
}

static struct model_hold **key_slot(const struct hash128 *key)
{
	return &keys[(key->bytes[0] << 8 | key->bytes[1]) % KEY_SLOTS];
}

bool model_same(const struct hash128 *a, const struct hash128 *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool model_key_elsewhere(
	const struct hash128 *key, const struct hash128 *fingerprint, uint32_t shard, uint32_t *ret)
{
	for (const struct model_hold *hold = *key_slot(key); hold; hold = hold->next)
		if (model_same(&hold->key, key) && hold->shard != shard) {
			*ret = hold->shard;
			return true;
		}
	return false;
}

void model_key_forget(struct model_hold *hold)
{
	for (struct model_hold **at = key_slot(&hold->key); *at; at = &(*at)->next)
		if (*at == hold) {
			*at = hold->next;
			return;
		}
}

/* Promise 6. Two shards can each have a grant of one key only for two requests that differ (design 7: keys after a start); that is judged where
 * the add leaves. */
void model_key_take(struct model_hold *hold)
{
	struct model_hold **slot = key_slot(&hold->key);

	for (const struct model_hold *other = *slot; other; other = other->next)
		if (model_same(&other->key, &hold->key))
			WORLD_CHECK(!model_same(&other->fingerprint, &hold->fingerprint) &&
					    other->shard != hold->shard,
				"promise 6: two holds of one key (%s)",
				model_same(&other->fingerprint, &hold->fingerprint)
					? "the same request"
					: "requests that differ, on one shard");
	hold->next = *slot;
	*slot = hold;
}
