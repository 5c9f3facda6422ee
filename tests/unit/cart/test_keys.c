#include "check.h"

#include "cart/keys.h"

static struct hash128 scope(const char *user, const char *key)
{
	return key_scope(user, strlen(user), key, strlen(key));
}

static struct hash128 fingerprint(enum key_operation operation, const char *sku, uint32_t quantity)
{
	return key_fingerprint(operation, sku, strlen(sku), quantity);
}

static bool same(struct hash128 a, struct hash128 b)
{
	return key_equal(&a, &b);
}

static void test_scope_is_user_and_key(void **state)
{
	assert_true(same(scope("ann", "k1"), scope("ann", "k1")));
	assert_false(same(scope("ann", "k1"), scope("bob", "k1")));
	assert_false(same(scope("ann", "k1"), scope("ann", "k2")));
	assert_false(same(scope("ann", "k1"), scope("annk", "1")));
}

static void test_fingerprint_is_all_that_was_asked(void **state)
{
	assert_true(same(fingerprint(KEY_ADD, "A", 1), fingerprint(KEY_ADD, "A", 1)));
	assert_false(same(fingerprint(KEY_ADD, "A", 1), fingerprint(KEY_ADD, "B", 1)));
	assert_false(same(fingerprint(KEY_ADD, "A", 1), fingerprint(KEY_ADD, "A", 2)));
	assert_false(same(fingerprint(KEY_ADD, "A", 1), fingerprint(KEY_ADD, "A", 0x01000000)));
	assert_false(same(fingerprint(KEY_ADD, "A", 1), fingerprint(KEY_UPDATE, "A", 1)));
}

/* Both are written in stores and in the ledger: they may never change within a format. */
static void test_values_are_frozen(void **state)
{
	struct hash128 key = scope("U0001", "key-1"), print = fingerprint(KEY_ADD, "SKU0001", 1);
	char text[2][33];

	for (int i = 0; i < 16; i++) {
		snprintf(text[0] + 2 * i, 3, "%02x", key.bytes[i]);
		snprintf(text[1] + 2 * i, 3, "%02x", print.bytes[i]);
	}
	assert_string_equal(text[0], "d885b6939114b04f3e8a7d16ee3363fd");
	assert_string_equal(text[1], "b28f65f964e798e393a1666c7b1c140a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope_is_user_and_key),
		cmocka_unit_test(test_fingerprint_is_all_that_was_asked),
		cmocka_unit_test(test_values_are_frozen),
	};

	return RUN(tests);
}
