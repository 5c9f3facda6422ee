/* rpc/watch.h - a set of keyed entries that others follow: snapshot, then deltas, with versions, heartbeats and resume.
 *
 * The owner publishes (key, entry) and removals; each gets the next version. A watcher names the last (incarnation, version) it has; it gets what changed since,
 * or, if that is too old or of another incarnation, everything between a message with snapshot_begin and one with snapshot_end. A message goes out at least every
 * WATCH_HEARTBEAT_MS. Only what is committed may be published. Removals are remembered up to a bound; older watchers get a snapshot.
 * The messages of all Watch... methods have the same shape: field `header` (common.WatchHeader), field `items` (the entries), field `removed_keys`.
 * Threads: publish from any one thread (the writer's, after a commit); watchers run on the loop; one mutex inside. */
#ifndef FLASHSALE_RPC_WATCH_H
#define FLASHSALE_RPC_WATCH_H

#include "base/id.h"
#include "rpc/server.h"

#define WATCH_HEARTBEAT_MS 250

struct watch_board;
/* response: the Watch...Response type; items' element type follows from it. items_max: entries a message. */
struct watch_board *watch_board_new(const ProtobufCMessageDescriptor *response, const struct id *incarnation, uint32_t items_max,
	uint32_t removed_max);
void watch_board_free(struct watch_board *board); /* after its streams ended */
void watch_board_put(struct watch_board *board, const char *key, const ProtobufCMessage *entry); /* packed at once */
void watch_board_remove(struct watch_board *board, const char *key);
void watch_board_flush(struct watch_board *board); /* wakes the watchers: once after a group */
/* Ends the streams that are open, UNAVAILABLE, for what the board has is not current any more; who watches looks for another publisher, or comes back. */
void watch_board_dismiss(struct watch_board *board);
size_t watch_board_count(struct watch_board *board);
/* A Watch... method calls it with its request's fields. */
void watch_board_stream(struct watch_board *board, struct rpc_call *call, const char *resume_incarnation, uint64_t resume_version);

#endif
