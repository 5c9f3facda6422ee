/* base/metrics.c - the list of metrics and its text; see metrics.h. */
#include "base/metrics.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

/* The metrics are what the program's own code declares: this is far above any program's. */
#define METRICS_TEXT_MAX ((size_t)16 << 20)

const double metric_bounds_seconds[] = {
	0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 0};
const double metric_bounds_items[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 0};

static pthread_mutex_t metrics_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct metric *metrics_first; /* by name; of one name in the order they came */

static bool metric_name_valid(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_' && *name != ':')
		return false;
	for (; *name; name++) {
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != ':')
			return false;
	}
	return true;
}

static void metric_check(const struct metric *metric)
{
	int i = 0;

	assert(metric->name && metric->help && metric_name_valid(metric->name));
	if (metric->kind != METRIC_HISTOGRAM)
		return;
	assert(metric->bounds && !metric->read);
	for (; metric->bounds[i] != 0; i++)
		assert(i < METRIC_BUCKETS_MAX && (i == 0 || metric->bounds[i] > metric->bounds[i - 1]));
	assert(i > 0);
}

static bool metric_same_labels(const struct metric *a, const struct metric *b)
{
	return strcmp(a->labels ? a->labels : "", b->labels ? b->labels : "") == 0;
}

void metrics_register(struct metric *metric)
{
	struct metric **place = &metrics_first;

	metric_check(metric);
	pthread_mutex_lock(&metrics_mutex);
	if (!metric->registered) {
		for (; *place && strcmp((*place)->name, metric->name) <= 0; place = &(*place)->next) {
			if (strcmp((*place)->name, metric->name) != 0)
				continue;
			assert((*place)->kind == metric->kind);	     /* one family, one type */
			assert(!metric_same_labels(*place, metric)); /* two series would be one */
		}
		metric->next = *place;
		*place = metric;
		metric->registered = true;
	}
	pthread_mutex_unlock(&metrics_mutex);
}

void metrics_unregister(struct metric *metric)
{
	struct metric **place = &metrics_first;

	pthread_mutex_lock(&metrics_mutex);
	if (metric->registered) {
		while (*place != metric)
			place = &(*place)->next;
		*place = metric->next;
		metric->next = NULL;
		metric->registered = false;
	}
	pthread_mutex_unlock(&metrics_mutex);
}

static double metric_scaled(const struct metric *metric, int64_t value)
{
	return (double)value * (metric->scale != 0 ? metric->scale : 1);
}

void metric_observe(struct metric *metric, int64_t value)
{
	double scaled = metric_scaled(metric, value);
	int bucket = 0;

	while (bucket < METRIC_BUCKETS_MAX && metric->bounds[bucket] != 0 && scaled > metric->bounds[bucket])
		bucket++;
	atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&metric->sum, value, memory_order_relaxed);
}

/* Backslash and line feed; in label values the quote too. */
static void metrics_append_escaped(struct text *text, const char *value, bool quote)
{
	for (; *value; value++) {
		if (*value == '\n') {
			text_append_string(text, "\\n");
			continue;
		}
		if (*value == '\\' || (quote && *value == '"'))
			text_append_char(text, '\\');
		text_append_char(text, *value);
	}
}

char *metrics_label(const char *name, const char *value)
{
	struct text text;

	text_init(&text, METRICS_TEXT_MAX);
	text_append_string(&text, name);
	text_append_string(&text, "=\"");
	metrics_append_escaped(&text, value, true);
	text_append_char(&text, '"');
	assert(!text.overflowed);
	return text_detach(&text, NULL);
}

/* Short when short is exact: 0.0001, not 0.00010000000000000000479. */
static void metrics_append_double(struct text *text, double value)
{
	char digits[32];

	snprintf(digits, sizeof(digits), "%.15g", value);
	if (strtod(digits, NULL) != value)
		snprintf(digits, sizeof(digits), "%.17g", value);
	text_append_string(text, digits);
}

/* name_suffix{labels,le="bound"} and a space; bound 0: no such label, infinity: "+Inf". */
static void metrics_append_series(
	struct text *text, const struct metric *metric, const char *suffix, double bound)
{
	bool labels = metric->labels && *metric->labels;

	text_append_string(text, metric->name);
	text_append_string(text, suffix);
	if (labels || bound != 0)
		text_append_char(text, '{');
	if (labels)
		text_append_string(text, metric->labels);
	if (bound != 0) {
		text_append_string(text, labels ? ",le=\"" : "le=\"");
		if (isinf(bound))
			text_append_string(text, "+Inf");
		else
			metrics_append_double(text, bound);
		text_append_char(text, '"');
	}
	text_append_string(text, labels || bound != 0 ? "} " : " ");
}

/* The count is the sum of the buckets as read here, so that it always equals the last bucket. */
static void metrics_append_histogram(struct text *text, struct metric *metric)
{
	int64_t count = 0;

	for (int i = 0;; i++) {
		bool last = metric->bounds[i] == 0;

		count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
		metrics_append_series(text, metric, "_bucket", last ? INFINITY : metric->bounds[i]);
		text_append_int(text, count);
		text_append_char(text, '\n');
		if (last)
			break;
	}
	metrics_append_series(text, metric, "_sum", 0);
	metrics_append_double(
		text, metric_scaled(metric, atomic_load_explicit(&metric->sum, memory_order_relaxed)));
	text_append_char(text, '\n');
	metrics_append_series(text, metric, "_count", 0);
	text_append_int(text, count);
	text_append_char(text, '\n');
}

static void metrics_append_head(struct text *text, const struct metric *metric)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	text_append_string(text, "# HELP ");
	text_append_string(text, metric->name);
	text_append_char(text, ' ');
	metrics_append_escaped(text, metric->help, false);
	text_appendf(text, "\n# TYPE %s %s\n", metric->name, kinds[metric->kind]);
}

static void metrics_append(struct text *text, struct metric *metric)
{
	int64_t value;

	if (metric->kind == METRIC_HISTOGRAM) {
		metrics_append_histogram(text, metric);
		return;
	}
	value = metric->read ? metric->read(metric->context)
			     : atomic_load_explicit(&metric->value, memory_order_relaxed);
	metrics_append_series(text, metric, "", 0);
	if (metric->scale != 0)
		metrics_append_double(text, metric_scaled(metric, value));
	else
		text_append_int(text, value);
	text_append_char(text, '\n');
}

char *metrics_text(size_t *ret_size)
{
	const char *family = "";
	struct text text;

	text_init(&text, METRICS_TEXT_MAX);
	pthread_mutex_lock(&metrics_mutex);
	for (struct metric *metric = metrics_first; metric; metric = metric->next) {
		if (strcmp(family, metric->name) != 0)
			metrics_append_head(&text, metric);
		family = metric->name;
		metrics_append(&text, metric);
	}
	pthread_mutex_unlock(&metrics_mutex);
	assert(!text.overflowed);
	return text_detach(&text, ret_size);
}
