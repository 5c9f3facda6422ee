/* tests/bench/load.h - what the files of flashsale-load share. One thread. */
#ifndef FLASHSALE_BENCH_LOAD_H
#define FLASHSALE_BENCH_LOAD_H

#include "link.h"
#include "requests.h"
#include "samples.h"

struct load_options {
	struct requests_options requests;
	const char *address;
	const char *other_sku; /* expiry: of the new holds meanwhile */
	uint32_t in_flight;
	int64_t seconds; /* expiry: from its start to the deadline */
	int64_t warm_up_ms;
	uint64_t most; /* items; it ends when they were sent */
};

int load_expiry(const struct load_options *options); /* load_expiry.c; the exit status */
double load_cpu_seconds(void);

#endif
