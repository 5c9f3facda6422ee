/* gatekeeper/edge/routes: which route a path finds, and what is read from it. */
#include "ask.h"

#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"

static void test_all_routes(void **state)
{
	size_t count;
	const struct route *list = routes_all(fixture.routes, &count);

	assert_true(count > 50);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(list[i].index, i);
		assert_int_equal(
			list[i].surface, !strncmp(list[i].path, "/v1/", 4) ? JSON_V1 : JSON_COMPATIBLE);
		assert_true(list[i].method->access != OPTIONS__ACCESS__ACCESS_UNSPECIFIED);
	}
}

static void test_what_a_route_knows(void **state)
{
	const struct route *route = match("POST", "/add");

	assert_string_equal(route->pool, "inventory");
	assert_string_equal(route->shard_key->field->name, "sku");
	assert_string_equal(route->response_body->field->name, "goods");
	assert_true(route->body);
	assert_int_equal(route->method->access, OPTIONS__ACCESS__ACCESS_OPERATOR);
	assert_string_equal(route->method->method->name, "CreateGoods");
	assert_ptr_equal(route->method->service, &inventory__inventory_service__descriptor);
	assert_null(route->session_id);
	route = match("POST", "/buy");
	assert_null(route->pool);
	assert_null(route->shard_key);
	assert_non_null(route->session_id);
	assert_int_equal(route->method->access, OPTIONS__ACCESS__ACCESS_SHOPPER);
	assert_string_equal(match("GET", "/v1/users/u/units/s")->pool, "cart");
	assert_string_equal(match("GET", "/policy/all")->pool, "policy");
	assert_string_equal(match("GET", "/badip/all")->pool, "protector");
}

static void test_literals_win(void **state)
{
	assert_string_equal(match("GET", "/v1/policies/check")->path, "/v1/policies/check");
	assert_string_equal(match("GET", "/v1/goods/check")->path, "/v1/goods/{sku}");
	/* No literal has this method: the word is a SKU. */
	assert_string_equal(match("DELETE", "/v1/policies/check")->path, "/v1/policies/{sku}");
	assert_string_equal(match("HEAD", "/v1/goods/A")->path, "/v1/goods/{sku}");
}

static void nothing(const char *method, const char *path, unsigned http_status, const char *allow)
{
	assert_null(match(method, path));
	if (fixture.problem.http_status != http_status || strcmp(fixture.problem.allow, allow))
		fail_msg("%s %s: %u %s", method, path, fixture.problem.http_status, fixture.problem.allow);
}

static void test_nothing_there(void **state)
{
	nothing("GET", "/", 404, "");
	nothing("GET", "", 404, "");
	nothing("GET", "all", 404, "");
	nothing("GET", "/nope", 404, "");
	nothing("GET", "/all/", 404, "");
	nothing("GET", "//all", 404, "");
	nothing("GET", "/sku/", 404, "");
	nothing("GET", "/sku//", 404, "");
	nothing("GET", "/sku/a/b", 404, "");
	nothing("GET", "/v1", 404, "");
	nothing("GET", "/%61ll", 404, "");
	nothing("GET", "/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9/1/2/3/4/5/6/7/8/9", 404, "");
	nothing("POST", "/all", 405, "GET, HEAD");
	nothing("GET", "/buy", 405, "POST");
	nothing("get", "/all", 405, "GET, HEAD");
	nothing("OPTIONS", "/v1/goods", 405, "GET, HEAD, POST");
	nothing("TRACE", "/v1/goods/A", 405, "GET, HEAD, PUT, DELETE");
	nothing("POST", "/v1/policies/check", 405, "GET, HEAD, DELETE");
}

static void test_captures(void **state)
{
	const Policy__ValidatePurchaseRequest *check;
	const Protector__RemoveBadAddressRequest *address;

	check = ask("GET", "/validate/sid/s%201/userid/u%2fv/userlv/7/sku/SKU0001/quantity/3", NULL);
	assert_string_equal(check->session_id, "s 1");
	assert_string_equal(check->user_id, "u/v");
	assert_int_equal(check->user_level, 7);
	assert_int_equal(check->quantity, 3);
	address = ask("DELETE", "/badip/delete/clientip/192.0.2.0%2F24", NULL);
	assert_string_equal(address->client_ip, "192.0.2.0/24");
	address = ask(
		"DELETE", "/badip/delete/clientip/2001%3adb8::1+2", NULL); /* plus is no blank in a path */
	assert_string_equal(address->client_ip, "2001:db8::1+2");
	ask_refused("GET", "/sku/%", NULL, 400, "goodsSKU", "percent-encoded");
	ask_refused("GET", "/sku/%4", NULL, 400, "goodsSKU", "percent-encoded");
	ask_refused("GET", "/sku/%zz", NULL, 400, "goodsSKU", "percent-encoded");
	ask_refused("GET", "/sku/a%00b", NULL, 400, "goodsSKU", "NUL");
	ask_refused("GET", "/sku/%ff", NULL, 400, "goodsSKU", "UTF-8");
	ask_refused("GET", "/validate/sid/s/sku/S/quantity/x", NULL, 400, "goodsQuantity", "integer");
	ask_refused("GET", "/validate/sid/s/sku/S/quantity/-1", NULL, 400, "goodsQuantity", "integer");
	ask_refused(
		"GET", "/validate/sid/s/sku/S/quantity/4294967296", NULL, 400, "goodsQuantity", "integer");
	ask_refused("GET", "/validate/sid/s/sku/S/quantity/%20", NULL, 400, "goodsQuantity", "integer");
}

static void test_query(void **state)
{
	const Inventory__ListHoldsRequest *list;
	const Inventory__ListGoodsRequest *goods;

	list = ask("GET", "/v1/holds?userID=a%26b+c&page_size=5&state=HOLD_STATE_SOLD&&pageToken=x%3D", NULL);
	assert_string_equal(list->user_id, "a&b c");
	assert_int_equal(list->page_size, 5);
	assert_int_equal(list->state, INVENTORY__HOLD_STATE__HOLD_STATE_SOLD);
	assert_string_equal(list->page_token, "x=");
	ask_refused("GET", "/v1/holds?page_size=x", NULL, 400, "pageSize", "integer");
	ask_refused("GET", "/v1/holds?page_size=", NULL, 400, "pageSize", "integer");
	ask_refused("GET", "/v1/holds?page_size", NULL, 400, "pageSize", "integer");
	ask_refused("GET", "/v1/holds?page_size=1&pageSize=1", NULL, 400, "pageSize", "twice");
	ask_refused("GET", "/v1/holds?nope=1", NULL, 400, "nope", "no such query");
	/* one of the two must be a mistake: the last does not just win */
	ask_refused(
		"GET", "/v1/bans?userID=u&address=192.0.2.1", NULL, 400, "address", "together with userID");
	ask_refused(
		"GET", "/v1/bans?address=192.0.2.1&userID=u", NULL, 400, "userID", "together with address");
	ask_refused("GET", "/v1/holds?userID=%f", NULL, 400, "", "percent-encoded");
	ask_refused("POST", "/v1/goods?goodsSKU=A",
		"{\"goodsSKU\":\"A\",\"goodsQuantity\":1,\"goodsPrice\":1}", 400, "goodsSKU",
		"no such query");
	goods = ask("GET", "/all?nope=1&page_size=7", NULL);
	assert_int_equal(goods->page_size, 7);
	ask_refused("GET", "/all?page_size=-7", NULL, 400, "pageSize", "integer");
}

static void test_path_wins(void **state)
{
	const Inventory__UpdateGoodsRequest *update = ask("PUT", "/v1/goods/A", "{\"goodsPrice\":1.5}");

	assert_string_equal(update->sku, "A");
	assert_int_equal(
		update->price_change_case, INVENTORY__UPDATE_GOODS_REQUEST__PRICE_CHANGE_PRICE_MICROS);
	assert_int_equal(update->quantity_change_case, 0);
	ask("PUT", "/v1/goods/A", "{\"goodsSKU\":\"A\"}");
	ask_refused("PUT", "/v1/goods/A", "{\"goodsSKU\":\"B\"}", 400, "goodsSKU", "differs");
	ask_refused("GET", "/v1/goods/A?goodsSKU=B", NULL, 400, "goodsSKU", "differs");
	ask_refused("GET", "/v1/policies/A/3?userLevel=4", NULL, 400, "userLevel", "differs");
	ask("GET", "/v1/policies/A/3?userLevel=3", NULL);
}

static void test_required(void **state)
{
	ask_refused("POST", "/add", NULL, 400, "goodsSKU", "is missing");
	ask_refused("POST", "/add", "{}", 400, "goodsSKU", "is missing");
	ask_refused("POST", "/add", "{\"goodsSKU\":null}", 400, "goodsSKU", "is missing");
	ask_refused("POST", "/add", "{\"goodsSKU\":\"A\"}", 400, "goodsQuantity", "is missing");
	ask_refused(
		"POST", "/add", "{\"goodsSKU\":\"A\",\"goodsQuantity\":0}", 400, "goodsPrice", "is missing");
	ask("POST", "/add", "{\"goodsSKU\":\"A\",\"goodsQuantity\":0,\"goodsPrice\":0}");
	ask_refused("POST", "/policy/add", "{\"goodsSKU\":\"A\",\"userLevel\":1}", 400, "quantityLimit",
		"is missing");
	ask_refused("POST", "/buy", NULL, 400, "", "the body is missing");
	ask_refused("POST", "/buy", "", 400, "", "the body is missing");
	ask_refused("POST", "/buy", "[]", 400, "", "must be a JSON object");
}

static void test_content_type(void **state)
{
	static const char body[] = "{\"goodsSKU\":\"A\"}";

	assert_non_null(ask_as("POST", "/buy", "application/json", body));
	assert_non_null(ask_as("POST", "/buy", "Application/JSON; charset=utf-8", body));
	assert_non_null(ask_as("POST", "/buy", NULL, body));
	assert_null(ask_as("POST", "/buy", "application/x-www-form-urlencoded", body));
	assert_int_equal(fixture.problem.http_status, 415);
	assert_null(ask_as("POST", "/buy", "application/jsonp", body));
	assert_int_equal(fixture.problem.http_status, 415);
	assert_null(ask_as("POST", "/buy", "", body));
	assert_int_equal(fixture.problem.http_status, 415);
	assert_non_null(ask_as("GET", "/all", "text/plain", "whatever")); /* a body that nobody asked for */
}

static void test_session_is_made(void **state)
{
	const Gatekeeper__BuyRequest *buy = ask("POST", "/buy", "{\"goodsSKU\":\"A\"}");

	assert_string_equal(buy->session_id, "made-session");
	buy = ask("POST", "/buy", "{\"sessionID\":\"\"}");
	assert_string_equal(buy->session_id, "made-session");
	buy = ask("POST", "/buy", "{\"sessionID\":\"mine\"}");
	assert_string_equal(buy->session_id, "mine");
}

static void test_shard_key(void **state)
{
	const ProtobufCMessage *message = ask("GET", "/sku/SKU0001", NULL);

	assert_string_equal(route_shard_key(fixture.match.route, message), "SKU0001");
	message = ask("GET", "/all", NULL);
	assert_null(route_shard_key(fixture.match.route, message));
}

/* A service names fields as the proto does; users see JSON names. */
static void test_problem_of_a_service(void **state)
{
	static const char *const rows[][2] = {{"sku", "goodsSKU"}, {"goodsSKU", "goodsSKU"},
		{"placement.shards", "placement.shards"}, {"hold_ttl", "holdTtl"},
		{"nope.sku[3]", "nope.sku[3]"}, {"", ""}, {"price_micros[2].x", "goodsPrice[2].x"}};

	match("POST", "/add");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rpc_status_set_reason(&fixture.status, COMMON__REASON__REASON_INVALID, "too long");
		strcpy(fixture.status.field, rows[i][0]);
		route_problem(fixture.match.route, &fixture.status, &fixture.problem);
		assert_string_equal(fixture.problem.field, rows[i][1]);
		assert_int_equal(fixture.problem.http_status, 400);
	}
}

static void test_arena_full(void **state)
{
	struct arena none;
	struct route_request request = {.match = &fixture.match, .body = "{}", .body_length = 2};

	match("POST", "/buy");
	arena_init(&none, 64, 64);
	assert_null(route_read(&request, &none, &fixture.problem));
	assert_int_equal(fixture.problem.http_status, 503);
	arena_release(&none);
}

/* Routes of methods with these bindings; what is wrong is said, with names. */
static void conflict(Google__Api__HttpRule *rule, const char *what)
{
	size_t count;
	const struct shape_method *methods = shapes_methods(fixture.shapes, &count);
	struct shape_method *method = (struct shape_method *)(uintptr_t)methods; /* CreateGoods */
	const Google__Api__HttpRule *before = method->http;
	struct error error = {.text = ""};
	struct routes *routes;

	method->http = rule;
	routes = routes_new(fixture.shapes, &error);
	method->http = before;
	assert_null(routes);
	if (!strstr(error.text, what))
		fail_msg("\"%s\" lacks \"%s\"", error.text, what);
}

static void test_wrong_contracts(void **state)
{
	Google__Api__HttpRule rule = GOOGLE__API__HTTP_RULE__INIT;

	rule.pattern_case = GOOGLE__API__HTTP_RULE__PATTERN_GET;
	rule.get = "/sku/{price_micros}";
	conflict(&rule, "GET /sku/{price_micros} and /sku/{sku} are the same route");
	rule.get = "/all";
	conflict(&rule, "are the same route");
	rule.get = "/a/{nope}";
	conflict(&rule, "GET /a/{nope} (CreateGoods): a capture is no single scalar field");
	rule.get = "/a/{placement}";
	conflict(&rule, "a capture is no single scalar field");
	rule.get = "/a/{sku}/{sku}";
	conflict(&rule, "captured twice");
	rule.get = "/a/{sku=*}";
	conflict(&rule, "a capture is no single scalar");
	rule.get = "/a/*";
	conflict(&rule, "either a literal or one {field}");
	rule.get = "/a/x{sku}";
	conflict(&rule, "either a literal or one {field}");
	rule.get = "a";
	conflict(&rule, "no segments");
	rule.get = "/a/";
	conflict(&rule, "no segments");
	rule.get = "/a";
	rule.response_body = "nope";
	conflict(&rule, "response_body");
	rule.response_body = "";
	rule.body = "goods";
	conflict(&rule, "a body is");
	rule.pattern_case = GOOGLE__API__HTTP_RULE__PATTERN__NOT_SET;
	conflict(&rule, "without a path");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_routes, fixture_clear),
		cmocka_unit_test_setup(test_what_a_route_knows, fixture_clear),
		cmocka_unit_test_setup(test_literals_win, fixture_clear),
		cmocka_unit_test_setup(test_nothing_there, fixture_clear),
		cmocka_unit_test_setup(test_captures, fixture_clear),
		cmocka_unit_test_setup(test_query, fixture_clear),
		cmocka_unit_test_setup(test_path_wins, fixture_clear),
		cmocka_unit_test_setup(test_required, fixture_clear),
		cmocka_unit_test_setup(test_content_type, fixture_clear),
		cmocka_unit_test_setup(test_session_is_made, fixture_clear),
		cmocka_unit_test_setup(test_shard_key, fixture_clear),
		cmocka_unit_test_setup(test_problem_of_a_service, fixture_clear),
		cmocka_unit_test_setup(test_arena_full, fixture_clear),
		cmocka_unit_test_setup(test_wrong_contracts, fixture_clear),
	};

	return cmocka_run_group_tests_name("edge/routes", tests, fixture_setup, fixture_teardown);
}
