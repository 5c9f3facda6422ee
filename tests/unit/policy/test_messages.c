#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "policy/messages.h"
#include "rpc/timestamp.h"

static struct arena arena;

static int setup(void **state)
{
	arena_init(&arena, 4096, 1 << 20);
	return 0;
}

static int teardown(void **state)
{
	arena_release(&arena);
	return 0;
}

/* A request that is fine, to be spoilt. */
struct request {
	Policy__SetPolicyRequest set;
	Common__Limit limit;
	Common__Unlimited unlimited;
	Google__Protobuf__Timestamp open, close;
};

static Policy__SetPolicyRequest *good_request(struct request *request)
{
	policy__set_policy_request__init(&request->set);
	common__limit__init(&request->limit);
	common__unlimited__init(&request->unlimited);
	timestamp_set(&request->open, 1000);
	timestamp_set(&request->close, 2500);
	request->limit.kind_case = COMMON__LIMIT__KIND_UNITS;
	request->limit.units = 3;
	request->set.sku = (char *)(uintptr_t) "SKU1";
	request->set.user_level = 5;
	request->set.limit = &request->limit;
	return &request->set;
}

static const char *refused_field(const struct request *request)
{
	struct rule rule;

	return rule_from_request(&request->set, &rule).field;
}

static void test_a_rule_from_a_request(void **state)
{
	struct request request;
	struct rule rule;

	assert_null(rule_from_request(good_request(&request), &rule).field);
	assert_string_equal(rule.sku, "SKU1");
	assert_int_equal(rule.level, 5);
	assert_int_equal(rule.units, 3);
	assert_false(rule.unlimited);
	assert_true(rule.open_ms == RULES_ALWAYS_OPEN && rule.close_ms == RULES_NEVER_CLOSED);

	request.set.open_time = &request.open;
	request.set.close_time = &request.close;
	assert_null(rule_from_request(&request.set, &rule).field);
	assert_true(rule.open_ms == 1000 && rule.close_ms == 2500);

	request.limit.kind_case = COMMON__LIMIT__KIND_UNLIMITED;
	request.limit.unlimited = &request.unlimited;
	assert_null(rule_from_request(&request.set, &rule).field);
	assert_true(rule.unlimited);
	assert_int_equal(rule.units, 0);
}

static void test_an_absent_limit_is_refused(void **state)
{
	struct request request;

	good_request(&request)->limit = NULL;
	assert_string_equal(refused_field(&request), "limit");
	good_request(&request);
	request.limit.kind_case = COMMON__LIMIT__KIND__NOT_SET;
	assert_string_equal(refused_field(&request), "limit");
	good_request(&request);
	request.limit.units = 0;
	assert_string_equal(refused_field(&request), "limit.units");
	request.limit.units = RULES_UNITS_MAX + 1;
	assert_string_equal(refused_field(&request), "limit.units");
}

static void test_each_field_is_named(void **state)
{
	struct request request;

	good_request(&request)->sku = (char *)(uintptr_t) "";
	assert_string_equal(refused_field(&request), "sku");
	good_request(&request)->user_level = -2;
	assert_string_equal(refused_field(&request), "user_level");
	good_request(&request)->user_level = RULES_LEVEL_MAX + 1;
	assert_string_equal(refused_field(&request), "user_level");
	good_request(&request)->open_time = &request.open;
	request.open.nanos = 1000000000;
	assert_string_equal(refused_field(&request), "open_time");
	good_request(&request)->close_time = &request.close;
	request.close.seconds = TIMESTAMP_SECONDS_MAX + 1;
	assert_string_equal(refused_field(&request), "close_time");
	good_request(&request)->open_time = &request.close;
	request.set.close_time = &request.open;
	assert_string_equal(refused_field(&request), "close_time");
	request.set.close_time = request.set.open_time;
	assert_string_equal(refused_field(&request), "close_time");
	good_request(&request)->sku = (char *)(uintptr_t) "*";
	request.set.user_level = -1;
	assert_null(refused_field(&request));
}

static void test_purchases(void **state)
{
	assert_null(complain_purchase("A", 0, 1).field);
	assert_null(complain_purchase("A", RULES_LEVEL_MAX, RULES_UNITS_MAX).field);
	assert_string_equal(complain_purchase("*", 0, 1).field, "sku");
	assert_string_equal(complain_purchase("A", -1, 1).field, "user_level");
	assert_string_equal(complain_purchase("A", RULES_LEVEL_MAX + 1, 1).field, "user_level");
	assert_string_equal(complain_purchase("A", 0, 0).field, "quantity");
	assert_string_equal(complain_purchase("A", 0, RULES_UNITS_MAX + 1).field, "quantity");
}

static Policy__PurchaseOutcome judge(
	const struct rules *rules, const char *sku, int32_t level, uint32_t quantity, int64_t now_ms)
{
	Policy__PurchaseCheck check = POLICY__PURCHASE_CHECK__INIT;
	Policy__PurchaseOutcome outcome;

	check.sku = (char *)(uintptr_t)sku;
	check.user_level = level;
	check.quantity = quantity;
	assert_true(message_outcome(&arena, rules, &check, now_ms, &outcome));
	return outcome;
}

static void check_refusal(const Policy__PurchaseOutcome *outcome, Common__Reason reason, const char *field)
{
	assert_int_equal(outcome->outcome_case, POLICY__PURCHASE_OUTCOME__OUTCOME_REFUSAL);
	assert_int_equal(outcome->refusal->reason, reason);
	assert_string_equal(outcome->refusal->field, field);
}

static void test_outcomes(void **state)
{
	struct rule standard = {.units = 5};
	struct rule window = {.sku = "W", .level = -1, .units = 2, .open_ms = 1000, .close_ms = 2000};
	struct rule free_rule = {.sku = "F",
		.level = -1,
		.unlimited = true,
		.open_ms = RULES_ALWAYS_OPEN,
		.close_ms = RULES_NEVER_CLOSED};
	struct rules *rules = rules_new(&standard);
	Policy__PurchaseOutcome outcome;

	rules_put(rules, &window);
	rules_put(rules, &free_rule);
	outcome = judge(rules, "A", 1, 5, 0);
	assert_int_equal(outcome.outcome_case, POLICY__PURCHASE_OUTCOME__OUTCOME_LIMIT);
	assert_int_equal(outcome.limit->kind_case, COMMON__LIMIT__KIND_UNITS);
	assert_int_equal(outcome.limit->units, 5);
	outcome = judge(rules, "A", 1, 6, 0);
	check_refusal(&outcome, COMMON__REASON__REASON_LIMIT_REACHED, "");
	assert_string_equal(outcome.refusal->message, "the limit per person is 5");
	outcome = judge(rules, "F", 1, RULES_UNITS_MAX, 0);
	assert_int_equal(outcome.limit->kind_case, COMMON__LIMIT__KIND_UNLIMITED);
	assert_non_null(outcome.limit->unlimited);
	outcome = judge(rules, "W", 1, 1, 300);
	check_refusal(&outcome, COMMON__REASON__REASON_NOT_OPEN, "");
	assert_int_equal(outcome.refusal->retry_after_ms, 700);
	outcome = judge(rules, "W", 1, 1, -((int64_t)1 << 40));
	assert_int_equal(outcome.refusal->retry_after_ms, UINT32_MAX);
	outcome = judge(rules, "W", 1, 1, 1000);
	assert_int_equal(outcome.limit->units, 2);
	outcome = judge(rules, "W", 1, 1, 2000);
	check_refusal(&outcome, COMMON__REASON__REASON_CLOSED, "");
	outcome = judge(rules, "*", 1, 1, 2000);
	check_refusal(&outcome, COMMON__REASON__REASON_INVALID, "sku");
	rules_free(rules);
}

static void test_a_full_arena_is_told(void **state)
{
	Policy__PurchaseCheck check = POLICY__PURCHASE_CHECK__INIT;
	struct rule standard = {.units = 5};
	struct rules *rules = rules_new(&standard);
	Policy__PurchaseOutcome outcome;
	struct arena tiny;

	arena_init(&tiny, 32, 32);
	check.sku = (char *)(uintptr_t) "A";
	check.quantity = 6;
	assert_false(message_outcome(&tiny, rules, &check, 0, &outcome));
	check.quantity = 1;
	assert_false(message_outcome(&tiny, rules, &check, 0, &outcome));
	assert_null(message_policy(&tiny, rules_standard(rules)));
	arena_release(&tiny);
	rules_free(rules);
}

static void test_a_policy_message(void **state)
{
	struct rule rule = {.sku = "W", .level = -1, .units = 2, .open_ms = -1, .close_ms = 2001};
	const Policy__Policy *policy = message_policy(&arena, &rule);

	assert_string_equal(policy->sku, "W");
	assert_int_equal(policy->user_level, -1);
	assert_int_equal(policy->limit->units, 2);
	assert_int_equal(policy->open_time->seconds, -1);
	assert_int_equal(policy->open_time->nanos, 999000000);
	assert_int_equal(policy->close_time->seconds, 2);
	assert_int_equal(policy->close_time->nanos, 1000000);
	rule.open_ms = RULES_ALWAYS_OPEN;
	rule.close_ms = RULES_NEVER_CLOSED;
	policy = message_policy(&arena, &rule);
	assert_null(policy->open_time);
	assert_null(policy->close_time);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", "/", "A", "A/", "A/x", "A/01", "A/+1", "A/-2", "A/1001", "A/ 1",
		"a b/1", "/1", "A/1/2", "A/99999999999"};
	char name[RULE_NAME_MAX], sku[RULES_SKU_MAX + 1], long_name[RULES_SKU_MAX + 8];
	int32_t level;

	assert_string_equal(rule_name_format("A", -1, name), "A/-1");
	assert_true(rule_name_parse("A/-1", sku, &level));
	assert_string_equal(sku, "A");
	assert_int_equal(level, -1);
	assert_true(rule_name_parse("*/1000", sku, &level));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(rule_name_parse(bad[i], sku, &level));
	memset(long_name, 'x', RULES_SKU_MAX + 1);
	strcpy(long_name + RULES_SKU_MAX + 1, "/1");
	assert_false(rule_name_parse(long_name, sku, &level));
	assert_true(rule_name_parse(long_name + 1, sku, &level));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rule_from_a_request),
		cmocka_unit_test(test_an_absent_limit_is_refused),
		cmocka_unit_test(test_each_field_is_named),
		cmocka_unit_test(test_purchases),
		cmocka_unit_test_setup_teardown(test_outcomes, setup, teardown),
		cmocka_unit_test(test_a_full_arena_is_told),
		cmocka_unit_test_setup_teardown(test_a_policy_message, setup, teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
