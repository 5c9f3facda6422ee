#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/inventory/desk.h"

/* Linked with --wrap: the store can be made to fail. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __real_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags);
int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags);
static _Atomic int commit_error, put_error;

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	int error = atomic_exchange(&commit_error, 0);

	if (!error)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return error;
}

int __wrap_mdb_cursor_put(MDB_cursor *cursor, MDB_val *key, MDB_val *data, unsigned flags)
{
	int error = atomic_exchange(&put_error, 0);

	return error ? error : __real_mdb_cursor_put(cursor, key, data, flags);
}

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

static Inventory__CreateHoldRequest create_request(struct desk *desk, Inventory__NewHold *hold)
{
	Inventory__CreateHoldRequest request = INVENTORY__CREATE_HOLD_REQUEST__INIT;

	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.hold = hold;
	return request;
}

static void available_is(struct desk *desk, uint64_t available)
{
	Inventory__GetGoodsRequest request = INVENTORY__GET_GOODS_REQUEST__INIT;
	Inventory__GetGoodsResponse *answer;
	struct rpc_status status;

	request.sku = "SKU0001";
	answer = DESK_CALL(desk, GetGoods, get_goods, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->goods->available, available);
	desk_free(answer);
}

static void a_hold_is_granted_once(void **state)
{
	struct desk *desk = *state;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(1, id, "SKU0001", 4);
	Inventory__CreateHoldRequest request = create_request(desk, &hold);

	for (int i = 0; i < 3; i++) {
		struct rpc_status status;
		Inventory__CreateHoldResponse *answer =
			DESK_CALL(desk, CreateHold, create_hold, &request, &status);

		assert_non_null(answer);
		assert_int_equal(answer->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_HELD);
		assert_int_equal(answer->grant->quantity, 4);
		assert_int_equal(answer->grant->remaining, 6);
		assert_int_equal(answer->grant->price_micros, 99900000);
		assert_int_equal(answer->grant->version, 1);
		assert_int_equal(answer->grant->deadline->seconds, (DESK_WALL_MS + DESK_TTL_MS) / 1000);
		assert_int_equal(answer->grant->repeated, i > 0);
		desk_free(answer);
	}
	hold.quantity = 3;
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "KEY_REUSED", "");
	available_is(desk, 6);
}

static void a_no_has_its_reason(void **state)
{
	struct desk *desk = *state;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(1, id, "SKU0001", 11);
	Inventory__CreateHoldRequest request = create_request(desk, &hold);
	uint8_t other[INSTANCE_BYTES] = {1};

	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "NOT_ENOUGH", "");
	hold.sku = "SKU9999";
	desk_fails(desk, "CreateHold", &request.base, RPC_NOT_FOUND, "UNKNOWN_SKU", "");
	hold.sku = "SKU0001";
	hold.quantity = 1;
	desk->here.shard = 1;
	desk->here.shards = 2;
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
	desk->here.shard = 0;
	desk->here.shards = 1;
	desk->cart.epoch = 2; /* never fenced */
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "STALE_EPOCH", "");
	desk->cart.epoch = 1;
	desk->cart.instance.data = other;
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "STALE_EPOCH", "");
	desk->cart.instance.data = desk->instance;
	desk->cart.cart_shards = 3;
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
	desk->cart.cart_shards = 2;
	desk_buy(desk, 2, 10);
	desk_fails(desk, "CreateHold", &request.base, RPC_FAILED_PRECONDITION, "SOLD_OUT", "");
	available_is(desk, 0);
}

static void each_field_of_a_new_hold_has_its_range(void **state)
{
	struct desk *desk = *state;
	char id[ID_TEXT_LENGTH + 1], long_text[66] = "";
	const Inventory__NewHold good = desk_hold(1, id, "SKU0001", 1);
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	Inventory__NewHold hold = good;
	Inventory__CreateHoldRequest request = create_request(desk, &hold);

	memset(long_text, 'a', 65);
#define REFUSED(member, value, name) \
	do { \
		hold = good; \
		hold.member = value; \
		desk_fails(desk, "CreateHold", &request.base, RPC_INVALID_ARGUMENT, "INVALID", name); \
	} while (0)
	REFUSED(hold_id, "", "hold.hold_id");
	REFUSED(hold_id, "018b0000-0000-7000-8000-00000000000", "hold.hold_id");
	REFUSED(hold_id, "00000000-0000-0000-0000-000000000000", "hold.hold_id");
	REFUSED(sku, "", "hold.sku");
	REFUSED(sku, "a b", "hold.sku");
	REFUSED(user_id, "", "hold.user_id");
	REFUSED(user_id, long_text, "hold.user_id");
	REFUSED(session_id, long_text, "hold.session_id");
	REFUSED(quantity, 0, "hold.quantity");
	REFUSED(quantity, 1000001, "hold.quantity");
	REFUSED(key_hash, ((ProtobufCBinaryData){15, (uint8_t *)long_text}), "hold.key_hash");
	REFUSED(fingerprint, ((ProtobufCBinaryData){17, (uint8_t *)long_text}), "hold.fingerprint");
	REFUSED(ttl, &ttl, "hold.ttl");
	hold = good;
	request.hold = NULL;
	desk_fails(desk, "CreateHold", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "hold");
	request.hold = &hold;
	request.sender = NULL;
	desk_fails(desk, "CreateHold", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sender");
	request.sender = &desk->cart;
	desk->cart.cart_shard = 2;
	desk_fails(desk, "CreateHold", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sender.cart_shard");
	desk->cart.cart_shard = 0;
	desk->cart.instance.len = 15;
	desk_fails(desk, "CreateHold", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sender.instance");
	desk->cart.instance.len = INSTANCE_BYTES;
	available_is(desk, 10);
}

static void a_batch_is_a_convoy_of_strangers(void **state)
{
	struct desk *desk = *state;
	Inventory__BatchCreateHoldsRequest request = INVENTORY__BATCH_CREATE_HOLDS_REQUEST__INIT;
	Inventory__BatchCreateHoldsResponse *answer;
	char ids[6][ID_TEXT_LENGTH + 1];
	Inventory__NewHold holds[6], *items[6];
	const Common__Reason expected[6] = {COMMON__REASON__REASON_UNSPECIFIED,
		COMMON__REASON__REASON_INVALID, COMMON__REASON__REASON_UNKNOWN_SKU,
		COMMON__REASON__REASON_NOT_ENOUGH, COMMON__REASON__REASON_UNSPECIFIED,
		COMMON__REASON__REASON_SOLD_OUT};
	const uint32_t quantities[6] = {4, 1, 1, 7, 6, 1};
	struct rpc_status status;

	for (uint32_t i = 0; i < 6; i++) {
		holds[i] = desk_hold(i, ids[i], i == 2 ? "SKU9999" : "SKU0001", quantities[i]);
		items[i] = &holds[i];
	}
	holds[1].user_id = "";
	request.sender = &desk->cart;
	request.items = items;
	request.n_items = 6;
	answer = DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->n_items, 6);
	for (int i = 0; i < 6; i++) {
		if (expected[i] == COMMON__REASON__REASON_UNSPECIFIED) {
			assert_int_equal(
				answer->items[i]->outcome_case, INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT);
			assert_int_equal(answer->items[i]->grant->quantity, quantities[i]);
		} else {
			assert_int_equal(
				answer->items[i]->outcome_case, INVENTORY__HOLD_OUTCOME__OUTCOME_REFUSAL);
			assert_int_equal(answer->items[i]->refusal->reason, expected[i]);
		}
	}
	assert_string_equal(answer->items[1]->refusal->field, "user_id");
	assert_true(answer->items[1]->refusal->message[0] != '\0');
	desk_free(answer);
	available_is(desk, 0);
}

static void a_batch_refuses_by_item_what_concerns_all(void **state)
{
	struct desk *desk = *state;
	Inventory__BatchCreateHoldsRequest request = INVENTORY__BATCH_CREATE_HOLDS_REQUEST__INIT;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(1, id, "SKU0001", 1), *items[1] = {&hold};
	Common__Reason expected[] = {COMMON__REASON__REASON_STALE_EPOCH, COMMON__REASON__REASON_WRONG_SHARD,
		COMMON__REASON__REASON_STORE_FULL, COMMON__REASON__REASON_STORE_FAILED};

	request.placement = &desk->here;
	request.sender = &desk->cart;
	request.items = items;
	request.n_items = 1;
	for (int i = 0; i < 4; i++) {
		Inventory__BatchCreateHoldsResponse *answer;
		struct rpc_status status;

		desk->cart.epoch = i == 0 ? 9 : 1;
		desk->here.shards = i == 1 ? 9 : 1;
		atomic_store(&commit_error, i == 2 ? MDB_MAP_FULL : 0);
		atomic_store(&put_error, i == 3 ? MDB_BAD_TXN : 0);
		answer = DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status);
		assert_non_null(answer);
		assert_int_equal(answer->items[0]->refusal->reason, expected[i]);
		desk_free(answer);
	}
	available_is(desk, 10);
	desk_buy(desk, 1, 1); /* nothing of it was kept: the same id is new */
	available_is(desk, 9);
}

static void an_empty_batch_and_one_too_large(void **state)
{
	struct desk *desk = *state;
	Inventory__BatchCreateHoldsRequest request = INVENTORY__BATCH_CREATE_HOLDS_REQUEST__INIT;
	Inventory__BatchCreateHoldsResponse *answer;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold hold = desk_hold(1, id, "SKU0001", 1), **items = calloc(4097, sizeof(*items));
	struct rpc_status status;

	request.sender = &desk->cart;
	answer = DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status);
	assert_non_null(answer);
	assert_int_equal(answer->n_items, 0);
	desk_free(answer);
	for (int i = 0; i < 4097; i++)
		items[i] = &hold;
	request.items = items;
	request.n_items = 4097;
	assert_null(DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status));
	available_is(desk, 10);
	request.n_items = 4096;
	answer = DESK_CALL(desk, BatchCreateHolds, batch_create_holds, &request, &status);
	assert_non_null(answer);
	for (int i = 0; i < 4096; i++)
		assert_int_equal(answer->items[i]->grant->repeated, i > 0);
	desk_free(answer);
	available_is(desk, 9);
	free(items);
}

static void holds_end_by_their_commands(void **state)
{
	struct desk *desk = *state;
	Inventory__ReleaseHoldRequest release = INVENTORY__RELEASE_HOLD_REQUEST__INIT;
	Inventory__ConfirmHoldRequest confirm = INVENTORY__CONFIRM_HOLD_REQUEST__INIT;
	Inventory__ResizeHoldRequest resize = INVENTORY__RESIZE_HOLD_REQUEST__INIT;
	Inventory__HoldRelease released = INVENTORY__HOLD_RELEASE__INIT;
	Inventory__HoldConfirmation confirmed = INVENTORY__HOLD_CONFIRMATION__INIT;
	char one[ID_TEXT_LENGTH + 1], two[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	desk_buy(desk, 1, 4);
	desk_buy(desk, 2, 4);
	release.hold = &released;
	confirm.hold = &confirmed;
	released.hold_id = resize.hold_id = desk_id(1, one);
	confirmed.hold_id = desk_id(2, two);
	confirmed.payment_reference = "payment";
	resize.quantity = 5;
	desk_fails(desk, "ResizeHold", &resize.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	resize.quantity = 0;
	desk_fails(desk, "ResizeHold", &resize.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	resize.quantity = 1;
	desk_free(DESK_CALL(desk, ResizeHold, resize_hold, &resize, &status));
	available_is(desk, 5);
	for (int i = 0; i < 2; i++) {
		Inventory__ReleaseHoldResponse *answer =
			DESK_CALL(desk, ReleaseHold, release_hold, &release, &status);
		Inventory__ConfirmHoldResponse *sold =
			DESK_CALL(desk, ConfirmHold, confirm_hold, &confirm, &status);

		assert_int_equal(answer->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_RELEASED);
		assert_int_equal(answer->grant->repeated, i);
		assert_int_equal(sold->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_SOLD);
		assert_int_equal(sold->grant->repeated, i);
		desk_free(answer);
		desk_free(sold);
	}
	available_is(desk, 6);
	confirmed.payment_reference = "another";
	desk_fails(desk, "ConfirmHold", &confirm.base, RPC_FAILED_PRECONDITION, "WRONG_STATE", "");
	confirmed.payment_reference = "";
	desk_fails(desk, "ConfirmHold", &confirm.base, RPC_INVALID_ARGUMENT, "INVALID",
		"hold.payment_reference");
	released.hold_id = desk_id(3, one);
	desk_fails(desk, "ReleaseHold", &release.base, RPC_NOT_FOUND, "NOT_FOUND", "");
	desk->cart.epoch = 9;
	release.sender = &desk->cart;
	desk_fails(desk, "ReleaseHold", &release.base, RPC_FAILED_PRECONDITION, "STALE_EPOCH", "");
}

static void batches_end_holds_too(void **state)
{
	struct desk *desk = *state;
	Inventory__BatchReleaseHoldsRequest release = INVENTORY__BATCH_RELEASE_HOLDS_REQUEST__INIT;
	Inventory__BatchConfirmHoldsRequest confirm = INVENTORY__BATCH_CONFIRM_HOLDS_REQUEST__INIT;
	Inventory__HoldRelease released[2], *releases[2] = {&released[0], &released[1]};
	Inventory__HoldConfirmation confirmed[2], *confirmations[2] = {&confirmed[0], &confirmed[1]};
	Inventory__BatchReleaseHoldsResponse *gone;
	Inventory__BatchConfirmHoldsResponse *sold;
	char ids[3][ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	desk_buy(desk, 0, 1);
	desk_buy(desk, 1, 2);
	for (uint32_t i = 0; i < 2; i++) {
		inventory__hold_release__init(&released[i]);
		inventory__hold_confirmation__init(&confirmed[i]);
		released[i].hold_id = desk_id(i, ids[i]);
		confirmed[i].hold_id = desk_id(i + 1, ids[i + 1]);
		confirmed[i].payment_reference = "payment";
	}
	released[1].hold_id = "x";
	release.items = releases;
	release.n_items = 2;
	gone = DESK_CALL(desk, BatchReleaseHolds, batch_release_holds, &release, &status);
	assert_int_equal(gone->items[0]->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_RELEASED);
	assert_string_equal(gone->items[1]->refusal->field, "hold_id");
	desk_free(gone);
	confirm.items = confirmations;
	confirm.n_items = 2;
	sold = DESK_CALL(desk, BatchConfirmHolds, batch_confirm_holds, &confirm, &status);
	assert_int_equal(sold->items[0]->grant->state, INVENTORY__HOLD_STATE__HOLD_STATE_SOLD);
	assert_int_equal(sold->items[1]->refusal->reason, COMMON__REASON__REASON_NOT_FOUND);
	desk_free(sold);
	available_is(desk, 8);
}

static Inventory__HoldState state_of(struct desk *desk, uint32_t number)
{
	Inventory__GetHoldRequest request = INVENTORY__GET_HOLD_REQUEST__INIT;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__GetHoldResponse *answer;
	struct rpc_status status;
	Inventory__HoldState found;

	request.hold_id = desk_id(number, id);
	answer = DESK_CALL(desk, GetHold, get_hold, &request, &status);
	assert_non_null(answer);
	assert_string_equal(answer->hold->hold_id, id);
	assert_string_equal(answer->hold->user_id, "user");
	assert_string_equal(answer->hold->session_id, "sid");
	assert_int_equal(answer->hold->create_time->seconds, DESK_WALL_MS / 1000);
	found = answer->hold->state;
	desk_free(answer);
	return found;
}

static void a_hold_past_its_deadline_is_shown_so(void **state)
{
	struct desk *desk = *state;
	Inventory__ConfirmHoldRequest confirm = INVENTORY__CONFIRM_HOLD_REQUEST__INIT;
	Inventory__HoldConfirmation confirmed = INVENTORY__HOLD_CONFIRMATION__INIT;
	Inventory__GetHoldRequest get = INVENTORY__GET_HOLD_REQUEST__INIT;
	char id[ID_TEXT_LENGTH + 1];

	desk_buy(desk, 1, 4);
	assert_int_equal(state_of(desk, 1), INVENTORY__HOLD_STATE__HOLD_STATE_HELD);
	clock_manual_advance(&desk->clock, DESK_TTL_MS);
	assert_int_equal(state_of(desk, 1), INVENTORY__HOLD_STATE__HOLD_STATE_EXPIRED);
	confirm.hold = &confirmed;
	confirmed.hold_id = desk_id(1, id);
	confirmed.payment_reference = "payment";
	desk_fails(desk, "ConfirmHold", &confirm.base, RPC_FAILED_PRECONDITION, "HOLD_EXPIRED", "");
	available_is(desk, 10);
	get.hold_id = desk_id(2, id);
	desk_fails(desk, "GetHold", &get.base, RPC_NOT_FOUND, "NOT_FOUND", "");
	get.hold_id = "2";
	desk_fails(desk, "GetHold", &get.base, RPC_INVALID_ARGUMENT, "INVALID", "hold_id");
}

/* All that pass the filter, over pages of two. */
static size_t count_holds(struct desk *desk, Inventory__ListHoldsRequest *request)
{
	Inventory__ListHoldsResponse *page, *previous = NULL;
	struct rpc_status status;
	size_t count = 0;

	request->page_size = 2;
	request->page_token = "";
	do {
		page = DESK_CALL(desk, ListHolds, list_holds, request, &status);
		assert_non_null(page);
		assert_true(page->n_holds <= 2);
		count += page->n_holds;
		desk_free(previous);
		previous = page;
		request->page_token = page->next_page_token;
	} while (page->next_page_token[0]);
	desk_free(page);
	return count;
}

static void holds_are_listed_by_what_is_asked(void **state)
{
	struct desk *desk = *state;
	Inventory__ListHoldsRequest request = INVENTORY__LIST_HOLDS_REQUEST__INIT;
	Inventory__ReleaseHoldRequest release = INVENTORY__RELEASE_HOLD_REQUEST__INIT;
	Inventory__HoldRelease released = INVENTORY__HOLD_RELEASE__INIT;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold other = desk_hold(100, id, "SKU0002", 1);
	Inventory__CreateHoldRequest create = create_request(desk, &other);
	struct rpc_status status;

	desk_add(desk, "SKU0002", 5);
	for (uint32_t i = 0; i < 5; i++)
		desk_buy(desk, i, 1);
	other.user_id = "somebody";
	desk_free(DESK_CALL(desk, CreateHold, create_hold, &create, &status));
	released.hold_id = desk_id(3, id);
	release.hold = &released;
	desk_free(DESK_CALL(desk, ReleaseHold, release_hold, &release, &status));
	assert_int_equal(count_holds(desk, &request), 6);
	request.user_id = "user";
	assert_int_equal(count_holds(desk, &request), 5);
	request.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	assert_int_equal(count_holds(desk, &request), 4);
	request.user_id = "";
	request.sku = "SKU0002";
	assert_int_equal(count_holds(desk, &request), 1);
	request.sku = "SKU9999";
	assert_int_equal(count_holds(desk, &request), 0);
	request.sku = "";
	request.page_token = "x";
	desk_fails(desk, "ListHolds", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "page_token");
}

static void a_yes_is_there_after_a_restart(void **state)
{
	struct desk *desk = *state;

	desk_buy(desk, 1, 4);
	desk_restart(desk);
	available_is(desk, 6);
	assert_int_equal(state_of(desk, 1), INVENTORY__HOLD_STATE__HOLD_STATE_HELD);
	desk_buy(desk, 1, 4); /* the same: granted once */
	available_is(desk, 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_hold_is_granted_once),
		TEST(a_no_has_its_reason),
		TEST(each_field_of_a_new_hold_has_its_range),
		TEST(a_batch_is_a_convoy_of_strangers),
		TEST(a_batch_refuses_by_item_what_concerns_all),
		TEST(an_empty_batch_and_one_too_large),
		TEST(holds_end_by_their_commands),
		TEST(batches_end_holds_too),
		TEST(a_hold_past_its_deadline_is_shown_so),
		TEST(holds_are_listed_by_what_is_asked),
		TEST(a_yes_is_there_after_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
