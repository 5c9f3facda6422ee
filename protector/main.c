/* protector/main.c - the program flashsale-protector. */
#include "protector/protector.h"
#include "protector/records.h"
#include "protector/shelf.h"
#include "protector/tool_lists.h"
#include "protector/tool_replay.h"

static const struct config_setting settings[] = {
	{"allow", CONFIG_TEXT, offsetof(struct protector_settings, allow), "127.0.0.0/8,::1/128", false, 0, 0,
		"addresses and ranges that are never banned, with commas; empty: none"},
	{"bans-max", CONFIG_INT, offsetof(struct protector_settings, bans_max), "2000000", false, 1, 4000000,
		"how many bans there can be; gatekeepers keep four million of a protector"},
	{"history-retention", CONFIG_DURATION_MS, offsetof(struct protector_settings, history_retention_ms),
		"168h", false, 0, INT64_C(400) * 86400 * 1000,
		"how long bans that are over are kept, to be explained and counted; 0s: not at all"},
	{"address-retention", CONFIG_DURATION_MS, offsetof(struct protector_settings, address_retention_ms),
		"24h", false, 0, INT64_C(400) * 86400 * 1000,
		"how long after a ban's end its address is kept; then a hash of it takes its place"},
	{"history-max", CONFIG_INT, offsetof(struct protector_settings, history_max), "1000000", false, 0,
		10000000, "how many bans that are over are kept; the oldest go first"},
	{"record", CONFIG_TEXT, offsetof(struct protector_settings, record), NULL, true, 0, 0,
		"a file that reported traffic is appended to, for `replay`: it holds accounts and addresses"},
	{"record-max", CONFIG_SIZE, offsetof(struct protector_settings, record_max), "1g", false, 4096,
		INT64_MAX, "how large that file may get"},
};

/* Who may call what, where there is TLS. Operators may call all of it. */
static const struct rpc_access access[] = {
	{"ValidateClient", ROLE_GATEKEEPER},
	{"BatchValidateClients", ROLE_GATEKEEPER},
	{"CreateBan", ROLE_GATEKEEPER},
	{"BatchCreateBans", ROLE_PROTECTOR},
	{"GetBan", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"ListBans", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"DeleteBan", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"CreateAllowance", ROLE_GATEKEEPER},
	{"GetAllowance", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"ListAllowances", ROLE_GATEKEEPER},
	{"DeleteAllowance", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"AddBadAccount", ROLE_GATEKEEPER},
	{"ListBadAccounts", ROLE_GATEKEEPER},
	{"GetBadAccount", ROLE_GATEKEEPER},
	{"RemoveBadAccount", ROLE_GATEKEEPER},
	{"AddBadAddress", ROLE_GATEKEEPER},
	{"ListBadAddresses", ROLE_GATEKEEPER},
	{"GetBadAddress", ROLE_GATEKEEPER},
	{"RemoveBadAddress", ROLE_GATEKEEPER},
	{"ReportTraffic", ROLE_GATEKEEPER},
	{"ListDetectors", ROLE_GATEKEEPER},
	{"GetDetector", ROLE_GATEKEEPER},
	{"UpdateDetector", ROLE_GATEKEEPER},
	{"GetLadder", ROLE_GATEKEEPER},
	{"UpdateLadder", ROLE_GATEKEEPER},
	{"ListTopClients", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"WatchBans", ROLE_GATEKEEPER | ROLE_PROTECTOR},
	{"WatchDetectors", ROLE_PROTECTOR},
	{NULL, 0},
};

static const struct service_tool *const tools[] = {&tool_replay, &tool_import, &tool_ban_export};

static const struct service_definition definition = {
	.name = "protector",
	.purpose = "is this client welcome? Bans of accounts and addresses",
	.listen = "127.0.0.1:8081",
	.admin = "127.0.0.1:8091",
	.settings = settings,
	.settings_count = sizeof(settings) / sizeof(settings[0]),
	.settings_bytes = sizeof(struct protector_settings),
	.store_format = PROTECTOR_FORMAT,
	.store_tables = shelf_tables,
	.store_table_count = SHELF_TABLE_COUNT,
	.store_size = "4g",
	.tools = tools,
	.tool_count = sizeof(tools) / sizeof(tools[0]),
	.check = protector_check,
	.access = access,
	.start = protector_start,
	.stop = protector_stop,
	.release = protector_release,
};

int main(int argc, char **argv)
{
	return service_run(&definition, argc, argv);
}
