/* Entries lie in a list in the order of their versions: a change moves its entry to the end, and a removed one stays there as a mark until too many
 * newer ones pushed it out. Each watcher has a place of its own in that list, behind the last entry it was told, so going on costs nothing but what
 * is new; a snapshot is the same walk from the list's beginning. Entries are kept packed, as they go out: in front of each its length. */
#include "rpc/watch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flashsale/common/v1/common.pb-c.h"

#define LENGTH_BYTES_MAX 10

/* An entry, the mark of a removed one, or a watcher's place. */
struct node {
	TAILQ_ENTRY(node) link;
	enum { NODE_ENTRY, NODE_REMOVED, NODE_PLACE } kind;
	uint64_t version; /* of a place: the board's when the watcher came */
	char *key;
	uint8_t *bytes; /* with the length in front; of an entry only */
	size_t size;
	UT_hash_handle hh;
};

struct watcher {
	LIST_ENTRY(watcher) link;
	struct node place;
	struct watch_board *board;
	struct rpc_call *call;
	uint64_t version; /* of the last entry before its place */
	bool begin;	  /* snapshot_begin goes out with the next message */
	bool snapshot;	  /* until snapshot_end went out */
	bool waiting;	  /* a flush must wake it */
	bool dismissed;
	int64_t told_ns; /* when the last message was made; 0: none yet */
};

struct watch_board {
	const ProtobufCMessageDescriptor *response;
	const ProtobufCMessageDescriptor *item;
	const ProtobufCFieldDescriptor *header, *items, *removed_keys;
	char incarnation[ID_TEXT_LENGTH + 1];
	uint32_t items_max, removed_max;

	pthread_mutex_t lock; /* guards the rest */
	TAILQ_HEAD(nodes, node) nodes;
	struct node *by_key; /* entries and marks */
	uint64_t version;
	uint64_t floor; /* marks up to this version are forgotten: who knows less needs a snapshot */
	size_t entries, marks;
	LIST_HEAD(, watcher) watchers;
};

/* ---- the owner's side ---- */

struct watch_board *watch_board_new(const ProtobufCMessageDescriptor *response, const struct id *incarnation,
	uint32_t items_max, uint32_t removed_max)
{
	struct watch_board *board = NEW(struct watch_board);

	board->response = response;
	board->header = protobuf_c_message_descriptor_get_field_by_name(response, "header");
	board->items = protobuf_c_message_descriptor_get_field_by_name(response, "items");
	board->removed_keys = protobuf_c_message_descriptor_get_field_by_name(response, "removed_keys");
	assert(board->header && board->header->descriptor == &common__watch_header__descriptor);
	assert(board->items && board->items->label == PROTOBUF_C_LABEL_REPEATED);
	assert(board->items->type == PROTOBUF_C_TYPE_MESSAGE);
	assert(board->removed_keys && board->removed_keys->type == PROTOBUF_C_TYPE_STRING);
	assert(items_max);
	board->item = board->items->descriptor;
	id_format(incarnation, board->incarnation);
	board->items_max = items_max;
	board->removed_max = removed_max;
	pthread_mutex_init(&board->lock, NULL);
	TAILQ_INIT(&board->nodes);
	LIST_INIT(&board->watchers);
	return board;
}

static void node_free(struct watch_board *board, struct node *node)
{
	HASH_DEL(board->by_key, node);
	TAILQ_REMOVE(&board->nodes, node, link);
	free(node->key);
	free(node->bytes);
	free(node);
}

void watch_board_free(struct watch_board *board)
{
	struct node *node;

	if (!board)
		return;
	assert(LIST_EMPTY(&board->watchers));
	while ((node = TAILQ_FIRST(&board->nodes)))
		node_free(board, node);
	pthread_mutex_destroy(&board->lock);
	free(board);
}

/* The bytes of an unknown field of type "length and bytes", which is how they go into a message as they are. */
static uint8_t *with_length(const void *bytes, size_t size, uint8_t *to)
{
	size_t left = size;

	for (; left >= 0x80; left >>= 7)
		*to++ = (uint8_t)(left | 0x80);
	*to++ = (uint8_t)left;
	if (bytes)
		memcpy(to, bytes, size);
	return to;
}

static struct node *find(struct watch_board *board, const char *key)
{
	struct node *node;

	HASH_FIND_STR(board->by_key, key, node);
	return node;
}

static struct node *find_or_add(struct watch_board *board, const char *key)
{
	struct node *node = find(board, key);

	if (node)
		return node;
	node = NEW(struct node);
	node->kind = NODE_REMOVED; /* until it is filled */
	node->key = memory_copy_text(key);
	HASH_ADD_KEYPTR(hh, board->by_key, node->key, strlen(node->key), node);
	TAILQ_INSERT_TAIL(&board->nodes, node, link);
	board->marks++;
	return node;
}

static void touch(struct watch_board *board, struct node *node)
{
	node->version = ++board->version;
	TAILQ_REMOVE(&board->nodes, node, link);
	TAILQ_INSERT_TAIL(&board->nodes, node, link);
}

void watch_board_put(struct watch_board *board, const char *key, const ProtobufCMessage *entry)
{
	size_t size = protobuf_c_message_get_packed_size(entry);
	uint8_t *bytes = memory_new(size + LENGTH_BYTES_MAX), *end;
	struct node *node;

	assert(entry->descriptor == board->item);
	end = with_length(NULL, size, bytes);
	end += protobuf_c_message_pack(entry, end);
	pthread_mutex_lock(&board->lock);
	node = find_or_add(board, key);
	if (node->kind == NODE_REMOVED) {
		board->marks--;
		board->entries++;
	}
	free(node->bytes);
	node->kind = NODE_ENTRY;
	node->bytes = bytes;
	node->size = (size_t)(end - bytes);
	touch(board, node);
	pthread_mutex_unlock(&board->lock);
}

/* The oldest marks are found at the list's beginning, behind the entries that changed even longer ago. */
static void forget_marks(struct watch_board *board)
{
	struct node *node = TAILQ_FIRST(&board->nodes);

	while (board->marks > board->removed_max) {
		struct node *next;

		assert(node);
		next = TAILQ_NEXT(node, link);
		if (node->kind == NODE_REMOVED) {
			board->floor = node->version;
			board->marks--;
			node_free(board, node);
		}
		node = next;
	}
}

void watch_board_remove(struct watch_board *board, const char *key)
{
	struct node *node;

	pthread_mutex_lock(&board->lock);
	node = find(board, key);
	if (node && node->kind == NODE_ENTRY) {
		node->kind = NODE_REMOVED;
		free(node->bytes);
		node->bytes = NULL;
		board->entries--;
		board->marks++;
		touch(board, node);
		if (board->marks > board->removed_max + board->removed_max / 8)
			forget_marks(board); /* not at each removal: the way to the oldest mark may be long */
	}
	pthread_mutex_unlock(&board->lock);
}

void watch_board_flush(struct watch_board *board)
{
	struct watcher *watcher;

	pthread_mutex_lock(&board->lock);
	LIST_FOREACH (watcher, &board->watchers, link) {
		if (!watcher->waiting)
			continue;
		watcher->waiting = false;
		rpc_wake(watcher->call);
	}
	pthread_mutex_unlock(&board->lock);
}

void watch_board_dismiss(struct watch_board *board)
{
	struct watcher *watcher;

	pthread_mutex_lock(&board->lock);
	LIST_FOREACH (watcher, &board->watchers, link) {
		watcher->dismissed = true;
		rpc_wake(watcher->call);
	}
	pthread_mutex_unlock(&board->lock);
}

size_t watch_board_count(struct watch_board *board)
{
	size_t count;

	pthread_mutex_lock(&board->lock);
	count = board->entries;
	pthread_mutex_unlock(&board->lock);
	return count;
}

/* ---- the watchers' side ---- */

/* A message in the making, in the scratch. Entries and keys are given as unknown fields: packing copies such bytes as they are. */
struct making {
	struct arena *arena;
	ProtobufCMessage *message;
	Common__WatchHeader *header;
};

static bool make(struct watch_board *board, struct arena *arena, struct making *ret)
{
	int64_t now_ms = clock_wall_ms(&clock_system);
	Google__Protobuf__Timestamp *time = ARENA_NEW(arena, Google__Protobuf__Timestamp);

	ret->arena = arena;
	ret->message = arena_zero(arena, board->response->sizeof_message);
	ret->header = ARENA_NEW(arena, Common__WatchHeader);
	if (!time || !ret->message || !ret->header)
		return false;
	protobuf_c_message_init(board->response, ret->message);
	common__watch_header__init(ret->header);
	google__protobuf__timestamp__init(time);
	time->seconds = now_ms / 1000;
	time->nanos = (int32_t)(now_ms % 1000) * 1000000;
	ret->header->time = time;
	ret->header->incarnation = board->incarnation;
	*(Common__WatchHeader **)((char *)ret->message + board->header->offset) = ret->header;
	ret->message->unknown_fields = ARENA_ARRAY(arena, board->items_max, ProtobufCMessageUnknownField);
	return ret->message->unknown_fields != NULL;
}

static bool make_add(struct watch_board *board, struct making *making, const struct node *node)
{
	bool removed = node->kind == NODE_REMOVED;
	size_t length = removed ? strlen(node->key) : node->size;
	uint8_t *bytes = arena_alloc(making->arena, length + LENGTH_BYTES_MAX);
	ProtobufCMessageUnknownField *field =
		&making->message->unknown_fields[making->message->n_unknown_fields];

	if (!bytes)
		return false;
	if (removed)
		length += (size_t)(with_length(node->key, length, bytes) - bytes);
	else
		memcpy(bytes, node->bytes, length);
	*field = (ProtobufCMessageUnknownField){
		.tag = removed ? board->removed_keys->id : board->items->id,
		.wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
		.len = length,
		.data = bytes,
	};
	making->message->n_unknown_fields++;
	return true;
}

/* In a snapshot's first walk a removed entry is no news; but one that may have gone out in it and was removed since is. */
static bool is_news(const struct watcher *watcher, const struct node *node)
{
	if (node->kind == NODE_PLACE)
		return false;
	return node->kind == NODE_ENTRY || !watcher->snapshot || node->version > watcher->place.version;
}

/* Moves the watcher's place forward over what goes into this message. */
static bool gather(struct watch_board *board, struct watcher *watcher, struct making *making)
{
	struct node *node = TAILQ_NEXT(&watcher->place, link);

	while (node && making->message->n_unknown_fields < board->items_max) {
		struct node *next = TAILQ_NEXT(node, link);

		if (is_news(watcher, node) && !make_add(board, making, node))
			break;
		if (node->kind != NODE_PLACE)
			watcher->version = node->version;
		TAILQ_REMOVE(&board->nodes, &watcher->place, link);
		TAILQ_INSERT_AFTER(&board->nodes, node, &watcher->place, link);
		node = next;
	}
	return !node;
}

static bool has_news(const struct watch_board *board, const struct watcher *watcher)
{
	return watcher->version < board->version || watcher->snapshot;
}

static bool heartbeat_due(const struct watcher *watcher)
{
	return !watcher->told_ns ||
	       clock_mono_ns() - watcher->told_ns >= WATCH_HEARTBEAT_MS * INT64_C(1000000);
}

static void fill_header(
	struct watch_board *board, struct watcher *watcher, struct making *making, bool reached_end)
{
	making->header->snapshot_begin = watcher->begin;
	watcher->begin = false;
	if (reached_end) {
		watcher->version = board->version; /* forgotten marks at the end have versions too */
		making->header->snapshot_end = watcher->snapshot;
		watcher->snapshot = false;
	}
	/* Half of a snapshot is nothing to resume from. */
	making->header->version = watcher->snapshot ? 0 : watcher->version;
}

static void begin_snapshot(struct watch_board *board, struct watcher *watcher)
{
	watcher->begin = watcher->snapshot = true;
	watcher->version = 0;
	watcher->place.version = board->version;
	TAILQ_INSERT_HEAD(&board->nodes, &watcher->place, link);
}

/* Marks that lay between this slow watcher's place and now are forgotten: only everything anew is true. */
static bool fell_behind(const struct watch_board *board, const struct watcher *watcher)
{
	uint64_t knows =
		watcher->version > watcher->place.version ? watcher->version : watcher->place.version;

	return knows < board->floor;
}

static enum rpc_pull next_locked(struct watch_board *board, struct watcher *watcher, struct arena *scratch,
	const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct making making;
	bool reached_end;

	if (watcher->dismissed) {
		rpc_status_set(status, RPC_UNAVAILABLE, "", "what is watched here is not current any more");
		return RPC_FAILED;
	}
	if (!has_news(board, watcher) && !heartbeat_due(watcher)) {
		watcher->waiting = true;
		return RPC_WAIT;
	}
	watcher->waiting = false;
	if (fell_behind(board, watcher)) {
		TAILQ_REMOVE(&board->nodes, &watcher->place, link);
		begin_snapshot(board, watcher);
	}
	if (!make(board, scratch, &making)) {
		rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "",
			"a message of this watch does not fit the limit of a call");
		return RPC_FAILED;
	}
	reached_end = gather(board, watcher, &making);
	if (!reached_end && !making.message->n_unknown_fields) {
		rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "",
			"an entry of this watch does not fit the limit of a call");
		return RPC_FAILED;
	}
	fill_header(board, watcher, &making, reached_end);
	watcher->told_ns = clock_mono_ns();
	*ret = making.message;
	return RPC_MORE;
}

static enum rpc_pull watcher_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct watcher *watcher = cursor;
	struct watch_board *board = watcher->board;
	enum rpc_pull result;

	pthread_mutex_lock(&board->lock);
	result = next_locked(board, watcher, scratch, ret, status);
	pthread_mutex_unlock(&board->lock);
	return result;
}

static void watcher_end(void *cursor)
{
	struct watcher *watcher = cursor;
	struct watch_board *board = watcher->board;

	pthread_mutex_lock(&board->lock);
	LIST_REMOVE(watcher, link);
	TAILQ_REMOVE(&board->nodes, &watcher->place, link);
	pthread_mutex_unlock(&board->lock);
	free(watcher);
}

/* From the end backwards: who resumes has missed little. */
static void place_after(struct watch_board *board, struct watcher *watcher, uint64_t version)
{
	struct node *node = TAILQ_LAST(&board->nodes, nodes);

	while (node && (node->kind == NODE_PLACE || node->version > version))
		node = TAILQ_PREV(node, nodes, link);
	if (node)
		TAILQ_INSERT_AFTER(&board->nodes, node, &watcher->place, link);
	else
		TAILQ_INSERT_HEAD(&board->nodes, &watcher->place, link);
}

void watch_board_stream(struct watch_board *board, struct rpc_call *call, const char *resume_incarnation,
	uint64_t resume_version)
{
	struct watcher *watcher = NEW(struct watcher);
	struct rpc_stream stream = {.next = watcher_next,
		.end = watcher_end,
		.cursor = watcher,
		.heartbeat_ms = WATCH_HEARTBEAT_MS};

	watcher->board = board;
	watcher->call = call;
	watcher->place.kind = NODE_PLACE;
	pthread_mutex_lock(&board->lock);
	/* One whose version is older than what is remembered finds out with its first message. */
	if (resume_version && !strcmp(resume_incarnation, board->incarnation) &&
		resume_version <= board->version) {
		watcher->version = resume_version;
		place_after(board, watcher, resume_version);
	} else {
		begin_snapshot(board, watcher);
	}
	LIST_INSERT_HEAD(&board->watchers, watcher, link);
	pthread_mutex_unlock(&board->lock);
	rpc_stream_open(call, &stream);
}
