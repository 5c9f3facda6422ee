#include "rpc/client_metrics.h"

#include <pthread.h>
#include <string.h>

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
