/* rpc/service.h - what every service program is around its domain: settings, `init`, start-up, admin port, signals, drain.
 *
 * A program declares a struct service_definition and its main() is `return service_run(&definition, argc, argv);`. In order:
 *  0. `flashsale-NAME TOOL ...` runs a tool (rpc/tool.h) and ends: `init` creates the store.
 *  1. settings: the common ones below and the program's own, from flags, file, environment (base/config.h). Then check().
 *  2. start-up: log, store, loop, discovery, server; start(), which builds the domain and calls rpc_serve(); the gRPC port; the admin port.
 *     start() or whoever finishes what start() began says service_set_serving(service, true); until then health says NOT_SERVING.
 *  3. SIGHUP reads the settings again and applies the log level, and looks whether the certificates changed; SIGTERM and SIGINT end the service: health says NOT_SERVING,
 *     it leaves discovery, serves until its callers have left (at most --drain-delay); no new calls, those in flight end (at most --drain-time); stop(): the domain's own threads end and answer what they
 *     still hold; the server goes, and what was posted to the loop has run; release(): everything else of the domain; then the loop, the store,
 *     the admin port.
 * A step that fails undoes those before it, in the same order. Hooks that were not reached are not called: stop() and release() follow
 * only a start() that returned true, which undoes its own halves when it returns false.
 * Ends with 0: a graceful end, --help, a store that was created; 2: settings that can't be; 1: anything else. What went wrong is said with
 * what to do about it. Threads: hooks run on the main thread, all signals blocked in every thread; service_set_serving and service_fatal: any. */
#ifndef FLASHSALE_RPC_SERVICE_H
#define FLASHSALE_RPC_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/id.h"
#include "base/store.h"
#include "discovery/discovery.h"
#include "rpc/access.h"
#include "rpc/loop.h"
#include "rpc/server.h"
#include "rpc/tls.h"

/* The settings that every service has; the first member of a program's own struct. */
struct service_settings {
	char *listen;	      /* --listen 127.0.0.1:8083, the gRPC port */
	char *admin;	      /* --admin 127.0.0.1:8093 */
	char *store;	      /* --store DIR; NULL for a program without one */
	int64_t store_bytes;  /* --store-size 16g */
	char *discovery;      /* --discovery consul|static; NULL: static when there is a file, else none */
	char *discovery_file; /* --discovery-file FILE; NULL: none was given */
	char *advertise;      /* --advertise ADDRESS; NULL: as --listen */
	char *consul_prefix;  /* --consul-prefix NAME; NULL: the standard one */
	char *log_level;      /* --log-level info */
	int64_t shard, shards;
	int64_t leave_ms; /* --drain-delay 500ms; 0ms where there is one owner a shard */
	int64_t drain_ms; /* --drain-time 5s */
	char *tls_cert, *tls_key, *tls_ca; /* --tls-cert FILE and so on; NULL: plaintext */
};

struct service;
struct service_tool;

struct service_definition {
	const char *name;    /* "inventory"; the program is flashsale-inventory */
	const char *purpose; /* one line for --help */
	const char *listen;  /* the standard of --listen */
	const char *admin;   /* the standard of --admin */
	bool sharded;	     /* false: --shard and --shards can only be 0 and 1 */

	/* The program's own settings: offsets count from the start of its struct, whose first member is struct service_settings. */
	const struct config_setting *settings;
	size_t settings_count;
	size_t settings_bytes; /* of the whole struct */

	/* The store; no tables: the program has none, and no tools. */
	uint32_t store_format;
	const char *const *store_tables;
	uint32_t store_table_count;
	const char *store_size; /* the standard of --store-size: "16g" */
	bool (*stored)(const void *settings); /* whether it needs its store with these settings; NULL: always */

	/* What the program can do besides (rpc/tool.h), beyond init, backup and restore. */
	const struct service_tool *const *tools;
	size_t tool_count;
	/* Whether a backup is worth restoring: 0, or an enum tool_code with the error. May be NULL. */
	int (*verify_store)(struct store *backup, struct error *error);
	const char *restored; /* what to do after a restore, for people; may be NULL */

	const struct rpc_limits *limits; /* NULL: rpc_limits_standard */
	const struct rpc_access *access; /* who may call what, with TLS; NULL: every certificate everything */

	/* Looks at the settings beyond what a range can say; false: exit 2 with the error. Also before a tool. May be NULL. */
	bool (*check)(const void *settings, struct error *error);
	bool (*start)(struct service *service, struct error *error);
	void (*stop)(struct service *service);	  /* may be NULL */
	void (*release)(struct service *service); /* may be NULL */
};

/* What the hooks find; everything but `state` is the service's, to be read only. */
struct service {
	const struct service_definition *definition;
	const void *settings; /* the program's own struct */
	const struct service_settings *common;
	const struct clock_source *clock;
	struct id incarnation; /* of this process: for watch boards */
	struct store *store;   /* NULL: the program has none */
	struct rpc_loop *loop;
	struct discovery *discovery; /* NULL: neither a --discovery-file nor Consul */
	struct rpc_tls *tls; /* NULL: plaintext */
	struct rpc_server *server;
	void *state;		 /* the program's own, set by start() */
	struct service_run *run; /* service.c's */
};

int service_run(const struct service_definition *definition, int argc, char **argv);

struct rpc_tls_files service_tls_files(const struct service_settings *settings); /* NULLs: plaintext */

/* What health and the admin port say. After the end has begun, true changes nothing. */
void service_set_serving(struct service *service, bool serving);

/* Ends the process at once with 1: memory and store may differ, only a restart can tell. Fits writer_options.fatal. */
_Noreturn void service_fatal(void *service, const char *why);

#endif
