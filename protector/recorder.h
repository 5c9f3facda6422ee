/* protector/recorder.h - traffic in a file: ReportTrafficRequest messages, each after its length as a varint, as traffic.proto says; protector/recording.h reads them.
 *
 * Appends to what is there, up to a size, as the file's only writer (flock); beyond it, and after an error of the file, it records no more and says so once. What is recorded holds accounts and
 * addresses. Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_RECORDER_H
#define FLASHSALE_PROTECTOR_RECORDER_H

#include "base/error.h"
#include "protector/traffic.h"

struct recorder;
struct recorder *recorder_open(const char *path, int64_t bytes_max, struct error *error);
void recorder_put(struct recorder *recorder, const struct traffic *events,
	size_t count);				/* at most 4,096: one message */
void recorder_close(struct recorder *recorder); /* NULL is fine */

#endif
