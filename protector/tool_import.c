/* tool_import.c - `flashsale-protector import FILE`: the whole list is read and looked at first, then put in by subject, so that the store appends more than it scatters. A
 * list can be imported again: a ban of an operator takes the place of the one before it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/lists.h"
#include "protector/messages.h"
#include "protector/tool_lists.h"
#include "rpc/caller.h"
#include "rpc/timestamp.h"

#define BATCH_ITEMS 1024 /* what the protector puts in force at once */
#define BATCH_BYTES (512 * 1024)
#define ARENA_BYTES (16 << 20)
#define BANS_MAX 10000000
#define ALLOWANCES_PAGE 1000

struct import_settings {
	char *effect, *reason;
	int64_t expire_ms;
};

static const struct config_setting import_table[] = {
	{"effect", CONFIG_TEXT, offsetof(struct import_settings, effect), "deny", false, 0, 0,
		"of lines that name none: deny, shadow, allow, slow or challenge"},
	{"reason", CONFIG_TEXT, offsetof(struct import_settings, reason), "imported", false, 0, 0,
		"of lines that name none"},
	{"expire", CONFIG_DURATION_MS, offsetof(struct import_settings, expire_ms), "0s", false, 0, 0,
		"how long those last that name no end; 0s: for ever"},
};

struct import {
	const struct tool_call *call;
	struct rpc_caller caller;
	int64_t now_ms;
	struct list_ban standard;
	struct list_ban *bans;
	size_t count, room;
	size_t imported, ended; /* ended: left out, or refused because it was past by then */
	size_t allowed;		/* left out: they are on the allow list */
	size_t others;		/* left out: detectors, settings or liftings made them */
};

/* ---- the file ---- */

static bool keep(struct import *import, const struct list_ban *ban)
{
	if (import->count == BANS_MAX)
		return false;
	if (import->count == import->room) {
		import->room = import->room ? import->room * 2 : 4096;
		import->bans = memory_resize(import->bans, import->room, sizeof(*import->bans));
	}
	import->bans[import->count++] = *ban;
	return true;
}

static void leave_out(struct import *import, struct list_ban *ban)
{
	free(ban->reason);
	import->ended++;
}

static int read_lines(struct import *import, FILE *file)
{
	size_t number = 0, room = 0;
	char *line = NULL;
	ssize_t length;
	int code = TOOL_FINE;

	while (code == TOOL_FINE && (length = getline(&line, &room, file)) >= 0) {
		struct list_ban ban = import->standard;
		struct error error;
		enum list_line what = list_read_line(line, (size_t)length, &ban, &error);

		number++;
		if (what == LIST_WRONG)
			code = tool_end(import->call, TOOL_NO, "%s:%zu: %s; nothing was imported",
				import->call->path, number, error.text);
		else if (what == LIST_OTHERS)
			import->others++;
		else if (what == LIST_BAN && ban.expire_ms <= import->now_ms)
			leave_out(import, &ban);
		else if (what == LIST_BAN && !keep(import, &ban))
			code = tool_end(import->call, TOOL_NO, "%s has more than %d bans", import->call->path,
				BANS_MAX);
	}
	if (code == TOOL_FINE && ferror(file))
		code = tool_end(import->call, TOOL_CANNOT, "%s can't be read: %s", import->call->path,
			strerror(errno));
	free(line);
	return code;
}

static int read_file(struct import *import)
{
	const char *path = import->call->path;
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	int code;

	if (!file)
		return tool_end(import->call, TOOL_CANNOT, "%s can't be read: %s", path, strerror(errno));
	code = read_lines(import, file);
	if (file != stdin)
		fclose(file);
	return code;
}

static int compare(const void *a, const void *b)
{
	const struct list_ban *x = a, *y = b;
	uint8_t left[SUBJECT_KEY_MAX], right[SUBJECT_KEY_MAX];
	size_t left_size = subject_pack(&x->subject, left), right_size = subject_pack(&y->subject, right);
	int order = memcmp(left, right, left_size < right_size ? left_size : right_size);

	return order ? order : (left_size > right_size) - (left_size < right_size);
}

/* ---- the allow list ---- */

static bool subject_of(const Protector__Allowance *allowance, struct ban_subject *ret)
{
	struct address address;

	if (allowance->subject_case == PROTECTOR__ALLOWANCE__SUBJECT_USER_ID) {
		if (strlen(allowance->user_id) > BANS_USER_MAX)
			return false;
		subject_account(ret, allowance->user_id);
		return true;
	}
	if (allowance->subject_case != PROTECTOR__ALLOWANCE__SUBJECT_ADDRESS ||
		!address_parse_range(allowance->address, strlen(allowance->address), &address))
		return false;
	subject_address(ret, &address);
	return true;
}

/* Bans of exactly this subject, which stand together, get no effect. */
static void leave_out_allowed(struct import *import, const Protector__Allowance *allowance)
{
	struct list_ban wanted, *ban;

	if (!import->count || !subject_of(allowance, &wanted.subject))
		return;
	ban = bsearch(&wanted, import->bans, import->count, sizeof(*ban), compare);
	if (!ban)
		return;
	while (ban > import->bans && compare(ban - 1, &wanted) == 0)
		ban--;
	for (; ban < import->bans + import->count && compare(ban, &wanted) == 0; ban++) {
		if (ban->effect == BAN_ALLOWS)
			continue;
		ban->effect = 0;
	}
}

static void drop_those_without_effect(struct import *import)
{
	size_t kept = 0;

	for (size_t i = 0; i < import->count; i++) {
		if (import->bans[i].effect)
			import->bans[kept++] = import->bans[i];
		else
			free(import->bans[i].reason);
	}
	import->allowed = import->count - kept;
	import->count = kept;
}

/* One page; *token is malloc'd, NULL behind the last. */
static int look_at_allowances(struct import *import, struct arena *arena, char **token)
{
	Protector__ListAllowancesRequest request = PROTECTOR__LIST_ALLOWANCES_REQUEST__INIT;
	const Protector__ListAllowancesResponse *page;
	struct rpc_status status;

	request.page_size = ALLOWANCES_PAGE;
	if (*token)
		request.page_token = *token;
	page = (const Protector__ListAllowancesResponse *)rpc_caller_call(
		&import->caller, RPC_ANY_SHARD, "ListAllowances", &request.base, arena, &status);
	if (!page)
		return tool_end(import->call, TOOL_NO, "the protector does not tell its allow list: %s",
			status.message);
	for (size_t i = 0; i < page->n_allowances; i++)
		leave_out_allowed(import, page->allowances[i]);
	free(*token);
	*token = *page->next_page_token ? memory_copy_text(page->next_page_token) : NULL;
	return TOOL_FINE;
}

/* A list from elsewhere takes nobody off the allow list. */
static int keep_allowed(struct import *import)
{
	struct arena arena;
	char *token = NULL;
	int code;

	arena_init(&arena, 1 << 20, ARENA_BYTES);
	do {
		code = look_at_allowances(import, &arena, &token);
		arena_clear(&arena);
	} while (code == TOOL_FINE && token);
	drop_those_without_effect(import);
	free(token);
	arena_release(&arena);
	return code;
}

/* ---- the calls ---- */

static bool set_item(struct arena *arena, const struct import *import, const struct list_ban *ban,
	Protector__CreateBanRequest *item)
{
	char text[ADDRESS_TEXT_MAX];

	protector__create_ban_request__init(item);
	item->effect = message_effect(ban->effect);
	item->reason =
		ban->reason ? ban->reason : ((const struct import_settings *)import->call->own)->reason;
	if (ban->subject.kind == BAN_OF_ACCOUNT) {
		item->subject_case = PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_USER_ID;
		item->user_id = (char *)(uintptr_t)ban->subject.user_id;
	} else {
		address_format(&ban->subject.address, text);
		item->subject_case = PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_ADDRESS;
		item->address = arena_text(arena, text, strlen(text));
	}
	if (ban->expire_ms != BANS_NEVER)
		item->expire_time = timestamp_new(arena, ban->expire_ms);
	return item->address && (ban->expire_ms == BANS_NEVER || item->expire_time);
}

/* `bans` are those that were sent. One may end while the list is on its way. */
static int check_answer(
	struct import *import, const struct list_ban *bans, const Protector__BatchCreateBansResponse *answer)
{
	for (size_t i = 0; i < answer->n_items; i++) {
		const Protector__BanOutcome *outcome = answer->items[i];

		if (outcome->outcome_case != PROTECTOR__BAN_OUTCOME__OUTCOME_REFUSAL)
			import->imported++;
		else if (bans[i].expire_ms <= clock_wall_ms(&clock_system))
			import->ended++;
		else
			return tool_end(import->call, TOOL_NO, "the protector refused a ban: %s",
				outcome->refusal->message);
	}
	return TOOL_FINE;
}

/* *at goes on behind what was sent. */
static int send_batch(struct import *import, struct arena *arena, size_t *at)
{
	Protector__BatchCreateBansRequest request = PROTECTOR__BATCH_CREATE_BANS_REQUEST__INIT;
	Protector__CreateBanRequest *items = ARENA_ARRAY(arena, BATCH_ITEMS, Protector__CreateBanRequest);
	const ProtobufCMessage *answer;
	const struct list_ban *first = &import->bans[*at];
	struct rpc_status status;
	size_t bytes = 0;

	request.items = ARENA_ARRAY(arena, BATCH_ITEMS, Protector__CreateBanRequest *);
	while (request.n_items < BATCH_ITEMS && *at < import->count && bytes < BATCH_BYTES) {
		Protector__CreateBanRequest *item = &items[request.n_items];

		if (!set_item(arena, import, &import->bans[(*at)++], item))
			abort(); /* the arena has room for any batch */
		request.items[request.n_items++] = item;
		bytes += protobuf_c_message_get_packed_size(&item->base);
	}
	answer = rpc_caller_call(
		&import->caller, RPC_ANY_SHARD, "BatchCreateBans", &request.base, arena, &status);
	if (!answer)
		return tool_end(
			import->call, TOOL_NO, "the protector does not take the list: %s", status.message);
	return check_answer(import, first, (const Protector__BatchCreateBansResponse *)answer);
}

static int send_all(struct import *import)
{
	struct arena arena;
	size_t at = 0;
	int code = TOOL_FINE;

	arena_init(&arena, 1 << 20, ARENA_BYTES);
	while (code == TOOL_FINE && at < import->count) {
		code = send_batch(import, &arena, &at);
		arena_clear(&arena);
	}
	arena_release(&arena);
	return code;
}

static void print_counts(const struct import *import)
{
	printf("%zu %s imported", import->imported, import->imported == 1 ? "ban" : "bans");
	if (import->ended)
		printf(", %zu had ended", import->ended);
	if (import->allowed)
		printf(", %zu left out: they are on the allow list", import->allowed);
	if (import->others)
		printf(", %zu left out: no person made them", import->others);
	printf("\n");
}

static int import_list(struct import *import)
{
	struct error error;
	int code = read_file(import);

	if (code != TOOL_FINE)
		return code;
	if (import->count)
		qsort(import->bans, import->count, sizeof(*import->bans), compare);
	if (!rpc_caller_open(&import->caller, import->call->common, "protector", "protector",
		    &protector__protector_service__descriptor, &error))
		return tool_end(import->call, TOOL_CANNOT, "%s", error.text);
	code = keep_allowed(import);
	if (code == TOOL_FINE)
		code = send_all(import);
	rpc_caller_close(&import->caller);
	if (code == TOOL_FINE)
		print_counts(import);
	return code;
}

static int run_import(const struct tool_call *call)
{
	const struct import_settings *own = call->own;
	struct import import = {.call = call,
		.now_ms = clock_wall_ms(&clock_system),
		.standard = {.effect = list_effect(own->effect), .expire_ms = BANS_NEVER}};
	int code;

	if (!call->path)
		return tool_end(call, TOOL_CANNOT, "a file must be given, or - for stdin: see --help");
	if (!import.standard.effect)
		return tool_end(
			call, TOOL_CANNOT, "--effect: expected deny, shadow, allow, slow or challenge");
	if (strlen(own->reason) > BANS_REASON_MAX)
		return tool_end(call, TOOL_CANNOT, "--reason: at most %d bytes", BANS_REASON_MAX);
	if (!tool_needs(call, "discovery-file", call->common->discovery_file))
		return TOOL_CANNOT;
	if (own->expire_ms)
		import.standard.expire_ms = import.now_ms + own->expire_ms;
	code = import_list(&import);
	for (size_t i = 0; i < import.count; i++)
		free(import.bans[i].reason);
	free(import.bans);
	return code;
}

const struct service_tool tool_import = {.name = "import",
	.purpose = "put a list of bans into a running protector; with --effect allow, onto the allow list",
	.path = "FILE",
	.settings = import_table,
	.settings_count = sizeof(import_table) / sizeof(import_table[0]),
	.settings_bytes = sizeof(struct import_settings),
	.uses_service = true,
	.run = run_import};
