/* gatekeeper/edge/throttle.h - how many requests a second a gatekeeper takes: a token bucket in one word.
 *
 * The word is the time at which the bucket is full again; each request moves it by the time in which one token comes. It may lie in memory that several processes
 * share, on one clock (CLOCK_MONOTONIC); zeros are a full bucket. Taking is one atomic exchange, in the order of whoever comes first. A limit may change from one request
 * to the next: what was taken stays taken. */
#ifndef FLASHSALE_EDGE_THROTTLE_H
#define FLASHSALE_EDGE_THROTTLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_RATE_MAX 10000000  /* a second */
#define THROTTLE_BURST_MAX 10000000 /* and so many at once beyond */

struct throttle {
	_Atomic int64_t full_ns;
};

struct throttle_limit {
	int64_t step_ns; /* in which one token comes */
	int64_t room_ns; /* how far ahead of now the word may be: the burst, and the one that is asked for */
};

/* The part of one of `sharers` (at least 1) that divide rate and burst among them. */
struct throttle_limit throttle_share(uint32_t rate, uint32_t burst, uint32_t sharers);

bool throttle_take(struct throttle *throttle, const struct throttle_limit *limit, int64_t now_ns); /* false: too many */

#endif
