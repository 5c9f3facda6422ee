/* Consul's answers: what is taken, what is left out, what is refused whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/text.h"
#include "discovery/consul_json.h"
#include "tests/unit/discovery/fake_agent.h"

static struct error why, error;
static size_t left_out;

static struct instances *read_text(const char *json)
{
	why.text[0] = error.text[0] = '\0';
	return consul_json_read(json, strlen(json), 5, &left_out, &why, &error);
}

static struct instances *read_entries(const char *one, const char *two, const char *three)
{
	char *json = memory_format(
		"[%s%s%s%s%s]", one, two ? "," : "", two ? two : "", three ? "," : "", three ? three : "");
	struct instances *list = read_text(json);

	free(json);
	return list;
}

static void an_instance(void **state)
{
	struct instances *list = read_entries(fake_entry("cart-h-1", "10.1.2.3", 8084,
						      "\"shard\":\"1\",\"shards\":\"2\",\"version\":\"1.0\","
						      "\"admin\":\"10.1.2.3:8094\",\"other\":\"x\"",
						      "passing"),
		NULL, NULL);
	const struct instance *item;

	assert_non_null(list);
	assert_int_equal(list->count, 1);
	assert_int_equal(left_out, 0);
	item = &list->items[0];
	assert_string_equal(item->id, "cart-h-1");
	assert_string_equal(item->address, "10.1.2.3:8084");
	assert_string_equal(item->admin_address, "10.1.2.3:8094");
	assert_string_equal(item->version, "1.0");
	assert_int_equal(item->shard, 1);
	assert_int_equal(item->shards, 2);
	assert_int_equal(item->health, INSTANCE_PASSING);
	instances_drop(list);
	list = read_text(" [ ] ");
	assert_int_equal(list->count, 0);
	instances_drop(list);
}

static void addresses(void **state)
{
	struct instances *list = read_entries(fake_entry("a", "", 1, "", "passing"),
		fake_entry("b", "2001:db8::1", 2, "", "passing"),
		fake_entry("c", "cart.example", 3, "", "passing"));

	assert_int_equal(list->count, 3);
	assert_string_equal(list->items[0].address, "10.0.0.9:1"); /* the node's */
	assert_string_equal(list->items[1].address, "[2001:db8::1]:2");
	assert_string_equal(list->items[2].address, "cart.example:3");
	assert_int_equal(list->items[0].shard, -1);
	instances_drop(list);
}

static void health_is_the_worst_check(void **state)
{
	static const struct {
		const char *status;
		enum instance_health health;
	} rows[] = {{"passing", INSTANCE_PASSING}, {"warning", INSTANCE_WARNING},
		{"critical", INSTANCE_CRITICAL}, {"maintenance", INSTANCE_CRITICAL}, {"", INSTANCE_CRITICAL}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct instances *list =
			read_entries(fake_entry("a", "h", 1, "", rows[i].status), NULL, NULL);

		assert_int_equal(list->items[0].health, rows[i].health);
		instances_drop(list);
	}
}

/* Beside a good one. */
static void entries_that_are_left_out(void **state)
{
	const char *const bad[] = {
		"1",
		"{}",
		"{\"Node\":{},\"Service\":{\"ID\":\"x\",\"Address\":\"h\"},\"Checks\":[]}",
		"{\"Node\":{},\"Service\":{\"ID\":\"x\",\"Address\":\"h\",\"Port\":\"1\"},\"Checks\":[]}",
		"{\"Node\":{},\"Service\":{\"ID\":\"x\",\"Port\":1},\"Checks\":[]}",
		"{\"Node\":{},\"Service\":{\"Address\":\"h\",\"Port\":1},\"Checks\":[]}",
		"{\"Node\":{},\"Service\":{\"ID\":\"x\",\"Address\":\"h\",\"Port\":1}}",
		fake_entry("x", "h", 0, "", "passing"),
		fake_entry("x", "h", 65536, "", "passing"),
		fake_entry("x", "h", -1, "", "passing"),
	};
	const char *const more[][3] = {{"x", "h h", ""}, {"x", "h/evil", ""}, {"x y", "h", ""},
		{"x\\n", "h", ""}, {"x", "h", "\"shard\":\"0\""}, {"x", "h", "\"shards\":\"1\""},
		{"x", "h", "\"shard\":\"0\",\"shards\":\"0\""},
		{"x", "h", "\"shard\":\"2\",\"shards\":\"2\""},
		{"x", "h", "\"shard\":\"-1\",\"shards\":\"2\""},
		{"x", "h", "\"shard\":\"1x\",\"shards\":\"2\""}, {"x", "h", "\"shard\":0,\"shards\":\"2\""},
		{"x", "h", "\"shard\":\"0\",\"shards\":\"99999999999\""}, {"x", "h", "\"admin\":\"nowhere\""},
		{"x", "h", "\"version\":\"a b\""}};
	struct instances *list;

	for (size_t i = 0; i < 10; i++) {
		/* the last three are in the buffers that fake_entry uses again */
		char *one = memory_copy_text(bad[i]);

		list = read_entries(one,
			"{\"Node\":{},\"Service\":{\"ID\":\"good\",\"Address\":\"h\",\"Port\":1},\"Checks\":["
			"]}",
			NULL);
		assert_non_null(list);
		assert_int_equal(list->count, 1);
		assert_int_equal(left_out, 1);
		assert_true(why.text[0]);
		instances_drop(list);
		list = read_entries("{\"Node\":{},\"Service\":{\"ID\":\"good\",\"Address\":\"h\",\"Port\":1},"
				    "\"Checks\":[]}",
			one, NULL); /* also as the last one */
		assert_int_equal(list->count, 1);
		instances_drop(list);
		free(one);
	}
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		list = read_entries(fake_entry(more[i][0], more[i][1], 1, more[i][2], "passing"),
			fake_entry("good", "h", 1, "", "passing"), NULL);
		if (!list || list->count != 1 || left_out != 1)
			fail_msg("entry %zu was not left out", i);
		instances_drop(list);
	}
}

static void answers_that_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "{}", "null", "[", "[{}]", "[1,2]", "<html>", "[]]", "\"x\"", "[{\"a\":1,\"a\":2}]"};
	char *large;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (read_text(bad[i]) || !error.text[0])
			fail_msg("'%s' was taken", bad[i]);
	}
	large = memory_new(CONSUL_ANSWER_BYTES_MAX + 16);
	memset(large, ' ', CONSUL_ANSWER_BYTES_MAX + 1);
	large[0] = '[';
	large[CONSUL_ANSWER_BYTES_MAX] = ']';
	assert_null(read_text(large)); /* a byte too long */
	assert_non_null(strstr(error.text, "too large"));
	memset(large, '[', CONSUL_ANSWER_NODES_MAX + 1);
	large[CONSUL_ANSWER_NODES_MAX + 1] = '\0';
	assert_null(read_text(large));
	assert_non_null(strstr(error.text, "too large"));
	large[100000] = '\0'; /* deep, but not too many */
	assert_null(read_text(large));
	free(large);
}

static void too_many_instances(void **state)
{
	struct text json;
	struct instances *list;

	text_init(&json, 4 << 20);
	text_append_char(&json, '[');
	for (int i = 0; i < INSTANCES_MAX; i++)
		text_appendf(&json,
			"%s{\"Node\":{},\"Service\":{\"ID\":\"i%d\",\"Address\":\"h\",\"Port\":1},\"Checks\":"
			"[]}",
			i ? "," : "", i);
	text_append_char(&json, ']');
	list = read_text(json.data);
	assert_int_equal(list->count, INSTANCES_MAX);
	instances_drop(list);
	json.data[json.length - 1] = ',';
	text_append_string(&json, "1]");
	assert_null(read_text(json.data));
	assert_non_null(strstr(error.text, "more than 1024"));
	text_release(&json);
}

static void one_id_on_two_nodes(void **state)
{
	struct instances *list = read_entries(fake_entry("a", "h", 1, "", "passing"),
		fake_entry("a", "i", 1, "", "passing"), fake_entry("b", "h", 1, "", "passing"));

	assert_int_equal(list->count, 3);
	assert_string_equal(list->items[0].id, "a@h:1");
	assert_string_equal(list->items[1].id, "a@i:1");
	assert_string_equal(list->items[2].id, "b");
	instances_drop(list);
	/* the same one, registered with two agents: the better word counts */
	list = read_entries(
		fake_entry("a", "h", 1, "", "critical"), fake_entry("a", "h", 1, "", "passing"), NULL);
	assert_int_equal(list->count, 1);
	assert_int_equal(list->items[0].health, INSTANCE_PASSING);
	instances_drop(list);
}

static void the_usual_count_of_shards(void **state)
{
	struct instances *list =
		read_entries(fake_entry("a", "h", 1, "\"shard\":\"0\",\"shards\":\"3\"", "passing"),
			fake_entry("b", "h", 2, "\"shard\":\"0\",\"shards\":\"2\"", "passing"),
			fake_entry("c", "h", 3, "\"shard\":\"1\",\"shards\":\"2\"", "passing"));

	assert_int_equal(list->count, 2);
	assert_string_equal(list->items[0].id, "b");
	assert_int_equal(left_out, 1);
	assert_non_null(strstr(why.text, "'a' is of 3 shards"));
	instances_drop(list);
	list = read_entries(fake_entry("b", "h", 1, "\"shard\":\"0\",\"shards\":\"3\"", "passing"),
		fake_entry("a", "h", 2, "", "passing"), NULL);
	assert_int_equal(list->count, 1);
	assert_string_equal(list->items[0].id, "a");
	instances_drop(list);
}

static struct registration self = {.service = "cart",
	.self = {.id = "cart-h-8084",
		.address = "10.1.2.3:8084",
		.admin_address = "10.1.2.3:8094",
		.version = "1.0",
		.shard = 1,
		.shards = 2},
	.health_service = "flashsale.cart.v1.CartService"};

static void our_registration(void **state)
{
	struct registration other = self;
	char *text = consul_json_registration(&self, "flashsale-cart");

	assert_string_equal(text, "{\"ID\":\"cart-h-8084\",\"Name\":\"flashsale-cart\",\"Address\":\"10.1.2."
				  "3\",\"Port\":8084,\"Tags\":[\"flashsale\"],"
				  "\"Meta\":{\"version\":\"1.0\",\"admin\":\"10.1.2.3:8094\",\"shard\":\"1\","
				  "\"shards\":\"2\"},\"Check\":{\"Name\":"
				  "\"flashsale-cart\",\"GRPC\":\"10.1.2.3:8084/"
				  "flashsale.cart.v1.CartService\",\"Interval\":\"1s\",\"Timeout\":\"1s\","
				  "\"DeregisterCriticalServiceAfter\":\"60s\"}}");
	free(text);
	other.health_service = "";
	other.self.address = "[2001:db8::1]:1";
	other.self.shards = 0;
	text = consul_json_registration(&other, "n");
	assert_non_null(strstr(text, "\"Address\":\"2001:db8::1\""));
	assert_non_null(strstr(text, "\"GRPC\":\"[2001:db8::1]:1\""));
	assert_null(strstr(text, "shard"));
	free(text);
	other.health_service = NULL;
	text = consul_json_registration(&other, "n");
	assert_non_null(strstr(text, "\"HTTP\":\"http://10.1.2.3:8094/healthz\""));
	free(text);
}

static void whether_it_is_ours(void **state)
{
	static const char ours[] =
		"{\"ID\":\"cart-h-8084\",\"Service\":\"flashsale-cart\",\"Address\":\"10.1.2.3\",\"Port\":"
		"8084,"
		"\"Meta\":{\"version\":\"1.0\",\"admin\":\"10.1.2.3:8094\",\"shard\":\"1\",\"shards\":\"2\"},"
		"\"Weights\":{\"Passing\":1}}";
	static const char *const parts[] = {
		"flashsale-cart", "10.1.2.3\",", "8084,", "1.0", ":8094", "\"1\"", "\"2\""};

	assert_true(consul_json_is_ours(ours, strlen(ours), &self, "flashsale-cart"));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) { /* each part of it counts */
		char *other = memory_copy_text(ours);
		char *at = strstr(other, parts[i]);

		at[*at == '"' || *at == ':'] = '7';
		assert_false(consul_json_is_ours(other, strlen(other), &self, "flashsale-cart"));
		free(other);
	}
	assert_false(consul_json_is_ours("", 0, &self, "flashsale-cart"));
	assert_false(consul_json_is_ours("[]", 2, &self, "flashsale-cart"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_instance),
		cmocka_unit_test(addresses),
		cmocka_unit_test(health_is_the_worst_check),
		cmocka_unit_test(entries_that_are_left_out),
		cmocka_unit_test(answers_that_are_refused),
		cmocka_unit_test(too_many_instances),
		cmocka_unit_test(one_id_on_two_nodes),
		cmocka_unit_test(the_usual_count_of_shards),
		cmocka_unit_test(our_registration),
		cmocka_unit_test(whether_it_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
