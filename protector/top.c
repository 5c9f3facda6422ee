/* protector/top.c - the heaviest clients; see analysis.h. */
#include <string.h>

#include "protector/analysis_internal.h"

static void fill(
	const struct analysis *analysis, enum ban_kind kind, const void *thing, struct top_client *to)
{
	const struct client *client = thing;
	const enum detector rate = kind == BAN_OF_ACCOUNT ? DETECTOR_ACCOUNT_RATE : DETECTOR_ADDRESS_RATE;

	*to = (struct top_client){.requests = window_count(&client->requests, analysis->steppers[rate].step),
		.effect = rung_effect(ladder_rung(&analysis->ladder, client->hash, analysis->now_us)),
		.first_us = client->first_us,
		.last_us = client->last_us};
	to->subject.kind = kind;
	if (kind == BAN_OF_ACCOUNT) {
		const struct account *account = thing;

		memcpy(to->subject.user_id, account->name, account->name_length);
	} else {
		to->subject.address = ((const struct place *)thing)->address;
	}
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
