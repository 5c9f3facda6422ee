/* rpc/reason: every value of the enum has traits, and what follows from a reason is what its proto file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "rpc/reason.h"

static void test_every_value_has_traits(void **state)
{
	const ProtobufCEnumDescriptor *type = &common__reason__descriptor;

	assert_true(type->n_values > 20);
	for (unsigned i = 0; i < type->n_values; i++) {
		const ProtobufCEnumValue *value = &type->values[i];
		const struct rpc_reason *reason = rpc_reason_get((Common__Reason)value->value);

		if (value->value == COMMON__REASON__REASON_UNSPECIFIED) {
			assert_null(reason);
			continue;
		}
		assert_non_null(reason);
		assert_int_equal(reason->value, value->value);
		assert_string_equal(reason->name, value->name + strlen("REASON_"));
		assert_ptr_equal(rpc_reason_by_name(reason->name), reason);
	}
}

static void test_traits(void **state)
{
	const struct rpc_reason *sold_out = rpc_reason_get(COMMON__REASON__REASON_SOLD_OUT);
	const struct rpc_reason *unknown = rpc_reason_get(COMMON__REASON__REASON_OUTCOME_UNKNOWN);

	assert_int_equal(sold_out->code, RPC_FAILED_PRECONDITION);
	assert_int_equal(sold_out->http_status, 409);
	assert_int_equal(sold_out->retry, OPTIONS__RETRY__RETRY_UNSPECIFIED);
	assert_int_equal(sold_out->retry_after_ms, 0);
	assert_string_equal(sold_out->title, "Sold out");
	assert_int_equal(unknown->code, RPC_DEADLINE_EXCEEDED);
	assert_int_equal(unknown->http_status, 504);
	assert_int_equal(unknown->retry, OPTIONS__RETRY__RETRY_SAME_KEY);
	assert_int_equal(unknown->retry_after_ms, 1000);
}

static void test_foreign_values(void **state)
{
	assert_null(rpc_reason_get((Common__Reason)127));
	assert_null(rpc_reason_get((Common__Reason)4711));
	assert_null(rpc_reason_get((Common__Reason)-1));
	assert_null(rpc_reason_by_name(""));
	assert_null(rpc_reason_by_name("REASON_SOLD_OUT"));
	assert_null(rpc_reason_by_name("UNSPECIFIED"));
}

static void test_status(void **state)
{
	struct rpc_status status;

	rpc_status_set_reason(&status, COMMON__REASON__REASON_THROTTLED, "slow down, %s", "please");
	assert_int_equal(status.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(status.reason, "THROTTLED");
	assert_string_equal(status.message, "slow down, please");
	assert_string_equal(status.field, "");
	assert_int_equal(status.retry_after_ms, 1000);
	rpc_status_set_reason(&status, COMMON__REASON__REASON_CLOSED, "%s", "");
	assert_string_equal(status.message, "The sale is closed");
	assert_int_equal(status.retry_after_ms, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_value_has_traits),
		cmocka_unit_test(test_traits),
		cmocka_unit_test(test_foreign_values),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests_name("rpc/reason", tests, NULL, NULL);
}
