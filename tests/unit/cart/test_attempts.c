#include "check.h"

#include "cart/attempts.h"

struct fixture {
	struct lines lines;
	struct attempts attempts;
};

static struct attempt *attempt(struct fixture *f, uint8_t number, const struct hash128 *key)
{
	const struct id id = {{[15] = number}};
	static const struct hash128 print;

	struct usage *usage = lines_use(&f->lines, span_of("ann"), span_of("A"));
	struct attempt *attempt = attempts_new(&f->attempts, &id, usage, span_of(""), 2, key, &print);

	if (!attempt)
		lines_unuse(&f->lines, usage);
	return attempt;
}

static int up(void **state)
{
	static struct fixture fixture;

	lines_init(&fixture.lines, 1, 10);
	attempts_init(&fixture.attempts, &fixture.lines, 3);
	*state = &fixture;
	return 0;
}

static int down(void **state)
{
	struct fixture *f = *state;

	attempts_release(&f->attempts);
	lines_release(&f->lines);
	return 0;
}

static void test_found_by_id_and_key(void **state)
{
	struct fixture *f = *state;
	const struct hash128 key = {{5}}, other = {{6}};
	struct attempt *a = attempt(f, 1, &key), *b = attempt(f, 2, NULL);

	assert_ptr_equal(attempts_find(&f->attempts, &a->id), a);
	assert_ptr_equal(attempts_find(&f->attempts, &b->id), b);
	assert_ptr_equal(attempts_find_key(&f->attempts, &key), a);
	assert_null(attempts_find_key(&f->attempts, &other));
	attempts_free(&f->attempts, a);
	assert_null(attempts_find_key(&f->attempts, &key));
}

static void test_bounded(void **state)
{
	struct fixture *f = *state;

	for (uint8_t i = 0; i < 3; i++)
		assert_non_null(attempt(f, i, NULL));
	assert_null(attempt(f, 9, NULL));
}

static void test_pending_counts_once(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, 1, NULL), *b = attempt(f, 2, NULL);

	attempt_set_pending(a, true);
	attempt_set_pending(a, true);
	attempt_set_pending(b, true);
	assert_int_equal(a->usage->pending, 4);
	attempt_set_pending(a, false);
	attempt_set_pending(a, false);
	assert_int_equal(a->usage->pending, 2);
	attempts_free(&f->attempts, b);
	assert_int_equal(a->usage->pending, 0);
}

static void test_lists_by_state(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, 1, NULL), *b = attempt(f, 2, NULL), *c = attempt(f, 3, NULL);

	attempts_move(&f->attempts, b, ATTEMPT_SENT);
	assert_int_equal(attempts_list(&f->attempts, 0, ATTEMPT_QUEUED)->count, 2);
	assert_ptr_equal(attempts_list(&f->attempts, 0, ATTEMPT_QUEUED)->first, a);
	assert_ptr_equal(a->next, c);
	attempts_move(&f->attempts, b, ATTEMPT_QUEUED);
	assert_ptr_equal(attempts_list(&f->attempts, 0, ATTEMPT_QUEUED)->last, b);
	assert_null(attempts_list(&f->attempts, 0, ATTEMPT_SENT)->first);
}

static void test_waiters_come_and_go(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, 1, NULL);
	struct waiter one = {.deadline_ms = 50}, two = {.deadline_ms = 70}, three = {.deadline_ms = 60};

	assert_true(attempt_join(a, &one) && attempt_join(a, &two) && attempt_join(a, &three));
	assert_int_equal(a->deadline_ms, 70);
	attempt_leave(&two);
	assert_null(two.attempt);
	assert_int_equal(a->waiter_count, 2);
	attempt_leave(&one);
	attempt_leave(&three);
	assert_null(a->waiters);
}

static void test_equal_hashes_are_not_equal_attempts(void **state)
{
	struct fixture *f = *state;
	struct hash128 keys[2] = {{{0}}, {{[15] = 1}}};
	struct attempt *both[2];
	struct id ids[2] = {{{0, [15] = 7}}, {{1, [15] = 7}}};

	for (int i = 0; i < 2; i++)
		both[i] = attempts_new(&f->attempts, &ids[i],
			lines_use(&f->lines, span_of("ann"), span_of("A")), span_of("s"), 1, &keys[i],
			&keys[i]);
	for (int i = 0; i < 2; i++) {
		assert_ptr_equal(attempts_find(&f->attempts, &ids[i]), both[i]);
		assert_ptr_equal(attempts_find_key(&f->attempts, &keys[i]), both[i]);
	}
}

static void test_not_everybody_can_wait(void **state)
{
	static struct waiter waiters[ATTEMPT_WAITERS_MAX + 1];
	struct fixture *f = *state;
	struct attempt *a = attempt(f, 1, NULL);

	for (int i = 0; i < ATTEMPT_WAITERS_MAX; i++)
		assert_true(attempt_join(a, &waiters[i]));
	assert_false(attempt_join(a, &waiters[ATTEMPT_WAITERS_MAX]));
	assert_int_equal(a->waiter_count, ATTEMPT_WAITERS_MAX);
	attempt_leave(&waiters[17]);
	assert_true(attempt_join(a, &waiters[ATTEMPT_WAITERS_MAX]));
	while (a->waiters)
		attempt_leave(a->waiters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_by_id_and_key, up, down),
		cmocka_unit_test_setup_teardown(test_bounded, up, down),
		cmocka_unit_test_setup_teardown(test_pending_counts_once, up, down),
		cmocka_unit_test_setup_teardown(test_lists_by_state, up, down),
		cmocka_unit_test_setup_teardown(test_waiters_come_and_go, up, down),
		cmocka_unit_test_setup_teardown(test_equal_hashes_are_not_equal_attempts, up, down),
		cmocka_unit_test_setup_teardown(test_not_everybody_can_wait, up, down),
	};

	return RUN(tests);
}
