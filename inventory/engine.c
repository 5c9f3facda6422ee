#include "inventory/engine.h"

#include <assert.h>
#include <string.h>

bool goods_balanced(const struct goods *goods)
{
	return goods->available >= 0 && goods->held >= 0 && goods->sold >= 0 &&
	       goods->available <= STOCK_MAX && goods->held <= STOCK_MAX && goods->sold <= STOCK_MAX &&
	       goods->stock <= STOCK_MAX && goods->stock == goods->available + goods->held + goods->sold &&
	       goods->archived >= 0 && goods->archived <= goods->sold;
}

/* Whether so many can be available beside what is held and sold. */
static bool fits(const struct goods *goods, int64_t quantity)
{
	return quantity >= 0 && quantity <= STOCK_MAX - goods->held - goods->sold;
}

/* Sets what is available; what is held and sold stays. */
static void set_available(struct goods *goods, int64_t quantity)
{
	goods->available = quantity;
	goods->stock = quantity + goods->held + goods->sold;
}

static bool price_valid(int64_t price_micros)
{
	return price_micros >= 0 && price_micros <= PRICE_MAX;
}

static bool hold_ttl_valid(int64_t ttl_ms)
{
	return ttl_ms == 0 || (ttl_ms >= HOLD_TTL_MIN_MS && ttl_ms <= HOLD_TTL_MAX_MS);
}

bool engine_terms_valid(const struct goods_terms *terms)
{
	return terms->quantity >= 0 && terms->quantity <= STOCK_MAX && price_valid(terms->price_micros) &&
	       hold_ttl_valid(terms->hold_ttl_ms);
}

enum verdict engine_goods_open(struct goods *goods, const struct goods_terms *terms)
{
	if (goods->version > 0 && !goods->closed)
		return VERDICT_ALREADY_OPEN;
	if (!engine_terms_valid(terms) || !fits(goods, terms->quantity))
		return VERDICT_INVALID;
	set_available(goods, terms->quantity);
	goods->price_micros = terms->price_micros;
	goods->hold_ttl_ms = terms->hold_ttl_ms;
	memcpy(goods->currency, terms->currency, sizeof(goods->currency));
	goods->closed = false;
	goods->version++;
	assert(goods_balanced(goods));
	return VERDICT_YES;
}

enum verdict engine_goods_update(struct goods *goods, const struct goods_update *update)
{
	if (goods->closed)
		return VERDICT_UNKNOWN_SKU;
	if (update->if_version && update->if_version != goods->version)
		return VERDICT_VERSION_MISMATCH;
	if ((update->has_quantity && !fits(goods, update->quantity)) ||
		(update->has_price && !price_valid(update->price_micros)) ||
		(update->has_hold_ttl && !hold_ttl_valid(update->hold_ttl_ms)))
		return VERDICT_INVALID;
	if (update->has_quantity)
		set_available(goods, update->quantity);
	if (update->has_price)
		goods->price_micros = update->price_micros;
	if (update->has_hold_ttl)
		goods->hold_ttl_ms = update->hold_ttl_ms;
	goods->version++;
	assert(goods_balanced(goods));
	return VERDICT_YES;
}

enum verdict engine_goods_adjust(struct goods *goods, int64_t change)
{
	if (goods->closed)
		return VERDICT_UNKNOWN_SKU;
	if (change < -goods->available)
		return VERDICT_NOT_ENOUGH;
	if (change > STOCK_MAX - goods->stock)
		return VERDICT_INVALID;
	goods->available += change;
	goods->stock += change;
	goods->version++;
	assert(goods_balanced(goods));
	return VERDICT_YES;
}

enum verdict engine_goods_close(struct goods *goods)
{
	if (goods->closed)
		return VERDICT_UNKNOWN_SKU;
	goods->closed = true;
	goods->version++;
	return VERDICT_YES;
}

enum verdict engine_can_hold(const struct goods *goods, uint32_t quantity)
{
	if (quantity < 1 || quantity > QUANTITY_MAX)
		return VERDICT_INVALID;
	if (goods->closed)
		return VERDICT_CLOSED;
	if (goods->available == 0)
		return VERDICT_SOLD_OUT;
	return goods->available < quantity ? VERDICT_NOT_ENOUGH : VERDICT_YES;
}

void engine_hold(struct goods *goods, uint32_t quantity, int64_t ttl_ms, int64_t standard_ttl_ms,
	int64_t now_ms, struct hold *ret)
{
	int64_t ttl_max_ms = goods->hold_ttl_ms ? goods->hold_ttl_ms : standard_ttl_ms;

	assert(engine_can_hold(goods, quantity) == VERDICT_YES);
	goods->available -= quantity;
	goods->held += quantity;
	assert(goods_balanced(goods));
	memset(&ret->order, 0, sizeof(ret->order));
	ret->goods = goods->number;
	ret->quantity = quantity;
	ret->version = 1;
	ret->state = HOLD_HELD;
	ret->deadline_ms = now_ms + (ttl_ms > 0 && ttl_ms < ttl_max_ms ? ttl_ms : ttl_max_ms);
	ret->price_micros = goods->price_micros;
}

/* Units of a HELD hold go back on sale. */
static void give_back(struct goods *goods, uint32_t quantity)
{
	assert(goods->held >= quantity);
	goods->held -= quantity;
	goods->available += quantity;
	assert(goods_balanced(goods));
}

bool engine_settle(struct goods *goods, struct hold *hold, int64_t now_ms)
{
	assert(hold->goods == goods->number && id_is_zero(&hold->order));
	if (hold->state != HOLD_HELD || now_ms < hold->deadline_ms)
		return false;
	give_back(goods, hold->quantity);
	hold->state = HOLD_EXPIRED;
	return true;
}

bool engine_is_kept(const struct hold *hold)
{
	return !id_is_zero(&hold->order) && (hold->state == HOLD_HELD || hold->state == HOLD_SOLD);
}

enum verdict engine_release(struct goods *goods, struct hold *hold)
{
	assert(hold->goods == goods->number);
	if (engine_is_kept(hold))
		return VERDICT_WRONG_STATE;
	switch (hold->state) {
	case HOLD_HELD:
		give_back(goods, hold->quantity);
		hold->state = HOLD_RELEASED;
		return VERDICT_YES;
	case HOLD_RELEASED:
		return VERDICT_REPEATED;
	case HOLD_EXPIRED:
		return VERDICT_HOLD_EXPIRED;
	case HOLD_SOLD:
	case HOLD_REFUNDED:
		break;
	}
	return VERDICT_WRONG_STATE;
}

/* Units of a HELD hold are sold. */
static void sell(struct goods *goods, uint32_t quantity)
{
	assert(goods->held >= quantity);
	goods->held -= quantity;
	goods->sold += quantity;
	assert(goods_balanced(goods));
}

enum verdict engine_confirm(struct goods *goods, struct hold *hold, bool same_payment)
{
	assert(hold->goods == goods->number);
	if (engine_is_kept(hold))
		return VERDICT_WRONG_STATE;
	switch (hold->state) {
	case HOLD_HELD:
		sell(goods, hold->quantity);
		hold->state = HOLD_SOLD;
		return VERDICT_YES;
	case HOLD_SOLD:
		return same_payment ? VERDICT_REPEATED : VERDICT_WRONG_STATE;
	case HOLD_EXPIRED:
		return VERDICT_HOLD_EXPIRED;
	case HOLD_RELEASED:
	case HOLD_REFUNDED:
		break;
	}
	return VERDICT_WRONG_STATE;
}

enum verdict engine_resize(struct goods *goods, struct hold *hold, uint32_t quantity)
{
	assert(hold->goods == goods->number);
	if (hold->state == HOLD_EXPIRED)
		return VERDICT_HOLD_EXPIRED;
	if (hold->state != HOLD_HELD || engine_is_kept(hold))
		return VERDICT_WRONG_STATE;
	if (quantity < 1 || quantity > hold->quantity)
		return VERDICT_INVALID;
	if (quantity == hold->quantity)
		return VERDICT_REPEATED;
	give_back(goods, hold->quantity - quantity);
	hold->quantity = quantity;
	return VERDICT_YES;
}

enum verdict engine_can_bind(const struct hold *hold)
{
	if (hold->state == HOLD_EXPIRED)
		return VERDICT_HOLD_EXPIRED;
	return hold->state == HOLD_HELD && id_is_zero(&hold->order) ? VERDICT_YES : VERDICT_WRONG_STATE;
}

bool engine_add_price(int64_t *total_micros, const struct hold *hold)
{
	int64_t price_micros, sum_micros;

	if (__builtin_mul_overflow(hold->price_micros, (int64_t)hold->quantity, &price_micros) ||
		__builtin_add_overflow(*total_micros, price_micros, &sum_micros))
		return false;
	*total_micros = sum_micros;
	return true;
}

int64_t engine_order_ttl_ms(int64_t ttl_ms, const struct goods *goods, int64_t standard_ttl_ms)
{
	int64_t allowed_ms = goods->hold_ttl_ms ? goods->hold_ttl_ms : standard_ttl_ms;

	return ttl_ms > 0 && ttl_ms < allowed_ms ? ttl_ms : allowed_ms;
}

void engine_bind(struct hold *hold, const struct id *order, int64_t deadline_ms)
{
	assert(engine_can_bind(hold) == VERDICT_YES);
	hold->order = *order;
	hold->deadline_ms = deadline_ms;
}

bool engine_order_overdue(const struct order *order, int64_t now_ms)
{
	return order->state == HOLD_HELD && now_ms >= order->deadline_ms;
}

enum verdict engine_order_judge(const struct order *order, enum hold_state to, bool same_payment)
{
	if (order->state == to)
		return to != HOLD_SOLD || same_payment ? VERDICT_REPEATED : VERDICT_WRONG_STATE;
	if (order->state == (to == HOLD_REFUNDED ? HOLD_SOLD : HOLD_HELD))
		return VERDICT_YES;
	if (order->state == HOLD_EXPIRED && to != HOLD_REFUNDED)
		return VERDICT_HOLD_EXPIRED;
	return VERDICT_WRONG_STATE;
}

void engine_order_move(struct goods *goods, struct hold *hold, enum hold_state to)
{
	assert(hold->goods == goods->number && !id_is_zero(&hold->order));
	assert(hold->state == (to == HOLD_REFUNDED ? HOLD_SOLD : HOLD_HELD) && to != HOLD_HELD);
	if (to == HOLD_SOLD) {
		sell(goods, hold->quantity);
	} else if (to == HOLD_REFUNDED) {
		assert(goods->sold >= hold->quantity);
		goods->sold -= hold->quantity;
		goods->available += hold->quantity;
		assert(goods_balanced(goods));
	} else {
		give_back(goods, hold->quantity);
	}
	hold->state = to;
}

enum verdict engine_fence(struct fence *fence, uint64_t epoch, const uint8_t instance[INSTANCE_BYTES])
{
	if (epoch > EPOCH_MAX)
		return VERDICT_INVALID;
	if (epoch > fence->epoch) {
		fence->epoch = epoch;
		memcpy(fence->instance, instance, INSTANCE_BYTES);
		return VERDICT_YES;
	}
	return engine_check_epoch(fence, epoch, instance) == VERDICT_YES ? VERDICT_REPEATED
									 : VERDICT_STALE_EPOCH;
}

enum verdict engine_check_epoch(
	const struct fence *fence, uint64_t epoch, const uint8_t instance[INSTANCE_BYTES])
{
	if (epoch == 0 || epoch != fence->epoch || memcmp(fence->instance, instance, INSTANCE_BYTES) != 0)
		return VERDICT_STALE_EPOCH;
	return VERDICT_YES;
}
