/* gatekeeper/edge/problem: what an answer that is not a yes says. */
#include "fixture.h"

static const char *written(const struct problem *problem, enum json_surface surface, const char *trace)
{
	text_clear(&fixture.text);
	assert_true(problem_write(&fixture.text, problem, surface, trace));
	return fixture.text.data;
}

static void test_reason(void **state)
{
	struct problem *problem = &fixture.problem;

	rpc_status_set_reason(
		&fixture.status, COMMON__REASON__REASON_SOLD_OUT, "nothing left of %s", "SKU0001");
	problem_from_status(problem, &fixture.status);
	assert_int_equal(problem->http_status, 409);
	assert_int_equal(problem_retry_after_s(problem), 0);
	assert_string_equal(written(problem, JSON_V1, "abc"),
		"{\"type\":\"urn:flashsale:problem:SOLD_OUT\",\"title\":\"Sold out\",\"status\":409,"
		"\"detail\":\"nothing left of SKU0001\",\"reason\":\"SOLD_OUT\",\"traceId\":\"abc\"}");
	assert_string_equal(written(problem, JSON_COMPATIBLE, NULL),
		"{\"type\":\"urn:flashsale:problem:SOLD_OUT\",\"title\":\"Sold out\",\"status\":409,"
		"\"detail\":\"nothing left of "
		"SKU0001\",\"reason\":\"SOLD_OUT\",\"isThrottled\":false,\"version\":\"1.0\"}");
}

static void test_field(void **state)
{
	struct problem *problem = &fixture.problem;

	rpc_status_set_reason(&fixture.status, COMMON__REASON__REASON_INVALID, "expected a string");
	strcpy(fixture.status.field, "goods\"SKU");
	problem_from_status(problem, &fixture.status);
	assert_int_equal(problem->http_status, 400);
	assert_non_null(strstr(written(problem, JSON_V1, ""),
		"\"reason\":\"INVALID\",\"field\":\"goods\\\"SKU\","
		"\"errors\":[{\"field\":\"goods\\\"SKU\",\"detail\":\"expected a string\"}]}"));
}

static void test_throttled(void **state)
{
	struct problem *problem = &fixture.problem;

	problem_from_reason(problem, COMMON__REASON__REASON_THROTTLED, "%s", "");
	assert_int_equal(problem->http_status, 429);
	assert_int_equal(problem_retry_after_s(problem), 1);
	assert_non_null(strstr(written(problem, JSON_COMPATIBLE, NULL), "\"isThrottled\":true"));
	assert_non_null(strstr(fixture.text.data, "\"retry\":\"later\",\"retryAfterMs\":1000"));
	assert_null(strstr(fixture.text.data, "detail"));
	problem_from_http(problem, 429, NULL); /* nginx's own throttle says the same */
	assert_int_equal(problem_retry_after_s(problem), 1);
	assert_non_null(strstr(written(problem, JSON_COMPATIBLE, NULL), "\"isThrottled\":true"));
}

static void test_unknown_outcome(void **state)
{
	struct problem *problem = &fixture.problem;

	rpc_status_set_reason(&fixture.status, COMMON__REASON__REASON_OUTCOME_UNKNOWN, "ask again");
	fixture.status.retry_after_ms = 2500;
	problem_from_status(problem, &fixture.status);
	assert_int_equal(problem->http_status, 504);
	assert_int_equal(problem_retry_after_s(problem), 3);
	assert_non_null(
		strstr(written(problem, JSON_V1, NULL), "\"retry\":\"same-key\",\"retryAfterMs\":2500"));
}

/* Without a reason the code decides, and gRPC's own words stay inside. */
static void test_codes(void **state)
{
	static const unsigned expected[] = {
		0, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};
	struct problem *problem = &fixture.problem;

	for (unsigned code = 1; code < sizeof(expected) / sizeof(expected[0]); code++) {
		rpc_status_set(&fixture.status, (enum rpc_code)code, "", "ipv4:127.0.0.1:8083 refused");
		problem_from_status(problem, &fixture.status);
		assert_int_equal(problem->http_status, expected[code]);
		assert_null(problem->reason);
		if (code != RPC_INVALID_ARGUMENT)
			assert_null(strstr(written(problem, JSON_V1, NULL), "127.0.0.1"));
	}
	rpc_status_set(&fixture.status, RPC_NOT_FOUND, "OF_A_NEWER_PEER", "x");
	problem_from_status(problem, &fixture.status);
	assert_int_equal(problem->http_status, 404);
	rpc_status_set(&fixture.status, RPC_UNAVAILABLE, "", "x");
	problem_from_status(problem, &fixture.status);
	assert_int_equal(problem_retry_after_s(problem), 1); /* 503 carries it always */
}

static void test_plain_http(void **state)
{
	struct problem *problem = &fixture.problem;

	problem_from_http(problem, 404, NULL);
	assert_string_equal(written(problem, JSON_V1, NULL),
		"{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}");
	problem_from_http(problem, 494, "too long");
	assert_string_equal(written(problem, JSON_V1, NULL),
		"{\"type\":\"about:blank\",\"title\":\"Request Header Fields Too "
		"Large\",\"status\":431,\"detail\":\"too long\"}");
	problem_from_http(problem, 418, NULL);
	assert_int_equal(problem->http_status, 418);
	assert_string_equal(problem_http_title(418), "Error");
	assert_string_equal(problem_http_title(599), "Server Error");
	for (unsigned status = 400; status < 600; status++)
		assert_true(problem_http_title(status)[0] != '\0');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reason, fixture_clear),
		cmocka_unit_test_setup(test_field, fixture_clear),
		cmocka_unit_test_setup(test_throttled, fixture_clear),
		cmocka_unit_test_setup(test_unknown_outcome, fixture_clear),
		cmocka_unit_test_setup(test_codes, fixture_clear),
		cmocka_unit_test_setup(test_plain_http, fixture_clear),
	};

	return cmocka_run_group_tests_name("edge/problem", tests, fixture_setup, fixture_teardown);
}
