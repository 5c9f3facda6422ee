#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/inventory/desk.h"

static int set_up(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	desk_open(desk);
	desk_add(desk, "SKU0001", 10);
	*state = desk;
	return 0;
}

static int tear_down(void **state)
{
	desk_close(*state);
	free(*state);
	return 0;
}

#define ORDER 900
static char texts[4][ID_TEXT_LENGTH + 1];
static char *holds[3];

static Inventory__BindOrderHoldsRequest bind_request(struct desk *desk, size_t count)
{
	Inventory__BindOrderHoldsRequest request = INVENTORY__BIND_ORDER_HOLDS_REQUEST__INIT;

	for (uint32_t i = 0; i < 3; i++)
		holds[i] = desk_id(i + 1, texts[i]);
	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.order_id = desk_id(ORDER, texts[3]);
	request.user_id = "user";
	request.hold_ids = holds;
	request.n_hold_ids = count;
	return request;
}

/* Two holds of 3 and 2 units, bound. */
static void bind_two(struct desk *desk)
{
	Inventory__BindOrderHoldsRequest request = bind_request(desk, 2);
	Inventory__BindOrderHoldsResponse *answer;
	struct rpc_status status;

	desk_buy(desk, 1, 3);
	desk_buy(desk, 2, 2);
	answer = DESK_CALL(desk, BindOrderHolds, bind_order_holds, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->outcome->outcome_case, INVENTORY__ORDER_OUTCOME__OUTCOME_GRANT);
	assert_int_equal(answer->outcome->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_HELD);
	assert_int_equal(answer->outcome->grant->n_items, 2);
	assert_string_equal(answer->outcome->grant->items[1]->hold_id, texts[1]);
	assert_string_equal(answer->outcome->grant->items[1]->sku, "SKU0001");
	assert_int_equal(answer->outcome->grant->items[0]->quantity, 3);
	assert_int_equal(answer->outcome->grant->items[0]->price_micros, 99900000);
	assert_false(answer->outcome->grant->repeated);
	desk_free(answer);
}

static Inventory__ConfirmOrderHoldsResponse *confirm(struct desk *desk, const char *payment)
{
	Inventory__ConfirmOrderHoldsRequest request = INVENTORY__CONFIRM_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ConfirmOrderHoldsResponse *answer;
	struct rpc_status status;

	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.order_id = texts[3];
	request.payment_reference = (char *)(uintptr_t)payment;
	answer = DESK_CALL(desk, ConfirmOrderHolds, confirm_order_holds, &request, &status);
	assert_non_null(answer);
	return answer;
}

static void an_order_is_sold_and_refunded(void **state)
{
	struct desk *desk = *state;
	Inventory__RefundOrderHoldsRequest request = INVENTORY__REFUND_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ConfirmOrderHoldsResponse *confirmed;
	Inventory__RefundOrderHoldsResponse *refunded;
	struct rpc_status status;

	bind_two(desk);
	confirmed = confirm(desk, "pay-1");
	assert_int_equal(confirmed->outcome->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_SOLD);
	assert_string_equal(confirmed->outcome->grant->payment_reference, "pay-1");
	desk_free(confirmed);
	confirmed = confirm(desk, "pay-1");
	assert_true(confirmed->outcome->grant->repeated);
	desk_free(confirmed);
	confirmed = confirm(desk, "pay-2");
	assert_int_equal(confirmed->outcome->outcome_case, INVENTORY__ORDER_OUTCOME__OUTCOME_REFUSAL);
	assert_int_equal(confirmed->outcome->refusal->reason, COMMON__REASON__REASON_WRONG_STATE);
	assert_string_equal(confirmed->outcome->refusal->payment_reference, "pay-1");
	assert_int_equal(confirmed->outcome->refusal->state, INVENTORY__HOLD_STATE__HOLD_STATE_SOLD);
	desk_free(confirmed);
	request.order_id = texts[3];
	refunded = DESK_CALL(desk, RefundOrderHolds, refund_order_holds, &request, &status);
	assert_non_null(refunded);
	assert_int_equal(refunded->outcome->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_REFUNDED);
	desk_free(refunded);
}

static void too_late_names_the_deadline(void **state)
{
	struct desk *desk = *state;
	Inventory__ConfirmOrderHoldsResponse *answer;

	bind_two(desk);
	desk_pass(desk, DESK_TTL_MS);
	answer = confirm(desk, "pay-1");
	assert_int_equal(answer->outcome->refusal->reason, COMMON__REASON__REASON_HOLD_EXPIRED);
	assert_int_equal(answer->outcome->refusal->state, INVENTORY__HOLD_STATE__HOLD_STATE_EXPIRED);
	assert_int_equal(answer->outcome->refusal->deadline->seconds, (DESK_WALL_MS + DESK_TTL_MS) / 1000);
	desk_free(answer);
}

static void an_order_is_released(void **state)
{
	struct desk *desk = *state;
	Inventory__ReleaseOrderHoldsRequest request = INVENTORY__RELEASE_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ReleaseOrderHoldsResponse *answer;
	struct rpc_status status;

	bind_two(desk);
	request.order_id = texts[3];
	request.sender = &desk->cart;
	answer = DESK_CALL(desk, ReleaseOrderHolds, release_order_holds, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->outcome->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_RELEASED);
	desk_free(answer);
}

static void a_no_names_the_first_bad_hold(void **state)
{
	struct desk *desk = *state;
	Inventory__BindOrderHoldsRequest request = bind_request(desk, 3);
	Inventory__BindOrderHoldsResponse *answer;
	struct rpc_status status;

	desk_buy(desk, 1, 3);
	answer = DESK_CALL(desk, BindOrderHolds, bind_order_holds, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->outcome->refusal->reason, COMMON__REASON__REASON_NOT_FOUND);
	assert_string_equal(answer->outcome->refusal->hold_id, texts[1]);
	desk_free(answer);
	desk->cart.epoch = 2;
	answer = DESK_CALL(desk, BindOrderHolds, bind_order_holds, &request, &status);
	assert_int_equal(answer->outcome->refusal->reason, COMMON__REASON__REASON_STALE_EPOCH);
	assert_string_equal(answer->outcome->refusal->hold_id, "");
	desk_free(answer);
}

static void what_is_malformed_is_named(void **state)
{
	struct desk *desk = *state;
	Inventory__BindOrderHoldsRequest request = bind_request(desk, 2);
	Inventory__ConfirmOrderHoldsRequest confirmation = INVENTORY__CONFIRM_ORDER_HOLDS_REQUEST__INIT;
	Inventory__ReleaseOrderHoldsRequest release = INVENTORY__RELEASE_ORDER_HOLDS_REQUEST__INIT;
	char *good = holds[1];

	request.sender = NULL;
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sender");
	request.sender = &desk->cart;
	request.user_id = "";
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "user_id");
	request.user_id = "user";
	request.n_hold_ids = 0;
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "hold_ids");
	request.n_hold_ids = 2;
	holds[1] = holds[0];
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "hold_ids");
	holds[1] = good;
	request.order_id = "x";
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "order_id");
	desk->here.shard = 1;
	desk->here.shards = 2;
	desk_fails(desk, "BindOrderHolds", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
	confirmation.order_id = texts[3];
	desk_fails(desk, "ConfirmOrderHolds", &confirmation.base, RPC_INVALID_ARGUMENT, "INVALID",
		"payment_reference");
	desk_fails(desk, "ReleaseOrderHolds", &release.base, RPC_INVALID_ARGUMENT, "INVALID", "order_id");
}

static void is_the_order(const Inventory__OrderChanged *changed)
{
	assert_string_equal(changed->order_id, texts[3]);
	assert_string_equal(changed->user_id, "user");
	assert_int_equal(changed->state, INVENTORY__HOLD_STATE__HOLD_STATE_HELD);
	assert_int_equal(changed->n_items, 2);
	assert_string_equal(changed->items[0]->currency, "USD");
}

static void the_ledger_carries_orders(void **state)
{
	struct desk *desk = *state;
	Inventory__ReadLedgerRequest request = INVENTORY__READ_LEDGER_REQUEST__INIT;
	int orders = 0;
	Inventory__ReadLedgerResponse *message;
	struct client_call call;
	struct rpc_status status;

	bind_two(desk);
	request.filter_case = INVENTORY__READ_LEDGER_REQUEST__FILTER_CART_SHARD;
	desk_stream(desk, &call, "ReadLedger", &request.base);
	assert_true(client_receive(&call));
	message = client_unpack(&call, &inventory__read_ledger_response__descriptor);
	assert_non_null(message);
	for (size_t i = 0; i < message->n_entries; i++) {
		if (message->entries[i]->change_case != INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED)
			continue;
		is_the_order(message->entries[i]->order_changed);
		orders++;
	}
	assert_int_equal(orders, 1);
	desk_free(message);
	while (client_receive(&call))
		;
	client_finish(&call, &status);
	assert_int_equal(status.code, RPC_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_order_is_sold_and_refunded),
		TEST(too_late_names_the_deadline),
		TEST(an_order_is_released),
		TEST(a_no_names_the_first_bad_hold),
		TEST(what_is_malformed_is_named),
		TEST(the_ledger_carries_orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
