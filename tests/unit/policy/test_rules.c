#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "policy/rules.h"

static struct rule units_rule(const char *sku, int32_t level, uint32_t units)
{
	struct rule rule = {
		.level = level, .units = units, .open_ms = RULES_ALWAYS_OPEN, .close_ms = RULES_NEVER_CLOSED};

	snprintf(rule.sku, sizeof(rule.sku), "%s", sku);
	return rule;
}

static struct rules *new_rules(void)
{
	struct rule standard = units_rule("*", -1, 5);

	return rules_new(&standard);
}

static void put(struct rules *rules, const char *sku, int32_t level, uint32_t units)
{
	struct rule rule = units_rule(sku, level, units);

	rules_put(rules, &rule);
}

static void test_skus(void **state)
{
	char long_sku[RULES_SKU_MAX + 2];

	assert_true(rules_sku_valid("SKU0001"));
	assert_true(rules_sku_valid("a.b_c-9"));
	assert_false(rules_sku_valid(""));
	assert_false(rules_sku_valid("*"));
	assert_false(rules_sku_valid("a b"));
	assert_false(rules_sku_valid("a/b"));
	assert_false(rules_sku_valid("\xc3\xa4"));
	assert_true(rules_subject_valid("*"));
	assert_false(rules_subject_valid("**"));
	memset(long_sku, 'x', sizeof(long_sku));
	long_sku[RULES_SKU_MAX] = '\0';
	assert_true(rules_sku_valid(long_sku));
	long_sku[RULES_SKU_MAX] = 'x';
	long_sku[RULES_SKU_MAX + 1] = '\0';
	assert_false(rules_sku_valid(long_sku));
}

static void test_which_rules_are_valid(void **state)
{
	struct rule rule = units_rule("S", 0, 1);

	assert_true(rules_rule_valid(&rule));
	rule.units = 0;
	assert_false(rules_rule_valid(&rule)); /* no limit was said: never "unlimited" */
	rule.unlimited = true;
	assert_true(rules_rule_valid(&rule));
	rule.units = 3;
	assert_false(rules_rule_valid(&rule));
	rule = units_rule("S", 0, RULES_UNITS_MAX + 1);
	assert_false(rules_rule_valid(&rule));
	rule = units_rule("S", -2, 1);
	assert_false(rules_rule_valid(&rule));
	rule = units_rule("S", RULES_LEVEL_MAX + 1, 1);
	assert_false(rules_rule_valid(&rule));
	rule = units_rule("S", 0, 1);
	rule.open_ms = rule.close_ms = 7;
	assert_false(rules_rule_valid(&rule)); /* never open */
}

static void test_the_closest_counts(void **state)
{
	struct rules *rules = new_rules();

	assert_int_equal(rules_closest(rules, "A", 3)->units, 5);
	put(rules, "*", -1, 10);
	assert_int_equal(rules_closest(rules, "A", 3)->units, 10);
	put(rules, "*", 3, 20);
	assert_int_equal(rules_closest(rules, "A", 3)->units, 20);
	assert_int_equal(rules_closest(rules, "A", 4)->units, 10);
	put(rules, "A", -1, 30);
	assert_int_equal(rules_closest(rules, "A", 3)->units, 30); /* the SKU before the level */
	assert_int_equal(rules_closest(rules, "A", 4)->units, 30);
	assert_int_equal(rules_closest(rules, "B", 3)->units, 20);
	put(rules, "A", 3, 40);
	assert_int_equal(rules_closest(rules, "A", 3)->units, 40);
	assert_int_equal(rules_closest(rules, "A", 4)->units, 30);
	assert_int_equal(rules_closest(rules, "AA", 3)->units, 20); /* no prefix counts as the SKU */

	assert_true(rules_remove(rules, "A", 3));
	assert_int_equal(rules_closest(rules, "A", 3)->units, 30);
	assert_true(rules_remove(rules, "A", -1));
	assert_int_equal(rules_closest(rules, "A", 3)->units, 20);
	assert_true(rules_remove(rules, "*", 3));
	assert_true(rules_remove(rules, "*", -1));
	assert_int_equal(rules_closest(rules, "A", 3)->units, 5);
	assert_int_equal(rules_closest(rules, "A", 3)->level, RULES_EVERY_LEVEL);
	assert_string_equal(rules_closest(rules, "A", 3)->sku, RULES_EVERY_SKU);
	rules_free(rules);
}

static void test_put_replaces_and_remove_tells(void **state)
{
	struct rules *rules = new_rules();

	put(rules, "A", 1, 2);
	put(rules, "A", 1, 3);
	assert_int_equal(rules_count(rules), 1);
	assert_int_equal(rules_get(rules, "A", 1)->units, 3);
	assert_null(rules_get(rules, "A", 2));
	assert_null(rules_get(rules, "A", -1));
	assert_null(rules_get(rules, "*", -1)); /* the standard is no rule */
	assert_false(rules_remove(rules, "A", 2));
	assert_true(rules_remove(rules, "A", 1));
	assert_false(rules_remove(rules, "A", 1));
	assert_int_equal(rules_count(rules), 0);
	rules_free(rules);
}

static void test_order(void **state)
{
	static const struct {
		const char *sku;
		int32_t level;
	} expected[] = {{"*", -1}, {"*", 0}, {"A", -1}, {"A", 0}, {"A", 2}, {"A", 10}, {"B", 1000}, {"a", 0}};
	const int shuffled[] = {5, 0, 7, 2, 6, 1, 4, 3};
	struct rules *rules = new_rules();
	const struct rule *rule;
	size_t at = 0;

	for (size_t i = 0; i < 8; i++)
		put(rules, expected[shuffled[i]].sku, expected[shuffled[i]].level, 1);
	for (rule = rules_after(rules, "", -1); rule;
		rule = rules_after(rules, rule->sku, rule->level), at++) {
		assert_string_equal(rule->sku, expected[at].sku);
		assert_int_equal(rule->level, expected[at].level);
	}
	assert_int_equal(at, 8);
	rule = rules_after(rules, "A", 3); /* of one that is gone */
	assert_int_equal(rule->level, 10);
	rules_free(rules);
}

static void test_windows(void **state)
{
	struct rule rule = units_rule("A", 1, 2);

	rule.open_ms = 1000;
	rule.close_ms = 2000;
	assert_int_equal(rules_judge(&rule, 1, 999), RULES_NOT_OPEN);
	assert_int_equal(rules_judge(&rule, 1, 1000), RULES_WITHIN);
	assert_int_equal(rules_judge(&rule, 2, 1999), RULES_WITHIN);
	assert_int_equal(rules_judge(&rule, 3, 1999), RULES_OVER);
	assert_int_equal(rules_judge(&rule, 1, 2000), RULES_CLOSED);
	assert_int_equal(rules_judge(&rule, 3, 999), RULES_NOT_OPEN);
	rule.open_ms = RULES_ALWAYS_OPEN;
	assert_int_equal(rules_judge(&rule, 1, -5), RULES_WITHIN);
	rule.close_ms = RULES_NEVER_CLOSED;
	assert_int_equal(rules_judge(&rule, 1, INT64_MAX - 1), RULES_WITHIN);
}

static void test_unlimited(void **state)
{
	struct rules *rules = new_rules();
	struct rule rule = units_rule("A", -1, 0);

	rule.unlimited = true;
	rules_put(rules, &rule);
	assert_int_equal(rules_judge(rules_closest(rules, "A", 7), RULES_UNITS_MAX, 0), RULES_WITHIN);
	assert_int_equal(rules_judge(rules_closest(rules, "B", 7), 6, 0), RULES_OVER);
	assert_int_equal(rules_judge(rules_closest(rules, "B", 7), 5, 0), RULES_WITHIN);
	rules_free(rules);
}

/* A rule's window comes with it: the closest rule counts as a whole. */
static void test_a_window_is_not_inherited(void **state)
{
	struct rules *rules = new_rules();
	struct rule rule = units_rule("A", -1, 1);

	rule.open_ms = 5000;
	rules_put(rules, &rule);
	put(rules, "A", 9, 3);
	assert_int_equal(rules_judge(rules_closest(rules, "A", 1), 1, 0), RULES_NOT_OPEN);
	assert_int_equal(rules_judge(rules_closest(rules, "A", 9), 3, 0), RULES_WITHIN);
	rules_free(rules);
}

static void test_many(void **state)
{
	struct rules *rules = new_rules();
	const struct rule *rule;
	char sku[RULES_SKU_MAX + 1];
	size_t count = 0;

	for (int i = 0; i < 20000; i++) {
		snprintf(sku, sizeof(sku), "SKU%05d", i * 7919 % 20000);
		put(rules, sku, i % 5, 1 + (uint32_t)i);
	}
	assert_int_equal(rules_count(rules), 20000);
	for (rule = rules_after(rules, "", -1); rule; rule = rules_after(rules, rule->sku, rule->level))
		count++;
	assert_int_equal(count, 20000);
	for (int i = 0; i < 20000; i += 2) {
		snprintf(sku, sizeof(sku), "SKU%05d", i * 7919 % 20000);
		assert_true(rules_remove(rules, sku, i % 5));
	}
	assert_int_equal(rules_count(rules), 10000);
	snprintf(sku, sizeof(sku), "SKU%05d", 7919 % 20000);
	assert_int_equal(rules_closest(rules, sku, 1)->units, 2);
	rules_free(rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skus),
		cmocka_unit_test(test_which_rules_are_valid),
		cmocka_unit_test(test_the_closest_counts),
		cmocka_unit_test(test_put_replaces_and_remove_tells),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_unlimited),
		cmocka_unit_test(test_a_window_is_not_inherited),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
