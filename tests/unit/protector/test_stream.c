/* Reported traffic: what is out of bounds stays out, what is too much is dropped and counted, the rest is analysed and recorded. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "protector/recorder.h"
#include "protector/recording.h"
#include "protector/stream.h"
#include "rpc/wire.h"
#include "tests/unit/base/folder.h"

#define MESSAGE_EVENTS 4096
#define PATIENCE_S 20

static uint8_t peer[] = {192, 0, 2, 44};

static Protector__TrafficEvent event_of(const char *user)
{
	Protector__TrafficEvent event = PROTECTOR__TRAFFIC_EVENT__INIT;

	event.time_us = clock_wall_us();
	event.client_address = (ProtobufCBinaryData){sizeof(peer), peer};
	event.user_id = (char *)(uintptr_t)user;
	event.kind = PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_BUY;
	event.counts_address = true;
	event.counts_account = *user != '\0';
	return event;
}

/* ---- one event ---- */

static void an_event_is_taken_as_it_is(void **state)
{
	Protector__TrafficEvent event = event_of("ann");
	char text[ADDRESS_TEXT_MAX];
	struct traffic traffic;

	event.reason = COMMON__REASON__REASON_SOLD_OUT;
	assert_true(traffic_of_event(&event, &traffic));
	assert_int_equal(traffic.time_us, event.time_us);
	assert_int_equal(traffic.kind, TRAFFIC_BUY);
	assert_int_equal(traffic.reason, COMMON__REASON__REASON_SOLD_OUT);
	assert_true(traffic.has_address && traffic.counts_address && traffic.counts_account);
	assert_string_equal(address_format(&traffic.address, text), "192.0.2.44");
	assert_int_equal(traffic.user_id.length, 3);
	assert_memory_equal(traffic.user_id.text, "ann", 3);
}

static void a_mapped_address_is_the_plain_one(void **state)
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 44};
	Protector__TrafficEvent event = event_of("ann");
	struct traffic plain, other;

	assert_true(traffic_of_event(&event, &plain));
	event.client_address = (ProtobufCBinaryData){sizeof(mapped), mapped};
	assert_true(traffic_of_event(&event, &other));
	assert_int_equal(address_compare(&plain.address, &other.address), 0);
}

static void what_is_out_of_bounds_is_not_taken(void **state)
{
	static const int64_t times[] = {0, -1, INT64_MIN, INT64_MAX, INT64_C(253402300800000000)};
	uint8_t bytes[17] = {1};
	char user[66] = {0};
	Protector__TrafficEvent event;
	struct traffic traffic;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		event = event_of("ann");
		event.time_us = times[i];
		assert_false(traffic_of_event(&event, &traffic));
	}
	for (size_t size = 0; size <= sizeof(bytes); size++) {
		event = event_of("ann");
		event.client_address = (ProtobufCBinaryData){size, bytes};
		assert_int_equal(traffic_of_event(&event, &traffic), size == 4 || size == 16);
	}
	memset(user, 'u', 65);
	event = event_of(user);
	assert_false(traffic_of_event(&event, &traffic));
	user[64] = '\0';
	assert_true(traffic_of_event(&event, &traffic));
	event = event_of("");
	event.counts_account = true;
	assert_false(traffic_of_event(&event, &traffic));
}

static void what_a_newer_gatekeeper_says_is_understood_as_far_as_can_be(void **state)
{
	Protector__TrafficEvent event = event_of("ann");
	struct traffic traffic;

	event.kind = (Protector__TrafficKind)77;
	event.reason = (Common__Reason)INT32_MAX;
	assert_true(traffic_of_event(&event, &traffic));
	assert_int_equal(traffic.kind, TRAFFIC_OTHER);
	assert_int_equal(traffic.reason, COMMON__REASON__REASON_INVALID);
}

/* ---- the thread ---- */

struct world {
	char folder[FOLDER_TEXT_MAX], file[FOLDER_TEXT_MAX + 16];
	struct stream *stream;
	sem_t entered, go_on, looked;
	struct stream_errand hold, look;
	struct analysis_stats stats;
	_Atomic uint32_t decisions;
};
static struct world w;

static void decided(void *context, const struct decision *decision)
{
	if (strcmp(decision->subject.user_id, "bot") == 0)
		atomic_fetch_add(&w.decisions, 1);
}

static int64_t counted(const char *line)
{
	size_t size;
	char *text = metrics_text(&size), *found = strstr(text, line);
	const int64_t value = found ? atoll(found + strlen(line)) : -1;

	free(text);
	return value;
}

#define ANALYSED counted("traffic_events_total{outcome=\"analysed\"} ")
#define INVALID counted("traffic_events_total{outcome=\"invalid\"} ")
#define DROPPED counted("traffic_events_total{outcome=\"dropped\"} ")
#define LOST counted("\nflashsale_protector_traffic_lost_total ")

static int setup_with(struct recorder *recorder)
{
	const struct analysis_options options = {.decided = decided, .seed = 7};

	w.decisions = 0;
	sem_init(&w.entered, 0, 0);
	sem_init(&w.go_on, 0, 0);
	sem_init(&w.looked, 0, 0);
	w.stream = stream_new(&(struct stream_options){
		.analysis = analysis_new(&options), .recorder = recorder, .now_us = clock_wall_us});
	return 0;
}

static int setup(void **state)
{
	return setup_with(NULL);
}

static int setup_recording(void **state)
{
	struct error error;
	struct recorder *recorder;

	folder_make(w.folder);
	snprintf(w.file, sizeof(w.file), "%s/traffic", w.folder);
	recorder = recorder_open(w.file, 4096, &error);
	assert_non_null(recorder);
	return setup_with(recorder);
}

static int teardown(void **state)
{
	sem_post(&w.go_on); /* of a test that failed before it did */
	stream_free(w.stream);
	return 0;
}

static int teardown_recording(void **state)
{
	stream_free(w.stream);
	folder_remove(w.folder);
	return 0;
}

static void look(struct stream_errand *errand, struct analysis *analysis)
{
	w.stats = analysis_stats(analysis);
	sem_post(&w.looked);
}

/* When everything that was given before has been analysed. */
static const struct analysis_stats *settle(int64_t analysed)
{
	const int64_t end_ns = clock_mono_ns() + PATIENCE_S * INT64_C(1000000000);

	while (ANALYSED < analysed) {
		assert_true(clock_mono_ns() < end_ns);
		usleep(1000);
	}
	w.look.run = look;
	stream_run(w.stream, &w.look);
	assert_int_equal(sem_wait(&w.looked), 0);
	return &w.stats;
}

/* `count` times the same. */
static void report(const Protector__TrafficEvent *event, size_t count, uint64_t dropped)
{
	static Protector__TrafficEvent *pointers[MESSAGE_EVENTS];
	Protector__ReportTrafficRequest request = PROTECTOR__REPORT_TRAFFIC_REQUEST__INIT;

	for (size_t i = 0; i < count; i++)
		pointers[i] = (Protector__TrafficEvent *)(uintptr_t)event;
	request.events = pointers;
	request.n_events = count;
	request.dropped = dropped;
	stream_take(w.stream, &request);
}

static void traffic_is_analysed_and_decided(void **state)
{
	Protector__TrafficEvent good = event_of("ann"), bad = event_of("ann"), bot = event_of("bot");
	const int64_t analysed = ANALYSED, invalid = INVALID, lost = LOST;

	bad.time_us = -1;
	bot.client_address.len = 0;
	bot.counts_address = false;
	report(&good, 10, 3);
	report(&bad, 5, UINT64_MAX);
	report(&bot, 1000, 0);
	assert_int_equal(settle(analysed + 1010)->events, 1010);
	assert_int_equal(INVALID, invalid + 5);
	assert_int_equal(LOST, lost + 3 + INT32_MAX);
	assert_true(w.decisions > 0);
}

/* Before the thread's first turn ends: else one gatekeeper's clock would carry everybody's time away for ever. */
static void the_first_event_is_not_believed_either(void **state)
{
	Protector__TrafficEvent event = event_of("ann");
	const int64_t analysed = ANALYSED;

	event.time_us = clock_wall_us() + INT64_C(1000000000000);
	report(&event, 1, 0);
	assert_int_equal(settle(analysed + 1)->clamped, 1);
}

static void hold(struct stream_errand *errand, struct analysis *analysis)
{
	sem_post(&w.entered);
	assert_int_equal(sem_wait(&w.go_on), 0);
}

static void what_is_too_much_is_dropped_and_counted(void **state)
{
	const Protector__TrafficEvent event = event_of("ann");
	const int64_t analysed = ANALYSED, dropped = DROPPED;

	w.hold.run = hold;
	stream_run(w.stream, &w.hold);
	assert_int_equal(sem_wait(&w.entered), 0);
	for (int i = 0; i < STREAM_QUEUE_MAX / MESSAGE_EVENTS + 3; i++)
		report(&event, MESSAGE_EVENTS, 0);
	assert_int_equal(DROPPED, dropped + 3 * MESSAGE_EVENTS);
	assert_int_equal(counted("\nflashsale_protector_traffic_queued "), STREAM_QUEUE_MAX);
	sem_post(&w.go_on);
	settle(analysed + STREAM_QUEUE_MAX);
	report(&event, 1, 0);
	settle(analysed + STREAM_QUEUE_MAX + 1);
	assert_int_equal(DROPPED, dropped + 3 * MESSAGE_EVENTS);
}

static void the_end_waits_for_what_was_given(void **state)
{
	const Protector__TrafficEvent event = event_of("ann");
	const int64_t analysed = ANALYSED;

	for (int i = 0; i < 20; i++)
		report(&event, 100, 0);
	stream_free(w.stream);
	w.stream = NULL;
	assert_int_equal(ANALYSED, analysed + 2000);
}

/* ---- recording ---- */

static size_t read_file(uint8_t *bytes, size_t room)
{
	FILE *file = fopen(w.file, "re");
	size_t size;

	assert_non_null(file);
	size = fread(bytes, 1, room, file);
	fclose(file);
	return size;
}

/* The next message of the bytes, or NULL at their end. */
static Protector__ReportTrafficRequest *next_message(struct wire *wire)
{
	Protector__ReportTrafficRequest *message;
	uint64_t size = 0;

	if (wire->next == wire->end)
		return NULL;
	assert_true(wire_varint(wire, &size) && size <= (uint64_t)(wire->end - wire->next));
	message = protector__report_traffic_request__unpack(NULL, size, wire->next);
	assert_non_null(message);
	wire->next += size;
	return message;
}

/* How many events are in it, all of ann. */
static size_t count_recorded(void)
{
	static uint8_t bytes[65536];
	struct wire wire = {bytes, bytes + read_file(bytes, sizeof(bytes))};
	Protector__ReportTrafficRequest *message;
	size_t count = 0;

	while ((message = next_message(&wire))) {
		for (size_t i = 0; i < message->n_events; i++) {
			assert_string_equal(message->events[i]->user_id, "ann");
			assert_int_equal(message->events[i]->client_address.len, 4);
			assert_memory_equal(message->events[i]->client_address.data, peer, 4);
			assert_int_equal(message->events[i]->kind, PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_BUY);
		}
		count += message->n_events;
		protector__report_traffic_request__free_unpacked(message, NULL);
	}
	return count;
}

static void what_was_analysed_is_recorded_up_to_a_size(void **state)
{
	const Protector__TrafficEvent event = event_of("ann");
	const int64_t analysed = ANALYSED;

	report(&event, 3, 0);
	report(&event, 20, 0);
	settle(analysed + 23);
	assert_int_equal(count_recorded(), 23);
	report(&event, 1000, 0); /* more than there is room for */
	report(&event, 1, 0);
	settle(analysed + 1024);
	assert_int_equal(count_recorded(), 23);
}

static void a_torn_end_is_cut_off(void **state)
{
	const Protector__TrafficEvent event = event_of("ann");
	struct error error;
	struct recorder *recorder;
	struct traffic traffic;
	FILE *file;

	report(&event, 3, 0);
	stream_free(w.stream);
	w.stream = NULL;
	file = fopen(w.file, "ae");
	assert_non_null(file);
	fwrite("\x7f\x01\x02", 1, 3, file);
	fclose(file);
	recorder = recorder_open(w.file, 4096, &error);
	assert_non_null(recorder);
	assert_true(traffic_of_event(&event, &traffic));
	recorder_put(recorder, &traffic, 1);
	assert_null(recorder_open(w.file, 4096, &error)); /* one writes */
	assert_non_null(strstr(error.text, "another process"));
	recorder_close(recorder);
	assert_int_equal(count_recorded(), 4);
	assert_int_equal(truncate(w.file, 6), 0); /* the first one */
	recorder = recorder_open(w.file, 4096, &error);
	assert_non_null(recorder);
	recorder_put(recorder, &traffic, 1);
	recorder_close(recorder);
	assert_int_equal(count_recorded(), 1);
}

/* A name that was mistyped costs nobody a file. */
static void a_file_of_another_kind_is_left_alone(void **state)
{
	static const char *const contents[] = {"notes that are dear to somebody\n",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff and more",
		"\x03\x08\x01\x01\xff\xff\xff\x7f a length that no message has"};
	char content[100];
	struct error error;
	FILE *file;

	folder_make(w.folder);
	snprintf(w.file, sizeof(w.file), "%s/notes", w.folder);
	for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
		const size_t size = strlen(contents[i]);

		file = fopen(w.file, "we");
		assert_non_null(file);
		fwrite(contents[i], 1, size, file);
		fclose(file);
		assert_null(recorder_open(w.file, 4096, &error));
		assert_non_null(strstr(error.text, w.file));
		assert_int_equal(read_file((uint8_t *)content, sizeof(content)), size);
		assert_memory_equal(content, contents[i], size);
	}
	folder_remove(w.folder);
}

static void a_place_that_can_not_be_written_is_named(void **state)
{
	struct error error;

	assert_null(recorder_open("/nowhere/at/all", 4096, &error));
	assert_non_null(strstr(error.text, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_RECORDING(name) cmocka_unit_test_setup_teardown(name, setup_recording, teardown_recording)
		cmocka_unit_test(an_event_is_taken_as_it_is),
		cmocka_unit_test(a_mapped_address_is_the_plain_one),
		cmocka_unit_test(what_is_out_of_bounds_is_not_taken),
		cmocka_unit_test(what_a_newer_gatekeeper_says_is_understood_as_far_as_can_be),
		TEST(traffic_is_analysed_and_decided),
		TEST(the_first_event_is_not_believed_either),
		TEST(what_is_too_much_is_dropped_and_counted),
		TEST(the_end_waits_for_what_was_given),
		TEST_RECORDING(what_was_analysed_is_recorded_up_to_a_size),
		TEST_RECORDING(a_torn_end_is_cut_off),
		cmocka_unit_test(a_file_of_another_kind_is_left_alone),
		cmocka_unit_test(a_place_that_can_not_be_written_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
