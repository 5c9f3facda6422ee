/* base/metrics.h - counters, gauges and histograms, written as Prometheus text (format 0.0.4).
 *
 * Metrics are static objects of the file that counts; each registers itself once with metrics_register (by its module's init) and lives as
 * long as the process. Labels are fixed at declaration: never a user, an address or a SKU. A histogram has at most METRIC_BUCKETS_MAX fixed
 * upper bounds in base units. Threads: adding is atomic and lock-free from any thread; registering and writing take one mutex. */
#ifndef FLASHSALE_BASE_METRICS_H
#define FLASHSALE_BASE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRIC_BUCKETS_MAX 24

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	enum metric_kind kind;
	const char *name;    /* "flashsale_inventory_holds_total" */
	const char *help;
	const char *labels;  /* "result=\"granted\"" or NULL; same-named metrics differ in it */
	const double *bounds; /* histogram: ascending, ends with 0 */
	double scale;        /* what an integer is multiplied by on output (1e-9: ns -> seconds); 0 means 1 */
	_Atomic int64_t value;
	_Atomic int64_t buckets[METRIC_BUCKETS_MAX + 1];
	_Atomic int64_t sum;
	int64_t (*read)(void *context); /* counter or gauge computed at output, under the mutex: no metrics_* in it; or NULL */
	void *context;
	struct metric *next;
	bool registered;
};

void metrics_register(struct metric *metric);   /* twice is harmless; two of one name and the same labels are not */
void metrics_unregister(struct metric *metric); /* for one that is part of something shorter-lived; not registered: harmless */

/* name="value" with the value escaped, for `labels` that are known only at start (a writer's name, a shard); malloc'd. Join several with a comma. */
char *metrics_label(const char *name, const char *value);

static inline void metric_add(struct metric *metric, int64_t amount)
{
	atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}
static inline void metric_set(struct metric *metric, int64_t value)
{
	atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}
void metric_observe(struct metric *metric, int64_t value);
extern const double metric_bounds_seconds[]; /* 100 us to 10 s */
extern const double metric_bounds_items[];   /* 1 to 4,096, powers of two */

/* All registered metrics as text; malloc'd, *ret_size without the end mark. */
char *metrics_text(size_t *ret_size);

#endif
