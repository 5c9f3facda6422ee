/* protector/analysis_place.c - the detectors of addresses. */
#include <string.h>

#include "protector/analysis_internal.h"

#define EVEN_VARIATION 50 /* percent; a crowd's is 100 */
#define EVEN_RUNS 4	  /* so often in a row: 128 gaps */
#define MOSTLY_PERCENT 80
#define PERSONS_PERCENT 5 /* of the accounts; with more of them an address is not banned */

void place_forget(struct analysis *analysis, struct place *place)
{
	struct mix *mix = nest_find(&analysis->mixes, place->client.hash);

	place->client.requests = place->named = (struct window){0};
	place->client.refusals = 0;
	place->client.gaps = (struct gaps){0};
	place->even_runs = place->fresh_gaps = 0;
	if (mix)
		mix->count = mix->depth = mix->suspects = 0;
}

static int64_t keep_us(const struct analysis *analysis)
{
	const int64_t mix_us = analysis->settings.of[DETECTOR_ADDRESS_MIX].window_us;
	const int64_t accounts_us = analysis->settings.of[DETECTOR_ADDRESS_ACCOUNTS].window_us;

	return mix_us > accounts_us ? mix_us : accounts_us;
}

static uint32_t few_accounts(const struct analysis *analysis, const struct place *place)
{
	return distinct_count(
		place->accounts, PLACE_ACCOUNTS, analysis_unit(analysis), analysis_units(keep_us(analysis)));
}

/* Nameless requests beyond one a second for each account that is known there: a crowd's people look at goods before they say who they are. */
static uint32_t beyond(const struct analysis *analysis, const struct place *place, uint32_t *ret_accounts)
{
	const uint64_t seconds = (uint64_t)analysis->settings.of[DETECTOR_ADDRESS_RATE].window_us / 1000000;
	const struct mix *mix = nest_find(&analysis->mixes, place->client.hash);
	uint64_t allowed;

	*ret_accounts = mix ? mix_look(mix, analysis->now_us, keep_us(analysis), keep_us(analysis)).accounts
			    : few_accounts(analysis, place);
	allowed = seconds * *ret_accounts;
	return place->client.requests.sum > allowed ? place->client.requests.sum - (uint32_t)allowed : 0;
}

/* Requests that name nobody. One sender is told from a crowd by its timing alone: where that is not clear, or people with accounts are there too, it is not banned. */
static bool look_at_rate(struct analysis *analysis, struct place *place, const struct sighting *sighting)
{
	struct client *client = &place->client;
	const uint32_t requests =
		window_add(&client->requests, analysis->steppers[DETECTOR_ADDRESS_RATE].step);
	struct finding finding = {.detector = DETECTOR_ADDRESS_RATE, .highest = RUNG_SLOW};
	uint32_t variation;

	client_count_refusal(client, sighting->refused, !sighting->refused, analysis->now_us,
		analysis->settings.of[DETECTOR_REFUSALS].window_us);
	if (gaps_add(&client->gaps, sighting->time_us) && ++place->fresh_gaps >= GAPS_KEPT) {
		place->fresh_gaps = 0;
		variation = gaps_variation(&client->gaps);
		place->even_runs = variation <= EVEN_VARIATION ? place->even_runs + 1 : 0;
	}
	if (!analysis_suspects(analysis, DETECTOR_ADDRESS_RATE, requests))
		return false;
	finding.evidence = (struct evidence){.requests = requests, .refusals = client->refusals};
	finding.value = beyond(analysis, place, &finding.evidence.accounts);
	if (place->even_runs >= EVEN_RUNS) {
		finding.evidence.variation = gaps_variation(&client->gaps);
		if (finding.evidence.accounts < PLACE_ACCOUNTS)
			finding.highest = RUNG_BAN;
	}
	return analysis_judge_place(analysis, place, &finding);
}

/* The address is judged if hardly anybody there is a person; else look_at_member judges the accounts. */
static bool look_at_parts(struct analysis *analysis, struct place *place, struct mix *mix)
{
	const struct detector_setting *setting = &analysis->settings.of[DETECTOR_ADDRESS_MIX];
	const struct mix_view view = mix_look(mix, analysis->now_us, setting->window_us, keep_us(analysis));
	struct finding finding = {.detector = DETECTOR_ADDRESS_MIX, .highest = RUNG_BAN};

	mix->suspects = 0;
	if (view.sampled < setting->least || !view.sampled)
		return false;
	finding.value = view.programs * 100 / view.sampled;
	if (view.persons * 100 > PERSONS_PERCENT * view.sampled) {
		mix->suspects = (uint8_t)finding.value;
		mix->accounts = view.accounts;
		return false;
	}
	finding.evidence = (struct evidence){
		.requests = place->named.sum, .accounts = view.accounts, .suspects = finding.value};
	return analysis_suspects(analysis, DETECTOR_ADDRESS_MIX, finding.value) &&
	       analysis_judge_place(analysis, place, &finding);
}

static bool look_at_accounts(struct analysis *analysis, struct place *place, const struct mix *mix)
{
	const struct detector_setting *setting = &analysis->settings.of[DETECTOR_ADDRESS_ACCOUNTS];
	const struct mix_view view = mix_look(mix, analysis->now_us, setting->window_us, keep_us(analysis));
	struct finding finding = {.detector = DETECTOR_ADDRESS_ACCOUNTS, .highest = RUNG_BAN};

	if (!view.sampled || view.never_looked * 100 < MOSTLY_PERCENT * view.sampled)
		return false;
	finding.value = (uint32_t)((uint64_t)view.accounts * view.never_looked / view.sampled);
	finding.evidence = (struct evidence){.requests = place->named.sum,
		.accounts = view.accounts,
		.suspects = view.programs * 100 / view.sampled};
	return analysis_suspects(analysis, DETECTOR_ADDRESS_ACCOUNTS, finding.value) &&
	       analysis_judge_place(analysis, place, &finding);
}

/* An account that is not in the sample, at an address where all are looked at. */
static const struct member *follow(struct analysis *analysis, const struct sighting *sighting)
{
	bool fresh;
	struct member *member = nest_take(&analysis->followed, sighting->account, &fresh);

	member_add(member, sighting->attempt, analysis->now_us);
	return member;
}

/* Among people each account is judged by what it does itself, and only if there are many programs: one alone may be a person who presses fast. */
static void look_at_member(struct analysis *analysis, const struct mix *mix, const struct member *member,
	const struct sighting *sighting)
{
	struct client client = {.hash = sighting->account, .last_us = analysis->now_us};
	struct finding finding = {
		.detector = DETECTOR_ADDRESS_MIX, .value = mix->suspects, .highest = RUNG_CHALLENGE};

	if (!analysis_suspects(analysis, DETECTOR_ADDRESS_MIX, mix->suspects))
		return;
	if (!member)
		member = follow(analysis, sighting);
	if (!member->program)
		return;
	client.first_us = member->since_us;
	finding.evidence = (struct evidence){
		.requests = member->requests, .accounts = mix->accounts, .suspects = mix->suspects};
	analysis_judge_account(analysis, &client, sighting->traffic->user_id, &finding);
}

/* What names an account. The accounts are looked at once there are several. */
static bool look_at_mix(struct analysis *analysis, struct place *place, const struct sighting *sighting)
{
	const struct member *member;
	struct mix *mix = NULL;
	bool fresh;

	window_add(&place->named, analysis->steppers[DETECTOR_ADDRESS_RATE].step);
	distinct_add(place->accounts, PLACE_ACCOUNTS, (uint32_t)(sighting->account >> 32),
		analysis_unit(analysis), analysis_units(keep_us(analysis)));
	if (few_accounts(analysis, place) == PLACE_ACCOUNTS)
		mix = nest_take(&analysis->mixes, place->client.hash, &fresh);
	if (!mix)
		return false;
	member = mix_add(mix, sighting->account, sighting->attempt, analysis->now_us, keep_us(analysis));
	if (analysis->now_us >= mix->judge_us) {
		mix->judge_us = analysis->now_us + MIX_JUDGE_US;
		mix_shrink(mix, analysis->now_us, keep_us(analysis));
		if (look_at_parts(analysis, place, mix) || look_at_accounts(analysis, place, mix))
			return true;
	}
	look_at_member(analysis, mix, member, sighting);
	return false;
}

void analysis_see_place(
	struct analysis *analysis, const struct sighting *sighting, const struct address *address)
{
	bool fresh, banned;
	struct place *place = nest_take(&analysis->places, sighting->place, &fresh);

	if (fresh)
		place->address = *address;
	client_touch(analysis, &place->client, fresh);
	if (sighting->account)
		banned = look_at_mix(analysis, place, sighting);
	else
		banned = look_at_rate(analysis, place, sighting);
	if (banned)
		place_forget(analysis, place);
}
