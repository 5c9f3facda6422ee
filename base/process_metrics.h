/* base/process_metrics.h - what every process shows of itself, by the names that Prometheus knows, and which build it is. */
#ifndef FLASHSALE_BASE_PROCESS_METRICS_H
#define FLASHSALE_BASE_PROCESS_METRICS_H

void process_metrics_register(void); /* again is harmless; the start time is that of the first; one thread */

#endif
