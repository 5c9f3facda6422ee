#include "gatekeeper/edge/ban_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

#define CHUNKS_MAX ((BAN_TABLE_MAX + BAN_CHUNK - 1) / BAN_CHUNK)
#define SLOTS_FIRST 256
#define RANGE_KEY_BYTES 17

/* ---- keys ---- */

struct ban_key ban_key_user(const char *user, size_t length)
{
	return (struct ban_key){.user = user, .user_length = length, .hash = (uint32_t)hash64(user, length)};
}

struct ban_key ban_key_range(const struct address *range)
{
	uint8_t bytes[RANGE_KEY_BYTES];

	memcpy(bytes, range->bytes, sizeof(range->bytes));
	bytes[RANGE_KEY_BYTES - 1] = range->bits;
	return (struct ban_key){.address = *range, .hash = (uint32_t)hash64(bytes, sizeof(bytes))};
}

static uint32_t hash_id(const struct id *id)
{
	return (uint32_t)hash64(id->bytes, sizeof(id->bytes));
}

static bool is_about(const struct ban_entry *ban, const struct ban_key *key)
{
	if (key->user)
		return ban->is_user && strlen(ban->user) == key->user_length &&
		       memcmp(ban->user, key->user, key->user_length) == 0;
	return !ban->is_user && ban->bits == key->address.bits &&
	       memcmp(ban->address, key->address.bytes, sizeof(ban->address)) == 0;
}

static struct ban_key key_of(const struct ban_entry *ban)
{
	struct address range = {.bits = ban->bits};

	if (ban->is_user)
		return ban_key_user(ban->user, strlen(ban->user));
	memcpy(range.bytes, ban->address, sizeof(range.bytes));
	return ban_key_range(&range);
}

/* ---- an index ---- */

static struct ban_index index_new(uint32_t slots)
{
	return (struct ban_index){.slots = NEW_ARRAY(slots, struct ban_slot), .mask = slots - 1};
}

static void index_put(struct ban_index *index, struct ban_slot slot)
{
	uint32_t at = slot.hash & index->mask;

	while (index->slots[at].number)
		at = (at + 1) & index->mask;
	index->slots[at] = slot;
	index->count++;
}

/* What stands behind the gap and is searched from before it moves into it, which opens the next gap. */
static void index_close_gap(struct ban_index *index, uint32_t gap)
{
	const uint32_t mask = index->mask;

	for (uint32_t at = (gap + 1) & mask; index->slots[at].number; at = (at + 1) & mask) {
		const uint32_t home = index->slots[at].hash & mask;

		if (((at - home) & mask) < ((at - gap) & mask))
			continue;
		index->slots[gap] = index->slots[at];
		gap = at;
	}
	index->slots[gap].number = 0;
	index->count--;
}

static void index_remove(struct ban_index *index, uint32_t hash, uint32_t number)
{
	uint32_t at = hash & index->mask;

	while (index->slots[at].number != number) {
		assert(index->slots[at].number); /* it is in the index */
		at = (at + 1) & index->mask;
	}
	index_close_gap(index, at);
}

static bool index_is_full(const struct ban_index *index)
{
	return index->count * 2 > index->mask;
}

static struct ban_index index_doubled(const struct ban_index *index)
{
	struct ban_index bigger = index_new((index->mask + 1) * 2);

	for (uint32_t at = 0; at <= index->mask; at++) {
		if (index->slots[at].number)
			index_put(&bigger, index->slots[at]);
	}
	return bigger;
}

/* ---- the table ---- */

void ban_table_init(struct ban_table *table)
{
	*table = (struct ban_table){.by_id = index_new(SLOTS_FIRST), .by_subject = index_new(SLOTS_FIRST)};
}

void ban_table_release(struct ban_table *table)
{
	for (uint32_t number = 0; number < table->used; number++) {
		if (ban_table_at(table, number)->is_user)
			free(ban_table_at(table, number)->user);
	}
	for (uint32_t i = 0; i < table->chunk_count; i++)
		free(table->chunks[i]);
	free(table->chunks);
	free(table->by_id.slots);
	free(table->by_subject.slots);
	*table = (struct ban_table){0};
}

bool ban_table_grow(const struct ban_table *table, struct ban_growth *growth)
{
	*growth = (struct ban_growth){0};
	if (index_is_full(&table->by_id)) {
		growth->by_id = index_doubled(&table->by_id);
		growth->by_subject = index_doubled(&table->by_subject);
	}
	if (!table->free && table->used == table->chunk_count * BAN_CHUNK &&
		table->chunk_count < CHUNKS_MAX) {
		growth->chunks = NEW_ARRAY(table->chunk_count + 1, struct ban_entry *);
		if (table->chunk_count)
			memcpy(growth->chunks, table->chunks,
				table->chunk_count * sizeof(struct ban_entry *));
		growth->chunks[table->chunk_count] = NEW_ARRAY(BAN_CHUNK, struct ban_entry);
	}
	return growth->by_id.slots || growth->chunks;
}

static void swap_indexes(struct ban_index *a, struct ban_index *b)
{
	const struct ban_index kept = *a;

	*a = *b;
	*b = kept;
}

void ban_table_adopt(struct ban_table *table, struct ban_growth *growth)
{
	if (growth->by_id.slots) {
		swap_indexes(&table->by_id, &growth->by_id);
		swap_indexes(&table->by_subject, &growth->by_subject);
	}
	if (growth->chunks) {
		struct ban_entry **kept = table->chunks;

		table->chunks = growth->chunks;
		table->chunk_count++;
		growth->chunks = kept;
	}
}

void ban_growth_release(struct ban_growth *growth)
{
	free(growth->by_id.slots);
	free(growth->by_subject.slots);
	free(growth->chunks);
}

/* A freed place keeps in its end which one is free after it. */
static bool take_place(struct ban_table *table, uint32_t *ret)
{
	if (table->free) {
		*ret = table->free - 1;
		table->free = (uint32_t)ban_table_at(table, *ret)->end_ms;
		return true;
	}
	if (table->used == table->chunk_count * BAN_CHUNK)
		return false;
	*ret = table->used++;
	return true;
}

static void count_range(struct ban_table *table, const struct ban_entry *ban, uint32_t change)
{
	struct address range = {.bits = ban->bits};

	if (ban->is_user)
		return;
	memcpy(range.bytes, ban->address, sizeof(range.bytes));
	table->ranges[!address_is_v4(&range)][ban->bits] += change;
}

bool ban_table_put(struct ban_table *table, const struct ban_key *key, const struct ban_entry *ban)
{
	struct ban_entry *place;
	uint32_t number;

	assert(!index_is_full(&table->by_id));
	if (!take_place(table, &number))
		return false;
	place = ban_table_at(table, number);
	*place = *ban;
	place->is_user = key->user != NULL;
	if (key->user) {
		place->user = memory_new(key->user_length + 1);
		memcpy(place->user, key->user, key->user_length);
	} else {
		memcpy(place->address, key->address.bytes, sizeof(place->address));
		place->bits = key->address.bits;
	}
	count_range(table, place, 1);
	index_put(&table->by_id, (struct ban_slot){hash_id(&ban->id), number + 1});
	index_put(&table->by_subject, (struct ban_slot){key->hash, number + 1});
	return true;
}

static uint32_t find_id(const struct ban_table *table, const struct id *id)
{
	const struct ban_index *index = &table->by_id;
	const uint32_t hash = hash_id(id);

	for (uint32_t at = hash & index->mask; index->slots[at].number; at = (at + 1) & index->mask) {
		const struct ban_slot slot = index->slots[at];

		if (slot.hash == hash && id_compare(&ban_table_at(table, slot.number - 1)->id, id) == 0)
			return slot.number;
	}
	return 0;
}

bool ban_table_remove(struct ban_table *table, const struct id *id)
{
	const uint32_t number = find_id(table, id);
	struct ban_entry *ban;

	if (!number)
		return false;
	ban = ban_table_at(table, number - 1);
	index_remove(&table->by_id, hash_id(id), number);
	index_remove(&table->by_subject, key_of(ban).hash, number);
	count_range(table, ban, (uint32_t)-1);
	if (ban->is_user)
		free(ban->user);
	*ban = (struct ban_entry){.end_ms = table->free};
	table->free = number;
	return true;
}

const struct ban_entry *ban_table_next(const struct ban_table *table, const struct ban_key *key, uint32_t *at)
{
	const struct ban_index *index = &table->by_subject;
	struct ban_slot slot;

	/* Half of the slots are empty: the search ends. */
	while ((slot = index->slots[(key->hash + (*at)++) & index->mask]).number) {
		if (slot.hash == key->hash && is_about(ban_table_at(table, slot.number - 1), key))
			return ban_table_at(table, slot.number - 1);
	}
	return NULL;
}
