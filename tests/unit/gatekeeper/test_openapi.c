/* gatekeeper/edge/openapi: whole, and true to the routes. */
#include "fixture.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "gatekeeper/edge/openapi.h"

static json_t *make(void)
{
	size_t length;
	char *text = openapi_new(fixture.shapes, fixture.routes, &length);
	json_t *root;

	assert_int_equal(length, strlen(text));
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	free(text);
	return root;
}

static json_t *step(json_t *at, const char *name)
{
	json_t *next = json_object_get(at, name);

	if (!next)
		fail_msg("no %s", name);
	return next;
}

static json_t *operation_of(json_t *root, const struct route *route)
{
	char name[16];

	snprintf(name, sizeof(name), "%s", route_method_name(route->http_method));
	for (char *at = name; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return step(step(step(root, "paths"), route->path), name);
}

static void test_every_route(void **state)
{
	json_t *root = make(), *ids = json_object();
	size_t count;
	const struct route *list = routes_all(fixture.routes, &count);

	assert_string_equal(json_string_value(step(root, "openapi")), "3.1.0");
	for (size_t i = 0; i < count; i++) {
		json_t *operation = operation_of(root, &list[i]), *parameters = step(operation, "parameters");
		const char *id = json_string_value(step(operation, "operationId"));

		if (json_object_get(ids, id))
			fail_msg("twice: %s", id);
		json_object_set_new(ids, id, json_true());
		assert_true(json_string_length(step(operation, "summary")) > 0);
		assert_true((json_object_get(operation, "requestBody") != NULL) == list[i].body);
		for (unsigned j = 0; j < list[i].capture_count; j++) {
			json_t *parameter = json_array_get(parameters, j);

			assert_string_equal(
				json_string_value(step(parameter, "name")), list[i].captures[j]->field->name);
			assert_string_equal(json_string_value(step(parameter, "in")), "path");
			assert_true(json_is_true(step(parameter, "required")));
		}
		step(step(operation, "responses"), list[i].created ? "201" : "200");
		step(step(operation, "responses"), "default");
		assert_int_equal(json_object_size(step(operation, "responses")), 2);
	}
	json_decref(ids);
	json_decref(root);
}

/* Follows every $ref. */
static void check_references(json_t *root, json_t *value)
{
	const char *key;
	json_t *child;
	size_t index;

	if (json_is_array(value))
		json_array_foreach(value, index, child) check_references(root, child);
	if (!json_is_object(value))
		return;
	json_object_foreach(value, key, child)
	{
		if (!strcmp(key, "$ref")) {
			char path[512], *rest, *part;
			json_t *at = root;

			snprintf(path, sizeof(path), "%s", json_string_value(child) + 2);
			for (part = strtok_r(path, "/", &rest); part; part = strtok_r(NULL, "/", &rest))
				at = step(at, part);
		} else {
			check_references(root, child);
		}
	}
}

static void test_references(void **state)
{
	json_t *root = make();

	check_references(root, root);
	json_decref(root);
}

static void test_schemas(void **state)
{
	json_t *root = make(), *schemas = step(step(root, "components"), "schemas");
	json_t *goods = step(step(schemas, "inventory.v1.Goods"), "properties");
	json_t *row = step(step(schemas, "compatible.inventory.v1.Goods"), "properties");
	json_t *update, *body;

	assert_string_equal(json_string_value(step(step(goods, "goodsPrice"), "type")), "number");
	assert_string_equal(json_string_value(step(step(goods, "goodsQuantity"), "format")), "uint64");
	assert_non_null(strstr(
		json_string_value(step(step(goods, "stock"), "description")), "available + held + sold"));
	step(goods, "holdTtl");
	assert_int_equal(json_object_size(row), 3);
	update = step(step(step(root, "paths"), "/v1/goods/{sku}"), "put");
	assert_string_equal(json_string_value(step(update, "x-access")), "operator");
	body = step(step(step(step(update, "requestBody"), "content"), "application/json"), "schema");
	assert_null(json_object_get(step(body, "properties"), "goodsSKU")); /* the path says it */
	assert_null(json_object_get(body, "required"));
	step(step(body, "properties"), "goodsPrice");
	assert_true(json_array_size(
			    step(step(step(step(schemas, "Problem"), "properties"), "reason"), "enum")) > 20);
	json_decref(root);
}

static void test_what_is_made_is_201_with_its_path(void **state)
{
	json_t *root = make(), *paths = step(root, "paths"), *responses;

	responses = step(step(step(paths, "/v1/goods"), "post"), "responses");
	step(step(step(responses, "201"), "headers"), "Location");
	responses = step(step(step(paths, "/v1/bans"), "post"), "responses");
	step(step(step(responses, "201"), "headers"), "Location");
	responses = step(step(step(paths, "/v1/buy"), "post"), "responses");
	assert_null(json_object_get(step(responses, "200"), "headers"));
	json_decref(root);
}

static void test_a_bare_list_may_be_truncated(void **state)
{
	json_t *root = make(), *paths = step(root, "paths"), *responses;

	responses = step(step(step(paths, "/badguy/all"), "get"), "responses");
	step(step(step(responses, "200"), "headers"), "Flashsale-Truncated");
	responses = step(step(step(paths, "/v1/bans"), "get"), "responses");
	assert_null(json_object_get(step(responses, "200"), "headers"));
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_every_route, fixture_clear),
		cmocka_unit_test_setup(test_what_is_made_is_201_with_its_path, fixture_clear),
		cmocka_unit_test_setup(test_a_bare_list_may_be_truncated, fixture_clear),
		cmocka_unit_test_setup(test_references, fixture_clear),
		cmocka_unit_test_setup(test_schemas, fixture_clear),
	};

	return cmocka_run_group_tests_name("edge/openapi", tests, fixture_setup, fixture_teardown);
}
