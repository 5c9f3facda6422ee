#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "policy/records.h"

static struct rule make_rule(const char *sku, int32_t level)
{
	struct rule rule = {.level = level, .units = 7, .open_ms = -5, .close_ms = 1767225600000};

	snprintf(rule.sku, sizeof(rule.sku), "%s", sku);
	return rule;
}

static void check_round_trip(const struct rule *rule)
{
	uint8_t key[RULE_KEY_MAX], record[RULE_RECORD_BYTES];
	size_t key_size = rule_key_pack(rule->sku, rule->level, key);
	struct rule back;

	rule_record_pack(rule, record);
	assert_true(rule_unpack(key, key_size, record, sizeof(record), &back));
	assert_string_equal(back.sku, rule->sku);
	assert_int_equal(back.level, rule->level);
	assert_int_equal(back.unlimited, rule->unlimited);
	assert_int_equal(back.units, rule->units);
	assert_true(back.open_ms == rule->open_ms && back.close_ms == rule->close_ms);
}

static void test_round_trips(void **state)
{
	struct rule rule = make_rule("SKU0001", 5);

	check_round_trip(&rule);
	rule = make_rule("*", RULES_EVERY_LEVEL);
	rule.unlimited = true;
	rule.units = 0;
	rule.open_ms = RULES_ALWAYS_OPEN;
	rule.close_ms = RULES_NEVER_CLOSED;
	check_round_trip(&rule);
	rule = make_rule("0123456789012345678901234567890123456789012345678901234567890123", RULES_LEVEL_MAX);
	check_round_trip(&rule);
}

/* The format is written down: these bytes are in stores. */
static void test_layout(void **state)
{
	static const uint8_t expected_key[] = {'S', 0, 0, 0, 1, 2};
	static const uint8_t expected_record[] = {0, 0, 0, 0, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xfb, 0, 0, 1, 0x9b, 0x76, 0xda, 0x20, 0};
	uint8_t key[RULE_KEY_MAX], record[RULE_RECORD_BYTES];
	struct rule rule = make_rule("S", 257);

	rule.close_ms = 0x19b76da2000;
	assert_int_equal(rule_key_pack("S", 257, key), sizeof(expected_key));
	assert_memory_equal(key, expected_key, sizeof(expected_key));
	rule_record_pack(&rule, record);
	assert_memory_equal(record, expected_record, sizeof(expected_record));
}

static void test_keys_sort(void **state)
{
	uint8_t a[RULE_KEY_MAX], b[RULE_KEY_MAX];

	rule_key_pack("A", RULES_EVERY_LEVEL, a);
	rule_key_pack("A", 0, b);
	assert_true(memcmp(a, b, 6) < 0);
	rule_key_pack("A", RULES_LEVEL_MAX, a);
	rule_key_pack("A-", 0, b);
	assert_true(memcmp(a, b, 6) < 0);
}

static void test_damage_is_seen(void **state)
{
	uint8_t key[RULE_KEY_MAX], record[RULE_RECORD_BYTES], bad[RULE_RECORD_BYTES];
	struct rule rule = make_rule("SKU", 5), back;
	size_t size = rule_key_pack("SKU", 5, key);

	rule_record_pack(&rule, record);
	assert_true(rule_unpack(key, size, record, sizeof(record), &back));
	for (size_t cut = 0; cut < size; cut++)
		assert_false(rule_unpack(key, cut, record, sizeof(record), &back));
	for (size_t cut = 0; cut < sizeof(record); cut++)
		assert_false(rule_unpack(key, size, record, cut, &back));
	memcpy(bad, record, sizeof(bad));
	bad[0] = 2;
	assert_false(rule_unpack(key, size, bad, sizeof(bad), &back));
	bad[0] = 1; /* unlimited, with units */
	assert_false(rule_unpack(key, size, bad, sizeof(bad), &back));
	memcpy(bad, record, sizeof(bad));
	bad[1] = 0xff; /* more units than can be */
	assert_false(rule_unpack(key, size, bad, sizeof(bad), &back));
	key[0] = '/';
	assert_false(rule_unpack(key, size, record, sizeof(record), &back));
	key[0] = 'S';
	key[size - 4] = 1; /* a level that can't be */
	assert_false(rule_unpack(key, size, record, sizeof(record), &back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_keys_sort),
		cmocka_unit_test(test_damage_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
