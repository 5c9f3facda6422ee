/* inventory/main.c - the program flashsale-inventory. */
#include "inventory/inventory.h"
#include "inventory/tools.h"

static const struct config_setting settings[] = {
	{"hold-ttl", CONFIG_DURATION_MS, offsetof(struct inventory_settings, hold_ttl_ms), "10m", false,
		HOLD_TTL_MIN_MS, HOLD_TTL_MAX_MS, "how long a hold lasts, for goods that do not say"},
	{"outage-grace-max", CONFIG_DURATION_MS, offsetof(struct inventory_settings, outage_grace_max_ms),
		"10m", false, 0, HOLD_TTL_MAX_MS,
		"after an outage live deadlines move by its length, at most by this"},
	{"retention", CONFIG_DURATION_MS, offsetof(struct inventory_settings, retention_ms), "25h", false,
		RETENTION_MIN_MS, RETENTION_MAX_MS,
		"how long what ended unsold is kept, and ids of adjustments; carts remember keys for a day"},
	{"queue-max", CONFIG_INT, offsetof(struct inventory_settings, queue_max), "65536", false, 4096,
		16777216, "items that may wait for the store; more are refused as overloaded"},
};

static const struct rpc_limits limits = {
	.request_bytes_max = 4 * 1024 * 1024,
	.arena_bytes_max = 16 * 1024 * 1024,
	.items_max = 4096,
	.calls_max = 4096,
	.streams_max = 1024,
};

static bool start(struct service *service, struct error *error)
{
	struct inventory_parts parts = {.settings = service->settings,
		.clock = service->clock,
		.incarnation = service->incarnation,
		.loop = service->loop,
		.store = service->store,
		.fatal = service_fatal,
		.fatal_context = service};
	struct inventory *inventory = inventory_new(&parts, error);

	if (!inventory)
		return false;
	service->state = inventory;
	rpc_serve(service->server, &inventory->methods.base);
	service_set_serving(service, true);
	return true;
}

static void stop(struct service *service)
{
	inventory_end(service->state);
}

static void release(struct service *service)
{
	inventory_free(service->state);
}

static const struct service_tool *const tools[] = {&tool_audit, &tool_export, &tool_reshard};

/* Who may call what, where there is TLS. Operators may call all of it. */
static const struct rpc_access access[] = {
	{"CreateGoods", ROLE_GATEKEEPER},
	{"GetGoods", ROLE_GATEKEEPER | ROLE_CART},
	{"ListGoods", ROLE_GATEKEEPER},
	{"UpdateGoods", ROLE_GATEKEEPER},
	{"CloseGoods", ROLE_GATEKEEPER},
	{"SetAvailable", ROLE_GATEKEEPER},
	{"AdjustStock", ROLE_GATEKEEPER},
	{"ArchiveGoods", ROLE_GATEKEEPER},
	{"ValidateStock", ROLE_GATEKEEPER},
	{"GetHold", ROLE_GATEKEEPER | ROLE_CART},
	{"ListHolds", ROLE_GATEKEEPER},
	{"WatchStock", ROLE_GATEKEEPER},
	{"ListFollowers", ROLE_GATEKEEPER},
	{"UnregisterFollower", ROLE_GATEKEEPER},
	{"AuditStock", ROLE_GATEKEEPER},
	{"CreateHold", ROLE_CART},
	{"BatchCreateHolds", ROLE_CART},
	{"ReleaseHold", ROLE_CART},
	{"BatchReleaseHolds", ROLE_CART},
	{"ConfirmHold", ROLE_CART},
	{"BatchConfirmHolds", ROLE_CART},
	{"ResizeHold", ROLE_CART},
	{"BindOrderHolds", ROLE_CART},
	{"ConfirmOrderHolds", ROLE_CART},
	{"ReleaseOrderHolds", ROLE_CART},
	{"RefundOrderHolds", ROLE_CART},
	{"FenceCart", ROLE_CART},
	{"ReadLedger", ROLE_CART},
	{"AcknowledgeLedger", ROLE_CART},
	{NULL, 0},
};

static const struct service_definition definition = {
	.name = "inventory",
	.purpose = "the one truth about stock: goods, holds and the ledger of one shard",
	.listen = "127.0.0.1:8083",
	.admin = "127.0.0.1:8093",
	.sharded = true,
	.settings = settings,
	.settings_count = sizeof(settings) / sizeof(settings[0]),
	.settings_bytes = sizeof(struct inventory_settings),
	.store_format = INVENTORY_FORMAT,
	.store_tables = books_tables,
	.store_table_count = TABLE_COUNT,
	.store_size = "64g",
	.tools = tools,
	.tool_count = sizeof(tools) / sizeof(tools[0]),
	.verify_store = inventory_verify_store,
	.restored = "Next: start inventory with it. Every cart stops this shard, and says so, until an "
		    "operator has run\n"
		    "`flashsale-cart reconcile` on the cart's store: it shows what people were promised "
		    "since the backup, and\n"
		    "with --apply makes it good or lists what is short.",
	.limits = &limits,
	.access = access,
	.start = start,
	.stop = stop,
	.release = release,
};

int main(int argc, char **argv)
{
	return service_run(&definition, argc, argv);
}
