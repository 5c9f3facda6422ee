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
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and the making of `ends` */
static struct method_counters *all;

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
