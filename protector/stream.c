#include "protector/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "protector/recorder.h"
#include "protector/recording.h"

/* The events of one message, and their accounts behind them. */
struct block {
	struct block *next;
	size_t count;
	struct traffic events[];
};

struct stream {
	struct analysis *analysis; /* the thread's, as long as it runs */
	struct recorder *recorder;
	int64_t (*now_us)(void);
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t signal;
	struct block *first, **last;
	struct stream_errand *errands, **last_errand;
	size_t waiting; /* events in the queue, and in what the thread has taken and not done */
	bool ending;
};

#define EVENTS(variable, value) \
	static struct metric variable = {.kind = METRIC_COUNTER, \
		.name = "flashsale_protector_traffic_events_total", \
		.help = "Events that gatekeepers reported: analysed, out of bounds, or dropped because " \
			"the analysis was behind.", \
		.labels = "outcome=\"" value "\""}
EVENTS(metric_analysed, "analysed");
EVENTS(metric_invalid, "invalid");
EVENTS(metric_dropped, "dropped");
static struct metric metric_lost = {.kind = METRIC_COUNTER,
	.name = "flashsale_protector_traffic_lost_total",
	.help = "Events that gatekeepers had to drop before they were reported."};
static struct metric metric_waiting = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_traffic_queued",
	.help = "Events that wait for the analysis."};
static struct metric metric_lag = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_traffic_lag_seconds",
	.scale = 1e-3,
	.help = "Age of the last event when it was analysed; clocks of gatekeepers count in."};

static struct metric metric_accounts = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_clients",
	.help = "Clients that the detectors keep count of.",
	.labels = "kind=\"account\""};
static struct metric metric_addresses = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_clients",
	.help = "Clients that the detectors keep count of.",
	.labels = "kind=\"address\""};
static struct metric metric_evicted = {.kind = METRIC_COUNTER,
	.name = "flashsale_protector_clients_evicted_total",
	.help = "Clients that gave way to others: more were active than are kept."};

static void register_metrics(void)
{
	metrics_register(&metric_accounts);
	metrics_register(&metric_addresses);
	metrics_register(&metric_evicted);
	metrics_register(&metric_analysed);
	metrics_register(&metric_invalid);
	metrics_register(&metric_dropped);
	metrics_register(&metric_lost);
	metrics_register(&metric_waiting);
	metrics_register(&metric_lag);
}

/* ---- what came in ---- */

static size_t text_bytes(const Protector__ReportTrafficRequest *request)
{
	size_t bytes = 0;

	for (size_t i = 0; i < request->n_events; i++)
		bytes += strlen(request->events[i]->user_id);
	return bytes;
}

/* NULL: nothing in it can be used. */
static struct block *block_new(const Protector__ReportTrafficRequest *request)
{
	struct block *block =
		malloc(sizeof(*block) + request->n_events * sizeof(block->events[0]) + text_bytes(request));
	char *texts;

	if (!block)
		abort();
	texts = (char *)&block->events[request->n_events];
	block->next = NULL;
	block->count = 0;
	for (size_t i = 0; i < request->n_events; i++) {
		struct traffic *traffic = &block->events[block->count];

		if (!traffic_of_event(request->events[i], traffic))
			continue;
		memcpy(texts, traffic->user_id.text, traffic->user_id.length);
		traffic->user_id.text = texts;
		texts += traffic->user_id.length;
		block->count++;
	}
	metric_add(&metric_invalid, (int64_t)(request->n_events - block->count));
	return block;
}

static bool enqueue(struct stream *stream, struct block *block)
{
	bool fits;

	pthread_mutex_lock(&stream->lock);
	fits = stream->waiting + block->count <= STREAM_QUEUE_MAX;
	if (fits) {
		*stream->last = block;
		stream->last = &block->next;
		stream->waiting += block->count;
		metric_set(&metric_waiting, (int64_t)stream->waiting);
		pthread_cond_signal(&stream->signal);
	}
	pthread_mutex_unlock(&stream->lock);
	return fits;
}

void stream_take(struct stream *stream, const Protector__ReportTrafficRequest *request)
{
	struct block *block = block_new(request);

	metric_add(&metric_lost, request->dropped < INT32_MAX ? (int64_t)request->dropped : INT32_MAX);
	if (block->count && enqueue(stream, block))
		return;
	metric_add(&metric_dropped, (int64_t)block->count);
	free(block);
}

void stream_run(struct stream *stream, struct stream_errand *errand)
{
	errand->next = NULL;
	pthread_mutex_lock(&stream->lock);
	*stream->last_errand = errand;
	stream->last_errand = &errand->next;
	pthread_cond_signal(&stream->signal);
	pthread_mutex_unlock(&stream->lock);
}

/* ---- the thread ---- */

static void analyse(struct stream *stream, const struct block *block)
{
	for (size_t i = 0; i < block->count; i++)
		analysis_take(stream->analysis, &block->events[i]);
	if (stream->recorder)
		recorder_put(stream->recorder, block->events, block->count);
	metric_add(&metric_analysed, (int64_t)block->count);
	metric_set(&metric_lag, (stream->now_us() - block->events[block->count - 1].time_us) / 1000);
}

static void show_stats(const struct analysis *analysis)
{
	const struct analysis_stats stats = analysis_stats(analysis);

	metric_set(&metric_accounts, (int64_t)stats.accounts);
	metric_set(&metric_addresses, (int64_t)stats.addresses);
	metric_set(&metric_evicted, (int64_t)stats.evicted);
}

static void finish(struct stream *stream, const struct block *block)
{
	pthread_mutex_lock(&stream->lock);
	stream->waiting -= block->count;
	metric_set(&metric_waiting, (int64_t)stream->waiting);
	pthread_mutex_unlock(&stream->lock);
}

/* Until something is there, the end is near or a tick is due. */
static void wait_for_work(struct stream *stream)
{
	struct timespec until;

	if (stream->first || stream->errands || stream->ending)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += STREAM_TICK_MS * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&stream->signal, &stream->lock, &until);
}

static void run_errands(struct stream *stream, struct stream_errand *errand)
{
	while (errand) {
		struct stream_errand *next = errand->next;

		errand->run(errand, stream->analysis);
		errand = next;
	}
}

static void analyse_all(struct stream *stream, struct block *block)
{
	while (block) {
		struct block *next = block->next;

		analyse(stream, block);
		finish(stream, block);
		free(block);
		block = next;
	}
}

/* False: it was the last turn. */
static bool turn(struct stream *stream)
{
	struct stream_errand *errands;
	struct block *blocks;
	bool ending;

	pthread_mutex_lock(&stream->lock);
	wait_for_work(stream);
	blocks = stream->first;
	stream->first = NULL;
	stream->last = &stream->first;
	errands = stream->errands;
	stream->errands = NULL;
	stream->last_errand = &stream->errands;
	ending = stream->ending;
	pthread_mutex_unlock(&stream->lock);
	run_errands(stream, errands);
	analyse_all(stream, blocks);
	analysis_tick(stream->analysis, stream->now_us());
	show_stats(stream->analysis);
	return blocks || errands || !ending;
}

static void *run(void *context)
{
	while (turn(context))
		;
	return NULL;
}

/* ---- its life ---- */

static void start_thread(struct stream *stream)
{
	sigset_t all, before;

	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&stream->thread, NULL, run, stream) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setname_np(stream->thread, "analysis");
}

struct stream *stream_new(const struct stream_options *options)
{
	struct stream *stream = NEW(struct stream);
	pthread_condattr_t attributes;

	stream->analysis = options->analysis;
	stream->recorder = options->recorder;
	stream->now_us = options->now_us;
	stream->last = &stream->first;
	stream->last_errand = &stream->errands;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->signal, &attributes);
	pthread_condattr_destroy(&attributes);
	register_metrics();
	analysis_tick(stream->analysis, stream->now_us()); /* no event's time is believed without it */
	start_thread(stream);
	return stream;
}

void stream_free(struct stream *stream)
{
	if (!stream)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->ending = true;
	pthread_cond_signal(&stream->signal);
	pthread_mutex_unlock(&stream->lock);
	pthread_join(stream->thread, NULL);
	recorder_close(stream->recorder);
	analysis_free(stream->analysis);
	pthread_mutex_destroy(&stream->lock);
	pthread_cond_destroy(&stream->signal);
	free(stream);
}
