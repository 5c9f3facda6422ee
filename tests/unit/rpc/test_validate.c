#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "google/protobuf/struct.pb-c.h"
#include "rpc/validate.h"
#include "trial.pb-c.h"

static const ProtobufCMessageDescriptor *type = &trial__ask_request__descriptor;

static void expect(const char *bytes, size_t size, enum rpc_code code, const char *field)
{
	struct rpc_status status = {.code = RPC_OK};
	uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a read beyond it */
	bool fine;

	memcpy(exact, bytes, size);
	fine = validate_message(type, exact, size, 3, &status);
	free(exact);
	assert_int_equal(fine, code == RPC_OK);
	assert_int_equal(status.code, code);
	if (!fine)
		assert_string_equal(status.field, field);
}
#define EXPECT(bytes, code, field) expect(bytes, sizeof(bytes) - 1, code, field)

static void test_strings(void **state)
{
	EXPECT("", RPC_OK, "");
	EXPECT("\x0a\x03"
	       "abc",
		RPC_OK, "");
	EXPECT("\x0a\x02\xc3\xa9", RPC_OK, "");
	EXPECT("\x0a\x03"
	       "a\0c",
		RPC_INVALID_ARGUMENT, "text");
	EXPECT("\x0a\x01\xff", RPC_INVALID_ARGUMENT, "text");
	EXPECT("\x0a\x02\xc3\x28", RPC_INVALID_ARGUMENT, "text");
	EXPECT("\x22\x03"
	       "a\0\xff",
		RPC_OK, ""); /* bytes may hold anything */
}

static void test_paths(void **state)
{
	EXPECT("\x12\x00\x12\x03\x0a\x01\xff", RPC_INVALID_ARGUMENT, "items[1].sku");
	EXPECT("\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", RPC_OK, ""); /* -1 */
	EXPECT("\x12\x07\x10\xff\xff\xff\xff\xff\x01", RPC_INVALID_ARGUMENT, "items[0].count");
	EXPECT("\x1a\x06\x01\xff\xff\xff\xff\x7f", RPC_INVALID_ARGUMENT, "numbers[1]");
}

static void test_bounds(void **state)
{
	EXPECT("\x12\x00\x12\x00\x12\x00", RPC_OK, "");
	EXPECT("\x12\x00\x12\x00\x12\x00\x12\x00", RPC_RESOURCE_EXHAUSTED, "items[3]");
	EXPECT("\x1a\x03\x01\x01\x01", RPC_OK, "");
	EXPECT("\x1a\x04\x01\x01\x01\x01", RPC_RESOURCE_EXHAUSTED, "numbers[3]");
	EXPECT("\x1a\x02\x01\x01\x18\x01\x1a\x01\x01", RPC_RESOURCE_EXHAUSTED,
		"numbers[3]"); /* packed and not, together */
}

static void test_broken(void **state)
{
	EXPECT("\x0a", RPC_INVALID_ARGUMENT, "");
	EXPECT("\x0a\x05"
	       "abc",
		RPC_INVALID_ARGUMENT, "");
	EXPECT("\x0b", RPC_INVALID_ARGUMENT, "");	  /* a group */
	EXPECT("\x00\x00", RPC_INVALID_ARGUMENT, "");	  /* field 0 */
	EXPECT("\x08\x01", RPC_INVALID_ARGUMENT, "text"); /* a number where a text belongs */
	EXPECT("\x12\x01\x0a", RPC_INVALID_ARGUMENT, "items[0]");
	EXPECT("\x1a\x01\x80", RPC_INVALID_ARGUMENT, "numbers[0]");
	EXPECT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", RPC_INVALID_ARGUMENT, "");
}

static void test_unknown_fields_pass(void **state)
{
	EXPECT("\xfa\x01\x02\xff\x00\xf8\x01\x01\xfd\x01"
	       "abcd\xf9\x01"
	       "abcdefgh",
		RPC_OK, "");
}

static void test_types(void **state)
{
	assert_true(validate_type(type));
	assert_false(validate_type(&google__protobuf__value__descriptor)); /* recursive */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_unknown_fields_pass),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
