/* tests/simulation/model_units.c - the units of goods and of persons: stock and limits. See model.h. */
#include <inttypes.h>
#include <string.h>

#include "model_books.h"

static struct model_usage usages[WORLD_USERS_MAX][WORLD_SKUS_MAX];

void model_units_begin(void)
{
	memset(usages, 0, sizeof(usages));
}

static uint64_t *units_of(struct model_hold *hold, enum model_state state)
{
	struct model_usage *usage = &usages[hold->user][hold->sku];

	return state == MODEL_HELD ? &usage->held : state == MODEL_SOLD ? &usage->sold : NULL;
}

/* Moves units between what is available, held and sold, of the SKU and of the person. */
void model_units_move(
	struct model_hold *hold, enum model_state from, enum model_state to, uint32_t before, uint32_t after)
{
	struct model_row *row = &model_skus[hold->sku].row;
	uint64_t *out = units_of(hold, from), *in = units_of(hold, to);

	if (out)
		*out -= before;
	if (in)
		*in += after;
	row->held += (to == MODEL_HELD ? (int64_t)after : 0) - (from == MODEL_HELD ? (int64_t)before : 0);
	row->sold += (to == MODEL_SOLD ? (int64_t)after : 0) - (from == MODEL_SOLD ? (int64_t)before : 0);
	row->available = row->stock - row->held - row->sold;
	if (row->available < model_skus[hold->sku].least_available)
		model_skus[hold->sku].least_available = row->available;
	WORLD_CHECK(row->available >= 0, "promise 1: %s is oversold by %" PRId64, world_sku(hold->sku),
		-row->available);
}

void model_units_archived(struct model_hold *hold)
{
	usages[hold->user][hold->sku].sold -= hold->quantity;
}

struct model_usage model_usage(uint32_t user, uint32_t sku)
{
	return usages[user][sku];
}

/* ---- limits ---- */

static uint32_t greatest_limit;
static const struct model_hold *limit_of;

static void look_at_limit(struct model_hold *hold)
{
	if (hold->user == limit_of->user && hold->sku == limit_of->sku && hold->created &&
		(hold->state == MODEL_HELD || hold->state == MODEL_SOLD) && hold->limit > greatest_limit)
		greatest_limit = hold->limit;
}

/* Promise 5: what a person has never passes the limit of a grant; of several limits the greatest one among what they have. */
void model_limit_check(const struct model_hold *hold)
{
	const struct model_usage *usage = &usages[hold->user][hold->sku];
	uint64_t units = usage->held + usage->sold;

	WORLD_CHECK(hold->intended, "a hold that no cart asked for");
	if (units <= hold->limit)
		return;
	greatest_limit = 0;
	limit_of = hold;
	model_holds_each(look_at_limit);
	WORLD_CHECK(units <= greatest_limit, "promise 5: %s has %" PRIu64 " units of %s, the limit is %u",
		world_user(hold->user), units, world_sku(hold->sku), greatest_limit);
}
