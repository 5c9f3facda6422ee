#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "rpc/advertise.h"

static void what_is_said(void **state)
{
	static const char *const rows[][3] = {
		/* --advertise, --listen, what others hear when the port is 7 */
		{NULL, "127.0.0.1:8083", "127.0.0.1:7"},
		{NULL, "127.0.0.1:0", "127.0.0.1:7"},
		{NULL, "[::1]:0", "[::1]:7"},
		{"10.0.0.1", "0.0.0.0:0", "10.0.0.1:7"},
		{"10.0.0.1:9", "0.0.0.0:0", "10.0.0.1:9"},
		{"pod.shop.svc", "[::]:0", "pod.shop.svc:7"},
		{"fd00::1", "[::]:0", "[fd00::1]:7"},
		{"[fd00::1]", "[::]:0", "[fd00::1]:7"},
		{"[fd00::1]:9", "[::]:0", "[fd00::1]:9"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *address;

		assert_true(advertise_check(rows[i][0], rows[i][1], NULL));
		address = advertise_address(rows[i][0], rows[i][1], 7);
		assert_string_equal(address, rows[i][2]);
		free(address);
	}
}

static void what_cannot_be(void **state)
{
	static const char *const rows[][3] = {
		{NULL, "0.0.0.0:1", "--advertise must say"},
		{NULL, "[::]:1", "--advertise must say"},
		{NULL, ":1", "--advertise must say"},
		{"0.0.0.0", "127.0.0.1:1", "--advertise is '0.0.0.0'"},
		{"::", "127.0.0.1:1", "--advertise is '::'"},
		{"", "127.0.0.1:1", "--advertise is ''"},
		{"h:0", "127.0.0.1:1", "--advertise is"},
		{"h:x", "127.0.0.1:1", "--advertise is"},
		{"h:65536", "127.0.0.1:1", "--advertise is"},
		{"a b", "127.0.0.1:1", "--advertise is"},
		{"http://h", "127.0.0.1:1", "--advertise is"},
		{"[fd00::1", "127.0.0.1:1", "--advertise is"},
	};
	struct error error;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (advertise_check(rows[i][0], rows[i][1], &error) || !strstr(error.text, rows[i][2]))
			fail_msg("row %zu: %s", i, error.text);
	}
}

static void the_admin_port(void **state)
{
	static const char *const rows[][3] = {
		{"10.0.0.1:7", "0.0.0.0:0", "10.0.0.1:8"},
		{"[fd00::1]:7", "[::]:0", "[fd00::1]:8"},
		{"10.0.0.1:7", "127.0.0.1:1", "127.0.0.1:8"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *address = advertise_admin(rows[i][0], rows[i][1], 8);

		assert_string_equal(address, rows[i][2]);
		free(address);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(the_admin_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
