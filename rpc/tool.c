/* rpc/tool.c - the call of a tool: which, with what settings. The tools that every program has are in tool_store.c. */
#include "rpc/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/service_settings.h"
#include "rpc/store_fault.h"
#include "rpc/tool_store.h"

static const struct service_tool *const common_tools[] = {&tool_init, &tool_backup, &tool_restore};

#define COMMON_TOOLS (sizeof(common_tools) / sizeof(common_tools[0]))

/* All of a program, one after the other; NULL at the end. */
static const struct service_tool *tool_at(const struct service_definition *definition, size_t i)
{
	if (!definition->store_table_count)
		return NULL;
	if (i < COMMON_TOOLS)
		return common_tools[i];
	return i - COMMON_TOOLS < definition->tool_count ? definition->tools[i - COMMON_TOOLS] : NULL;
}

const struct service_tool *tool_find(const struct service_definition *definition, const char *name)
{
	const struct service_tool *tool;

	for (size_t i = 0; name && (tool = tool_at(definition, i)); i++)
		if (strcmp(tool->name, name) == 0)
			return tool;
	return NULL;
}

void tool_print_list(const struct service_definition *definition, FILE *out)
{
	const struct service_tool *tool;

	if (!definition->store_table_count)
		return;
	fprintf(out, "\nBesides serving (each has a --help of its own):\n");
	for (size_t i = 0; (tool = tool_at(definition, i)); i++)
		fprintf(out, "  flashsale-%s %-10s %s\n", definition->name, tool->name, tool->purpose);
}

int tool_end(const struct tool_call *call, enum tool_code code, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "%s: ", call->program);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return code;
}

bool tool_needs(const struct tool_call *call, const char *name, const void *value)
{
	if (!value)
		tool_end(call, TOOL_CANNOT, "--%s must be given: see --help", name);
	return value != NULL;
}

struct store_options tool_store_options(const struct tool_call *call, const char *directory)
{
	struct store_options options = service_settings_store(call->definition, call->common);

	options.directory = directory;
	return options;
}

struct store *tool_open_reading(const struct tool_call *call, const char *directory)
{
	struct store_options options = tool_store_options(call, directory);
	struct store *store;
	struct error error;

	store_fault_watch_tool(call->program, directory);
	store = store_open_reading(&options, &error);
	if (store)
		store_fault_env(store->env);
	else
		tool_end(call, TOOL_CANNOT, "%s", error.text);
	return store;
}

/* ---- settings ---- */

/* Where the tool's own struct begins, behind the program's. */
static size_t own_offset(const struct service_definition *definition)
{
	return (definition->settings_bytes + 15) / 16 * 16;
}

/* The service's table, of which nothing must be given, and the tool's behind it. */
static void add_own(struct service_table *table, const struct service_definition *definition,
	const struct service_tool *tool)
{
	size_t count = table->config.count;

	table->settings =
		memory_resize(table->settings, count + tool->settings_count, sizeof(table->settings[0]));
	for (size_t i = 0; i < count; i++)
		table->settings[i].optional = true;
	for (size_t i = 0; i < tool->settings_count; i++) {
		table->settings[count + i] = tool->settings[i];
		table->settings[count + i].offset += own_offset(definition);
	}
	table->config.settings = table->settings;
	table->config.count += tool->settings_count;
	table->config.purpose = tool->purpose;
	table->config.words = tool->path;
}

static bool begins(const struct config_setting *setting, const char *prefix)
{
	return strncmp(setting->name, prefix, strlen(prefix)) == 0;
}

static bool concerns(const struct service_tool *tool, const struct config_setting *setting)
{
	if (begins(setting, "store") || begins(setting, "shard"))
		return tool->uses_store;
	if (begins(setting, "discovery") || begins(setting, "consul") || begins(setting, "tls"))
		return tool->uses_service;
	return false;
}

/* Only what concerns the tool. */
static void print_help(const struct service_table *table, const struct service_tool *tool)
{
	struct config_setting *shown = NEW_ARRAY(table->config.count, struct config_setting);
	struct config config = table->config;
	size_t services = config.count - tool->settings_count;

	config.settings = shown;
	config.count = 0;
	for (size_t i = 0; i < table->config.count; i++) {
		const struct config_setting *setting = &table->config.settings[i];

		if (i >= services || concerns(tool, setting))
			shown[config.count++] = *setting;
	}
	config_print_help(&config, stdout);
	free(shown);
}

static int run_with(const struct service_definition *definition, const struct service_tool *tool,
	struct service_table *table, int argc, char **argv, char *target)
{
	struct tool_call call = {.definition = definition,
		.program = table->program,
		.settings = target,
		.common = (const struct service_settings *)(const void *)target,
		.own = target + own_offset(definition)};
	struct error error;
	int words = argc, code;

	switch (service_settings_read(table, definition, argc, argv, target, &words, &error)) {
	case CONFIG_HELP:
		print_help(table, tool);
		return TOOL_FINE;
	case CONFIG_ERROR:
		return tool_end(&call, TOOL_CANNOT, "%s", error.text);
	case CONFIG_OK:
		break;
	}
	if (words < argc && tool->path)
		call.path = argv[words++];
	if (words < argc)
		code = tool_end(&call, TOOL_CANNOT, "unexpected argument '%s': see --help", argv[words]);
	else
		code = tool->run(&call);
	config_release(&table->config, target);
	return code;
}

int tool_run(
	const struct service_definition *definition, const struct service_tool *tool, int argc, char **argv)
{
	char *target = memory_new(own_offset(definition) + tool->settings_bytes);
	struct service_table table;
	char *program;
	int code;

	service_table_init(&table, definition);
	add_own(&table, definition, tool);
	program = memory_format("%s %s", table.program, tool->name);
	free(table.program);
	table.program = program;
	table.config.program = program;
	code = run_with(definition, tool, &table, argc, argv, target);
	if (fflush(stdout) != 0 && code == TOOL_FINE) {
		perror(program);
		code = TOOL_NO;
	}
	service_table_release(&table);
	free(target);
	return code;
}
