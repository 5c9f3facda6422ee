#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "protector/addresses.h"

/* What is read from `text` is written as `canonical`; NULL: it is refused. */
struct reading {
	const char *text, *canonical;
};

static void check_readings(
	const struct reading *readings, size_t count, bool (*parse)(const char *, struct prefix *))
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		struct prefix prefix, again;
		bool parsed = parse(readings[i].text, &prefix);

		if (parsed != (readings[i].canonical != NULL))
			fail_msg("'%s' was %s", readings[i].text, parsed ? "taken" : "refused");
		if (!parsed)
			continue;
		assert_string_equal(prefix_format(&prefix, text), readings[i].canonical);
		assert_true(prefix_valid(&prefix));
		assert_true(prefix_parse(text, &again)); /* its own text reads as itself */
		assert_int_equal(prefix_compare(&prefix, &again), 0);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_addresses(void **state)
{
	static const struct reading readings[] = {
		{"192.0.2.1", "192.0.2.1"},
		{"0.0.0.0", "0.0.0.0"},
		{"255.255.255.255", "255.255.255.255"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"::", "::"},
		{"::1", "::1"},
		{"fe80::1:0:0:0:1", "fe80:0:0:1::1"},
		{"::ffff:192.0.2.1", "192.0.2.1"},
		{"::FFFF:c000:0201", "192.0.2.1"},
		{"0:0:0:0:0:ffff:10.0.0.1", "10.0.0.1"},
		{"::fffe:1.2.3.4", "::fffe:102:304"}, /* not mapped */
		{"", NULL},
		{" 192.0.2.1", NULL},
		{"192.0.2.1 ", NULL},
		{"192.0.2", NULL},
		{"192.0.2.256", NULL},
		{"192.0.2.01", NULL},
		{"0x7f.1", NULL},
		{"2130706433", NULL},
		{"192.0.2.1.5", NULL},
		{"1.2.3.4/32", NULL}, /* a range, not an address */
		{":::", NULL},
		{"1::2::3", NULL},
		{"12345::", NULL},
		{"fe80::1%lo", NULL},
		{"[::1]", NULL},
		{"::ffff:192.0.2.256", NULL},
		{"localhost", NULL},
		{"2001:0db8:0000:0000:0000:0000:0000:0000:0001", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			NULL},
	};

	check_readings(readings, COUNT(readings), address_parse);
}

static void test_ranges(void **state)
{
	static const struct reading readings[] = {
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"192.0.2.77/24", "192.0.2.0/24"},
		{"192.0.2.255/25", "192.0.2.128/25"},
		{"192.0.2.255/31", "192.0.2.254/31"},
		{"192.0.2.1/32", "192.0.2.1"},
		{"255.255.255.255/1", "128.0.0.0/1"},
		{"1.2.3.4/0", "0.0.0.0/0"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"2001:db8:ffff::1/33", "2001:db8:8000::/33"},
		{"2001:db8::1/128", "2001:db8::1"},
		{"ffff::/0", "::/0"},
		{"::ffff:10.1.2.3/104", "10.0.0.0/8"},
		{"::ffff:10.1.2.3/128", "10.1.2.3"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
		{"::ffff:10.1.2.3/95", "::fffe:0:0/95"}, /* wider than what is mapped: IPv6 */
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.0/33", NULL},
		{"2001:db8::/129", NULL},
		{"192.0.2.0/", NULL},
		{"192.0.2.0/-1", NULL},
		{"192.0.2.0/+8", NULL},
		{"192.0.2.0/08", NULL},
		{"192.0.2.0/8 ", NULL},
		{"192.0.2.0/8/8", NULL},
		{"192.0.2.0/1000", NULL},
		{"192.0.2.0/4294967304", NULL},
		{"/8", NULL},
		{"192.0.2/24", NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/8", NULL},
	};

	check_readings(readings, COUNT(readings), prefix_parse);
}

static struct prefix parsed(const char *text)
{
	struct prefix prefix;

	assert_true(prefix_parse(text, &prefix));
	return prefix;
}

static void test_cutting(void **state)
{
	struct prefix prefix = parsed("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), expected;
	char text[PREFIX_TEXT_MAX];

	prefix_cut(&prefix, 128);
	assert_string_equal(prefix_format(&prefix, text), "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
	prefix_cut(&prefix, 127);
	assert_string_equal(prefix_format(&prefix, text), "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127");
	prefix_cut(&prefix, 64);
	assert_string_equal(prefix_format(&prefix, text), "2001:db8:ffff:ffff::/64");
	prefix_cut(&prefix, 3);
	expected = parsed("2000::/3");
	assert_int_equal(prefix_compare(&prefix, &expected), 0);
	prefix_cut(&prefix, 0);
	expected = parsed("::/0");
	assert_int_equal(prefix_compare(&prefix, &expected), 0);
}

static void test_order(void **state)
{
	static const char *const ascending[] = {"0.0.0.0/0", "9.9.9.9", "10.0.0.0/8", "10.0.0.0/16",
		"10.0.0.0", "10.0.0.1", "192.0.2.0/24", "::/0", "::1", "2001:db8::/32", "ffff::"};

	for (size_t i = 1; i < COUNT(ascending); i++) {
		struct prefix before = parsed(ascending[i - 1]), after = parsed(ascending[i]);

		assert_true(prefix_compare(&before, &after) < 0);
	}
}

static void test_which_bytes_are_a_prefix(void **state)
{
	struct prefix prefix = parsed("10.0.0.0/8");

	assert_true(prefix_valid(&prefix));
	prefix.bytes[1] = 1; /* a bit after the length */
	assert_false(prefix_valid(&prefix));
	prefix = parsed("10.0.0.0/8");
	prefix.length = 33;
	assert_false(prefix_valid(&prefix));
	prefix = parsed("10.0.0.1");
	prefix.bytes[4] = 1; /* behind IPv4's four */
	assert_false(prefix_valid(&prefix));
	prefix = parsed("::1");
	prefix.family = ADDRESS_FAMILIES;
	assert_false(prefix_valid(&prefix));
	prefix = parsed("::1");
	prefix.bytes[10] = prefix.bytes[11] = 0xff; /* mapped: it would be IPv4 */
	assert_false(prefix_valid(&prefix));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_cutting),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_which_bytes_are_a_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
