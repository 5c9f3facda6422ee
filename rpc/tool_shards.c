/* rpc/tool_shards.c - see tool_shards.h. */
#include "rpc/tool_shards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "rpc/store_fault.h"

/* ---- the old ones ---- */

static bool take_place(const struct tool_call *call, struct tool_shards *shards, struct store *store)
{
	if (store->shards != shards->count || store->shard >= shards->count) {
		tool_end(call, TOOL_CANNOT,
			"%s is shard %u of %u, and %u stores are named: name each shard once",
			store->directory, store->shard, store->shards, shards->count);
		return false;
	}
	if (shards->stores[store->shard]) {
		tool_end(call, TOOL_CANNOT, "%s and %s are both shard %u: name each shard once",
			shards->stores[store->shard]->directory, store->directory, store->shard);
		return false;
	}
	shards->stores[store->shard] = store;
	return true;
}

static bool open_source(const struct tool_call *call, struct tool_shards *shards, const char *directory)
{
	struct store_options options = tool_store_options(call, directory);
	struct store *store;
	struct error error;

	store_fault_watch_tool(call->program, directory);
	store = store_open_alone(&options, &error);
	if (!store) {
		tool_end(call, TOOL_CANNOT, "%s", error.text);
		return false;
	}
	store_fault_env(store->env);
	if (take_place(call, shards, store))
		return true;
	store_close(store);
	return false;
}

bool tool_sources_open(const struct tool_call *call, const char *list, struct tool_shards *ret)
{
	char *words = memory_copy_text(list), *rest = words, *word;
	bool good = true;

	*ret = (struct tool_shards){.count = 1};
	for (const char *at = list; *at; at++)
		ret->count += *at == ',';
	if (ret->count > TOOL_SHARDS_MAX)
		ret->count = TOOL_SHARDS_MAX;
	ret->stores = NEW_ARRAY(ret->count, struct store *);
	while (good && (word = strsep(&rest, ",")))
		good = open_source(call, ret, word);
	free(words);
	return good;
}

/* ---- the new ones ---- */

/* The folder of a store with all that one can have in it. */
static void remove_store(const char *folder)
{
	static const char *const files[] = {"data.mdb", "lock.mdb", "flock"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *path = memory_format("%s/%s", folder, files[i]);

		unlink(path);
		free(path);
	}
	rmdir(folder);
}

static void remove_staging(const struct tool_shards *targets)
{
	for (uint32_t i = 0; i < TOOL_SHARDS_MAX; i++) {
		char *folder = memory_format("%s/%u", targets->staging, i);

		remove_store(folder);
		free(folder);
	}
	rmdir(targets->staging);
}

static struct store *make_target(
	const struct tool_call *call, struct tool_shards *targets, uint32_t shard, struct error *error)
{
	char *folder = memory_format("%s/%u", targets->staging, shard);
	char *service = memory_format("%s" STORE_UNFINISHED, call->definition->name);
	struct store_options options = tool_store_options(call, folder);
	struct store *store = NULL;

	options.service = service;
	options.shard = shard;
	options.shards = targets->count;
	if (store_create(&options, error))
		store = store_open(&options, error);
	free(folder);
	free(service);
	return store;
}

bool tool_targets_make(
	const struct tool_call *call, const char *directory, uint32_t count, struct tool_shards *ret)
{
	struct stat status;
	struct error error;

	*ret = (struct tool_shards){.count = count,
		.stores = NEW_ARRAY(count, struct store *),
		.directory = memory_copy_text(directory)};
	if (stat(directory, &status) == 0) {
		tool_end(call, TOOL_NO, "%s is there already: it was left as it is", directory);
		return false;
	}
	ret->staging = memory_format("%s.unfinished", directory);
	remove_staging(ret);
	if (mkdir(ret->staging, 0700) != 0) {
		tool_end(call, TOOL_NO, "the folder %s can't be made: %s", ret->staging, strerror(errno));
		return false;
	}
	for (uint32_t i = 0; i < count; i++) {
		ret->stores[i] = make_target(call, ret, i, &error);
		if (!ret->stores[i]) {
			tool_end(call, TOOL_NO, "%s", error.text);
			return false;
		}
	}
	return true;
}

static bool finish_target(
	const struct tool_call *call, struct tool_shards *targets, uint32_t shard, struct error *error)
{
	char *folder = memory_format("%s/%u", targets->staging, shard);
	struct store_options options = tool_store_options(call, folder);
	bool good;

	options.shard = shard;
	options.shards = targets->count;
	store_close(targets->stores[shard]);
	targets->stores[shard] = NULL;
	good = store_finish(&options, error);
	free(folder);
	return good;
}

bool tool_targets_finish(const struct tool_call *call, struct tool_shards *targets)
{
	struct error error;
	bool good = true;

	for (uint32_t i = 0; good && i < targets->count; i++)
		good = finish_target(call, targets, i, &error);
	if (good && rename(targets->staging, targets->directory) != 0)
		good = error_set(&error, "%s can't get its name: %s", targets->directory, strerror(errno));
	if (good) {
		free(targets->staging);
		targets->staging = NULL;
		good = store_sync_folder_of(targets->directory, &error);
	}
	if (!good)
		tool_end(call, TOOL_NO, "%s", error.text);
	return good;
}

void tool_shards_close(struct tool_shards *shards)
{
	for (uint32_t i = 0; shards->stores && i < shards->count; i++)
		store_close(shards->stores[i]);
	if (shards->staging)
		remove_staging(shards);
	free(shards->stores);
	free(shards->directory);
	free(shards->staging);
}

int tool_shards_run(const struct tool_call *call, const char *from,
	int (*make)(
		const struct tool_call *call, const struct tool_shards *sources, struct tool_shards *targets))
{
	struct tool_shards sources = {0}, targets = {0};
	int code = TOOL_CANNOT;

	if (tool_sources_open(call, from, &sources))
		code = make(call, &sources, &targets);
	tool_shards_close(&targets);
	tool_shards_close(&sources);
	return code;
}
