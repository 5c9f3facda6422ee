#include "rpc/service_settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/advertise.h"

#define COMMON_MAX 24

static void add(struct config_setting *table, size_t *count, struct config_setting setting)
{
	assert(*count < COMMON_MAX);
	table[(*count)++] = setting;
}

#define FIELD(field) offsetof(struct service_settings, field)

static size_t discovery_settings(struct config_setting *table, size_t count)
{
	add(table, &count,
		(struct config_setting){"discovery", CONFIG_TEXT, FIELD(discovery), NULL, true, 0, 0,
			"how services find each other: consul (CONSUL_HTTP_ADDR etc. say where), or static"});
	add(table, &count,
		(struct config_setting){"discovery-file", CONFIG_TEXT, FIELD(discovery_file), NULL, true, 0,
			0, "static list of the services' instances"});
	add(table, &count,
		(struct config_setting){"advertise", CONFIG_TEXT, FIELD(advertise), NULL, true, 0, 0,
			"HOST or HOST:PORT that Consul tells others; as --listen by default"});
	add(table, &count,
		(struct config_setting){"consul-prefix", CONFIG_TEXT, FIELD(consul_prefix), NULL, true, 0, 0,
			"what the services' names in Consul begin with; flashsale by default"});
	return count;
}

static size_t tls_settings(struct config_setting *table, size_t count)
{
	add(table, &count,
		(struct config_setting){"tls-cert", CONFIG_TEXT, FIELD(tls_cert), NULL, true, 0, 0,
			"PEM file with this service's certificate; with the next two: mutual TLS on the gRPC "
			"port and to others"});
	add(table, &count,
		(struct config_setting){"tls-key", CONFIG_TEXT, FIELD(tls_key), NULL, true, 0, 0,
			"PEM file with its private key"});
	add(table, &count,
		(struct config_setting){"tls-ca", CONFIG_TEXT, FIELD(tls_ca), NULL, true, 0, 0,
			"PEM file with who signs the others' certificates"});
	return count;
}

static size_t common_settings(
	const struct service_definition *definition, struct config_setting table[COMMON_MAX])
{
	int64_t shards_max = definition->sharded ? 1024 : 1;
	size_t count = 0;

	add(table, &count,
		(struct config_setting){"listen", CONFIG_TEXT, FIELD(listen), definition->listen, false, 0, 0,
			"address of the gRPC port"});
	add(table, &count,
		(struct config_setting){"admin", CONFIG_TEXT, FIELD(admin), definition->admin, false, 0, 0,
			"address of the admin port: /metrics, /healthz, /livez"});
	if (definition->store_table_count) {
		add(table, &count,
			(struct config_setting){"store", CONFIG_TEXT, FIELD(store), NULL,
				definition->stored != NULL, 0, 0, "folder of the store, made by `init`"});
		add(table, &count,
			(struct config_setting){"store-size", CONFIG_SIZE, FIELD(store_bytes),
				definition->store_size, false, 1 << 20, (int64_t)1 << 44,
				"how large the store may become; disk is used as it grows"});
	}
	count = discovery_settings(table, count);
	count = tls_settings(table, count);
	add(table, &count,
		(struct config_setting){"log-level", CONFIG_TEXT, FIELD(log_level), "info", false, 0, 0,
			"debug, info, warn or error; read again on SIGHUP"});
	add(table, &count,
		(struct config_setting){"shard", CONFIG_INT, FIELD(shard), "0", false, 0, shards_max - 1,
			"number of this shard, from 0"});
	add(table, &count,
		(struct config_setting){"shards", CONFIG_INT, FIELD(shards), "1", false, 1, shards_max,
			"how many shards there are"});
	/* of a shard nobody else could take over: to go on as if nothing were would only make its absence longer */
	add(table, &count,
		(struct config_setting){"drain-delay", CONFIG_DURATION_MS, FIELD(leave_ms),
			definition->sharded ? "0ms" : "500ms", false, 0, 60000,
			"at SIGTERM, how long callers may take to leave before no new call is taken"});
	add(table, &count,
		(struct config_setting){"drain-time", CONFIG_DURATION_MS, FIELD(drain_ms), "5s", false, 0,
			600000, "how long calls in flight may take to end at SIGTERM"});
	return count;
}

void service_table_init(struct service_table *table, const struct service_definition *definition)
{
	struct config_setting common[COMMON_MAX];
	size_t count = common_settings(definition, common);

	assert(definition->settings_bytes >= sizeof(struct service_settings));
	table->settings = NEW_ARRAY(count + definition->settings_count, struct config_setting);
	memcpy(table->settings, common, count * sizeof(common[0]));
	if (definition->settings_count)
		memcpy(table->settings + count, definition->settings,
			definition->settings_count * sizeof(common[0]));
	table->program = memory_format("flashsale-%s", definition->name);
	table->config = (struct config){.program = table->program,
		.purpose = definition->purpose,
		.settings = table->settings,
		.count = count + definition->settings_count,
		.words = definition->store_table_count ? "[TOOL]" : NULL};
}

void service_table_release(struct service_table *table)
{
	free(table->settings);
	free(table->program);
}

/* "host:port", the host possibly in brackets; what the host means is found out by listening. */
static bool check_address(const char *name, const char *text, struct error *error)
{
	const char *colon = strrchr(text, ':');
	char *end;
	long port;

	if (!colon || colon == text || colon[1] < '0' || colon[1] > '9')
		return error_set(
			error, "--%s is '%s'; expected HOST:PORT, such as 127.0.0.1:8083", name, text);
	port = strtol(colon + 1, &end, 10);
	if (*end || port > 65535)
		return error_set(error, "--%s is '%s'; its port must be a number up to 65535", name, text);
	return true;
}

static bool check_discovery(const struct service_settings *settings, struct error *error)
{
	const char *kind = settings->discovery;

	if (kind && strcmp(kind, "consul") && strcmp(kind, "static"))
		return error_set(error, "--discovery is '%s'; expected consul or static", kind);
	if (service_settings_use_consul(settings)) {
		if (settings->discovery_file)
			return error_set(error,
				"--discovery consul and --discovery-file %s contradict each other: "
				"services are found one way or the other",
				settings->discovery_file);
		return advertise_check(settings->advertise, settings->listen, error);
	}
	if (kind && !settings->discovery_file)
		return error_set(error, "--discovery static needs --discovery-file: the list to read");
	if (settings->advertise)
		return error_set(error, "--advertise is told to Consul, and --discovery consul is not set");
	if (settings->consul_prefix)
		return error_set(error, "--consul-prefix means nothing without --discovery consul");
	return true;
}

struct rpc_tls_files service_tls_files(const struct service_settings *settings)
{
	return (struct rpc_tls_files){settings->tls_cert, settings->tls_key, settings->tls_ca};
}

static bool check_tls(const struct service_settings *settings, struct error *error)
{
	struct rpc_tls_files files = service_tls_files(settings);

	return rpc_tls_complete(&files, "--tls-", error);
}

static bool check_common(const struct service_definition *definition, const struct service_settings *settings,
	struct error *error)
{
	enum log_level level;

	if (!check_address("listen", settings->listen, error) ||
		!check_address("admin", settings->admin, error))
		return false;
	if (!check_discovery(settings, error) || !check_tls(settings, error))
		return false;
	if (!log_level_parse(settings->log_level, &level))
		return error_set(error, "--log-level is '%s'; expected debug, info, warn or error",
			settings->log_level);
	if (!definition->sharded && settings->shard != 0)
		return error_set(error, "--shard is %lld, but %s has one shard only, number 0",
			(long long)settings->shard, definition->name);
	if (settings->shard >= settings->shards)
		return error_set(error, "--shard is %lld; with --shards %lld it can be 0 to %lld",
			(long long)settings->shard, (long long)settings->shards,
			(long long)settings->shards - 1);
	return true;
}

enum config_result service_settings_read(const struct service_table *table,
	const struct service_definition *definition, int argc, char **argv, void *target, int *ret_words,
	struct error *error)
{
	enum config_result result;

	result = config_read(&table->config, argc, argv, target, ret_words, error);
	if (result != CONFIG_OK)
		return result;
	if (check_common(definition, target, error) &&
		(!definition->check || definition->check(target, error)))
		return CONFIG_OK;
	config_release(&table->config, target);
	return CONFIG_ERROR;
}

bool service_settings_use_consul(const struct service_settings *settings)
{
	return settings->discovery && !strcmp(settings->discovery, "consul");
}

enum log_level service_settings_level(const struct service_settings *settings)
{
	enum log_level level = LOG_INFO;
	bool known = log_level_parse(settings->log_level, &level);

	assert(known);
	return level;
}

/* The program's own settings begin with the common ones. */
bool service_settings_stored(
	const struct service_definition *definition, const struct service_settings *settings)
{
	return definition->store_table_count && (!definition->stored || definition->stored(settings));
}

struct store_options service_settings_store(
	const struct service_definition *definition, const struct service_settings *settings)
{
	return (struct store_options){.directory = settings->store,
		.service = definition->name,
		.format = definition->store_format,
		.shard = (uint32_t)settings->shard,
		.shards = (uint32_t)settings->shards,
		.map_bytes = settings->store_bytes,
		.tables = definition->store_tables,
		.table_count = definition->store_table_count};
}
