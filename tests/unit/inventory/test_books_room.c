/* The high-water mark of the disk. How much of it is free is what a test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "tests/unit/inventory/shop.h"

#define RESERVE_BYTES (64 << 20) /* stays free in any case */
#define LOOK_MS 1000		 /* the room is looked at anew */

static int64_t free_bytes; /* 0: what there is */

int __real_statvfs(const char *path, struct statvfs *ret);
int __wrap_statvfs(const char *path, struct statvfs *ret);

int __wrap_statvfs(const char *path, struct statvfs *ret)
{
	int rc = __real_statvfs(path, ret);

	if (free_bytes)
		ret->f_bavail = (fsblkcnt_t)(free_bytes / (int64_t)ret->f_frsize);
	return rc;
}

static int up(void **state)
{
	struct shop *shop = calloc(1, sizeof(*shop));

	free_bytes = 0;
	shop_open(shop);
	shop_add(shop, "SKU0001", 1000);
	*state = shop;
	return 0;
}

static int down(void **state)
{
	free_bytes = 0;
	shop_close(*state);
	free(*state);
	return 0;
}

static void disk_has(struct shop *shop, int64_t bytes)
{
	free_bytes = bytes;
	shop_pass(shop, LOOK_MS);
}

static void a_full_disk_refuses_creates_and_no_ends(void **state)
{
	struct shop *shop = *state;

	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(shop_buy(shop, id, 2).verdict, VERDICT_YES);
	disk_has(shop, RESERVE_BYTES);
	assert_int_equal(shop_buy(shop, 4, 1).verdict, VERDICT_STORE_FULL);
	assert_int_equal(shop_buy(shop, 1, 2).verdict, VERDICT_REPEATED); /* it is there already */
	assert_int_equal(shop_release(shop, 1).verdict, VERDICT_YES);
	assert_int_equal(shop_confirm(shop, 2, "pay").verdict, VERDICT_YES);
	assert_int_equal(shop_resize(shop, 3, 1).verdict, VERDICT_YES);
	disk_has(shop, 2 * RESERVE_BYTES);
	assert_int_equal(shop_buy(shop, 4, 1).verdict, VERDICT_YES);
}

/* The more holds live, the earlier new ones are refused: each will need room to end. */
static void every_live_hold_reserves_its_end(void **state)
{
	const int64_t little = RESERVE_BYTES + 100 * 1024;
	struct shop *shop = *state;
	uint32_t id;

	disk_has(shop, little);
	shop_begin(shop);
	for (id = 1; id <= 300; id++)
		assert_int_equal(shop_buy(shop, id, 1).verdict, VERDICT_YES);
	shop_commit(shop);
	disk_has(shop, little);
	assert_int_equal(shop_buy(shop, id, 1).verdict, VERDICT_STORE_FULL);
	shop_begin(shop);
	for (id = 1; id <= 250; id++)
		assert_int_equal(shop_release(shop, id).verdict, VERDICT_YES);
	shop_commit(shop);
	disk_has(shop, little);
	assert_int_equal(shop_buy(shop, 301, 1).verdict, VERDICT_YES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_full_disk_refuses_creates_and_no_ends, up, down),
		cmocka_unit_test_setup_teardown(every_live_hold_reserves_its_end, up, down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
