/* GET /v1/services and its page: what is shown of instances that are well, away, silent or not what they should be; texts of strangers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "fakes.h"
#include "flashsale/common/v1/instance.pb-c.h"
#include "gatekeeper/edge/services.h"
#include "rpc/timestamp.h"

#define HOSTILE "<script>alert('1')</script>&\""
#define NOW_MS INT64_C(1000000000)

static struct fakes fakes;
static struct door door;
static struct arena arena;

static int setup(void **state)
{
	struct edge_options options;

	fakes_start(&fakes);
	options = door_options(&fakes, &door);
	options.advertise = "127.0.0.1:8080";
	options.advertise_admin = "127.0.0.1:8090";
	door_open(&door, &options);
	return 0;
}

static int teardown(void **state)
{
	door_close(&door);
	fakes_stop(&fakes);
	return 0;
}

static int setup_arena(void **state)
{
	arena_init(&arena, 4096, 1 << 20);
	return 0;
}

static int teardown_arena(void **state)
{
	arena_release(&arena);
	return 0;
}

/* ---- one instance ---- */

static const struct instance shard_one = {.id = "inventory-a-1",
	.address = "127.0.0.1:1",
	.admin_address = "",
	.version = "0.9",
	.shard = 1,
	.shards = 2,
	.health = INSTANCE_CRITICAL};

static Common__GetInstanceResponse answer_of(char *service, char *version)
{
	Common__GetInstanceResponse answer = COMMON__GET_INSTANCE_RESPONSE__INIT;

	answer.service = service;
	answer.version = version;
	answer.shard = 1;
	answer.shards = 2;
	answer.serving = true;
	return answer;
}

static Gatekeeper__InstanceView fill(const struct rpc_survey_entry *entry)
{
	const struct services_facts facts = {.service = "inventory",
		.instance = &shard_one,
		.entry = entry,
		.has_registry_health = true,
		.now_ms = NOW_MS};
	Gatekeeper__InstanceView view;

	assert_true(services_fill(&facts, &arena, &view));
	return view;
}

static Gatekeeper__InstanceView fill_answer(const Common__GetInstanceResponse *answer)
{
	const struct rpc_survey_entry entry = {.connected = true, .answer = &answer->base};

	return fill(&entry);
}

static void test_an_answer(void **state)
{
	Common__GetInstanceResponse answer = answer_of("inventory", "1.0.0");
	Google__Protobuf__Timestamp start;
	Gatekeeper__InstanceView view;

	timestamp_set(&start, NOW_MS - 61500);
	answer.start_time = &start;
	view = fill_answer(&answer);
	assert_int_equal(view.health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_SERVING);
	assert_int_equal(view.registry_health, GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_CRITICAL);
	assert_string_equal(view.version, "1.0.0"); /* its own word, not the registry's */
	assert_int_equal(view.shard, 1);
	assert_int_equal(view.age->seconds, 61);
	assert_int_equal(view.age->nanos, 500000000);
	timestamp_set(&start, NOW_MS + 5000); /* its clock is ahead of ours */
	assert_int_equal(fill_answer(&answer).age->seconds, 0);
	start.nanos = -1;
	assert_null(fill_answer(&answer).age);
	answer.serving = false;
	assert_int_equal(
		fill_answer(&answer).health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING);
}

static void test_it_is_not_what_the_registry_says(void **state)
{
	Common__GetInstanceResponse answer = answer_of("cart\n" HOSTILE, "1.0.0");
	Gatekeeper__InstanceView view = fill_answer(&answer);

	assert_int_equal(view.health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING);
	assert_string_equal(view.detail, "another service answers there: cart?" HOSTILE);
	assert_string_equal(view.version, "0.9");
	answer = answer_of("inventory", "1.0.0");
	answer.shard = 0;
	view = fill_answer(&answer);
	assert_int_equal(view.health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING);
	assert_string_equal(view.detail, "it says that it is shard 0 of 2");
}

static void test_what_it_says_is_short_and_printable(void **state)
{
	char version[5000];
	Common__GetInstanceResponse answer = answer_of("inventory", version);
	Gatekeeper__InstanceView view;

	memset(version, 'v', sizeof(version) - 1);
	version[sizeof(version) - 1] = '\0';
	memcpy(version, "1\x1b\xc3\xa9\x7f", 5);
	view = fill_answer(&answer);
	assert_int_equal(strlen(view.version), 64);
	assert_memory_equal(view.version, "1????vvv", 8);
}

static Gatekeeper__InstanceView fill_silence(bool connected, enum rpc_code code)
{
	struct rpc_survey_entry entry = {.connected = connected};

	rpc_status_set(&entry.status, code, "", "%s", "in the words of gRPC");
	return fill(&entry);
}

static void test_no_answer(void **state)
{
	Gatekeeper__InstanceView view = fill_silence(false, RPC_UNAVAILABLE);

	assert_int_equal(view.health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNREACHABLE);
	assert_string_equal(view.detail, "in the words of gRPC");
	assert_int_equal(fill_silence(true, RPC_UNAVAILABLE).health,
		GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNREACHABLE);
	view = fill_silence(true, RPC_DEADLINE_EXCEEDED);
	assert_int_equal(view.health, GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNSPECIFIED);
	assert_string_equal(view.detail, "it is connected and did not answer in time");
	assert_null(view.age);
	assert_string_equal(
		fill_silence(true, RPC_UNIMPLEMENTED).detail, "it is connected, and too old to tell");
	assert_non_null(strstr(fill_silence(true, RPC_RESOURCE_EXHAUSTED).detail, "RESOURCE_EXHAUSTED"));
	assert_string_equal(fill(NULL).detail, "it was found just now");
}

static void test_an_arena_at_its_cap(void **state)
{
	Common__GetInstanceResponse answer = answer_of("inventory", "1.0.0");
	const struct rpc_survey_entry entry = {.connected = true, .answer = &answer.base};
	const struct services_facts facts = {.service = "inventory", .instance = &shard_one, .entry = &entry};
	Gatekeeper__InstanceView view;

	while (arena_alloc(&arena, 1))
		continue;
	assert_false(services_fill(&facts, &arena, &view));
}

/* ---- the page ---- */

static const char *page_of(Gatekeeper__InstanceView *view, struct text *text)
{
	Gatekeeper__ServiceView service = GATEKEEPER__SERVICE_VIEW__INIT, *services[] = {&service};
	Gatekeeper__ListServicesResponse response = GATEKEEPER__LIST_SERVICES_RESPONSE__INIT;
	uint32_t missing[] = {1, 3};

	service.service = HOSTILE;
	service.known = true;
	service.shards = 4;
	service.n_missing_shards = 2;
	service.missing_shards = missing;
	service.n_instances = 1;
	service.instances = &view;
	response.n_services = 1;
	response.services = services;
	response.gatekeeper = HOSTILE;
	response.registry = HOSTILE;
	return services_page(text, &response) ? text->data : NULL;
}

static void test_every_text_is_escaped(void **state)
{
	Gatekeeper__InstanceView view = GATEKEEPER__INSTANCE_VIEW__INIT;
	struct text text;
	const char *page;
	size_t count = 0;

	text_init(&text, 1 << 20);
	view.id = view.address = view.admin_address = view.version = view.detail = HOSTILE;
	page = page_of(&view, &text);
	assert_non_null(page);
	assert_null(strstr(page, "<script"));
	assert_null(strstr(page, "'1'"));
	for (const char *at = page;
		(at = strstr(at, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;")); at++)
		count++;
	assert_int_equal(count, 8);
	assert_non_null(strstr(page, "No instance is known of shard 1, 3 of 4."));
	assert_non_null(strstr(page, ">not known<"));
	text_release(&text);
}

static void test_a_page_without_room(void **state)
{
	Gatekeeper__InstanceView view = GATEKEEPER__INSTANCE_VIEW__INIT;
	struct text text;

	text_init(&text, 500);
	assert_null(page_of(&view, &text));
	text_release(&text);
}

static const char *age_on_page(int64_t seconds)
{
	static char age[64];
	Gatekeeper__InstanceView view = GATEKEEPER__INSTANCE_VIEW__INIT;
	Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
	struct text text;
	const char *at;

	text_init(&text, 1 << 20);
	duration.seconds = seconds;
	view.age = &duration;
	at = strstr(page_of(&view, &text), "<td title=\"\">");
	assert_non_null(at);
	sscanf(at, "<td title=\"\">%63[^<]", age);
	text_release(&text);
	return age;
}

static void test_ages(void **state)
{
	assert_string_equal(age_on_page(0), "0 s");
	assert_string_equal(age_on_page(59), "59 s");
	assert_string_equal(age_on_page(61), "1 min 1 s");
	assert_string_equal(age_on_page(3600), "1 h 0 min");
	assert_string_equal(age_on_page(90000), "1 d 1 h");
}

static void test_the_policy(void **state)
{
	const char *policy = services_page_policy();

	assert_non_null(strstr(policy, "default-src 'none'; style-src 'sha256-"));
	assert_null(strstr(policy, "unsafe"));
}

/* ---- through the edge ---- */

static json_t *look(void)
{
	struct edge_request *request = door_visit(&door, EDGE_GET, "/v1/services", NULL, NULL);
	json_t *root;

	assert_int_equal(request->out.status, 200);
	assert_string_equal(request->out.content_type, "application/json");
	root = json_loadb(request->out.body, request->out.body_size, 0, NULL);
	assert_non_null(root);
	edge_request_free(door.edge, request);
	return root;
}

/* The first instance of a service. */
static json_t *find(const json_t *root, const char *name)
{
	const json_t *services = json_object_get(root, "services"), *service;
	size_t i;

	json_array_foreach(services, i,
		service) if (!strcmp(json_string_value(json_object_get(service, "service")),
				     name)) return json_array_get(json_object_get(service, "instances"), 0);
	return NULL;
}

static const char *word(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static bool policy_is(const void *health)
{
	json_t *root = look();
	const bool is = !strcmp(word(find(root, "policy"), "health"), health);

	json_decref(root);
	return is;
}

static void test_all_are_shown(void **state)
{
	static const char *const names[] = {"cart", "gatekeeper", "inventory", "policy", "protector"};
	json_t *root = look();

	assert_string_equal(word(root, "registry"), "static");
	for (size_t i = 0; i < 5; i++) {
		const json_t *view = find(root, names[i]);

		assert_string_equal(word(view, "health"), "INSTANCE_HEALTH_SERVING");
		assert_string_equal(word(view, "registryHealth"), "REGISTRY_HEALTH_UNSPECIFIED");
		assert_string_equal(word(view, "version"), FLASHSALE_VERSION);
		assert_true(word(view, "startTime")[0] && word(view, "age")[0] && word(view, "address")[0]);
	}
	assert_string_equal(word(find(root, "gatekeeper"), "detail"), "this one");
	assert_string_equal(word(find(root, "gatekeeper"), "adminAddress"), "127.0.0.1:8090");
	json_decref(root);
}

/* The list names shard 0 only. */
static void test_a_shard_without_an_instance(void **state)
{
	struct edge_options options;
	const json_t *services, *service;
	json_t *root;
	size_t i, missing = 0;

	fakes_start(&fakes);
	options = door_options(&fakes, &door);
	options.inventory_shards = 3;
	door_open_early(&door, &options);
	root = look();
	services = json_object_get(root, "services");
	json_array_foreach(services, i, service)
	{
		const json_t *shards = json_object_get(service, "missingShards");

		missing += json_array_size(shards);
		if (!strcmp(word(service, "service"), "inventory")) {
			assert_int_equal(json_integer_value(json_array_get(shards, 0)), 1);
			assert_int_equal(json_integer_value(json_array_get(shards, 1)), 2);
		}
	}
	assert_int_equal(missing, 2);
	assert_string_equal(word(find(root, "gatekeeper"), "health"), "INSTANCE_HEALTH_NOT_SERVING");
	json_decref(root);
}

static void test_one_goes_and_comes_back(void **state)
{
	wait_until(policy_is, "INSTANCE_HEALTH_SERVING");
	fakes_kill(&fakes, FAKE_POLICY);
	wait_until(policy_is, "INSTANCE_HEALTH_UNREACHABLE");
	fakes_revive(&fakes, FAKE_POLICY);
	wait_until(policy_is, "INSTANCE_HEALTH_SERVING");
	atomic_store(&fakes.starting, true);
	assert_true(policy_is("INSTANCE_HEALTH_NOT_SERVING"));
}

static void test_the_page_of_it(void **state)
{
	struct edge_request *request = door_visit(&door, EDGE_GET, "/v1/services.html", NULL, NULL);
	const struct edge_output *out = &request->out;

	assert_int_equal(out->status, 200);
	assert_string_equal(out->content_type, "text/html; charset=utf-8");
	assert_ptr_equal(out->page_policy, services_page_policy());
	assert_non_null(memmem(out->body, out->body_size, ">serving</td>", 13));
	assert_string_equal(out->route, "/v1/services.html");
	edge_request_free(door.edge, request);
}

static void test_only_so_many_at_once(void **state)
{
	struct edge_request *request;
	int refused = 0;

	for (int i = 0; i < 40; i++)
		assert_null(door_begin(&door, EDGE_GET, "/v1/services", NULL, NULL));
	for (int i = 0; i < 40; i++) {
		request = door_take(&door);
		assert_true(request->out.status == 200 || !strcmp(request->out.reason, "OVERLOADED"));
		refused += request->out.status != 200;
		edge_request_free(door.edge, request);
	}
	assert_true(refused > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_answer, setup_arena, teardown_arena),
		cmocka_unit_test_setup_teardown(
			test_it_is_not_what_the_registry_says, setup_arena, teardown_arena),
		cmocka_unit_test_setup_teardown(
			test_what_it_says_is_short_and_printable, setup_arena, teardown_arena),
		cmocka_unit_test_setup_teardown(test_no_answer, setup_arena, teardown_arena),
		cmocka_unit_test_setup_teardown(test_an_arena_at_its_cap, setup_arena, teardown_arena),
		cmocka_unit_test(test_every_text_is_escaped),
		cmocka_unit_test(test_a_page_without_room),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_the_policy),
		cmocka_unit_test_setup_teardown(test_all_are_shown, setup, teardown),
		cmocka_unit_test_teardown(test_a_shard_without_an_instance, teardown),
		cmocka_unit_test_setup_teardown(test_one_goes_and_comes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_page_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_so_many_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
