/* Whose request is it, and is what it asks about known yet? Who is refused is seen where calls end: rpc_fail_reason is this file's. */
#include "check.h"

#include <stdio.h>

#include "cart/placement.h"
#include "cart/rpc_orders.h"
#include "rpc/reason.h"

#define REASON(name) COMMON__REASON__REASON_##name

static Common__Reason failed; /* what the call ended with; UNSPECIFIED: it goes on */

void __wrap_rpc_fail_reason(struct rpc_call *call, Common__Reason value, const char *format, ...);

void __wrap_rpc_fail_reason(struct rpc_call *call, Common__Reason value, const char *format, ...)
{
	failed = value;
}

static Common__Placement placement_of(uint32_t shard, uint32_t shards)
{
	Common__Placement placement = COMMON__PLACEMENT__INIT;

	placement.shard = shard;
	placement.shards = shards;
	return placement;
}

static void expect(bool yes, Common__Reason reason)
{
	assert_int_equal(yes, reason == REASON(UNSPECIFIED));
	assert_int_equal(failed, reason);
	failed = REASON(UNSPECIFIED);
}

static void test_only_its_own_shard_of_as_many(void **state)
{
	const struct cart_service service = {.shard = 1, .shards = 3};

	for (uint32_t shards = 1; shards <= 4; shards++)
		for (uint32_t shard = 0; shard < shards; shard++) {
			Common__Placement placement = placement_of(shard, shards);

			expect(placement_check(&service, &placement, NULL),
				shard == 1 && shards == 3 ? REASON(UNSPECIFIED) : REASON(WRONG_SHARD));
		}
	expect(placement_check(&service, NULL, NULL), REASON(UNSPECIFIED)); /* an operator with grpcurl */
}

/* Each person belongs to one shard, whoever asks. */
static void test_a_person_has_one_shard(void **state)
{
	char user[24];

	for (int i = 0; i < 100; i++) {
		int owners = 0;

		snprintf(user, sizeof(user), "user-%d", i);
		for (uint32_t shard = 0; shard < 3; shard++) {
			const struct cart_service service = {.shard = shard, .shards = 3};
			bool owns = placement_owns(&service, user);

			assert_int_equal(owns, hash_shard(user, 3) == shard);
			expect(placement_check_user(&service, user, NULL),
				owns ? REASON(UNSPECIFIED) : REASON(WRONG_SHARD));
			owners += owns;
		}
		assert_int_equal(owners, 1);
	}
}

static const char *sku_of(uint32_t shard, char sku[24])
{
	for (int i = 0;; i++) {
		snprintf(sku, 24, "SKU%d", i);
		if (hash_shard(sku, 2) == shard)
			return sku;
	}
}

/* At its start a cart knows nothing of a shard before the fence was applied; one that stopped for good does not keep the others waiting. */
static void test_nothing_is_told_of_a_shard_before_it_was_heard(void **state)
{
	struct cart_link links[2] = {{.was_usable = true}, {.was_usable = false}};
	struct cart cart = {.links = links};
	const struct cart_service service = {.cart = &cart, .inventory_shards = 2, .shards = 1};
	char heard[24], unheard[24];

	sku_of(0, heard);
	sku_of(1, unheard);
	expect(placement_heard(&service, heard, NULL), REASON(UNSPECIFIED));
	expect(placement_heard(&service, unheard, NULL), REASON(STARTING));
	expect(placement_heard(&service, NULL, NULL), REASON(STARTING));
	links[1].stopped = true;
	expect(placement_heard(&service, unheard, NULL), REASON(DEPENDENCY_DOWN));
	expect(placement_heard(&service, NULL, NULL), REASON(UNSPECIFIED));
	links[1].was_usable = true;
	expect(placement_heard(&service, unheard, NULL), REASON(UNSPECIFIED));
}

/* What is not here may be with the shard that was never heard: no "there is none" before all were, not even if that one has stopped. */
static void test_none_is_said_only_once_all_were_heard(void **state)
{
	struct cart_link links[2] = {{.was_usable = true}, {.was_usable = false}};
	struct cart cart = {.links = links};
	const struct cart_service service = {.cart = &cart, .inventory_shards = 2, .shards = 1};

	expect(placement_heard_all(&service, NULL), REASON(STARTING));
	links[1].stopped = true;
	expect(placement_heard_all(&service, NULL), REASON(DEPENDENCY_DOWN));
	links[1].was_usable = true; /* it stopped after it was heard */
	expect(placement_heard_all(&service, NULL), REASON(UNSPECIFIED));
	links[1].stopped = false;
	expect(placement_heard_all(&service, NULL), REASON(UNSPECIFIED));
	links[0] = (struct cart_link){.stopped = true};
	expect(placement_heard_all(&service, NULL), REASON(DEPENDENCY_DOWN));
}

static void test_an_order_is_denied_only_once_all_were_heard(void **state)
{
	struct cart_link links[2] = {{.was_usable = true}, {.was_usable = false}};
	struct cart cart = {.options = {.shards = 2}, .links = links};
	const struct orders_options options = {.cart = &cart, .cart_shards = 1};
	struct cart_service service = {.cart = &cart, .inventory_shards = 2, .shards = 1};
	static const char id[] = "01890a5d-ac96-774b-bcce-b302099a8057";

	service.orders = orders_new(&options);
	assert_null(order_named(&service, id, "", NULL));
	expect(false, REASON(STARTING));
	links[1].stopped = true;
	assert_null(order_named(&service, id, "", NULL));
	expect(false, REASON(DEPENDENCY_DOWN));
	links[1].was_usable = true;
	assert_null(order_named(&service, id, "", NULL));
	expect(false, REASON(NOT_FOUND));
	orders_free(service.orders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_its_own_shard_of_as_many),
		cmocka_unit_test(test_a_person_has_one_shard),
		cmocka_unit_test(test_nothing_is_told_of_a_shard_before_it_was_heard),
		cmocka_unit_test(test_none_is_said_only_once_all_were_heard),
		cmocka_unit_test(test_an_order_is_denied_only_once_all_were_heard),
	};

	return RUN(tests);
}
