/* tests/simulation/model_archives.c - sales that are archived: only what was exported goes, an order with its holds, and all of it. See model.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

/* What an export told of a sale: the ids of its holds and orders, sorted, and its last entry. */
static struct export
{
	uint32_t shard, skus;
	struct id *ids;
	size_t count;
	uint64_t newest;
	bool asked; /* somebody has given its digest back */
}
*exports;
static uint32_t export_count, export_room;

static bool retelling; /* a backup's ledger: what it archived was judged when it happened */

void model_archives_begin(void)
{
	export_count = 0;
	retelling = false;
}

void model_archives_end(void)
{
	for (uint32_t i = 0; i < export_count; i++)
		free(exports[i].ids);
	free(exports);
	exports = NULL;
	export_count = export_room = 0;
}

/* ---- exports ---- */

static int by_id(const void *a, const void *b)
{
	return id_compare(a, b);
}

uint32_t model_exported(uint32_t shard, uint32_t skus, const struct id *ids, size_t count, uint64_t newest)
{
	struct export *export;

	if (export_count == export_room) {
		export_room = export_room ? export_room * 2 : 64;
		exports = memory_resize(exports, export_room, sizeof(*exports));
	}
	export = &exports[export_count];
	*export = (struct export){.shard = shard, .skus = skus, .count = count, .newest = newest};
	export->ids = NEW_ARRAY(count + 1, struct id);
	if (count)
		memcpy(export->ids, ids, count * sizeof(*ids));
	qsort(export->ids, count, sizeof(*ids), by_id);
	return export_count++;
}

static bool was_told(const struct export *export, const struct id *id)
{
	return bsearch(id, export->ids, export->count, sizeof(*id), by_id) != NULL;
}

void model_archive_asked(uint32_t number)
{
	if (number != MODEL_NO_EXPORT)
		exports[number].asked = true;
}

static bool order_has(const struct model_order *order, uint32_t skus)
{
	for (uint32_t i = 0; i < order->hold_count; i++)
		if (skus >> model_hold_get(&order->holds[i])->sku & 1)
			return true;
	return false;
}

static bool is_about(const struct model_step *step, uint32_t skus)
{
	switch (step->entry.kind) {
	case MODEL_CREATED:
	case MODEL_CHANGED:
	case MODEL_GOODS:
	case MODEL_ARCHIVED:
		return skus >> step->entry.sku & 1;
	case MODEL_ORDER:
		return order_has(step->order, skus);
	case MODEL_FENCED:
	case MODEL_INCARNATION:
		break;
	}
	return false;
}

/* The last entry that the ledger has about any of these goods. */
static uint64_t newest_of(uint32_t number, uint32_t skus)
{
	const struct model_shard *shard = &model_shards[number];

	for (uint64_t sequence = shard->head; sequence; sequence--)
		if (model_kept(number, sequence) && is_about(&shard->steps[sequence], skus))
			return sequence;
	return 0;
}

/* Something that was so at some moment of the last group, or not. */
static bool has_obstacle(uint32_t number, uint32_t skus)
{
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if ((skus >> sku & 1) && (model_skus[sku].was_open || model_skus[sku].row.held))
			return true;
	return newest_of(number, skus) > model_shards[number].floor;
}

static bool reaches_beyond;
static uint32_t reach_skus;

static void look_at_order(const struct model_order *order)
{
	reaches_beyond |= !order->gone && order_has(order, reach_skus) && order_has(order, ~reach_skus);
}

static bool order_reaches_beyond(uint32_t skus)
{
	reaches_beyond = false;
	reach_skus = skus;
	model_orders_each(look_at_order);
	return reaches_beyond;
}

void model_export_refused(uint32_t number, uint32_t skus, Common__Reason reason)
{
	if (reason == COMMON__REASON__REASON_WRONG_STATE)
		WORLD_CHECK(has_obstacle(number, skus) || order_reaches_beyond(skus),
			"a sale can't be exported, and nothing is in the way");
	else if (reason == COMMON__REASON__REASON_IN_PROGRESS)
		WORLD_CHECK(model_shards[number].archiving & skus, "a sale is said to be archived just now");
	else
		WORLD_CHECK(reason == COMMON__REASON__REASON_VERSION_MISMATCH,
			"an export is refused for reason %d", (int)reason);
}

/* ---- the beginning ---- */

static uint32_t begun_skus;

static void note_removed(uint32_t shard, uint32_t cart, const struct id *id)
{
	struct id *removed = &model_shards[shard].carts[cart].removed;

	if (id_compare(removed, id) < 0)
		*removed = *id;
}

static void count_hold(struct model_hold *hold)
{
	if (!hold->created || hold->gone || !(begun_skus >> hold->sku & 1))
		return;
	WORLD_CHECK(hold->state == MODEL_SOLD || hold->state == MODEL_REFUNDED,
		"a sale is archived with a hold in state %d", hold->state);
	if (hold->state == MODEL_SOLD)
		model_skus[hold->sku].to_archive += hold->quantity;
	note_removed(hold->shard, hold->cart, &hold->id);
}

static void count_order(const struct model_order *order)
{
	if (!order->gone && order_has(order, begun_skus))
		note_removed(order->shard, order->cart, &order->id);
}

static void begin(uint32_t number, uint32_t skus)
{
	struct model_shard *shard = &model_shards[number];

	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (skus >> sku & 1)
			model_skus[sku].to_archive = 0;
	begun_skus = shard->archiving = shard->archive_skus = skus;
	model_holds_each(count_hold);
	model_orders_each(count_order);
}

/* The digest of an export that is still true was given back: else nothing may go. */
static uint32_t find_export(uint32_t number, uint32_t skus)
{
	uint64_t newest = newest_of(number, skus);

	for (uint32_t i = 0; i < export_count; i++)
		if (exports[i].asked && exports[i].shard == number && exports[i].skus == skus &&
			exports[i].newest == newest)
			return i;
	return MODEL_NO_EXPORT;
}

void model_archiving(uint32_t number, uint32_t skus)
{
	struct model_shard *shard = &model_shards[number];

	if (skus == shard->archiving)
		return;
	WORLD_CHECK(!shard->archiving, "an archive ends without a word");
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		WORLD_CHECK(!(skus >> sku & 1) || (model_skus[sku].row.closed && !model_skus[sku].row.held &&
							  world_inventory_of(sku) == number),
			"goods are archived while they are on sale");
	WORLD_CHECK(newest_of(number, skus) <= shard->floor, "goods are archived that carts may not know");
	WORLD_CHECK(!order_reaches_beyond(skus), "a part of an order is archived");
	shard->archive = find_export(number, skus);
	WORLD_CHECK(shard->archive != MODEL_NO_EXPORT, "a sale is archived that was not exported as it is");
	begin(number, skus);
}

uint32_t model_archiving_now(uint32_t shard)
{
	return model_shards[shard].archiving;
}

/* ---- the end ---- */

static uint32_t dropped_sku;
static int64_t dropped_units;

static void drop_order(struct model_order *order)
{
	struct model_shard *shard = &model_shards[order->shard];

	if (order->gone)
		return;
	for (uint32_t i = 0; i < order->hold_count; i++)
		WORLD_CHECK(retelling || shard->archive_skus >> model_hold_get(&order->holds[i])->sku & 1,
			"an order and its holds are archived apart");
	WORLD_CHECK(retelling || shard->archive == MODEL_NO_EXPORT ||
			    was_told(&exports[shard->archive], &order->id),
		"an order is archived that was not exported");
	order->gone = order->archived = true;
	shard->orders--;
	note_removed(order->shard, order->cart, &order->id);
	world.troubles.archived_orders++;
}

static void drop_hold(struct model_hold *hold)
{
	struct model_shard *shard = &model_shards[hold->shard];

	if (!hold->created || hold->gone || hold->sku != dropped_sku)
		return;
	WORLD_CHECK(retelling || shard->archive == MODEL_NO_EXPORT ||
			    was_told(&exports[shard->archive], &hold->id),
		"a hold is archived that was not exported");
	WORLD_CHECK(hold->state == MODEL_SOLD || hold->state == MODEL_REFUNDED,
		"a hold in state %d is archived", hold->state);
	if (hold->state == MODEL_SOLD) {
		dropped_units += hold->quantity;
		model_units_archived(hold);
	}
	hold->gone = hold->archived = true;
	shard->holds--;
	note_removed(hold->shard, hold->cart, &hold->id);
	if (hold->keyed)
		model_key_forget(hold);
	if (!id_is_zero(&hold->order))
		drop_order(model_order_get(&hold->order));
}

void model_archive_entry(uint32_t number, const struct model_entry *entry)
{
	struct model_shard *shard = &model_shards[number];
	struct model_sku *sku = &model_skus[entry->sku];

	WORLD_CHECK(
		retelling || shard->archiving >> entry->sku & 1, "the end of an archive that was not begun");
	dropped_sku = entry->sku;
	dropped_units = 0;
	model_holds_each(drop_hold);
	WORLD_CHECK(dropped_units == entry->units,
		"%" PRId64 " units are said to be archived, it is %" PRId64, entry->units, dropped_units);
	sku->row.archived += dropped_units;
	sku->archived_at = entry->sequence;
	shard->archiving &= ~(1u << entry->sku);
	if (!retelling && !shard->archiving)
		world.troubles.archives++;
}

bool model_archived_since(uint32_t shard, uint32_t skus, uint64_t sequence)
{
	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if ((skus >> sku & 1) && model_skus[sku].archived_at <= sequence)
			return false;
	return !(model_shards[shard].archiving & skus);
}

/* Its row may be gone, and its entries soon. */
bool model_is_going(const struct model_hold *hold)
{
	return hold->gone || (hold->created && (model_shards[hold->shard].archiving >> hold->sku & 1));
}

bool model_order_is_going(const struct model_order *order)
{
	return order->gone || (order->created && order_has(order, model_shards[order->shard].archiving));
}

void model_archives_retell(bool begins)
{
	retelling = begins;
}

/* What was exported is what goes: nothing of it changes meanwhile. */
void model_archive_untouched(const struct model_shard *shard, const struct model_step *step)
{
	WORLD_CHECK(retelling || step->entry.kind == MODEL_ARCHIVED || !is_about(step, shard->archiving),
		"a sale changes while it is being archived");
}

/* A restored store goes on with what it was at. */
void model_archives_restored(uint32_t shard, uint32_t skus)
{
	if (skus)
		begin(shard, skus);
	model_shards[shard].archive = MODEL_NO_EXPORT;
}

/* ---- answers ---- */

void model_archive_answer(
	const struct model_shard *shard, const struct wire_item *item, const struct wire_answer *answer)
{
	uint32_t number = (uint32_t)(shard - model_shards);

	switch (answer->reason) {
	case COMMON__REASON__REASON_UNSPECIFIED:
		WORLD_CHECK(item->export != MODEL_NO_EXPORT, "archived, and that is no digest of an export");
		WORLD_CHECK(shard->archiving == item->skus &&
				    exports[item->export].newest == exports[shard->archive].newest,
			"archived, and it was another export");
		break;
	case COMMON__REASON__REASON_IN_PROGRESS:
		WORLD_CHECK(shard->archiving, "an archive is said to be under way");
		break;
	case COMMON__REASON__REASON_VERSION_MISMATCH:
		WORLD_CHECK(!item->known || item->export == MODEL_NO_EXPORT ||
				    exports[item->export].newest != newest_of(number, item->skus),
			"it is as it was exported, and said to be not");
		break;
	case COMMON__REASON__REASON_WRONG_STATE:
		WORLD_CHECK(has_obstacle(number, item->skus),
			"a sale can't be archived, and nothing is in the way");
		break;
	default:
		world_fail("an archive is refused for reason %d", (int)answer->reason);
	}
}
