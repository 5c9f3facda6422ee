#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"

static struct address of(const char *text)
{
	struct address address;

	assert_true(address_parse_range(text, strlen(text), &address));
	return address;
}

static void assert_canonical(const char *text, const char *canonical)
{
	struct address address = of(text);
	char buffer[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(&address, buffer), canonical);
	address = of(canonical);
	assert_string_equal(address_format(&address, buffer), canonical);
}

static void test_one_form_for_each_client(void **state)
{
	assert_canonical("192.0.2.1", "192.0.2.1");
	assert_canonical("::ffff:192.0.2.1", "192.0.2.1");
	assert_canonical("192.0.2.1/32", "192.0.2.1");
	assert_canonical("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
	assert_canonical("2001:db8::1/128", "2001:db8::1");
	assert_canonical("192.0.2.77/24", "192.0.2.0/24");
	assert_canonical("2001:db8:ffff::/33", "2001:db8:8000::/33");
	assert_canonical("0.0.0.0/0", "0.0.0.0/0");
	assert_canonical("::/0", "::/0");
}

static void test_what_is_no_address(void **state)
{
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4 ", " 1.2.3.4", "1.2.3.256", "01.2.3.4",
		"1.2.3.4/33", "1.2.3.4/", "1.2.3.4/024", "1.2.3.4/-1", "1.2.3.4/+1", "fe80::1%eth0", "[::1]",
		"::1/129", "1.2.3.4:80", "localhost", "1.2.3.4/8/8",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
	struct address address;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(address_parse_range(bad[i], strlen(bad[i]), &address));
	assert_false(address_parse_range("1.2.3.4\0", 8, &address));
	assert_false(address_parse("1.2.3.0/24", 10, &address));
	assert_true(address_parse("1.2.3.4xyz", 7, &address));
}

static void test_ranges_cover_what_is_in_them(void **state)
{
	struct address range = of("192.0.2.128/25"), in = of("192.0.2.200"), out = of("192.0.2.127"),
		       all = of("0.0.0.0/0");
	struct address v6 = of("2001:db8::1"), wide = of("192.0.2.0/24");

	assert_true(address_covers(&range, &in));
	assert_true(address_covers(&range, &range));
	assert_false(address_covers(&range, &out));
	assert_false(address_covers(&range, &wide));
	assert_true(address_covers(&wide, &range));
	assert_true(address_covers(&all, &in));
	assert_false(address_covers(&all, &v6));
	all = of("::/0");
	assert_true(address_covers(&all, &v6));
	assert_false(address_covers(&all, &in)); /* the families never match one another */
	assert_int_equal(address_prefix(&in, 121).bits, 121);
}

/* What is read from `text` is written as `canonical`; NULL: it is refused. */
struct reading {
	const char *text, *canonical;
};

static void check_readings(
	const struct reading *readings, size_t count, bool (*parse)(const char *, size_t, struct address *))
{
	char text[ADDRESS_TEXT_MAX];
	uint8_t packed[ADDRESS_PACKED_BYTES];

	for (size_t i = 0; i < count; i++) {
		struct address address, again;
		const char *read = readings[i].text;
		bool parsed = parse(read, strlen(read), &address);

		if (parsed != (readings[i].canonical != NULL))
			fail_msg("'%s' was %s", read, parsed ? "taken" : "refused");
		if (!parsed)
			continue;
		assert_string_equal(address_format(&address, text), readings[i].canonical);
		address_pack(&address, packed);
		assert_true(address_unpack(packed, &again));
		assert_int_equal(address_compare(&address, &again), 0);
		assert_true(
			address_parse_range(text, strlen(text), &again)); /* its own text reads as itself */
		assert_int_equal(address_compare(&address, &again), 0);
	}
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_single_addresses(void **state)
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
		{"::ffff:10.1.2.3/95",
			NULL}, /* wider than what is mapped: who writes so means something else */
		{"::ffff:10.1.2.3/24", NULL},
		{"::fffe:0:0/95", "::fffe:0:0/95"},
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

	check_readings(readings, COUNT(readings), address_parse_range);
}

static void test_cutting(void **state)
{
	struct address range = of("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), expected;
	char text[ADDRESS_TEXT_MAX];

	range = address_prefix(&range, 128);
	assert_string_equal(address_format(&range, text), "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
	range = address_prefix(&range, 127);
	assert_string_equal(address_format(&range, text), "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127");
	range = address_prefix(&range, 64);
	assert_string_equal(address_format(&range, text), "2001:db8:ffff:ffff::/64");
	range = address_prefix(&range, 3);
	expected = of("2000::/3");
	assert_int_equal(address_compare(&range, &expected), 0);
	range = address_prefix(&range, 0);
	expected = of("::/0");
	assert_int_equal(address_compare(&range, &expected), 0);
}

static void test_order(void **state)
{
	static const char *const ascending[] = {"0.0.0.0/0", "9.9.9.9", "10.0.0.0/8", "10.0.0.0/16",
		"10.0.0.0", "10.0.0.1", "192.0.2.0/24", "::/0", "::1", "2001:db8::/32", "ffff::"};
	struct address first = of(ascending[0]);

	for (size_t i = 1; i < COUNT(ascending); i++) {
		struct address before = of(ascending[i - 1]), after = of(ascending[i]);
		uint8_t lower[ADDRESS_PACKED_BYTES], higher[ADDRESS_PACKED_BYTES];

		assert_true(address_compare(&before, &after) < 0);
		address_pack(&before, lower);
		address_pack(&after, higher);
		assert_true(memcmp(lower, higher, sizeof(lower)) < 0);
	}
	assert_int_equal(address_compare(&first, &ADDRESS_FIRST), 0);
}

/* As the store has them. */
static void test_which_bytes_are_an_address(void **state)
{
	static const uint8_t range[ADDRESS_PACKED_BYTES] = {0, 10, [17] = 8};
	uint8_t packed[ADDRESS_PACKED_BYTES];
	struct address address = of("10.0.0.0/8");

	address_pack(&address, packed);
	assert_memory_equal(packed, range, sizeof(packed));
	assert_true(address_unpack(packed, &address));
	packed[1 + 1] = 1; /* a bit after the length */
	assert_false(address_unpack(packed, &address));
	memcpy(packed, range, sizeof(packed));
	packed[17] = 33;
	assert_false(address_unpack(packed, &address));
	packed[17] = 255;
	assert_false(address_unpack(packed, &address));
	address = of("10.0.0.1");
	address_pack(&address, packed);
	packed[1 + 4] = 1; /* behind IPv4's four */
	assert_false(address_unpack(packed, &address));
	address = of("::1");
	address_pack(&address, packed);
	packed[0] = 2; /* no family */
	assert_false(address_unpack(packed, &address));
	packed[0] = 1;
	assert_true(address_unpack(packed, &address));
	packed[1 + 10] = packed[1 + 11] = 0xff; /* mapped: it would be IPv4 */
	assert_false(address_unpack(packed, &address));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_form_for_each_client),
		cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_ranges_cover_what_is_in_them),
		cmocka_unit_test(test_single_addresses),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_cutting),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_which_bytes_are_an_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
