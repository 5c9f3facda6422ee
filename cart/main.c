/* cart/main.c - the program flashsale-cart. */
#include "cart/service.h"
#include "cart/tools.h"

static const struct config_setting settings[] = {
	{"inventory-shards", CONFIG_INT, offsetof(struct cart_settings, inventory_shards), "1", false, 1,
		4096, "how many shards inventory has; can't change under a store"},
	{"attempts-max", CONFIG_INT, offsetof(struct cart_settings, attempts_max), "262144", false, 1,
		16777216, "adds under way at once; more are refused"},
	{"queue-max", CONFIG_INT, offsetof(struct cart_settings, queue_max), "65536", false, 1, 16777216,
		"of these, adds that wait for a shard of inventory to come back"},
	{"remembered-max", CONFIG_INT, offsetof(struct cart_settings, remembered_max), "4000000", false, 1,
		1000000000, "ended holds whose keys are remembered (for a day)"},
	{"start-grace", CONFIG_DURATION_MS, offsetof(struct cart_settings, start_grace_ms), "10s", false, 0,
		3600000,
		"at start, how long to wait for all shards of inventory before those that answer are enough"},
};

static const struct rpc_limits limits = {
	.request_bytes_max = 4 * 1024 * 1024,
	.arena_bytes_max = 32 * 1024 * 1024,
	.items_max = 4096,
	.calls_max = 8192,
	.streams_max = 1024,
};

static const struct service_tool *const tools[] = {&tool_reconcile, &tool_cart_export, &tool_cart_reshard};

/* Who may call what, where there is TLS. Operators may call all of it. */
static const struct rpc_access access[] = {
	{"AddItem", ROLE_GATEKEEPER},
	{"BatchAddItems", ROLE_GATEKEEPER},
	{"BatchLookupKeys", ROLE_GATEKEEPER},
	{"UpdateItem", ROLE_GATEKEEPER},
	{"RemoveItem", ROLE_GATEKEEPER},
	{"GetCart", ROLE_GATEKEEPER},
	{"GetItem", ROLE_GATEKEEPER},
	{"GetUserUnits", ROLE_GATEKEEPER},
	{"Checkout", ROLE_GATEKEEPER},
	{"GetOrder", ROLE_GATEKEEPER},
	{"ListOrders", ROLE_GATEKEEPER},
	{"ConfirmOrder", ROLE_GATEKEEPER},
	{"CancelOrder", ROLE_GATEKEEPER},
	{"RefundOrder", ROLE_GATEKEEPER},
	{NULL, 0},
};

static const struct service_definition definition = {
	.name = "cart",
	.purpose = "who has what: the limit per person, idempotency keys and carts",
	.listen = "127.0.0.1:8084",
	.admin = "127.0.0.1:8094",
	.sharded = true,
	.settings = settings,
	.settings_count = sizeof(settings) / sizeof(settings[0]),
	.settings_bytes = sizeof(struct cart_settings),
	.store_format = CART_STORE_FORMAT,
	.store_tables = shelf_tables,
	.store_table_count = SHELF_TABLE_COUNT,
	.store_size = "16g",
	.tools = tools,
	.tool_count = sizeof(tools) / sizeof(tools[0]),
	.limits = &limits,
	.check = cart_service_check,
	.access = access,
	.start = cart_service_start,
	.stop = cart_service_stop,
	.release = cart_service_release,
};

int main(int argc, char **argv)
{
	return service_run(&definition, argc, argv);
}
