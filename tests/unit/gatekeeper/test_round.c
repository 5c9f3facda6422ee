/* Calls that no key places, of a service with several shards: until one knows it, or all of them put together. */
#include "fixture.h"

#include "base/hash.h"
#include "gatekeeper/edge/edge_internal.h"

static struct edge edge;
static struct route_facts facts;
static struct edge_request visit;
static struct work work;
static struct rpc_request request;
static struct round round_;

/* The first shard that is asked; -2: the request is refused. */
static int begin(enum edge_service service, const char *method, const char *path, const char *query)
{
	struct route_request asked = {.match = &fixture.match,
		.query = query,
		.query_length = query ? strlen(query) : 0,
		.body = "{}",
		.body_length = 2,
		.content_type = "application/json",
		.content_type_length = 16};

	edge.options.inventory_shards = 3;
	edge.options.cart_shards = 4;
	facts.service = service;
	memset(&round_, 0, sizeof(round_));
	memset(&request, 0, sizeof(request));
	assert_true(routes_match(fixture.routes, method, strlen(method), path, strlen(path), &fixture.match,
		&fixture.problem));
	work = (struct work){.edge = &edge, .request = &visit, .facts = &facts, .route = fixture.match.route};
	work.message = route_read(&asked, &fixture.arena, &fixture.problem);
	assert_non_null(work.message);
	request.arena = &fixture.arena;
	return round_begin(&round_, &work, &request, &fixture.problem) ? request.shard : -2;
}

static bool refuse(Common__Reason reason, const char *text)
{
	request.output = NULL;
	rpc_status_set_reason(&request.status, reason, "%s", text);
	return round_goes_on(&round_, &work, &request);
}

/* A page of goods that is the answer now, or not. */
static bool answer(const char *next, const char *first, const char *second)
{
	Inventory__ListGoodsResponse *page = ARENA_NEW(&fixture.arena, Inventory__ListGoodsResponse);
	const char *skus[] = {first, second};

	inventory__list_goods_response__init(page);
	page->next_page_token = arena_format(&fixture.arena, "%s", next);
	page->goods = ARENA_ARRAY(&fixture.arena, 2, Inventory__Goods *);
	for (int i = 0; i < 2 && skus[i]; i++) {
		page->goods[page->n_goods] = ARENA_NEW(&fixture.arena, Inventory__Goods);
		inventory__goods__init(page->goods[page->n_goods]);
		page->goods[page->n_goods++]->sku = arena_format(&fixture.arena, "%s", skus[i]);
	}
	request.status = (struct rpc_status){.code = RPC_OK};
	request.output = &page->base;
	return round_goes_on(&round_, &work, &request);
}

static const Inventory__ListGoodsResponse *page(void)
{
	return (const Inventory__ListGoodsResponse *)request.output;
}

static void a_key_places_it(void **state)
{
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/sku/SKU0001", NULL), hash_shard("SKU0001", 3));
	assert_false(refuse(COMMON__REASON__REASON_UNKNOWN_SKU, "no"));
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/audit", "goodsSKU=A"), hash_shard("A", 3));
	assert_false(refuse(COMMON__REASON__REASON_NOT_FOUND, "no"));
	assert_int_equal(begin(EDGE_POLICY, "GET", "/v1/policies", NULL), RPC_ANY_SHARD);
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/ledger/followers", NULL), RPC_ANY_SHARD);
}

static void all_are_asked_for_a_list(void **state)
{
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/all", NULL), 0);
	assert_true(answer("", "A", "B"));
	assert_int_equal(request.shard, 1);
	assert_true(answer("", NULL, NULL));
	assert_int_equal(request.shard, 2);
	assert_false(answer("", "C", NULL));
	assert_int_equal(page()->n_goods, 3);
	assert_string_equal(page()->goods[0]->sku, "A");
	assert_string_equal(page()->goods[2]->sku, "C");

	/* One that does not answer: half a list is none. */
	begin(EDGE_INVENTORY, "GET", "/all", NULL);
	assert_true(answer("", "A", NULL));
	assert_false(refuse(COMMON__REASON__REASON_DEPENDENCY_DOWN, "away"));
	assert_null(request.output);
	assert_int_equal(request.status.code, RPC_UNAVAILABLE);
}

/* The whole is not all if one of its parts is not. */
static void what_one_leaves_out_is_told(void **state)
{
	for (int cut = 0; cut < 4; cut++) {
		assert_int_equal(begin(EDGE_INVENTORY, "GET", "/all", NULL), 0);
		for (int shard = 0; shard < 3; shard++)
			assert_int_equal(answer(shard == cut ? "A" : "", "A", NULL), shard < 2);
		assert_int_equal(page()->n_goods, 3);
		assert_int_equal(route_truncates(work.route, request.output), cut < 3);
	}
}

static void books_agree_only_all_together(void **state)
{
	for (int wrong = 0; wrong < 4; wrong++) {
		assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/audit", NULL), 0);
		for (int shard = 0; shard < 3; shard++) {
			Inventory__AuditStockResponse *books =
				ARENA_NEW(&fixture.arena, Inventory__AuditStockResponse);

			inventory__audit_stock_response__init(books);
			books->consistent = shard != wrong;
			request.output = &books->base;
			assert_int_equal(round_goes_on(&round_, &work, &request), shard < 2);
		}
		assert_int_equal(((Inventory__AuditStockResponse *)request.output)->consistent, wrong == 3);
	}
}

static void a_page_is_of_one_shard(void **state)
{
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/goods", "pageSize=2"), 0);
	assert_false(answer("B", "A", "B"));
	assert_string_equal(page()->next_page_token, "0.B");
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/goods", "pageSize=2&pageToken=0.B"), 0);
	assert_string_equal(((Inventory__ListGoodsRequest *)work.message)->page_token, "B");
	assert_false(answer("", "C", NULL));
	assert_string_equal(page()->next_page_token, "1.");
	assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/goods", "pageToken=2."), 2);
	assert_string_equal(((Inventory__ListGoodsRequest *)work.message)->page_token, "");
	assert_false(answer("", "D", NULL));
	assert_string_equal(page()->next_page_token, "");
}

static void a_token_of_nobody_is_refused(void **state)
{
	static const char *const tokens[] = {
		"pageToken=3.A", "pageToken=A", "pageToken=.A", "pageToken=00000.A", "pageToken=1"};

	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		assert_int_equal(begin(EDGE_INVENTORY, "GET", "/v1/goods", tokens[i]), -2);
		assert_int_equal(fixture.problem.http_status, 400);
		assert_string_equal(fixture.problem.field, "pageToken");
	}
}

/* With an order's own shard first; what that says counts when nobody knows it. */
static void somebody_may_know_it(void **state)
{
	static const char path[] = "/v1/orders/01a2059b-83bb-712a-83b6-b2ab1bb2e3aa";
	int first = begin(EDGE_CART, "GET", path, NULL);

	assert_int_equal(first, hash_shard(path + strlen("/v1/orders/"), 4));
	assert_true(refuse(COMMON__REASON__REASON_NOT_FOUND, "the first"));
	assert_int_equal(request.shard, (first + 1) % 4);
	assert_true(refuse(COMMON__REASON__REASON_WRONG_SHARD, "not mine"));
	assert_true(refuse(COMMON__REASON__REASON_WRONG_SHARD, "not mine"));
	assert_int_equal(request.shard, (first + 3) % 4);
	assert_false(refuse(COMMON__REASON__REASON_WRONG_SHARD, "not mine"));
	assert_string_equal(request.status.message, "the first");

	/* A definite answer ends it, and one that did not come. */
	begin(EDGE_CART, "POST", "/v1/orders/01a2059b-83bb-712a-83b6-b2ab1bb2e3aa/cancel", NULL);
	assert_true(refuse(COMMON__REASON__REASON_NOT_FOUND, "the first"));
	assert_false(refuse(COMMON__REASON__REASON_WRONG_STATE, "paid"));
	assert_string_equal(request.status.message, "paid");
	assert_int_equal(
		begin(EDGE_INVENTORY, "GET", "/v1/holds/01a2059b-83bb-712a-83b6-b2ab1bb2e3aa", NULL), 0);
	assert_true(refuse(COMMON__REASON__REASON_NOT_FOUND, "none"));
	assert_int_equal(request.shard, 1);
	assert_false(refuse(COMMON__REASON__REASON_DEPENDENCY_DOWN, "away"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_key_places_it, fixture_clear),
		cmocka_unit_test_setup(all_are_asked_for_a_list, fixture_clear),
		cmocka_unit_test_setup(what_one_leaves_out_is_told, fixture_clear),
		cmocka_unit_test_setup(books_agree_only_all_together, fixture_clear),
		cmocka_unit_test_setup(a_page_is_of_one_shard, fixture_clear),
		cmocka_unit_test_setup(a_token_of_nobody_is_refused, fixture_clear),
		cmocka_unit_test_setup(somebody_may_know_it, fixture_clear),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
