/* rpc/service_settings.h - the settings half of rpc/service.c: the common table, reading, checking. For service.c only. */
#ifndef FLASHSALE_RPC_SERVICE_SETTINGS_H
#define FLASHSALE_RPC_SERVICE_SETTINGS_H

#include "base/log.h"
#include "rpc/service.h"

/* A program's whole table: the common settings, then its own. */
struct service_table {
	struct config config;
	struct config_setting *settings;
	char *program; /* "flashsale-inventory" */
};

void service_table_init(struct service_table *table, const struct service_definition *definition);
void service_table_release(struct service_table *table);

/* Reads and checks; a zeroed *target is filled, to be given back with config_release. *ret_words as for config_read. */
enum config_result service_settings_read(const struct service_table *table,
	const struct service_definition *definition, int argc, char **argv, void *target, int *ret_words,
	struct error *error);

bool service_settings_use_consul(const struct service_settings *settings);
enum log_level service_settings_level(const struct service_settings *settings); /* of checked settings */
bool service_settings_stored(
	const struct service_definition *definition, const struct service_settings *settings);
struct store_options service_settings_store(
	const struct service_definition *definition, const struct service_settings *settings);

#endif
