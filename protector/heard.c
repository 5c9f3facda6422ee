#include "protector/heard.h"

#include <string.h>

#include "protector/messages.h"
#include "protector/settings_change.h"
#include "rpc/timestamp.h"

static bool read_effect(Protector__BanEffect wanted, enum ban_effect *ret)
{
	for (enum ban_effect effect = BAN_DENIES; effect < BAN_EFFECTS; effect++) {
		*ret = effect;
		if (message_effect(effect) == wanted)
			return true;
	}
	return false;
}

static bool read_origin(const Protector__Ban *message, enum ban_origin *ret)
{
	switch (message->source) {
	case PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR:
		*ret = BAN_BY_DETECTOR;
		return true;
	case PROTECTOR__BAN_SOURCE__BAN_SOURCE_SETTING:
		*ret = BAN_BY_SETTING;
		return true;
	case PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR:
		*ret = message->effect == PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT ? BAN_BY_LIFTING
										   : BAN_BY_OPERATOR;
		return true;
	default:
		return false;
	}
}

static bool read_subject(const Protector__Ban *message, struct ban_subject *ret)
{
	switch (message->subject_case) {
	case PROTECTOR__BAN__SUBJECT_USER_ID:
		return !subject_from_user("user_id", message->user_id, ret).field;
	case PROTECTOR__BAN__SUBJECT_ADDRESS:
		return !subject_from_range("address", message->address, ret).field;
	default:
		return false;
	}
}

static bool read_times(const Protector__Ban *message, struct ban *ban)
{
	ban->expire_ms = BANS_NEVER;
	return message->create_time && timestamp_get(message->create_time, &ban->create_ms) &&
	       (!message->expire_time || timestamp_get(message->expire_time, &ban->expire_ms));
}

static int64_t time_us(const Google__Protobuf__Timestamp *timestamp)
{
	int64_t ms;

	return timestamp && timestamp_get(timestamp, &ms) ? ms * 1000 : 0;
}

static bool read_detection(const Protector__Detection *message, struct detection *ret)
{
	*ret = (struct detection){.detector = detector_find(message->detector, strlen(message->detector)),
		.repetition = message->repetition,
		.evidence = {.window_us = message->window ? message_duration_us(message->window) : 0,
			.value = message->value,
			.threshold = message->threshold,
			.requests = message->requests,
			.refusals = message->refusals,
			.throttled = message->throttled,
			.accounts = message->accounts,
			.suspects = message->suspects,
			.addresses = message->addresses,
			.variation = message->variation,
			.first_us = time_us(message->first_time),
			.last_us = time_us(message->last_time)}};
	return ret->detector != DETECTOR_NONE && read_effect(message->step, &ret->step);
}

static uint32_t read_exempts(const Protector__Exemption *message)
{
	uint32_t exempts = 0;

	for (size_t i = 0; i < message->n_detectors; i++)
		exempts |= detector_list_parse(message->detectors[i], strlen(message->detectors[i]));
	return exempts;
}

bool ban_from_message(const Protector__Ban *message, struct ban *ret, struct detection *detection)
{
	struct ban ban = {.reason = message->reason, .evidence = message->evidence};

	if (!id_parse(message->ban_id, &ban.id) || !read_subject(message, &ban.subject) ||
		!read_origin(message, &ban.origin) || !read_effect(message->effect, &ban.effect) ||
		!read_times(message, &ban))
		return false;
	if (ban.origin == BAN_BY_DETECTOR && message->detection &&
		read_detection(message->detection, detection))
		ban.detection = detection;
	if (message->exemption)
		ban.exempts = read_exempts(message->exemption);
	*ret = ban;
	return ban_valid(&ban);
}
