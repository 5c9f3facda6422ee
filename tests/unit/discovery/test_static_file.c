/* The text of a static list: what is read, and that each mistake is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/static_file.h"

static void a_whole_file(void **state)
{
	static const char text[] = "# the sale\n"
				   "\n"
				   "inventory 127.0.0.1:8083 shard=0/2 admin=127.0.0.1:8093 version=1.0.0\n"
				   "\tinventory  [::1]:8083 shard=1/2 id=inv-1 # the second\r\n"
				   "policy localhost:8082";
	struct static_file file;
	const struct instance *items;

	assert_true(static_file_parse(&file, text, sizeof(text) - 1, "list", NULL));
	assert_int_equal(file.service_count, 2);
	assert_string_equal(file.services[0].name, "inventory");
	assert_int_equal(file.services[0].count, 2);
	items = file.services[0].items;
	assert_string_equal(items[0].id, "inventory-127.0.0.1:8083");
	assert_string_equal(items[0].admin_address, "127.0.0.1:8093");
	assert_string_equal(items[0].version, "1.0.0");
	assert_int_equal(items[0].shard, 0);
	assert_int_equal(items[0].shards, 2);
	assert_int_equal(items[0].health, INSTANCE_PASSING);
	assert_string_equal(items[1].id, "inv-1");
	assert_string_equal(items[1].address, "[::1]:8083");
	assert_int_equal(items[1].shard, 1);
	assert_string_equal(file.services[1].name, "policy");
	assert_int_equal(file.services[1].items[0].shard, -1);
	assert_int_equal(file.services[1].items[0].shards, 0);
	static_file_release(&file);
}

static void an_empty_file(void **state)
{
	struct static_file file;

	assert_true(static_file_parse(&file, "", 0, "list", NULL));
	assert_int_equal(file.service_count, 0);
	static_file_release(&file);
}

static void mistakes(void **state)
{
	static const struct {
		const char *text, *line, *why;
	} cases[] = {
		{"cart", "list:1: ", "no address"},
		{"\n\ncart 127.0.0.1", "list:3: ", "host:port"},
		{"Cart 127.0.0.1:1", "list:1: ", "service name 'Cart'"},
		{"cart h:1\ncart h:1", "list:2: ", "twice"},
		{"cart h:1 id=a\ncart h:2 id=a", "list:2: ", "id 'a'"},
		{"cart h:1 shard=0/2\ncart h:2 shard=0/2", "list:2: ", "shard 0"},
		{"cart h:1 shard=0/2\ncart h:2 shard=1/3", "list:2: ", "of 3 shards"},
		{"cart h:1 shard=0/2\ncart h:2", "list:2: ", "of 0 shards"},
		{"cart h:1 shard=2/2", "list:1: ", "shard 2 of 2"},
		{"cart h:1 shard=0/0", "list:1: ", "shard '0/0'"},
		{"cart h:1 shard=1", "list:1: ", "shard '1'"},
		{"cart h:1 shard=-1/2", "list:1: ", "shard '-1/2'"},
		{"cart h:1 shard=0/2/3", "list:1: ", "shard '0/2/3'"},
		{"cart h:1 shard=0/999999", "list:1: ", "shard"},
		{"cart h:1 weight=3", "list:1: ", "'weight'"},
		{"cart h:1 admin", "list:1: ", "NAME=VALUE"},
		{"cart h:1 version=", "list:1: ", "no value"},
		{"cart h:1 admin=h", "list:1: ", "admin"},
		{"cart h:1 version=\x01", "list:1: ", "printable"},
	};
	struct static_file file;
	struct error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_false(static_file_parse(&file, cases[i].text, strlen(cases[i].text), "list", &error));
		assert_ptr_equal(strstr(error.text, cases[i].line), error.text);
		assert_non_null(strstr(error.text, cases[i].why));
	}
	assert_false(static_file_parse(&file, "a\0b", 3, "list", &error));
	assert_non_null(strstr(error.text, "zero byte"));
}

static void too_many(const char *format, int count, const char *why)
{
	char *text = malloc(64 * (size_t)count);
	size_t size = 0;
	struct static_file file;
	struct error error;

	for (int i = 0; i < count; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		size += (size_t)sprintf(text + size, format, i % 60000 + 1, i % 60000 + 1);
#pragma GCC diagnostic pop
	}
	assert_false(static_file_parse(&file, text, size, "list", &error));
	assert_non_null(strstr(error.text, why));
	free(text);
}

static void bounds(void **state)
{
	too_many("s%d h:%d\n", STATIC_SERVICES_MAX + 1, "list:33: more than 32 services");
	too_many("cart h%d:%d\n", INSTANCES_MAX + 1, "list:1025: more than 1024 instances");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_file),
		cmocka_unit_test(an_empty_file),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
