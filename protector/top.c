/* protector/top.c - the heaviest clients; see analysis.h. */
#include <string.h>

#include "protector/analysis_internal.h"

static void fill_account(
	const struct analysis *analysis, const struct account *account, struct top_client *to)
{
	memcpy(to->subject.user_id, account->name, account->name_length);
	to->throttled = window_count(&account->throttled, analysis->steppers[DETECTOR_THROTTLED].step);
	to->distinct = distinct_count(account->addresses, ACCOUNT_ADDRESSES, analysis_unit(analysis),
		analysis_units(analysis->settings.of[DETECTOR_ACCOUNT_ADDRESSES].window_us));
}

/* With what names accounts. */
static void fill_place(const struct analysis *analysis, const struct place *place, struct top_client *to)
{
	const struct mix *mix = nest_find(&analysis->mixes, place->client.hash);
	const int64_t window_us = analysis->settings.of[DETECTOR_ADDRESS_ACCOUNTS].window_us;

	to->subject.address = place->address;
	to->requests += window_count(&place->named, analysis->steppers[DETECTOR_ADDRESS_RATE].step);
	to->distinct = mix ? mix_look(mix, analysis->now_us, window_us, window_us).accounts
			   : distinct_count(place->accounts, PLACE_ACCOUNTS, analysis_unit(analysis),
				     analysis_units(window_us));
}

static void fill(
	const struct analysis *analysis, enum ban_kind kind, const void *thing, struct top_client *to)
{
	const struct client *client = thing;
	const enum detector rate = kind == BAN_OF_ACCOUNT ? DETECTOR_ACCOUNT_RATE : DETECTOR_ADDRESS_RATE;

	*to = (struct top_client){.requests = window_count(&client->requests, analysis->steppers[rate].step),
		.refusals = client->refusals,
		.effect = rung_effect(ladder_rung(&analysis->ladder, client->hash, analysis->now_us)),
		.first_us = client->first_us - analysis->ahead_us,
		.last_us = client->last_us - analysis->ahead_us};
	to->subject.kind = kind;
	if (kind == BAN_OF_ACCOUNT)
		fill_account(analysis, thing, to);
	else
		fill_place(analysis, thing, to);
}

size_t analysis_top(const struct analysis *analysis, enum ban_kind kind, struct top_client *to, size_t max)
{
	const struct nest *nest = kind == BAN_OF_ACCOUNT ? &analysis->accounts : &analysis->places;
	size_t count = 0, at = 0;

	for (const void *thing; max && (thing = nest_next(nest, &at));) {
		struct top_client client;
		size_t place = count;

		fill(analysis, kind, thing, &client);
		if (!client.requests || (count == max && client.requests <= to[max - 1].requests))
			continue;
		if (count == max)
			place--;
		else
			count++;
		for (; place && to[place - 1].requests < client.requests; place--)
			to[place] = to[place - 1];
		to[place] = client;
	}
	return count;
}
