/* tests/bench/samples.h - latencies, kept one by one up to a bound; what is past it is not kept. */
#ifndef FLASHSALE_BENCH_SAMPLES_H
#define FLASHSALE_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"

#define SAMPLES_MAX (1 << 22)

struct samples {
	uint32_t *us;
	size_t count, room;
};

static inline void samples_add(struct samples *samples, int64_t ns)
{
	if (samples->count == SAMPLES_MAX)
		return;
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 1024;
		samples->us = memory_resize(samples->us, samples->room, sizeof(samples->us[0]));
	}
	samples->us[samples->count++] = (uint32_t)(ns / 1000);
}

static inline int samples_compare(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

/* Sorts. share: 0.99 for the 99th percentile. 0 if there is none. */
static inline double samples_ms(struct samples *samples, double share)
{
	size_t at = (size_t)((double)samples->count * share);

	if (!samples->count)
		return 0;
	qsort(samples->us, samples->count, sizeof(samples->us[0]), samples_compare);
	return samples->us[at < samples->count ? at : samples->count - 1] / 1000.0;
}

#endif
