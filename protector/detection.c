#include "protector/detection.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/store.h"
#include "protector/messages.h"
#include "rpc/timestamp.h"

/* ---- in the store ---- */

#define PERSONS "operator"
#define COUNTS 9
#define DECISION_TEXT_MAX 4096

static void put_be32(uint8_t *to, uint32_t value)
{
	for (int i = 3; i >= 0; i--, value >>= 8)
		to[i] = (uint8_t)value;
}

static uint32_t get_be32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* One order of the counts, for both ways. */
static void list_counts(struct detection *detection, uint32_t *counts[COUNTS])
{
	struct evidence *evidence = &detection->evidence;
	uint32_t *const all[COUNTS] = {&detection->repetition, &evidence->value, &evidence->threshold,
		&evidence->requests, &evidence->refusals, &evidence->throttled, &evidence->accounts,
		&evidence->suspects, &evidence->addresses};

	memcpy(counts, all, sizeof(all));
}

void detection_pack(const struct detection *detection, uint8_t to[DETECTION_BYTES])
{
	struct detection copy = *detection;
	uint32_t *counts[COUNTS];

	static_assert(DETECTION_BYTES == 1 + 4 * (COUNTS + 1) + 8 * 3 + 4, "as laid out");
	list_counts(&copy, counts);
	*to++ = (uint8_t)detection->step;
	for (int i = 0; i < COUNTS; i++, to += 4)
		put_be32(to, *counts[i]);
	put_be32(to, detection->evidence.variation);
	put_be32(to + 4, 0); /* room */
	store_put_be64(to + 8, (uint64_t)detection->evidence.window_us);
	store_put_be64(to + 16, (uint64_t)detection->evidence.first_us);
	store_put_be64(to + 24, (uint64_t)detection->evidence.last_us);
}

bool detection_unpack(const uint8_t *from, size_t size, struct detection *ret)
{
	uint32_t *counts[COUNTS];

	if (size != DETECTION_BYTES || from[0] < BAN_DENIES || from[0] >= BAN_EFFECTS)
		return false;
	*ret = (struct detection){.step = from[0]};
	list_counts(ret, counts);
	from++;
	for (int i = 0; i < COUNTS; i++, from += 4)
		*counts[i] = get_be32(from);
	ret->evidence.variation = get_be32(from);
	ret->evidence.window_us = (int64_t)store_get_be64(from + 8);
	ret->evidence.first_us = (int64_t)store_get_be64(from + 16);
	ret->evidence.last_us = (int64_t)store_get_be64(from + 24);
	return get_be32(from + 4) == 0;
}

/* ---- sets ---- */

const char *detector_name(enum detector detector)
{
	return detector == DETECTOR_NONE ? PERSONS : detector_infos[detector].name;
}

size_t detector_list_format(uint32_t set, char text[DETECTOR_LIST_MAX + 1])
{
	size_t length = 0;

	text[0] = '\0';
	for (enum detector detector = DETECTOR_NONE; detector < DETECTORS; detector++) {
		const char *name = detector_name(detector);

		if (!(set & DETECTOR_BIT(detector)))
			continue;
		assert(length + 1 + strlen(name) <= DETECTOR_LIST_MAX);
		if (length)
			text[length++] = ',';
		strcpy(text + length, name);
		length += strlen(name);
	}
	return length;
}

uint32_t detector_list_parse(const char *text, size_t length)
{
	const char *end = text + length;
	uint32_t set = 0;

	while (text < end) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		size_t size = comma ? (size_t)(comma - text) : (size_t)(end - text);
		enum detector detector = detector_find(text, size);

		if (detector != DETECTOR_NONE || (size == strlen(PERSONS) && !memcmp(text, PERSONS, size)))
			set |= DETECTOR_BIT(detector);
		text += size + 1;
	}
	return set;
}

/* ---- on the wire ---- */

Protector__Detection *message_detection(struct arena *arena, const struct detection *detection)
{
	const struct evidence *evidence = &detection->evidence;
	Protector__Detection *message = ARENA_NEW(arena, Protector__Detection);
	Google__Protobuf__Duration *window = ARENA_NEW(arena, Google__Protobuf__Duration);

	if (!message || !window)
		return NULL;
	protector__detection__init(message);
	google__protobuf__duration__init(window);
	window->seconds = evidence->window_us / 1000000;
	window->nanos = (int32_t)(evidence->window_us % 1000000) * 1000;
	message->detector = (char *)(uintptr_t)detector_infos[detection->detector].name;
	message->step = message_effect(detection->step);
	message->window = window;
	message->value = evidence->value;
	message->threshold = evidence->threshold;
	message->requests = evidence->requests;
	message->refusals = evidence->refusals;
	message->throttled = evidence->throttled;
	message->accounts = evidence->accounts;
	message->suspects = evidence->suspects;
	message->addresses = evidence->addresses;
	message->variation = evidence->variation;
	message->repetition = detection->repetition;
	message->first_time = timestamp_new(arena, evidence->first_us / 1000);
	message->last_time = timestamp_new(arena, evidence->last_us / 1000);
	return message->first_time && message->last_time ? message : NULL;
}

/* ---- of a decision ---- */

static const char *keep_text(struct arena *arena, struct text *text, size_t max)
{
	size_t length = text->length < max ? text->length : max;
	const char *kept = arena_text(arena, text->data, length);

	text_clear(text);
	return kept;
}

bool ban_from_decision(struct arena *arena, const struct decision *decision, struct ban *ret)
{
	const struct detection detection = {.detector = decision->detector,
		.step = decision->step,
		.repetition = decision->repetition,
		.evidence = decision->evidence};
	struct ban ban = {.id = ret->id,
		.subject = decision->subject,
		.origin = BAN_BY_DETECTOR,
		.effect = decision->effect,
		.create_ms = decision->create_us / 1000,
		.expire_ms = decision->expire_us / 1000};
	struct text text;

	text_init(&text, DECISION_TEXT_MAX);
	decision_reason(decision, &text);
	ban.reason = keep_text(arena, &text, BANS_REASON_MAX);
	decision_evidence(decision, &text);
	ban.evidence = keep_text(arena, &text, BANS_EVIDENCE_MAX);
	ban.detection = arena_copy(arena, &detection, sizeof(detection));
	text_release(&text);
	*ret = ban;
	return !arena_exhausted(arena);
}
