/* The ledger, fences, ambiguity and restarts. */
#include "check.h"

#include "world.h"

#define SKU "SKU0001"
#define REASON(name) COMMON__REASON__REASON_##name

static int up(void **state)
{
	*state = world_new(1, 1000);
	return 0;
}

static int up_and_at_work(void **state)
{
	up(state);
	world_settle_all(*state);
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

static uint64_t pending(const struct world *world, const char *user)
{
	const struct usage *usage = lines_usage(&world->cart->lines, span_of(user), span_of(SKU));

	return usage ? usage->pending : 0;
}

/* Inventory refuses an id that it may have dropped: whatever our clock says, new ones are greater. */
static void test_new_ids_are_greater_than_all_that_was_dropped(void **state)
{
	struct world *world = *state;
	struct world_waiter *first = world_add(world, "ann", SKU, 1, 9, NULL), *second;
	struct id dropped, id;

	dropped = first->waiter.attempt->id;
	dropped.bytes[1]++; /* some years ahead of our clock */
	cart_removed(world->cart, 0, &dropped);
	second = world_add(world, "bob", SKU, 1, 9, NULL);
	id = second->waiter.attempt->id;
	assert_true(id_compare(&id, &dropped) > 0);
	world_pass_all(world);
}

static void test_nothing_leaves_before_the_first_fence(void **state)
{
	struct world *world = *state;
	struct world_waiter *early = world_add(world, "ann", SKU, 1, 1, NULL),
			    *gone = world_add(world, "bob", SKU, 1, 1, NULL);

	assert_int_equal(world->fences[0], 1);
	assert_int_equal(world->flight_count, 0);
	cart_give_up(world->cart, &gone->waiter);
	gone->decided = true;
	refused(gone, REASON(STARTING)); /* definite: it was never sent */
	assert_true(world_fence(world, 0, false));
	assert_int_equal(world->flight_count, 0); /* accepted, not applied yet */
	world_follow(world, 0, 100);
	assert_int_equal(world->usable[0], 1);
	assert_int_equal(world->flight_count, 1);
	world_pass_all(world);
	granted(early);
}

/* What the ledger brought while they waited counts when they leave. */
static void test_queued_ones_are_judged_when_they_leave(void **state)
{
	struct world *world = *state;
	struct world_waiter *first, *again, *over;

	world_settle_all(world);
	first = world_add(world, "ann", SKU, 1, 1, "k");
	world_pass_all(world);
	granted(first);
	world_restart_cart(world); /* with nothing stored */
	again = world_add(world, "ann", SKU, 1, 1, "k");
	over = world_add(world, "ann", SKU, 1, 1, NULL);
	assert_false(again->decided || over->decided);
	world_settle_all(world);
	granted(again);
	assert_true(again->waiter.outcome.repeated);
	assert_memory_equal(&again->waiter.outcome.hold, &first->hold, sizeof(struct id));
	refused(over, REASON(LIMIT_REACHED));
	assert_int_equal(world->flight_count, 0);
}

/* A start: the first grant of a key comes from the ledger after another body was asked for with it. */
static void test_a_queued_key_of_another_body_is_refused(void **state)
{
	struct world *world = *state;
	struct world_waiter *first, *other;

	world_settle_all(world);
	first = world_add(world, "ann", SKU, 1, 9, "k");
	world_pass_all(world);
	granted(first);
	world_restart_cart(world); /* with nothing stored */
	other = world_add(world, "ann", SKU, 2, 9, "k");
	assert_false(other->decided);
	world_settle_all(world);
	refused(other, REASON(KEY_REUSED));
	assert_int_equal(units(world, "ann"), 1);
	assert_int_equal(world->flight_count, 0);
}

static void test_queued_ones_respect_the_limit_in_order(void **state)
{
	struct world *world = *state;
	struct world_waiter *one = world_add(world, "ann", SKU, 1, 1, NULL),
			    *two = world_add(world, "ann", SKU, 1, 1, NULL);

	world_settle_all(world);
	refused(two, REASON(IN_PROGRESS));
	world_pass_all(world);
	granted(one);
}

static void test_the_queue_is_bounded(void **state)
{
	struct world *world = *state;
	char user[16];

	for (int i = 0; i < (int)world->queue_max; i++) {
		snprintf(user, sizeof(user), "u%d", i);
		assert_false(world_add(world, user, SKU, 1, 1, NULL)->decided);
	}
	refused(world_add(world, "ann", SKU, 1, 1, NULL), REASON(OVERLOADED));
}

static void test_lost_but_done_is_adopted(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, "k");

	world_arrive(world, 0);
	world_lose(world, 0, ANSWER_LOST);
	assert_false(waiter->decided);
	assert_int_equal(pending(world, "ann"), 1);
	assert_false(world->cart->links[0].usable);
	assert_int_equal(world->fences[0], 2);
	world_follow(world, 0, 1);
	granted(waiter); /* the truth, before the fence even */
	assert_int_equal(units(world, "ann"), 1);
	assert_int_equal(pending(world, "ann"), 0);
	world_settle_all(world);
	assert_int_equal(world->flight_count, 1); /* only the lost one, still on the wire */
	assert_int_equal(world->cart->counters.adopted, 1);
}

static void test_lost_and_never_done_leaves_again(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL), *other;

	world_lose(world, 0, ANSWER_LOST);
	other = world_add(world, "bob", SKU, 1, 1, NULL);
	assert_int_equal(world->flight_count, 1); /* nothing leaves while it is fenced */
	assert_true(world_fence(world, 0, false));
	assert_int_equal(pending(world, "ann"), 1); /* not settled before the follower is there */
	world_arrive(world, 0);			    /* the late one comes after the fence: refused */
	assert_int_equal(world->flights[0].answer.reason, REASON(STALE_EPOCH));
	world_drop(world, 0);
	world_follow(world, 0, 100);
	assert_int_equal(world->flight_count, 2);
	world_pass_all(world);
	granted(waiter);
	granted(other);
	assert_int_equal(world_units(world, "ann", SKU), 1);
	assert_int_equal(world->cart->counters.vanished, 1);
}

static void test_lost_and_too_late_to_repeat_is_definite(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_lose(world, 0, ANSWER_LOST);
	world->now_ms = waiter->waiter.deadline_ms; /* its timer has not run yet */
	world_settle_all(world);
	refused(waiter, REASON(DEPENDENCY_DOWN));
	assert_int_equal(pending(world, "ann"), 0);
	assert_int_equal(world->flight_count, 1);
}

static void test_lost_keeps_its_units_until_settled(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL), *again;

	world_lose(world, 0, ANSWER_LOST);
	cart_give_up(world->cart, &waiter->waiter);
	waiter->decided = true;
	refused(waiter, REASON(OUTCOME_UNKNOWN));
	again = world_add(world, "ann", SKU, 1, 1, NULL);
	world_arrive(world, 0); /* before the fence: it takes effect */
	world_settle_all(world);
	refused(again, REASON(LIMIT_REACHED));
	assert_int_equal(units(world, "ann"), 1);
}

/* Lost under an epoch that was accepted in the meantime: only the next one can settle it. */
static void test_a_fence_settles_only_older_epochs(void **state)
{
	struct world *world = *state;

	world_add(world, "ann", SKU, 1, 1, NULL);
	world_add(world, "bob", SKU, 1, 1, NULL);
	world_lose(world, 0, ANSWER_LOST);
	assert_true(world_fence(world, 0, false));
	world_lose(world, 1, ANSWER_LOST); /* may have left with the new epoch */
	assert_int_equal(world->fences[0], 3);
	world_follow(world, 0, 100);
	assert_false(world->cart->links[0].usable);
	assert_int_equal(attempts_list(&world->cart->attempts, 0, ATTEMPT_UNKNOWN)->count, 1);
	assert_int_equal(pending(world, "bob"), 1);
	world_settle_all(world);
	assert_int_equal(attempts_list(&world->cart->attempts, 0, ATTEMPT_UNKNOWN)->count, 0);
}

static void test_the_fences_answer_is_lost_too(void **state)
{
	struct world *world = *state;

	world_add(world, "ann", SKU, 1, 1, NULL);
	world_lose(world, 0, ANSWER_LOST);
	assert_true(world_fence(world, 0, true));
	world_follow(world, 0, 100);
	assert_false(world->cart->links[0].usable);
	assert_true(world_fence(world, 0, false)); /* the same epoch of the same instance: a repetition */
	world_follow(world, 0, 100);
	assert_true(world->cart->links[0].usable);
	assert_int_equal(world->succeeded, 0);
}

static void test_unsent_waits_for_the_link(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, "k");

	world_lose(world, 0, ANSWER_UNSENT);
	assert_false(waiter->decided);
	assert_int_equal(pending(world, "ann"), 0);
	assert_int_equal(world->flight_count, 0);
	world_settle_all(world);
	world_pass_all(world);
	granted(waiter);
}

static void test_our_own_fence_is_not_a_successor(void **state)
{
	struct world *world = *state;
	struct world_waiter *one = world_add(world, "ann", SKU, 1, 1, NULL),
			    *two = world_add(world, "bob", SKU, 1, 1, NULL);

	world_lose(world, 0, ANSWER_LOST);
	assert_true(world_fence(world, 0, true)); /* in force, but its answer is not here */
	world_arrive(world, 1);
	world_return(world, 1); /* STALE_EPOCH */
	assert_int_equal(world->succeeded, 0);
	assert_false(two->decided);
	world_settle_all(world);
	world_pass_all(world);
	granted(one);
	granted(two);
}

static void test_a_successor_is_noticed(void **state)
{
	struct world *world = *state;

	world_add(world, "ann", SKU, 1, 1, NULL);
	world->inventory[0].epoch += 5; /* somebody else */
	world_arrive(world, 0);
	world_return(world, 0);
	assert_int_equal(world->succeeded, 1);
}

static void test_a_successor_is_noticed_by_the_fence(void **state)
{
	struct world *world = *state;

	world->inventory[0].epoch += 5;
	cart_doubt(world->cart, 0);
	world_fence(world, 0, false);
	assert_int_equal(world->succeeded, 1);
}

static void test_at_start_a_newer_epoch_is_outbid(void **state)
{
	struct world *world = *state;

	world->inventory[0].epoch = 17;
	world_settle_all(world);
	assert_int_equal(world->inventory[0].epoch, 18);
	assert_int_equal(world->succeeded, 0);
}

/* Four holds in all their states, from any stored position: the same. */
static void test_replay_from_any_position(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiters[4];
	uint64_t head;

	for (int i = 0; i < 4; i++)
		waiters[i] = world_add(world, "ann", SKU, 1u + (uint32_t)i, 0, i % 2 ? "odd" : NULL);
	refused(waiters[3], REASON(KEY_REUSED));
	world_pass_all(world);
	world_end_hold(world, world_hold(world, &waiters[0]->hold), LINE_SOLD);
	world_end_hold(world, world_hold(world, &waiters[1]->hold), LINE_RELEASED);
	world_end_hold(world, world_hold(world, &waiters[0]->hold), LINE_REFUNDED);
	world_restart_inventory(world, 0, 700);
	head = world->inventory[0].head;
	for (uint64_t stop = 0; stop <= head; stop++) {
		struct world_waiter *again;

		memset(&world->store, 0, sizeof(world->store));
		world_restart_cart(world);
		if (stop)
			world_follow(world, 0, stop);
		world_persist(world, 0);
		world_restart_cart(world);
		world_settle_all(world);
		assert_int_equal(units(world, "ann"), 3);
		assert_int_equal(world->cart->lines.by_id.count, 3);
		assert_int_equal(lines_deadline_ms(&world->cart->lines,
					 lines_find(&world->cart->lines, &waiters[2]->hold)),
			world_hold(world, &waiters[2]->hold)->deadline_ms);
		again = world_add(world, "ann", SKU, 2, 0, "odd");
		granted(again);
		assert_int_equal(again->waiter.outcome.state, LINE_RELEASED);
		assert_int_equal(world->cart->counters.anomalies, 0);
	}
}

static void test_entries_come_once(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 9, NULL);
	size_t changed;

	world_pass_all(world);
	granted(waiter);
	world_restart_inventory(world, 0, 300);
	world_follow(world, 0, 100);
	changed = world->changed;
	assert_int_equal(changed, 1);
	for (uint64_t i = 0; i < world->inventory[0].head; i++)
		cart_apply(world->cart, 0, &world->inventory[0].ledger[i]);
	assert_int_equal(world->changed, changed);
	assert_int_equal(units(world, "ann"), 1);
	assert_int_equal(world->cart->lines.moved_ms[0], 300);
}

static void test_another_lineage_is_refused(void **state)
{
	struct world *world = *state;
	struct id other;

	id_random(&other);
	assert_true(cart_lineage(world->cart, 0, &world->inventory[0].lineage));
	assert_false(cart_lineage(world->cart, 0, &other));
}

static void test_a_stopped_link_and_the_others(void **state)
{
	struct world *world = world_new(2, 1000);
	const char *skus[2] = {NULL, NULL};
	char names[16][16];
	struct world_waiter *queued, *fine;

	for (int i = 0; i < 16; i++) {
		snprintf(names[i], sizeof(names[i]), "SKU%d", i);
		skus[world_shard(world, names[i])] = names[i];
	}
	assert_non_null(skus[0]);
	assert_non_null(skus[1]);
	queued = world_add(world, "ann", skus[0], 1, 1, NULL);
	cart_stop_link(world->cart, 0);
	refused(queued, REASON(DEPENDENCY_DOWN));
	refused(world_add(world, "ann", skus[0], 1, 1, NULL), REASON(DEPENDENCY_DOWN));
	world_settle(world, 1);
	fine = world_add(world, "ann", skus[1], 1, 1, NULL);
	world_pass_all(world);
	granted(fine);
	world_free(world);
}

static void test_a_yes_that_is_not_in_the_ledger_is_an_anomaly(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_arrive(world, 0);
	world->inventory[0].head--; /* forgotten by inventory */
	world_return(world, 0);
	granted(waiter);
	world->inventory[0].head = 1;
	cart_doubt(world->cart, 0);
	world_settle_all(world);
	assert_int_equal(world->cart->counters.anomalies, 1);
	assert_int_equal(units(world, "ann"), 0);
}

/* A yes with a place in the ledger that the follower has passed without seeing it: neither a yes nor a no. */
static void test_a_yes_behind_the_position_is_not_believed(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_arrive(world, 0);
	cart_applied(world->cart, 0, world->inventory[0].head, world->now_ms);
	world_return(world, 0);
	refused(waiter, REASON(OUTCOME_UNKNOWN));
	assert_int_equal(world->cart->counters.anomalies, 1);
	assert_int_equal(units(world, "ann"), 0);
}

static void hear_of_an_end(struct world *world, const struct id *hold)
{
	struct cart_link *link = &world->cart->links[0];
	const struct entry entry = {.kind = ENTRY_CHANGED,
		.sequence = link->position + 1,
		.hold = {.id = *hold, .state = LINE_EXPIRED, .quantity = 1, .version = 2}};

	cart_apply(world->cart, 0, &entry);
}

/* What inventory has dropped: nobody makes such an id again, and an end without its begin is no surprise. */
static void test_what_inventory_has_dropped(void **state)
{
	struct world *world = *state;
	struct id removed = {{0x7f, 9, [6] = 0x70}}, older = {{0x7f, 8, [6] = 0x70}},
		  newer = {{0x7f, 10, [6] = 0x70}};
	struct world_waiter *waiter;

	cart_removed(world->cart, 0, &removed);
	cart_removed(world->cart, 0, &older); /* the mark does not go back */
	waiter = world_add(world, "ann", SKU, 1, 1, NULL);
	assert_true(id_compare(&waiter->hold, &removed) > 0);
	hear_of_an_end(world, &older);
	hear_of_an_end(world, &removed);
	assert_int_equal(world->cart->counters.anomalies, 0);
	hear_of_an_end(world, &newer);
	assert_int_equal(world->cart->counters.anomalies, 1);
}

static void test_keys_are_forgotten_a_day_after_the_end(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, "k"), *again;

	world_pass_all(world);
	world_end_hold(world, world_hold(world, &waiter->hold), LINE_EXPIRED);
	world_follow(world, 0, 100);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_KEY_MS - 1, 100), 0);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_KEY_MS, 100), 1);
	assert_int_equal(world->forgotten, 1);
	again = world_add(world, "ann", SKU, 1, 1, "k");
	assert_false(again->decided);
	assert_int_equal(world->flight_count, 1);
}

/* A yes that the ledger did not come to tell of is stored, before the link stopped or after: who reconciles has to know of it. */
static void test_a_stopped_link_keeps_its_promises(void **state)
{
	struct world *world = *state;
	struct world_waiter *before = world_add(world, "ann", SKU, 1, 1, NULL),
			    *after = world_add(world, "bob", SKU, 1, 1, NULL);

	world_arrive(world, 0);
	world_arrive(world, 1);
	world_return(world, 0);
	granted(before);
	assert_int_equal(world->changed, 0);
	cart_stop_link(world->cart, 0);
	assert_int_equal(world->changed, 1);
	world_return(world, 0);
	granted(after);
	assert_int_equal(world->changed, 2);
}

/* What comes back over a link that was stopped in between changes nothing but the answers of those who wait. */
static void test_a_stopped_link_hears_nothing(void **state)
{
	struct world *world = *state;
	struct world_waiter *unsent = world_add(world, "ann", SKU, 1, 1, NULL),
			    *lost = world_add(world, "bob", SKU, 1, 1, NULL);
	int fences;

	cart_doubt(world->cart, 0);
	fences = world->fences[0];
	cart_stop_link(world->cart, 0);
	world_lose(world, 0, ANSWER_UNSENT);
	refused(unsent, REASON(DEPENDENCY_DOWN));
	world_lose(world, 0, ANSWER_LOST);
	assert_false(lost->decided);
	assert_int_equal(pending(world, "bob"), 1);
	assert_true(world_fence(world, 0, false));
	cart_applied(world->cart, 0, 1000, world->now_ms);
	assert_int_equal(world->fences[0], fences);
	assert_int_equal(world->usable[0], 1);
	assert_false(world->cart->links[0].usable);
	assert_int_equal(pending(world, "bob"), 1); /* what an operator reconciles */
}

static void test_giving_up_while_the_link_is_away_is_definite(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter;

	cart_doubt(world->cart, 0);
	waiter = world_add(world, "ann", SKU, 1, 1, "k");
	world_add(world, "ann", SKU, 1, 1, "k");
	cart_give_up(world->cart, &waiter->waiter);
	waiter->decided = true;
	refused(waiter, REASON(DEPENDENCY_DOWN));
	assert_int_equal(world->cart->attempts.count, 1); /* the other still waits */
}

static void test_what_the_ledger_tells_twice_counts_once(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 2, 2, NULL);
	struct entry again;

	world_pass_all(world);
	world_follow(world, 0, 100);
	again = world->inventory[0].ledger[world->inventory[0].head - 1];
	assert_int_equal(again.kind, ENTRY_CREATED);
	again.sequence++;
	cart_apply(world->cart, 0, &again);
	assert_int_equal(units(world, "ann"), 2);
	again.kind = ENTRY_CHANGED; /* of the version that is known */
	again.hold.state = LINE_RELEASED;
	again.sequence++;
	cart_apply(world->cart, 0, &again);
	assert_int_equal(units(world, "ann"), 2);
	assert_int_equal(world->changed, 1);
	assert_int_equal(world->cart->counters.anomalies, 0);
	assert_non_null(lines_find(&world->cart->lines, &waiter->hold));
}

static void test_a_change_of_nothing_is_an_anomaly(void **state)
{
	struct world *world = *state;
	const struct entry entry = {
		.kind = ENTRY_CHANGED, .sequence = 1000, .hold = {.id = {{5}}, .state = LINE_SOLD}};

	cart_apply(world->cart, 0, &entry);
	assert_int_equal(world->cart->counters.anomalies, 1);
	assert_int_equal(world->cart->links[0].position, 1000);
}

/* Goods, orders and other carts: only their place in the ledger counts here. */
static void test_what_concerns_others_moves_the_position(void **state)
{
	struct world *world = *state;
	uint64_t position = world->cart->links[0].position;

	for (int i = 0; i < 2; i++) {
		const struct entry entry = {.kind = i ? ENTRY_OTHER : ENTRY_ORDER, .sequence = ++position};

		cart_apply(world->cart, 0, &entry);
		assert_int_equal(world->cart->links[0].position, position);
	}
	assert_int_equal(world->changed, 0);
}

static void test_a_successor_is_noticed_in_the_ledger(void **state)
{
	struct world *world = *state;
	const struct entry theirs = {.kind = ENTRY_FENCED,
		.sequence = world->cart->links[0].position + 1,
		.epoch = world->cart->links[0].fence.accepted + 1,
		.instance = {{7}}};

	cart_apply(world->cart, 0, &theirs);
	assert_int_equal(world->succeeded, 1);
}

/* A yes whose hold has ended already, forgotten before the ledger was followed: a fence settles it all the same. */
static void test_a_forgotten_yes_is_settled(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);

	world_arrive(world, 0);
	world->flights[0].answer.state = LINE_EXPIRED;
	world->inventory[0].head--;
	world_return(world, 0);
	granted(waiter);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 10), 1);
	world->inventory[0].head = 1;
	cart_doubt(world->cart, 0);
	world_settle_all(world);
	assert_int_equal(world->cart->attempts.count, 0);
	assert_int_equal(world->cart->counters.anomalies, 1);
}

static void test_a_sweep_is_bounded(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiters[3];

	for (int i = 0; i < 3; i++)
		waiters[i] = world_add(world, "ann", SKU, 1, 0, NULL);
	world_pass_all(world);
	for (int i = 0; i < 3; i++)
		world_end_hold(world, world_hold(world, &waiters[i]->hold), LINE_RELEASED);
	world_follow(world, 0, 100);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 2), 2);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 2), 1);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 2), 0);
	assert_int_equal(world->forgotten, 3);
}

/* What inventory has removed goes up only, and new ids are beyond it, whatever the clock says. */
static void test_new_ids_pass_what_was_removed(void **state)
{
	struct world *world = *state;
	const struct id removed = {{0x02, 0, 0, 0, 0, 0, 0x70, 0, 0x80}},
			less = {{0x01, 0, 0, 0, 0, 0, 0x70, 0, 0x80}};
	struct world_waiter *waiter;

	cart_removed(world->cart, 0, &removed);
	cart_removed(world->cart, 0, &less);
	assert_memory_equal(&world->cart->links[0].removed, &removed, ID_BYTES);
	waiter = world_add(world, "ann", SKU, 1, 1, NULL);
	assert_true(id_compare(&waiter->hold, &removed) > 0);
}

/* What inventory granted and its ledger has not told when the link stops is for an operator to see: it is stored as it is known. */
static void test_a_stopped_link_keeps_its_yeses(void **state)
{
	struct world *world = *state;
	struct world_waiter *told = world_add(world, "ann", SKU, 1, 9, NULL), *forgotten, *unseen;

	world_pass_all(world);
	world_follow(world, 0, 100);
	granted(told);
	forgotten = world_add(world, "bob", SKU, 1, 9, NULL);
	world_arrive(world, 0);
	world->flights[0].answer.state = LINE_EXPIRED;
	world_return(world, 0);
	granted(forgotten);
	assert_int_equal(cart_sweep(world->cart, world->now_ms + LINES_BARE_MS, 10), 1);
	unseen = world_add(world, "cy", SKU, 1, 9, NULL);
	world_pass_all(world);
	granted(unseen);
	assert_int_equal(world->changed, 1);
	cart_stop_link(world->cart, 0);
	assert_int_equal(world->changed, 2); /* of the three only this one is there and untold */
}

/* Below inventory's floor the begins of holds are gone, their ends can be there; and new ids are greater than all that are gone. */
static void test_what_is_gone_from_the_ledger(void **state)
{
	struct world *world = *state;
	struct entry end = {
		.kind = ENTRY_CHANGED, .hold = {.state = LINE_EXPIRED, .quantity = 1, .version = 2}};
	uint64_t sequence = world->cart->links[0].position;
	struct world_waiter *waiter;

	end.hold.id =
		(struct id){{0x7f, [6] = 0x70, [8] = 0x80, [15] = 9}}; /* made by a clock that is far ahead */
	cart_removed(world->cart, 0, &end.hold.id);
	end.sequence = ++sequence;
	cart_apply(world->cart, 0, &end);
	assert_int_equal(world->cart->counters.anomalies, 0);
	end.hold.id.bytes[15]++;
	end.sequence = ++sequence;
	cart_apply(world->cart, 0, &end);
	assert_int_equal(world->cart->counters.anomalies, 1);
	waiter = world_add(world, "ann", SKU, 1, 1, NULL);
	end.hold.id.bytes[15]--;
	assert_true(id_compare(&waiter->hold, &end.hold.id) > 0);
	world_pass_all(world);
	world->cart->links[0].position = sequence - 2; /* what was made up here is not in the ledger */
}

/* A hold of the ledger or of the store is passed too: the process before us may have had another clock. */
static void test_ids_ascend_over_a_restart_with_another_clock(void **state)
{
	struct world *world = *state;
	struct world_waiter *first, *second, *third;

	first = world_add(world, "ann", SKU, 1, 9, NULL);
	world_pass_all(world);
	granted(first);
	world_follow(world, 0, 100);
	world_persist(world, 0);
	clock_manual_jump_wall(&world->clock, -3600000);
	world_restart_cart(world);
	world_settle_all(world);
	second = world_add(world, "ann", SKU, 1, 9, NULL);
	assert_true(id_compare(&second->hold, &first->hold) > 0);
	world_pass_all(world);
	granted(second);
	world_restart_cart(world); /* the second is in the ledger only */
	world_settle_all(world);
	third = world_add(world, "ann", SKU, 1, 9, NULL);
	assert_true(id_compare(&third->hold, &second->hold) > 0);
	world_pass_all(world);
	granted(third);
}

/* Inventory has forgotten ids like that of an add that waited for too long: a definite no. */
static void test_an_add_that_is_too_old_is_refused(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);
	const struct answer gone = {.kind = ANSWER_REFUSAL, .reason = REASON(GONE)};

	cart_answered(world->cart, world->flights[0].attempt, &gone, world->now_ms);
	world->flights[0].attempt = NULL;
	refused(waiter, REASON(OVERLOADED));
	assert_int_equal(units(world, "ann") + pending(world, "ann"), 0);
	world_drop(world, 0);
}

/* The ledger's entries are dropped while it is read from the start: the begin was heard, the end was not any more; or the other way round. */
static void test_what_was_heard_in_part_goes_with_its_sale(void **state)
{
	struct world *world = *state;
	struct cart_link *link = &world->cart->links[0];
	struct entry archived = {.kind = ENTRY_ARCHIVED, .sku = span_of(SKU)};
	struct map_walk walk = {0};
	struct entry end = {.kind = ENTRY_CHANGED, .hold = {.state = LINE_SOLD}};

	world_add(world, "ann", SKU, 1, 1, NULL);
	world_pass_all(world);
	world_follow(world, 0, 100);
	assert_int_equal(units(world, "ann"), 1);
	id_random(&end.hold.id);
	end.hold.id.bytes[0] = 255;
	end.sequence = link->position + 1;
	link->floor = end.sequence;
	cart_apply(world->cart, 0, &end);
	assert_int_equal(world->cart->counters.anomalies, 0);
	end.sequence++;
	cart_apply(world->cart, 0, &end);
	assert_int_equal(world->cart->counters.anomalies, 1); /* after the floor nothing is missing */
	assert_false(cart_archive(world->cart, archived.sku, &walk, SIZE_MAX));
	archived.sequence = link->position + 1;
	cart_apply(world->cart, 0, &archived);
	assert_int_equal(units(world, "ann"), 0);
	assert_int_equal(world->forgotten, 1);
}

static void test_an_archived_sale_counts_no_more(void **state)
{
	struct world *world = *state;
	struct world_waiter *waiter = world_add(world, "ann", SKU, 1, 1, NULL);
	struct entry archived = {.kind = ENTRY_ARCHIVED, .sku = span_of(SKU)};
	struct map_walk walk = {0};

	world_pass_all(world);
	world_end_hold(world, world_hold(world, &waiter->hold), LINE_SOLD);
	world_follow(world, 0, 100);
	assert_int_equal(units(world, "ann"), 1);
	archived.sequence = world->cart->links[0].position + 1;
	assert_false(cart_archive(world->cart, span_of(SKU), &walk, SIZE_MAX));
	cart_apply(world->cart, 0, &archived);
	assert_int_equal(world->cart->links[0].position, archived.sequence);
	assert_int_equal(units(world, "ann"), 0);
	assert_int_equal(world->forgotten, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_leaves_before_the_first_fence, up, down),
		cmocka_unit_test_setup_teardown(
			test_new_ids_are_greater_than_all_that_was_dropped, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_queued_ones_are_judged_when_they_leave, up, down),
		cmocka_unit_test_setup_teardown(test_a_queued_key_of_another_body_is_refused, up, down),
		cmocka_unit_test_setup_teardown(test_queued_ones_respect_the_limit_in_order, up, down),
		cmocka_unit_test_setup_teardown(test_the_queue_is_bounded, up, down),
		cmocka_unit_test_setup_teardown(test_what_is_gone_from_the_ledger, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_ids_ascend_over_a_restart_with_another_clock, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_an_add_that_is_too_old_is_refused, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_lost_but_done_is_adopted, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_lost_and_never_done_leaves_again, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_lost_and_too_late_to_repeat_is_definite, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_lost_keeps_its_units_until_settled, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_fence_settles_only_older_epochs, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_the_fences_answer_is_lost_too, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_unsent_waits_for_the_link, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_our_own_fence_is_not_a_successor, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_successor_is_noticed, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_a_successor_is_noticed_by_the_fence, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_at_start_a_newer_epoch_is_outbid, up, down),
		cmocka_unit_test_setup_teardown(test_replay_from_any_position, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_entries_come_once, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_another_lineage_is_refused, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_stopped_link_and_the_others, up, down),
		cmocka_unit_test_setup_teardown(
			test_a_yes_that_is_not_in_the_ledger_is_an_anomaly, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_a_yes_behind_the_position_is_not_believed, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_what_inventory_has_dropped, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_keys_are_forgotten_a_day_after_the_end, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_stopped_link_hears_nothing, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_stopped_link_keeps_its_promises, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_giving_up_while_the_link_is_away_is_definite, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_what_the_ledger_tells_twice_counts_once, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_change_of_nothing_is_an_anomaly, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_what_concerns_others_moves_the_position, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_a_successor_is_noticed_in_the_ledger, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_forgotten_yes_is_settled, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_sweep_is_bounded, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_new_ids_pass_what_was_removed, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_a_stopped_link_keeps_its_yeses, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(test_an_archived_sale_counts_no_more, up_and_at_work, down),
		cmocka_unit_test_setup_teardown(
			test_what_was_heard_in_part_goes_with_its_sale, up_and_at_work, down),
	};

	return RUN(tests);
}
