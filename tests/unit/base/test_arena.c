/* tests/unit/base/test_arena.c - pieces, the cap, what a clear keeps. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/base/death.h"

#define BLOCK 1024
#define CAP (16 * BLOCK)

static int set_up(void **state)
{
	static struct arena arena;

	arena_init(&arena, BLOCK, CAP);
	*state = &arena;
	return 0;
}

static int tear_down(void **state)
{
	arena_release(*state);
	return 0;
}

static void test_init_allocates_nothing(void **state)
{
	struct arena *arena = *state;

	assert_null(arena->blocks);
	assert_int_equal(arena->bytes_used, 0);
	assert_false(arena_exhausted(arena));
}

static void test_pieces_are_aligned_and_apart(void **state)
{
	struct arena *arena = *state;
	unsigned char *pieces[100];

	for (int i = 0; i < 100; i++) {
		pieces[i] = arena_alloc(arena, (size_t)i);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % 16, 0);
		memset(pieces[i], i, (size_t)i);
	}
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < i; j++)
			assert_int_equal(pieces[i][j], i);
	}
	assert_ptr_not_equal(pieces[0], pieces[1]);
}

static void test_the_cap_holds(void **state)
{
	struct arena *arena = *state;
	size_t handed = 0;

	while (arena_alloc(arena, 100)) {
		handed += 100;
		assert_true(arena->bytes_used <= CAP);
		assert_true(handed <= CAP);
	}
	assert_true(arena_exhausted(arena));
	assert_true(handed > CAP / 2);
	assert_true(arena->bytes_used <= CAP);
}

static void test_the_cap_counts_what_was_handed_out_before(void **state)
{
	struct arena *arena = *state;

	assert_non_null(arena_alloc(arena, CAP / 2));
	assert_null(arena_alloc(arena, CAP / 2));
	assert_true(arena_exhausted(arena));
	assert_true(arena->bytes_used <= CAP);
}

static void test_exhausted_stays_until_the_clear(void **state)
{
	struct arena *arena = *state;

	assert_null(arena_alloc(arena, CAP));
	assert_true(arena_exhausted(arena));
	assert_non_null(arena_alloc(arena, 16)); /* a small one still fits; the mark stays */
	assert_true(arena_exhausted(arena));
	arena_clear(arena);
	assert_false(arena_exhausted(arena));
}

static void test_the_last_bytes_under_the_cap_can_be_had(void **state)
{
	struct arena *arena = *state;

	assert_non_null(arena_alloc(arena, CAP - 2 * BLOCK));
	assert_non_null(arena_alloc(arena, BLOCK));
	assert_non_null(
		arena_alloc(arena, BLOCK / 2)); /* a block smaller than an ordinary one: all that is left */
	assert_false(arena_exhausted(arena));
	assert_true(arena->bytes_used <= CAP);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
	struct arena *arena = *state;
	const size_t sizes[] = {
		SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 31, SIZE_MAX / 2, CAP + 1, CAP, CAP - 1};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_null(arena_alloc(arena, sizes[i]));
		assert_true(arena_exhausted(arena));
		arena_clear(arena);
		assert_null(arena_zero(arena, sizes[i]));
		arena_clear(arena);
		assert_null(arena_text(arena, "", sizes[i]));
		arena_clear(arena);
	}
	assert_null(arena_array(arena, SIZE_MAX / 8 + 2, 8));
	assert_true(arena_exhausted(arena));
	arena_clear(arena);
	assert_null(arena_array(arena, UINT32_MAX, UINT32_MAX));
	assert_true(arena_exhausted(arena));
	assert_int_equal(arena->bytes_used, 0);
}

static void test_a_clear_keeps_the_first_block_only(void **state)
{
	struct arena *arena = *state;
	void *first = arena_alloc(arena, 16);

	for (int i = 0; i < 50; i++)
		assert_non_null(arena_alloc(arena, 100));
	assert_true(arena->bytes_used > BLOCK);
	arena_clear(arena);
	assert_int_equal(arena->bytes_used, BLOCK);
	assert_ptr_equal(arena_alloc(arena, 16), first);
	assert_int_equal(arena->bytes_used, BLOCK);
}

static void test_a_clear_does_not_keep_a_huge_first_block(void **state)
{
	struct arena *arena = *state;

	assert_non_null(arena_alloc(arena, 8 * BLOCK));
	arena_clear(arena);
	assert_int_equal(arena->bytes_used, 0);
	assert_non_null(arena_alloc(arena, 8 * BLOCK));
	assert_non_null(arena_alloc(arena, 16));
	arena_clear(arena);
	assert_int_equal(arena->bytes_used, BLOCK);
	assert_non_null(arena_alloc(arena, BLOCK / 2));
	assert_int_equal(arena->bytes_used, BLOCK);
}

static void test_a_large_piece_does_not_waste_the_newest_block(void **state)
{
	struct arena *arena = *state;
	char *small = arena_alloc(arena, 16), *large = arena_alloc(arena, 4 * BLOCK), *next;

	assert_non_null(large);
	memset(large, 1, 4 * BLOCK);
	next = arena_alloc(arena, 16);
	assert_true(next > small && next < small + 64);
	arena_clear(arena);
	assert_int_equal(arena->bytes_used, BLOCK);
}

static void test_the_many_ways_to_fill(void **state)
{
	struct arena *arena = *state;
	const char raw[] = {1, 0, 2};
	int *array;
	char *text;

	memset(arena_alloc(arena, 500), 0xff, 500);
	arena_clear(arena);
	array = ARENA_ARRAY(arena, 50, int);
	for (int i = 0; i < 50; i++)
		assert_int_equal(array[i], 0);
	assert_memory_equal(arena_copy(arena, raw, 3), raw, 3);
	assert_non_null(arena_copy(arena, NULL, 0));
	text = arena_text(arena, "abcdef", 3);
	assert_string_equal(text, "abc");
	assert_string_equal(arena_text(arena, NULL, 0), "");
	assert_string_equal(arena_format(arena, "%s=%d", "x", 12), "x=12");
	assert_null(arena_format(arena, "%*d", CAP, 1));
	assert_true(arena_exhausted(arena));
}

static void test_protobuf_draws_from_it(void **state)
{
	struct arena *arena = *state;
	ProtobufCAllocator *allocator = &arena->allocator;
	void *piece = allocator->alloc(allocator->allocator_data, 64);

	assert_non_null(piece);
	allocator->free(allocator->allocator_data, piece);
	memset(piece, 1, 64); /* still ours */
	assert_null(allocator->alloc(allocator->allocator_data, CAP));
	assert_true(arena_exhausted(arena));
}

static void test_release_can_be_followed_by_use(void **state)
{
	struct arena *arena = *state;

	arena_alloc(arena, 10);
	arena_release(arena);
	assert_int_equal(arena->bytes_used, 0);
	arena_release(arena);
	arena_clear(arena);
	assert_non_null(arena_alloc(arena, 10));
}

#ifdef __SANITIZE_ADDRESS__
static struct arena poisoned;

static void write_past_a_piece(void)
{
	volatile char *piece = arena_alloc(&poisoned, 16);

	piece[16] = 1;
}

static void use_after_clear(void)
{
	volatile char *piece = arena_alloc(&poisoned, 16);

	arena_clear(&poisoned);
	piece[0] = 1;
}

static void test_the_sanitizer_sees_misuse(void **state)
{
	arena_init(&poisoned, BLOCK, CAP);
	assert_true(dies(write_past_a_piece));
	assert_true(dies(use_after_clear));
	arena_release(&poisoned);
}
#endif

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_init_allocates_nothing),
		CASE(test_pieces_are_aligned_and_apart),
		CASE(test_the_cap_holds),
		CASE(test_the_cap_counts_what_was_handed_out_before),
		CASE(test_exhausted_stays_until_the_clear),
		CASE(test_the_last_bytes_under_the_cap_can_be_had),
		CASE(test_sizes_that_overflow_are_refused),
		CASE(test_a_clear_keeps_the_first_block_only),
		CASE(test_a_clear_does_not_keep_a_huge_first_block),
		CASE(test_a_large_piece_does_not_waste_the_newest_block),
		CASE(test_the_many_ways_to_fill),
		CASE(test_protobuf_draws_from_it),
		CASE(test_release_can_be_followed_by_use),
#ifdef __SANITIZE_ADDRESS__
		CASE(test_the_sanitizer_sees_misuse),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
