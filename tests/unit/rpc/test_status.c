#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/status.h"

static void test_round_trip(void **state)
{
	struct rpc_status status, back = {.code = RPC_OK};
	size_t size;
	void *bytes;

	rpc_status_set(&status, RPC_FAILED_PRECONDITION, "SOLD_OUT", "%d left", 0);
	strcpy(status.field, "items[3].sku");
	status.retry_after_ms = 1234;
	bytes = rpc_status_pack(&status, &size);
	assert_true(rpc_status_unpack(bytes, size, &back));
	assert_int_equal(back.code, RPC_FAILED_PRECONDITION);
	assert_string_equal(back.reason, "SOLD_OUT");
	assert_string_equal(back.field, "items[3].sku");
	assert_string_equal(back.message, "0 left");
	assert_int_equal(back.retry_after_ms, 1234);
	free(bytes);
}

static void test_plain(void **state)
{
	struct rpc_status status, back;
	size_t size;
	void *bytes;

	rpc_status_set(&status, RPC_UNAVAILABLE, "", "away");
	bytes = rpc_status_pack(&status, &size);
	assert_true(rpc_status_unpack(bytes, size, &back));
	assert_int_equal(back.code, RPC_UNAVAILABLE);
	assert_string_equal(back.reason, "");
	assert_string_equal(back.field, "");
	assert_int_equal(back.retry_after_ms, 0);
	free(bytes);
}

static void test_set_clears_and_cuts(void **state)
{
	struct rpc_status status;
	char text[1000];

	memset(&status, 'x', sizeof(status));
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = 0;
	rpc_status_set(
		&status, RPC_INTERNAL, "A_REASON_THAT_IS_MUCH_LONGER_THAN_ALL_THAT_WE_HAVE", "%s", text);
	assert_string_equal(status.field, "");
	assert_int_equal(status.retry_after_ms, 0);
	assert_int_equal(strlen(status.reason), sizeof(status.reason) - 1);
	assert_int_equal(strlen(status.message), sizeof(status.message) - 1);
}

/* Each beginning of a good one, and each with one byte wrong: refused or read, never a crash, and refused leaves it as it was. */
static void test_untrusted_bytes(void **state)
{
	struct rpc_status status, back;
	size_t size;
	uint8_t *bytes, *copy;

	rpc_status_set(&status, RPC_ABORTED, "IN_PROGRESS", "text");
	strcpy(status.field, "a.b");
	status.retry_after_ms = 1;
	bytes = rpc_status_pack(&status, &size);
	for (size_t i = 0; i < size; i++) {
		copy = malloc(i ? i : 1);
		memcpy(copy, bytes, i);
		rpc_status_set(&back, RPC_DATA_LOSS, "", "before");
		if (!rpc_status_unpack(copy, i, &back))
			assert_string_equal(back.message, "before");
		free(copy);
		for (int bit = 0; bit < 8; bit++) {
			bytes[i] ^= (uint8_t)(1 << bit);
			rpc_status_set(&back, RPC_DATA_LOSS, "", "before");
			if (!rpc_status_unpack(bytes, size, &back))
				assert_string_equal(back.message, "before");
			bytes[i] ^= (uint8_t)(1 << bit);
		}
	}
	free(bytes);
}

static void test_code_names(void **state)
{
	assert_string_equal(rpc_code_name(RPC_OK), "OK");
	assert_string_equal(rpc_code_name(RPC_UNAVAILABLE), "UNAVAILABLE");
	assert_string_equal(rpc_code_name(RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
	assert_string_equal(rpc_code_name((enum rpc_code)99), "UNKNOWN");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_set_clears_and_cuts),
		cmocka_unit_test(test_untrusted_bytes),
		cmocka_unit_test(test_code_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
