#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/engine.h"

static const struct goods_terms terms = {.quantity = 10, .price_micros = 99000000, .currency = "USD"};

static struct goods opened(int64_t quantity)
{
	struct goods goods = {.sku = "SKU0001", .number = 7};
	struct goods_terms own = terms;

	own.quantity = quantity;
	assert_int_equal(engine_goods_open(&goods, &own), VERDICT_YES);
	return goods;
}

static struct hold held(struct goods *goods, uint32_t quantity, int64_t now_ms)
{
	struct hold hold = {0};

	assert_int_equal(engine_can_hold(goods, quantity), VERDICT_YES);
	engine_hold(goods, quantity, 0, 1000, now_ms, &hold);
	return hold;
}

static void is(const struct goods *goods, int64_t stock, int64_t available, int64_t units_held, int64_t sold)
{
	assert_true(goods_balanced(goods));
	assert_int_equal(goods->stock, stock);
	assert_int_equal(goods->available, available);
	assert_int_equal(goods->held, units_held);
	assert_int_equal(goods->sold, sold);
}

static void a_hold_is_all_or_nothing(void **state)
{
	struct goods goods = opened(10);

	held(&goods, 7, 0);
	assert_int_equal(engine_can_hold(&goods, 4), VERDICT_NOT_ENOUGH);
	assert_int_equal(engine_can_hold(&goods, 3), VERDICT_YES);
	is(&goods, 10, 3, 7, 0);
	held(&goods, 3, 0);
	assert_int_equal(engine_can_hold(&goods, 1), VERDICT_SOLD_OUT);
	is(&goods, 10, 0, 10, 0);
}

static void quantities_have_limits(void **state)
{
	struct goods goods = opened(STOCK_MAX);

	assert_int_equal(engine_can_hold(&goods, 0), VERDICT_INVALID);
	assert_int_equal(engine_can_hold(&goods, QUANTITY_MAX), VERDICT_YES);
	assert_int_equal(engine_can_hold(&goods, QUANTITY_MAX + 1), VERDICT_INVALID);
	assert_int_equal(engine_can_hold(&goods, UINT32_MAX), VERDICT_INVALID);
}

static void a_hold_has_the_terms_of_its_goods(void **state)
{
	struct goods goods = opened(10);
	struct hold hold;

	engine_hold(&goods, 2, 0, 600000, 50, &hold);
	assert_int_equal(hold.deadline_ms, 50 + 600000);
	assert_int_equal(hold.price_micros, 99000000);
	assert_int_equal(hold.quantity, 2);
	assert_int_equal(hold.version, 1);
	assert_int_equal(hold.state, HOLD_HELD);
	assert_int_equal(hold.goods, 7);
	assert_true(id_is_zero(&hold.order));
	goods.hold_ttl_ms = 3000;
	engine_hold(&goods, 1, 0, 600000, 50, &hold);
	assert_int_equal(hold.deadline_ms, 3050);
	engine_hold(&goods, 1, 2000, 600000, 50, &hold);
	assert_int_equal(hold.deadline_ms, 2050);
	engine_hold(&goods, 1, 5000, 600000, 50, &hold); /* more than the goods allow */
	assert_int_equal(hold.deadline_ms, 3050);
}

static void released_units_are_available_again_once(void **state)
{
	struct goods goods = opened(10);
	struct hold hold = held(&goods, 4, 0);

	assert_int_equal(engine_release(&goods, &hold), VERDICT_YES);
	assert_int_equal(hold.state, HOLD_RELEASED);
	is(&goods, 10, 10, 0, 0);
	assert_int_equal(engine_release(&goods, &hold), VERDICT_REPEATED);
	is(&goods, 10, 10, 0, 0);
	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_WRONG_STATE);
	assert_int_equal(engine_resize(&goods, &hold, 1), VERDICT_WRONG_STATE);
	assert_false(engine_settle(&goods, &hold, INT64_MAX));
	is(&goods, 10, 10, 0, 0);
}

static void confirmed_units_are_sold_once(void **state)
{
	struct goods goods = opened(10);
	struct hold hold = held(&goods, 4, 0);

	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_YES);
	assert_int_equal(hold.state, HOLD_SOLD);
	is(&goods, 10, 6, 0, 4);
	assert_int_equal(engine_confirm(&goods, &hold, true), VERDICT_REPEATED);
	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_WRONG_STATE);
	assert_int_equal(engine_release(&goods, &hold), VERDICT_WRONG_STATE);
	assert_int_equal(engine_resize(&goods, &hold, 1), VERDICT_WRONG_STATE);
	assert_false(engine_settle(&goods, &hold, INT64_MAX));
	is(&goods, 10, 6, 0, 4);
}

static void the_deadline_itself_is_too_late(void **state)
{
	struct goods goods = opened(10);
	struct hold hold = held(&goods, 4, 500);

	assert_int_equal(hold.deadline_ms, 1500);
	assert_false(engine_settle(&goods, &hold, 1499));
	is(&goods, 10, 6, 4, 0);
	assert_true(engine_settle(&goods, &hold, 1500));
	is(&goods, 10, 10, 0, 0);
	assert_false(engine_settle(&goods, &hold, 1501));
	is(&goods, 10, 10, 0, 0);
	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_HOLD_EXPIRED);
	assert_int_equal(engine_release(&goods, &hold), VERDICT_HOLD_EXPIRED);
	assert_int_equal(engine_resize(&goods, &hold, 1), VERDICT_HOLD_EXPIRED);
	is(&goods, 10, 10, 0, 0);
}

static void a_hold_only_shrinks(void **state)
{
	struct goods goods = opened(10);
	struct hold hold = held(&goods, 4, 0);

	assert_int_equal(engine_resize(&goods, &hold, 5), VERDICT_INVALID);
	assert_int_equal(engine_resize(&goods, &hold, 0), VERDICT_INVALID);
	assert_int_equal(engine_resize(&goods, &hold, 4), VERDICT_REPEATED);
	is(&goods, 10, 6, 4, 0);
	assert_int_equal(engine_resize(&goods, &hold, 1), VERDICT_YES);
	assert_int_equal(hold.quantity, 1);
	is(&goods, 10, 9, 1, 0);
}

static void closing_hides_and_keeps_the_holds(void **state)
{
	struct goods goods = opened(10);
	struct hold one = held(&goods, 4, 0), other = held(&goods, 1, 0);

	assert_int_equal(engine_goods_close(&goods), VERDICT_YES);
	assert_int_equal(engine_can_hold(&goods, 1), VERDICT_CLOSED);
	assert_int_equal(engine_goods_close(&goods), VERDICT_UNKNOWN_SKU);
	assert_int_equal(engine_goods_adjust(&goods, 1), VERDICT_UNKNOWN_SKU);
	assert_int_equal(engine_goods_update(&goods, &(struct goods_update){0}), VERDICT_UNKNOWN_SKU);
	is(&goods, 10, 5, 5, 0);
	assert_int_equal(engine_confirm(&goods, &one, false), VERDICT_YES);
	is(&goods, 10, 5, 1, 4);
	/* opened again: the new quantity is available, what is held and sold stays */
	assert_int_equal(engine_goods_open(&goods, &(struct goods_terms){.quantity = 100, .currency = "EUR"}),
		VERDICT_YES);
	is(&goods, 105, 100, 1, 4);
	assert_int_equal(engine_release(&goods, &other), VERDICT_YES);
	is(&goods, 105, 101, 0, 4);
}

static void open_goods_are_not_opened_again(void **state)
{
	struct goods goods = opened(0), before;

	before = goods;
	assert_int_equal(engine_goods_open(&goods, &terms), VERDICT_ALREADY_OPEN);
	assert_memory_equal(&before, &goods, sizeof(goods));
}

static void setting_available_keeps_held_and_sold(void **state)
{
	struct goods goods = opened(10);
	struct hold hold = held(&goods, 3, 0);
	struct goods_update update = {.has_quantity = true, .quantity = 50};
	uint64_t version = goods.version;

	held(&goods, 2, 0);
	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_YES);
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_YES);
	is(&goods, 55, 50, 2, 3);
	assert_int_equal(goods.price_micros, 99000000); /* not given: as it was */
	assert_int_equal(goods.version, version + 1);
	update.quantity = 0;
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_YES);
	is(&goods, 5, 0, 2, 3);
	update.quantity = STOCK_MAX - 5;
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_YES);
	update.quantity = STOCK_MAX - 4;
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_INVALID);
	update.quantity = INT64_MAX;
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_INVALID);
	is(&goods, STOCK_MAX, STOCK_MAX - 5, 2, 3);
}

static void an_update_can_ask_for_a_version(void **state)
{
	struct goods goods = opened(10);
	struct goods_update update = {.has_price = true, .price_micros = 5, .if_version = 2};

	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_VERSION_MISMATCH);
	assert_int_equal(goods.price_micros, 99000000);
	update.if_version = 1;
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_YES);
	assert_int_equal(goods.price_micros, 5);
	assert_int_equal(engine_goods_update(&goods, &update), VERDICT_VERSION_MISMATCH);
}

static void adjusting_never_takes_what_is_held(void **state)
{
	struct goods goods = opened(10);

	held(&goods, 4, 0);
	assert_int_equal(engine_goods_adjust(&goods, -7), VERDICT_NOT_ENOUGH);
	assert_int_equal(engine_goods_adjust(&goods, INT64_MIN), VERDICT_NOT_ENOUGH);
	assert_int_equal(engine_goods_adjust(&goods, INT64_MAX), VERDICT_INVALID);
	assert_int_equal(engine_goods_adjust(&goods, STOCK_MAX - 9), VERDICT_INVALID);
	is(&goods, 10, 6, 4, 0);
	assert_int_equal(engine_goods_adjust(&goods, -6), VERDICT_YES);
	is(&goods, 4, 0, 4, 0);
	assert_int_equal(engine_goods_adjust(&goods, 3), VERDICT_YES);
	is(&goods, 7, 3, 4, 0);
}

static void a_fence_is_compare_and_set(void **state)
{
	const uint8_t one[INSTANCE_BYTES] = "one", two[INSTANCE_BYTES] = "two";
	struct fence fence = {0};

	assert_int_equal(engine_check_epoch(&fence, 0, fence.instance), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_check_epoch(&fence, 1, one), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_fence(&fence, 5, one), VERDICT_YES);
	assert_int_equal(engine_fence(&fence, 5, one), VERDICT_REPEATED);
	assert_int_equal(engine_fence(&fence, 5, two), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_fence(&fence, 4, two), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_check_epoch(&fence, 5, one), VERDICT_YES);
	assert_int_equal(engine_check_epoch(&fence, 5, two), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_check_epoch(&fence, 4, one), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_check_epoch(&fence, 6, one), VERDICT_STALE_EPOCH); /* never fenced */
	assert_int_equal(engine_fence(&fence, 6, two), VERDICT_YES);
	assert_int_equal(engine_check_epoch(&fence, 5, one), VERDICT_STALE_EPOCH);
	assert_int_equal(engine_fence(&fence, 5, one), VERDICT_STALE_EPOCH);
}

/* A million commands at random against a count of its own: what was granted and not given back never passes the stock. */
#define HOLDS 500
#define STEPS 1000000

struct model {
	struct goods goods;
	struct hold holds[HOLDS];
	int64_t units_held, units_sold, now_ms;
	unsigned seed;
};

static void step_hold(struct model *m, struct hold *hold)
{
	uint32_t quantity = (uint32_t)rand_r(&m->seed) % 5 + 1;
	int64_t available = m->goods.available;
	enum verdict verdict = engine_can_hold(&m->goods, quantity);

	if (hold->state == HOLD_HELD || verdict != VERDICT_YES) {
		assert_true(verdict == VERDICT_YES || available < quantity);
		return;
	}
	engine_hold(&m->goods, quantity, rand_r(&m->seed) % 50, 100, m->now_ms, hold);
	m->units_held += quantity;
}

static void step_end(struct model *m, struct hold *hold, int what)
{
	bool live = hold->state == HOLD_HELD && m->now_ms < hold->deadline_ms;
	bool was_held = hold->state == HOLD_HELD;
	int64_t quantity = hold->quantity;
	enum verdict verdict = VERDICT_NOT_FOUND;

	if (hold->state == 0)
		return;
	engine_settle(&m->goods, hold, m->now_ms);
	if (what == 0)
		verdict = engine_confirm(&m->goods, hold, false);
	else if (what == 1)
		verdict = engine_release(&m->goods, hold);
	else if (what == 2)
		verdict = engine_resize(&m->goods, hold, 1);
	assert_true(verdict != VERDICT_YES || live);
	if (was_held && (!live || verdict == VERDICT_YES))
		m->units_held -= what == 2 && live ? quantity - 1 : quantity;
	if (what == 0 && verdict == VERDICT_YES)
		m->units_sold += quantity;
}

static void at_random_the_books_always_balance(void **state)
{
	struct model *m = calloc(1, sizeof(*m));

	m->goods = opened(300);
	m->seed = 1;
	for (int i = 0; i < STEPS; i++) {
		struct hold *hold = &m->holds[rand_r(&m->seed) % HOLDS];
		int what = rand_r(&m->seed) % 100;

		m->now_ms += what < 5;
		if (what < 50)
			step_hold(m, hold);
		else
			step_end(m, hold, what == 50 ? 0 : what % 3 + 1);
		assert_int_equal(m->goods.held, m->units_held);
		assert_int_equal(m->goods.sold, m->units_sold);
		assert_true(goods_balanced(&m->goods));
		if (m->goods.stock < 300 + m->units_sold)
			assert_int_equal(engine_goods_adjust(&m->goods, 1), VERDICT_YES);
	}
	assert_true(m->units_sold > 1000);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hold_is_all_or_nothing),
		cmocka_unit_test(quantities_have_limits),
		cmocka_unit_test(a_hold_has_the_terms_of_its_goods),
		cmocka_unit_test(released_units_are_available_again_once),
		cmocka_unit_test(confirmed_units_are_sold_once),
		cmocka_unit_test(the_deadline_itself_is_too_late),
		cmocka_unit_test(a_hold_only_shrinks),
		cmocka_unit_test(closing_hides_and_keeps_the_holds),
		cmocka_unit_test(open_goods_are_not_opened_again),
		cmocka_unit_test(setting_available_keeps_held_and_sold),
		cmocka_unit_test(an_update_can_ask_for_a_version),
		cmocka_unit_test(adjusting_never_takes_what_is_held),
		cmocka_unit_test(a_fence_is_compare_and_set),
		cmocka_unit_test(at_random_the_books_always_balance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
