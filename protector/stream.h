/* protector/stream.h - reported traffic, from the loop to the analysis, which has a thread of its own.
 *
 * What arrives is checked and copied into blocks, a block a message; at most STREAM_QUEUE_MAX events wait, of what comes faster whole blocks are dropped and counted. The
 * thread takes what waits, gives it to the recorder and the analysis, and ticks it at least each STREAM_TICK_MS. Nothing here ever waits for it but stream_free.
 * An errand runs on that thread, between blocks: who has one may touch the analysis there, and posts back what came of it.
 * Threads: stream_take on one (the loop); stream_run from any; decided() and errands on the analysis thread. */
#ifndef FLASHSALE_PROTECTOR_STREAM_H
#define FLASHSALE_PROTECTOR_STREAM_H

#include "flashsale/protector/v1/traffic.pb-c.h"
#include "protector/analysis.h"

#define STREAM_QUEUE_MAX 262144
#define STREAM_TICK_MS 50

struct stream;
struct recorder;

struct stream_errand {
	struct stream_errand *next;
	void (*run)(struct stream_errand *errand,
		struct analysis *analysis); /* the errand is its owner's again */
};

struct stream_options {
	struct analysis *analysis; /* the stream's from then on */
	struct recorder *recorder; /* NULL: none; the stream's from then on */
	int64_t (*now_us)(void);
};

struct stream *stream_new(const struct stream_options *options); /* starts the thread, signals blocked */
void stream_free(struct stream *stream); /* what waits is analysed, errands run; then it ends */

void stream_take(struct stream *stream, const Protector__ReportTrafficRequest *request);
void stream_run(struct stream *stream, struct stream_errand *errand);

#endif
