/* rpc/tool_shards.h - for tools that make the stores of another number of shards: the old ones, and where the new ones are put together.
 *
 * Old ones: a list with commas, of folders that are each shard of one number once; opened to be read, with the locks of their services. New ones: DIR/0, DIR/1, ...;
 * until all of them are complete DIR is called DIR.unfinished, and no service opens what is in it. What an attempt that did not end has left there is removed.
 * Threads: main's. Each function but the closing ones has said why when it says no. */
#ifndef FLASHSALE_RPC_TOOL_SHARDS_H
#define FLASHSALE_RPC_TOOL_SHARDS_H

#include "rpc/tool.h"

#define TOOL_SHARDS_MAX 1024

struct tool_shards {
	uint32_t count;
	struct store **stores; /* sources: by shard, too */
	char *directory;       /* of the new ones, when they are complete */
	char *staging;
};

bool tool_sources_open(const struct tool_call *call, const char *list, struct tool_shards *ret);
bool tool_targets_make(const struct tool_call *call, const char *directory, uint32_t count, struct tool_shards *ret);
/* Closes them, and gives them their names: all at once, by one rename. */
bool tool_targets_finish(const struct tool_call *call, struct tool_shards *targets);
/* Also what was never opened; new ones that are not finished are removed. */
void tool_shards_close(struct tool_shards *shards);

/* Opens the sources, lets `make` work, which makes the targets and finishes them, and closes both; its code, or TOOL_CANNOT. */
int tool_shards_run(const struct tool_call *call, const char *from,
	int (*make)(const struct tool_call *call, const struct tool_shards *sources, struct tool_shards *targets));

#endif
