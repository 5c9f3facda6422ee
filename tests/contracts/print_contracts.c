/* print_contracts.c - what REST's users are told, as JSON on stdout: {"openapi": what the gatekeeper serves as /openapi.json,
 * "reasons": [the traits of each reason]}. From the programs' own tables and without a running system; scripts/rest_reference.py makes docs/rest.md from it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "gatekeeper/edge/openapi.h"
#include "rpc/reason.h"

static const char *retry_name(Options__Retry retry)
{
	switch (retry) {
	case OPTIONS__RETRY__RETRY_LATER:
		return "later";
	case OPTIONS__RETRY__RETRY_SAME_KEY:
		return "same-key";
	case OPTIONS__RETRY__RETRY_WITH_SOLUTION:
		return "with-solution";
	default:
		return "no";
	}
}

static json_t *reasons(const struct shapes *shapes)
{
	const ProtobufCEnumDescriptor *type = &common__reason__descriptor;
	json_t *list = json_array();

	for (unsigned i = 0; i < type->n_values; i++) {
		const int value = type->values[i].value;
		const struct rpc_reason *reason = rpc_reason_get((Common__Reason)value);

		if (!reason)
			continue;
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:i}", "name", reason->name, "meaning",
				shapes_enum_comment(shapes, type, value), "title", reason->title, "code",
				rpc_code_name(reason->code), "status", (int)reason->http_status, "retry",
				retry_name(reason->retry), "retryAfterMs", (int)reason->retry_after_ms));
	}
	return list;
}

int main(void)
{
	struct error error;
	struct shapes *shapes = shapes_new(&error);
	struct routes *routes = shapes ? routes_new(shapes, &error) : NULL;
	size_t length;
	char *openapi;
	json_t *root;
	int failed;

	if (!routes) {
		fprintf(stderr, "flashsale-print-contracts: %s\n", error.text);
		shapes_free(shapes);
		return 1;
	}
	openapi = openapi_new(shapes, routes, &length);
	root = json_pack(
		"{s:o, s:o}", "openapi", json_loadb(openapi, length, 0, NULL), "reasons", reasons(shapes));
	failed = !root || json_dumpf(root, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) != 0 ||
		 fflush(stdout) != 0;
	json_decref(root);
	free(openapi);
	routes_free(routes);
	shapes_free(shapes);
	return failed;
}
