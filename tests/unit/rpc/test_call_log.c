/* Lines about calls and items: who has which trace in a batch of strangers; what is told at which level. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "flashsale/cart/v1/cart.pb-c.h"
#include "rpc/call.h"
#include "rpc/counters.h"

#define LINES_MAX 16
#define SECOND_NS INT64_C(1000000000)

static int ends[2];
static json_t *lines[LINES_MAX];
static size_t line_count;

static struct rpc_method method;
static struct rpc_call call;
static uint8_t traces[3][TRACE_ID_BYTES];
static Cart__NewItem items[3], *item_pointers[3];
static Cart__ItemOutcome outcomes[3], *outcome_pointers[3];
static Cart__BatchAddItemsRequest request;
static Cart__BatchAddItemsResponse answer;
static Cart__ItemGrant grant;
static Common__Refusal refusals[2];

static void use_method(const char *name)
{
	method = (struct rpc_method){.type = protobuf_c_service_descriptor_get_method_by_name(
					     &cart__cart_service__descriptor, name)};
	call_items_init(&method.items, method.type);
	method.counters = counters_of(name);
	call = (struct rpc_call){.method = &method};
}

/* A granted one, one that is sold out, one that nobody knows of; the last without a trace. */
static void make_batch(void)
{
	use_method("BatchAddItems");
	cart__batch_add_items_request__init(&request);
	cart__batch_add_items_response__init(&answer);
	cart__item_grant__init(&grant);
	for (int i = 0; i < 3; i++) {
		cart__new_item__init(&items[i]);
		cart__item_outcome__init(&outcomes[i]);
		items[i].user_id = "somebody";
		items[i].sku = "S";
		memset(traces[i], 0xa0 + i, TRACE_ID_BYTES);
		items[i].trace_id = (ProtobufCBinaryData){TRACE_ID_BYTES, traces[i]};
		item_pointers[i] = &items[i];
		outcome_pointers[i] = &outcomes[i];
	}
	items[2].trace_id.len = 0;
	outcomes[0].outcome_case = CART__ITEM_OUTCOME__OUTCOME_GRANT;
	outcomes[0].grant = &grant;
	for (int i = 0; i < 2; i++) {
		common__refusal__init(&refusals[i]);
		outcomes[i + 1].outcome_case = CART__ITEM_OUTCOME__OUTCOME_REFUSAL;
		outcomes[i + 1].refusal = &refusals[i];
	}
	refusals[0].reason = COMMON__REASON__REASON_SOLD_OUT;
	refusals[1].reason = COMMON__REASON__REASON_OUTCOME_UNKNOWN;
	request.n_items = answer.n_items = 3;
	request.items = item_pointers;
	answer.items = outcome_pointers;
	call.request = &request.base;
	call.answer = &answer.base;
}

static int setup(void **state)
{
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	log_set_descriptor(ends[1]);
	log_set_level(LOG_INFO);
	log_init("cart", "cart-0");
	make_batch();
	return 0;
}

static int teardown(void **state)
{
	log_set_descriptor(STDERR_FILENO);
	for (size_t i = 0; i < line_count; i++)
		json_decref(lines[i]);
	line_count = 0;
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* Adds what was written since to `lines`. */
static void read_lines(void)
{
	static char text[65536];
	ssize_t size = read(ends[0], text, sizeof(text) - 1);
	char *at = text, *end;

	text[size > 0 ? size : 0] = '\0';
	for (; (end = strchr(at, '\n')) && line_count < LINES_MAX; at = end + 1) {
		*end = '\0';
		lines[line_count] = json_loads(at, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(lines[line_count++]);
	}
}

static const char *word(size_t line, const char *name)
{
	const char *value = json_string_value(json_object_get(lines[line], name));

	return value ? value : "(none)";
}

static void assert_line(size_t line, const char *message, const char *trace)
{
	assert_true(line < line_count);
	assert_string_equal(word(line, "message"), message);
	assert_string_equal(word(line, "trace"), trace);
}

static void test_at_debug_each_item_has_its_own_trace(void **state)
{
	log_set_level(LOG_DEBUG);
	call_account(&call, NULL, RPC_OK, 5000);
	read_lines();
	assert_line(0, "call", "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0");
	assert_line(1, "item", "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0");
	assert_string_equal(word(1, "outcome"), "grant");
	assert_string_equal(word(1, "user"), "somebody");
	assert_string_equal(word(1, "sku"), "S");
	assert_int_equal(json_integer_value(json_object_get(lines[1], "us")), 5);
	assert_line(2, "item", "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
	assert_string_equal(word(2, "outcome"), "SOLD_OUT");
	assert_line(3, "item", "");
	assert_string_equal(word(3, "outcome"), "OUTCOME_UNKNOWN");
}

/* What is only a no is nothing to tell. A line a second and kind: the tests before may have used it up. */
static void test_failed_items_are_told_at_any_level(void **state)
{
	items[2].trace_id.len = TRACE_ID_BYTES;
	while (!line_count) {
		call_account(&call, NULL, RPC_OK, 5000);
		read_lines();
		usleep(1000);
	}
	assert_int_equal(line_count, 1);
	assert_line(0, "an item failed", "a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2");
	assert_string_equal(word(0, "reason"), "OUTCOME_UNKNOWN");
	assert_string_equal(word(0, "level"), "warn");
}

static void test_a_plain_no_is_silent(void **state)
{
	request.n_items = answer.n_items = 2;
	call_account(&call, NULL, RPC_OK, 5000);
	read_lines();
	assert_int_equal(line_count, 0);
}

static void test_a_call(void **state)
{
	struct rpc_status status = {.code = RPC_UNAVAILABLE, .reason = "STARTING", .message = "not yet"};

	use_method("GetItem");
	memcpy(call.trace, "00-", 4); /* any but "" */
	memset(call.trace_id, 0xbb, TRACE_ID_BYTES);
	call_account(&call, &status, RPC_UNAVAILABLE, 5000);
	call_account(&call, NULL, RPC_OK, 2 * SECOND_NS);
	status.code = RPC_NOT_FOUND;
	call_account(&call, &status, RPC_NOT_FOUND, 5000);
	read_lines();
	assert_int_equal(line_count, 2);
	assert_line(0, "a call failed", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
	assert_string_equal(word(0, "method"), "GetItem");
	assert_string_equal(word(0, "reason"), "STARTING");
	assert_line(1, "a call was slow", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
}

static void test_streams_and_health_are_left_out(void **state)
{
	log_set_level(LOG_DEBUG);
	method.shape = RPC_STREAM_OUT;
	call_account(&call, NULL, RPC_OK, 2 * SECOND_NS);
	method.shape = RPC_UNARY;
	method.vital = true;
	call_account(&call, NULL, RPC_OK, 2 * SECOND_NS);
	read_lines();
	assert_int_equal(line_count, 0);
}

/* Refused before it was read: there are no items to look at. */
static void test_a_batch_that_was_not_read(void **state)
{
	struct rpc_status status = {.code = RPC_INVALID_ARGUMENT};

	log_set_level(LOG_DEBUG);
	call.request = call.answer = NULL;
	call_account(&call, &status, RPC_INVALID_ARGUMENT, 5000);
	read_lines();
	assert_int_equal(line_count, 1);
	assert_line(0, "call", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_at_debug_each_item_has_its_own_trace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_items_are_told_at_any_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_plain_no_is_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_streams_and_health_are_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_batch_that_was_not_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
