#include "base/process_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metrics.h"

static int64_t cpu_ns(void *context)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		return 0;
	return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

static int64_t resident_bytes(void *context)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long long size, resident = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lld %lld", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return resident * sysconf(_SC_PAGESIZE);
}

/* That of the folder being read is one of them. */
static int64_t open_descriptors(void *context)
{
	DIR *folder = opendir("/proc/self/fd");
	int64_t count = -3; /* ".", "..", and itself */

	if (!folder)
		return 0;
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static struct metric start_time = {.kind = METRIC_GAUGE,
	.name = "process_start_time_seconds",
	.help = "When the process started, since 1970.",
	.scale = 1e-3};
static struct metric all[] = {
	{.kind = METRIC_COUNTER,
		.name = "process_cpu_seconds_total",
		.help = "Processor time used, by the program and for it.",
		.read = cpu_ns,
		.scale = 1e-9},
	{.kind = METRIC_GAUGE,
		.name = "process_resident_memory_bytes",
		.help = "Memory that is in RAM.",
		.read = resident_bytes},
	{.kind = METRIC_GAUGE,
		.name = "process_open_fds",
		.help = "Open file descriptors.",
		.read = open_descriptors},
	{.kind = METRIC_GAUGE,
		.name = "flashsale_build_info",
		.help = "Always 1; the label says which version it is.",
		.labels = "version=\"" FLASHSALE_VERSION "\"",
		.value = 1},
};

void process_metrics_register(void)
{
	if (!start_time.registered)
		metric_set(&start_time, clock_wall_ms(&clock_system));
	metrics_register(&start_time);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		metrics_register(&all[i]);
}
