#include "discovery/consul_metrics.h"

#include <stdlib.h>

#include "base/clock.h"

static int64_t read_age(void *context)
{
	struct consul_watch_metrics *metrics = context;
	int64_t age_ms = clock_mono_ns() / 1000000 - atomic_load(&metrics->heard_ms);

	return age_ms > 0 ? age_ms / 1000 : 0;
}

static void add(
	struct metric *metric, enum metric_kind kind, const char *name, const char *help, const char *labels)
{
	*metric = (struct metric){.kind = kind, .name = name, .help = help, .labels = labels};
}

void consul_watch_metrics_init(struct consul_watch_metrics *metrics, const char *service, int64_t now_ms)
{
	metrics->labels = metrics_label("service", service);
	atomic_init(&metrics->heard_ms, now_ms);
	add(&metrics->instances, METRIC_GAUGE, "flashsale_discovery_instances",
		"Instances known through Consul.", metrics->labels);
	add(&metrics->age, METRIC_GAUGE, "flashsale_discovery_watch_age_seconds",
		"Since Consul last answered for this service.", metrics->labels);
	metrics->age.read = read_age;
	metrics->age.context = metrics;
	add(&metrics->failures, METRIC_COUNTER, "flashsale_discovery_watch_failures_total",
		"Requests to Consul without a usable answer.", metrics->labels);
	add(&metrics->left_out, METRIC_COUNTER, "flashsale_discovery_left_out_total",
		"Entries of Consul's answers that were no good.", metrics->labels);
	metrics_register(&metrics->instances);
	metrics_register(&metrics->age);
	metrics_register(&metrics->failures);
	metrics_register(&metrics->left_out);
}

void consul_watch_metrics_release(struct consul_watch_metrics *metrics)
{
	metrics_unregister(&metrics->instances);
	metrics_unregister(&metrics->age);
	metrics_unregister(&metrics->failures);
	metrics_unregister(&metrics->left_out);
	free(metrics->labels);
}

void consul_enroll_metrics_init(struct consul_enroll_metrics *metrics)
{
	add(&metrics->registered, METRIC_GAUGE, "flashsale_discovery_registered",
		"1: Consul has this instance, as far as is known here.", NULL);
	add(&metrics->registrations, METRIC_COUNTER, "flashsale_discovery_registrations_total",
		"Registrations made; more than one: Consul had forgotten.", NULL);
	add(&metrics->failures, METRIC_COUNTER, "flashsale_discovery_registration_failures_total",
		"Requests about the registration without a usable answer.", NULL);
	metrics_register(&metrics->registered);
	metrics_register(&metrics->registrations);
	metrics_register(&metrics->failures);
}

void consul_enroll_metrics_release(struct consul_enroll_metrics *metrics)
{
	metrics_unregister(&metrics->registered);
	metrics_unregister(&metrics->registrations);
	metrics_unregister(&metrics->failures);
}
