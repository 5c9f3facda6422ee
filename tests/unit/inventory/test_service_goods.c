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

static void goods_are_answered_as_stored(void **state)
{
	struct desk *desk = *state;
	Inventory__GetGoodsRequest request = INVENTORY__GET_GOODS_REQUEST__INIT;
	Inventory__GetGoodsResponse *answer;
	struct rpc_status status;

	desk_buy(desk, 1, 3);
	request.sku = "SKU0001";
	answer = DESK_CALL(desk, GetGoods, get_goods, &request, &status);
	assert_non_null(answer);
	assert_string_equal(answer->goods->sku, "SKU0001");
	assert_int_equal(answer->goods->available, 7);
	assert_int_equal(answer->goods->held, 3);
	assert_int_equal(answer->goods->sold, 0);
	assert_int_equal(answer->goods->stock, 10);
	assert_int_equal(answer->goods->price_micros, 99900000);
	assert_string_equal(answer->goods->currency, "USD");
	assert_int_equal(answer->goods->hold_ttl->seconds, DESK_TTL_MS / 1000);
	assert_int_equal(answer->goods->version, 1);
	desk_free(answer);
}

static void each_field_of_new_goods_has_its_range(void **state)
{
	struct desk *desk = *state;
	char long_sku[66] = "";
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	const Inventory__CreateGoodsRequest good = INVENTORY__CREATE_GOODS_REQUEST__INIT;
	Inventory__CreateGoodsRequest request = good;
	const char *skus[] = {"", "a b", "a/b", "\xc3\xa4", long_sku};

	memset(long_sku, 'a', 65);
	for (size_t i = 0; i < sizeof(skus) / sizeof(skus[0]); i++) {
		request.sku = (char *)(uintptr_t)skus[i];
		desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "sku");
	}
	request.sku = "SKU0002";
	request.quantity = (uint64_t)STOCK_MAX + 1;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	request.quantity = UINT64_MAX;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	request.quantity = 1;
	request.price_micros = -1;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "price_micros");
	request.price_micros = PRICE_MAX + 1;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "price_micros");
	request.price_micros = 1;
	request.currency = "usd";
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "currency");
	request.currency = "EUR";
	request.hold_ttl = &ttl;
	ttl.nanos = 99000000;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "hold_ttl");
	ttl.seconds = INT64_MAX;
	desk_fails(desk, "CreateGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "hold_ttl");
	ttl.seconds = 5;
	desk->here.shards = 2;
	request.placement = &desk->here;
	desk_fails(desk, "CreateGoods", &request.base, RPC_FAILED_PRECONDITION, "WRONG_SHARD", "");
	desk->here.shards = 1;
	desk_free(DESK_CALL(desk, CreateGoods, create_goods, &request, &(struct rpc_status){0}));
	desk_fails(desk, "CreateGoods", &request.base, RPC_ALREADY_EXISTS, "ALREADY_OPEN", "");
}

static void closed_goods_are_hidden_until_they_are_added_again(void **state)
{
	struct desk *desk = *state;
	Inventory__CloseGoodsRequest close = INVENTORY__CLOSE_GOODS_REQUEST__INIT;
	Inventory__GetGoodsRequest get = INVENTORY__GET_GOODS_REQUEST__INIT;
	Inventory__ListGoodsRequest list = INVENTORY__LIST_GOODS_REQUEST__INIT;
	Inventory__CreateHoldRequest hold = INVENTORY__CREATE_HOLD_REQUEST__INIT;
	char id[ID_TEXT_LENGTH + 1];
	Inventory__NewHold item = desk_hold(9, id, "SKU0001", 1);
	Inventory__CloseGoodsResponse *closed;
	Inventory__ListGoodsResponse *listed;
	struct rpc_status status;

	close.sku = get.sku = "SKU0001";
	closed = DESK_CALL(desk, CloseGoods, close_goods, &close, &status);
	assert_true(closed->goods->closed);
	assert_non_null(closed->emptied);
	desk_free(closed);
	desk_fails(desk, "GetGoods", &get.base, RPC_NOT_FOUND, "UNKNOWN_SKU", "");
	desk_fails(desk, "CloseGoods", &close.base, RPC_NOT_FOUND, "UNKNOWN_SKU", "");
	hold.sender = &desk->cart;
	hold.hold = &item;
	desk_fails(desk, "CreateHold", &hold.base, RPC_FAILED_PRECONDITION, "CLOSED", "");
	listed = DESK_CALL(desk, ListGoods, list_goods, &list, &status);
	assert_int_equal(listed->n_goods, 0);
	desk_free(listed);
	desk_add(desk, "SKU0001", 7);
	listed = DESK_CALL(desk, ListGoods, list_goods, &list, &status);
	assert_int_equal(listed->n_goods, 1);
	assert_int_equal(listed->goods[0]->available, 7);
	desk_free(listed);
}

static void updates_change_what_is_given(void **state)
{
	struct desk *desk = *state;
	Inventory__UpdateGoodsRequest request = INVENTORY__UPDATE_GOODS_REQUEST__INIT;
	Inventory__UpdateGoodsResponse *answer;
	Inventory__SetAvailableRequest set = INVENTORY__SET_AVAILABLE_REQUEST__INIT;
	Inventory__SetAvailableResponse *was_set;
	struct rpc_status status;

	desk_buy(desk, 1, 3);
	request.sku = set.sku = "SKU0001";
	request.price_change_case = INVENTORY__UPDATE_GOODS_REQUEST__PRICE_CHANGE_PRICE_MICROS;
	request.price_micros = 5000000;
	request.if_version = 2;
	desk_fails(desk, "UpdateGoods", &request.base, RPC_ABORTED, "VERSION_MISMATCH", "");
	request.if_version = 1;
	answer = DESK_CALL(desk, UpdateGoods, update_goods, &request, &status);
	assert_int_equal(answer->goods->price_micros, 5000000);
	assert_int_equal(answer->goods->available, 7);
	desk_free(answer);
	set.quantity = 0; /* a quantity of zero is a quantity */
	was_set = DESK_CALL(desk, SetAvailable, set_available, &set, &status);
	assert_int_equal(was_set->goods->available, 0);
	assert_int_equal(was_set->goods->stock, 3);
	assert_int_equal(was_set->goods->price_micros, 5000000);
	desk_free(was_set);
	set.quantity = (uint64_t)STOCK_MAX - 2;
	desk_fails(desk, "SetAvailable", &set.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	set.quantity = (uint64_t)STOCK_MAX + 1;
	desk_fails(desk, "SetAvailable", &set.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	set.sku = "SKU9999";
	set.quantity = 1;
	desk_fails(desk, "SetAvailable", &set.base, RPC_NOT_FOUND, "UNKNOWN_SKU", "");
}

static void adjustments_count_once(void **state)
{
	struct desk *desk = *state;
	Inventory__AdjustStockRequest request = INVENTORY__ADJUST_STOCK_REQUEST__INIT;
	Inventory__AdjustStockResponse *answer;
	char id[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	request.sku = "SKU0001";
	request.request_id = desk_id(77, id);
	desk_fails(desk, "AdjustStock", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "change");
	request.change = 5;
	for (int i = 0; i < 3; i++) {
		answer = DESK_CALL(desk, AdjustStock, adjust_stock, &request, &status);
		assert_int_equal(answer->goods->stock, 15);
		desk_free(answer);
	}
	request.change = 6;
	desk_fails(desk, "AdjustStock", &request.base, RPC_FAILED_PRECONDITION, "KEY_REUSED", "");
	request.request_id = desk_id(78, id);
	request.change = -16;
	desk_fails(desk, "AdjustStock", &request.base, RPC_FAILED_PRECONDITION, "NOT_ENOUGH", "");
	request.request_id = "78";
	desk_fails(desk, "AdjustStock", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "request_id");
}

static void goods_are_listed_in_pages(void **state)
{
	struct desk *desk = *state;
	Inventory__ListGoodsRequest request = INVENTORY__LIST_GOODS_REQUEST__INIT;
	Inventory__ListGoodsResponse *page = NULL, *previous = NULL;
	struct rpc_status status;
	char sku[16];
	int seen = 0;

	for (int i = 2; i <= 7; i++) {
		snprintf(sku, sizeof(sku), "SKU%04d", i);
		desk_add(desk, sku, 1);
	}
	request.page_size = 3;
	do {
		page = DESK_CALL(desk, ListGoods, list_goods, &request, &status);
		assert_non_null(page);
		assert_true(page->n_goods <= 3);
		for (size_t i = 0; i < page->n_goods; i++) {
			snprintf(sku, sizeof(sku), "SKU%04d", ++seen);
			assert_string_equal(page->goods[i]->sku, sku);
		}
		request.page_token = page->next_page_token;
		desk_free(previous);
		previous = page;
	} while (page->next_page_token[0]);
	assert_int_equal(seen, 7);
	desk_free(page);
	request.page_token = "no such/token";
	desk_fails(desk, "ListGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "page_token");
	request.page_token = "";
	request.page_size = 10001;
	desk_fails(desk, "ListGoods", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "page_size");
}

static void stock_is_validated_without_reserving(void **state)
{
	struct desk *desk = *state;
	Inventory__ValidateStockRequest request = INVENTORY__VALIDATE_STOCK_REQUEST__INIT;
	Inventory__ValidateStockResponse *answer;
	struct rpc_status status;

	request.session_id = "sid00001";
	request.sku = "SKU0001";
	for (uint32_t quantity = 10; quantity <= 11; quantity++) {
		request.quantity = quantity;
		answer = DESK_CALL(desk, ValidateStock, validate_stock, &request, &status);
		assert_int_equal(answer->is_allowed, quantity == 10);
		assert_int_equal(answer->total_quantity, 10);
		assert_int_equal(answer->quantity, quantity);
		assert_string_equal(answer->session_id, "sid00001");
		assert_string_equal(answer->sku, "SKU0001");
		assert_string_equal(answer->api_version, "1.0");
		assert_false(answer->is_throttled);
		desk_free(answer);
	}
	request.quantity = 0;
	desk_fails(desk, "ValidateStock", &request.base, RPC_INVALID_ARGUMENT, "INVALID", "quantity");
	request.quantity = 1;
	request.sku = "SKU9999";
	desk_fails(desk, "ValidateStock", &request.base, RPC_NOT_FOUND, "UNKNOWN_SKU", "");
}

/* Messages until one has items; heartbeats have none. */
static Inventory__WatchStockResponse *next_marks(struct client_call *call)
{
	for (;;) {
		Inventory__WatchStockResponse *message;

		assert_true(client_receive(call));
		message = client_unpack(call, &inventory__watch_stock_response__descriptor);
		if (message->n_items)
			return message;
		desk_free(message);
	}
}

static void watchers_see_what_is_committed(void **state)
{
	struct desk *desk = *state;
	Inventory__WatchStockRequest request = INVENTORY__WATCH_STOCK_REQUEST__INIT;
	Inventory__CloseGoodsRequest close = INVENTORY__CLOSE_GOODS_REQUEST__INIT;
	Inventory__WatchStockResponse *message;
	struct client_call call;
	struct rpc_status status;

	desk_stream(desk, &call, "WatchStock", &request.base);
	message = next_marks(&call);
	assert_true(message->header->snapshot_begin);
	assert_string_equal(message->items[0]->sku, "SKU0001");
	assert_int_equal(message->items[0]->available, 10);
	desk_free(message);
	desk_buy(desk, 1, 10);
	message = next_marks(&call);
	assert_int_equal(message->items[0]->available, 0);
	desk_free(message);
	desk_pass(desk, DESK_TTL_MS); /* nobody confirmed */
	message = next_marks(&call);
	assert_int_equal(message->items[0]->available, 10);
	assert_false(message->items[0]->closed);
	desk_free(message);
	close.sku = "SKU0001";
	desk_free(DESK_CALL(desk, CloseGoods, close_goods, &close, &status));
	message = next_marks(&call);
	assert_true(message->items[0]->closed);
	desk_free(message);
	desk_cancel(&call);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(goods_are_answered_as_stored),
		TEST(each_field_of_new_goods_has_its_range),
		TEST(closed_goods_are_hidden_until_they_are_added_again),
		TEST(updates_change_what_is_given),
		TEST(adjustments_count_once),
		TEST(goods_are_listed_in_pages),
		TEST(stock_is_validated_without_reserving),
		TEST(watchers_see_what_is_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
