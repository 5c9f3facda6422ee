/* flashsale-load: batches to inventory or to a cart, so many in flight, each sent again as soon as it is answered; one line of JSON at the end.
 * `flashsale-load holds|items|expiry --address A ...`; used by tests/bench/books.py. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "load.h"

#define IN_FLIGHT_MAX 64

struct run {
	const struct load_options *options;
	struct link link;
	struct requests requests;
	struct samples samples;
	int64_t from_ns, until_ns; /* what comes back between them counts */
	uint64_t sent, granted, counted;
};

static void send_one(struct run *run, struct call *call)
{
	run->sent += run->requests.items;
	call_start(&run->link, call, run->requests.path, requests_next(&run->requests));
}

static void take_answer(struct run *run, struct call *call, int64_t now_ns)
{
	grpc_slice answer = call_answer(call);

	run->granted += requests_granted(answer);
	grpc_slice_unref(answer);
	if (now_ns >= run->from_ns && now_ns < run->until_ns) {
		run->counted += run->requests.items;
		samples_add(&run->samples, now_ns - call->started_ns);
	}
	call_end(call);
}

/* Until the time is over or enough was sent; then what is still on its way is waited for. */
static void drive(struct run *run)
{
	struct call calls[IN_FLIGHT_MAX];
	uint32_t open = run->options->in_flight;

	for (uint32_t i = 0; i < open; i++)
		send_one(run, &calls[i]);
	while (open) {
		struct call *call = call_next(&run->link, INT64_MAX);
		int64_t now_ns = clock_mono_ns();

		take_answer(run, call, now_ns);
		if (run->sent >= run->options->most && now_ns < run->until_ns)
			run->until_ns = now_ns;
		if (now_ns < run->until_ns)
			send_one(run, call);
		else
			open--;
	}
}

double load_cpu_seconds(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
	return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static int load_batches(const struct load_options *options)
{
	struct run run = {.options = options};
	int64_t began_ns = clock_mono_ns();
	double seconds;

	link_open(&run.link, options->address);
	requests_init(&run.requests, &options->requests);
	run.from_ns = began_ns + options->warm_up_ms * 1000000;
	run.until_ns = run.from_ns + options->seconds * INT64_C(1000000000);
	drive(&run);
	seconds = (double)(run.until_ns - run.from_ns) / 1e9;
	printf("{\"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"seconds\": %.3f, \"sent\": %llu, "
	       "\"granted\": %llu, \"generator_cores\": %.2f}\n",
		seconds > 0 ? (double)run.counted / seconds : 0, samples_ms(&run.samples, 0.50),
		samples_ms(&run.samples, 0.99), seconds, (unsigned long long)run.sent,
		(unsigned long long)run.granted,
		load_cpu_seconds() / ((double)(clock_mono_ns() - began_ns) / 1e9));
	requests_release(&run.requests);
	link_close(&run.link);
	free(run.samples.us);
	return 0;
}

static bool read_options(int argc, char **argv, struct load_options *ret)
{
	static const struct option known[] = {{"address", required_argument, NULL, 'a'},
		{"sku", required_argument, NULL, 's'}, {"other-sku", required_argument, NULL, 'o'},
		{"batch", required_argument, NULL, 'b'}, {"in-flight", required_argument, NULL, 'i'},
		{"seconds", required_argument, NULL, 't'}, {"most", required_argument, NULL, 'm'},
		{"warm-up-ms", required_argument, NULL, 'w'}, {"first", required_argument, NULL, 'f'},
		{"epoch", required_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
	struct requests_options *requests = &ret->requests;
	int option;

	*ret = (struct load_options){.in_flight = 1, .seconds = 10, .most = UINT64_MAX, .warm_up_ms = 500};
	*requests = (struct requests_options){.sku = "BENCH", .items = 1, .epoch = 1, .first_number = 1};
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'a')
			ret->address = optarg;
		else if (option == 's')
			requests->sku = optarg;
		else if (option == 'o')
			ret->other_sku = optarg;
		else if (option == 'b')
			requests->items = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'i')
			ret->in_flight = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 't')
			ret->seconds = strtol(optarg, NULL, 10);
		else if (option == 'm')
			ret->most = strtoull(optarg, NULL, 10);
		else if (option == 'w')
			ret->warm_up_ms = strtol(optarg, NULL, 10);
		else if (option == 'f')
			requests->first_number = strtoull(optarg, NULL, 10);
		else if (option == 'e')
			requests->epoch = strtoull(optarg, NULL, 10);
		else
			return false;
	}
	return ret->address && requests->items && requests->items <= 4096 && ret->in_flight &&
	       ret->in_flight <= IN_FLIGHT_MAX && optind == argc - 1;
}

int main(int argc, char **argv)
{
	struct load_options options;
	const char *what;
	int result = 2;

	if (!read_options(argc, argv, &options)) {
		fprintf(stderr, "usage: flashsale-load holds|items|expiry --address HOST:PORT [--sku SKU] "
				"[--batch N] "
				"[--in-flight N] [--seconds N] [--most HOLDS] ...\n");
		return 2;
	}
	what = argv[optind];
	options.requests.kind = strcmp(what, "items") == 0 ? REQUESTS_ITEMS : REQUESTS_HOLDS;
	grpc_init();
	if (strcmp(what, "holds") == 0 || strcmp(what, "items") == 0)
		result = load_batches(&options);
	else if (strcmp(what, "expiry") == 0)
		result = load_expiry(&options);
	grpc_shutdown();
	return result;
}
