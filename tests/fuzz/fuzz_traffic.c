/* Any bytes as recorded traffic, and any traffic through the analysis.
 *
 * The first byte chooses: a file of any bytes, or events, ticks and words of operators that are made of them. Either way decisions are such as can be explained: of a
 * detector that is on, from a threshold that was reached, of an end behind its begin and no longer than the longest ban, with texts that fit. And
 * what was read is written, and reads the same again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "protector/analysis.h"
#include "protector/recording.h"

#define START_US INT64_C(1767225600000000)
#define PATH_MAX_BYTES 64
#define PLACES 16
#define EVENTS_MAX 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what is decided ---- */

static void check_text(
	void (*say)(const struct decision *, struct text *), const struct decision *decision, size_t max)
{
	struct text text;

	text_init(&text, 4096);
	say(decision, &text);
	assert(text.length > 0 && text.length <= max);
	text_release(&text);
}

static void decided(void *context, const struct decision *decision)
{
	const struct detector_settings *settings = analysis_settings(*(struct analysis **)context);
	const struct detector_setting *setting = &settings->of[decision->detector];
	const struct evidence *seen = &decision->evidence;

	assert(decision->detector > DETECTOR_NONE && decision->detector < DETECTORS && setting->enabled);
	assert(decision->effect == (setting->shadow ? BAN_SHADOWS : decision->step));
	assert(decision->step == BAN_DENIES || decision->step == BAN_SLOWS ||
		decision->step == BAN_CHALLENGES);
	assert(seen->threshold && seen->value >= seen->threshold);
	assert(seen->threshold == setting->slow || seen->threshold == setting->challenge ||
		seen->threshold == setting->ban);
	assert(decision->expire_us > decision->create_us);
	if (decision->step == BAN_DENIES)
		assert(decision->expire_us - decision->create_us <= settings->ban_longest_us);
	if (decision->subject.kind == BAN_OF_ACCOUNT)
		assert(decision->subject.user_id[0] && strlen(decision->subject.user_id) <= BANS_USER_MAX);
	else
		assert(decision->subject.address.bits == ADDRESS_BITS ||
			decision->subject.address.bits == 64);
	if (decision->detector == DETECTOR_ADDRESS_MIX && decision->subject.kind == BAN_OF_ADDRESS)
		assert(seen->accounts >= setting->least && seen->suspects <= 100);
	assert(seen->first_us <= seen->last_us);
	check_text(decision_reason, decision, BANS_REASON_MAX);
	check_text(decision_evidence, decision, BANS_EVIDENCE_MAX);
}

static struct analysis *start(struct analysis **place)
{
	struct detector_settings settings;

	detector_settings_standard(&settings);
	settings.of[DETECTOR_ACCOUNT_RATE].slow = 10; /* low, so that much happens */
	settings.of[DETECTOR_ACCOUNT_RATE].challenge = 15;
	settings.of[DETECTOR_ACCOUNT_RATE].ban = 20;
	settings.of[DETECTOR_REFUSALS].slow = 4;
	settings.of[DETECTOR_REFUSALS].challenge = 0;
	settings.of[DETECTOR_REFUSALS].ban = 8;
	settings.of[DETECTOR_ADDRESS_RATE].slow = 20;
	settings.of[DETECTOR_ADDRESS_RATE].challenge = 30;
	settings.of[DETECTOR_ADDRESS_RATE].ban = 40;
	*place = analysis_new(&(struct analysis_options){.accounts_max = PLACES,
		.addresses_max = PLACES,
		.mixes_max = 8,
		.records_max = PLACES,
		.seed = 7,
		.settings = &settings,
		.decided = decided,
		.context = place});
	return *place;
}

static void look(const struct analysis *analysis)
{
	struct top_client top[PLACES];

	for (enum ban_kind kind = BAN_OF_ACCOUNT; kind <= BAN_OF_ADDRESS; kind++) {
		const size_t count = analysis_top(analysis, kind, top, PLACES);

		for (size_t i = 1; i < count; i++)
			assert(top[i - 1].requests >= top[i].requests && top[i].requests);
	}
}

/* ---- a file ---- */

static void write_again(struct recording_writer *writer, const struct traffic *events, size_t count)
{
	for (size_t i = 0; i < count; i++)
		recording_write(writer, &events[i]);
}

static enum recording_result read_file(const char *path, struct analysis *analysis,
	struct recording_writer *writer, size_t *ret_count, uint64_t *ret_invalid)
{
	struct error error = {.text = ""};
	struct recording_reader *reader = recording_open(path, &error);
	const struct traffic *events;
	enum recording_result result;
	size_t count;

	assert(reader);
	*ret_count = 0;
	while ((result = recording_read(reader, &events, &count, &error)) == RECORDING_EVENTS) {
		*ret_count += count;
		for (size_t i = 0; analysis && i < count; i++)
			analysis_take(analysis, &events[i]);
		if (writer)
			write_again(writer, events, count);
	}
	assert((result == RECORDING_BROKEN) == (error.text[0] != '\0'));
	*ret_invalid = recording_invalid(reader);
	recording_close(reader);
	return result;
}

static int open_memory(char path[PATH_MAX_BYTES])
{
	const int descriptor = memfd_create("traffic", 0);

	assert(descriptor >= 0);
	snprintf(path, PATH_MAX_BYTES, "/proc/self/fd/%d", descriptor);
	return descriptor;
}

static void file(const uint8_t *data, size_t size)
{
	struct analysis *place, *analysis = start(&place);
	char from[PATH_MAX_BYTES], to[PATH_MAX_BYTES];
	const int first = open_memory(from), second = open_memory(to);
	struct recording_writer *writer;
	size_t count, again;
	struct error error;
	uint64_t invalid;

	assert(write(first, data, size) == (ssize_t)size);
	writer = recording_create(to, &error);
	assert(writer);
	read_file(from, analysis, writer, &count, &invalid);
	assert(recording_finish(writer, &error));
	assert(read_file(to, NULL, NULL, &again, &invalid) == RECORDING_END && again == count && !invalid);
	look(analysis);
	analysis_free(analysis);
	close(first);
	close(second);
}

/* ---- made events ---- */

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static const Common__Reason reasons[8] = {COMMON__REASON__REASON_UNSPECIFIED, COMMON__REASON__REASON_SOLD_OUT,
	COMMON__REASON__REASON_THROTTLED, COMMON__REASON__REASON_BANNED, COMMON__REASON__REASON_SLOWED,
	COMMON__REASON__REASON_OVERLOADED, COMMON__REASON__REASON_LIMIT_REACHED,
	COMMON__REASON__REASON_UNSPECIFIED};

static struct ban_subject subject_of(uint8_t number)
{
	struct ban_subject subject = {.kind = number & 1 ? BAN_OF_ADDRESS : BAN_OF_ACCOUNT};

	if (number & 1) {
		subject.address = (struct address){
			.bytes = {[10] = 0xff, [11] = 0xff, [15] = number}, .bits = ADDRESS_BITS};
	} else {
		snprintf(subject.user_id, sizeof(subject.user_id), "user%u", number);
	}
	return subject;
}

/* The same some times, at a pace. */
static void send(struct analysis *analysis, struct input *input, int64_t *now_us)
{
	const uint8_t who = take(input), how = take(input), pace = take(input), times = take(input);
	const unsigned accounts = 1u << (how >> 6); /* in turn */
	struct traffic traffic = {.counts_account = true,
		.counts_address = true,
		.kind = (enum traffic_kind)(how % 4),
		.reason = reasons[(how >> 2) % 8],
		.has_address = true,
		.address = subject_of((uint8_t)(who << 1 | 1)).address};
	char name[32];

	for (unsigned i = 0; i < times; i++) {
		*now_us += (int64_t)pace * pace * 100;
		snprintf(name, sizeof(name), "user%u", (who & 0xf0) + i % accounts * 2);
		traffic.user_id = span_of(who & 8 ? "" : name);
		traffic.counts_account = !(who & 8);
		traffic.time_us = *now_us;
		analysis_take(analysis, &traffic);
	}
}

static void configure(struct analysis *analysis, struct input *input)
{
	struct detector_settings settings = *analysis_settings(analysis);
	struct detector_setting *setting = &settings.of[1 + take(input) % (DETECTORS - 1)];
	const int64_t before_us = settings.decay_us;
	struct error error;
	bool changed;

	setting->enabled = take(input) & 1;
	setting->shadow = take(input) & 1;
	setting->window_us = (int64_t)take(input) * 1000000;
	setting->least = take(input);
	setting->slow = take(input);
	setting->challenge = take(input);
	setting->ban = take(input);
	settings.decay_us = (int64_t)(1 + take(input)) * 1000000;
	changed = analysis_configure(analysis, &settings, &error);
	assert(analysis_settings(analysis)->decay_us == (changed ? settings.decay_us : before_us));
}

static void events(const uint8_t *data, size_t size)
{
	struct analysis *place, *analysis = start(&place);
	struct input input = {data, data + size};
	int64_t now_us = START_US;
	unsigned turns = 0;

	while (input.at < input.end && turns++ < EVENTS_MAX / 255) {
		const uint8_t what = take(&input);
		const struct ban_subject subject = subject_of(what >> 3);

		switch (what % 8) {
		case 0:
			now_us += (int64_t)take(&input) * 1000000;
			analysis_tick(analysis, now_us);
			break;
		case 1: /* the machine's clock is set back */
			now_us -= (int64_t)take(&input) * 1000000;
			analysis_tick(analysis, now_us);
			break;
		case 2:
			analysis_exempt(analysis, &subject,
				(enum detector)(1 + take(&input) % (DETECTORS - 1)),
				now_us + (int64_t)take(&input) * 1000000);
			break;
		case 3:
			analysis_revoke(
				analysis, &subject, (enum ban_effect)(1 + take(&input) % (BAN_EFFECTS - 1)));
			break;
		case 4:
			configure(analysis, &input);
			break;
		default:
			send(analysis, &input, &now_us);
		}
	}
	look(analysis);
	analysis_free(analysis);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		events(data + 1, size - 1);
	else
		file(data + 1, size - 1);
	return 0;
}
