/* The table of bans: what was put in is found, what was taken out is not, whatever shares its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "gatekeeper/edge/ban_table.h"

#define CHUNK 4096
#define MANY 10000 /* more than two chunks */

static struct ban_table table;

static int setup(void **state)
{
	ban_table_init(&table);
	return 0;
}

static int teardown(void **state)
{
	ban_table_release(&table);
	return 0;
}

/* An account if it begins with a letter. */
static struct ban_key key_of(const char *text)
{
	struct address range;

	if (text[0] >= 'a')
		return ban_key_user(text, strlen(text));
	assert_true(address_parse_range(text, strlen(text), &range));
	return ban_key_range(&range);
}

static struct id id_of(uint32_t number)
{
	struct id id = {{0}};

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

static void put(const char *text, uint32_t number)
{
	const struct ban_key key = key_of(text);
	const struct ban_entry ban = {.id = id_of(number), .end_ms = number, .effect = BAN_EFFECT_DENY};
	struct ban_growth growth;

	if (ban_table_grow(&table, &growth)) {
		ban_table_adopt(&table, &growth);
		ban_growth_release(&growth);
	}
	assert_true(ban_table_put(&table, &key, &ban));
}

static bool take_out(uint32_t number)
{
	const struct id id = id_of(number);

	return ban_table_remove(&table, &id);
}

/* How many there are of it; *ret_sum is of their numbers. */
static size_t find(const char *text, uint64_t *ret_sum)
{
	const struct ban_key key = key_of(text);
	const struct ban_entry *ban;
	uint32_t at = 0;
	size_t count = 0;

	*ret_sum = 0;
	ban_table_prepare(&table, &key);
	while ((ban = ban_table_next(&table, &key, &at))) {
		*ret_sum += (uint64_t)ban->end_ms;
		count++;
	}
	return count;
}

static void assert_only(const char *text, uint32_t number)
{
	uint64_t sum;

	assert_int_equal(find(text, &sum), number != 0);
	assert_int_equal(sum, number);
}

static void test_several_of_one_subject(void **state)
{
	uint64_t sum;

	put("eve", 1);
	put("eve", 2);
	put("192.0.2.0/24", 3);
	put("2001:db8::/32", 4);
	assert_int_equal(ban_table_count(&table), 4);
	assert_int_equal(find("eve", &sum), 2);
	assert_int_equal(sum, 3);
	assert_int_equal(table.ranges[0][ADDRESS_BITS - 8], 1);
	assert_int_equal(table.ranges[1][32], 1);
	assert_true(take_out(1));
	assert_false(take_out(1));
	assert_only("eve", 2);
	assert_only("192.0.2.0/24", 3);
	assert_only("192.0.2.0/25", 0);
	assert_true(take_out(3));
	assert_int_equal(table.ranges[0][ADDRESS_BITS - 8], 0);
}

/* Found by trying: each two have one hash. */
static void test_what_has_the_same_hash(void **state)
{
	static const char *const pairs[][2] = {{"user-35152", "user-49345"}, {"user-84269", "user-309077"},
		{"user-363818", "10.0.233.149"}, {"10.0.204.215", "10.4.251.191"},
		{"14.232.74.0/24", "10.5.152.127"}};

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *const one = pairs[i][0], *const other = pairs[i][1];

		assert_int_equal(key_of(one).hash, key_of(other).hash);
		put(one, 1);
		assert_only(other, 0);
		put(other, 2);
		assert_only(one, 1);
		assert_only(other, 2);
		assert_true(take_out(1));
		assert_only(one, 0);
		assert_only(other, 2);
		assert_true(take_out(2));
		assert_only(other, 0);
	}
	put("eve", 12877); /* and so have these as ids */
	assert_false(take_out(26150));
	put("mallory", 26150);
	assert_true(take_out(26150));
	assert_only("eve", 12877);
	assert_only("mallory", 0);
}

static const char *name_of(uint32_t number)
{
	static char text[32];

	if (number % 2)
		snprintf(text, sizeof(text), "user-%u", number);
	else
		snprintf(text, sizeof(text), "10.%u.%u.0/24", number >> 8, number & 255);
	return text;
}

static void assert_all(const bool *there)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i < MANY; i++) {
		assert_only(name_of(i), there[i] ? i : 0);
		count += there[i];
	}
	assert_int_equal(ban_table_count(&table), count);
}

/* In and out in an order of its own: places are used again, and nothing is lost where others left gaps. */
static void test_many(void **state)
{
	static bool there[MANY];
	uint32_t random = 1;

	for (int round = 1; round <= 4 * MANY; round++) {
		uint32_t number;

		random = random * 1664525 + 1013904223;
		number = 1 + (random >> 8) % (MANY - 1);
		if (there[number])
			assert_true(take_out(number));
		else
			put(name_of(number), number);
		there[number] = !there[number];
		if (round % MANY == 0)
			assert_all(there);
	}
	assert_true(table.used < MANY);
	assert_int_equal(table.chunk_count, (table.used + CHUNK - 1) / CHUNK);
}

/* With no place left it takes no more, and does not grow. */
static void test_it_is_bounded(void **state)
{
	const uint32_t most = (BAN_TABLE_MAX + CHUNK - 1) / CHUNK;
	const struct ban_key key = key_of("eve");
	const struct ban_entry ban = {.id = id_of(1)};
	struct ban_growth growth;
	struct ban_table full;

	ban_table_init(&full);
	full.chunk_count = most; /* as if all were handed out */
	full.used = most * CHUNK;
	assert_false(ban_table_grow(&full, &growth));
	assert_false(ban_table_put(&full, &key, &ban));
	assert_int_equal(ban_table_count(&full), 0);
	full.chunk_count = full.used = 0;
	ban_table_release(&full);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_several_of_one_subject),
		TEST(test_what_has_the_same_hash),
		TEST(test_many),
		TEST(test_it_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
