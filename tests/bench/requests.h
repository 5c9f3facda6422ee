/* tests/bench/requests.h - batches for the load, packed once and then only filled in: the generator must not be what is measured.
 *
 * All items of a batch have the same bytes but for what makes each a different one: the hold's id or the person, and the key. Those have a fixed
 * width, so that a batch is a copy of the pattern with its holes filled. */
#ifndef FLASHSALE_BENCH_REQUESTS_H
#define FLASHSALE_BENCH_REQUESTS_H

#include <grpc/slice.h>

#include "base/id.h"
#include "base/memory.h"

enum requests_kind { REQUESTS_HOLDS, REQUESTS_ITEMS }; /* of inventory, of the cart */

struct requests_options {
	enum requests_kind kind;
	const char *sku;
	uint32_t items;        /* a batch */
	uint64_t epoch;        /* of inventory's sender */
	uint64_t first_number; /* persons and keys are numbered from here */
	int64_t ttl_ms;        /* of holds; 0: as the goods say */
};

struct requests {
	uint8_t *pattern;
	size_t size, first_item, item_size;
	size_t id_at, person_at, key_at; /* in an item; 0: it has none */
	uint32_t items;
	uint64_t number;
	const char *path;
	struct id_generator ids;
};

void requests_init(struct requests *requests, const struct requests_options *options);
void requests_release(struct requests *requests);
grpc_slice requests_next(struct requests *requests);

/* How many of the items in an answer were granted. */
uint32_t requests_granted(grpc_slice answer);

#endif
