/* rpc/tool_store.c - `init`, `backup`, `restore`. */
#include "rpc/tool_store.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/memory.h"
#include "rpc/store_fault.h"

/* ---- init ---- */

static int run_init(const struct tool_call *call)
{
	const struct service_settings *settings = call->common;
	struct store_options options = tool_store_options(call, settings->store);
	struct error error;

	if (!tool_needs(call, "store", settings->store))
		return TOOL_CANNOT;
	if (!store_create(&options, &error))
		return tool_end(call, TOOL_NO, "%s", error.text);
	printf("flashsale-%s: made the store %s, shard %lld of %lld\n", call->definition->name,
		settings->store, (long long)settings->shard, (long long)settings->shards);
	return TOOL_FINE;
}

const struct service_tool tool_init = {
	.name = "init", .purpose = "make an empty store", .uses_store = true, .run = run_init};

/* ---- how far a copy is ---- */

/* A thread that says every second how large the file has become. */
struct progress {
	const char *program;
	char *path;
	pthread_t thread;
	sem_t over;
};

static int64_t file_bytes(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (int64_t)status.st_size : 0;
}

static void *progress_run(void *argument)
{
	struct progress *progress = argument;

	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (sem_timedwait(&progress->over, &until) == 0)
			return NULL;
		if (errno == ETIMEDOUT)
			fprintf(stderr, "%s: %lld MiB copied\n", progress->program,
				(long long)(file_bytes(progress->path) >> 20));
	}
}

static void progress_begin(struct progress *progress, const char *program, const char *folder)
{
	progress->program = program;
	progress->path = memory_format("%s/data.mdb.unfinished", folder);
	sem_init(&progress->over, 0, 0);
	if (pthread_create(&progress->thread, NULL, progress_run, progress) != 0)
		abort();
}

static void progress_end(struct progress *progress)
{
	sem_post(&progress->over);
	pthread_join(progress->thread, NULL);
	sem_destroy(&progress->over);
	free(progress->path);
}

static void print_copy(const char *what, const struct store *store, const char *from, const char *to)
{
	char *path = memory_format("%s/data.mdb", to);

	printf("%s %s to %s: shard %u of %u, %lld bytes\n", what, from, to, store->shard, store->shards,
		(long long)file_bytes(path));
	free(path);
}

/* ---- backup ---- */

struct backup_settings {
	char *to;
};

static const struct config_setting backup_table[] = {
	{"to", CONFIG_TEXT, offsetof(struct backup_settings, to), NULL, true, 0, 0,
		"folder for the copy; must not be there yet"},
};

static int run_backup(const struct tool_call *call)
{
	const struct backup_settings *own = call->own;
	const char *from = call->common->store;
	struct progress progress;
	struct store *store;
	struct error error;
	bool good;

	if (!tool_needs(call, "store", from) || !tool_needs(call, "to", own->to))
		return TOOL_CANNOT;
	store = tool_open_reading(call, from);
	if (!store)
		return TOOL_CANNOT;
	progress_begin(&progress, call->program, own->to);
	good = store_backup(store, own->to, &error);
	progress_end(&progress);
	if (good)
		print_copy("copied", store, from, own->to);
	else
		tool_end(call, TOOL_NO, "%s", error.text);
	store_close(store);
	return good ? TOOL_FINE : TOOL_NO;
}

const struct service_tool tool_backup = {.name = "backup",
	.purpose = "copy the store, consistent and synced, also while the service runs",
	.settings = backup_table,
	.settings_count = 1,
	.settings_bytes = sizeof(struct backup_settings),
	.uses_store = true,
	.run = run_backup};

/* ---- restore ---- */

struct restore_settings {
	char *from;
};

static const struct config_setting restore_table[] = {
	{"from", CONFIG_TEXT, offsetof(struct restore_settings, from), NULL, true, 0, 0,
		"folder of the backup"},
};

static int restore_from(const struct tool_call *call, struct store *backup, const char *from, const char *to)
{
	const struct service_definition *definition = call->definition;
	struct store_options options = tool_store_options(call, to);
	struct progress progress;
	struct error error;
	char *staging;
	bool good;

	if (definition->verify_store && definition->verify_store(backup, &error) != TOOL_FINE)
		return tool_end(call, TOOL_NO, "the backup %s is not good, nothing was restored: %s", from,
			error.text);
	staging = memory_format("%s/restoring", to);
	progress_begin(&progress, call->program, staging);
	good = store_restore(backup, &options, &error);
	progress_end(&progress);
	free(staging);
	if (!good)
		return tool_end(call, TOOL_NO, "%s", error.text);
	print_copy("restored", backup, from, to);
	puts("It has a new lineage: whoever followed the old one must not go on as if nothing had happened.");
	if (definition->restored)
		puts(definition->restored);
	return TOOL_FINE;
}

static int run_restore(const struct tool_call *call)
{
	const struct restore_settings *own = call->own;
	struct store *backup;
	int code;

	if (!tool_needs(call, "from", own->from) || !tool_needs(call, "store", call->common->store))
		return TOOL_CANNOT;
	backup = tool_open_reading(call, own->from);
	if (!backup)
		return TOOL_CANNOT;
	code = restore_from(call, backup, own->from, call->common->store);
	store_close(backup);
	return code;
}

const struct service_tool tool_restore = {.name = "restore",
	.purpose = "make a store from a backup, with a new lineage",
	.settings = restore_table,
	.settings_count = 1,
	.settings_bytes = sizeof(struct restore_settings),
	.uses_store = true,
	.run = run_restore};
