#include "protector/ladder.h"

#include <assert.h>

#define REVOKED_PAUSE_US INT64_C(10000000)

struct record {
	uint64_t client;
	int64_t until_us; /* the rung is in force before it */
	int64_t ban_us;	  /* the last ban's time; repetition decays from there */
	uint32_t repetition;
	uint8_t rung, shadow_rungs[DETECTORS];
	int64_t shadow_until_us[DETECTORS];
	int64_t exempt_us[DETECTORS];
};

/* Until when the record says something. */
static uint64_t weigh(const void *context, const void *thing)
{
	const struct ladder *ladder = context;
	const struct record *record = thing;
	int64_t until_us = record->until_us;

	if (record->repetition) {
		const int64_t known_us = record->ban_us + record->repetition * ladder->settings->decay_us;

		until_us = known_us > until_us ? known_us : until_us;
	}
	for (int i = 0; i < DETECTORS; i++)
		until_us = record->exempt_us[i] > until_us ? record->exempt_us[i] : until_us;
	return (uint64_t)until_us;
}

void ladder_init(struct ladder *ladder, const struct detector_settings *settings, size_t records_max)
{
	ladder->settings = settings;
	nest_init(&ladder->records, records_max, sizeof(struct record), weigh, ladder);
}

void ladder_release(struct ladder *ladder)
{
	nest_release(&ladder->records);
}

/* Bans that are not forgotten. */
static uint32_t repetition_now(const struct ladder *ladder, const struct record *record, int64_t now_us)
{
	const int64_t since_us = now_us - record->ban_us;
	const int64_t forgotten = since_us > 0 ? since_us / ladder->settings->decay_us : 0;

	return forgotten >= record->repetition ? 0 : record->repetition - (uint32_t)forgotten;
}

static int64_t ban_length_us(const struct detector_settings *settings, uint32_t repetition)
{
	int64_t length_us = settings->ban_us;

	while (repetition-- && length_us < settings->ban_longest_us)
		length_us *= 2;
	return length_us < settings->ban_longest_us ? length_us : settings->ban_longest_us;
}

static int64_t rung_length_us(const struct detector_settings *settings, enum rung rung, uint32_t repetition)
{
	assert(rung != RUNG_NONE);
	if (rung == RUNG_BAN)
		return ban_length_us(settings, repetition);
	return rung == RUNG_SLOW ? settings->slow_us : settings->challenge_us;
}

bool ladder_climb(struct ladder *ladder, uint64_t client, enum detector detector, enum rung rung,
	int64_t now_us, struct ladder_step *ret)
{
	bool fresh;
	struct record *record = nest_take(&ladder->records, client, &fresh);
	const bool shadow = ladder->settings->of[detector].shadow;
	uint8_t *on = shadow ? &record->shadow_rungs[detector] : &record->rung;
	int64_t *until_us = shadow ? &record->shadow_until_us[detector] : &record->until_us;
	const uint32_t repetition = repetition_now(ladder, record, now_us);

	if (now_us < record->exempt_us[detector] || (now_us < *until_us && *on >= rung))
		return false;
	*on = (uint8_t)rung;
	*until_us = now_us + rung_length_us(ladder->settings, rung, repetition);
	*ret = (struct ladder_step){.expire_us = *until_us, .repetition = repetition};
	if (rung == RUNG_BAN && !shadow) {
		record->repetition = repetition < LADDER_REPETITION_MAX ? repetition + 1 : repetition;
		record->ban_us = now_us;
	}
	return true;
}

void ladder_exempt(struct ladder *ladder, uint64_t client, enum detector detector, int64_t until_us)
{
	bool fresh;
	struct record *record = nest_take(&ladder->records, client, &fresh);

	record->exempt_us[detector] = until_us;
	if (record->rung == RUNG_BAN && record->repetition)
		record->repetition--;
	record->until_us = 0;
	record->rung = RUNG_NONE;
}

void ladder_revoke(struct ladder *ladder, uint64_t client, enum rung rung, int64_t now_us)
{
	struct record *record = nest_find(&ladder->records, client);

	if (!record || rung == RUNG_NONE || record->rung != rung)
		return;
	if (record->until_us > now_us + REVOKED_PAUSE_US)
		record->until_us = now_us + REVOKED_PAUSE_US;
	if (rung == RUNG_BAN && record->repetition)
		record->repetition--;
}

void ladder_restore(struct ladder *ladder, uint64_t client, enum rung rung, int64_t create_us,
	int64_t expire_us, uint32_t repetition)
{
	bool fresh;
	struct record *record = nest_take(&ladder->records, client, &fresh);

	if (expire_us > record->until_us) {
		record->rung = (uint8_t)rung;
		record->until_us = expire_us;
	}
	if (rung == RUNG_BAN && create_us >= record->ban_us) {
		record->ban_us = create_us;
		record->repetition =
			repetition < LADDER_REPETITION_MAX ? repetition + 1 : LADDER_REPETITION_MAX;
	}
}

enum rung ladder_rung(const struct ladder *ladder, uint64_t client, int64_t now_us)
{
	const struct record *record = nest_find(&ladder->records, client);

	return record && now_us < record->until_us ? (enum rung)record->rung : RUNG_NONE;
}
