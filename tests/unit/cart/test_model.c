/* Everything at once, by dice: adds, keys, lost and late messages, fences, ends of holds, restarts of both sides. After every step the promises
 * are checked against the naive inventory of world.h; at the end the dust settles and both sides must agree to the unit. */
#include "check.h"

#include "world.h"

#define USERS 4
#define SKUS 4
#define STEPS 1500

static uint64_t dice_state;

static uint32_t dice(uint32_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)((dice_state >> 11) % sides);
}

static const char *const users[USERS] = {"ann", "bob", "cy", "di"};
static const char *const skus[SKUS] = {"SKU0", "SKU1", "SKU2", "SKU3"};
static const uint32_t limits[USERS] = {1, 2, 5, 7};

static void step_add(struct world *world)
{
	static const char *const keys[] = {NULL, "k1", "k2", "k3", "k4", "k5"};
	uint32_t user = dice(USERS);

	if (world->waiter_count < WORLD_WAITERS_MAX)
		world_add(world, users[user], skus[dice(SKUS)], 1 + dice(3), limits[user], keys[dice(6)]);
}

static void step_wire(struct world *world)
{
	struct world_flight *flight;
	uint32_t at;

	if (!world->flight_count)
		return;
	at = dice((uint32_t)world->flight_count);
	flight = &world->flights[at];
	switch (dice(6)) {
	case 0:
	case 1:
		if (!flight->arrived)
			world_arrive(world, at);
		break;
	case 2:
	case 3:
		if (flight->arrived && flight->attempt)
			world_return(world, at);
		break;
	case 4:
		if (flight->attempt)
			world_lose(world, at,
				flight->arrived ? ANSWER_LOST
				: dice(2)	? ANSWER_LOST
						: ANSWER_UNSENT);
		break;
	case 5:
		if (!flight->attempt)
			world_drop(world, at);
		break;
	}
}

static void step_hold(struct world *world)
{
	struct world_inventory *inventory = &world->inventory[dice(world->shards)];
	struct world_hold *hold;

	if (!inventory->hold_count)
		return;
	hold = &inventory->holds[dice((uint32_t)inventory->hold_count)];
	if (hold->state == LINE_HELD)
		world_end_hold(world, hold, LINE_SOLD + dice(3));
	else if (hold->state == LINE_SOLD)
		world_end_hold(world, hold, LINE_REFUNDED);
}

static void step_give_up(struct world *world)
{
	struct world_waiter *waiter;

	if (!world->waiter_count)
		return;
	waiter = world->waiters[dice((uint32_t)world->waiter_count)];
	if (waiter->decided)
		return;
	cart_give_up(world->cart, &waiter->waiter);
	waiter->decided = true;
}

static void step(struct world *world)
{
	uint32_t shard = dice(world->shards), roll = dice(100);

	world->now_ms += dice(20);
	if (roll < 30)
		step_add(world);
	else if (roll < 60)
		step_wire(world);
	else if (roll < 75)
		world_follow(world, shard, 1 + dice(4));
	else if (roll < 85)
		world_fence(world, shard, dice(4) == 0);
	else if (roll < 92)
		step_hold(world);
	else if (roll < 96)
		step_give_up(world);
	else if (roll < 98)
		world_persist(world, shard);
	else if (roll == 98 && dice(3) == 0)
		world_restart_cart(world);
	else if (dice(3) == 0)
		world_restart_inventory(world, shard, dice(500));
}

static void check_limits(const struct world *world)
{
	for (int user = 0; user < USERS; user++)
		for (int sku = 0; sku < SKUS; sku++)
			assert_in_range(world_units(world, users[user], skus[sku]), 0, limits[user]);
}

static bool outcome_is_definite(const struct outcome *outcome)
{
	return outcome->reason && outcome->reason != COMMON__REASON__REASON_OUTCOME_UNKNOWN;
}

/* A yes is a hold; a definite no is none, except that others may share the attempt and bring it to a yes later. */
static void check_outcomes(struct world *world)
{
	for (size_t i = 0; i < world->waiter_count; i++) {
		const struct world_waiter *waiter = world->waiters[i];
		const struct outcome *outcome = &waiter->waiter.outcome;

		assert_true(waiter->decided);
		if (!outcome->reason)
			assert_non_null(world_hold(world, &outcome->hold));
	}
}

/* No hold of an attempt whose every waiter heard a definite no. */
static void check_refusals(struct world *world)
{
	for (uint32_t shard = 0; shard < world->shards; shard++)
		for (size_t h = 0; h < world->inventory[shard].hold_count; h++) {
			const struct id *id = &world->inventory[shard].holds[h].id;
			bool excused = false, asked = false;

			for (size_t i = 0; i < world->waiter_count; i++) {
				const struct world_waiter *waiter = world->waiters[i];

				if (id_compare(&waiter->hold, id) != 0)
					continue;
				asked = true;
				excused = excused || !outcome_is_definite(&waiter->waiter.outcome);
			}
			assert_true(asked && excused);
		}
}

/* One key, one hold; except that another body under the same key can only be told once both shards' ledgers are known. */
static void check_keys(const struct world *world)
{
	for (uint32_t shard = 0; shard < world->shards; shard++)
		for (size_t i = 0; i < world->inventory[shard].hold_count; i++)
			for (uint32_t other = 0; other < world->shards; other++)
				for (size_t j = 0; j < world->inventory[other].hold_count; j++) {
					const struct world_hold *a = &world->inventory[shard].holds[i];
					const struct world_hold *b = &world->inventory[other].holds[j];

					if (a != b && a->keyed && b->keyed && key_equal(&a->key, &b->key)) {
						assert_false(key_equal(&a->fingerprint, &b->fingerprint));
						assert_int_not_equal(shard, other);
					}
				}
}

/* All messages end, one way or the other; the cart then knows what inventory knows. */
static void settle(struct world *world)
{
	for (int round = 0; round < 100; round++) {
		for (size_t i = world->flight_count; i-- > 0;)
			if (!world->flights[i].arrived && dice(2))
				world_arrive(world, i);
		for (size_t i = world->flight_count; i-- > 0;)
			if (!world->flights[i].attempt)
				world_drop(world, i);
			else if (world->flights[i].arrived)
				world_return(world, i);
		for (uint32_t shard = 0; shard < world->shards; shard++) {
			world_settle(world, shard);
			world_follow(world, shard, WORLD_LEDGER_MAX);
		}
	}
}

static void check_agreement(struct world *world)
{
	assert_int_equal(world->flight_count, 0);
	assert_int_equal(world->cart->attempts.count, 0);
	assert_int_equal(world->cart->counters.anomalies, 0);
	assert_int_equal(world->succeeded, 0);
	for (int user = 0; user < USERS; user++)
		for (int sku = 0; sku < SKUS; sku++) {
			const struct usage *usage =
				lines_usage(&world->cart->lines, span_of(users[user]), span_of(skus[sku]));

			assert_int_equal(
				usage ? usage_taken(usage) : 0, world_units(world, users[user], skus[sku]));
			assert_int_equal(usage ? usage->pending : 0, 0);
		}
	for (uint32_t shard = 0; shard < world->shards; shard++)
		for (size_t i = 0; i < world->inventory[shard].hold_count; i++) {
			const struct world_hold *hold = &world->inventory[shard].holds[i];
			const struct line *line = lines_find(&world->cart->lines, &hold->id);

			assert_non_null(line);
			assert_int_equal(line->state, hold->state);
			assert_int_equal(line->version, hold->version);
			if (hold->state == LINE_HELD)
				assert_int_equal(
					lines_deadline_ms(&world->cart->lines, line), hold->deadline_ms);
			assert_false(line->unseen);
		}
}

static void run(uint64_t seed)
{
	struct world *world = world_new(2, 60);

	dice_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (int i = 0; i < STEPS; i++) {
		step(world);
		check_limits(world);
	}
	settle(world);
	check_limits(world);
	check_outcomes(world);
	check_refusals(world);
	check_keys(world);
	check_agreement(world);
	world_free(world);
}

static void test_by_dice(void **state)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		printf("seed %llu\n", (unsigned long long)seed);
		run(seed);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_dice)};

	if (argc > 1) {
		run(strtoull(argv[1], NULL, 10));
		return 0;
	}
	return RUN(tests);
}
