/* policy/main.c - the program flashsale-policy. */
#include "policy/policy.h"
#include "policy/records.h"
#include "policy/shelf.h"

static const struct config_setting settings[] = {
	{"default-limit", CONFIG_INT, offsetof(struct policy_settings, default_limit), "5", false, 0,
		RULES_UNITS_MAX, "units of a SKU per person where no rule fits; 0 is no limit"},
	{"rules-max", CONFIG_INT, offsetof(struct policy_settings, rules_max), "100000", false, 1, 1000000,
		"how many rules there can be"},
	{"replica-of", CONFIG_TEXT, offsetof(struct policy_settings, replica_of), NULL, true, 0, 0,
		"HOST:PORT of the owner of the rules: follow it, without a store"},
	{"owner-silence-max", CONFIG_DURATION_MS, offsetof(struct policy_settings, owner_silence_ms), "30s",
		false, 1000, 3600000, "a replica that has not heard its owner for longer answers nothing"},
};

/* Who may call what, where there is TLS. Operators may call all of it. */
static const struct rpc_access access[] = {
	{"ValidatePurchase", ROLE_GATEKEEPER},
	{"BatchValidatePurchases", ROLE_GATEKEEPER},
	{"SetPolicy", ROLE_GATEKEEPER | ROLE_POLICY},
	{"GetPolicy", ROLE_GATEKEEPER | ROLE_POLICY},
	{"ListPolicies", ROLE_GATEKEEPER | ROLE_POLICY},
	{"DeletePolicy", ROLE_GATEKEEPER | ROLE_POLICY},
	{"WatchPolicies", ROLE_GATEKEEPER | ROLE_POLICY},
	{NULL, 0},
};

static const struct service_definition definition = {
	.name = "policy",
	.purpose = "how many units of a SKU one person may have, and when the sale is open",
	.listen = "127.0.0.1:8082",
	.admin = "127.0.0.1:8092",
	.settings = settings,
	.settings_count = sizeof(settings) / sizeof(settings[0]),
	.settings_bytes = sizeof(struct policy_settings),
	.store_format = POLICY_FORMAT,
	.store_tables = shelf_tables,
	.store_table_count = SHELF_TABLE_COUNT,
	.store_size = "1g",
	.stored = policy_stored,
	.check = policy_check,
	.access = access,
	.start = policy_start,
	.stop = policy_stop,
	.release = policy_release,
};

int main(int argc, char **argv)
{
	return service_run(&definition, argc, argv);
}
