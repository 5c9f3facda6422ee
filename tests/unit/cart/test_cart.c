/* Requests and inventory's direct answers. */
#include "check.h"

#include "world.h"

#define SKU "SKU0001"
#define REASON(name) COMMON__REASON__REASON_##name

static int up(void **state)
{
	struct world *world = world_new(1, 1000);

	world_settle_all(world);
	*state = world;
	return 0;
}

static int down(void **state)
{
	world_free(*state);
	return 0;
}

static void granted(const struct world_waiter *waiter)
{
	assert_true(waiter->decided);
	assert_int_equal(waiter->waiter.outcome.reason, 0);
}

static void refused(const struct world_waiter *waiter, Common__Reason reason)
{
	assert_true(waiter->decided);
	assert_int_equal(waiter->waiter.outcome.reason, reason);
}

static uint64_t units(const struct world *world, const char *user)
{
	const struct usage *usage = lines_usage(&world->cart->lines, span_of(user), span_of(SKU));

	return usage ? usage_taken(usage) : 0;
}

static void test_a_grant(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 2, 3, NULL);
	const struct outcome *outcome = &waiter->waiter.outcome;

	assert_false(waiter->decided);
	world_pass_all(world);
	granted(waiter);
	assert_int_equal(id_compare(&outcome->hold, &waiter->hold), 0);
	assert_int_equal(outcome->state, LINE_HELD);
	assert_int_equal(outcome->quantity, 2);
	assert_int_equal(outcome->remaining, 998);
	assert_int_equal(outcome->user_units, 2);
	assert_int_equal(outcome->price_micros, 99000000);
	assert_false(outcome->repeated);
	assert_int_equal(units(world, "ann"), 2); /* at once, before the ledger tells */
}

static void test_units_under_way_count(void **state)
{
	struct world *world = *state;
	struct world_waiter *first = world_add(world, "ann", SKU, 2, 3, NULL);
	struct world_waiter *second = world_add(world, "ann", SKU, 2, 3, NULL);

	refused(second, REASON(IN_PROGRESS));
	assert_in_range(second->waiter.outcome.retry_after_ms, 1, 1000);
	world_pass_all(world);
	granted(first);
	refused(world_add(world, "ann", SKU, 2, 3, NULL), REASON(LIMIT_REACHED));
	refused(world_add(world, "bob", SKU, 4, 3, NULL), REASON(LIMIT_REACHED));
	assert_false(world_add(world, "ann", SKU, 1, 3, NULL)->decided);
	assert_false(world_add(world, "bob", SKU, 3, 3, NULL)->decided); /* others are strangers */
	assert_false(world_add(world, "ann", "SKU0002", 3, 3, NULL)->decided);
	assert_false(world_add(world, "ann", SKU, 500, 0, NULL)->decided); /* no limit */
}

static void test_a_refusal_frees(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter;

	world->inventory[0].stock = 1;
	waiter = world_add(world, "ann", SKU, 3, 3, "k");
	world_pass_all(world);
	refused(waiter, REASON(SOLD_OUT));
	world->inventory[0].stock = 3;
	waiter = world_add(world, "ann", SKU, 3, 3, "k"); /* refusals are judged afresh */
	world_pass_all(world);
	granted(waiter);
}

static void test_past_the_deadline_is_ask_again(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_pass_all(world);
	granted(waiter);
	refused(world_add(world, "ann", SKU, 1, 1, NULL), REASON(LIMIT_REACHED));
	world->now_ms = waiter->waiter.outcome.deadline_ms;
	refused(world_add(world, "ann", SKU, 1, 1, NULL), REASON(IN_PROGRESS));
	assert_int_equal(units(world, "ann"), 1); /* only the ledger frees it */
	world_follow(world, 0, 100);
	world_end_hold(world, world_hold(world, &waiter->hold), LINE_EXPIRED);
	world_follow(world, 0, 100);
	assert_int_equal(units(world, "ann"), 0);
	assert_false(world_add(world, "ann", SKU, 1, 1, NULL)->decided);
}

static void test_equal_requests_share_one_attempt(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiters[50];

	for (int i = 0; i < 50; i++)
		waiters[i] = world_add(world, "ann", SKU, 1, 10, "k");
	assert_int_equal(world->flight_count, 1);
	refused(world_add(world, "ann", SKU, 2, 10, "k"), REASON(KEY_REUSED));
	refused(world_add(world, "ann", "SKU0002", 1, 10, "k"), REASON(KEY_REUSED));
	assert_false(world_add(world, "bob", SKU, 1, 10, "k")->decided); /* a key is its person's */
	world_pass_all(world);
	for (int i = 0; i < 50; i++) {
		granted(waiters[i]);
		assert_memory_equal(&waiters[i]->waiter.outcome.hold, &waiters[0]->hold, sizeof(struct id));
		assert_int_equal(waiters[i]->waiter.outcome.user_units, 1);
	}
	assert_int_equal(units(world, "ann"), 1);
}

static void test_a_known_key_gives_the_first_grant(void **state)
{
	struct world *world = *state;
	struct world_waiter *first = world_add(world, "ann", SKU, 1, 1, "k"), *again;

	world_pass_all(world);
	again = world_add(world, "ann", SKU, 1, 1, "k");
	granted(again);
	assert_true(again->waiter.outcome.repeated);
	assert_memory_equal(&again->waiter.outcome.hold, &first->hold, sizeof(struct id));
	refused(world_add(world, "ann", SKU, 2, 9, "k"), REASON(KEY_REUSED));
	world_end_hold(world, world_hold(world, &first->hold), LINE_EXPIRED);
	world_follow(world, 0, 100);
	again = world_add(world, "ann", SKU, 1, 1, "k"); /* never a second unit: its present state */
	granted(again);
	assert_int_equal(again->waiter.outcome.state, LINE_EXPIRED);
	assert_int_equal(world->flight_count, 0);
}

static void test_lookups(void **state)
{
	struct world *world = *state;
	struct hash128 key = key_scope("ann", 3, "k", 1),
		       print = key_fingerprint(KEY_ADD, SKU, strlen(SKU), 1);
	struct hash128 other = key_fingerprint(KEY_ADD, SKU, strlen(SKU), 2);
	struct outcome outcome;

	assert_int_equal(cart_lookup_key(world->cart, &key, &print, &outcome), KEY_UNKNOWN);
	world_add(world, "ann", SKU, 1, 1, "k");
	assert_int_equal(cart_lookup_key(world->cart, &key, &print, &outcome), KEY_REFUSED);
	assert_int_equal(outcome.reason, REASON(IN_PROGRESS));
	assert_int_equal(cart_lookup_key(world->cart, &key, &other, &outcome), KEY_REFUSED);
	assert_int_equal(outcome.reason, REASON(KEY_REUSED));
	world_pass_all(world);
	assert_int_equal(cart_lookup_key(world->cart, &key, &print, &outcome), KEY_GRANTED);
	assert_true(outcome.repeated);
	assert_int_equal(cart_lookup_key(world->cart, &key, &other, &outcome), KEY_REFUSED);
	assert_int_equal(outcome.reason, REASON(KEY_REUSED));
}

static void test_giving_up_a_sent_one_is_unknown(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, "k"), *again;

	cart_give_up(world->cart, &waiter->waiter);
	waiter->decided = true;
	refused(waiter, REASON(OUTCOME_UNKNOWN));
	refused(world_add(world, "ann", SKU, 1, 1, NULL), REASON(IN_PROGRESS)); /* still counted */
	again = world_add(world, "ann", SKU, 1, 1, "k");
	assert_false(again->decided);
	world_pass_all(world);
	granted(again);
	assert_memory_equal(&again->waiter.outcome.hold, &waiter->hold, sizeof(struct id));
}

/* The ledger was faster than the answer: units count once, and what the ledger says later stands. */
static void test_late_direct_answers(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 2, NULL), *other;

	world_arrive(world, 0);
	world_follow(world, 0, 100);
	assert_false(waiter->decided);
	assert_int_equal(units(world, "ann"), 1);
	assert_int_equal(lines_usage(&world->cart->lines, span_of("ann"), span_of(SKU))->pending, 0);
	world_end_hold(world, world_hold(world, &waiter->hold), LINE_RELEASED);
	world_follow(world, 0, 100);
	assert_int_equal(units(world, "ann"), 0);
	world_return(world, 0);
	granted(waiter);
	assert_int_equal(waiter->waiter.outcome.state, LINE_RELEASED);
	assert_int_equal(units(world, "ann"), 0); /* the old yes did not bring it back */
	other = world_add(world, "ann", SKU, 2, 2, NULL);
	world_pass_all(world);
	granted(other);
	assert_int_equal(world->cart->counters.anomalies, 0);
}

static void test_too_much_is_refused_at_once(void **state)
{
	struct world *world = *state;
	char user[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		assert_false(world_add(world, user, SKU, 1, 1, NULL)->decided);
	}
	refused(world_add(world, "one-more", SKU, 1, 1, NULL), REASON(OVERLOADED));
}

static void test_busy_is_a_definite_no(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_lose(world, 0, ANSWER_BUSY);
	refused(waiter, REASON(OVERLOADED));
	assert_true(world->cart->links[0].usable);
	assert_false(world_add(world, "ann", SKU, 1, 1, NULL)->decided);
}

static void test_not_everybody_can_wait_for_one_attempt(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < ATTEMPT_WAITERS_MAX; i++)
		assert_false(world_add(world, "ann", SKU, 1, 1, "k")->decided);
	refused(world_add(world, "ann", SKU, 1, 1, "k"), REASON(IN_PROGRESS));
	assert_int_equal(world->flight_count, 1);
}

/* Sold, refunded and forgotten while its answer was on the way: nobody knows any more. */
static void test_an_answer_later_than_memory_is_unknown(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_arrive(world, 0);
	world_end_hold(world, world_hold(world, &waiter->hold), LINE_RELEASED);
	world_follow(world, 0, 100);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 10), 1);
	world_return(world, 0);
	refused(waiter, REASON(OUTCOME_UNKNOWN));
	assert_int_equal(world->cart->counters.anomalies, 0);
	assert_int_equal(world->cart->attempts.count, 0);
}

static void test_the_store_s_holds_count_once(void **state)
{
	struct world *world = *state;
	const struct hold hold = {.id = {{1}},
		.user = span_of("ann"),
		.sku = span_of(SKU),
		.session = span_of(""),
		.state = LINE_HELD,
		.quantity = 2};

	assert_true(cart_load_hold(world->cart, &hold));
	assert_false(cart_load_hold(world->cart, &hold));
	assert_int_equal(units(world, "ann"), 2);
	cart_free(NULL); /* as of a service that did not get that far */
}

/* Inventory keeps no id that is so old: it was never granted, and another try has a new one. */
static void test_an_id_older_than_memory_is_a_definite_no(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, "k");

	world->flights[0].arrived = true;
	world->flights[0].answer = (struct answer){.kind = ANSWER_REFUSAL, .reason = REASON(GONE)};
	world_return(world, 0);
	refused(waiter, REASON(OVERLOADED));
	waiter = world_add(world, "ann", SKU, 1, 1, "k");
	world_pass_all(world);
	granted(waiter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_grant, up, down),
		cmocka_unit_test_setup_teardown(test_units_under_way_count, up, down),
		cmocka_unit_test_setup_teardown(test_a_refusal_frees, up, down),
		cmocka_unit_test_setup_teardown(test_past_the_deadline_is_ask_again, up, down),
		cmocka_unit_test_setup_teardown(test_equal_requests_share_one_attempt, up, down),
		cmocka_unit_test_setup_teardown(test_a_known_key_gives_the_first_grant, up, down),
		cmocka_unit_test_setup_teardown(test_lookups, up, down),
		cmocka_unit_test_setup_teardown(test_giving_up_a_sent_one_is_unknown, up, down),
		cmocka_unit_test_setup_teardown(test_late_direct_answers, up, down),
		cmocka_unit_test_setup_teardown(test_too_much_is_refused_at_once, up, down),
		cmocka_unit_test_setup_teardown(test_busy_is_a_definite_no, up, down),
		cmocka_unit_test_setup_teardown(test_not_everybody_can_wait_for_one_attempt, up, down),
		cmocka_unit_test_setup_teardown(test_an_answer_later_than_memory_is_unknown, up, down),
		cmocka_unit_test_setup_teardown(test_the_store_s_holds_count_once, up, down),
		cmocka_unit_test_setup_teardown(test_an_id_older_than_memory_is_a_definite_no, up, down),
	};

	return RUN(tests);
}
