#include "rpc/client_metrics.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client_metrics *all;

static void declare(
	struct metric *metric, enum metric_kind kind, const char *name, const char *help, const char *labels)
{
	*metric = (struct metric){.kind = kind, .name = name, .help = help, .labels = labels};
	if (kind == METRIC_HISTOGRAM)
		metric->bounds = metric_bounds_items;
}

static int64_t queue_age_ns(void *context)
{
	struct client_metrics *metrics = context;
	const int64_t now_ns = clock_mono_ns();
	int64_t oldest_ns = 0;

	for (int i = 0; i < CLIENT_QUEUES_MAX; i++) {
		const int64_t since_ns = atomic_load(&metrics->since_ns[i]);

		if (since_ns && now_ns - since_ns > oldest_ns)
			oldest_ns = now_ns - since_ns;
	}
	return oldest_ns;
}

_Atomic int64_t *client_metrics_take_queue(struct client_metrics *metrics)
{
	int i = 0;

	pthread_mutex_lock(&lock);
	while (i < CLIENT_QUEUES_MAX && metrics->taken[i])
		i++;
	if (i < CLIENT_QUEUES_MAX)
		metrics->taken[i] = true;
	pthread_mutex_unlock(&lock);
	return i < CLIENT_QUEUES_MAX ? &metrics->since_ns[i] : NULL;
}

void client_metrics_give_queue(struct client_metrics *metrics, _Atomic int64_t *since_ns)
{
	if (!since_ns)
		return;
	pthread_mutex_lock(&lock);
	atomic_store(since_ns, 0);
	metrics->taken[since_ns - metrics->since_ns] = false;
	pthread_mutex_unlock(&lock);
}

static struct client_metrics *make(const char *service)
{
	struct client_metrics *metrics = NEW(struct client_metrics);
	const char *labels;

	metrics->service = memory_copy_text(service);
	labels = metrics->labels = memory_format("service=\"%s\"", service);
	metrics->labels_sent = memory_format("service=\"%s\",sent=\"true\"", service);
	metrics->labels_unsent = memory_format("service=\"%s\",sent=\"false\"", service);
	declare(&metrics->instances, METRIC_GAUGE, "flashsale_client_instances",
		"Instances that discovery names.", labels);
	declare(&metrics->ready, METRIC_GAUGE, "flashsale_client_instances_ready",
		"Instances with a connection.", labels);
	declare(&metrics->calls, METRIC_COUNTER, "flashsale_client_calls_total", "Calls put on the wire.",
		labels);
	declare(&metrics->failed_sent, METRIC_COUNTER, "flashsale_client_failed_total",
		"Calls that ended with an error (sent), asks and requests that never left (not sent).",
		metrics->labels_sent);
	declare(&metrics->failed_unsent, METRIC_COUNTER, "flashsale_client_failed_total",
		"Calls that ended with an error (sent), asks and requests that never left (not sent).",
		metrics->labels_unsent);
	declare(&metrics->seconds, METRIC_HISTOGRAM, "flashsale_client_call_seconds", "Duration of a call.",
		labels);
	metrics->seconds.bounds = metric_bounds_seconds;
	metrics->seconds.scale = 1e-9;
	declare(&metrics->batch_items, METRIC_HISTOGRAM, "flashsale_client_batch_items", "Asks in a batch.",
		labels);
	declare(&metrics->repeated, METRIC_COUNTER, "flashsale_client_repeated_total",
		"Reads that found one instance unavailable and were sent again.", labels);
	declare(&metrics->queued, METRIC_GAUGE, "flashsale_client_queued", "Asks that wait for a batch.",
		labels);
	declare(&metrics->queue_age, METRIC_GAUGE, "flashsale_client_queue_age_seconds",
		"How long the oldest ask has waited for a batch, at most; 0: none waits.", labels);
	metrics->queue_age.read = queue_age_ns;
	metrics->queue_age.context = metrics;
	metrics->queue_age.scale = 1e-9;
	declare(&metrics->subscription_opens, METRIC_COUNTER, "flashsale_client_subscription_opens_total",
		"Streams opened, again or for the first time.", labels);
	return metrics;
}

static void enroll(struct client_metrics *metrics)
{
	metrics_register(&metrics->instances);
	metrics_register(&metrics->ready);
	metrics_register(&metrics->calls);
	metrics_register(&metrics->failed_sent);
	metrics_register(&metrics->failed_unsent);
	metrics_register(&metrics->seconds);
	metrics_register(&metrics->batch_items);
	metrics_register(&metrics->repeated);
	metrics_register(&metrics->queued);
	metrics_register(&metrics->queue_age);
	metrics_register(&metrics->subscription_opens);
}

struct client_metrics *client_metrics_of(const char *service)
{
	struct client_metrics *metrics;

	pthread_mutex_lock(&lock);
	for (metrics = all; metrics && strcmp(metrics->service, service); metrics = metrics->next)
		;
	if (!metrics) {
		metrics = make(service);
		enroll(metrics);
		metrics->next = all;
		all = metrics;
	}
	pthread_mutex_unlock(&lock);
	return metrics;
}
