#include "protector/table.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

#define SLOTS_FIRST 64

void table_init(struct table *table)
{
	table->slots = NEW_ARRAY(SLOTS_FIRST, struct table_slot);
	table->mask = SLOTS_FIRST - 1;
	table->count = 0;
}

void table_release(struct table *table)
{
	free(table->slots);
	*table = (struct table){0};
}

static void place(struct table *table, uint64_t hash, void *thing)
{
	size_t at = hash & table->mask;

	while (table->slots[at].thing)
		at = (at + 1) & table->mask;
	table->slots[at] = (struct table_slot){hash, thing};
}

static void grow(struct table *table)
{
	struct table_slot *old = table->slots;
	size_t count = table->mask + 1;

	table->slots = NEW_ARRAY(count * 2, struct table_slot);
	table->mask = count * 2 - 1;
	for (size_t i = 0; i < count; i++) {
		if (old[i].thing)
			place(table, old[i].hash, old[i].thing);
	}
	free(old);
}

void table_put(struct table *table, uint64_t hash, void *thing)
{
	assert(thing);
	if (table->count * 2 > table->mask)
		grow(table);
	place(table, hash, thing);
	table->count++;
}

/* Whether a thing whose home is at or before the gap stands behind it: then the gap would hide it. */
static bool is_hidden(size_t home, size_t gap, size_t at, size_t mask)
{
	return ((at - home) & mask) >= ((at - gap) & mask);
}

void table_remove(struct table *table, uint64_t hash, const void *thing)
{
	size_t mask = table->mask, gap = hash & mask;

	while (table->slots[gap].thing != thing) {
		assert(table->slots[gap].thing); /* it is in the table */
		gap = (gap + 1) & mask;
	}
	/* What stands behind and is searched from before the gap moves into it, which opens the next gap. */
	for (size_t at = (gap + 1) & mask; table->slots[at].thing; at = (at + 1) & mask) {
		if (!is_hidden(table->slots[at].hash & mask, gap, at, mask))
			continue;
		table->slots[gap] = table->slots[at];
		gap = at;
	}
	table->slots[gap].thing = NULL;
	table->count--;
}
