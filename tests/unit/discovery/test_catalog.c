/* What watchers hear, and when. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/catalog.h"

struct heard {
	int calls;
	uint64_t version;
	size_t count;
};

static void hear(void *context, const struct instances *list)
{
	struct heard *heard = context;

	assert_true(list->version > heard->version);
	heard->calls++;
	heard->version = list->version;
	heard->count = list->count;
}

static struct instances *list_of(size_t count)
{
	struct instance items[4];
	static const char *const ids[] = {"a", "b", "c", "d"};

	for (size_t i = 0; i < count; i++)
		items[i] = (struct instance){
			.id = ids[i], .address = "h:1", .admin_address = "", .version = "", .shard = -1};
	return instances_make(items, count, 0, NULL);
}

static void a_watch_hears_each_change_once(void **state)
{
	struct catalog catalog;
	struct heard heard = {0};
	struct discovery_watch *watch;

	catalog_init(&catalog);
	watch = catalog_watch(&catalog, NULL, "inventory", hear, &heard);
	assert_int_equal(heard.calls, 0); /* nothing known is not "none" */
	assert_true(catalog_put(&catalog, "inventory", list_of(2)));
	assert_true(catalog_put(&catalog, "cart", list_of(1)));
	assert_int_equal(heard.calls, 1);
	assert_int_equal(heard.count, 2);
	assert_true(catalog_put(&catalog, "inventory", list_of(2)));
	assert_int_equal(heard.calls, 1);
	assert_true(catalog_put(&catalog, "inventory", list_of(0)));
	assert_int_equal(heard.calls, 2);
	assert_int_equal(heard.count, 0);
	catalog_unwatch(&catalog, watch);
	assert_true(catalog_put(&catalog, "inventory", list_of(1)));
	assert_int_equal(heard.calls, 2);
	catalog_release(&catalog);
}

static void a_late_watch_hears_at_once(void **state)
{
	struct catalog catalog;
	struct heard one = {0}, two = {0};
	struct discovery_watch *first, *second;

	catalog_init(&catalog);
	assert_true(catalog_put(&catalog, "cart", list_of(3)));
	first = catalog_watch(&catalog, NULL, "cart", hear, &one);
	second = catalog_watch(&catalog, NULL, "cart", hear, &two);
	assert_int_equal(one.count, 3);
	assert_int_equal(two.calls, 1);
	catalog_unwatch(&catalog, first);
	assert_true(catalog_put(&catalog, "cart", list_of(1)));
	assert_int_equal(one.calls, 1);
	assert_int_equal(two.calls, 2);
	catalog_unwatch(&catalog, second);
	catalog_release(&catalog);
}

static void replace_empties_what_is_not_named(void **state)
{
	struct catalog catalog;
	struct heard cart = {0}, policy = {0};
	struct discovery_watch *one, *two;

	catalog_init(&catalog);
	one = catalog_watch(&catalog, NULL, "cart", hear, &cart);
	assert_true(catalog_replace(&catalog, &(struct catalog_entry){"cart", list_of(2)}, 1));
	assert_int_equal(cart.count, 2);
	assert_true(catalog_replace(&catalog, &(struct catalog_entry){"inventory", list_of(1)}, 1));
	assert_int_equal(cart.calls, 2);
	assert_int_equal(cart.count, 0);
	two = catalog_watch(&catalog, NULL, "policy", hear, &policy);
	assert_int_equal(policy.calls, 1); /* all is known: there is none */
	assert_int_equal(policy.count, 0);
	catalog_unwatch(&catalog, one);
	catalog_unwatch(&catalog, two);
	catalog_release(&catalog);
}

static void services_are_bounded(void **state)
{
	struct catalog catalog;
	char name[16];

	catalog_init(&catalog);
	for (int i = 0; i < 10 * CATALOG_SERVICES_MAX; i++) { /* names that come and go cost nothing */
		snprintf(name, sizeof(name), "s%d", i);
		assert_true(catalog_replace(&catalog, &(struct catalog_entry){name, list_of(1)}, 1));
		assert_int_equal(catalog.count, 1);
	}
	for (int i = 1; i < CATALOG_SERVICES_PUT_MAX; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		assert_true(catalog_put(&catalog, name, list_of(1)));
	}
	assert_false(catalog_put(&catalog, "one-more", list_of(1)));
	assert_true(catalog_put(&catalog, "t1", list_of(2)));
	catalog_release(&catalog);
}

struct shared {
	struct catalog catalog;
	_Atomic bool stop;
};

static void *put_and_put(void *context)
{
	struct shared *shared = context;

	for (size_t i = 0; !shared->stop; i++)
		catalog_put(&shared->catalog, "cart", list_of(i % 4));
	return NULL;
}

static void after_unwatch_none_comes(void **state)
{
	struct shared shared = {0};
	pthread_t thread;

	catalog_init(&shared.catalog);
	pthread_create(&thread, NULL, put_and_put, &shared);
	for (int i = 0; i < 500; i++) {
		struct heard *heard = calloc(1, sizeof(*heard)); /* a late call writes to freed memory */
		struct discovery_watch *watch = catalog_watch(&shared.catalog, NULL, "cart", hear, heard);

		catalog_unwatch(&shared.catalog, watch);
		free(heard);
	}
	shared.stop = true;
	pthread_join(thread, NULL);
	catalog_release(&shared.catalog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watch_hears_each_change_once),
		cmocka_unit_test(a_late_watch_hears_at_once),
		cmocka_unit_test(replace_empties_what_is_not_named),
		cmocka_unit_test(services_are_bounded),
		cmocka_unit_test(after_unwatch_none_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
