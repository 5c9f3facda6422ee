/* protector/gaps.h - how even the last 32 gaps between requests are: their coefficient of variation, standard deviation by mean.
 *
 * People and crowds come unevenly: independent arrivals have a variation of 100 % (a Poisson process; Cox and Lewis, "The statistical analysis of series of events", 1966, chapter 6), a
 * timer has hardly any. Exact for gaps in units of 100 us; a pause of more than a minute begins anew.
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_GAPS_H
#define FLASHSALE_PROTECTOR_GAPS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define GAPS_KEPT 32
#define GAPS_UNIT_US 100
#define GAPS_PAUSE_US INT64_C(60000000)
#define GAPS_VARIATION_MAX 1000 /* percent; also of gaps that are all zero, which say nothing */

struct gaps {
	int64_t last_us; /* 0: none yet */
	uint64_t squares;
	uint32_t sum;
	uint8_t count, next;
	uint32_t ring[GAPS_KEPT];
};

/* Percent of the mean. */
static inline uint32_t variation_of(uint32_t count, uint64_t sum, uint64_t squares)
{
	double relative;

	if (!sum)
		return GAPS_VARIATION_MAX;
	relative = (double)count * (double)squares / ((double)sum * (double)sum) - 1;
	if (relative >= (double)GAPS_VARIATION_MAX * GAPS_VARIATION_MAX / 1e4)
		return GAPS_VARIATION_MAX;
	return relative <= 0 ? 0 : (uint32_t)(100 * sqrt(relative) + 0.5);
}

/* A time before the last counts as the last. True: all 32 are known. */
static inline bool gaps_add(struct gaps *gaps, int64_t time_us)
{
	const int64_t gap_us = time_us > gaps->last_us ? time_us - gaps->last_us : 0;
	uint32_t *oldest = &gaps->ring[gaps->next], gap;

	if (!gaps->last_us || gap_us > GAPS_PAUSE_US) {
		*gaps = (struct gaps){.last_us = time_us};
		return false;
	}
	gaps->last_us += gap_us;
	gap = (uint32_t)(gap_us / GAPS_UNIT_US);
	gaps->sum += gap - *oldest;
	gaps->squares += (uint64_t)gap * gap - (uint64_t)*oldest * *oldest;
	*oldest = gap;
	gaps->next = (gaps->next + 1) % GAPS_KEPT;
	if (gaps->count < GAPS_KEPT)
		gaps->count++;
	return gaps->count == GAPS_KEPT;
}

static inline uint32_t gaps_variation(const struct gaps *gaps)
{
	return variation_of(gaps->count, gaps->sum, gaps->squares);
}

#endif
