#include "rpc/stream_metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/metrics.h"

struct stream_metrics {
	struct stream_metrics *next;
	struct metric age;
	char *labels;
	unsigned references;
	_Atomic int64_t heard_ns;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream_metrics *all;

static int64_t age_ns(void *context)
{
	return clock_mono_ns() - atomic_load(&((struct stream_metrics *)context)->heard_ns);
}

static char *make_labels(const char *service, const char *method, int32_t shard)
{
	if (shard < 0)
		return memory_format("service=\"%s\",method=\"%s\",shard=\"any\"", service, method);
	return memory_format("service=\"%s\",method=\"%s\",shard=\"%d\"", service, method, shard);
}

/* Takes the labels over. */
static struct stream_metrics *make(char *labels)
{
	struct stream_metrics *metrics = NEW(struct stream_metrics);

	metrics->labels = labels;
	metrics->age = (struct metric){
		.kind = METRIC_GAUGE,
		.name = "flashsale_client_stream_age_seconds",
		.help = "Time since a stream was heard, heartbeats included.",
		.labels = labels,
		.read = age_ns,
		.context = metrics,
		.scale = 1e-9,
	};
	metrics->next = all;
	all = metrics;
	return metrics;
}

struct stream_metrics *stream_metrics_get(const char *service, const char *method, int32_t shard)
{
	char *labels = make_labels(service, method, shard);
	struct stream_metrics *metrics;

	pthread_mutex_lock(&lock);
	for (metrics = all; metrics && strcmp(metrics->labels, labels) != 0; metrics = metrics->next)
		continue;
	if (metrics)
		free(labels);
	else
		metrics = make(labels);
	atomic_store(&metrics->heard_ns, clock_mono_ns());
	if (!metrics->references++)
		metrics_register(&metrics->age);
	pthread_mutex_unlock(&lock);
	return metrics;
}

void stream_metrics_heard(struct stream_metrics *metrics)
{
	atomic_store_explicit(&metrics->heard_ns, clock_mono_ns(), memory_order_relaxed);
}

void stream_metrics_put(struct stream_metrics *metrics)
{
	pthread_mutex_lock(&lock);
	assert(metrics->references);
	if (!--metrics->references)
		metrics_unregister(&metrics->age);
	pthread_mutex_unlock(&lock);
}
