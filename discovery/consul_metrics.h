/* discovery/consul_metrics.h - what a scraper sees of discovery through Consul. Numbers of one watched service, and of the registration.
 * Threads: written by discovery's thread, read by any; made and freed with no scrape in between harmed (base/metrics.h). */
#ifndef FLASHSALE_DISCOVERY_CONSUL_METRICS_H
#define FLASHSALE_DISCOVERY_CONSUL_METRICS_H

#include "base/metrics.h"

struct consul_watch_metrics {
	char *labels;
	_Atomic int64_t heard_ms; /* monotonic; of the last good answer, or of the start */
	struct metric instances, age, failures, left_out;
};
void consul_watch_metrics_init(struct consul_watch_metrics *metrics, const char *service, int64_t now_ms);
void consul_watch_metrics_release(struct consul_watch_metrics *metrics);

struct consul_enroll_metrics {
	struct metric registered, registrations, failures;
};
void consul_enroll_metrics_init(struct consul_enroll_metrics *metrics);
void consul_enroll_metrics_release(struct consul_enroll_metrics *metrics);

#endif
