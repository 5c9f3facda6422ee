/* Any bytes as Consul's answers: never a crash, never more than is allowed, and what is taken is a list as the rest of the program expects it. The first byte
 * chooses which answer. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/consul_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct registration self = {.service = "cart",
	.self = {.id = "cart-h-8084",
		.address = "10.1.2.3:8084",
		.admin_address = "",
		.version = "1",
		.shard = 0,
		.shards = 1},
	.health_service = ""};

static struct instances *read_answer(const char *json, size_t size)
{
	struct error why = {0}, error = {0};
	size_t left_out = 0;
	struct instances *list = consul_json_read(json, size, 7, &left_out, &why, &error);

	assert(list ? !error.text[0] : error.text[0]);
	assert(!left_out == !why.text[0]);
	assert(memchr(why.text, '\0', sizeof(why.text)) && memchr(error.text, '\0', sizeof(error.text)));
	return list;
}

static void check_list(const struct instances *list)
{
	assert(list->count <= INSTANCES_MAX && list->seen_wall_ms == 7);
	for (size_t i = 0; i < list->count; i++) {
		assert(instance_check(&list->items[i], NULL));
		assert(!i || strcmp(list->items[i - 1].id, list->items[i].id) < 0);
		assert(list->items[i].shards == list->items[0].shards);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct instances *list, *again;
	char *json; /* of exactly that size, so that a byte too far is seen */

	if (size < 1)
		return 0;
	json = malloc(size);
	memcpy(json, data + 1, size - 1);
	if (data[0] & 1) {
		consul_json_is_ours(json, size - 1, &self, "flashsale-cart");
	} else if ((list = read_answer(json, size - 1))) {
		check_list(list);
		again = read_answer(json, size - 1);
		assert(again && instances_equal(list, again));
		instances_drop(again);
		instances_drop(list);
	}
	free(json);
	return 0;
}
