/* The rules of a watch and of our registration, without a clock or a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/consul_watch.h"

static const struct consul_options options = {
	.wait_ms = 30000, .answer_ms = 5000, .look_ms = 5000, .backoff_max_ms = 5000, .linger_ms = 60000};

/* "ab" are instances a and b, "A" is a critical one; shards > 0: sharded */
static struct instances *make(const char *names, int32_t shards)
{
	struct instance items[8];
	char ids[8][2];
	size_t count = strlen(names);

	for (size_t i = 0; i < count; i++) {
		ids[i][0] = (char)(names[i] | 0x20);
		ids[i][1] = '\0';
		items[i] = (struct instance){.id = ids[i],
			.address = "h:1",
			.admin_address = "",
			.version = "",
			.shard = shards ? 0 : -1,
			.shards = shards,
			.health = names[i] < 'a' ? INSTANCE_CRITICAL : INSTANCE_PASSING};
	}
	return instances_make(items, count, 0, NULL);
}

/* What is handed on, in the same words; "-": nothing new. */
static const char *hear(struct consul_watch *watch, uint64_t index, const char *names, int64_t now_ms)
{
	static char text[16];
	struct instances *list = consul_watch_heard(watch, index, make(names, 0), now_ms, now_ms);
	size_t i;

	if (!list)
		return "-";
	for (i = 0; i < list->count; i++)
		text[i] = (char)(list->items[i].id[0] &
				 (list->items[i].health == INSTANCE_CRITICAL ? ~0x20 : ~0));
	text[i] = '\0';
	instances_drop(list);
	return text;
}

static struct consul_watch watch;

static int set_up(void **state)
{
	consul_watch_init(&watch, &options, 1000);
	return 0;
}

static int tear_down(void **state)
{
	consul_watch_release(&watch);
	return 0;
}

static void lists_are_compared(void **state)
{
	assert_string_equal(hear(&watch, 5, "", 1000), ""); /* the first is news, though empty */
	assert_string_equal(hear(&watch, 6, "", 2000), "-");
	assert_string_equal(hear(&watch, 7, "ab", 3000), "ab");
	assert_string_equal(hear(&watch, 8, "ab", 4000), "-");
	assert_string_equal(hear(&watch, 9, "Ab", 5000), "Ab");
	assert_string_equal(hear(&watch, 10, "b", 6000), "b"); /* gone while Consul is well: at once */
	assert_string_equal(hear(&watch, 11, "", 7000), "");
}

static void the_index(void **state)
{
	assert_int_equal(watch.index, 0);
	hear(&watch, 5, "a", 1000);
	assert_int_equal(watch.index, 5);
	hear(&watch, 5, "a", 2000);
	assert_int_equal(watch.index, 5);
	hear(&watch, 4, "a", 3000); /* back */
	assert_int_equal(watch.index, 0);
	hear(&watch, 4, "a", 4000);
	assert_int_equal(watch.index, 4);
	hear(&watch, UINT64_MAX, "a", 5000);
	assert_int_equal(watch.index, UINT64_MAX);
	consul_watch_failed(&watch, 6000, 0);
	assert_int_equal(watch.index, 0);
	hear(&watch, 0, "a", 7000); /* never a question that does not block, for ever */
	assert_int_equal(watch.index, 1);
	hear(&watch, 0, "a", 8000);
	assert_int_equal(watch.index, 1);
}

static void failures_back_off(void **state)
{
	int64_t bound = 100, now_ms = 1000;

	for (int i = 0; i < 100; i++) {
		consul_watch_failed(&watch, now_ms, 0);
		assert_int_equal(watch.next_ms, now_ms + CONSUL_BACKOFF_MIN_MS);
		watch.failures--;
		consul_watch_failed(&watch, now_ms, (uint32_t)(bound - CONSUL_BACKOFF_MIN_MS));
		assert_int_equal(watch.next_ms, now_ms + bound);
		watch.failures--;
		consul_watch_failed(&watch, now_ms, UINT32_MAX);
		assert_in_range(watch.next_ms - now_ms, CONSUL_BACKOFF_MIN_MS, bound);
		bound = 2 * bound < 5000 ? 2 * bound : 5000;
		now_ms = watch.next_ms;
	}
	hear(&watch, 1, "a", now_ms);
	consul_watch_failed(&watch, now_ms, UINT32_MAX);
	assert_true(watch.next_ms <= now_ms + 100); /* from the beginning */
}

static void nothing_new_slows_down(void **state)
{
	int64_t now_ms = 1000, gap = 0;

	hear(&watch, 1, "a", now_ms);
	for (int i = 0; i < 50; i++) {
		hear(&watch, (uint64_t)(2 + i), "a", now_ms);
		assert_true(watch.next_ms - now_ms >= gap);
		gap = watch.next_ms - now_ms;
		now_ms = watch.next_ms;
	}
	assert_int_equal(gap, CONSUL_PACE_MAX_MS);
	hear(&watch, 60, "ab", now_ms);
	assert_int_equal(watch.next_ms - now_ms, CONSUL_PACE_MS);
	/* one that blocked as it should is followed at once */
	instances_drop(consul_watch_heard(&watch, 60, make("ab", 0), now_ms, now_ms + 30000));
	assert_int_equal(watch.next_ms, now_ms + 30000);
}

static void a_lost_memory(void **state)
{
	hear(&watch, 90, "ab", 1000);
	consul_watch_failed(&watch, 2000, 0);
	assert_string_equal(hear(&watch, 3, "", 3000), "AB"); /* they stay, as critical ones */
	assert_string_equal(hear(&watch, 4, "A", 3500), "-");
	assert_string_equal(hear(&watch, 5, "a", 4000), "aB"); /* back */
	assert_string_equal(hear(&watch, 5, "ac", 5000), "aBc");
	assert_string_equal(hear(&watch, 5, "ac", 62999), "-");
	assert_string_equal(hear(&watch, 5, "ac", 63000), "ac"); /* a minute was time enough */
	assert_string_equal(hear(&watch, 6, "a", 64000), "a");
}

static void what_was_named_again_goes_at_once(void **state)
{
	hear(&watch, 90, "abc", 1000);
	consul_watch_failed(&watch, 2000, 0);
	assert_string_equal(hear(&watch, 3, "ad", 3000), "aBCd");
	assert_string_equal(hear(&watch, 4, "bd", 4000), "bCd");
	assert_string_equal(hear(&watch, 5, "b", 5000), "bC");
	consul_watch_failed(&watch, 6000, 0); /* and once more, all of them */
	assert_string_equal(hear(&watch, 5, "", 7000), "BC");
	assert_string_equal(hear(&watch, 6, "bc", 8000), "bc");
	assert_string_equal(hear(&watch, 7, "", 9000), "");
}

static void an_index_that_goes_back_is_a_lost_memory(void **state)
{
	hear(&watch, 90, "ab", 1000);
	assert_string_equal(hear(&watch, 3, "", 2000), "AB");
	assert_string_equal(hear(&watch, 3, "", 3000), "-");
	assert_string_equal(hear(&watch, 3, "", 62000), "");
}

static void away_from_the_start(void **state)
{
	consul_watch_failed(&watch, 1000, 0);
	assert_string_equal(hear(&watch, 3, "", 2000), "");
	assert_string_equal(hear(&watch, 4, "a", 3000), "a");
	assert_string_equal(hear(&watch, 5, "", 4000), "");
}

static void another_count_of_shards(void **state)
{
	struct instances *list;

	instances_drop(consul_watch_heard(&watch, 90, make("ab", 2), 1000, 1000));
	consul_watch_failed(&watch, 2000, 0);
	list = consul_watch_heard(&watch, 3, make("c", 3), 3000, 3000);
	assert_int_equal(list->count, 1); /* the old ones can't stand beside it */
	assert_int_equal(list->items[0].shards, 3);
	instances_drop(list);
}

static void expect(const struct consul_enroll *enroll, enum consul_step next, int64_t next_ms)
{
	assert_int_equal(enroll->next, next);
	assert_int_equal(enroll->next_ms, next_ms);
}

static void a_registration(void **state)
{
	struct consul_enroll enroll;

	consul_enroll_init(&enroll, &options);
	assert_int_equal(enroll.next, CONSUL_NOTHING);
	consul_enroll_hurry(&enroll, 5);
	assert_int_equal(enroll.next, CONSUL_NOTHING);
	consul_enroll_begin(&enroll, 1000);
	expect(&enroll, CONSUL_REGISTER, 1000);
	consul_enroll_heard(&enroll, CONSUL_FAILED, 1000, UINT32_MAX);
	assert_int_equal(enroll.next, CONSUL_REGISTER);
	assert_in_range(enroll.next_ms, 1050, 1100);
	consul_enroll_heard(&enroll, CONSUL_DONE, 2000, 0);
	expect(&enroll, CONSUL_LOOK, 2000 + 3750);
	assert_true(enroll.registered);
	consul_enroll_heard(&enroll, CONSUL_DONE, 6000, 2500);
	expect(&enroll, CONSUL_LOOK, 6000 + 6250);
	consul_enroll_heard(&enroll, CONSUL_FAILED, 13000, 0);
	expect(&enroll, CONSUL_LOOK, 13050);
	assert_true(enroll.registered);
	consul_enroll_heard(&enroll, CONSUL_MISSING, 14000, 0);
	expect(&enroll, CONSUL_REGISTER, 14000); /* at once */
	assert_false(enroll.registered);
	consul_enroll_heard(&enroll, CONSUL_DONE, 14100, 0);
	consul_enroll_hurry(&enroll, 14200);
	expect(&enroll, CONSUL_LOOK, 14200);
	consul_enroll_heard(&enroll, CONSUL_OTHER, 14300, 0);
	expect(&enroll, CONSUL_REGISTER, 14300);
	consul_enroll_end(&enroll, 15000);
	expect(&enroll, CONSUL_WITHDRAW, 15000);
	consul_enroll_heard(&enroll, CONSUL_FAILED, 15000, 0); /* once only */
	assert_int_equal(enroll.next, CONSUL_NOTHING);
	consul_enroll_end(&enroll, 16000);
	assert_int_equal(enroll.next, CONSUL_NOTHING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_are_compared),
		TEST(the_index),
		TEST(failures_back_off),
		TEST(nothing_new_slows_down),
		TEST(a_lost_memory),
		TEST(what_was_named_again_goes_at_once),
		TEST(an_index_that_goes_back_is_a_lost_memory),
		TEST(away_from_the_start),
		TEST(another_count_of_shards),
		cmocka_unit_test(a_registration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
