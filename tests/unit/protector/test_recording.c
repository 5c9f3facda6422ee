#include "tests/unit/protector/cmocka_first.h"

#include "protector/bans.h"
#include "protector/recording.h"
#include "tests/unit/protector/temporary.h"

#define EVENTS 1300 /* more than one message */

static struct traffic make(unsigned i, char name[16])
{
	struct traffic traffic = {.time_us = 1000000 + i,
		.counts_address = i % 4 == 1,
		.counts_account = i % 3 == 0 && i % 7,
		.kind = (enum traffic_kind)(i % 4),
		.reason = i % 5 ? COMMON__REASON__REASON_SOLD_OUT : COMMON__REASON__REASON_UNSPECIFIED};
	static const char *const addresses[] = {"192.0.2.7", "2001:db8::7"};

	snprintf(name, 16, "user%u", i);
	traffic.user_id = span_of(i % 7 ? name : "");
	if (i % 4 == 3)
		return traffic;
	traffic.has_address = address_parse(addresses[i % 2], strlen(addresses[i % 2]), &traffic.address);
	return traffic;
}

static void same(const struct traffic *a, const struct traffic *b)
{
	assert_int_equal(a->time_us, b->time_us);
	assert_int_equal(a->counts_address, b->counts_address);
	assert_int_equal(a->counts_account, b->counts_account);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->has_address, b->has_address);
	if (a->has_address)
		assert_memory_equal(&a->address, &b->address, sizeof(a->address));
	assert_true(span_equal(a->user_id, b->user_id));
}

static void test_what_is_written_is_read(void **state)
{
	struct temporary t;
	struct recording_writer *writer;
	struct recording_reader *reader;
	const struct traffic *events;
	struct error error;
	size_t count;
	unsigned at = 0;
	char name[16];

	temporary_make(&t);
	writer = recording_create(t.recording, &error);
	for (unsigned i = 0; i < EVENTS; i++) {
		const struct traffic traffic = make(i, name);

		recording_write(writer, &traffic);
	}
	assert_true(recording_finish(writer, &error));
	reader = recording_open(t.recording, &error);
	while (recording_read(reader, &events, &count, &error) == RECORDING_EVENTS)
		for (size_t i = 0; i < count; i++) {
			const struct traffic traffic = make(at++, name);

			same(&events[i], &traffic);
		}
	assert_int_equal(at, EVENTS);
	assert_false(recording_cut(reader));
	assert_int_equal(recording_invalid(reader), 0);
	recording_close(reader);
	temporary_remove(&t);
}

/* Reads all; *ret_events counts. */
static enum recording_result read_all(const struct temporary *t, size_t *ret_events, bool *ret_cut,
	uint64_t *ret_invalid, uint64_t *ret_dropped, struct error *error)
{
	struct recording_reader *reader = recording_open(t->recording, error);
	const struct traffic *events;
	enum recording_result result;
	size_t count;

	*ret_events = 0;
	while ((result = recording_read(reader, &events, &count, error)) == RECORDING_EVENTS)
		*ret_events += count;
	*ret_cut = recording_cut(reader);
	*ret_invalid = recording_invalid(reader);
	*ret_dropped = recording_dropped(reader);
	recording_close(reader);
	return result;
}

static void test_a_file_that_was_cut(void **state)
{
	static const size_t sizes[] = {0, 1, 20, 1000};
	struct temporary t;
	struct recording_writer *writer;
	struct error error;
	size_t events;
	uint64_t invalid, dropped;
	bool cut;
	char name[16];

	temporary_make(&t);
	for (size_t i = 0; i < 4; i++) {
		writer = recording_create(t.recording, &error);
		for (unsigned j = 0; j < 600; j++) {
			const struct traffic traffic = make(j, name);

			recording_write(writer, &traffic);
		}
		assert_true(recording_finish(writer, &error));
		assert_int_equal(truncate(t.recording, (off_t)sizes[i]), 0);
		assert_int_equal(read_all(&t, &events, &cut, &invalid, &dropped, &error), RECORDING_END);
		assert_int_equal(events, 0);
		assert_int_equal(cut, sizes[i] > 0);
	}
	temporary_remove(&t);
}

static size_t pack(uint8_t *to, Protector__TrafficEvent **events, size_t count, uint64_t dropped)
{
	Protector__ReportTrafficRequest message = PROTECTOR__REPORT_TRAFFIC_REQUEST__INIT;
	const size_t head = 3;
	size_t size;

	message.n_events = count;
	message.events = events;
	message.dropped = dropped;
	size = protector__report_traffic_request__pack(&message, to + head);
	to[0] = (uint8_t)(size & 0x7f) | 0x80;
	to[1] = (uint8_t)(size >> 7 & 0x7f) | 0x80;
	to[2] = (uint8_t)(size >> 14);
	return head + size;
}

static void test_events_that_cannot_be(void **state)
{
	Protector__TrafficEvent good = PROTECTOR__TRAFFIC_EVENT__INIT, all[9];
	Protector__TrafficEvent *events[9];
	static uint8_t bytes[4096];
	char longest[BANS_USER_MAX + 2] = "";
	struct temporary t;
	struct error error;
	size_t count;
	uint64_t invalid, dropped;
	bool cut;

	memset(longest, 'u', BANS_USER_MAX + 1);
	good.time_us = 5;
	for (size_t i = 0; i < 9; i++) {
		all[i] = good;
		events[i] = &all[i];
	}
	all[1].kind = (Protector__TrafficKind)99; /* these are read as something that can be */
	all[2].kind = (Protector__TrafficKind)-1;
	all[3].client_address = (ProtobufCBinaryData){5, bytes};
	all[4].user_id = longest;
	all[5].time_us = 0;
	all[6].time_us = INT64_MAX;
	all[7].counts_address = true;
	all[8].counts_account = true;
	temporary_make(&t);
	temporary_fill(t.recording, bytes, pack(bytes, events, 9, 17));
	assert_int_equal(read_all(&t, &count, &cut, &invalid, &dropped, &error), RECORDING_END);
	assert_int_equal(count, 3);
	assert_int_equal(invalid, 6);
	assert_int_equal(dropped, 17);
	temporary_remove(&t);
}

static void test_a_reason_of_the_future(void **state)
{
	Protector__TrafficEvent event = PROTECTOR__TRAFFIC_EVENT__INIT;
	struct traffic traffic;

	event.time_us = 5;
	event.reason = (Common__Reason)9999;
	assert_true(traffic_of_event(&event, &traffic));
	assert_int_equal(traffic.reason, COMMON__REASON__REASON_INVALID);
}

static void test_nothing_is_a_recording(void **state)
{
	struct temporary t;
	struct error error;
	size_t count;
	uint64_t invalid, dropped;
	bool cut;

	temporary_make(&t);
	assert_true(recording_finish(recording_create(t.recording, &error), &error));
	assert_int_equal(read_all(&t, &count, &cut, &invalid, &dropped, &error), RECORDING_END);
	assert_int_equal(count, 0);
	assert_false(cut);
	temporary_remove(&t);
}

static void break_with(const void *bytes, size_t size, const char *word)
{
	struct temporary t;
	struct error error;
	size_t count;
	uint64_t invalid, dropped;
	bool cut;

	temporary_make(&t);
	temporary_fill(t.recording, bytes, size);
	assert_int_equal(read_all(&t, &count, &cut, &invalid, &dropped, &error), RECORDING_BROKEN);
	assert_non_null(strstr(error.text, word));
	temporary_remove(&t);
}

static void test_what_is_no_recording(void **state)
{
	static Protector__TrafficEvent event = PROTECTOR__TRAFFIC_EVENT__INIT;
	static Protector__TrafficEvent *events[RECORDING_EVENTS_MAX + 1];
	static uint8_t bytes[65536];

	break_with("\0\0\0\0", 4, "an empty message at byte 1");
	break_with("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "without an end");
	break_with("\x81\x80\x40", 3, "too large");
	break_with("\x03\xff\xff\xff", 4, "no message");
	for (size_t i = 0; i <= RECORDING_EVENTS_MAX; i++)
		events[i] = &event;
	break_with(bytes, pack(bytes, events, RECORDING_EVENTS_MAX + 1, 0), "too many events");
}

static void test_files_that_cannot_be(void **state)
{
	struct recording_writer *writer;
	struct recording_reader *reader;
	const struct traffic *events;
	size_t count;
	struct error error;
	char name[16];

	assert_null(recording_open("/nowhere/recording", &error));
	assert_non_null(strstr(error.text, "/nowhere/recording"));
	assert_null(recording_create("/nowhere/recording", &error));
	reader = recording_open("/", &error);
	assert_int_equal(recording_read(reader, &events, &count, &error), RECORDING_BROKEN);
	assert_string_equal(error.text, "/ can't be read: Is a directory");
	recording_close(reader);
	recording_close(NULL);
	writer = recording_create("/dev/full", &error);
	for (unsigned i = 0; i < 2 * EVENTS; i++) {
		const struct traffic traffic = make(i, name);

		recording_write(writer, &traffic);
	}
	assert_false(recording_finish(writer, &error));
	assert_non_null(strstr(error.text, "/dev/full"));
	writer = recording_create("/dev/full", &error);
	recording_write(writer, &(struct traffic){.time_us = 1, .user_id = {NULL, 0}});
	assert_false(recording_finish(writer, &error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_a_file_that_was_cut),
		cmocka_unit_test(test_events_that_cannot_be),
		cmocka_unit_test(test_a_reason_of_the_future),
		cmocka_unit_test(test_nothing_is_a_recording),
		cmocka_unit_test(test_what_is_no_recording),
		cmocka_unit_test(test_files_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
