/* replay_steps.c - one entry of the ledger: may it follow on what was before? Orders are in replay_orders.c. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "inventory/replay_state.h"

/* ---- holds ---- */

static int64_t ttl_max_ms(const struct replay_hold *hold)
{
	const struct goods *goods = &hold->goods->goods;

	return hold->goods->known && goods->hold_ttl_ms ? goods->hold_ttl_ms : HOLD_TTL_MAX_MS;
}

static void check_deadline(struct replay *r, const struct replay_hold *hold, int64_t deadline_ms)
{
	int64_t lasts_ms = deadline_ms - replay_internal_ms(r, r->time_ms);

	if (lasts_ms <= 0)
		replay_hold(r, hold, "its deadline was past when it was set");
	else if (!replay_sparse(r) && lasts_ms > ttl_max_ms(hold))
		replay_hold(r, hold, "it would last %lld ms, the goods allow %lld", (long long)lasts_ms,
			(long long)ttl_max_ms(hold));
}

static void check_epoch(struct replay *r, const struct replay_hold *hold, uint64_t epoch)
{
	struct replay_cart *cart;

	HASH_FIND(hh, r->carts, &hold->cart_shard, sizeof(hold->cart_shard), cart);
	if (!cart)
		replay_hold(r, hold, "made by cart shard %u, which has no epoch", hold->cart_shard);
	else if (cart->fence.epoch != epoch)
		replay_hold(r, hold, "made under epoch %llu of cart shard %u, in force is %llu",
			(unsigned long long)epoch, hold->cart_shard, (unsigned long long)cart->fence.epoch);
}

/* What a grant takes from its goods. */
static void check_grant(struct replay *r, const struct replay_hold *hold, const struct ledger_entry *entry)
{
	const struct goods *goods = &hold->goods->goods;

	if (hash64(entry->created.sku.data, entry->created.sku.size) % r->store->shards != r->store->shard)
		replay_hold(r, hold, "the SKU belongs to another shard");
	if (replay_sparse(r))
		return;
	check_epoch(r, hold, entry->created.epoch);
	if (!hold->goods->known) {
		replay_hold(r, hold, "there are no such goods yet");
		return;
	}
	if (goods->closed)
		replay_hold(r, hold, "made of closed goods");
	if (goods->available < hold->quantity)
		replay_hold(r, hold, "oversold: %u units of %lld available", hold->quantity,
			(long long)goods->available);
	if (goods->price_micros != hold->price_micros || strcmp(goods->currency, hold->currency) != 0)
		replay_hold(r, hold, "its price is %lld %s, the goods cost %lld %s",
			(long long)hold->price_micros, hold->currency, (long long)goods->price_micros,
			goods->currency);
}

void replay_created(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_hold *hold = replay_list_find(&r->holds, &entry->created.id);

	if (hold) {
		replay_hold(r, hold, "made a second time; the first was entry %llu",
			(unsigned long long)hold->created);
		return;
	}
	hold = replay_list_add(&r->holds, &entry->created.id);
	hold->goods = replay_goods_of(r, entry->created.sku.data, entry->created.sku.size);
	hold->deadline_ms = replay_internal_ms(r, entry->created.deadline_ms);
	hold->price_micros = entry->created.price_micros;
	memcpy(hold->currency, entry->created.currency, sizeof(hold->currency));
	hold->created = hold->changed = r->sequence;
	hold->user = hash64(entry->created.user.data, entry->created.user.size);
	hold->quantity = entry->created.quantity;
	hold->cart_shard = entry->cart_shard;
	hold->version = 1;
	hold->state = HOLD_HELD;
	if (hold->quantity < 1 || hold->quantity > QUANTITY_MAX)
		replay_hold(r, hold, "has %u units", hold->quantity);
	check_deadline(r, hold, hold->deadline_ms);
	check_grant(r, hold, entry);
	hold->goods->goods.available -= hold->quantity;
	hold->goods->goods.held += hold->quantity;
}

static bool step_exists(uint8_t from, uint8_t to)
{
	if (from == HOLD_HELD)
		return to != HOLD_REFUNDED;
	return from == HOLD_SOLD && to == HOLD_REFUNDED;
}

/* HELD to HELD: made smaller, or bound to an order. */
static void check_stay(struct replay *r, const struct replay_hold *hold, const struct ledger_entry *entry)
{
	bool binds = id_is_zero(&hold->order) && !id_is_zero(&entry->changed.order);
	int64_t deadline_ms = replay_internal_ms(r, entry->changed.deadline_ms);

	if (replay_internal_ms(r, r->time_ms) >= hold->deadline_ms)
		replay_hold(r, hold, "changed after its deadline");
	if (binds) {
		if (entry->changed.quantity != hold->quantity)
			replay_hold(r, hold, "changed its units while it was bound");
		check_deadline(r, hold, deadline_ms);
		return;
	}
	if (!id_is_zero(&hold->order))
		replay_hold(r, hold, "changed alone while its order keeps it");
	if (entry->changed.quantity >= hold->quantity || !entry->changed.quantity)
		replay_hold(r, hold, "resized from %u to %u units", hold->quantity, entry->changed.quantity);
	if (deadline_ms != hold->deadline_ms)
		replay_hold(r, hold, "its deadline was moved by %lld ms",
			(long long)(deadline_ms - hold->deadline_ms));
}

static void check_end(struct replay *r, const struct replay_hold *hold, const struct ledger_entry *entry)
{
	bool late = replay_internal_ms(r, r->time_ms) >= hold->deadline_ms;
	enum hold_state to = entry->changed.state;

	if (entry->changed.quantity != hold->quantity)
		replay_hold(r, hold, "ended with %u units of %u", entry->changed.quantity, hold->quantity);
	if (to == HOLD_EXPIRED && !late)
		replay_hold(r, hold, "EXPIRED before its deadline");
	if ((to == HOLD_SOLD || to == HOLD_RELEASED) && late)
		replay_hold(r, hold, "%s after its deadline", replay_state_name(to));
	if (replay_internal_ms(r, entry->changed.deadline_ms) != hold->deadline_ms)
		replay_hold(r, hold, "its deadline was moved at its end");
	if ((to == HOLD_SOLD) != (entry->changed.payment.size > 0))
		replay_hold(r, hold, "%s %s a payment reference", replay_state_name(to),
			to == HOLD_SOLD ? "without" : "with");
	if (id_compare(&entry->changed.order, &hold->order) != 0)
		replay_hold(r, hold, "its order is another one at its end");
	if (to == HOLD_REFUNDED && id_is_zero(&hold->order))
		replay_hold(r, hold, "REFUNDED without an order");
}

static void check_change(struct replay *r, const struct replay_hold *hold, const struct ledger_entry *entry)
{
	const char *sku = hold->goods->goods.sku;

	if (entry->changed.version != hold->version + 1)
		replay_hold(r, hold, "version %u follows on %u", entry->changed.version, hold->version);
	if (entry->changed.quantity_before != hold->quantity)
		replay_hold(r, hold, "has %u units, the entry says that it had %u", hold->quantity,
			entry->changed.quantity_before);
	if (entry->changed.sku.size != strlen(sku) || memcmp(entry->changed.sku.data, sku, strlen(sku)) != 0)
		replay_hold(r, hold, "the entry names another SKU: %.*s", (int)entry->changed.sku.size,
			(const char *)entry->changed.sku.data);
	if (entry->cart_shard != hold->cart_shard)
		replay_hold(
			r, hold, "of cart shard %u, the entry says %u", hold->cart_shard, entry->cart_shard);
	if (!step_exists(hold->state, (uint8_t)entry->changed.state))
		replay_hold(r, hold, "%s after %s", replay_state_name((uint8_t)entry->changed.state),
			replay_state_name(hold->state));
	else if (entry->changed.state == HOLD_HELD)
		check_stay(r, hold, entry);
	else
		check_end(r, hold, entry);
}

/* The units of a hold in one state; `sign` -1: they leave it. */
static void count(struct replay_hold *hold, int64_t sign)
{
	struct goods *goods = &hold->goods->goods;
	int64_t units = sign * hold->quantity;

	switch (hold->state) {
	case HOLD_HELD:
		goods->held += units;
		break;
	case HOLD_SOLD:
		goods->sold += units;
		break;
	default:
		return;
	}
	goods->available -= units;
}

void replay_changed(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_hold *hold = replay_list_find(&r->holds, &entry->changed.id);
	char text[ID_TEXT_LENGTH + 1];
	bool bound;

	if (!hold) {
		replay_entry(r, "hold %s: never made", id_format(&entry->changed.id, text));
		return;
	}
	if (hold->gone && !hold->created) { /* the first entry that is left of it */
		hold->created = r->sequence;
		hold->version = entry->changed.version - 1;
		hold->deadline_ms = replay_internal_ms(r, entry->changed.deadline_ms);
		if (entry->changed.state != HOLD_HELD)
			hold->order = entry->changed.order;
	}
	check_change(r, hold, entry);
	bound = entry->changed.state == HOLD_HELD && id_is_zero(&hold->order) &&
		!id_is_zero(&entry->changed.order);
	count(hold, -1);
	hold->state = (uint8_t)entry->changed.state;
	hold->quantity = entry->changed.quantity;
	hold->version = entry->changed.version;
	hold->deadline_ms = replay_internal_ms(r, entry->changed.deadline_ms);
	hold->order = entry->changed.order;
	hold->changed = r->sequence;
	count(hold, 1);
	if (!id_is_zero(&hold->order))
		replay_order_moves(r, hold, bound);
	else
		replay_order_is_over(r);
}

/* ---- goods ---- */

static void check_goods(struct replay *r, const struct replay_goods *before, const struct goods *after)
{
	const struct goods *goods = &before->goods;

	if (after->held != goods->held || after->sold != goods->sold)
		replay_entry(r, "goods %s: the entry has %lld held and %lld sold, the replay %lld and %lld",
			after->sku, (long long)after->held, (long long)after->sold, (long long)goods->held,
			(long long)goods->sold);
	if (!before->known) {
		if (after->version != 1 && r->floor == 0)
			replay_entry(r, "goods %s: made with version %llu", after->sku,
				(unsigned long long)after->version);
		return;
	}
	if (after->version != goods->version + 1)
		replay_entry(r, "goods %s: version %llu follows on %llu", after->sku,
			(unsigned long long)after->version, (unsigned long long)goods->version);
	if (after->number != goods->number)
		replay_entry(r, "goods %s: number %u became %u", after->sku, goods->number, after->number);
	if (after->closed && goods->closed)
		replay_entry(r, "goods %s: changed while closed", after->sku);
}

void replay_goods_changed(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_goods *row = replay_goods_of(r, entry->goods.sku, strlen(entry->goods.sku));
	int64_t held = row->goods.held, sold = row->goods.sold;

	replay_order_is_over(r);
	if (hash_shard(entry->goods.sku, r->store->shards) != r->store->shard)
		replay_entry(r, "goods %s: belong to another shard", entry->goods.sku);
	if (!replay_sparse(r))
		check_goods(r, row, &entry->goods);
	row->goods = entry->goods;
	if (replay_sparse(r)) { /* units of what is gone are in it */
		row->goods.held = held;
		row->goods.sold = sold;
		row->goods.available = row->goods.stock - held - sold;
	}
	row->known = true;
}

/* What it has dropped is not in the ledger any more, and counted from the beginning. */
void replay_archived(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_goods *goods = replay_goods_of(r, entry->archived.sku.data, entry->archived.sku.size);

	replay_order_is_over(r);
	if (!replay_sparse(r) && (!goods->known || !goods->goods.closed))
		replay_entry(r, "goods %s: archived while they were on sale", goods->goods.sku);
	goods->archived += (int64_t)entry->archived.units;
}

/* ---- carts, incarnations ---- */

void replay_fenced(struct replay *r, const struct ledger_entry *entry)
{
	struct replay_cart *cart;

	replay_order_is_over(r);
	HASH_FIND(hh, r->carts, &entry->cart_shard, sizeof(entry->cart_shard), cart);
	if (!cart) {
		cart = NEW(struct replay_cart);
		cart->shard = entry->cart_shard;
		HASH_ADD(hh, r->carts, shard, sizeof(cart->shard), cart);
	}
	if (entry->fenced.epoch <= cart->fence.epoch)
		replay_entry(r, "cart shard %u: epoch %llu follows on %llu", entry->cart_shard,
			(unsigned long long)entry->fenced.epoch, (unsigned long long)cart->fence.epoch);
	if (entry->cart_shard >= entry->fenced.cart_shards || entry->fenced.cart_shards > CART_SHARDS_MAX ||
		(r->cart_shards && entry->fenced.cart_shards != r->cart_shards))
		replay_entry(r, "cart shard %u of %u, there are %u", entry->cart_shard,
			entry->fenced.cart_shards, r->cart_shards);
	r->cart_shards = entry->fenced.cart_shards;
	cart->fence.epoch = entry->fenced.epoch;
	cart->fence.sequence = r->sequence;
	memcpy(cart->fence.instance, entry->fenced.instance, INSTANCE_BYTES);
}

void replay_incarnation(struct replay *r, const struct ledger_entry *entry)
{
	replay_order_is_over(r);
	if (entry->incarnation.number <= r->incarnation)
		replay_entry(r, "incarnation %llu follows on %llu",
			(unsigned long long)entry->incarnation.number, (unsigned long long)r->incarnation);
	if (entry->incarnation.moved_ms < 0)
		replay_entry(r, "deadlines moved back by %lld ms", (long long)-entry->incarnation.moved_ms);
	r->incarnation = entry->incarnation.number;
	r->shift_ms += entry->incarnation.moved_ms; /* its own time has it already */
}
