/* The detectors as operators see and set them, and the clients that they see most of. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/settings_store.h"
#include "protector/watching.h"
#include "rpc/reason.h"
#include "rpc/timestamp.h"

#define TOP_STANDARD 20
#define TOP_MAX 1000
#define DURATION_SECONDS_MAX (400 * 86400)

/* ---- messages ---- */

/* NULL: the arena is at its cap. */
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

/* One that can't be is 0, which no setting may be. */
static int64_t duration_us(const Google__Protobuf__Duration *duration)
{
	if (duration->seconds < 0 || duration->seconds > DURATION_SECONDS_MAX || duration->nanos < 0 ||
		duration->nanos > 999999999)
		return 0;
	return duration->seconds * 1000000 + duration->nanos / 1000;
}

static Protector__Detector *message_detector(
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

static Protector__Ladder *message_ladder(struct arena *arena, const struct detector_settings *settings)
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
	struct detector_settings settings; /* as they shall be */
	enum detector detector;		   /* DETECTOR_NONE: the ladder */
	ProtobufCClosure answer;
};

static int setting_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct setting_change *setting = container_of(change, struct setting_change, change);

	return settings_store_put(setting->protector->store, txn, &setting->settings, setting->detector);
}

static void answer_detector(struct setting_change *setting)
{
	Protector__UpdateDetectorResponse response = PROTECTOR__UPDATE_DETECTOR_RESPONSE__INIT;
	struct rpc_call *call = setting->change.call;

	response.detector = message_detector(rpc_arena(call), &setting->settings, setting->detector);
	if (response.detector)
		setting->answer(&response.base, call);
	else
		protector_fail_too_large(call);
}

static void answer_ladder(struct setting_change *setting)
{
	Protector__UpdateLadderResponse response = PROTECTOR__UPDATE_LADDER_RESPONSE__INIT;
	struct rpc_call *call = setting->change.call;

	response.ladder = message_ladder(rpc_arena(call), &setting->settings);
	if (response.ladder)
		setting->answer(&response.base, call);
	else
		protector_fail_too_large(call);
}

/* What others have changed meanwhile stays: each change is of its own part, and the parts are checked apart. */
static void merge(struct setting_change *setting, const struct detector_settings *now)
{
	const struct detector_settings wanted = setting->settings;

	if (setting->detector != DETECTOR_NONE) {
		setting->settings = *now;
		setting->settings.of[setting->detector] = wanted.of[setting->detector];
		return;
	}
	memcpy(setting->settings.of, now->of, sizeof(now->of));
}

static void setting_settle(struct change *change)
{
	struct setting_change *setting = container_of(change, struct setting_change, change);

	merge(setting, &setting->protector->watching->settings);
	watching_configure(setting->protector, &setting->settings);
	if (setting->detector == DETECTOR_NONE)
		answer_ladder(setting);
	else
		answer_detector(setting);
}

/* `settings` were changed from those in force; of two changes of one detector at the same moment the later one counts. */
static void change_settings(struct protector *protector, const struct detector_settings *settings,
	enum detector detector, ProtobufCClosure answer, struct rpc_call *call)
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
	change->settings = *settings;
	change->detector = detector;
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
		setting->window_us = duration_us(request->window);
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
		*us = duration_us(duration);
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

/* ---- the heaviest clients: asked for on the analysis thread, which ends the call ---- */

struct top {
	struct stream_errand errand;
	struct rpc_call *call;
	size_t count;
	struct top_client *clients;
	Protector__ListTopClientsResponse_Closure answer;
};

static bool set_subject(struct arena *arena, const struct ban_subject *subject, Protector__TopClient *message)
{
	char text[ADDRESS_TEXT_MAX];

	if (subject->kind == BAN_OF_ACCOUNT) {
		message->subject_case = PROTECTOR__TOP_CLIENT__SUBJECT_USER_ID;
		message->user_id = arena_text(arena, subject->user_id, strlen(subject->user_id));
		return message->user_id != NULL;
	}
	address_format(&subject->address, text);
	message->subject_case = PROTECTOR__TOP_CLIENT__SUBJECT_ADDRESS;
	message->address = arena_text(arena, text, strlen(text));
	return message->address != NULL;
}

static Protector__TopClient *message_top(struct arena *arena, const struct top_client *client)
{
	Protector__TopClient *message = ARENA_NEW(arena, Protector__TopClient);

	if (!message)
		return NULL;
	protector__top_client__init(message);
	if (!set_subject(arena, &client->subject, message))
		return NULL;
	message->requests = client->requests;
	message->throttled = client->throttled;
	message->refusals = client->refusals;
	message->distinct = client->distinct;
	message->effect = client->effect ? message_effect(client->effect)
					 : PROTECTOR__BAN_EFFECT__BAN_EFFECT_UNSPECIFIED;
	message->first_time = timestamp_new(arena, client->first_us / 1000);
	message->last_time = timestamp_new(arena, client->last_us / 1000);
	return message;
}

static Protector__TopClient **list_top(
	struct top *top, const struct analysis *analysis, enum ban_kind kind, size_t *ret_count)
{
	struct arena *arena = rpc_arena(top->call);
	Protector__TopClient **list = ARENA_ARRAY(arena, top->count, Protector__TopClient *);

	*ret_count = list ? analysis_top(analysis, kind, top->clients, top->count) : 0;
	for (size_t i = 0; i < *ret_count; i++)
		list[i] = message_top(arena, &top->clients[i]);
	return list;
}

static void find_top(struct stream_errand *errand, struct analysis *analysis)
{
	struct top *top = container_of(errand, struct top, errand);
	Protector__ListTopClientsResponse *response =
		ARENA_NEW(rpc_arena(top->call), Protector__ListTopClientsResponse);

	if (response) {
		protector__list_top_clients_response__init(response);
		response->accounts = list_top(top, analysis, BAN_OF_ACCOUNT, &response->n_accounts);
		response->addresses = list_top(top, analysis, BAN_OF_ADDRESS, &response->n_addresses);
	}
	if (arena_exhausted(rpc_arena(top->call)))
		protector_fail_too_large(top->call);
	else
		top->answer(response, top->call);
}

PROTECTOR_METHOD(list_top_clients, ListTopClients)
{
	struct protector *protector = container_of(service, struct protector, methods);
	const size_t count = request->count ? request->count : TOP_STANDARD;
	struct top *top;

	if (count > TOP_MAX) {
		rpc_refuse(call, "count", "expected at most %d", TOP_MAX);
		return;
	}
	top = ARENA_NEW(rpc_arena(call), struct top);
	if (!top || !(top->clients = ARENA_ARRAY(rpc_arena(call), count, struct top_client))) {
		protector_fail_too_large(call);
		return;
	}
	top->errand.run = find_top;
	top->call = call;
	top->count = count;
	top->answer = answer;
	stream_run(protector->watching->stream, &top->errand);
}
