/* flashsale-load expiry: --most holds with one deadline, --seconds after the start; what happens to new ones, --batch at a time, while they end.
 *
 * New holds come by the clock, PACE_NS apart, whatever became of those before them, and their latency counts from the moment that they were due.
 * All of them come back within the bench, so a server that stood still would show. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "load.h"
#include "rpc/timestamp.h"

#define SETUP_BATCH 1024
#define SETUP_IN_FLIGHT 4
#define SETUP_ENDS_BEFORE_MS 2500 /* the deadline */
#define BEFORE_MS 2000		  /* new holds for so long before it */
#define PATIENCE_MS 60000
#define PACE_NS INT64_C(2000000)
#define LOOK_NS INT64_C(5000000)
#define OPEN_MAX 65536 /* new holds' calls that are on their way */

struct expiry {
	const struct load_options *options;
	struct link link;
	int64_t target_ms;		/* wall clock */
	int64_t earliest_ms, latest_ms; /* deadlines as inventory gave them */
	int64_t ended_ms;		/* when none was held any more; 0: not yet */
	uint64_t sent, granted, new_sent, new_granted;
	struct requests requests; /* of new ones */
	struct samples before, during;
	struct arrival *idle;
	uint32_t open;
	struct call look;
	bool looking;
	uint64_t held;
};

struct arrival {
	struct call call;
	int64_t due_ns;
	struct arrival *next;
};

static int64_t wall_ms(void)
{
	return clock_wall_ms(&clock_system);
}

/* ---- the many with one deadline ---- */

static void setup_send(struct expiry *expiry, struct call *call)
{
	struct requests_options options = expiry->options->requests;
	struct requests requests;

	options.items = SETUP_BATCH;
	options.first_number = expiry->sent + 1;
	options.ttl_ms = expiry->target_ms - wall_ms();
	requests_init(&requests, &options);
	call_start(&expiry->link, call, requests.path, requests_next(&requests));
	requests_release(&requests);
	expiry->sent += SETUP_BATCH;
}

static void setup_answer(struct expiry *expiry, struct call *call)
{
	grpc_slice bytes = call_answer(call);
	Inventory__BatchCreateHoldsResponse *answer = inventory__batch_create_holds_response__unpack(
		NULL, GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));

	for (size_t i = 0; answer && i < answer->n_items; i++) {
		const Inventory__HoldOutcome *outcome = answer->items[i];
		int64_t deadline_ms;

		if (outcome->outcome_case != INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT ||
			!timestamp_get(outcome->grant->deadline, &deadline_ms))
			continue;
		expiry->granted++;
		if (deadline_ms < expiry->earliest_ms)
			expiry->earliest_ms = deadline_ms;
		if (deadline_ms > expiry->latest_ms)
			expiry->latest_ms = deadline_ms;
	}
	if (answer)
		inventory__batch_create_holds_response__free_unpacked(answer, NULL);
	grpc_slice_unref(bytes);
	call_end(call);
}

static bool setup(struct expiry *expiry)
{
	struct call calls[SETUP_IN_FLIGHT];
	uint32_t open = 0;

	while (open < SETUP_IN_FLIGHT)
		setup_send(expiry, &calls[open++]);
	while (open) {
		struct call *call = call_next(&expiry->link, INT64_MAX);

		setup_answer(expiry, call);
		if (expiry->sent < expiry->options->most)
			setup_send(expiry, call);
		else
			open--;
	}
	return wall_ms() < expiry->target_ms - SETUP_ENDS_BEFORE_MS;
}

/* ---- new ones meanwhile ---- */

static void arrive(struct expiry *expiry, int64_t due_ns)
{
	struct arrival *arrival = expiry->idle;

	if (!arrival)
		arrival = NEW(struct arrival);
	else
		expiry->idle = arrival->next;
	arrival->due_ns = due_ns;
	expiry->open++;
	expiry->new_sent += expiry->requests.items;
	call_start(&expiry->link, &arrival->call, expiry->requests.path, requests_next(&expiry->requests));
}

static void arrived(struct expiry *expiry, struct call *call)
{
	struct arrival *arrival = container_of(call, struct arrival, call);
	grpc_slice answer = call_answer(call);
	bool over = wall_ms() >= expiry->earliest_ms;

	expiry->new_granted += requests_granted(answer);
	samples_add(over ? &expiry->during : &expiry->before, clock_mono_ns() - arrival->due_ns);
	grpc_slice_unref(answer);
	call_end(call);
	arrival->next = expiry->idle;
	expiry->idle = arrival;
	expiry->open--;
}

/* ---- looking at the goods ---- */

static void look(struct expiry *expiry)
{
	Inventory__GetGoodsRequest request = INVENTORY__GET_GOODS_REQUEST__INIT;
	grpc_slice bytes;

	request.sku = (char *)(uintptr_t)expiry->options->requests.sku;
	bytes = grpc_slice_malloc(inventory__get_goods_request__get_packed_size(&request));
	inventory__get_goods_request__pack(&request, GRPC_SLICE_START_PTR(bytes));
	expiry->looking = true;
	call_start(&expiry->link, &expiry->look, "/flashsale.inventory.v1.InventoryService/GetGoods", bytes);
}

static void looked(struct expiry *expiry)
{
	grpc_slice bytes = call_answer(&expiry->look);
	Inventory__GetGoodsResponse *answer = inventory__get_goods_response__unpack(
		NULL, GRPC_SLICE_LENGTH(bytes), GRPC_SLICE_START_PTR(bytes));

	if (answer && answer->goods) {
		expiry->held = answer->goods->held;
		if (!expiry->held)
			expiry->ended_ms = wall_ms();
	}
	if (answer)
		inventory__get_goods_response__free_unpacked(answer, NULL);
	grpc_slice_unref(bytes);
	call_end(&expiry->look);
	expiry->looking = false;
}

static void take(struct expiry *expiry, struct call *call)
{
	if (call == &expiry->look)
		looked(expiry);
	else
		arrived(expiry, call);
}

/* From before the deadline until the last one has ended, or patience has. */
static void watch(struct expiry *expiry)
{
	int64_t due_ns = clock_mono_ns(), look_ns = due_ns;

	while (!expiry->ended_ms && wall_ms() < expiry->latest_ms + PATIENCE_MS) {
		struct call *call = call_next(&expiry->link, due_ns < look_ns ? due_ns : look_ns);
		int64_t now_ns = clock_mono_ns();

		if (call)
			take(expiry, call);
		for (; due_ns <= now_ns && expiry->open < OPEN_MAX; due_ns += PACE_NS)
			arrive(expiry, due_ns);
		if (look_ns <= now_ns && !expiry->looking && wall_ms() >= expiry->earliest_ms)
			look(expiry);
		if (look_ns <= now_ns)
			look_ns = now_ns + LOOK_NS;
	}
	while (expiry->open || expiry->looking)
		take(expiry, call_next(&expiry->link, INT64_MAX));
}

static void wait_until_before(const struct expiry *expiry)
{
	int64_t ms = expiry->target_ms - BEFORE_MS - wall_ms();
	struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

	if (ms > 0)
		nanosleep(&pause, NULL);
}

static void report(struct expiry *expiry)
{
	int64_t took_ms = expiry->ended_ms - expiry->earliest_ms;

	printf("{\"rate\": %.1f, \"seconds\": %.3f, \"deadlines_ms\": %" PRId64 ", \"held\": %" PRIu64
	       ", \"sent\": %" PRIu64 ", \"granted\": %" PRIu64 ", \"new_sent\": %" PRIu64
	       ", \"new_granted\": %" PRIu64 ", \"before_p50_ms\": %.3f, \"before_p99_ms\": %.3f, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"worst_ms\": %.3f, \"new\": %zu}\n",
		expiry->ended_ms && took_ms > 0 ? (double)expiry->granted * 1000 / (double)took_ms : 0,
		(double)took_ms / 1000, expiry->latest_ms - expiry->earliest_ms, expiry->held, expiry->sent,
		expiry->granted, expiry->new_sent, expiry->new_granted, samples_ms(&expiry->before, 0.50),
		samples_ms(&expiry->before, 0.99), samples_ms(&expiry->during, 0.50),
		samples_ms(&expiry->during, 0.99), samples_ms(&expiry->during, 1), expiry->during.count);
}

static void release(struct expiry *expiry)
{
	while (expiry->idle) {
		struct arrival *arrival = expiry->idle;

		expiry->idle = arrival->next;
		free(arrival);
	}
	free(expiry->before.us);
	free(expiry->during.us);
	requests_release(&expiry->requests);
	link_close(&expiry->link);
}

int load_expiry(const struct load_options *options)
{
	struct expiry expiry = {.options = options,
		.target_ms = wall_ms() + options->seconds * 1000,
		.earliest_ms = INT64_MAX};
	struct requests_options new_ones = options->requests;
	bool in_time;

	new_ones.sku = options->other_sku ? options->other_sku : options->requests.sku;
	new_ones.first_number = options->most + 1000000;
	link_open(&expiry.link, options->address);
	requests_init(&expiry.requests, &new_ones);
	in_time = setup(&expiry);
	if (in_time) {
		wait_until_before(&expiry);
		watch(&expiry);
		report(&expiry);
	} else {
		fprintf(stderr, "the holds were not there in time before their deadline: more --seconds are "
				"needed\n");
	}
	release(&expiry);
	return in_time ? 0 : 1;
}
