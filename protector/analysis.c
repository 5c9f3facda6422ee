#include "protector/analysis.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/analysis_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define ACCOUNTS_STANDARD (128 * 1024)
#define PLACES_STANDARD (128 * 1024)
#define RECORDS_STANDARD (64 * 1024)
#define HOUSEHOLD_BITS 64			/* of an IPv6 address: one client */
#define PLACE_SEED UINT64_C(0x9e3779b97f4a7c15) /* so that no account has an address's hash by design */

/* Whose window holds least goes first, and of those who was longest silent. */
static uint64_t weigh(const void *context, const void *thing)
{
	const struct analysis *analysis = context;
	const struct client *client = thing;
	const uint64_t requests =
		window_count(&client->requests, analysis->steppers[DETECTOR_ACCOUNT_RATE].step);

	return requests << 48 | (uint64_t)client->last_us >> 12;
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
		sizeof(struct account), weigh, analysis);
	nest_init(&analysis->places, or_standard(options->addresses_max, PLACES_STANDARD),
		sizeof(struct place), weigh, analysis);
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
	ladder_release(&analysis->ladder);
	free(analysis);
}

/* ---- time ---- */

static void start_steppers(struct analysis *analysis)
{
	for (int i = DETECTOR_NONE + 1; i < DETECTORS; i++) {
		struct stepper *stepper = &analysis->steppers[i];

		stepper->slot_us = analysis->settings.of[i].window_us / WINDOW_SLOTS;
		/* a fresh window's step is 0: it must not look like a recent one */
		stepper->step =
			WINDOW_SLOTS + (uint32_t)((analysis->now_us - analysis->base_us) / stepper->slot_us);
		stepper->next_us =
			analysis->base_us + (int64_t)(stepper->step - WINDOW_SLOTS + 1) * stepper->slot_us;
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
static void advance_to_event(struct analysis *analysis, int64_t time_us)
{
	const int64_t latest_us = analysis->tick_us + ANALYSIS_SKEW_US;

	if (analysis->tick_us && time_us > latest_us) {
		analysis->stats.clamped++;
		time_us = latest_us;
	}
	advance(analysis, time_us);
}

void analysis_tick(struct analysis *analysis, int64_t now_us)
{
	analysis->tick_us = now_us;
	advance(analysis, now_us);
}

/* ---- events ---- */

static void fill_subject(
	struct ban_subject *subject, const struct account *account, const struct place *place)
{
	memset(subject, 0, sizeof(*subject));
	if (account) {
		subject->kind = BAN_OF_ACCOUNT;
		memcpy(subject->user_id, account->name, account->name_length);
	} else {
		subject->kind = BAN_OF_ADDRESS;
		subject->address = place->address;
	}
}

static enum rung rung_of(const struct detector_setting *setting, uint32_t value)
{
	if (setting->ban && value >= setting->ban)
		return RUNG_BAN;
	if (setting->challenge && value >= setting->challenge)
		return RUNG_CHALLENGE;
	return setting->slow && value >= setting->slow ? RUNG_SLOW : RUNG_NONE;
}

static uint32_t threshold_of(const struct detector_setting *setting, enum rung rung)
{
	return rung == RUNG_BAN ? setting->ban : rung == RUNG_CHALLENGE ? setting->challenge : setting->slow;
}

/* One of the two is NULL. */
static void judge_rate(struct analysis *analysis, enum detector detector, const struct account *account,
	const struct place *place)
{
	const struct detector_setting *setting = &analysis->settings.of[detector];
	const struct client *client = account ? &account->client : &place->client;
	const uint32_t value = client->requests.sum;
	const enum rung rung = setting->enabled ? rung_of(setting, value) : RUNG_NONE;
	struct ladder_step step;
	struct decision decision;

	if (rung == RUNG_NONE ||
		!ladder_climb(&analysis->ladder, client->hash, detector, rung, analysis->now_us, &step))
		return;
	fill_subject(&decision.subject, account, place);
	decision.step = rung_effect(rung);
	decision.effect = setting->shadow ? BAN_SHADOWS : decision.step;
	decision.detector = detector;
	decision.create_us = analysis->now_us;
	decision.expire_us = step.expire_us;
	decision.repetition = step.repetition;
	decision.evidence = (struct evidence){.window_us = setting->window_us,
		.value = value,
		.threshold = threshold_of(setting, rung),
		.requests = value,
		.first_us = client->first_us,
		.last_us = client->last_us};
	analysis->stats.decisions[detector]++;
	analysis->decided(analysis->context, &decision);
}

static void touch(struct analysis *analysis, struct client *client, bool fresh, enum detector rate)
{
	if (fresh)
		client->first_us = analysis->now_us;
	client->last_us = analysis->now_us;
	window_add(&client->requests, analysis->steppers[rate].step);
}

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

static void take_account(struct analysis *analysis, const struct traffic *traffic)
{
	bool fresh;
	struct account *account;

	assert(traffic->user_id.length <= BANS_USER_MAX);
	account = nest_take(&analysis->accounts,
		hash_account(analysis, traffic->user_id.text, traffic->user_id.length), &fresh);
	if (fresh) {
		account->name_length = (uint8_t)traffic->user_id.length;
		memcpy(account->name, traffic->user_id.text, traffic->user_id.length);
	}
	touch(analysis, &account->client, fresh, DETECTOR_ACCOUNT_RATE);
	judge_rate(analysis, DETECTOR_ACCOUNT_RATE, account, NULL);
}

static void take_place(struct analysis *analysis, const struct traffic *traffic)
{
	const struct address address = client_address(&traffic->address);
	bool fresh;
	struct place *place = nest_take(&analysis->places, hash_place(analysis, &address), &fresh);

	if (fresh)
		place->address = address;
	touch(analysis, &place->client, fresh, DETECTOR_ADDRESS_RATE);
	if (!traffic->user_id.length)
		judge_rate(analysis, DETECTOR_ADDRESS_RATE, NULL, place);
}

void analysis_take(struct analysis *analysis, const struct traffic *traffic)
{
	const bool of_account = traffic->counts_account && traffic->user_id.length > 0;
	const bool of_address = traffic->counts_address && traffic->has_address;

	advance_to_event(analysis, traffic->time_us);
	analysis->stats.events++;
	if (traffic->reason == COMMON__REASON__REASON_BANNED || (!of_account && !of_address)) {
		analysis->stats.ignored++;
		return;
	}
	if (of_account)
		take_account(analysis, traffic);
	if (of_address)
		take_place(analysis, traffic);
}

/* ---- what is asked ---- */

static void clear_rates(struct nest *nest)
{
	size_t at = 0;

	for (struct client *client; (client = nest_next(nest, &at));)
		client->requests = (struct window){0};
}

bool analysis_configure(
	struct analysis *analysis, const struct detector_settings *settings, struct error *error)
{
	if (!detector_settings_check(settings, error))
		return false;
	analysis->settings = *settings;
	clear_rates(&analysis->accounts);
	clear_rates(&analysis->places);
	if (analysis->now_us)
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
	struct client *client =
		nest_find(subject->kind == BAN_OF_ACCOUNT ? &analysis->accounts : &analysis->places, hash);

	ladder_exempt(&analysis->ladder, hash, detector, until_us);
	if (client)
		client->requests = (struct window){0};
}

void analysis_restore(
	struct analysis *analysis, const struct ban *ban, enum detector detector, uint32_t repetition)
{
	const enum rung rung = ban->effect == BAN_DENIES       ? RUNG_BAN
			       : ban->effect == BAN_CHALLENGES ? RUNG_CHALLENGE
							       : RUNG_SLOW;

	if (ban->effect != BAN_DENIES && ban->effect != BAN_CHALLENGES && ban->effect != BAN_SLOWS)
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
	stats.records = analysis->ladder.records.count;
	return stats;
}
