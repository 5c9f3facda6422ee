/* tests/simulation/model_words.c - what is answered and told, judged by the model's books. See model.h. */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "model_books.h"

/* ---- intents ---- */

bool model_is_in_force(const struct model_cart *cart, const struct wire_sender *sender)
{
	return sender->epoch == cart->epoch && cart->epoch != cart->voided &&
	       id_compare(&cart->instance, &sender->instance) == 0;
}

void model_intend(const struct id *id, uint32_t user, uint32_t sku, uint32_t quantity, uint32_t limit,
	bool keyed, const struct hash128 *key, const struct hash128 *fingerprint,
	const struct wire_sender *sender, uint64_t position)
{
	const struct model_shard *shard = &model_shards[world_inventory_of(sku)];
	const struct model_cart *cart = &shard->carts[world_cart_of(user)];
	struct model_hold *hold = model_hold_make(id);

	if (model_is_in_force(
		    cart, sender)) /* else a newer process has taken over, or the store is another by now */
		WORLD_CHECK(position >= cart->sequence,
			"an add leaves with epoch %" PRIu64 " at position %" PRIu64
			", before its fence at %" PRIu64,
			sender->epoch, position, cart->sequence);
	WORLD_CHECK(!hold->intended || (hold->user == user && hold->sku == sku), "one id for two attempts");
	hold->asked = quantity;
	hold->intended = true;
	hold->user = user;
	hold->sku = sku;
	hold->limit = limit;
	hold->keyed = keyed;
	hold->key = *key;
	hold->fingerprint = *fingerprint;
}

/* ---- inventory's answers ---- */

bool model_in_force(const struct model_shard *shard, const struct wire_sender *sender)
{
	const struct model_cart *cart = &shard->carts[sender->cart];

	for (uint32_t i = 0; i < cart->epoch_count; i++)
		if (cart->epochs[i] == sender->epoch && cart->epochs[i] != cart->voided)
			return true;
	return false;
}

/* Whether `epoch` was the only one, and this instance's. */
static bool surely_in_force(const struct model_shard *shard, const struct wire_sender *sender)
{
	const struct model_cart *cart = &shard->carts[sender->cart];

	return cart->epoch_count == 1 && cart->epoch == sender->epoch && cart->epoch != cart->voided &&
	       id_compare(&cart->instance, &sender->instance) == 0;
}

/* The answer's sequence leads to an entry that says the same. */
static void check_step(
	const struct model_shard *shard, const struct wire_item *item, const struct wire_answer *answer)
{
	const struct model_step *step;

	WORLD_CHECK(answer->sequence && answer->sequence <= shard->head,
		"promise 2: a yes at %" PRIu64 ", the durable ledger ends at %" PRIu64, answer->sequence,
		shard->head);
	step = &shard->steps[answer->sequence];
	WORLD_CHECK(step->hold && id_compare(&step->hold->id, &item->id) == 0,
		"a yes whose entry is about something else");
	WORLD_CHECK((int)step->state == answer->state && step->quantity == answer->quantity &&
			    step->version == answer->version,
		"a yes says state %d, %u units, version %u; the ledger %d, %u, %u", answer->state,
		answer->quantity, answer->version, step->state, step->quantity, step->version);
}

static void check_hold_yes(const struct model_shard *shard, enum wire_kind kind,
	const struct wire_sender *sender, const struct wire_item *item, const struct wire_answer *answer)
{
	const struct model_hold *hold = model_hold_get(&item->id);
	int64_t deadline_ms;

	WORLD_CHECK(!sender->given || model_in_force(shard, sender),
		"a yes to epoch %" PRIu64 ", which is not in force", sender->epoch);
	check_step(shard, item, answer);
	switch (kind) {
	case WIRE_CREATE:
		WORLD_CHECK(answer->repeated || (answer->state == MODEL_HELD && answer->version == 1 &&
							answer->quantity == item->quantity),
			"a grant of %u units in state %d for %u that were asked for", answer->quantity,
			answer->state, item->quantity);
		break;
	case WIRE_RELEASE:
		WORLD_CHECK(answer->state == MODEL_RELEASED, "released, in state %d", answer->state);
		break;
	case WIRE_CONFIRM:
		WORLD_CHECK(answer->state == MODEL_SOLD && hold->payment == item->payment,
			"promise 7: confirmed, in state %d by payment %u instead of %u", answer->state,
			hold->payment, item->payment);
		break;
	case WIRE_RESIZE:
		WORLD_CHECK(answer->state == MODEL_HELD && answer->quantity == item->quantity,
			"resized to %u, in state %d with %u", item->quantity, answer->state,
			answer->quantity);
		break;
	default:
		break;
	}
	deadline_ms = shard->steps[answer->sequence].deadline_ms + shard->moved_ms;
	WORLD_CHECK(answer->deadline_ms == deadline_ms, "an answer's deadline is off by %" PRId64 " ms",
		answer->deadline_ms - deadline_ms);
}

/* An id that was dropped, or is not greater than one that was, of this cart or (UINT32_MAX) of any. */
bool model_may_be_gone(const struct model_shard *shard, uint32_t cart, const struct id *id)
{
	for (uint32_t i = 0; i < world.plan.carts; i++)
		if ((cart == UINT32_MAX || cart == i) && id_compare(id, &shard->carts[i].removed) <= 0)
			return true;
	return false;
}

static void check_create_no(const struct model_sku *sku, const struct wire_item *item, Common__Reason reason)
{
	const struct model_hold *hold = model_hold_get(&item->id);

	switch (reason) {
	case COMMON__REASON__REASON_SOLD_OUT:
		WORLD_CHECK(sku->least_available == 0, "promise 4: sold out, with %" PRId64 " available",
			sku->least_available);
		break;
	case COMMON__REASON__REASON_NOT_ENOUGH:
		WORLD_CHECK(sku->least_available < item->quantity,
			"promise 4: not enough, with %" PRId64 " available for %u", sku->least_available,
			item->quantity);
		break;
	case COMMON__REASON__REASON_CLOSED:
		WORLD_CHECK(sku->was_closed, "closed, and it was not");
		break;
	case COMMON__REASON__REASON_UNKNOWN_SKU:
		WORLD_CHECK(sku->was_missing, "unknown, and there it is");
		break;
	case COMMON__REASON__REASON_GONE:
		WORLD_CHECK(model_may_be_gone(&model_shards[world_inventory_of(item->sku)],
				    world_cart_of(item->user), &item->id) &&
				    (!hold || !hold->created || model_is_going(hold)),
			"no longer kept, and it is");
		break;
	case COMMON__REASON__REASON_KEY_REUSED:
		WORLD_CHECK(hold && hold->created && hold->cart != world_cart_of(item->user),
			"one hold id for two requests");
		break;
	default:
		world_fail("a create is refused for reason %d", (int)reason);
	}
}

static void check_change_no(const struct model_shard *shard, enum wire_kind kind,
	const struct wire_item *item, Common__Reason reason)
{
	const struct model_hold *hold = model_hold_get(&item->id);

	if (reason == COMMON__REASON__REASON_GONE) {
		WORLD_CHECK((!hold || !hold->created || model_is_going(hold)) &&
				    model_may_be_gone(shard, UINT32_MAX, &item->id),
			"no longer kept, and it is");
		return;
	}
	if (!hold || !hold->created) {
		WORLD_CHECK(
			reason == COMMON__REASON__REASON_NOT_FOUND, "no such hold, reason %d", (int)reason);
		return;
	}
	if (hold->gone) /* its group may have begun before */
		return;
	switch (reason) {
	case COMMON__REASON__REASON_HOLD_EXPIRED:
		WORLD_CHECK(hold->state == MODEL_EXPIRED, "expired, in state %d", hold->state);
		break;
	case COMMON__REASON__REASON_WRONG_STATE:
		WORLD_CHECK((hold->state != MODEL_HELD && hold->state != MODEL_EXPIRED) ||
				    !id_is_zero(&hold->order),
			"the wrong state is %d", hold->state);
		WORLD_CHECK(kind != WIRE_CONFIRM || hold->state != MODEL_SOLD ||
				    hold->payment != item->payment || !id_is_zero(&hold->order),
			"promise 6: the same payment is refused");
		break;
	case COMMON__REASON__REASON_INVALID:
		WORLD_CHECK(kind == WIRE_RESIZE && (!item->quantity || item->quantity > hold->quantity),
			"invalid: %u units of %u", item->quantity, hold->quantity);
		break;
	default:
		world_fail("a change of a hold is refused for reason %d", (int)reason);
	}
}

/* Requests of AdjustStock that were answered, with the row's version that each made. */
static struct adjusted {
	struct id id;
	uint32_t sku;
	uint64_t version;
} * adjusted;
static size_t adjusted_count, adjusted_room;

void model_words_forget(uint32_t shard)
{
	size_t kept = 0;

	for (size_t i = 0; i < adjusted_count; i++)
		if (shard != UINT32_MAX && world_inventory_of(adjusted[i].sku) != shard)
			adjusted[kept++] = adjusted[i];
	adjusted_count = kept;
}

/* What AdjustStock remembers goes with its entry. */
static bool was_dropped(uint32_t sku, uint64_t version)
{
	return model_skus[sku].deltas[version].sequence <= model_shards[world_inventory_of(sku)].floor;
}

static void check_adjusted_once(const struct wire_item *item, uint64_t version)
{
	for (size_t i = 0; i < adjusted_count; i++)
		if (id_compare(&adjusted[i].id, &item->id) == 0) {
			if (was_dropped(item->sku, adjusted[i].version)) {
				adjusted[i].version = version;
				return;
			}
			WORLD_CHECK(
				adjusted[i].version == version, "promise 6: one adjustment has two effects");
			return;
		}
	if (adjusted_count == adjusted_room) {
		adjusted_room = adjusted_room ? adjusted_room * 2 : 256;
		adjusted = memory_resize(adjusted, adjusted_room, sizeof(*adjusted));
	}
	adjusted[adjusted_count++] = (struct adjusted){item->id, item->sku, version};
}

static void check_adjust(
	struct model_sku *sku, const struct wire_item *item, const struct wire_answer *answer)
{
	WORLD_CHECK(answer->goods_version && answer->goods_version <= sku->row.version &&
			    sku->deltas[answer->goods_version].available == item->amount,
		"an adjustment by %" PRId64 " did not happen so", item->amount);
	check_adjusted_once(item, answer->goods_version);
}

static void check_goods(enum wire_kind kind, const struct wire_item *item, const struct wire_answer *answer)
{
	struct model_sku *sku = &model_skus[item->sku];

	switch (answer->reason) {
	case COMMON__REASON__REASON_UNSPECIFIED:
		WORLD_CHECK(answer->stock == answer->available + answer->held + answer->sold,
			"promise 1: an answer's row does not add up");
		if (kind == WIRE_ADJUST)
			check_adjust(sku, item, answer);
		else if (kind != WIRE_CLOSE && item->amount >= 0)
			WORLD_CHECK(answer->available == item->amount,
				"%" PRId64 " available were set, there are %" PRId64, item->amount,
				answer->available);
		break;
	case COMMON__REASON__REASON_UNKNOWN_SKU:
		WORLD_CHECK(sku->was_missing || sku->was_closed, "unknown, and on sale");
		break;
	case COMMON__REASON__REASON_IN_PROGRESS:
		WORLD_CHECK(kind == WIRE_OPEN &&
				    (model_shards[world_inventory_of(item->sku)].archiving >> item->sku & 1),
			"goods are said to be archived just now");
		break;
	case COMMON__REASON__REASON_ALREADY_OPEN:
		WORLD_CHECK(sku->was_open, "open already, and it is not");
		break;
	case COMMON__REASON__REASON_NOT_ENOUGH:
		WORLD_CHECK(kind == WIRE_ADJUST && sku->least_available < -item->amount,
			"%" PRId64 " can't be taken away, %" PRId64 " are there", -item->amount,
			sku->least_available);
		break;
	default:
		world_fail("a goods command is refused for reason %d", (int)answer->reason);
	}
}

void model_answer(uint32_t number, enum wire_kind kind, const struct wire_sender *sender,
	const struct wire_item *item, const struct wire_answer *answer, bool full_allowed)
{
	const struct model_shard *shard = &model_shards[number];

	switch (answer->reason) {
	case COMMON__REASON__REASON_STORE_FULL:
		model_counts.full++;
		WORLD_CHECK(full_allowed, "full, and it is not");
		WORLD_CHECK(
			kind == WIRE_CREATE || kind == WIRE_BIND || kind == WIRE_OPEN || kind == WIRE_ADJUST,
			"full for a command that must always have room (%d)", kind);
		return;
	case COMMON__REASON__REASON_STALE_EPOCH:
		WORLD_CHECK(!surely_in_force(shard, sender), "stale, and in force");
		return;
	case COMMON__REASON__REASON_LINEAGE_CHANGED:
		WORLD_CHECK(!id_is_zero(&item->lineage) && id_compare(&item->lineage, &shard->lineage) != 0,
			"another lineage, and it is the same");
		return;
	case COMMON__REASON__REASON_OVERLOADED:
		WORLD_CHECK(item->deadline_us <= world.now_us, "its time is not over");
		return;
	default:
		break;
	}
	if (kind == WIRE_ACKNOWLEDGE) {
		WORLD_CHECK(!answer->reason, "what is stored is refused for reason %d", (int)answer->reason);
		return;
	}
	if (kind == WIRE_ARCHIVE) {
		model_archive_answer(shard, item, answer);
		return;
	}
	if (kind >= WIRE_OPEN) {
		check_goods(kind, item, answer);
		return;
	}
	if (wire_is_order(kind))
		model_order_answer(shard, kind, sender, item, answer);
	else if (!answer->reason)
		check_hold_yes(shard, kind, sender, item, answer);
	else if (kind == WIRE_CREATE)
		check_create_no(&model_skus[item->sku], item, answer->reason);
	else
		check_change_no(shard, kind, item, answer->reason);
	if (answer->reason)
		model_counts.refused++;
}

void model_fenced(uint32_t number, const struct wire_sender *sender, const struct wire_fenced *fenced)
{
	const struct model_cart *cart = &model_shards[number].carts[sender->cart];

	if (fenced->accepted)
		WORLD_CHECK(model_in_force(&model_shards[number], sender) &&
				    fenced->sequence <= model_shards[number].head,
			"a fence that the ledger does not have");
	else
		WORLD_CHECK(cart->epoch >= sender->epoch,
			"epoch %" PRIu64 " refused, %" PRIu64 " is in force", sender->epoch, cart->epoch);
}

/* ---- what shoppers hear ---- */

void model_waits(const struct id *id)
{
	model_hold_make(id)->waiting++;
}

void model_told(const struct id *id, enum model_word word)
{
	struct model_hold *hold = model_hold_make(id);

	WORLD_CHECK(hold->waiting, "told twice");
	hold->waiting--;
	if (word == MODEL_TOLD_NO)
		hold->told_no++;
	else
		hold->told_else++;
	WORLD_CHECK(!hold->created || hold->waiting || hold->told_else,
		"promise 9: a definite no, and the hold is in the books");
}

void model_told_grant(const struct id *id, uint32_t user, uint32_t sku, uint32_t quantity, int state)
{
	const struct model_hold *hold = model_hold_get(id);

	WORLD_CHECK(hold && (hold->created || hold->told_else), "promise 2: a yes that is not in the books");
	WORLD_CHECK(!hold->lost, "a yes of a hold that was lost with its disk");
	if (!hold->created)
		return; /* it was, before the store was restored */
	WORLD_CHECK(hold->user == user && hold->sku == sku, "a yes of somebody else's hold");
	WORLD_CHECK(hold->lived_before || (quantity >= hold->quantity && state <= (int)hold->state),
		"a yes to %u units in state %d; the books say %u in state %d", quantity, state,
		hold->quantity, hold->state);
}

void model_told_ended(const struct id *id, uint32_t at_most)
{
	const struct model_hold *hold = model_hold_get(id);

	WORLD_CHECK(hold, "a yes to giving back what never was");
	WORLD_CHECK(!hold->created || hold->lived_before || hold->state >= MODEL_RELEASED ||
			    (at_most && hold->quantity <= at_most),
		"given back, and it has %u units in state %d", hold->quantity, hold->state);
}
