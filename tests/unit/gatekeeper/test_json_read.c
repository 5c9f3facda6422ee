/* gatekeeper/edge/json_read: what strangers send, good and bad. */
#include "fixture.h"

#include <stdio.h>

#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"

#define BUY &gatekeeper__buy_request__descriptor
#define ADD &inventory__create_goods_request__descriptor
#define RULE &policy__set_policy_request__descriptor

/* Refused, for this field (NULL: whichever), with this in the text. */
static void refused(const ProtobufCMessageDescriptor *type, enum json_surface surface, const char *json,
	const char *field, const char *what)
{
	if (read_text(type, surface, json))
		fail_msg("accepted: %s", json);
	assert_int_equal(fixture.status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(fixture.status.reason, "INVALID");
	if (field && strcmp(fixture.status.field, field))
		fail_msg("%s: field \"%s\", not \"%s\" (%s)", json, fixture.status.field, field,
			fixture.status.message);
	if (!strstr(fixture.status.message, what))
		fail_msg("%s: \"%s\" lacks \"%s\"", json, fixture.status.message, what);
}

static void *accepted(const ProtobufCMessageDescriptor *type, enum json_surface surface, const char *json)
{
	void *message = read_text(type, surface, json);

	if (!message)
		fail_msg("%s: %s: %s", json, fixture.status.field, fixture.status.message);
	return message;
}

static void test_buy(void **state)
{
	const Gatekeeper__BuyRequest *buy = accepted(BUY, JSON_COMPATIBLE,
		" {\"sessionID\":\"sid00001\",\"clientIP\":\"127.0.0.1\",\"userID\":\"user00001\","
		"\"userLevel\":5,"
		"\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":1}\r\n");

	assert_string_equal(buy->session_id, "sid00001");
	assert_string_equal(buy->client_ip, "127.0.0.1");
	assert_string_equal(buy->user_id, "user00001");
	assert_int_equal(buy->user_level, 5);
	assert_string_equal(buy->sku, "SKU0001");
	assert_int_equal(buy->quantity, 1);
	assert_int_equal(fixture.seen, 0x3f);
}

static void test_proto_names_and_any_order(void **state)
{
	const Gatekeeper__BuyRequest *buy =
		accepted(BUY, JSON_V1, "{\"quantity\":2,\"goodsSKU\":\"A\",\"user_id\":\"u\"}");

	assert_int_equal(buy->quantity, 2);
	assert_string_equal(buy->sku, "A");
	assert_string_equal(buy->user_id, "u");
	assert_string_equal(buy->session_id, "");
	assert_int_equal(fixture.seen, 0x34);
}

static void test_strings(void **state)
{
	const Gatekeeper__BuyRequest *buy = accepted(BUY, JSON_V1,
		"{\"userID\":\"\\u0041\\n\\/\\\\\\\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xc3\xa9\"}");

	assert_string_equal(buy->user_id, "A\n/\\\"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xc3\xa9");
	refused(BUY, JSON_V1, "{\"userID\":\"a\\u0000b\"}", "userID", "NUL");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ud83d\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ud83dx\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ud83d\\u0041\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ude00\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\uDE00\\uD83D\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ude00\\ude00\"}", "", "surrogate");
	refused(BUY, JSON_V1, "{\"userID\":\"\\ud83d", "", "surrogate");
	accepted(BUY, JSON_V1, "{\"userID\":\"\\\\ud83d\"}"); /* a backslash and a word */
	refused(BUY, JSON_V1, "{\"userID\":\"\xff\"}", "userID", "UTF-8");
	refused(BUY, JSON_V1, "{\"userID\":\"\xc0\xaf\"}", "userID", "UTF-8");
	refused(BUY, JSON_V1, "{\"userID\":\"\xed\xa0\x80\"}", "userID", "UTF-8");
	refused(BUY, JSON_V1, "{\"userID\":\"\xf4\x90\x80\x80\"}", "userID", "UTF-8");
	refused(BUY, JSON_COMPATIBLE, "{\"other\":\"\xff\"}", "", "UTF-8");
	refused(BUY, JSON_COMPATIBLE, "{\"\xff\":1}", "", "UTF-8");
	refused(BUY, JSON_COMPATIBLE, "{\"userID\":\"a\nb\"}", "", "not JSON");
	refused(BUY, JSON_COMPATIBLE, "{\"userID\":\"\\x41\"}", "", "not JSON");
}

static void test_integers(void **state)
{
	static const char *const bad[] = {"-1", "4294967296", "1.5", "1e-1", "1e10",
		"99999999999999999999999", "1e999999999", "\"1\"", "true", "{}", "[]", "[1]"};
	char json[200];

	assert_int_equal(
		((Gatekeeper__BuyRequest *)accepted(BUY, JSON_V1, "{\"quantity\":1.0}"))->quantity, 1);
	assert_int_equal(
		((Gatekeeper__BuyRequest *)accepted(BUY, JSON_V1, "{\"quantity\":1e2}"))->quantity, 100);
	assert_true(
		((Gatekeeper__BuyRequest *)accepted(BUY, JSON_V1, "{\"quantity\":4294967295}"))->quantity ==
		UINT32_MAX);
	assert_int_equal(
		((Gatekeeper__BuyRequest *)accepted(BUY, JSON_V1, "{\"userLevel\":-2147483648}"))->user_level,
		INT32_MIN);
	assert_int_equal(
		((Gatekeeper__BuyRequest *)accepted(BUY, JSON_V1, "{\"userLevel\":2147483647}"))->user_level,
		INT32_MAX);
	refused(BUY, JSON_V1, "{\"userLevel\":2147483648}", "userLevel", "an integer from -2147483648");
	refused(BUY, JSON_V1, "{\"userLevel\":-2147483649}", "userLevel", "an integer from -2147483648");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(json, sizeof(json), "{\"goodsSKU\":\"A\",\"goodsQuantity\":%s}", bad[i]);
		refused(BUY, JSON_COMPATIBLE, json, "goodsQuantity",
			"expected an integer from 0 to 4294967295");
	}
	refused(BUY, JSON_V1, "{\"quantity\":01}", "", "not JSON");
	refused(BUY, JSON_V1, "{\"quantity\":+1}", "", "not JSON");
	refused(BUY, JSON_V1, "{\"quantity\":1.}", "", "not JSON");
	refused(BUY, JSON_V1, "{\"quantity\":0x1}", NULL, "");
	refused(BUY, JSON_V1, "{\"quantity\":NaN}", "", "not JSON");
}

static void test_wide_integers(void **state)
{
	const Inventory__CreateGoodsRequest *add = accepted(
		ADD, JSON_V1, "{\"goodsQuantity\":18446744073709551615,\"goodsPrice\":9223372036854.775807}");

	assert_true(add->quantity == UINT64_MAX);
	assert_true(add->price_micros == INT64_MAX);
	add = accepted(ADD, JSON_V1, "{\"goodsQuantity\":\"1000000\",\"goodsPrice\":99.9}");
	assert_true(add->quantity == 1000000);
	assert_true(add->price_micros == 99900000);
	add = accepted(ADD, JSON_V1, "{\"goodsPrice\":-9223372036854.775808}");
	assert_true(add->price_micros == INT64_MIN);
	refused(ADD, JSON_V1, "{\"goodsQuantity\":18446744073709551616}", "goodsQuantity", "integer");
	refused(ADD, JSON_V1, "{\"goodsQuantity\":-1}", "goodsQuantity", "integer");
	refused(ADD, JSON_V1, "{\"goodsQuantity\":\" 1\"}", "goodsQuantity", "integer");
	refused(ADD, JSON_V1, "{\"goodsQuantity\":\"\"}", "goodsQuantity", "integer");
	refused(ADD, JSON_V1, "{\"goodsPrice\":9223372036854.775808}", "goodsPrice", "amount");
	refused(ADD, JSON_V1, "{\"goodsPrice\":0.0000001}", "goodsPrice", "at most 6 decimals");
	refused(ADD, JSON_V1, "{\"goodsPrice\":1e300}", "goodsPrice", "amount");
	refused(ADD, JSON_V1, "{\"goodsPrice\":\"99.9\"}", "goodsPrice", "amount");
}

static void test_well_known(void **state)
{
	const Policy__SetPolicyRequest *rule = accepted(RULE, JSON_V1,
		"{\"quantityLimit\":5,\"openTime\":\"2026-01-31T12:00:00.5Z\",\"close_time\":\"2026-01-31T14:"
		"00:00+01:00\"}");
	const Inventory__CreateGoodsRequest *add;

	assert_int_equal(rule->limit->kind_case, COMMON__LIMIT__KIND_UNITS);
	assert_int_equal(rule->limit->units, 5);
	assert_true(rule->open_time->seconds == 1769860800 && rule->open_time->nanos == 500000000);
	assert_true(rule->close_time->seconds == 1769864400);
	rule = accepted(RULE, JSON_COMPATIBLE, "{\"quantityLimit\":0}");
	assert_int_equal(rule->limit->kind_case, COMMON__LIMIT__KIND_UNLIMITED);
	assert_non_null(rule->limit->unlimited);
	rule = accepted(RULE, JSON_COMPATIBLE, "{}");
	assert_null(rule->limit);
	add = accepted(ADD, JSON_V1, "{\"holdTtl\":\"3.5s\",\"placement\":{\"shard\":1,\"shards\":2}}");
	assert_true(add->hold_ttl->seconds == 3 && add->hold_ttl->nanos == 500000000);
	assert_int_equal(add->placement->shards, 2);
	refused(RULE, JSON_V1, "{\"quantityLimit\":-1}", "quantityLimit", "0 (no limit)");
	refused(RULE, JSON_V1, "{\"quantityLimit\":{\"units\":5}}", "quantityLimit", "0 (no limit)");
	refused(RULE, JSON_V1, "{\"quantityLimit\":4294967296}", "quantityLimit", "0 (no limit)");
	refused(RULE, JSON_V1, "{\"quantityLimit\":1.5}", "quantityLimit", "0 (no limit)");
	refused(RULE, JSON_V1, "{\"openTime\":\"noon\"}", "openTime", "RFC 3339");
	refused(RULE, JSON_V1, "{\"openTime\":1769860800}", "openTime", "RFC 3339");
	refused(ADD, JSON_V1, "{\"holdTtl\":3}", "holdTtl", "seconds");
	refused(ADD, JSON_V1, "{\"holdTtl\":\"3\"}", "holdTtl", "seconds");
	refused(ADD, JSON_V1, "{\"placement\":3}", "placement", "an object");
	refused(ADD, JSON_V1, "{\"placement\":{\"shard\":\"x\"}}", "placement.shard", "an integer");
}

static void test_enums(void **state)
{
	const Protector__CreateBanRequest *ban;
	const ProtobufCMessageDescriptor *type = &protector__create_ban_request__descriptor;

	ban = accepted(type, JSON_V1, "{\"address\":\"192.0.2.1\",\"effect\":\"BAN_EFFECT_SHADOW\"}");
	assert_int_equal(ban->effect, PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW);
	assert_int_equal(ban->subject_case, PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_ADDRESS);
	assert_string_equal(ban->address, "192.0.2.1");
	ban = accepted(type, JSON_V1, "{\"effect\":3}");
	assert_int_equal(ban->effect, PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW);
	refused(type, JSON_V1, "{\"effect\":\"SHADOW\"}", "effect", "known value");
	refused(type, JSON_V1, "{\"effect\":99}", "effect", "known value");
	refused(type, JSON_V1, "{\"effect\":1.5}", "effect", "known value");
	refused(type, JSON_V1, "{\"effect\":true}", "effect", "known value");
}

static void test_oneofs(void **state)
{
	const ProtobufCMessageDescriptor *ban = &protector__create_ban_request__descriptor;
	const ProtobufCMessageDescriptor *bad = &protector__add_bad_account_request__descriptor;
	const Protector__AddBadAccountRequest *account;

	refused(ban, JSON_V1, "{\"userID\":\"u\",\"address\":\"192.0.2.1\"}", "address",
		"together with userID");
	refused(ban, JSON_V1, "{\"address\":\"192.0.2.1\",\"userID\":\"u\"}", "userID",
		"together with address");
	accepted(ban, JSON_V1, "{\"address\":null,\"userID\":\"u\"}");
	account = accepted(bad, JSON_COMPATIBLE, "{\"userID\":\"u\",\"isBadGuy\":false}");
	assert_int_equal(account->flag_case, PROTECTOR__ADD_BAD_ACCOUNT_REQUEST__FLAG_IS_BAD);
	assert_false(account->is_bad);
	account = accepted(bad, JSON_COMPATIBLE, "{\"userID\":\"u\",\"isBadGuy\":null}");
	assert_int_equal(account->flag_case, PROTECTOR__ADD_BAD_ACCOUNT_REQUEST__FLAG__NOT_SET);
	refused(bad, JSON_COMPATIBLE, "{\"isBadGuy\":1}", "isBadGuy", "true or false");
	refused(bad, JSON_COMPATIBLE, "{\"isBadGuy\":\"true\"}", "isBadGuy", "true or false");
}

static void test_lists(void **state)
{
	const ProtobufCMessageDescriptor *type = &cart__get_cart_response__descriptor;
	const Cart__GetCartResponse *cart = accepted(type, JSON_V1,
		"{\"lines\":[{\"goodsSKU\":\"A\",\"holdIds\":[\"1\",\"2\",\"3\",\"4\",\"5\"]},{\"goodsSKU\":"
		"\"B\"},{}]}");

	assert_int_equal(cart->n_lines, 3);
	assert_string_equal(cart->lines[0]->sku, "A");
	assert_int_equal(cart->lines[0]->n_hold_ids, 5);
	assert_string_equal(cart->lines[0]->hold_ids[4], "5");
	assert_string_equal(cart->lines[1]->sku, "B");
	assert_string_equal(cart->lines[2]->sku, "");
	cart = accepted(type, JSON_V1, "{\"lines\":[]}");
	assert_int_equal(cart->n_lines, 0);
	refused(type, JSON_V1, "{\"lines\":{}}", "lines", "a list");
	refused(type, JSON_V1, "{\"lines\":1}", "lines", "a list");
	refused(type, JSON_V1, "{\"lines\":[1]}", "lines[0]", "an object");
	refused(type, JSON_V1, "{\"lines\":[{},null]}", "lines[1]", "an object");
	refused(type, JSON_V1, "{\"lines\":[[]]}", "lines[0]", "an object");
	refused(type, JSON_V1, "{\"lines\":[{},{\"goodsSKU\":7}]}", "lines[1].goodsSKU", "a string");
	refused(type, JSON_V1, "{\"lines\":[{\"holdIds\":[\"1\",2]}]}", "lines[0].holdIds[1]", "a string");
	refused(type, JSON_V1, "{\"lines\":[{\"x\":1}]}", "lines[0].x", "no such field");
}

static void test_list_too_long(void **state)
{
	struct text text;

	text_init(&text, 1 << 20);
	text_append_string(&text, "{\"items\":[{}");
	for (int i = 1; i < JSON_ITEMS_MAX; i++)
		text_append_string(&text, ",{}");
	text_append_string(&text, "]}");
	accepted(&policy__batch_validate_purchases_request__descriptor, JSON_V1, text.data);
	text.length -= 2;
	text_append_string(&text, ",{}]}");
	refused(&policy__batch_validate_purchases_request__descriptor, JSON_V1, text.data, "items[4096]",
		"too many");
	text_release(&text);
}

static void test_unknown_members(void **state)
{
	const Inventory__CreateGoodsRequest *add = accepted(ADD, JSON_COMPATIBLE,
		"{\"sessionID\":\"s\",\"x\":{\"goodsSKU\":[1,{\"y\":null}]},\"x\":[[]],\"goodsSKU\":\"A\","
		"\"z\":1e999}");

	assert_string_equal(add->sku, "A");
	assert_int_equal(fixture.seen, 1);
	refused(ADD, JSON_V1, "{\"goodsSKU\":\"A\",\"sessionID\":\"s\"}", "sessionID", "no such field");
	refused(ADD, JSON_V1, "{\"\":1}", "", "no such field");
	/* A member of the other surface is unknown on this one. */
	refused(&gatekeeper__buy_response__descriptor, JSON_V1, "{\"reponseMsg\":\"x\"}", "reponseMsg",
		"no such field");
	accepted(&gatekeeper__buy_response__descriptor, JSON_COMPATIBLE, "{\"holdId\":7}");
}

static void test_duplicates(void **state)
{
	refused(BUY, JSON_COMPATIBLE, "{\"goodsQuantity\":1,\"goodsQuantity\":1}", "goodsQuantity", "twice");
	refused(BUY, JSON_COMPATIBLE, "{\"goodsQuantity\":1,\"quantity\":1}", "goodsQuantity", "twice");
	refused(BUY, JSON_COMPATIBLE, "{\"goodsQuantity\":null,\"goodsQuantity\":1}", "goodsQuantity",
		"twice");
}

static void test_null_is_absent(void **state)
{
	const Gatekeeper__BuyRequest *buy =
		accepted(BUY, JSON_COMPATIBLE, "{\"clientIP\":null,\"userLevel\":null,\"userID\":\"u\"}");

	assert_string_equal(buy->client_ip, "");
	assert_int_equal(buy->user_level, 0);
	assert_int_equal(fixture.seen, 4);
}

static void test_not_json(void **state)
{
	static const char *const whole[] = {"", " ", "{", "{\"", "{\"userID", "{\"userID\"",
		"{\"userID\":", "{\"userID\":\"u", "{\"userID\":\"u\"", "{\"userID\":\"u\",",
		"{\"quantity\":1", "{\"quantity\":-", "{\"quantity\":tr", "{\"userID\":\"u\\",
		"{\"userID\":\"u\\u00"};
	static const char *const broken[] = {"}", "{]", "{\"a\":1}}", "{\"a\":1}{}", "{,}", "{\"a\" 1}",
		"{\"a\":1,}", "{a:1}", "{'a':1}", "{\"a\":1 /* */}", "\xef\xbb\xbf{}", "{\"a\":tru}", "{1:2}",
		"nul", "{\"a\":1}x"};
	static const char *const no_object[] = {"1", "\"x\"", "true", "null", "[]", "[{}]", "-1.5"};

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		refused(BUY, JSON_COMPATIBLE, whole[i], "", "ends before");
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		refused(BUY, JSON_COMPATIBLE, broken[i], NULL, "");
	for (size_t i = 0; i < sizeof(no_object) / sizeof(no_object[0]); i++)
		refused(BUY, JSON_COMPATIBLE, no_object[i], "", "must be a JSON object");
}

/* A zero byte is no blank, and does not end the text. */
static void test_zero_bytes(void **state)
{
	assert_null(read_bytes(BUY, JSON_COMPATIBLE, "{}\0", 3));
	assert_null(read_bytes(BUY, JSON_COMPATIBLE, "{\"userID\":\"a\0b\"}", 16));
	assert_null(read_bytes(BUY, JSON_COMPATIBLE, "\0", 1));
}

static void test_nesting(void **state)
{
	char json[2 * 10000 + 64];
	size_t length = 0;

	refused(BUY, JSON_COMPATIBLE, "{\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", NULL, "nested too deeply");
	accepted(BUY, JSON_COMPATIBLE, "{\"x\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}");
	length += (size_t)snprintf(json, sizeof(json), "{\"x\":");
	memset(json + length, '[', 10000);
	json[length + 10000] = '\0';
	refused(BUY, JSON_COMPATIBLE, json, NULL, "nested too deeply");
	for (size_t i = 0; i < 1000; i++)
		memcpy(json + i * 5, "{\"x\":", 5);
	json[5000] = '\0';
	refused(BUY, JSON_COMPATIBLE, json, NULL, "nested too deeply");
}

static void test_memory(void **state)
{
	struct arena small;
	Gatekeeper__BuyRequest buy = GATEKEEPER__BUY_REQUEST__INIT;
	static char json[20000];
	uint64_t seen;

	snprintf(json, sizeof(json), "{\"userID\":\"%0*d\"}", 15000, 0);
	arena_init(&small, 1024, 4096);
	assert_false(json_read(shapes_of(fixture.shapes, BUY), JSON_V1, json, strlen(json), &small, &buy.base,
		&seen, &fixture.status));
	assert_int_equal(fixture.status.code, RPC_RESOURCE_EXHAUSTED);
	assert_string_equal(fixture.status.reason, "OVERLOADED");
	arena_release(&small);
}

/* Many escapes make yajl's own memory grow past what the stack has for it. */
static void test_many_escapes(void **state)
{
	static char json[40000];
	size_t length = (size_t)snprintf(json, sizeof(json), "{\"userID\":\"");
	const Gatekeeper__BuyRequest *buy;

	for (int i = 0; i < 15000; i++, length += 2)
		memcpy(json + length, "\\n", 2);
	memcpy(json + length, "\"}", 3);
	buy = accepted(BUY, JSON_V1, json);
	assert_int_equal(strlen(buy->user_id), 15000);
}

/* Every prefix of a text, and every text with one byte changed, ends in a yes or a refusal, never elsewhere. */
static void test_mutations(void **state)
{
	static const char json[] =
		"{\"sku\":\"A\\u00e9\\ud83d\\ude00\",\"goodsQuantity\":12e1,\"goodsPrice\":-1.50,"
		"\"x\":[{\"y\":[null,true]}],\"holdTtl\":\"3.5s\",\"placement\":{\"shard\":1}}";
	char mutated[sizeof(json)];

	accepted(ADD, JSON_COMPATIBLE, json);
	for (size_t length = 0; length + 1 < sizeof(json); length++) {
		fixture_clear(state);
		assert_null(read_bytes(ADD, JSON_COMPATIBLE, json, length));
	}
	for (size_t at = 0; at + 1 < sizeof(json); at++)
		for (int byte = 0; byte < 256; byte += 1) {
			fixture_clear(state);
			memcpy(mutated, json, sizeof(json));
			mutated[at] = (char)byte;
			read_bytes(ADD, JSON_COMPATIBLE, mutated, sizeof(json) - 1);
		}
}

static void test_text_values(void **state)
{
	const struct json_shape *shape = shapes_of(fixture.shapes, RULE);
	Policy__SetPolicyRequest rule = POLICY__SET_POLICY_REQUEST__INIT;

	assert_true(json_read_text(
		json_shape_field(shape, "user_level"), "-1", 2, &fixture.arena, &rule.base, &fixture.status));
	assert_int_equal(rule.user_level, -1);
	assert_true(json_read_text(
		json_shape_field(shape, "limit"), "7", 1, &fixture.arena, &rule.base, &fixture.status));
	assert_int_equal(rule.limit->units, 7);
	assert_true(json_read_text(
		json_shape_field(shape, "sku"), "7", 1, &fixture.arena, &rule.base, &fixture.status));
	assert_string_equal(rule.sku, "7");
	assert_false(json_read_text(
		json_shape_field(shape, "user_level"), "x", 1, &fixture.arena, &rule.base, &fixture.status));
	assert_string_equal(fixture.status.field, "userLevel");
	assert_false(json_read_text(
		json_shape_field(shape, "user_level"), "", 0, &fixture.arena, &rule.base, &fixture.status));
	assert_false(json_read_text(
		json_shape_field(shape, "user_level"), " 1", 2, &fixture.arena, &rule.base, &fixture.status));
	assert_false(json_read_text(
		json_shape_field(shape, "sku"), "a\0b", 3, &fixture.arena, &rule.base, &fixture.status));
	assert_false(json_read_text(
		json_shape_field(shape, "sku"), "\xff", 1, &fixture.arena, &rule.base, &fixture.status));
	assert_int_equal(rule.user_level, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_buy, fixture_clear),
		cmocka_unit_test_setup(test_proto_names_and_any_order, fixture_clear),
		cmocka_unit_test_setup(test_strings, fixture_clear),
		cmocka_unit_test_setup(test_integers, fixture_clear),
		cmocka_unit_test_setup(test_wide_integers, fixture_clear),
		cmocka_unit_test_setup(test_well_known, fixture_clear),
		cmocka_unit_test_setup(test_enums, fixture_clear),
		cmocka_unit_test_setup(test_oneofs, fixture_clear),
		cmocka_unit_test_setup(test_lists, fixture_clear),
		cmocka_unit_test_setup(test_list_too_long, fixture_clear),
		cmocka_unit_test_setup(test_unknown_members, fixture_clear),
		cmocka_unit_test_setup(test_duplicates, fixture_clear),
		cmocka_unit_test_setup(test_null_is_absent, fixture_clear),
		cmocka_unit_test_setup(test_not_json, fixture_clear),
		cmocka_unit_test_setup(test_zero_bytes, fixture_clear),
		cmocka_unit_test_setup(test_nesting, fixture_clear),
		cmocka_unit_test_setup(test_memory, fixture_clear),
		cmocka_unit_test_setup(test_many_escapes, fixture_clear),
		cmocka_unit_test_setup(test_mutations, fixture_clear),
		cmocka_unit_test_setup(test_text_values, fixture_clear),
	};

	return cmocka_run_group_tests_name("edge/json_read", tests, fixture_setup, fixture_teardown);
}
