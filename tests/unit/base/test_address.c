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
	assert_int_equal(address_prefix(&in, 121).bits, 121);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_form_for_each_client),
		cmocka_unit_test(test_what_is_no_address),
		cmocka_unit_test(test_ranges_cover_what_is_in_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
