/* The name is one of Debian's library: who builds against another learns here that it has to be looked up again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/grpc_locks.h"
#include "rpc/loop.h"

static void test_this_grpc_has_it(void **state)
{
	struct rpc_loop *loop = rpc_loop_new("locks");

	assert_true(grpc_locks_relax());
	rpc_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_this_grpc_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
