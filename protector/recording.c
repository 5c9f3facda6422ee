#include "protector/recording.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/memory.h"

#define ARENA_BYTES_MAX (4 * 1024 * 1024)
#define V4_BYTES 4
#define V6_BYTES 16
#define WRITE_EVENTS 512			/* in a message */
#define TIME_MAX_US INT64_C(253402300800000000) /* the year 10000 */

struct recording_reader {
	FILE *file;
	char *path;
	uint64_t at; /* bytes read */
	uint8_t *bytes;
	struct arena arena;
	struct traffic *events;
	bool cut;
	uint64_t invalid, dropped;
};

static bool address_of(const ProtobufCBinaryData *bytes, struct address *ret)
{
	*ret = (struct address){.bytes = {[10] = 0xff, [11] = 0xff}, .bits = ADDRESS_BITS};
	if (bytes->len == V4_BYTES)
		memcpy(ret->bytes + V6_BYTES - V4_BYTES, bytes->data, V4_BYTES);
	else if (bytes->len == V6_BYTES)
		memcpy(ret->bytes, bytes->data, V6_BYTES);
	return bytes->len == V4_BYTES || bytes->len == V6_BYTES;
}

/* A newer gatekeeper's reason is a refusal all the same. */
static Common__Reason reason_of(Common__Reason reason)
{
	return protobuf_c_enum_descriptor_get_value(&common__reason__descriptor, (int)reason)
		       ? reason
		       : COMMON__REASON__REASON_INVALID;
}

bool traffic_of_event(const Protector__TrafficEvent *event, struct traffic *ret)
{
	*ret = (struct traffic){.time_us = event->time_us,
		.counts_address = event->counts_address,
		.counts_account = event->counts_account,
		.kind = (int)event->kind >= TRAFFIC_OTHER && (int)event->kind <= TRAFFIC_CHANGE
				? (enum traffic_kind)event->kind
				: TRAFFIC_OTHER,
		.reason = reason_of(event->reason),
		.has_address = event->client_address.len > 0,
		.user_id = span_of(event->user_id)};
	if (ret->user_id.length > BANS_USER_MAX || event->time_us <= 0 || event->time_us >= TIME_MAX_US)
		return false;
	if ((event->counts_address && !ret->has_address) || (event->counts_account && !ret->user_id.length))
		return false;
	return !ret->has_address || address_of(&event->client_address, &ret->address);
}

void event_of_traffic(
	const struct traffic *traffic, char user[BANS_USER_MAX + 1], Protector__TrafficEvent *ret)
{
	const size_t skip = address_is_v4(&traffic->address) ? V6_BYTES - V4_BYTES : 0;

	assert(traffic->user_id.length <= BANS_USER_MAX);
	protector__traffic_event__init(ret);
	ret->time_us = traffic->time_us;
	if (traffic->has_address)
		ret->client_address = (ProtobufCBinaryData){
			V6_BYTES - skip, (uint8_t *)(uintptr_t)traffic->address.bytes + skip};
	if (traffic->user_id.length)
		memcpy(user, traffic->user_id.text, traffic->user_id.length);
	user[traffic->user_id.length] = '\0';
	ret->user_id = user;
	ret->kind = (Protector__TrafficKind)traffic->kind; /* the same numbers */
	ret->reason = traffic->reason;
	ret->counts_address = traffic->counts_address;
	ret->counts_account = traffic->counts_account;
}

size_t recording_pack_length(uint64_t length, uint8_t to[RECORDING_LENGTH_MAX])
{
	size_t size = 0;

	for (; length >= 0x80; length >>= 7)
		to[size++] = (uint8_t)(length | 0x80);
	to[size++] = (uint8_t)length;
	return size;
}

struct recording_reader *recording_open(const char *path, struct error *error)
{
	FILE *file = fopen(path, "rb");
	struct recording_reader *reader;

	if (!file) {
		error_set(error, "%s can't be opened: %s", path, strerror(errno));
		return NULL;
	}
	reader = NEW(struct recording_reader);
	reader->file = file;
	reader->path = memory_copy_text(path);
	reader->bytes = NEW_ARRAY(RECORDING_BYTES_MAX, uint8_t);
	reader->events = NEW_ARRAY(RECORDING_EVENTS_MAX, struct traffic);
	arena_init(&reader->arena, ARENA_BYTES_MAX, ARENA_BYTES_MAX + 4096);
	return reader;
}

void recording_close(struct recording_reader *reader)
{
	if (!reader)
		return;
	fclose(reader->file);
	arena_release(&reader->arena);
	free(reader->events);
	free(reader->bytes);
	free(reader->path);
	free(reader);
}

static enum recording_result broken(
	const struct recording_reader *reader, const char *what, struct error *error)
{
	error_set(error, "%s is not recorded traffic: %s at byte %llu", reader->path, what,
		(unsigned long long)reader->at);
	return RECORDING_BROKEN;
}

/* There are no more bytes: the end, or a file that can't be read, as a folder, which can be opened. */
static enum recording_result end(struct recording_reader *reader, bool cut, struct error *error)
{
	if (ferror(reader->file)) {
		error_set(error, "%s can't be read: %s", reader->path, strerror(errno));
		return RECORDING_BROKEN;
	}
	reader->cut = cut;
	return RECORDING_END;
}

/* RECORDING_EVENTS: there is one. */
static enum recording_result read_length(struct recording_reader *reader, uint64_t *ret, struct error *error)
{
	*ret = 0;
	for (unsigned i = 0; i < RECORDING_LENGTH_MAX; i++) {
		const int c = getc(reader->file);

		if (c == EOF)
			return end(reader, i > 0, error);
		*ret |= (uint64_t)(c & 0x7f) << (7 * i);
		if (c & 0x80)
			continue;
		reader->at += i + 1;
		if (*ret == 0) /* nobody writes them; a file of zeros has as many as bytes */
			return broken(reader, "an empty message", error);
		return *ret <= RECORDING_BYTES_MAX ? RECORDING_EVENTS
						   : broken(reader, "a message that is too large", error);
	}
	return broken(reader, "a length without an end", error);
}

static enum recording_result unpack(
	struct recording_reader *reader, uint64_t length, size_t *ret_count, struct error *error)
{
	Protector__ReportTrafficRequest *message;

	arena_clear(&reader->arena);
	message = protector__report_traffic_request__unpack(&reader->arena.allocator, length, reader->bytes);
	if (!message)
		return broken(reader, "no message", error);
	if (message->n_events > RECORDING_EVENTS_MAX)
		return broken(reader, "too many events in one message", error);
	reader->at += length;
	reader->dropped += message->dropped;
	*ret_count = 0;
	for (size_t i = 0; i < message->n_events; i++) {
		if (traffic_of_event(message->events[i], &reader->events[*ret_count]))
			++*ret_count;
		else
			reader->invalid++;
	}
	return RECORDING_EVENTS;
}

enum recording_result recording_read(
	struct recording_reader *reader, const struct traffic **ret, size_t *ret_count, struct error *error)
{
	uint64_t length;
	const enum recording_result result = read_length(reader, &length, error);

	if (result != RECORDING_EVENTS)
		return result;
	if (fread(reader->bytes, 1, length, reader->file) != length)
		return end(reader, true, error);
	*ret = reader->events;
	return unpack(reader, length, ret_count, error);
}

bool recording_cut(const struct recording_reader *reader)
{
	return reader->cut;
}

uint64_t recording_invalid(const struct recording_reader *reader)
{
	return reader->invalid;
}

uint64_t recording_dropped(const struct recording_reader *reader)
{
	return reader->dropped;
}

struct recording_writer {
	FILE *file;
	char *path;
	int failed; /* errno; 0: not yet */
	size_t count;
	Protector__TrafficEvent events[WRITE_EVENTS], *pointers[WRITE_EVENTS];
	struct traffic kept[WRITE_EVENTS]; /* what the events point to */
	char names[WRITE_EVENTS][BANS_USER_MAX + 1];
	uint8_t bytes[RECORDING_BYTES_MAX];
};

struct recording_writer *recording_create(const char *path, struct error *error)
{
	FILE *file = fopen(path, "wb");
	struct recording_writer *writer;

	if (!file) {
		error_set(error, "%s can't be written: %s", path, strerror(errno));
		return NULL;
	}
	writer = NEW(struct recording_writer);
	writer->file = file;
	writer->path = memory_copy_text(path);
	for (size_t i = 0; i < WRITE_EVENTS; i++)
		writer->pointers[i] = &writer->events[i];
	return writer;
}

static void flush(struct recording_writer *writer)
{
	Protector__ReportTrafficRequest message = PROTECTOR__REPORT_TRAFFIC_REQUEST__INIT;
	uint8_t head[RECORDING_LENGTH_MAX];
	size_t size, head_size;

	if (!writer->count)
		return;
	message.n_events = writer->count;
	message.events = writer->pointers;
	size = protector__report_traffic_request__pack(&message, writer->bytes);
	assert(size <= RECORDING_BYTES_MAX);
	head_size = recording_pack_length(size, head);
	writer->count = 0;
	if (writer->failed)
		return;
	fwrite(head, 1, head_size, writer->file);
	fwrite(writer->bytes, 1, size, writer->file);
	if (ferror(writer->file))
		writer->failed = errno;
}

void recording_write(struct recording_writer *writer, const struct traffic *traffic)
{
	const size_t at = writer->count++;

	writer->kept[at] = *traffic;
	event_of_traffic(&writer->kept[at], writer->names[at], &writer->events[at]);
	if (writer->count == WRITE_EVENTS)
		flush(writer);
}

bool recording_finish(struct recording_writer *writer, struct error *error)
{
	int failed, closed;

	flush(writer);
	failed = writer->failed;
	closed = fclose(writer->file);
	if (!failed && closed)
		failed = errno;
	if (failed)
		error_set(error, "%s can't be written: %s", writer->path, strerror(failed));
	free(writer->path);
	free(writer);
	return !failed;
}
