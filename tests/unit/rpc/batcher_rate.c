/* How many items a second go through a batcher over loopback: a program, not a test. `rpc_batcher_rate [ASKS [SECONDS]]`: so many asks are open all the
 * time, each asked again as soon as it is answered. Measured with a peer in a process of its own, on whatever the machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "station.h"

#define OPEN_MAX 16384
#define SECONDS_MAX 10

struct rate_ask;

struct rate {
	struct rpc_batcher *batcher;
	struct rate_ask *asks;
	int64_t ends_ns;
	uint64_t answers, failures, batched;
	uint32_t open;
	_Atomic uint32_t done;
};

struct rate_ask {
	struct rpc_ask ask;
	Echo__EchoRequest item;
	struct rate *rate;
};

static void answered(struct rpc_ask *ask)
{
	struct rate_ask *one = container_of(ask, struct rate_ask, ask);
	struct rate *rate = one->rate;
	int64_t now_ns = clock_mono_ns();

	if (ask->answer) {
		rate->answers++;
		rate->batched += ((const Echo__EchoResponse *)ask->answer)->items;
	} else {
		rate->failures++;
	}
	if (now_ns < rate->ends_ns) {
		ask->deadline_ns = now_ns + 2000000000;
		rpc_ask(rate->batcher, ask);
	} else if (--rate->open == 0) {
		atomic_store(&rate->done, 1);
	}
}

static void begin(void *context)
{
	struct rate *rate = context;
	struct rate_ask *asks = rate->asks = NEW_ARRAY(rate->open, struct rate_ask);

	for (uint32_t i = 0; i < rate->open; i++) {
		echo__echo_request__init(&asks[i].item);
		asks[i].item.text = (char *)"0190a5c2-7d3e-7c31-9a55-0123456789ab SKU0001";
		asks[i].rate = rate;
		asks[i].ask = (struct rpc_ask){.shard = RPC_ANY_SHARD,
			.item = &asks[i].item.base,
			.done = answered,
			.deadline_ns = clock_mono_ns() + 2000000000};
		rpc_ask(rate->batcher, &asks[i].ask);
	}
}

static double cpu_seconds(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
	return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static void measure(struct station *station, uint32_t open, int seconds)
{
	struct rate *rate = NEW(struct rate);
	double spent_s = cpu_seconds();

	rate->open = open;
	rate->batcher = station_batcher(station, 1024, OPEN_MAX);
	rate->ends_ns = clock_mono_ns() + seconds * INT64_C(1000000000);
	station_do(station, begin, rate);
	await_counter(&rate->done, 1);
	printf("%6u open: %9.0f items/s, %6.1f a batch, %llu failed, %.0f%% of a core here\n", open,
		(double)rate->answers / seconds,
		(double)rate->batched / (double)(rate->answers ? rate->answers : 1),
		(unsigned long long)rate->failures, 100 * (cpu_seconds() - spent_s) / seconds);
	station_free_batcher(station, rate->batcher);
	free(rate->asks);
	free(rate);
}

int main(int argc, char **argv)
{
	static const uint32_t steps[] = {1, 16, 64, 256, 1024, 4096};
	int open = argc > 1 ? atoi(argv[1]) : 0, seconds = argc > 2 ? atoi(argv[2]) : 2;
	struct peer peer = {0};
	struct station *station;

	if (open < 0 || open > OPEN_MAX || seconds < 1 || seconds > SECONDS_MAX)
		return 2;
	peer_start(&peer);
	station = station_new();
	station_list(station, &peer, 1, false);
	station_await_ready(station, RPC_ANY_SHARD);
	for (size_t i = 0; !open && i < sizeof(steps) / sizeof(*steps); i++)
		measure(station, steps[i], seconds);
	if (open)
		measure(station, (uint32_t)open, seconds);
	station_free(station);
	peer_free(&peer);
	return 0;
}
