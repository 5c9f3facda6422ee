#include "rpc/counters.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/metrics.h"

#define CODES 17

struct method_counters {
	struct method_counters *next;
	char *path, *label;
	struct metric in_flight, seconds;
	struct metric *_Atomic ends[CODES]; /* made when first needed: most methods see two or three codes */
	struct metric *_Atomic items[COUNTERS_REASONS], *_Atomic batch_items; /* likewise */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and the making of `ends` */
static struct method_counters *all;
static struct metric *_Atomic refused[COUNTERS_REASONS];

static struct method_counters *counters_new(const char *path)
{
	struct method_counters *counters = NEW(struct method_counters);

	counters->path = memory_copy_text(path);
	counters->label = metrics_label("method", path);
	counters->in_flight = (struct metric){
		.kind = METRIC_GAUGE,
		.name = "flashsale_rpc_server_in_flight",
		.help = "Calls that have arrived and are not over.",
		.labels = counters->label,
	};
	counters->seconds = (struct metric){
		.kind = METRIC_HISTOGRAM,
		.name = "flashsale_rpc_server_seconds",
		.help = "From a call's arrival to its end.",
		.labels = counters->label,
		.bounds = metric_bounds_seconds,
		.scale = 1e-9,
	};
	metrics_register(&counters->in_flight);
	metrics_register(&counters->seconds);
	return counters;
}

struct method_counters *counters_of(const char *path)
{
	struct method_counters *counters;

	pthread_mutex_lock(&lock);
	for (counters = all; counters; counters = counters->next)
		if (!strcmp(counters->path, path))
			break;
	if (!counters) {
		counters = counters_new(path);
		counters->next = all;
		all = counters;
	}
	pthread_mutex_unlock(&lock);
	return counters;
}

static struct metric *ends_make(struct method_counters *counters, enum rpc_code code)
{
	struct metric *ends;

	pthread_mutex_lock(&lock);
	ends = atomic_load(&counters->ends[code]);
	if (!ends) {
		char *label = metrics_label("code", rpc_code_name(code));

		ends = NEW(struct metric);
		ends->kind = METRIC_COUNTER;
		ends->name = "flashsale_rpc_server_calls_total";
		ends->help = "Calls that are over, by their code.";
		ends->labels = memory_format("%s,%s", counters->label, label);
		free(label);
		metrics_register(ends);
		atomic_store(&counters->ends[code], ends);
	}
	pthread_mutex_unlock(&lock);
	return ends;
}

/* *place, made from the model if it is the first time. */
static struct metric *make_once(struct metric *_Atomic *place, const struct metric *model, char *labels)
{
	struct metric *metric;

	pthread_mutex_lock(&lock);
	metric = atomic_load(place);
	if (!metric) {
		metric = NEW(struct metric);
		metric->kind = model->kind;
		metric->name = model->name;
		metric->help = model->help;
		metric->bounds = model->bounds;
		metric->labels = labels;
		metrics_register(metric);
		atomic_store(place, metric);
	} else {
		free(labels);
	}
	pthread_mutex_unlock(&lock);
	return metric;
}

static void count_items(struct method_counters *counters, int reason, uint32_t count)
{
	static const struct metric model = {.name = "flashsale_rpc_server_items_total",
		.help = "Items of batches by what they came to: OK, or the reason of a refusal."};
	const struct rpc_reason *known = reason ? rpc_reason_get((Common__Reason)reason) : NULL;
	struct metric *metric = atomic_load(&counters->items[reason]);

	if (!metric)
		metric = make_once(&counters->items[reason], &model,
			memory_format("%s,outcome=\"%s\"", counters->label, known ? known->name : "OK"));
	metric_add(metric, count);
}

void counters_items(struct method_counters *counters, const uint32_t by_reason[COUNTERS_REASONS])
{
	static const struct metric model = {.kind = METRIC_HISTOGRAM,
		.name = "flashsale_rpc_server_batch_items",
		.help = "Items in a batch.",
		.bounds = metric_bounds_items};
	struct metric *sizes = atomic_load(&counters->batch_items);
	uint32_t all_items = 0;

	for (int reason = 0; reason < COUNTERS_REASONS; reason++) {
		if (by_reason[reason])
			count_items(counters, reason, by_reason[reason]);
		all_items += by_reason[reason];
	}
	if (!sizes)
		sizes = make_once(&counters->batch_items, &model, memory_copy_text(counters->label));
	metric_observe(sizes, all_items);
}

void counters_refused(const struct rpc_reason *reason)
{
	static const struct metric model = {.name = "flashsale_rpc_server_refused_total",
		.help = "Calls that were refused as a whole, by reason."};
	struct metric *metric;

	if ((unsigned)reason->value >= COUNTERS_REASONS)
		return;
	metric = atomic_load(&refused[reason->value]);
	if (!metric)
		metric = make_once(&refused[reason->value], &model, metrics_label("reason", reason->name));
	metric_add(metric, 1);
}

void counters_begin(struct method_counters *counters)
{
	metric_add(&counters->in_flight, 1);
}

void counters_end(struct method_counters *counters, enum rpc_code code, int64_t took_ns)
{
	struct metric *ends;

	if ((unsigned)code >= CODES)
		code = RPC_UNKNOWN;
	ends = atomic_load(&counters->ends[code]);
	if (!ends)
		ends = ends_make(counters, code);
	metric_add(ends, 1);
	metric_add(&counters->in_flight, -1);
	metric_observe(&counters->seconds, took_ns);
}
