/* tests/unit/base/test_hash.c - hashes that are written in stores: their values must never change. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_hash128(struct hash128 hash, const char *expected)
{
	char text[33];

	for (int i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", hash.bytes[i]);
	assert_string_equal(text, expected);
}

/* As the xxhsum program prints them. */
static void test_known_values(void **state)
{
	assert_true(hash64("", 0) == UINT64_C(0x2d06800538d394c2));
	assert_hash128(hash128("", 0), "99aa06d3014798d86001c324468d497f");
	assert_true(hash64("SKU0001", 7) == UINT64_C(0x2bc96c7ba32b8eb0));
	assert_hash128(hash128("SKU0001", 7), "6a64187f7538da36be75800f7007a475");
}

static void test_shards_are_stable_and_even(void **state)
{
	int found[4] = {0};

	for (int i = 0; i < 4000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "SKU%04d", i);
		assert_int_equal(hash_shard(key, 1), 0);
		assert_int_equal(hash_shard(key, 4), hash64(key, strlen(key)) % 4);
		found[hash_shard(key, 4)]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(found[i], 800, 1200);
}

static struct hash128 parts(const char *a, const char *b)
{
	const struct hash_part two[] = {{a, strlen(a)}, {b, strlen(b)}};

	return hash128_parts(two, 2);
}

static void test_parts_keep_their_borders(void **state)
{
	struct hash128 first = parts("ab", "c"), second = parts("a", "bc"), third = parts("abc", ""),
		       fourth = parts("", "abc");
	const struct hash_part one = {"abc", 3};
	struct hash128 alone = hash128_parts(&one, 1), again = parts("ab", "c");

	assert_memory_not_equal(first.bytes, second.bytes, 16);
	assert_memory_not_equal(first.bytes, third.bytes, 16);
	assert_memory_not_equal(third.bytes, fourth.bytes, 16);
	assert_memory_not_equal(third.bytes, alone.bytes, 16);
	assert_memory_equal(first.bytes, again.bytes, 16);
}

/* The layout is part of the stores' format: eight bytes of length, lowest first, then the part. */
static void test_parts_are_the_hash_of_lengths_and_bytes(void **state)
{
	static const char laid_out[] = "\2\0\0\0\0\0\0\0ab\1\0\0\0\0\0\0\0c";
	struct hash128 hash = parts("ab", "c"), expected = hash128(laid_out, sizeof(laid_out) - 1);

	assert_memory_equal(hash.bytes, expected.bytes, 16);
}

/* However long they are: in one piece or step by step. */
static void test_parts_of_any_length(void **state)
{
	static uint8_t laid_out[8 + 300 + 8 + 5], bytes[300];

	for (size_t size = 0; size <= sizeof(bytes); size++) {
		const struct hash_part two[] = {{bytes, size}, {"other", 5}};
		struct hash128 hash, expected;

		memset(bytes, (int)size, size);
		memset(laid_out, 0, sizeof(laid_out));
		laid_out[0] = (uint8_t)size;
		laid_out[1] = (uint8_t)(size >> 8);
		memcpy(laid_out + 8, bytes, size);
		laid_out[8 + size] = 5;
		memcpy(laid_out + 16 + size, "other", 5);
		hash = hash128_parts(two, 2);
		expected = hash128(laid_out, 8 + size + 8 + 5);
		assert_memory_equal(hash.bytes, expected.bytes, sizeof(hash.bytes));
	}
}

static void test_no_parts(void **state)
{
	const struct hash_part empty = {NULL, 0};
	struct hash128 none = hash128_parts(NULL, 0), one = hash128_parts(&empty, 1);

	assert_memory_not_equal(none.bytes, one.bytes, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_shards_are_stable_and_even),
		cmocka_unit_test(test_parts_keep_their_borders),
		cmocka_unit_test(test_parts_are_the_hash_of_lengths_and_bytes),
		cmocka_unit_test(test_parts_of_any_length),
		cmocka_unit_test(test_no_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
