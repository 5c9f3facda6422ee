#include "check.h"

#include "cart/slab.h"

static void test_pieces_are_apart_zeroed_and_reused(void **state)
{
	enum { COUNT = 3000 };
	static char *pieces[COUNT];
	struct slab slab;

	slab_init(&slab, 100);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			pieces[i] = slab_get(&slab);
			assert_int_equal((uintptr_t)pieces[i] % 16, 0);
			for (int byte = 0; byte < 100; byte++)
				assert_int_equal(pieces[i][byte], 0);
			memset(pieces[i], i, 100);
		}
		assert_int_equal(slab.in_use, COUNT);
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(pieces[i][99], (char)i);
			slab_put(&slab, pieces[i]);
		}
	}
	assert_int_equal(slab.in_use, 0);
	slab_release(&slab);
}

static void test_set_serves_each_size(void **state)
{
	struct slab_set set;
	char *pieces[SLAB_SET_BYTES_MAX + 1];

	slab_set_init(&set);
	for (size_t bytes = 1; bytes <= SLAB_SET_BYTES_MAX; bytes++) {
		pieces[bytes] = slab_set_get(&set, bytes);
		memset(pieces[bytes], (int)bytes, bytes);
	}
	for (size_t bytes = 1; bytes <= SLAB_SET_BYTES_MAX; bytes++) {
		assert_int_equal(pieces[bytes][0], (char)bytes);
		assert_int_equal(pieces[bytes][bytes - 1], (char)bytes);
		slab_set_put(&set, pieces[bytes], bytes);
	}
	slab_set_release(&set);
}

/* Blocks grow to a last size, and pieces from all of them go back. */
static void test_large_slabs(void **state)
{
	enum { PIECES = 1500, PIECE_BYTES = 16 << 10 };
	static char *pieces[PIECES];
	struct slab slab;

	slab_init(&slab, PIECE_BYTES);
	for (int i = 0; i < PIECES; i++) {
		pieces[i] = slab_get(&slab);
		pieces[i][0] = pieces[i][PIECE_BYTES - 1] = (char)i;
	}
	for (int i = 0; i < PIECES; i++) {
		assert_true(pieces[i][0] == (char)i && pieces[i][PIECE_BYTES - 1] == (char)i);
		slab_put(&slab, pieces[i]);
	}
	slab_release(&slab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_apart_zeroed_and_reused),
		cmocka_unit_test(test_set_serves_each_size),
		cmocka_unit_test(test_large_slabs),
	};

	return RUN(tests);
}
