#include "protector/analysis.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/analysis_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ACCOUNTS_STANDARD (256 * 1024)
#define PLACES_STANDARD (256 * 1024)
#define MIXES_STANDARD 4096
#define FOLLOWED_STANDARD (64 * 1024)
#define RECORDS_STANDARD (64 * 1024)
#define MIX_MISSED_US INT64_C(60000000)		/* quiet for longer, a crowd is not worth its room */
#define HOUSEHOLD_BITS 64			/* of an IPv6 address: one client */
#define PLACE_SEED UINT64_C(0x9e3779b97f4a7c15) /* so that no account has an address's hash by design */

/* Who holds least in the window goes first, and of those who was longest silent. */
static uint64_t weight(uint32_t held, int64_t last_us)
{
	return (uint64_t)held << 40 | ((uint64_t)last_us >> 16 & ((UINT64_C(1) << 40) - 1));
}

static uint64_t weigh_account(const void *context, const void *thing)
{
	const struct analysis *analysis = context;
	const struct account *account = thing;

	return weight(window_count(&account->client.requests, analysis->steppers[DETECTOR_ACCOUNT_RATE].step),
		account->client.last_us);
}

static uint64_t weigh_place(const void *context, const void *thing)
{
	const struct analysis *analysis = context;
	const struct place *place = thing;
	const uint32_t step = analysis->steppers[DETECTOR_ADDRESS_RATE].step;

	return weight(window_count(&place->client.requests, step) + window_count(&place->named, step),
		place->client.last_us);
}

/* Room for a crowd is worth more than for a few, while they are there. */
static uint64_t weigh_mix(const void *context, const void *thing)
{
	const struct analysis *analysis = context;
	const struct mix *mix = thing;

	return weight(analysis->now_us - mix->last_us < MIX_MISSED_US ? mix->count : 0, mix->last_us);
}

/* Who was silent longest goes first. */
static uint64_t weigh_followed(const void *context, const void *thing)
{
	return (uint64_t)((const struct member *)thing)->seen_us;
}

static size_t or_standard(size_t given, size_t standard)
{
	return given ? given : standard;
}

struct analysis *analysis_new(const struct analysis_options *options)
{
	struct analysis *analysis = NEW(struct analysis);

	analysis->decided = options->decided;
	analysis->context = options->context;
	analysis->seed = options->seed;
	if (options->settings)
		analysis->settings = *options->settings;
	else
		detector_settings_standard(&analysis->settings);
	nest_init(&analysis->accounts, or_standard(options->accounts_max, ACCOUNTS_STANDARD),
		sizeof(struct account), weigh_account, analysis);
	nest_init(&analysis->places, or_standard(options->addresses_max, PLACES_STANDARD),
		sizeof(struct place), weigh_place, analysis);
	nest_init(&analysis->mixes, or_standard(options->mixes_max, MIXES_STANDARD), sizeof(struct mix),
		weigh_mix, analysis);
	nest_init(&analysis->followed, or_standard(options->followed_max, FOLLOWED_STANDARD),
		sizeof(struct member), weigh_followed, analysis);
	ladder_init(
		&analysis->ladder, &analysis->settings, or_standard(options->records_max, RECORDS_STANDARD));
	return analysis;
}

void analysis_free(struct analysis *analysis)
{
	if (!analysis)
		return;
	nest_release(&analysis->accounts);
	nest_release(&analysis->places);
	nest_release(&analysis->mixes);
	nest_release(&analysis->followed);
	ladder_release(&analysis->ladder);
	free(analysis);
}

/* ---- time ---- */

static void start_steppers(struct analysis *analysis)
{
	for (int i = DETECTOR_NONE + 1; i < DETECTORS; i++) {
		struct stepper *stepper = &analysis->steppers[i];

		stepper->slot_us = analysis->settings.of[i].window_us / WINDOW_SLOTS;
		stepper->step = (uint32_t)((analysis->now_us - analysis->base_us) / stepper->slot_us);
		stepper->next_us = analysis->base_us + ((int64_t)stepper->step + 1) * stepper->slot_us;
	}
}

static void advance(struct analysis *analysis, int64_t now_us)
{
	if (now_us <= analysis->now_us)
		return;
	if (!analysis->now_us) {
		analysis->base_us = now_us;
		analysis->now_us = now_us;
		start_steppers(analysis);
		return;
	}
	analysis->now_us = now_us;
	for (int i = DETECTOR_NONE + 1; i < DETECTORS; i++) {
		struct stepper *stepper = &analysis->steppers[i];

		if (now_us >= stepper->next_us) {
			const int64_t steps = (now_us - stepper->next_us) / stepper->slot_us + 1;

			stepper->step += (uint32_t)steps;
			stepper->next_us += steps * stepper->slot_us;
		}
	}
}

/* An event's own time, as far as it is believed. */
static int64_t advance_to_event(struct analysis *analysis, int64_t time_us)
{
	const int64_t latest_us = analysis->tick_us + ANALYSIS_SKEW_US;

	time_us += analysis->ahead_us;
	if (analysis->tick_us && time_us > latest_us) {
		analysis->stats.clamped++;
		time_us = latest_us;
	}
	advance(analysis, time_us);
	return time_us;
}

void analysis_tick(struct analysis *analysis, int64_t now_us)
{
	if (now_us + analysis->ahead_us < analysis->tick_us)
		analysis->ahead_us = analysis->tick_us - now_us;
	analysis->tick_us = now_us + analysis->ahead_us;
	advance(analysis, analysis->tick_us);
}

/* ---- events ---- */

static uint64_t hash_account(const struct analysis *analysis, const char *name, size_t length)
{
	return XXH3_64bits_withSeed(name, length, analysis->seed);
}

static uint64_t hash_place(const struct analysis *analysis, const struct address *address)
{
	return XXH3_64bits_withSeed(address->bytes, sizeof(address->bytes), analysis->seed ^ PLACE_SEED);
}

/* What of an address is one client. */
static struct address client_address(const struct address *address)
{
	return address_is_v4(address) ? *address : address_prefix(address, HOUSEHOLD_BITS);
}

/* Whether it is no for a reason that lies with the client: not our own faults, not what another protector sees, and not throttling, which has a detector of its own. */
static bool is_refusal(Common__Reason reason)
{
	switch (reason) {
	case COMMON__REASON__REASON_SOLD_OUT:
	case COMMON__REASON__REASON_NOT_ENOUGH:
	case COMMON__REASON__REASON_LIMIT_REACHED:
	case COMMON__REASON__REASON_NOT_OPEN:
	case COMMON__REASON__REASON_CLOSED:
	case COMMON__REASON__REASON_HOLD_EXPIRED:
	case COMMON__REASON__REASON_KEY_REUSED:
	case COMMON__REASON__REASON_INVALID:
	case COMMON__REASON__REASON_UNKNOWN_SKU:
	case COMMON__REASON__REASON_ALREADY_OPEN:
	case COMMON__REASON__REASON_NOT_FOUND:
	case COMMON__REASON__REASON_WRONG_STATE:
	case COMMON__REASON__REASON_UNAUTHENTICATED:
	case COMMON__REASON__REASON_FORBIDDEN:
	case COMMON__REASON__REASON_GONE:
		return true;
	default:
		return false;
	}
}

void analysis_take(struct analysis *analysis, const struct traffic *traffic)
{
	const bool of_account = traffic->counts_account && traffic->user_id.length > 0;
	const bool of_address = traffic->counts_address && traffic->has_address;
	struct sighting sighting = {.traffic = traffic};
	struct address address;

	sighting.time_us = advance_to_event(analysis, traffic->time_us);
	analysis->stats.events++;
	if (traffic->reason == COMMON__REASON__REASON_BANNED || (!of_account && !of_address)) {
		analysis->stats.ignored++;
		return;
	}
	sighting.attempt = traffic->kind == TRAFFIC_BUY || traffic->kind == TRAFFIC_CHANGE;
	sighting.refused = is_refusal(traffic->reason);
	if (traffic->user_id.length)
		sighting.account = hash_account(analysis, traffic->user_id.text, traffic->user_id.length);
	if (traffic->has_address) {
		address = client_address(&traffic->address);
		sighting.place = hash_place(analysis, &address);
	}
	if (of_account)
		analysis_see_account(analysis, &sighting);
	if (of_address)
		analysis_see_place(analysis, &sighting, &address);
}

/* ---- what is asked ---- */

/* What was counted in steps of another length can't be gone on with. */
static void clear_windows(struct analysis *analysis, const struct detector_settings *before)
{
	const struct detector_setting *of = analysis->settings.of;
	const bool account_rate =
		of[DETECTOR_ACCOUNT_RATE].window_us != before->of[DETECTOR_ACCOUNT_RATE].window_us;
	const bool throttled = of[DETECTOR_THROTTLED].window_us != before->of[DETECTOR_THROTTLED].window_us;
	const bool address_rate =
		of[DETECTOR_ADDRESS_RATE].window_us != before->of[DETECTOR_ADDRESS_RATE].window_us;
	size_t at = 0;

	for (struct account *account; (account = nest_next(&analysis->accounts, &at));) {
		if (account_rate)
			account->client.requests = (struct window){0};
		if (throttled)
			account->asked = account->throttled = (struct window){0};
	}
	at = 0;
	for (struct place *place; address_rate && (place = nest_next(&analysis->places, &at));)
		place->client.requests = place->named = (struct window){0};
}

bool analysis_configure(
	struct analysis *analysis, const struct detector_settings *settings, struct error *error)
{
	const struct detector_settings before = analysis->settings;
	const char *field;

	if (!detector_settings_check(settings, &field, error))
		return false;
	analysis->settings = *settings;
	clear_windows(analysis, &before);
	start_steppers(analysis);
	return true;
}

const struct detector_settings *analysis_settings(const struct analysis *analysis)
{
	return &analysis->settings;
}

static uint64_t hash_subject(const struct analysis *analysis, const struct ban_subject *subject)
{
	return subject->kind == BAN_OF_ACCOUNT
		       ? hash_account(analysis, subject->user_id, strlen(subject->user_id))
		       : hash_place(analysis, &subject->address);
}

void analysis_exempt(struct analysis *analysis, const struct ban_subject *subject, enum detector detector,
	int64_t until_us)
{
	const uint64_t hash = hash_subject(analysis, subject);
	struct nest *nest = subject->kind == BAN_OF_ACCOUNT ? &analysis->accounts : &analysis->places;
	void *client = nest_find(nest, hash);

	if (until_us < INT64_MAX - analysis->ahead_us)
		until_us += analysis->ahead_us;
	ladder_exempt(&analysis->ladder, hash, detector, until_us);
	if (client && subject->kind == BAN_OF_ACCOUNT)
		account_forget(client);
	else if (client)
		place_forget(analysis, client);
}

void analysis_revoke(struct analysis *analysis, const struct ban_subject *subject, enum ban_effect effect)
{
	ladder_revoke(
		&analysis->ladder, hash_subject(analysis, subject), effect_rung(effect), analysis->now_us);
}

void analysis_restore(
	struct analysis *analysis, const struct ban *ban, enum detector detector, uint32_t repetition)
{
	const enum rung rung = effect_rung(ban->effect);

	if (rung == RUNG_NONE)
		return;
	ladder_restore(&analysis->ladder, hash_subject(analysis, &ban->subject), rung, ban->create_ms * 1000,
		ban->expire_ms == BANS_NEVER ? INT64_MAX : ban->expire_ms * 1000, repetition);
}

struct analysis_stats analysis_stats(const struct analysis *analysis)
{
	struct analysis_stats stats = analysis->stats;

	stats.evicted = analysis->accounts.evicted + analysis->places.evicted;
	stats.accounts = analysis->accounts.count;
	stats.addresses = analysis->places.count;
	stats.unjudged = analysis->mixes.evicted;
	stats.mixes = analysis->mixes.count;
	stats.records = analysis->ladder.records.count;
	return stats;
}
