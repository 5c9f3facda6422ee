#include "protector/nest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* The set is chosen by the low bits of the hash, the tag is the high ones. */
static uint32_t tag_of(uint64_t hash)
{
	const uint32_t tag = (uint32_t)(hash >> 32);

	return tag ? tag : 1;
}

static void *thing_at(const struct nest *nest, size_t place)
{
	return nest->things + place * nest->thing_bytes;
}

static size_t first_place(const struct nest *nest, uint64_t hash)
{
	return (hash & (nest->sets - 1)) * NEST_WAYS;
}

void nest_init(struct nest *nest, size_t places_min, size_t thing_bytes,
	uint64_t (*weigh)(const void *context, const void *thing), const void *context)
{
	assert(thing_bytes >= sizeof(uint64_t) && thing_bytes % sizeof(uint64_t) == 0);
	*nest = (struct nest){.sets = 1, .thing_bytes = thing_bytes, .weigh = weigh, .context = context};
	while (nest->sets * NEST_WAYS < places_min)
		nest->sets *= 2;
	nest->tags = NEW_ARRAY(nest->sets * NEST_WAYS, uint32_t);
	nest->things = memory_new_array(nest->sets * NEST_WAYS, thing_bytes);
}

void nest_release(struct nest *nest)
{
	free(nest->tags);
	free(nest->things);
}

size_t nest_places(const struct nest *nest)
{
	return nest->sets * NEST_WAYS;
}

void *nest_find(const struct nest *nest, uint64_t hash)
{
	const size_t first = first_place(nest, hash);
	const uint32_t tag = tag_of(hash);

	for (size_t place = first; place < first + NEST_WAYS; place++) {
		uint64_t *thing = thing_at(nest, place);

		if (nest->tags[place] == tag && *thing == hash)
			return thing;
	}
	return NULL;
}

/* A free place of the set, or the lightest's. */
static size_t choose(struct nest *nest, size_t first)
{
	size_t lightest = first;
	uint64_t least = UINT64_MAX;

	for (size_t place = first; place < first + NEST_WAYS; place++) {
		uint64_t weight;

		if (!nest->tags[place]) {
			nest->count++;
			return place;
		}
		weight = nest->weigh(nest->context, thing_at(nest, place));
		if (weight < least) {
			least = weight;
			lightest = place;
		}
	}
	nest->evicted++;
	return lightest;
}

void *nest_take(struct nest *nest, uint64_t hash, bool *ret_new)
{
	void *thing = nest_find(nest, hash);
	size_t place;

	*ret_new = !thing;
	if (thing)
		return thing;
	place = choose(nest, first_place(nest, hash));
	thing = thing_at(nest, place);
	memset(thing, 0, nest->thing_bytes);
	*(uint64_t *)thing = hash;
	nest->tags[place] = tag_of(hash);
	return thing;
}

void *nest_next(const struct nest *nest, size_t *at)
{
	while (*at < nest_places(nest)) {
		const size_t place = (*at)++;

		if (nest->tags[place])
			return thing_at(nest, place);
	}
	return NULL;
}
