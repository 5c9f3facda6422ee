#include "protector/recorder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "flashsale/protector/v1/traffic.pb-c.h"
#include "protector/recording.h"
#include "rpc/wire.h"

#define EVENT_BYTES_MAX (16 + 20 + BANS_USER_MAX + 16) /* packed */

struct recorder {
	int descriptor; /* -1: no more */
	char *path;
	int64_t bytes, bytes_max;
	Protector__TrafficEvent *items;
	Protector__TrafficEvent **pointers;
	char (*users)[BANS_USER_MAX + 1];
	uint8_t *buffer; /* a message and its length */
};

/* What follows the length of a message of ours, as far as it is there: an event, which has its time first. */
static bool begins_with_an_event(const struct wire *rest)
{
	static const uint8_t events = 1 << 3 | WIRE_BYTES, time_us = 1 << 3 | WIRE_VARINT;
	const ptrdiff_t size = rest->end - rest->next;

	return (size < 1 || rest->next[0] == events) && (size < 3 || rest->next[2] == time_us);
}

/* Where the last whole message ends: a process that was killed may have left a part of one. -1: what is there is nothing of ours. */
static int64_t end_of_messages(int descriptor, int64_t bytes)
{
	int64_t at = 0;

	for (;;) {
		uint8_t head[RECORDING_LENGTH_MAX];
		const ssize_t count = pread(descriptor, head, sizeof(head), at);
		struct wire wire = {head, head + (count > 0 ? count : 0)};
		uint64_t size;

		if (!wire_varint(&wire, &size))
			return count < RECORDING_LENGTH_MAX ? at : -1;
		if (size > RECORDING_BYTES_MAX)
			return -1;
		if (size > (uint64_t)(bytes - at - (wire.next - head)))
			return at > 0 || begins_with_an_event(&wire) ? at : -1;
		at += (wire.next - head) + (int64_t)size;
	}
}

/* Whether it begins as a recording does: nobody's other file is written to. */
static bool begins_well(const char *path, struct error *error)
{
	struct recording_reader *reader = recording_open(path, error);
	const struct traffic *events;
	enum recording_result result;
	size_t count;
	bool good;

	if (!reader)
		return false;
	result = recording_read(reader, &events, &count, error);
	good = result == RECORDING_EVENTS ? !recording_invalid(reader) : result == RECORDING_END;
	if (result == RECORDING_EVENTS && !good)
		error_set(error, "%s is not recorded traffic: what its first message tells can't be", path);
	recording_close(reader);
	return good;
}

/* Of two who write, one would cut off what the other has just written. Ends with the descriptor; where files can't be locked, nobody is kept out. */
static bool take(int descriptor, const char *path, struct error *error)
{
	return flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK ||
	       error_set(error, "%s: another process records into it", path);
}

static bool find_end(int descriptor, const char *path, int64_t *ret_bytes, struct error *error)
{
	struct stat status;

	if (fstat(descriptor, &status) != 0)
		return error_set(error, "%s: %s", path, strerror(errno));
	*ret_bytes = end_of_messages(descriptor, status.st_size);
	if (*ret_bytes < 0)
		return error_set(error, "%s is not recorded traffic; it is left as it is", path);
	if (*ret_bytes > 0 && !begins_well(path, error))
		return false;
	return *ret_bytes == status.st_size || ftruncate(descriptor, *ret_bytes) == 0 ||
	       error_set(error, "%s: %s", path, strerror(errno));
}

struct recorder *recorder_open(const char *path, int64_t bytes_max, struct error *error)
{
	/* Who may read it: it names people. */
	const int descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct recorder *recorder;
	int64_t bytes = 0;

	if (descriptor < 0) {
		error_set(error, "--record %s: %s", path, strerror(errno));
		return NULL;
	}
	if (!take(descriptor, path, error) || !find_end(descriptor, path, &bytes, error)) {
		error_prefix(error, "--record");
		close(descriptor);
		return NULL;
	}
	recorder = NEW(struct recorder);
	recorder->descriptor = descriptor;
	recorder->path = memory_copy_text(path);
	recorder->bytes = bytes;
	recorder->bytes_max = bytes_max;
	recorder->items = NEW_ARRAY(RECORDING_EVENTS_MAX, Protector__TrafficEvent);
	recorder->pointers = NEW_ARRAY(RECORDING_EVENTS_MAX, Protector__TrafficEvent *);
	recorder->users = memory_new_array(RECORDING_EVENTS_MAX, sizeof(*recorder->users));
	recorder->buffer = memory_new(RECORDING_LENGTH_MAX + RECORDING_EVENTS_MAX * EVENT_BYTES_MAX);
	for (size_t i = 0; i < RECORDING_EVENTS_MAX; i++)
		recorder->pointers[i] = &recorder->items[i];
	return recorder;
}

static void stop(struct recorder *recorder, const char *why)
{
	log_warn("the recording of traffic has ended", LOG_TEXT("file", recorder->path), LOG_TEXT("why", why),
		LOG_INT("bytes", recorder->bytes));
	close(recorder->descriptor);
	recorder->descriptor = -1;
}

/* The length stands right before the message. */
static uint8_t *put_length(uint8_t *message, size_t size)
{
	uint8_t length[RECORDING_LENGTH_MAX];
	const size_t count = recording_pack_length(size, length);

	return memcpy(message - count, length, count);
}

static void write_all(struct recorder *recorder, const uint8_t *bytes, size_t size)
{
	while (size) {
		const ssize_t written = write(recorder->descriptor, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			stop(recorder, strerror(errno));
			return;
		}
		bytes += written;
		size -= (size_t)written;
		recorder->bytes += written;
	}
}

void recorder_put(struct recorder *recorder, const struct traffic *events, size_t count)
{
	Protector__ReportTrafficRequest message = PROTECTOR__REPORT_TRAFFIC_REQUEST__INIT;
	uint8_t *start;
	size_t size;

	assert(count <= RECORDING_EVENTS_MAX);
	if (recorder->descriptor < 0)
		return;
	for (size_t i = 0; i < count; i++)
		event_of_traffic(&events[i], recorder->users[i], &recorder->items[i]);
	message.events = recorder->pointers;
	message.n_events = count;
	size = protector__report_traffic_request__pack(&message, recorder->buffer + RECORDING_LENGTH_MAX);
	start = put_length(recorder->buffer + RECORDING_LENGTH_MAX, size);
	size += (size_t)(recorder->buffer + RECORDING_LENGTH_MAX - start);
	if (recorder->bytes + (int64_t)size > recorder->bytes_max)
		stop(recorder, "it is as large as --record-max says");
	else
		write_all(recorder, start, size);
}

void recorder_close(struct recorder *recorder)
{
	if (!recorder)
		return;
	if (recorder->descriptor >= 0)
		close(recorder->descriptor);
	free(recorder->path);
	free(recorder->items);
	free(recorder->pointers);
	free(recorder->users);
	free(recorder->buffer);
	free(recorder);
}
