/* protector/analysis_account.c - the detectors of accounts. */
#include <assert.h>
#include <string.h>

#include "protector/analysis_internal.h"

void account_forget(struct account *account)
{
	struct client *client = &account->client;

	client->requests = account->asked = account->throttled = (struct window){0};
	client->refusals = 0;
	client->gaps = (struct gaps){0};
	memset(account->addresses, 0, sizeof(account->addresses));
}

static struct evidence evidence_of(const struct account *account)
{
	return (struct evidence){.requests = account->client.requests.sum,
		.refusals = account->client.refusals,
		.throttled = account->throttled.sum};
}

static bool found(struct analysis *analysis, const struct account *account, enum detector detector,
	uint32_t value, const struct evidence *evidence)
{
	const struct span name = {account->name, account->name_length};

	return analysis_judge_account(analysis, &account->client, name,
		&(struct finding){
			.detector = detector, .value = value, .highest = RUNG_BAN, .evidence = *evidence});
}

static bool look_at_rate(struct analysis *analysis, struct account *account)
{
	const uint32_t requests =
		window_add(&account->client.requests, analysis->steppers[DETECTOR_ACCOUNT_RATE].step);
	const struct evidence evidence = evidence_of(account);

	return analysis_suspects(analysis, DETECTOR_ACCOUNT_RATE, requests) &&
	       found(analysis, account, DETECTOR_ACCOUNT_RATE, requests, &evidence);
}

static bool look_at_addresses(
	struct analysis *analysis, struct account *account, const struct sighting *sighting)
{
	const uint32_t now = analysis_unit(analysis);
	const uint32_t window = analysis_units(analysis->settings.of[DETECTOR_ACCOUNT_ADDRESSES].window_us);
	struct evidence evidence;

	if (!sighting->place || !distinct_add(account->addresses, ACCOUNT_ADDRESSES,
					(uint32_t)(sighting->place >> 32), now, window))
		return false;
	evidence = evidence_of(account);
	evidence.addresses = distinct_count(account->addresses, ACCOUNT_ADDRESSES, now, window);
	return analysis_suspects(analysis, DETECTOR_ACCOUNT_ADDRESSES, evidence.addresses) &&
	       found(analysis, account, DETECTOR_ACCOUNT_ADDRESSES, evidence.addresses, &evidence);
}

static bool look_at_refusals(
	struct analysis *analysis, struct account *account, const struct sighting *sighting)
{
	struct client *client = &account->client;
	struct evidence evidence;

	client_count_refusal(client, sighting->refused,
		sighting->attempt && sighting->traffic->reason == COMMON__REASON__REASON_UNSPECIFIED,
		analysis->now_us, analysis->settings.of[DETECTOR_REFUSALS].window_us);
	if (!sighting->refused || !analysis_suspects(analysis, DETECTOR_REFUSALS, client->refusals))
		return false;
	evidence = evidence_of(account);
	return found(analysis, account, DETECTOR_REFUSALS, client->refusals, &evidence);
}

static bool look_at_throttling(
	struct analysis *analysis, struct account *account, const struct sighting *sighting)
{
	const struct detector_setting *setting = &analysis->settings.of[DETECTOR_THROTTLED];
	const uint32_t step = analysis->steppers[DETECTOR_THROTTLED].step;
	struct evidence evidence;
	uint32_t asked, share;

	if (analysis->now_us - account->asked_us < TRY_US)
		return false;
	account->asked_us = analysis->now_us;
	asked = window_add(&account->asked, step);
	if (sighting->traffic->reason != COMMON__REASON__REASON_THROTTLED)
		return false;
	share = window_add(&account->throttled, step) * 100 / asked;
	if (asked < setting->least || !analysis_suspects(analysis, DETECTOR_THROTTLED, share))
		return false;
	evidence = evidence_of(account);
	evidence.requests = asked;
	return found(analysis, account, DETECTOR_THROTTLED, share, &evidence);
}

static bool look_at_regularity(
	struct analysis *analysis, struct account *account, const struct sighting *sighting)
{
	struct evidence evidence;
	uint32_t variation;

	if (!sighting->attempt || !gaps_add(&account->client.gaps, sighting->time_us))
		return false;
	variation = gaps_variation(&account->client.gaps);
	if (variation >= 100 || !analysis_suspects(analysis, DETECTOR_REGULARITY, 100 - variation))
		return false;
	evidence = evidence_of(account);
	evidence.variation = variation;
	return found(analysis, account, DETECTOR_REGULARITY, 100 - variation, &evidence);
}

void analysis_see_account(struct analysis *analysis, const struct sighting *sighting)
{
	const struct span name = sighting->traffic->user_id;
	bool fresh;
	struct account *account = nest_take(&analysis->accounts, sighting->account, &fresh);

	assert(name.length <= BANS_USER_MAX);
	if (fresh) {
		account->name_length = (uint8_t)name.length;
		memcpy(account->name, name.text, name.length);
	}
	client_touch(analysis, &account->client, fresh);
	if (look_at_rate(analysis, account) || look_at_addresses(analysis, account, sighting) ||
		look_at_refusals(analysis, account, sighting) ||
		look_at_throttling(analysis, account, sighting) ||
		look_at_regularity(analysis, account, sighting))
		account_forget(account);
}
