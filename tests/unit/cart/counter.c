/* tests/unit/cart/counter.c - see counter.h. */
#include "counter.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static struct order_item items[ORDER_HOLDS_MAX];

static void on_decide(void *context, struct order *order)
{
	struct counter *counter = context;

	assert(counter->decisions < COUNTER_MAX);
	counter->deciding[counter->decisions++] = order;
	counter->decided++;
}

static void on_undecide(void *context, struct order *order)
{
	struct counter *counter = context;

	counter->undeciding[counter->undecisions++] = order;
}

static void on_ask(void *context, struct order *order)
{
	struct counter *counter = context;

	assert(!order->storing && counter->asks < COUNTER_MAX);
	counter->asking[counter->asks++] = order;
	counter->asked++;
	counter->last_wish = order->wish;
}

static void on_told(void *context, struct order_waiter *waiter, const struct order *order)
{
	struct counter *counter = context;

	counter->told++;
	counter->outcome = waiter->outcome;
}

static void on_stored(void *context, const struct order *order)
{
	((struct counter *)context)->stored++;
}

static void on_forgotten(void *context, const struct order *order)
{
	((struct counter *)context)->forgotten++;
}

static void on_changed(void *context, const struct order *order)
{
	((struct counter *)context)->changed++;
}

static void on_succeeded(void *context, uint32_t shard)
{
	((struct counter *)context)->succeeded++;
}

struct counter *counter_new_sharded(uint32_t shards, uint32_t cart_shards, uint32_t cart_shard)
{
	struct counter *counter = NEW(struct counter);
	struct cart_options cart = {.shards = shards,
		.attempts_max = 10,
		.queue_max = 10,
		.ended_max = 1000,
		.clock = &counter->clock.base,
		.effects = {.succeeded = on_succeeded},
		.context = counter};
	struct orders_options options = {.cart_shard = cart_shard,
		.cart_shards = cart_shards,
		.asks_max = COUNTER_MAX,
		.ended_max = 1000,
		.effects = {.decide = on_decide,
			.undecide = on_undecide,
			.ask = on_ask,
			.told = on_told,
			.stored = on_stored,
			.forgotten = on_forgotten,
			.changed = on_changed},
		.context = counter};

	counter->now_ms = COUNTER_NOW_MS;
	clock_manual_init(&counter->clock, counter->now_ms, 0);
	options.cart = counter->cart = cart_new(&cart);
	for (uint32_t shard = 0; shard < shards; shard++) {
		counter->cart->links[shard].usable = counter->cart->links[shard].was_usable = true;
		counter->cart->links[shard].fence.accepted = 1;
	}
	counter->orders = orders_new(&options);
	return counter;
}

struct counter *counter_new(uint32_t shards)
{
	return counter_new_sharded(shards, 1, 0);
}

void counter_free(struct counter *counter)
{
	orders_free(counter->orders);
	cart_free(counter->cart);
	free(counter);
}

struct id counter_id(uint32_t number)
{
	struct id id = {{1, 2, 3, 4, 5, 6, 0x70}};

	for (int i = 0; i < 4; i++)
		id.bytes[12 + i] = (uint8_t)(number >> (24 - 8 * i));
	return id;
}

struct line *counter_hold(
	struct counter *counter, uint32_t number, const char *user, const char *sku, uint32_t quantity)
{
	const struct hold hold = {.id = counter_id(number),
		.user = span_of(user),
		.sku = span_of(sku),
		.session = span_of(""),
		.state = LINE_HELD,
		.quantity = quantity,
		.deadline_ms = counter->now_ms + COUNTER_HOLD_MS,
		.created_ms = counter->now_ms,
		.price_micros = 5000000,
		.version = 1};

	return lines_add(&counter->cart->lines, &hold);
}

static struct order *take(struct order **list, size_t *count)
{
	struct order *first = list[0];

	assert(*count);
	memmove(list, list + 1, --*count * sizeof(*list));
	return first;
}

void counter_store(struct counter *counter, Common__Reason failure)
{
	orders_decided(
		counter->orders, take(counter->deciding, &counter->decisions), failure, counter->now_ms);
}

void counter_undo(struct counter *counter)
{
	orders_undone(counter->orders, take(counter->undeciding, &counter->undecisions));
}

void counter_answer(struct counter *counter, const struct order_answer *answer)
{
	orders_answered(counter->orders, take(counter->asking, &counter->asks), answer, counter->now_ms);
}

struct order_answer counter_grant(const struct order *order, enum line_state state, uint64_t sequence)
{
	for (uint32_t i = 0; i < order->item_count; i++)
		items[i] = (struct order_item){.hold = order->items[i].hold,
			.quantity = 1,
			.price_micros = 5000000,
			.currency = "USD",
			.sku = "SKU1"};
	return (struct order_answer){.kind = ANSWER_GRANT,
		.state = state,
		.deadline_ms = COUNTER_NOW_MS + COUNTER_HOLD_MS,
		.sequence = sequence,
		.payment = order->payment ? span_of(order->payment) : (struct span){"", 0},
		.items = items,
		.item_count = order->item_count};
}

struct order_answer counter_refusal(Common__Reason reason, uint32_t bad)
{
	struct order_answer answer = {.kind = ANSWER_REFUSAL, .reason = reason};

	if (bad)
		answer.bad = counter_id(bad);
	return answer;
}

void counter_ledger(struct counter *counter, const struct id *id, const char *user, enum line_state state,
	const char *payment)
{
	const struct order *order = orders_find(counter->orders, id);
	struct order_entry entry = {.id = *id,
		.user = span_of(user),
		.payment = span_of(payment),
		.state = state,
		.deadline_ms = COUNTER_NOW_MS + COUNTER_HOLD_MS,
		.time_ms = counter->now_ms};
	uint32_t shard = order ? order->shard : 0;

	counter->cart->links[shard].position++;
	if (state == LINE_HELD && order) {
		counter_grant(order, state, 1);
		entry.item_count = order->item_count;
	} else if (state == LINE_HELD) {
		items[0] = (struct order_item){
			.hold = counter_id(1), .quantity = 1, .currency = "USD", .sku = "SKU1"};
		entry.item_count = 1;
	}
	entry.items = items;
	orders_apply(counter->orders, shard, &entry);
}

size_t counter_checkout(struct counter *counter, const char *user, const char *key, struct order **ret)
{
	struct checkout checkout = {.user = span_of(user), .keyed = key != NULL};
	size_t count;
	bool same;

	if (key)
		checkout.key = key_scope(user, strlen(user), key, strlen(key));
	count = orders_by_key(counter->orders, &checkout, ret, &same);
	return count ? count : orders_checkout(counter->orders, &checkout, ret, counter->now_ms);
}

struct order *counter_open(struct counter *counter)
{
	struct order *orders[CHECKOUT_ORDERS_MAX];
	struct order_answer answer;
	size_t count;

	counter_hold(counter, 1, "ann", "SKU1", 1);
	count = counter_checkout(counter, "ann", NULL, orders);
	assert(count == 1);
	counter_store(counter, COMMON__REASON__REASON_UNSPECIFIED);
	answer = counter_grant(orders[0], LINE_HELD, 1);
	counter_answer(counter, &answer);
	counter_ledger(counter, &orders[0]->id, "ann", LINE_HELD, "");
	return orders[0];
}

void archive_orders(struct counter *counter, uint32_t shard, const char *sku)
{
	struct map_walk walk = {0};

	while (orders_archive(counter->orders, shard, span_of(sku), &walk, 1))
		continue;
}
