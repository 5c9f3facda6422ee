/* gatekeeper/edge/json_write: what users see, and back again. */
#include "fixture.h"

#include "flashsale/cart/v1/cart.pb-c.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"

static void test_buy_on_both_surfaces(void **state)
{
	Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	Gatekeeper__BuyResponse buy = GATEKEEPER__BUY_RESPONSE__INIT;

	time.seconds = 1769860800;
	buy.message = "1 unit is in your cart";
	buy.result = true;
	buy.api_version = "1.0";
	buy.hold_id = "h";
	buy.state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	buy.sku = "SKU0001";
	buy.quantity = 1;
	buy.price_micros = 99900000;
	buy.remaining = 18446744073709551615u;
	buy.deadline = &time;
	assert_string_equal(write_text(JSON_COMPATIBLE, &buy),
		"{\"reponseMsg\":\"1 unit is in your "
		"cart\",\"repResult\":true,\"isThrottled\":false,\"version\":\"1.0\"}");
	assert_string_equal(write_text(JSON_V1, &buy),
		"{\"sessionID\":\"\",\"holdId\":\"h\",\"state\":\"HOLD_STATE_HELD\",\"goodsSKU\":\"SKU0001\","
		"\"goodsQuantity\":1,"
		"\"goodsPrice\":99.9,\"deadline\":\"2026-01-31T12:00:00.000Z\",\"remaining\":"
		"18446744073709551615,"
		"\"userUnits\":0,\"repeated\":false,\"degraded\":false}");
}

static void test_goods_on_both_surfaces(void **state)
{
	Google__Protobuf__Duration ttl = GOOGLE__PROTOBUF__DURATION__INIT;
	Inventory__Goods goods = INVENTORY__GOODS__INIT;

	ttl.seconds = 600;
	goods.sku = "SKU0001";
	goods.available = 1000000;
	goods.price_micros = 99000000;
	goods.currency = "USD";
	goods.hold_ttl = &ttl;
	assert_string_equal(write_text(JSON_COMPATIBLE, &goods),
		"{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":1000000,\"goodsPrice\":99}");
	assert_string_equal(write_text(JSON_V1, &goods),
		"{\"goodsSKU\":\"SKU0001\",\"goodsQuantity\":1000000,\"goodsPrice\":99,\"stock\":0,\"held\":"
		"0,\"sold\":0,"
		"\"currency\":\"USD\",\"holdTtl\":\"600s\",\"closed\":false,\"version\":0,\"archived\":0}");
}

static void test_emptied(void **state)
{
	Inventory__EmptiedGoods goods = INVENTORY__EMPTIED_GOODS__INIT;
	Policy__EmptiedPolicy rule = POLICY__EMPTIED_POLICY__INIT;

	assert_string_equal(write_text(JSON_COMPATIBLE, &goods),
		"{\"goodsSKU\":null,\"goodsQuantity\":0,\"goodsPrice\":0.0}");
	assert_string_equal(write_text(JSON_COMPATIBLE, &rule),
		"{\"goodsSKU\":null,\"userLevel\":0,\"quantityLimit\":0}");
}

static void test_absent_things(void **state)
{
	Protector__Ban ban = PROTECTOR__BAN__INIT;
	Common__Limit nothing = COMMON__LIMIT__INIT;
	Policy__Policy rule = POLICY__POLICY__INIT;
	Inventory__GetGoodsResponse goods = INVENTORY__GET_GOODS_RESPONSE__INIT;

	assert_string_equal(write_text(JSON_V1, &ban),
		"{\"banId\":\"\",\"reason\":\"\",\"source\":\"BAN_SOURCE_UNSPECIFIED\",\"evidence\":\"\","
		"\"effect\":\"BAN_EFFECT_UNSPECIFIED\",\"state\":\"BAN_STATE_UNSPECIFIED\",\"replacedBy\":"
		"\"\"}");
	ban.subject_case = PROTECTOR__BAN__SUBJECT_USER_ID;
	ban.user_id = "";
	ban.effect = (Protector__BanEffect)77;
	assert_string_equal(write_text(JSON_V1, &ban),
		"{\"banId\":\"\",\"userID\":\"\",\"reason\":\"\",\"source\":\"BAN_"
		"SOURCE_UNSPECIFIED\",\"evidence\":\"\",\"effect\":77,\"state\":\"BAN_STATE_UNSPECIFIED\","
		"\"replacedBy\":\"\"}");
	assert_string_equal(write_text(JSON_V1, &rule), "{\"goodsSKU\":\"\",\"userLevel\":0}");
	rule.limit = &nothing;
	assert_string_equal(
		write_text(JSON_V1, &rule), "{\"goodsSKU\":\"\",\"userLevel\":0,\"quantityLimit\":null}");
	assert_string_equal(write_text(JSON_V1, &goods), "{}");
}

static void test_lists_and_escapes(void **state)
{
	char *ids[] = {"a", "b\"\\\n\x01\xff"};
	Cart__CartLine line = CART__CART_LINE__INIT;

	line.n_hold_ids = 2;
	line.hold_ids = ids;
	line.price_micros = -1;
	assert_string_equal(write_text(JSON_V1, &line),
		"{\"sessionID\":\"\",\"userID\":\"\",\"goodsSKU\":\"\",\"goodsQuantity\":0,\"goodsPrice\":-0."
		"000001,"
		"\"holdIds\":[\"a\",\"b\\\"\\\\\\n\\u0001\xef\xbf\xbd\"]}");
	line.n_hold_ids = 0;
	assert_non_null(strstr(write_text(JSON_V1, &line), "\"holdIds\":[]}"));
	assert_null(strstr(write_text(JSON_COMPATIBLE, &line), "holdIds"));
}

static void test_bytes(void **state)
{
	Inventory__Hold hold = INVENTORY__HOLD__INIT;

	hold.key_hash.data = (uint8_t *)"foob";
	hold.key_hash.len = 4;
	assert_non_null(strstr(write_text(JSON_V1, &hold), "\"keyHash\":\"Zm9vYg==\",\"fingerprint\":\"\""));
}

static void test_values_alone(void **state)
{
	const struct json_shape *shape =
		shapes_of(fixture.shapes, &inventory__list_goods_response__descriptor);
	Inventory__Goods goods = INVENTORY__GOODS__INIT, *both[] = {&goods, &goods};
	Inventory__ListGoodsResponse list = INVENTORY__LIST_GOODS_RESPONSE__INIT;
	Inventory__GetGoodsResponse one = INVENTORY__GET_GOODS_RESPONSE__INIT;
	const struct json_shape *one_shape = shapes_of(fixture.shapes, one.base.descriptor);

	assert_true(json_write_value(
		&fixture.text, json_shape_field(shape, "goods"), JSON_COMPATIBLE, &list.base));
	assert_true(json_write_value(
		&fixture.text, json_shape_field(one_shape, "goods"), JSON_COMPATIBLE, &one.base));
	goods.sku = "A";
	list.n_goods = 2;
	list.goods = both;
	assert_true(json_write_value(
		&fixture.text, json_shape_field(shape, "goods"), JSON_COMPATIBLE, &list.base));
	assert_string_equal(fixture.text.data,
		"[]null[{\"goodsSKU\":\"A\",\"goodsQuantity\":0,\"goodsPrice\":0},"
		"{\"goodsSKU\":\"A\",\"goodsQuantity\":0,\"goodsPrice\":0}]");
}

static void test_overflow(void **state)
{
	Inventory__Goods goods = INVENTORY__GOODS__INIT;
	const struct json_shape *shape = shapes_of(fixture.shapes, goods.base.descriptor);
	struct text small;
	char storage[20];

	text_init_fixed(&small, storage, sizeof(storage));
	assert_false(json_write(&small, shape, JSON_V1, &goods.base));
	assert_true(small.overflowed);
}

/* What is written under /v1 reads back as the same message. */
static void test_round_trip(void **state)
{
	static const char json[] =
		"{\"items\":[{\"goodsSKU\":\"A\",\"row\":{\"stock\":1,\"available\":2,\"held\":3,\"sold\":"
		"18446744073709551615},"
		"\"consistent\":true,\"finding\":\"\xe2\x82\xac \\\"x\\\"\"},{}],\"sequence\":9}";
	const ProtobufCMessageDescriptor *type = &inventory__audit_stock_response__descriptor;
	ProtobufCMessage *first = read_text(type, JSON_V1, json), *second;
	uint8_t *a, *b;
	size_t size;

	assert_non_null(first);
	second = read_text(type, JSON_V1, write_text(JSON_V1, first));
	assert_non_null(second);
	size = protobuf_c_message_get_packed_size(first);
	assert_int_equal(size, protobuf_c_message_get_packed_size(second));
	a = arena_alloc(&fixture.arena, size);
	b = arena_alloc(&fixture.arena, size);
	protobuf_c_message_pack(first, a);
	protobuf_c_message_pack(second, b);
	assert_memory_equal(a, b, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_buy_on_both_surfaces, fixture_clear),
		cmocka_unit_test_setup(test_goods_on_both_surfaces, fixture_clear),
		cmocka_unit_test_setup(test_emptied, fixture_clear),
		cmocka_unit_test_setup(test_absent_things, fixture_clear),
		cmocka_unit_test_setup(test_lists_and_escapes, fixture_clear),
		cmocka_unit_test_setup(test_bytes, fixture_clear),
		cmocka_unit_test_setup(test_values_alone, fixture_clear),
		cmocka_unit_test_setup(test_overflow, fixture_clear),
		cmocka_unit_test_setup(test_round_trip, fixture_clear),
	};

	return cmocka_run_group_tests_name("edge/json_write", tests, fixture_setup, fixture_teardown);
}
