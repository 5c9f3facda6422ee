/* The engine at its limits: every state of a hold against every command, each command twice, and numbers from the ends of their ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/engine.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct goods opened(int64_t quantity)
{
	struct goods goods = {.sku = "SKU0001", .number = 7};
	const struct goods_terms terms = {.quantity = quantity, .price_micros = 5, .currency = "USD"};

	assert_int_equal(engine_goods_open(&goods, &terms), VERDICT_YES);
	return goods;
}

static void books_that_do_not_balance_are_seen(void **state)
{
	static const struct goods cases[] = {
		{.available = -1, .held = 1},
		{.held = -1, .available = 1},
		{.sold = -1, .available = 1},
		{.stock = STOCK_MAX + 1, .available = STOCK_MAX + 1},
		{.stock = STOCK_MAX + 1, .held = STOCK_MAX + 1},
		{.stock = STOCK_MAX + 1, .sold = STOCK_MAX + 1},
		{.stock = STOCK_MAX + 1, .available = STOCK_MAX, .held = 1},
		{.available = INT64_MAX, .held = INT64_MAX, .sold = INT64_MAX},
		{.stock = 1},
		{.stock = 1, .held = 2},
		{.stock = 1, .sold = 1, .archived = -1},
		{.stock = 1, .sold = 1, .archived = 2},
	};
	const struct goods fine = {.stock = STOCK_MAX, .available = STOCK_MAX - 2, .held = 1, .sold = 1};

	assert_true(goods_balanced(&fine));
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_false(goods_balanced(&cases[i]));
}

static void every_number_of_goods_has_its_range(void **state)
{
	static const struct goods_terms bad[] = {
		{.quantity = -1},
		{.quantity = INT64_MIN},
		{.quantity = STOCK_MAX + 1},
		{.quantity = INT64_MAX},
		{.price_micros = -1},
		{.price_micros = PRICE_MAX + 1},
		{.hold_ttl_ms = -1},
		{.hold_ttl_ms = HOLD_TTL_MIN_MS - 1},
		{.hold_ttl_ms = HOLD_TTL_MAX_MS + 1},
	};
	static const struct goods_terms fine[] = {
		{.quantity = 0},
		{.quantity = STOCK_MAX, .price_micros = PRICE_MAX, .hold_ttl_ms = HOLD_TTL_MAX_MS},
		{.hold_ttl_ms = HOLD_TTL_MIN_MS},
	};
	struct goods goods, before;

	for (size_t i = 0; i < COUNT(bad) + COUNT(fine); i++) {
		bool is_fine = i >= COUNT(bad);
		const struct goods_terms *terms = is_fine ? &fine[i - COUNT(bad)] : &bad[i];
		const struct goods_update update = {.has_quantity = true,
			.has_price = true,
			.has_hold_ttl = true,
			.quantity = terms->quantity,
			.price_micros = terms->price_micros,
			.hold_ttl_ms = terms->hold_ttl_ms};
		enum verdict expected = is_fine ? VERDICT_YES : VERDICT_INVALID;

		goods = before = (struct goods){.number = 1};
		assert_int_equal(engine_terms_valid(terms), is_fine);
		assert_int_equal(engine_goods_open(&goods, terms), expected);
		if (!is_fine)
			assert_memory_equal(&goods, &before, sizeof(goods));
		goods = before = opened(3);
		assert_int_equal(engine_goods_update(&goods, &update), expected);
		if (!is_fine)
			assert_memory_equal(&goods, &before, sizeof(goods)); /* not half of it */
	}
}

static void what_is_held_and_sold_leaves_less_room(void **state)
{
	struct goods goods = opened(STOCK_MAX);
	struct goods_terms terms = {.quantity = STOCK_MAX, .currency = "USD"};
	struct hold hold;

	engine_hold(&goods, QUANTITY_MAX, 0, HOLD_TTL_MAX_MS, 0, &hold);
	assert_int_equal(engine_goods_adjust(&goods, 1), VERDICT_INVALID);
	assert_int_equal(engine_goods_close(&goods), VERDICT_YES);
	assert_int_equal(engine_goods_open(&goods, &terms), VERDICT_INVALID);
	terms.quantity -= QUANTITY_MAX;
	assert_int_equal(engine_goods_open(&goods, &terms), VERDICT_YES);
	assert_int_equal(goods.stock, STOCK_MAX);
}

static void epochs_end_before_they_wrap(void **state)
{
	const uint8_t one[INSTANCE_BYTES] = "one", two[INSTANCE_BYTES] = "two";
	struct fence fence = {0};

	assert_int_equal(engine_fence(&fence, UINT64_MAX, one), VERDICT_INVALID);
	assert_int_equal(engine_fence(&fence, EPOCH_MAX + 1, one), VERDICT_INVALID);
	assert_int_equal(fence.epoch, 0);
	assert_int_equal(engine_fence(&fence, EPOCH_MAX - 1, one), VERDICT_YES);
	assert_int_equal(engine_fence(&fence, EPOCH_MAX, two), VERDICT_YES);
	assert_int_equal(engine_fence(&fence, EPOCH_MAX, two), VERDICT_REPEATED);
}

/* ---- every state against every command ---- */

enum hold_command { RELEASE, CONFIRM_SAME, CONFIRM_OTHER, RESIZE_LESS, RESIZE_SAME, RESIZE_MORE, COMMANDS };

static enum verdict give(struct goods *goods, struct hold *hold, enum hold_command command)
{
	switch (command) {
	case RELEASE:
		return engine_release(goods, hold);
	case CONFIRM_SAME:
	case CONFIRM_OTHER:
		return engine_confirm(goods, hold, command == CONFIRM_SAME);
	case RESIZE_LESS:
		return engine_resize(goods, hold, hold->quantity - 1);
	case RESIZE_SAME:
		return engine_resize(goods, hold, hold->quantity);
	case RESIZE_MORE:
		return engine_resize(goods, hold, hold->quantity + 1);
	case COMMANDS:
		break;
	}
	return VERDICT_COUNT;
}

/* Of a hold of 4 units among 10. */
static struct hold in_state(struct goods *goods, enum hold_state state, bool kept)
{
	const struct id order = {{1}};
	struct hold hold = {0};

	*goods = opened(10);
	engine_hold(goods, 4, 0, 1000, 0, &hold);
	if (kept)
		engine_bind(&hold, &order, 1000);
	if (kept || state == HOLD_REFUNDED) {
		hold.order = order; /* only orders are refunded */
		if (state == HOLD_SOLD || state == HOLD_REFUNDED)
			engine_order_move(goods, &hold, HOLD_SOLD);
		if (state != HOLD_HELD && state != HOLD_SOLD)
			engine_order_move(goods, &hold, state);
	} else if (state == HOLD_SOLD) {
		engine_confirm(goods, &hold, false);
	} else if (state == HOLD_RELEASED) {
		engine_release(goods, &hold);
	} else if (state == HOLD_EXPIRED) {
		assert_true(engine_settle(goods, &hold, 1000));
	}
	assert_int_equal(hold.state, state);
	return hold;
}

#define WRONG VERDICT_WRONG_STATE
#define LATE VERDICT_HOLD_EXPIRED
static const enum verdict alone[HOLD_REFUNDED + 1][COMMANDS] = {
	/*                release, confirm the same, confirm another; resize to less, the same, more */
	[HOLD_HELD] = {VERDICT_YES, VERDICT_YES, VERDICT_YES, VERDICT_YES, VERDICT_REPEATED, VERDICT_INVALID},
	[HOLD_SOLD] = {WRONG, VERDICT_REPEATED, WRONG, WRONG, WRONG, WRONG},
	[HOLD_RELEASED] = {VERDICT_REPEATED, WRONG, WRONG, WRONG, WRONG, WRONG},
	[HOLD_EXPIRED] = {LATE, LATE, LATE, LATE, LATE, LATE},
	[HOLD_REFUNDED] = {WRONG, WRONG, WRONG, WRONG, WRONG, WRONG},
};
static const enum verdict kept[HOLD_REFUNDED + 1][COMMANDS] = {
	[HOLD_HELD] = {WRONG, WRONG, WRONG, WRONG, WRONG, WRONG},
	[HOLD_SOLD] = {WRONG, WRONG, WRONG, WRONG, WRONG, WRONG},
	[HOLD_RELEASED] = {VERDICT_REPEATED, WRONG, WRONG, WRONG, WRONG, WRONG},
	[HOLD_EXPIRED] = {LATE, LATE, LATE, LATE, LATE, LATE},
	[HOLD_REFUNDED] = {WRONG, WRONG, WRONG, WRONG, WRONG, WRONG},
};

static void every_state_against_every_command(void **state)
{
	for (enum hold_state from = HOLD_HELD; from <= HOLD_REFUNDED; from++)
		for (enum hold_command command = 0; command < COMMANDS; command++)
			for (int in_order = 0; in_order < 2; in_order++) {
				struct goods goods, before;
				struct hold hold = in_state(&goods, from, in_order), was = hold;
				enum verdict expected = (in_order ? kept : alone)[from][command];

				before = goods;
				assert_int_equal(give(&goods, &hold, command), expected);
				assert_true(goods_balanced(&goods));
				if (expected == VERDICT_YES)
					continue;
				assert_memory_equal(
					&goods, &before, sizeof(goods)); /* a no changes nothing */
				assert_memory_equal(&hold, &was, sizeof(hold));
			}
}

/* What said yes says that it was so already, and nothing moves a second time. */
static void every_command_twice(void **state)
{
	static const enum hold_command commands[] = {RELEASE, CONFIRM_SAME};

	for (size_t i = 0; i < COUNT(commands); i++) {
		struct goods goods, after;
		struct hold hold = in_state(&goods, HOLD_HELD, false), was;

		assert_int_equal(give(&goods, &hold, commands[i]), VERDICT_YES);
		after = goods;
		was = hold;
		assert_int_equal(give(&goods, &hold, commands[i]), VERDICT_REPEATED);
		assert_memory_equal(&goods, &after, sizeof(goods));
		assert_memory_equal(&hold, &was, sizeof(hold));
	}
}

/* ---- at random, with numbers from the ends ---- */

static const int64_t numbers[] = {0, 1, 2, 99, 100, 101, 999999, 1000000, 1000001, UINT32_MAX, STOCK_MAX - 1,
	STOCK_MAX, STOCK_MAX + 1, PRICE_MAX, PRICE_MAX + 1, HOLD_TTL_MAX_MS, HOLD_TTL_MAX_MS + 1,
	INT64_MAX - 1, INT64_MAX, INT64_MIN, INT64_MIN + 1, -STOCK_MAX, -1};

#define HOLDS 64
#define STEPS 400000

struct chance {
	unsigned seed;
	struct goods goods;
	struct hold holds[HOLDS];
	struct fence fence;
};

static unsigned any(struct chance *c, unsigned count)
{
	return (unsigned)rand_r(&c->seed) % count;
}

static int64_t any_number(struct chance *c)
{
	return numbers[any(c, COUNT(numbers))];
}

static void command_goods(struct chance *c)
{
	const struct goods_update update = {any(c, 2), any(c, 2), any(c, 2), any_number(c), any_number(c),
		any_number(c), any(c, 4) ? 0 : c->goods.version};
	const struct goods_terms terms = {any_number(c), any_number(c), any_number(c), "USD"};
	struct goods before = c->goods;
	enum verdict verdict;

	switch (any(c, 8)) {
	case 0:
		verdict = engine_goods_close(&c->goods);
		break;
	case 1:
	case 2:
		verdict = engine_goods_open(&c->goods, &terms);
		break;
	case 3:
		verdict = engine_goods_adjust(&c->goods, any_number(c));
		break;
	default:
		verdict = engine_goods_update(&c->goods, &update);
		break;
	}
	assert_int_equal(c->goods.version, before.version + (verdict == VERDICT_YES));
	if (verdict != VERDICT_YES)
		assert_memory_equal(&c->goods, &before, sizeof(before));
}

static void command_hold(struct chance *c, struct hold *hold, int64_t now_ms)
{
	uint32_t quantity = (uint32_t)any_number(c);
	int64_t total_micros = any_number(c);

	if (hold->state != HOLD_HELD && hold->state != HOLD_SOLD &&
		engine_can_hold(&c->goods, quantity) == VERDICT_YES) {
		engine_hold(&c->goods, quantity, any_number(c), HOLD_TTL_MAX_MS, now_ms, hold);
		assert_true(hold->deadline_ms > now_ms && hold->deadline_ms <= now_ms + HOLD_TTL_MAX_MS);
	}
	if (!hold->state)
		return;
	engine_add_price(&total_micros, hold);
	assert_true(engine_order_ttl_ms(any_number(c), &c->goods, 1000) > 0);
	if (id_is_zero(&hold->order))
		engine_settle(&c->goods, hold, now_ms);
	if (any(c, 2))
		engine_resize(&c->goods, hold, quantity);
	else
		give(&c->goods, hold, any(c, RESIZE_LESS));
}

static void no_number_breaks_the_books(void **state)
{
	struct chance *c = calloc(1, sizeof(*c));
	const uint8_t instances[2][INSTANCE_BYTES] = {"one", "two"};
	uint64_t epoch = 0;

	c->seed = 7;
	c->goods = opened(STOCK_MAX);
	for (int i = 0; i < STEPS; i++) {
		if (any(c, 3) == 0)
			command_goods(c);
		else
			command_hold(c, &c->holds[any(c, HOLDS)], INT64_C(1700000000000) + i * 1000);
		engine_fence(&c->fence, (uint64_t)any_number(c), instances[any(c, 2)]);
		assert_true(goods_balanced(&c->goods));
		assert_true(c->fence.epoch >= epoch && c->fence.epoch <= EPOCH_MAX);
		epoch = c->fence.epoch;
	}
	assert_true(c->goods.sold > 0);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(books_that_do_not_balance_are_seen),
		cmocka_unit_test(every_number_of_goods_has_its_range),
		cmocka_unit_test(what_is_held_and_sold_leaves_less_room),
		cmocka_unit_test(epochs_end_before_they_wrap),
		cmocka_unit_test(every_state_against_every_command),
		cmocka_unit_test(every_command_twice),
		cmocka_unit_test(no_number_breaks_the_books),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
