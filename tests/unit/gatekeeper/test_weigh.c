/* Verdicts, without any service: what every answer, and every kind of silence, comes to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "gatekeeper/edge/weigh.h"

static struct shapes *shapes;
static struct routes *routes;
static const struct route *route;
static struct verdict verdict;

static int setup(void **state)
{
	static struct route_match match;
	struct problem problem;
	struct error error;

	shapes = shapes_new(&error);
	routes = routes_new(shapes, &error);
	assert_true(routes_match(routes, "POST", 4, "/v1/buy", 7, &match, &problem));
	route = match.route;
	return 0;
}

static int teardown(void **state)
{
	routes_free(routes);
	shapes_free(shapes);
	return 0;
}

static struct rpc_status ended(enum rpc_code code, const char *reason)
{
	struct rpc_status status;

	rpc_status_set(&status, code, reason, "%s", "");
	return status;
}

static struct hop hop(const struct rpc_status *status, bool sent, const void *answer)
{
	return (struct hop){.status = status, .sent = sent, .answer = answer, .route = route};
}

static void assert_stopped(Common__Reason reason)
{
	assert_false(verdict.go);
	assert_non_null(verdict.problem.reason);
	assert_int_equal(verdict.problem.reason->value, reason);
}

/* ---- the cart ---- */

static void weigh_cart_end(enum rpc_code code, const char *reason, bool sent)
{
	const struct rpc_status status = ended(code, reason);
	const struct hop end = hop(&status, sent, NULL);
	const Cart__ItemGrant *grant = NULL;

	weigh_line(&end, &verdict, &grant);
	assert_null(grant);
}

static void test_what_never_left_is_a_definite_no(void **state)
{
	static const enum rpc_code codes[] = {
		RPC_UNAVAILABLE, RPC_DEADLINE_EXCEEDED, RPC_CANCELLED, RPC_INTERNAL};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		weigh_cart_end(codes[i], "", false);
		assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
	}
	weigh_cart_end(RPC_RESOURCE_EXHAUSTED, "OVERLOADED", false);
	assert_stopped(COMMON__REASON__REASON_OVERLOADED);
}

static void test_what_left_without_a_word_is_unknown(void **state)
{
	for (int code = RPC_CANCELLED; code <= RPC_UNAUTHENTICATED; code++) {
		weigh_cart_end((enum rpc_code)code, "", true);
		assert_stopped(COMMON__REASON__REASON_OUTCOME_UNKNOWN);
		weigh_cart_end((enum rpc_code)code, "SOMETHING_NEW", true);
		assert_stopped(COMMON__REASON__REASON_OUTCOME_UNKNOWN);
	}
	weigh_cart_end(RPC_UNAVAILABLE, "STARTING", true);
	assert_stopped(COMMON__REASON__REASON_STARTING);
	weigh_cart_end(RPC_FAILED_PRECONDITION, "WRONG_SHARD", true);
	assert_stopped(COMMON__REASON__REASON_WRONG_SHARD);
}

static void test_an_answer_without_an_outcome_is_unknown(void **state)
{
	const struct rpc_status status = {.code = RPC_OK};
	const Cart__ItemOutcome outcome = CART__ITEM_OUTCOME__INIT;
	const struct hop end = hop(&status, true, &outcome);
	const Cart__ItemGrant *grant = NULL;

	weigh_line(&end, &verdict, &grant);
	assert_stopped(COMMON__REASON__REASON_OUTCOME_UNKNOWN);
}

static void test_a_reason_that_is_not_known_is_no_yes(void **state)
{
	const struct rpc_status status = {.code = RPC_OK};
	Cart__ItemOutcome outcome = CART__ITEM_OUTCOME__INIT;
	Common__Refusal refusal = COMMON__REFUSAL__INIT;
	const struct hop end = hop(&status, true, &outcome);
	const Cart__ItemGrant *grant = NULL;

	outcome.outcome_case = CART__ITEM_OUTCOME__OUTCOME_REFUSAL;
	outcome.refusal = &refusal;
	refusal.reason = (Common__Reason)999;
	weigh_line(&end, &verdict, &grant);
	assert_false(verdict.go);
	assert_int_equal(verdict.problem.http_status, 500);
	refusal.reason = COMMON__REASON__REASON_INVALID;
	refusal.field = (char *)"sku";
	refusal.message = (char *)"too long";
	weigh_line(&end, &verdict, &grant);
	assert_string_equal(verdict.problem.field, "goodsSKU");
	assert_string_equal(verdict.problem.detail, "too long");
	refusal.reason = COMMON__REASON__REASON_LIMIT_REACHED;
	refusal.retry_after_ms = 250;
	weigh_line(&end, &verdict, &grant);
	assert_int_equal(verdict.problem.retry_after_ms, 250);
}

/* ---- keys ---- */

static void weigh_key_end(enum rpc_code code, const char *reason, bool sent)
{
	const struct rpc_status status = ended(code, reason);
	const struct hop end = hop(&status, sent, NULL);
	const Cart__ItemGrant *grant;

	weigh_key(&end, &verdict, &grant);
	assert_null(grant);
}

static void test_a_key_that_could_not_be_looked_up_is_no_verdict(void **state)
{
	weigh_key_end(RPC_UNAVAILABLE, "", false);
	assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
	weigh_key_end(RPC_UNAVAILABLE, "", true);
	assert_stopped(COMMON__REASON__REASON_OUTCOME_UNKNOWN);
	weigh_key_end(RPC_DEADLINE_EXCEEDED, "", true);
	assert_stopped(COMMON__REASON__REASON_OUTCOME_UNKNOWN);
	weigh_key_end(RPC_UNAVAILABLE, "STARTING", true);
	assert_stopped(COMMON__REASON__REASON_STARTING);
}

static void test_which_refusals_a_key_may_know_better_of(void **state)
{
	struct problem problem;

	for (int value = 1; rpc_reason_get((Common__Reason)value); value++) {
		const bool may = value == COMMON__REASON__REASON_SOLD_OUT ||
				 value == COMMON__REASON__REASON_NOT_ENOUGH ||
				 value == COMMON__REASON__REASON_LIMIT_REACHED ||
				 value == COMMON__REASON__REASON_NOT_OPEN ||
				 value == COMMON__REASON__REASON_CLOSED;

		problem_from_reason(&problem, (Common__Reason)value, "%s", "");
		assert_int_equal(weigh_key_may_know(&problem), may);
	}
	problem_from_http(&problem, 500, NULL);
	assert_false(weigh_key_may_know(&problem));
}

/* ---- the protector ---- */

static void weigh_silence_of_protector(const struct client_fallback *fallback)
{
	const struct rpc_status status = ended(RPC_UNAVAILABLE, "");
	const struct hop end = hop(&status, true, NULL);

	weigh_client(&end, fallback, &verdict);
}

static void test_the_protector_away(void **state)
{
	const struct ban_verdict ban = {.effect = BAN_DENY, .ban_id = "b1", .end_ms = INT64_MAX};

	weigh_silence_of_protector(&(struct client_fallback){.known = true});
	assert_true(verdict.go && verdict.degraded);
	weigh_silence_of_protector(&(struct client_fallback){.known = true, .ban = &ban});
	assert_stopped(COMMON__REASON__REASON_BANNED);
	assert_string_equal(verdict.problem.detail, "ban b1, without an end");
	weigh_silence_of_protector(&(struct client_fallback){.known = true, .fail_closed = true});
	assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
	weigh_silence_of_protector(&(struct client_fallback){.known = false});
	assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
}

static void test_the_protectors_word_beats_the_snapshot(void **state)
{
	const struct ban_verdict ban = {.effect = BAN_DENY, .ban_id = "b1", .end_ms = INT64_MAX};
	const struct rpc_status status = {.code = RPC_OK};
	Protector__ClientOutcome outcome = PROTECTOR__CLIENT_OUTCOME__INIT;
	Protector__Welcome welcome = PROTECTOR__WELCOME__INIT;
	const struct hop end = hop(&status, true, &outcome);

	outcome.outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME;
	outcome.welcome = &welcome;
	weigh_client(&end, &(struct client_fallback){.known = true, .ban = &ban}, &verdict);
	assert_true(verdict.go && !verdict.degraded);
}

/* ---- policy ---- */

static Common__Limit weigh_silence_of_policy(const struct rule *rule, uint32_t quantity, int64_t now_ms)
{
	const struct rpc_status status = ended(RPC_DEADLINE_EXCEEDED, "");
	const struct hop end = hop(&status, true, NULL);
	Common__Limit limit = COMMON__LIMIT__INIT;

	weigh_limit(&end, &(struct limit_fallback){.rule = rule, .quantity = quantity, .now_ms = now_ms},
		&verdict, &limit);
	return limit;
}

static void test_policy_away(void **state)
{
	const struct rule rule = {.units = 3, .open_ms = 1000, .close_ms = 2000};
	const struct rule all = {.unlimited = true, .open_ms = INT64_MIN, .close_ms = INT64_MAX};

	weigh_silence_of_policy(NULL, 1, 1500);
	assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
	assert_int_equal(weigh_silence_of_policy(&rule, 3, 1500).units, 3);
	assert_true(verdict.go && verdict.degraded);
	weigh_silence_of_policy(&rule, 4, 1500);
	assert_stopped(COMMON__REASON__REASON_LIMIT_REACHED);
	weigh_silence_of_policy(&rule, 1, 999);
	assert_stopped(COMMON__REASON__REASON_NOT_OPEN);
	weigh_silence_of_policy(&rule, 1, 1000);
	assert_true(verdict.go);
	weigh_silence_of_policy(&rule, 1, 2000);
	assert_stopped(COMMON__REASON__REASON_CLOSED);
	assert_int_equal(weigh_silence_of_policy(&all, 1000000, 0).kind_case, COMMON__LIMIT__KIND_UNLIMITED);
	assert_true(verdict.go);
}

/* Absent never means unlimited. */
static void test_a_limit_that_says_nothing_is_none(void **state)
{
	const struct rpc_status status = {.code = RPC_OK};
	Policy__PurchaseOutcome outcome = POLICY__PURCHASE_OUTCOME__INIT;
	Common__Limit nothing = COMMON__LIMIT__INIT, limit = COMMON__LIMIT__INIT;
	const struct hop end = hop(&status, true, &outcome);

	outcome.outcome_case = POLICY__PURCHASE_OUTCOME__OUTCOME_LIMIT;
	outcome.limit = &nothing;
	weigh_limit(&end, &(struct limit_fallback){.quantity = 1}, &verdict, &limit);
	assert_stopped(COMMON__REASON__REASON_DEPENDENCY_DOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_never_left_is_a_definite_no),
		cmocka_unit_test(test_what_left_without_a_word_is_unknown),
		cmocka_unit_test(test_an_answer_without_an_outcome_is_unknown),
		cmocka_unit_test(test_a_reason_that_is_not_known_is_no_yes),
		cmocka_unit_test(test_a_key_that_could_not_be_looked_up_is_no_verdict),
		cmocka_unit_test(test_which_refusals_a_key_may_know_better_of),
		cmocka_unit_test(test_the_protector_away),
		cmocka_unit_test(test_the_protectors_word_beats_the_snapshot),
		cmocka_unit_test(test_policy_away),
		cmocka_unit_test(test_a_limit_that_says_nothing_is_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
