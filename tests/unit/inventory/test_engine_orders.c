#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "inventory/engine.h"

#define TTL_MS 60000

static const struct id order_id = {{1}};

static struct goods make_goods(void)
{
	struct goods goods = {.number = 7};
	struct goods_terms terms = {.quantity = 10, .price_micros = 5, .currency = "USD"};

	assert_int_equal(engine_goods_open(&goods, &terms), VERDICT_YES);
	return goods;
}

static struct hold make_bound(struct goods *goods, uint32_t quantity, int64_t deadline_ms)
{
	struct hold hold;

	engine_hold(goods, quantity, 0, TTL_MS, 1000, &hold);
	engine_bind(&hold, &order_id, deadline_ms);
	return hold;
}

static void binding_changes_order_and_deadline_only(void **state)
{
	struct goods goods = make_goods(), before;
	struct hold hold;

	engine_hold(&goods, 4, 0, TTL_MS, 1000, &hold);
	before = goods;
	assert_int_equal(engine_can_bind(&hold), VERDICT_YES);
	engine_bind(&hold, &order_id, 5000);
	assert_memory_equal(&goods, &before, sizeof(goods));
	assert_int_equal(hold.deadline_ms, 5000);
	assert_int_equal(hold.state, HOLD_HELD);
	assert_int_equal(hold.quantity, 4);
	assert_int_equal(hold.price_micros, 5);
	assert_int_equal(engine_can_bind(&hold), VERDICT_WRONG_STATE);
}

static void only_a_held_hold_can_be_bound(void **state)
{
	static const struct {
		enum hold_state state;
		enum verdict verdict;
	} cases[] = {{HOLD_HELD, VERDICT_YES}, {HOLD_SOLD, VERDICT_WRONG_STATE},
		{HOLD_RELEASED, VERDICT_WRONG_STATE}, {HOLD_EXPIRED, VERDICT_HOLD_EXPIRED},
		{HOLD_REFUNDED, VERDICT_WRONG_STATE}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct hold hold = {.state = cases[i].state, .quantity = 1};

		assert_int_equal(engine_can_bind(&hold), cases[i].verdict);
	}
}

static void nothing_moves_a_kept_hold_alone(void **state)
{
	struct goods goods = make_goods(), before;
	struct hold hold = make_bound(&goods, 4, 5000), as_it_was = hold;

	before = goods;
	assert_true(engine_is_kept(&hold));
	assert_int_equal(engine_release(&goods, &hold), VERDICT_WRONG_STATE);
	assert_int_equal(engine_confirm(&goods, &hold, false), VERDICT_WRONG_STATE);
	assert_int_equal(engine_resize(&goods, &hold, 1), VERDICT_WRONG_STATE);
	assert_memory_equal(&hold, &as_it_was, sizeof(hold));
	engine_order_move(&goods, &hold, HOLD_SOLD);
	assert_int_equal(engine_confirm(&goods, &hold, true), VERDICT_WRONG_STATE);
	assert_int_equal(engine_release(&goods, &hold), VERDICT_WRONG_STATE);
	assert_int_equal(goods.sold, 4);
	assert_int_equal(goods.held, before.held - 4);
}

static void an_ended_order_s_hold_says_how_it_ended(void **state)
{
	struct goods goods = make_goods();
	struct hold one = make_bound(&goods, 1, 5000), other = make_bound(&goods, 1, 5000);

	engine_order_move(&goods, &one, HOLD_RELEASED);
	engine_order_move(&goods, &other, HOLD_EXPIRED);
	assert_false(engine_is_kept(&one));
	assert_int_equal(engine_release(&goods, &one), VERDICT_REPEATED);
	assert_int_equal(engine_release(&goods, &other), VERDICT_HOLD_EXPIRED);
	assert_int_equal(engine_confirm(&goods, &other, false), VERDICT_HOLD_EXPIRED);
	assert_int_equal(goods.available, 10);
}

static void the_units_follow_the_state(void **state)
{
	struct goods goods = make_goods();
	struct hold hold = make_bound(&goods, 4, 5000);

	engine_order_move(&goods, &hold, HOLD_SOLD);
	assert_int_equal(goods.available, 6);
	assert_int_equal(goods.held, 0);
	assert_int_equal(goods.sold, 4);
	engine_order_move(&goods, &hold, HOLD_REFUNDED);
	assert_int_equal(goods.available, 10);
	assert_int_equal(goods.sold, 0);
	assert_int_equal(hold.state, HOLD_REFUNDED);
	assert_true(goods_balanced(&goods));
}

/* Every state against every wish. */
static void what_a_command_comes_to(void **state)
{
	static const struct {
		enum hold_state state, to;
		bool same;
		enum verdict verdict;
	} cases[] = {
		{HOLD_HELD, HOLD_SOLD, false, VERDICT_YES},
		{HOLD_HELD, HOLD_RELEASED, false, VERDICT_YES},
		{HOLD_HELD, HOLD_REFUNDED, false, VERDICT_WRONG_STATE},
		{HOLD_SOLD, HOLD_SOLD, true, VERDICT_REPEATED},
		{HOLD_SOLD, HOLD_SOLD, false, VERDICT_WRONG_STATE},
		{HOLD_SOLD, HOLD_RELEASED, false, VERDICT_WRONG_STATE},
		{HOLD_SOLD, HOLD_REFUNDED, false, VERDICT_YES},
		{HOLD_RELEASED, HOLD_SOLD, false, VERDICT_WRONG_STATE},
		{HOLD_RELEASED, HOLD_RELEASED, false, VERDICT_REPEATED},
		{HOLD_RELEASED, HOLD_REFUNDED, false, VERDICT_WRONG_STATE},
		{HOLD_EXPIRED, HOLD_SOLD, false, VERDICT_HOLD_EXPIRED},
		{HOLD_EXPIRED, HOLD_RELEASED, false, VERDICT_HOLD_EXPIRED},
		{HOLD_EXPIRED, HOLD_REFUNDED, false, VERDICT_WRONG_STATE},
		{HOLD_REFUNDED, HOLD_SOLD, true, VERDICT_WRONG_STATE},
		{HOLD_REFUNDED, HOLD_RELEASED, false, VERDICT_WRONG_STATE},
		{HOLD_REFUNDED, HOLD_REFUNDED, false, VERDICT_REPEATED},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct order order = {.state = cases[i].state, .hold_count = 1};

		assert_int_equal(engine_order_judge(&order, cases[i].to, cases[i].same), cases[i].verdict);
	}
}

static void an_order_is_overdue_from_its_deadline_on(void **state)
{
	struct order order = {.state = HOLD_HELD, .deadline_ms = 5000};

	assert_false(engine_order_overdue(&order, 4999));
	assert_true(engine_order_overdue(&order, 5000));
	order.state = HOLD_SOLD;
	assert_false(engine_order_overdue(&order, 5000));
}

static void the_shortest_time_counts(void **state)
{
	struct goods goods = make_goods();

	assert_int_equal(engine_order_ttl_ms(0, &goods, TTL_MS), TTL_MS);
	assert_int_equal(engine_order_ttl_ms(500, &goods, TTL_MS), 500);
	assert_int_equal(engine_order_ttl_ms(TTL_MS + 1, &goods, TTL_MS), TTL_MS);
	goods.hold_ttl_ms = 300;
	assert_int_equal(engine_order_ttl_ms(500, &goods, TTL_MS), 300);
	assert_int_equal(engine_order_ttl_ms(0, &goods, TTL_MS), 300);
}

static void a_price_beyond_numbers_is_seen(void **state)
{
	struct hold hold = {.quantity = QUANTITY_MAX, .price_micros = PRICE_MAX};
	int64_t total = 7;

	assert_false(engine_add_price(&total, &hold));
	assert_int_equal(total, 7);
	hold.quantity = 9000;
	assert_true(engine_add_price(&total, &hold));
	assert_int_equal(total, 9000 * PRICE_MAX + 7);
	assert_false(engine_add_price(&total, &hold));
	assert_int_equal(total, 9000 * PRICE_MAX + 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binding_changes_order_and_deadline_only),
		cmocka_unit_test(only_a_held_hold_can_be_bound),
		cmocka_unit_test(nothing_moves_a_kept_hold_alone),
		cmocka_unit_test(an_ended_order_s_hold_says_how_it_ended),
		cmocka_unit_test(the_units_follow_the_state),
		cmocka_unit_test(what_a_command_comes_to),
		cmocka_unit_test(an_order_is_overdue_from_its_deadline_on),
		cmocka_unit_test(the_shortest_time_counts),
		cmocka_unit_test(a_price_beyond_numbers_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
