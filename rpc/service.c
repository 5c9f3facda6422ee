#include "rpc/service.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "base/process_metrics.h"
#include "discovery/consul.h"
#include "discovery/static.h"
#include "rpc/admin.h"
#include "rpc/advertise.h"
#include "rpc/self.h"
#include "rpc/service_settings.h"
#include "rpc/store_fault.h"
#include "rpc/tool.h"

enum { EXIT_GRACEFUL = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct service_run {
	struct service service;
	struct service_table table;
	int argc;
	char **argv;
	void *settings;
	char *instance; /* unique within the service, stable over restarts */
	struct admin *admin;
	struct rpc_self *self;
	bool started;
	_Atomic bool serving, ending;
};

/* Of the one store of the process. */
static int64_t store_used(void *store)
{
	struct store_usage usage;

	store_usage(store, &usage);
	return usage.used_bytes;
}

static int64_t store_disk_free(void *store)
{
	struct store_usage usage;

	store_usage(store, &usage);
	return usage.disk_free_bytes;
}

static struct metric metric_store_used = {.kind = METRIC_GAUGE,
	.name = "flashsale_store_used_bytes",
	.help = "Bytes of the store's pages in use.",
	.read = store_used};
static struct metric metric_store_size = {.kind = METRIC_GAUGE,
	.name = "flashsale_store_size_bytes",
	.help = "How large the store may become."};
static struct metric metric_disk_free = {.kind = METRIC_GAUGE,
	.name = "flashsale_store_disk_free_bytes",
	.help = "Bytes free on the store's disk.",
	.read = store_disk_free};

static void register_store_metrics(struct store *store)
{
	metric_store_used.context = store;
	metric_disk_free.context = store;
	metric_set(&metric_store_size, store->map_bytes);
	metrics_register(&metric_store_used);
	metrics_register(&metric_store_size);
	metrics_register(&metric_disk_free);
}

static void unregister_store_metrics(void)
{
	metrics_unregister(&metric_store_used);
	metrics_unregister(&metric_store_size);
	metrics_unregister(&metric_disk_free);
}

static int usage_failed(const struct service_table *table, const struct error *error)
{
	fprintf(stderr, "%s: %s\n", table->program, error->text);
	return EXIT_USAGE;
}

static bool is_healthy(void *context)
{
	struct service_run *run = context;

	return atomic_load(&run->serving) && !atomic_load(&run->ending);
}

void service_set_serving(struct service *service, bool serving)
{
	struct service_run *run = service->run;

	if (atomic_load(&run->ending))
		return;
	atomic_store(&run->serving, serving);
	rpc_server_set_serving(service->server, serving);
}

_Noreturn void service_fatal(void *service, const char *why)
{
	log_error("ending at once; a restart finds out what is in the store", LOG_TEXT("why", why));
	_exit(EXIT_FAILED);
}

/* What the end undoes, as far as the start came: every step looks whether there is something. */
static void end(struct service_run *run)
{
	struct service *service = &run->service;
	const struct service_definition *definition = service->definition;

	atomic_store(&run->ending, true);
	/* first told to who asks here, then to who asks elsewhere; then they have the time to leave */
	if (service->server)
		rpc_server_set_serving(service->server, false);
	if (service->discovery)
		discovery_deregister(service->discovery);
	if (service->server)
		rpc_server_drain(service->server, service->common->leave_ms, service->common->drain_ms);
	if (run->started && definition->stop)
		definition->stop(service);
	rpc_server_free(service->server);
	rpc_self_free(run->self);
	if (service->loop)
		rpc_run(service->loop, NULL, NULL);
	if (run->started && definition->release)
		definition->release(service);
	if (service->loop)
		rpc_loop_free(service->loop);
	if (service->discovery)
		discovery_free(service->discovery);
	admin_free(run->admin);
	if (service->store)
		unregister_store_metrics();
	store_close(service->store);
	rpc_tls_free(service->tls);
}

/* What others reach this instance at. */
static bool enroll(struct service_run *run, struct error *error)
{
	struct service *service = &run->service;
	const struct service_settings *settings = service->common;
	bool sharded = service->definition->sharded;
	char *address =
		advertise_address(settings->advertise, settings->listen, rpc_server_port(service->server));
	char *admin_address = advertise_admin(address, settings->admin, admin_port(run->admin));
	const struct registration registration = {
		.service = service->definition->name,
		.self = {.id = run->instance,
			.address = address,
			.admin_address = admin_address,
			.version = FLASHSALE_VERSION,
			.shard = sharded ? (int32_t)settings->shard : -1,
			.shards = sharded ? (int32_t)settings->shards : 0,
			.health = INSTANCE_PASSING},
		/* by its name: what took over the port of one that is gone is not taken for it. An agent has no certificate of ours: with TLS it asks
		 * the admin port. */
		.health_service = service->tls ? NULL : rpc_server_service(service->server),
	};
	bool good = discovery_register(service->discovery, &registration, error);

	free(address);
	free(admin_address);
	return good;
}

static bool open_discovery(struct service *service, struct error *error)
{
	const struct service_settings *settings = service->common;

	if (service_settings_use_consul(settings)) {
		service->discovery = discovery_consul_new_standard(settings->consul_prefix, error);
		return service->discovery || error_prefix(error, "--discovery consul");
	}
	if (!settings->discovery_file)
		return true;
	service->discovery = discovery_static_new(settings->discovery_file, error);
	return service->discovery || error_prefix(error, "--discovery-file");
}

static bool open_tls(struct service *service, struct error *error)
{
	struct rpc_tls_files files = service_tls_files(service->common);

	if (!files.certificate)
		return true;
	service->tls = rpc_tls_new(&files, service->definition->name, error);
	if (!service->tls)
		return error_prefix(error, "TLS");
	rpc_tls_publish(service->tls);
	return true;
}

static bool open_parts(struct service_run *run, struct error *error)
{
	struct service *service = &run->service;
	const struct service_definition *definition = service->definition;

	if (service_settings_stored(definition, service->common)) {
		struct store_options options = service_settings_store(definition, service->common);

		store_fault_watch_service(options.directory);
		service->store = store_open(&options, error);
		if (!service->store)
			return false;
		store_fault_env(service->store->env);
		register_store_metrics(service->store);
	}
	if (!open_discovery(service, error) || !open_tls(service, error))
		return false;
	service->loop = rpc_loop_new(definition->name);
	service->server =
		rpc_server_new(service->loop, definition->limits ? definition->limits : &rpc_limits_standard);
	return true;
}

/* After the service's own, whose name is that of the whole. */
static void serve_self(struct service_run *run)
{
	const struct service *service = &run->service;
	const bool sharded = service->definition->sharded;

	run->self = rpc_self_new(&(struct rpc_self_options){
		.service = service->definition->name,
		.instance = run->instance,
		.shard = sharded ? (int32_t)service->common->shard : -1,
		.shards = sharded ? (int32_t)service->common->shards : 0,
		.serving = is_healthy,
		.context = run,
	});
	rpc_serve(service->server, rpc_self_service(run->self));
}

static bool begin(struct service_run *run, struct error *error)
{
	struct service *service = &run->service;
	const struct service_settings *settings = service->common;

	if (!open_parts(run, error))
		return false;
	run->started = service->definition->start(service, error);
	if (!run->started)
		return false;
	serve_self(run);
	if (service->definition->access)
		rpc_server_restrict(service->server, service->definition->access);
	if (!rpc_listen(service->server, settings->listen, service->tls, error))
		return error_prefix(error, "--listen");
	run->admin = admin_new(settings->admin, is_healthy, run, error);
	if (!run->admin)
		return error_prefix(error, "--admin");
	return !service->discovery || enroll(run, error);
}

static void read_level_again(struct service_run *run)
{
	const struct service_definition *definition = run->service.definition;
	struct service_settings *settings = memory_new(definition->settings_bytes);
	struct error error;
	int words;

	if (service_settings_read(&run->table, definition, run->argc, run->argv, settings, &words, &error) ==
		CONFIG_OK) {
		log_set_level(service_settings_level(settings));
		log_info("read the settings again: only the log level can change while running",
			LOG_TEXT("log_level", settings->log_level));
		config_release(&run->table.config, settings);
	} else {
		log_warn("the settings can't be read again, the old ones stay", LOG_TEXT("why", error.text));
	}
	free(settings);
}

/* Returns at SIGTERM or SIGINT. */
static void wait_for_end(struct service_run *run, const sigset_t *signals)
{
	int number = 0;

	for (;;) {
		if (sigwait(signals, &number) != 0)
			continue;
		if (number != SIGHUP)
			break;
		read_level_again(run);
		if (run->service.tls)
			rpc_tls_refresh(run->service.tls);
	}
	log_info("ending", LOG_TEXT("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
}

static char *name_instance(
	const struct service_definition *definition, const struct service_settings *settings)
{
	char host[HOST_NAME_MAX + 1] = "localhost";

	gethostname(host, sizeof(host) - 1);
	return memory_format("%s-%s-%s", definition->name, host, strrchr(settings->listen, ':') + 1);
}

static int run_service(struct service_run *run)
{
	struct service *service = &run->service;
	struct error error;
	sigset_t signals;

	/* Before the first thread, so that none takes a signal from sigwait. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->instance = name_instance(service->definition, service->common);
	log_init(service->definition->name, run->instance);
	log_set_level(service_settings_level(service->common));
	id_random(&service->incarnation);
	process_metrics_register();
	if (!begin(run, &error)) {
		log_error("the service can't start", LOG_TEXT("why", error.text));
		end(run);
		return EXIT_FAILED;
	}
	log_info("listening", LOG_TEXT("listen", service->common->listen),
		LOG_INT("port", rpc_server_port(service->server)), LOG_TEXT("admin", service->common->admin),
		LOG_TEXT("version", FLASHSALE_VERSION));
	wait_for_end(run, &signals);
	end(run);
	log_info("ended");
	return EXIT_GRACEFUL;
}

/* Where a store is optional, that is known only now. */
static int run_without_words(struct service_run *run)
{
	const struct service *service = &run->service;
	struct error error;

	if (service->common->store || !service_settings_stored(service->definition, service->common))
		return run_service(run);
	error_set(&error, "--store must be given: the folder of the store, made by `init`");
	return usage_failed(&run->table, &error);
}

/* A word among the arguments names the tool without flags of its own, or is an error. */
static int run_word(const struct service_run *run, int word)
{
	const struct service_definition *definition = run->service.definition;
	const struct service_tool *tool = tool_find(definition, run->argv[word]);
	struct tool_call call = {.definition = definition,
		.program = run->table.program,
		.settings = run->settings,
		.common = run->settings};

	if (word + 1 < run->argc)
		return tool_end(&call, TOOL_CANNOT, "unexpected argument '%s' after %s: see --help",
			run->argv[word + 1], run->argv[word]);
	if (!tool)
		return tool_end(&call, TOOL_CANNOT, "unexpected argument '%s': see --help", run->argv[word]);
	if (tool != &tool_init)
		return tool_end(&call, TOOL_CANNOT, "'%s' must come first: %s %s ...", tool->name,
			call.program, tool->name);
	return tool->run(&call);
}

static int read_and_run(struct service_run *run)
{
	const struct service_definition *definition = run->service.definition;
	struct error error;
	int words, code;

	switch (service_settings_read(
		&run->table, definition, run->argc, run->argv, run->settings, &words, &error)) {
	case CONFIG_HELP:
		config_print_help(&run->table.config, stdout);
		tool_print_list(definition, stdout);
		return EXIT_GRACEFUL;
	case CONFIG_ERROR:
		return usage_failed(&run->table, &error);
	case CONFIG_OK:
		break;
	}
	code = words < run->argc ? run_word(run, words) : run_without_words(run);
	config_release(&run->table.config, run->settings);
	return code;
}

int service_run(const struct service_definition *definition, int argc, char **argv)
{
	const struct service_tool *tool = tool_find(definition, argc > 1 ? argv[1] : NULL);
	struct service_run run = {.argc = argc, .argv = argv};
	int code;

	assert(definition->start && definition->listen && definition->admin);
	if (tool)
		return tool_run(definition, tool, argc - 1, argv + 1);
	service_table_init(&run.table, definition);
	run.settings = memory_new(definition->settings_bytes);
	run.service = (struct service){.definition = definition,
		.settings = run.settings,
		.common = run.settings,
		.clock = &clock_system,
		.run = &run};
	code = read_and_run(&run);
	free(run.settings);
	service_table_release(&run.table);
	free(run.instance);
	return code;
}
