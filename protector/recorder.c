#include "protector/recorder.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "flashsale/protector/v1/traffic.pb-c.h"
#include "protector/bans.h"
#include "rpc/wire.h"

#define EVENTS_MAX 4096
#define LENGTH_MAX 10
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

/* Where the last whole message ends: a process that was killed may have left a part of one. */
static int64_t end_of_messages(int descriptor, int64_t bytes)
{
	int64_t at = 0;

	for (;;) {
		uint8_t head[LENGTH_MAX];
		const ssize_t count = pread(descriptor, head, sizeof(head), at);
		struct wire wire = {head, head + (count > 0 ? count : 0)};
		uint64_t size;

		if (!wire_varint(&wire, &size) || size > (uint64_t)(bytes - at - (wire.next - head)))
			return at;
		at += (wire.next - head) + (int64_t)size;
	}
}

static bool find_end(int descriptor, int64_t *ret_bytes)
{
	struct stat status;

	if (fstat(descriptor, &status) != 0)
		return false;
	*ret_bytes = end_of_messages(descriptor, status.st_size);
	return *ret_bytes == status.st_size || ftruncate(descriptor, *ret_bytes) == 0;
}

struct recorder *recorder_open(const char *path, int64_t bytes_max, struct error *error)
{
	/* Who may read it: it names people. */
	const int descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct recorder *recorder;
	int64_t bytes;

	if (descriptor < 0 || !find_end(descriptor, &bytes)) {
		error_set(error, "--record %s: %s", path, strerror(errno));
		if (descriptor >= 0)
			close(descriptor);
		return NULL;
	}
	recorder = NEW(struct recorder);
	recorder->descriptor = descriptor;
	recorder->path = memory_copy_text(path);
	recorder->bytes = bytes;
	recorder->bytes_max = bytes_max;
	recorder->items = NEW_ARRAY(EVENTS_MAX, Protector__TrafficEvent);
	recorder->pointers = NEW_ARRAY(EVENTS_MAX, Protector__TrafficEvent *);
	recorder->users = memory_new_array(EVENTS_MAX, sizeof(*recorder->users));
	recorder->buffer = memory_new(LENGTH_MAX + EVENTS_MAX * EVENT_BYTES_MAX);
	for (size_t i = 0; i < EVENTS_MAX; i++) {
		protector__traffic_event__init(&recorder->items[i]);
		recorder->pointers[i] = &recorder->items[i];
		recorder->items[i].user_id = recorder->users[i];
	}
	return recorder;
}

static void stop(struct recorder *recorder, const char *why)
{
	log_warn("the recording of traffic has ended", LOG_TEXT("file", recorder->path), LOG_TEXT("why", why),
		LOG_INT("bytes", recorder->bytes));
	close(recorder->descriptor);
	recorder->descriptor = -1;
}

static void fill(Protector__TrafficEvent *item, const struct traffic *event)
{
	const size_t size = !event->has_address ? 0 : address_is_v4(&event->address) ? 4 : 16;

	item->time_us = event->time_us;
	item->client_address = (ProtobufCBinaryData){
		size, (uint8_t *)(uintptr_t)event->address.bytes + (size == 4 ? 12 : 0)};
	memcpy(item->user_id, event->user_id.text, event->user_id.length);
	item->user_id[event->user_id.length] = '\0';
	item->kind = (Protector__TrafficKind)event->kind; /* the same numbers */
	item->reason = event->reason;
	item->counts_address = event->counts_address;
	item->counts_account = event->counts_account;
}

/* The length stands right before the message. */
static uint8_t *put_length(uint8_t *message, size_t size)
{
	uint8_t length[LENGTH_MAX];
	size_t count = 0;

	for (; size >= 0x80; size >>= 7)
		length[count++] = (uint8_t)(size | 0x80);
	length[count++] = (uint8_t)size;
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

	assert(count <= EVENTS_MAX);
	if (recorder->descriptor < 0)
		return;
	for (size_t i = 0; i < count; i++)
		fill(&recorder->items[i], &events[i]);
	message.events = recorder->pointers;
	message.n_events = count;
	size = protector__report_traffic_request__pack(&message, recorder->buffer + LENGTH_MAX);
	start = put_length(recorder->buffer + LENGTH_MAX, size);
	size += (size_t)(recorder->buffer + LENGTH_MAX - start);
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
