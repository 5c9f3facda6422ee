/* rpc/tool.h - what a service program can do besides serving: `flashsale-NAME TOOL ...`.
 *
 * The word comes first, then its flags, and a path for a tool that wants one. A tool reads its own settings and the service's, so that the service's settings
 * file and environment do for both; of these nothing must be given but what the tool says. Every program with a store has `init`, `backup` and `restore`;
 * a program adds its own (service_definition.tools).
 * Ends with TOOL_FINE, TOOL_NO or TOOL_CANNOT; what went wrong is said on stderr. While a tool runs, a store file that can't be read ends it with TOOL_CANNOT
 * and a text (rpc/store_fault.h).
 * Threads: main's. No log is written. */
#ifndef FLASHSALE_RPC_TOOL_H
#define FLASHSALE_RPC_TOOL_H

#include "rpc/service.h"

enum tool_code {
	TOOL_FINE = 0,
	TOOL_NO = 1,	/* it was looked at, and is not so; or it could not be done */
	TOOL_CANNOT = 2 /* the call or the store can't be read */
};

struct tool_call {
	const struct service_definition *definition;
	const char *program;  /* "flashsale-inventory audit" */
	const void *settings; /* the program's own struct */
	const struct service_settings *common;
	const void *own;  /* the tool's struct */
	const char *path; /* NULL: none was given */
};

struct service_tool {
	const char *name;
	const char *purpose; /* one line for --help */
	const char *path;    /* what the path is, "STORE"; NULL: it takes none */
	/* Its own settings: offsets count from the start of its struct. */
	const struct config_setting *settings;
	size_t settings_count, settings_bytes;
	/* For --help: which of the service's settings it goes by, --store or those that lead to a running service. */
	bool uses_store, uses_service;
	int (*run)(const struct tool_call *call);
};

/* For the tools: options for the store in `directory`, and that store opened to be looked at; NULL: it was said why. */
struct store_options tool_store_options(const struct tool_call *call, const char *directory);
struct store *tool_open_reading(const struct tool_call *call, const char *directory);

/* Says it on stderr, behind the program's name. Returns `code`. */
int tool_end(const struct tool_call *call, enum tool_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Whether this setting was given; false: it was said that it must be. */
bool tool_needs(const struct tool_call *call, const char *name, const void *value);

/* ---- for service.c ---- */

/* The tool of that name, or NULL. */
const struct service_tool *tool_find(const struct service_definition *definition, const char *name);
extern const struct service_tool tool_init;
void tool_print_list(const struct service_definition *definition, FILE *out);
/* argv[0] is the tool's name. */
int tool_run(
	const struct service_definition *definition, const struct service_tool *tool, int argc, char **argv);

#endif
