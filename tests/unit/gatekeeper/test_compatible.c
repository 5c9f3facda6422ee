/* The compatible API, row by row: what a request means, and how each answer looks, to the letter. */
#include "ask.h"

#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"

static Inventory__Goods goods_of(char *sku, uint64_t available, int64_t price_micros)
{
	Inventory__Goods goods = INVENTORY__GOODS__INIT;

	goods.sku = sku;
	goods.available = available;
	goods.price_micros = price_micros;
	goods.stock = available;
	goods.currency = "USD";
	return goods;
}

static void test_validate_stock(void **state)
{
	const Inventory__ValidateStockRequest *request =
		ask("GET", "/validate/sid/sid00001/sku/SKU0001/quantity/1", NULL);
	Inventory__ValidateStockResponse answer = INVENTORY__VALIDATE_STOCK_RESPONSE__INIT;

	assert_string_equal(request->session_id, "sid00001");
	assert_string_equal(request->sku, "SKU0001");
	assert_int_equal(request->quantity, 1);
	answer.session_id = "sid00001";
	answer.sku = "SKU0001";
	answer.quantity = 1;
	answer.total_quantity = 1000000;
	answer.is_allowed = true;
	answer.api_version = "1.0";
	assert_string_equal(tell(&answer), "{\"sessionID\":\"sid00001\",\"goodsSKU\":\"SKU0001\","
					   "\"goodsQuantity\":1,\"totalQuantity\":1000000,"
					   "\"isAllowed\":true,\"isThrottled\":false,\"version\":\"1.0\"}");
}

static void test_add_goods(void **state)
{
	const Inventory__CreateGoodsRequest *request =
		ask("POST", "/add", "{\"goodsSKU\":\"SKU0003\",\"goodsQuantity\":5,\"goodsPrice\":99.9}");
	Inventory__Goods goods = goods_of(request->sku, request->quantity, request->price_micros);
	Inventory__CreateGoodsResponse answer = INVENTORY__CREATE_GOODS_RESPONSE__INIT;

	assert_true(request->price_micros == 99900000);
	answer.goods = &goods;
	assert_string_equal(
		tell(&answer), "{\"goodsSKU\":\"SKU0003\",\"goodsQuantity\":5,\"goodsPrice\":99.9}");
}

static void test_all_goods(void **state)
{
	Inventory__Goods goods = goods_of("SKU0001", 1000000, 99000000), *list[] = {&goods};
	Inventory__ListGoodsResponse answer = INVENTORY__LIST_GOODS_RESPONSE__INIT;

	ask("GET", "/all", NULL);
	assert_string_equal(tell(&answer), "[]");
	answer.n_goods = 1;
	answer.goods = list;
	assert_string_equal(
		tell(&answer), "[{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":1000000,\"goodsPrice\":99}]");
}

static void test_one_of_the_goods(void **state)
{
	const Inventory__GetGoodsRequest *request = ask("GET", "/sku/SKU0001", NULL);
	Inventory__Goods goods = goods_of("SKU0001", 990000, 45900000);
	Inventory__GetGoodsResponse answer = INVENTORY__GET_GOODS_RESPONSE__INIT;

	assert_string_equal(request->sku, "SKU0001");
	answer.goods = &goods;
	assert_string_equal(
		tell(&answer), "{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":990000,\"goodsPrice\":45.9}");
}

static void test_remove_goods(void **state)
{
	const Inventory__CloseGoodsRequest *request = ask("DELETE", "/delete/sku/SKU0001", NULL);
	Inventory__EmptiedGoods emptied = INVENTORY__EMPTIED_GOODS__INIT;
	Inventory__CloseGoodsResponse answer = INVENTORY__CLOSE_GOODS_RESPONSE__INIT;

	assert_string_equal(request->sku, "SKU0001");
	answer.emptied = &emptied;
	assert_string_equal(tell(&answer), "{\"goodsSKU\":null,\"goodsQuantity\":0,\"goodsPrice\":0.0}");
}

static void test_update_goods(void **state)
{
	const Inventory__UpdateGoodsRequest *request = ask(
		"PUT", "/update", "{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":900000,\"goodsPrice\":99.9}");
	Inventory__Goods goods = goods_of("SKU0001", request->quantity, request->price_micros);
	Inventory__UpdateGoodsResponse answer = INVENTORY__UPDATE_GOODS_RESPONSE__INIT;

	assert_int_equal(
		request->quantity_change_case, INVENTORY__UPDATE_GOODS_REQUEST__QUANTITY_CHANGE_QUANTITY);
	answer.goods = &goods;
	assert_string_equal(
		tell(&answer), "{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":900000,\"goodsPrice\":99.9}");
	request = ask("PUT", "/update", "{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":0}");
	assert_int_equal(
		request->quantity_change_case, INVENTORY__UPDATE_GOODS_REQUEST__QUANTITY_CHANGE_QUANTITY);
	assert_int_equal(request->price_change_case, INVENTORY__UPDATE_GOODS_REQUEST__PRICE_CHANGE__NOT_SET);
}

static void test_buy(void **state)
{
	const Gatekeeper__BuyRequest *request = ask("POST", "/buy",
		"{\"sessionID\":\"sid00001\",\"clientIP\":\"192.0.2.1\",\"userID\":\"user1\",\"userLevel\":5,"
		"\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":2}");
	Gatekeeper__BuyResponse answer = GATEKEEPER__BUY_RESPONSE__INIT;

	assert_string_equal(request->session_id, "sid00001");
	assert_string_equal(request->client_ip, "192.0.2.1");
	assert_string_equal(request->user_id, "user1");
	assert_int_equal(request->user_level, 5);
	assert_string_equal(request->sku, "SKU0001");
	assert_int_equal(request->quantity, 2);
	answer.message = "Sold out";
	answer.api_version = "1.0";
	answer.is_throttled = true;
	answer.hold_id = "not shown here";
	assert_string_equal(tell(&answer),
		"{\"reponseMsg\":\"Sold out\",\"repResult\":false,\"isThrottled\":true,\"version\":\"1.0\"}");
}

static void test_client_check(void **state)
{
	const Protector__ValidateClientRequest *request =
		ask("GET", "/validate/sid/s1/userid/u1/clientip/2001:db8::1", NULL);
	Protector__ValidateClientResponse answer = PROTECTOR__VALIDATE_CLIENT_RESPONSE__INIT;

	assert_string_equal(request->session_id, "s1");
	assert_string_equal(request->user_id, "u1");
	assert_string_equal(request->client_ip, "2001:db8::1");
	answer.session_id = request->session_id;
	answer.user_id = request->user_id;
	answer.client_ip = request->client_ip;
	answer.is_allowed = true;
	answer.api_version = "1.0";
	assert_string_equal(tell(&answer), "{\"sessionID\":\"s1\",\"userID\":\"u1\",\"clientIP\":\"2001:db8::"
					   "1\",\"isAllowed\":true,\"isThrottled\":false,"
					   "\"version\":\"1.0\"}");
}

static void test_purchase_check(void **state)
{
	const Policy__ValidatePurchaseRequest *request =
		ask("GET", "/validate/sid/s1/userid/u1/userlv/5/sku/SKU0001/quantity/3", NULL);
	Policy__ValidatePurchaseResponse answer = POLICY__VALIDATE_PURCHASE_RESPONSE__INIT;
	Common__Unlimited none = COMMON__UNLIMITED__INIT;
	Common__Limit limit = COMMON__LIMIT__INIT;

	assert_int_equal(request->user_level, 5);
	assert_int_equal(request->quantity, 3);
	answer.session_id = request->session_id;
	answer.user_id = request->user_id;
	answer.is_allowed = true;
	answer.api_version = "1.0";
	answer.limit = &limit;
	limit.kind_case = COMMON__LIMIT__KIND_UNITS;
	limit.units = 10;
	assert_string_equal(tell(&answer),
		"{\"sessionID\":\"s1\",\"userID\":\"u1\",\"isAllowed\":true,\"isThrottled\":false,"
		"\"version\":\"1.0\",\"quantityLimit\":10}");
	limit.kind_case = COMMON__LIMIT__KIND_UNLIMITED;
	limit.unlimited = &none;
	assert_non_null(strstr(tell(&answer), "\"quantityLimit\":0}"));
}

static void test_a_list_that_is_not_all(void **state)
{
	Inventory__ListGoodsResponse goods = INVENTORY__LIST_GOODS_RESPONSE__INIT;
	Policy__ListPoliciesResponse policies = POLICY__LIST_POLICIES_RESPONSE__INIT;
	Protector__ListBadAccountsResponse accounts = PROTECTOR__LIST_BAD_ACCOUNTS_RESPONSE__INIT;
	Protector__ListBadAddressesResponse addresses = PROTECTOR__LIST_BAD_ADDRESSES_RESPONSE__INIT;
	const struct {
		const char *path;
		const ProtobufCMessage *answer;
	} lists[] = {{"/all", &goods.base}, {"/policy/all", &policies.base},
		{"/policy/sku/SKU0001", &policies.base}, {"/badguy/all", &accounts.base},
		{"/badip/all", &addresses.base}};

	for (int more = 0; more < 2; more++) {
		goods.next_page_token = policies.next_page_token = more ? "SKU0001" : "";
		accounts.truncated = addresses.truncated = more;
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
			assert_non_null(match("GET", lists[i].path));
			assert_string_equal(tell(lists[i].answer), "[]"); /* its form stays */
			assert_int_equal(route_truncates(fixture.match.route, lists[i].answer), more);
		}
	}
	assert_false(route_truncates(match("GET", "/v1/goods"), &goods.base)); /* it shows the token */
	assert_false(route_truncates(match("GET", "/sku/SKU0001"), &goods.base));
}

static void test_bad_accounts(void **state)
{
	const Protector__AddBadAccountRequest *add =
		ask("POST", "/badguy/add", "{\"userID\":\"u1\",\"isBadGuy\":true}");
	Protector__BadAccount account = PROTECTOR__BAD_ACCOUNT__INIT, *list[] = {&account};
	Protector__AddBadAccountResponse added = PROTECTOR__ADD_BAD_ACCOUNT_RESPONSE__INIT;
	Protector__ListBadAccountsResponse all = PROTECTOR__LIST_BAD_ACCOUNTS_RESPONSE__INIT;
	Protector__GetBadAccountResponse one = PROTECTOR__GET_BAD_ACCOUNT_RESPONSE__INIT;
	Protector__RemoveBadAccountResponse removed = PROTECTOR__REMOVE_BAD_ACCOUNT_RESPONSE__INIT;

	assert_true(add->is_bad);
	account.user_id = add->user_id;
	account.is_bad = true;
	added.account = &account;
	assert_string_equal(tell(&added), "{\"userID\":\"u1\",\"isBadGuy\":true}");
	ask("POST", "/badguy/add", "{\"userID\":\"u1\"}");
	ask("GET", "/badguy/all", NULL);
	assert_string_equal(tell(&all), "[]");
	all.n_accounts = 1;
	all.accounts = list;
	assert_string_equal(tell(&all), "[{\"userID\":\"u1\",\"isBadGuy\":true}]");
	account.is_bad = false;
	account.user_id = ((Protector__GetBadAccountRequest *)ask("GET", "/badguy/userid/u2", NULL))->user_id;
	one.account = &account;
	assert_string_equal(tell(&one), "{\"userID\":\"u2\",\"isBadGuy\":false}");
	account.user_id =
		((Protector__RemoveBadAccountRequest *)ask("DELETE", "/badguy/delete/userid/u3", NULL))
			->user_id;
	removed.account = &account;
	assert_string_equal(tell(&removed), "{\"userID\":\"u3\",\"isBadGuy\":false}");
}

static void test_bad_addresses(void **state)
{
	const Protector__AddBadAddressRequest *add =
		ask("POST", "/badip/add", "{\"clientIP\":\"192.0.2.1\",\"isBadIP\":true}");
	Protector__BadAddress address = PROTECTOR__BAD_ADDRESS__INIT, *list[] = {&address};
	Protector__AddBadAddressResponse added = PROTECTOR__ADD_BAD_ADDRESS_RESPONSE__INIT;
	Protector__ListBadAddressesResponse all = PROTECTOR__LIST_BAD_ADDRESSES_RESPONSE__INIT;
	Protector__GetBadAddressResponse one = PROTECTOR__GET_BAD_ADDRESS_RESPONSE__INIT;
	Protector__RemoveBadAddressResponse removed = PROTECTOR__REMOVE_BAD_ADDRESS_RESPONSE__INIT;

	address.client_ip = add->client_ip;
	address.is_bad = true;
	added.address = &address;
	assert_string_equal(tell(&added), "{\"clientIP\":\"192.0.2.1\",\"isBadIP\":true}");
	ask("GET", "/badip/all", NULL);
	all.n_addresses = 1;
	all.addresses = list;
	assert_string_equal(tell(&all), "[{\"clientIP\":\"192.0.2.1\",\"isBadIP\":true}]");
	address.is_bad = false;
	address.client_ip =
		((Protector__GetBadAddressRequest *)ask("GET", "/badip/clientip/192.0.2.2", NULL))->client_ip;
	one.address = &address;
	assert_string_equal(tell(&one), "{\"clientIP\":\"192.0.2.2\",\"isBadIP\":false}");
	address.client_ip = ((Protector__RemoveBadAddressRequest *)ask(
				     "DELETE", "/badip/delete/clientip/192.0.2.3", NULL))
				    ->client_ip;
	removed.address = &address;
	assert_string_equal(tell(&removed), "{\"clientIP\":\"192.0.2.3\",\"isBadIP\":false}");
}

static void test_policies(void **state)
{
	static const char body[] = "{\"goodsSKU\":\"SKU0001\",\"userLevel\":5,\"quantityLimit\":10}";
	const Policy__SetPolicyRequest *set = ask("PUT", "/policy/update", body);
	const Policy__DeletePolicyRequest *delete;
	Policy__Policy rule = POLICY__POLICY__INIT, *list[] = {&rule};
	Policy__SetPolicyResponse answer = POLICY__SET_POLICY_RESPONSE__INIT;
	Policy__ListPoliciesResponse all = POLICY__LIST_POLICIES_RESPONSE__INIT;
	Policy__DeletePolicyResponse deleted = POLICY__DELETE_POLICY_RESPONSE__INIT;
	Policy__EmptiedPolicy emptied = POLICY__EMPTIED_POLICY__INIT;

	set = ask("POST", "/policy/add", body);
	rule.sku = set->sku;
	rule.user_level = set->user_level;
	rule.limit = set->limit;
	answer.policy = &rule;
	assert_string_equal(tell(&answer), body);
	all.n_policies = 1;
	all.policies = list;
	ask("GET", "/policy/all", NULL);
	assert_string_equal(tell(&all), "[{\"goodsSKU\":\"SKU0001\",\"userLevel\":5,\"quantityLimit\":10}]");
	assert_string_equal(
		((Policy__ListPoliciesRequest *)ask("GET", "/policy/sku/SKU0001", NULL))->sku, "SKU0001");
	assert_string_equal(tell(&all), "[{\"goodsSKU\":\"SKU0001\",\"userLevel\":5,\"quantityLimit\":10}]");
	delete = ask("DELETE", "/policy/delete/sku/SKU0001", NULL);
	assert_int_equal(delete->level_case, POLICY__DELETE_POLICY_REQUEST__LEVEL__NOT_SET);
	deleted.emptied = &emptied;
	assert_string_equal(tell(&deleted), "{\"goodsSKU\":null,\"userLevel\":0,\"quantityLimit\":0}");
	delete = ask("DELETE", "/v1/policies/SKU0001/-1", NULL);
	assert_int_equal(delete->level_case, POLICY__DELETE_POLICY_REQUEST__LEVEL_USER_LEVEL);
	assert_int_equal(delete->user_level, -1);
}

static void test_user_units(void **state)
{
	const Cart__GetUserUnitsRequest *request = ask("GET", "/user/userid/u1/sku/SKU0001", NULL);
	Cart__GetUserUnitsResponse answer = CART__GET_USER_UNITS_RESPONSE__INIT;

	answer.user_id = request->user_id;
	answer.sku = request->sku;
	answer.quantity = 3;
	assert_string_equal(
		tell(&answer), "{\"userID\":\"u1\",\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":3}");
}

static void test_cart(void **state)
{
	static const char shown[] =
		"{\"sessionID\":\"s1\",\"userID\":\"u1\",\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":2,"
		"\"goodsPrice\":99}";
	static const char body[] =
		"{\"sessionID\":\"s1\",\"userID\":\"u1\",\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":2}";
	Cart__CartLine line = CART__CART_LINE__INIT, *lines[] = {&line};
	Gatekeeper__AddCartItemResponse added = GATEKEEPER__ADD_CART_ITEM_RESPONSE__INIT;
	Gatekeeper__UpdateCartItemResponse updated = GATEKEEPER__UPDATE_CART_ITEM_RESPONSE__INIT;
	Cart__GetCartResponse cart = CART__GET_CART_RESPONSE__INIT;
	Cart__GetItemResponse item = CART__GET_ITEM_RESPONSE__INIT;
	Cart__RemoveItemResponse removed = CART__REMOVE_ITEM_RESPONSE__INIT;

	line.session_id = "s1";
	line.user_id = "u1";
	line.sku = "SKU0001";
	line.quantity = 2;
	line.price_micros = 99000000;
	added.line = updated.line = item.line = removed.line = &line;
	assert_int_equal(((Gatekeeper__AddCartItemRequest *)ask("POST", "/cart/add", body))->quantity, 2);
	assert_string_equal(tell(&added), shown);
	assert_int_equal(
		((Gatekeeper__UpdateCartItemRequest *)ask("PUT", "/cart/update", body))->quantity, 2);
	assert_string_equal(tell(&updated), shown);
	assert_string_equal(((Cart__GetCartRequest *)ask("GET", "/cart/all/userid/u1", NULL))->user_id, "u1");
	assert_string_equal(tell(&cart), "[]");
	cart.n_lines = 1;
	cart.lines = lines;
	assert_int_equal(strlen(tell(&cart)), strlen(shown) + 2);
	assert_memory_equal(fixture.text.data + 1, shown, strlen(shown));
	assert_string_equal(
		((Cart__GetItemRequest *)ask("GET", "/cart/sid/s1/userid/u1/sku/SKU0001", NULL))->session_id,
		"s1");
	assert_string_equal(tell(&item), shown);
	assert_string_equal(
		((Cart__RemoveItemRequest *)ask("DELETE", "/cart/delete/userid/u1/sku/SKU0001", NULL))->sku,
		"SKU0001");
	assert_string_equal(tell(&removed), shown);
}

/* Users send what they know from other routes. */
static void test_more_than_asked_for(void **state)
{
	const Inventory__CreateGoodsRequest *add = ask("POST", "/add?x=y",
		"{\"sessionID\":\"s\",\"version\":\"1.0\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,"
		"\"goodsPrice\":1}");

	assert_string_equal(add->sku, "A");
	ask_refused("POST", "/v1/goods",
		"{\"sessionID\":\"s\",\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"goodsPrice\":1}", 400,
		"sessionID", "no such field");
}

static void test_not_served(void **state)
{
	static const char *const paths[] = {"/user/add", "/user/update", "/user/delete"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_null(match("POST", paths[i]));
		assert_int_equal(fixture.problem.http_status, 404);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_validate_stock, fixture_clear),
		cmocka_unit_test_setup(test_add_goods, fixture_clear),
		cmocka_unit_test_setup(test_all_goods, fixture_clear),
		cmocka_unit_test_setup(test_one_of_the_goods, fixture_clear),
		cmocka_unit_test_setup(test_remove_goods, fixture_clear),
		cmocka_unit_test_setup(test_update_goods, fixture_clear),
		cmocka_unit_test_setup(test_buy, fixture_clear),
		cmocka_unit_test_setup(test_client_check, fixture_clear),
		cmocka_unit_test_setup(test_purchase_check, fixture_clear),
		cmocka_unit_test_setup(test_a_list_that_is_not_all, fixture_clear),
		cmocka_unit_test_setup(test_bad_accounts, fixture_clear),
		cmocka_unit_test_setup(test_bad_addresses, fixture_clear),
		cmocka_unit_test_setup(test_policies, fixture_clear),
		cmocka_unit_test_setup(test_user_units, fixture_clear),
		cmocka_unit_test_setup(test_cart, fixture_clear),
		cmocka_unit_test_setup(test_more_than_asked_for, fixture_clear),
		cmocka_unit_test_setup(test_not_served, fixture_clear),
	};

	return cmocka_run_group_tests_name("the compatible API", tests, fixture_setup, fixture_teardown);
}
