/* The detectors as operators see and set them. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/settings_change.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"

/* DETECTOR_NONE: the call is over. */
static enum detector find_detector(struct rpc_call *call, const char *name)
{
	const enum detector detector = detector_find(name, strlen(name));

	if (detector == DETECTOR_NONE)
		rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "there is no detector %.64s", name);
	return detector;
}

/* ---- reading ---- */

PROTECTOR_METHOD(list_detectors, ListDetectors)
{
	const struct protector *protector = container_of(service, struct protector, methods);
	const struct detector_settings *settings = &protector->watching->settings;
	Protector__ListDetectorsResponse response = PROTECTOR__LIST_DETECTORS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);

	response.detectors = ARENA_ARRAY(arena, DETECTORS, Protector__Detector *);
	for (enum detector i = DETECTOR_NONE + 1; response.detectors && i < DETECTORS; i++)
		response.detectors[response.n_detectors++] = message_detector(arena, settings, i);
	response.ladder = message_ladder(arena, settings);
	if (arena_exhausted(arena))
		protector_fail_too_large(call);
	else
		answer(&response, call);
}

PROTECTOR_METHOD(get_detector, GetDetector)
{
	const struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetDetectorResponse response = PROTECTOR__GET_DETECTOR_RESPONSE__INIT;
	const enum detector detector = find_detector(call, request->detector);

	if (detector == DETECTOR_NONE)
		return;
	response.detector = message_detector(rpc_arena(call), &protector->watching->settings, detector);
	if (response.detector)
		answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(get_ladder, GetLadder)
{
	const struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetLadderResponse response = PROTECTOR__GET_LADDER_RESPONSE__INIT;

	response.ladder = message_ladder(rpc_arena(call), &protector->watching->settings);
	if (response.ladder)
		answer(&response, call);
	else
		protector_fail_too_large(call);
}

/* ---- changing: stored, then in effect ---- */

struct setting_change {
	struct change change;
	struct protector *protector;
	struct settings_change made;
	ProtobufCClosure answer;
};

static int setting_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct setting_change *setting = container_of(change, struct setting_change, change);

	return settings_store_put(setting->protector->store, txn, &setting->made);
}

static void answer_detector(struct setting_change *setting)
{
	Protector__UpdateDetectorResponse response = PROTECTOR__UPDATE_DETECTOR_RESPONSE__INIT;
	struct rpc_call *call = setting->change.call;

	response.detector = message_detector(
		rpc_arena(call), &setting->protector->watching->settings, setting->made.part);
	if (response.detector)
		setting->answer(&response.base, call);
	else
		protector_fail_too_large(call);
}

static void answer_ladder(struct setting_change *setting)
{
	Protector__UpdateLadderResponse response = PROTECTOR__UPDATE_LADDER_RESPONSE__INIT;
	struct rpc_call *call = setting->change.call;

	response.ladder = message_ladder(rpc_arena(call), &setting->protector->watching->settings);
	if (response.ladder)
		setting->answer(&response.base, call);
	else
		protector_fail_too_large(call);
}

static void setting_settle(struct change *change)
{
	struct setting_change *setting = container_of(change, struct setting_change, change);

	settings_take_effect(setting->protector, &setting->made);
	if (setting->made.part == DETECTOR_NONE)
		answer_ladder(setting);
	else
		answer_detector(setting);
}

/* `settings` were changed from those in force; of two changes of one part at the same moment the later one counts. */
static void change_settings(struct protector *protector, const struct detector_settings *settings,
	enum detector part, ProtobufCClosure answer, struct rpc_call *call)
{
	struct setting_change *change;
	struct error error;
	const char *field;

	if (!detector_settings_check(settings, &field, &error)) {
		rpc_refuse(call, field, "%s", error.text);
		return;
	}
	change = ARENA_NEW(rpc_arena(call), struct setting_change);
	if (!change) {
		protector_fail_too_large(call);
		return;
	}
	change->protector = protector;
	change->made =
		(struct settings_change){.part = part, .id = id_next(&protector->ids), .settings = *settings};
	change->answer = answer;
	change->change = (struct change){
		.apply = setting_apply, .settle = setting_settle, .call = call, .loop = protector->loop};
	change_submit(&change->change, protector->writer);
}

PROTECTOR_METHOD(update_detector, UpdateDetector)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct detector_settings settings = protector->watching->settings;
	const enum detector detector = find_detector(call, request->detector);
	struct detector_setting *setting = &settings.of[detector];

	if (detector == DETECTOR_NONE)
		return;
	if (request->enabled_change_case)
		setting->enabled = request->enabled;
	if (request->shadow_change_case)
		setting->shadow = request->shadow;
	if (request->window)
		setting->window_us = message_duration_us(request->window);
	if (request->least_change_case)
		setting->least = request->least;
	if (request->slow_change_case)
		setting->slow = request->slow;
	if (request->challenge_change_case)
		setting->challenge = request->challenge;
	if (request->ban_change_case)
		setting->ban = request->ban;
	change_settings(protector, &settings, detector, (ProtobufCClosure)answer, call);
}

static void set_duration(int64_t *us, const Google__Protobuf__Duration *duration)
{
	if (duration)
		*us = message_duration_us(duration);
}

PROTECTOR_METHOD(update_ladder, UpdateLadder)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct detector_settings settings = protector->watching->settings;

	set_duration(&settings.slow_us, request->slow);
	set_duration(&settings.challenge_us, request->challenge);
	set_duration(&settings.ban_us, request->ban);
	set_duration(&settings.ban_longest_us, request->ban_longest);
	set_duration(&settings.decay_us, request->decay);
	set_duration(&settings.exempt_us, request->exempt);
	change_settings(protector, &settings, DETECTOR_NONE, (ProtobufCClosure)answer, call);
}

PROTECTOR_METHOD(watch_detectors, WatchDetectors)
{
	struct protector *protector = container_of(service, struct protector, methods);

	watch_board_stream(
		protector->settings_board, call, request->resume_incarnation, request->resume_version);
}
