/* What may get into a list, and that a list is a sorted copy of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/instances.h"

static struct instance plain(const char *id, const char *address)
{
	return (struct instance){
		.id = id, .address = address, .admin_address = "", .version = "", .shard = -1};
}

static void addresses(void **state)
{
	static const char *const good[] = {
		"127.0.0.1:8083", "[::1]:1", "[2001:db8::7]:65535", "inventory-0.inv:80"};
	static const char *const bad[] = {"", "127.0.0.1", ":80", "a:", "a:0", "a:65536", "a:080000", "a:8x",
		"a b:1", "::1:80", "[::1]", "[::g]:1", "[]:1", "a/b:1", "ipv4:1.2.3.4:5", "a:+1", "a\n:1"};
	struct error error;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(instance_address_check(good[i], &error));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		error.text[0] = '\0';
		assert_false(instance_address_check(bad[i], &error));
		assert_true(error.text[0]);
	}
}

static void service_names(void **state)
{
	char longest[65];

	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	assert_true(service_name_check("inventory", NULL));
	assert_true(service_name_check("a-1", NULL));
	assert_true(service_name_check(longest, NULL));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(service_name_check(longest, NULL));
	assert_false(service_name_check("", NULL));
	assert_false(service_name_check("1a", NULL));
	assert_false(service_name_check("Inventory", NULL));
	assert_false(service_name_check("a.b", NULL));
}

static void a_list_is_a_sorted_copy(void **state)
{
	char id[] = "b", address[] = "127.0.0.1:2";
	struct instance items[] = {plain(id, address), plain("a", "127.0.0.1:1")};
	struct instances *list = instances_make(items, 2, 5, NULL);

	assert_non_null(list);
	id[0] = address[0] = 'x';
	assert_int_equal(list->count, 2);
	assert_int_equal(list->seen_wall_ms, 5);
	assert_string_equal(list->items[0].id, "a");
	assert_string_equal(list->items[1].id, "b");
	assert_string_equal(list->items[1].address, "127.0.0.1:2");
	instances_keep(list);
	instances_drop(list);
	assert_string_equal(list->items[0].id, "a");
	instances_drop(list);
}

static void refused(struct instance one, struct instance other, const char *why)
{
	struct instance items[] = {one, other};
	struct error error;

	assert_null(instances_make(items, 2, 0, &error));
	assert_non_null(strstr(error.text, why));
}

static void lists_that_are_refused(void **state)
{
	struct instance good = plain("a", "h:1"), bad;
	char long_text[INSTANCE_TEXT_MAX + 2];

	refused(good, good, "twice");
	bad = plain("b", "h");
	refused(good, bad, "'h'");
	bad = plain("b", "h:1");
	bad.shard = 2;
	bad.shards = 2;
	refused(good, bad, "shard 2 of 2");
	bad.shard = 1;
	refused(good, bad, "of 0 shards");
	bad = plain("b c", "h:1");
	refused(good, bad, "printable");
	memset(long_text, 'a', sizeof(long_text));
	long_text[sizeof(long_text) - 1] = '\0';
	refused(good, plain(long_text, "h:1"), "longer");
	bad = plain("b", "h:1");
	bad.version = NULL;
	refused(good, bad, "missing");
	bad.version = "";
	bad.admin_address = "nowhere";
	refused(good, bad, "admin");
}

static void too_many(void **state)
{
	struct instance *items = calloc(INSTANCES_MAX + 1, sizeof(*items));
	char(*ids)[12] = calloc(INSTANCES_MAX + 1, sizeof(*ids));
	struct instances *list;

	for (int i = 0; i <= INSTANCES_MAX; i++) {
		snprintf(ids[i], sizeof(ids[i]), "%d", i);
		items[i] = plain(ids[i], "h:1");
	}
	assert_null(instances_make(items, INSTANCES_MAX + 1, 0, NULL));
	list = instances_make(items, INSTANCES_MAX, 0, NULL);
	assert_non_null(list);
	instances_drop(list);
	free(items);
	free(ids);
}

static void equal_lists(void **state)
{
	struct instance items[] = {plain("a", "h:1"), plain("b", "h:2")};
	struct instances *one = instances_make(items, 2, 1, NULL), *same = instances_make(items, 2, 2, NULL),
			 *other;

	assert_true(instances_equal(one, same));
	items[1].health = INSTANCE_CRITICAL;
	other = instances_make(items, 2, 1, NULL);
	assert_false(instances_equal(one, other));
	instances_drop(one);
	instances_drop(same);
	instances_drop(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(service_names),
		cmocka_unit_test(a_list_is_a_sorted_copy),
		cmocka_unit_test(lists_that_are_refused),
		cmocka_unit_test(too_many),
		cmocka_unit_test(equal_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
