#include "protector/settings_change.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"

#define DURATION_SECONDS_MAX (400 * 86400)
#define MESSAGE_BYTES 4096

/* ---- messages ---- */

static Google__Protobuf__Duration *duration_new(struct arena *arena, int64_t us)
{
	Google__Protobuf__Duration *duration = ARENA_NEW(arena, Google__Protobuf__Duration);

	if (!duration)
		return NULL;
	google__protobuf__duration__init(duration);
	duration->seconds = us / 1000000;
	duration->nanos = (int32_t)(us % 1000000) * 1000;
	return duration;
}

int64_t message_duration_us(const Google__Protobuf__Duration *duration)
{
	if (duration->seconds < 0 || duration->seconds > DURATION_SECONDS_MAX || duration->nanos < 0 ||
		duration->nanos > 999999999)
		return 0;
	return duration->seconds * 1000000 + duration->nanos / 1000;
}

Protector__Detector *message_detector(
	struct arena *arena, const struct detector_settings *settings, enum detector detector)
{
	const struct detector_setting *setting = &settings->of[detector];
	const struct detector_info *info = &detector_infos[detector];
	Protector__Detector *message = ARENA_NEW(arena, Protector__Detector);

	if (!message)
		return NULL;
	protector__detector__init(message);
	message->detector = (char *)(uintptr_t)info->name;
	message->purpose = (char *)(uintptr_t)info->purpose;
	message->unit = (char *)(uintptr_t)info->unit;
	message->highest = info->highest;
	message->enabled = setting->enabled;
	message->shadow = setting->shadow;
	message->window = duration_new(arena, setting->window_us);
	message->least = setting->least;
	message->slow = setting->slow;
	message->challenge = setting->challenge;
	message->ban = setting->ban;
	return message->window ? message : NULL;
}

Protector__Ladder *message_ladder(struct arena *arena, const struct detector_settings *settings)
{
	Protector__Ladder *message = ARENA_NEW(arena, Protector__Ladder);

	if (!message)
		return NULL;
	protector__ladder__init(message);
	message->slow = duration_new(arena, settings->slow_us);
	message->challenge = duration_new(arena, settings->challenge_us);
	message->ban = duration_new(arena, settings->ban_us);
	message->ban_longest = duration_new(arena, settings->ban_longest_us);
	message->decay = duration_new(arena, settings->decay_us);
	message->exempt = duration_new(arena, settings->exempt_us);
	return arena_exhausted(arena) ? NULL : message;
}

/* ---- in effect ---- */

static const char *key_of(enum detector part)
{
	return part == DETECTOR_NONE ? "ladder" : detector_infos[part].name;
}

/* Of `to` the part becomes as it is in `from`. */
static void set_part(struct detector_settings *to, const struct detector_settings *from, enum detector part)
{
	struct detector_settings whole = *from;

	if (part != DETECTOR_NONE) {
		to->of[part] = from->of[part];
		return;
	}
	memcpy(whole.of, to->of, sizeof(to->of));
	*to = whole;
}

static void show(struct protector *protector, enum detector part)
{
	const struct watching *watching = protector->watching;
	Protector__DetectorChange change = PROTECTOR__DETECTOR_CHANGE__INIT;
	char id[ID_TEXT_LENGTH + 1];
	struct arena arena;

	arena_init(&arena, MESSAGE_BYTES, MESSAGE_BYTES);
	change.change_id = id_format(&watching->changes[part], id);
	if (part == DETECTOR_NONE) {
		change.part_case = PROTECTOR__DETECTOR_CHANGE__PART_LADDER;
		change.ladder = message_ladder(&arena, &watching->settings);
	} else {
		change.part_case = PROTECTOR__DETECTOR_CHANGE__PART_DETECTOR;
		change.detector = message_detector(&arena, &watching->settings, part);
	}
	assert(!arena_exhausted(&arena));
	watch_board_put(protector->settings_board, key_of(part), &change.base);
	arena_release(&arena);
}

void settings_take_effect(struct protector *protector, const struct settings_change *change)
{
	struct watching *watching = protector->watching;
	struct detector_settings settings = watching->settings;

	if (id_compare(&watching->changes[change->part], &change->id) >= 0)
		return;
	watching->changes[change->part] = change->id;
	set_part(&settings, &change->settings, change->part);
	watching_configure(protector, &settings);
	show(protector, change->part);
	watch_board_flush(protector->settings_board);
}

void settings_show_all(struct protector *protector)
{
	for (enum detector part = DETECTOR_NONE; part < DETECTORS; part++) {
		if (id_is_zero(&protector->watching->changes[part]))
			continue;
		id_generator_pass(&protector->ids, &protector->watching->changes[part]);
		show(protector, part);
	}
}

/* ---- what a peer says ---- */

static int64_t read_duration(const Google__Protobuf__Duration *duration)
{
	return duration ? message_duration_us(duration) : 0;
}

static bool read_detector(const Protector__Detector *message, struct settings_change *ret)
{
	ret->part = detector_find(message->detector, strlen(message->detector));
	ret->settings.of[ret->part] = (struct detector_setting){.enabled = message->enabled,
		.shadow = message->shadow,
		.window_us = read_duration(message->window),
		.least = message->least,
		.slow = message->slow,
		.challenge = message->challenge,
		.ban = message->ban};
	return ret->part != DETECTOR_NONE;
}

static bool read_ladder(const Protector__Ladder *message, struct settings_change *ret)
{
	ret->part = DETECTOR_NONE;
	ret->settings.slow_us = read_duration(message->slow);
	ret->settings.challenge_us = read_duration(message->challenge);
	ret->settings.ban_us = read_duration(message->ban);
	ret->settings.ban_longest_us = read_duration(message->ban_longest);
	ret->settings.decay_us = read_duration(message->decay);
	ret->settings.exempt_us = read_duration(message->exempt);
	return true;
}

static bool read_part(const Protector__DetectorChange *message, struct settings_change *ret)
{
	switch (message->part_case) {
	case PROTECTOR__DETECTOR_CHANGE__PART_DETECTOR:
		return read_detector(message->detector, ret);
	case PROTECTOR__DETECTOR_CHANGE__PART_LADDER:
		return read_ladder(message->ladder, ret);
	default:
		return false;
	}
}

bool settings_from_message(
	const Protector__DetectorChange *message, const struct watching *now, struct settings_change *ret)
{
	const char *field;
	struct error error;

	ret->settings = now->settings;
	if (!id_parse(message->change_id, &ret->id) || !read_part(message, ret)) {
		LOG_LIMITED(LOG_WARN, "another protector changed a detector that is not known here");
		return false;
	}
	if (id_compare(&now->changes[ret->part], &ret->id) >= 0)
		return false;
	if (detector_settings_check(&ret->settings, &field, &error))
		return true;
	LOG_LIMITED(LOG_ERROR, "another protector's settings can not be here",
		LOG_TEXT("setting", key_of(ret->part)), LOG_TEXT("why", error.text));
	return false;
}
