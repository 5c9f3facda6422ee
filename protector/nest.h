/* protector/nest.h - a fixed number of places for things found by a 64-bit hash; the least of a small set gives way when there is no room.
 *
 * Places come in sets of eight; a hash belongs to one set. A newcomer to a full set takes the place of the one that `weigh` finds lightest, so who weighs
 * more than the lightest of eight cannot be pushed out, however many newcomers there are: the "heavy hitters in bounded memory" of Metwally, Agrawal, El Abbadi,
 * "Efficient computation of frequent and top-k elements in data streams", 2005, kept to a set as processor caches do. Other than there a newcomer begins at zero and does not inherit:
 * counts may be short, never too high.
 * A thing begins with its hash (uint64_t); the rest is the caller's, zero at first. Two different keys with one hash are one thing here: whoever minds that keeps the key
 * in the thing. Memory is taken at once and touched as it fills. Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_NEST_H
#define FLASHSALE_PROTECTOR_NEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEST_WAYS 8

struct nest {
	size_t sets; /* a power of two */
	size_t thing_bytes;
	uint32_t *tags; /* of each place; 0: free */
	uint8_t *things;
	size_t count; /* in use */
	uint64_t evicted;
	/* How much a thing would be missed. */
	uint64_t (*weigh)(const void *context, const void *thing);
	const void *context;
};

void nest_init(struct nest *nest, size_t places_min, size_t thing_bytes,
	uint64_t (*weigh)(const void *context, const void *thing), const void *context);
void nest_release(struct nest *nest);
size_t nest_places(const struct nest *nest);

void *nest_find(const struct nest *nest, uint64_t hash); /* NULL: not there */
/* The thing of that hash, *ret_new: it was not there (all of it is zero but its hash). Whatever else was found before may be gone. */
void *nest_take(struct nest *nest, uint64_t hash, bool *ret_new);
/* The next that is in use from *at on; NULL: no more. Begin with 0. */
void *nest_next(const struct nest *nest, size_t *at);

#endif
