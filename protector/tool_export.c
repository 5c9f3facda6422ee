/* tool_export.c - `flashsale-protector export`: the bans of a running protector, as lines that `import` reads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/lists.h"
#include "protector/messages.h"
#include "protector/tool_lists.h"
#include "rpc/caller.h"
#include "rpc/timestamp.h"
#include "rpc/tool_lines.h"

#define PAGE 1000
#define ARENA_BYTES (32 << 20)

struct export_settings {
	char *effect, *out;
	bool json;
};

static const struct config_setting export_table[] = {
	{"json", CONFIG_SWITCH, offsetof(struct export_settings, json), "false", false, 0, 0,
		"all bans with all that is known of them, a JSON object a line; else plain text, whom an "
		"operator's ban of --effect is about"},
	{"effect", CONFIG_TEXT, offsetof(struct export_settings, effect), "deny", false, 0, 0,
		"of plain text: deny, shadow, allow, slow or challenge"},
	{"out", CONFIG_TEXT, offsetof(struct export_settings, out), NULL, true, 0, 0,
		"file to be made; without it: stdout"},
};

struct export
{
	const struct tool_call *call;
	const struct export_settings *own;
	struct rpc_caller caller;
	struct tool_lines *lines; /* of JSON */
	FILE *text;
	size_t left_out; /* accounts that a line of text can't hold */
	Protector__BanEffect effect;
};

static json_t *time_of(const Google__Protobuf__Timestamp *time)
{
	int64_t ms = 0;

	return json_integer(time && timestamp_get(time, &ms) ? ms : 0);
}

static const char *enum_name(const ProtobufCEnumDescriptor *type, int value)
{
	const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);

	return found ? found->name : "";
}

static void put_json(struct export *export, const Protector__Ban *ban)
{
	json_t *object = json_object();
	bool user = ban->subject_case == PROTECTOR__BAN__SUBJECT_USER_ID;

	json_object_set_new(object, "kind", json_string("ban"));
	json_object_set_new(object, "banId", json_string(ban->ban_id));
	json_object_set_new(object, user ? "userID" : "address", json_string(ban->user_id));
	json_object_set_new(object, "reason", json_string(ban->reason));
	json_object_set_new(
		object, "source", json_string(enum_name(&protector__ban_source__descriptor, ban->source)));
	json_object_set_new(
		object, "effect", json_string(enum_name(&protector__ban_effect__descriptor, ban->effect)));
	json_object_set_new(object, "evidence", json_string(ban->evidence));
	json_object_set_new(object, "createMs", time_of(ban->create_time));
	json_object_set_new(object, "expireMs", time_of(ban->expire_time));
	tool_lines_put(export->lines, object);
}

static void put_text(struct export *export, const Protector__Ban *ban)
{
	if (ban->effect != export->effect || ban->source != PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR)
		return;
	if (ban->subject_case != PROTECTOR__BAN__SUBJECT_USER_ID)
		fprintf(export->text, "%s\n", ban->address);
	else if (list_holds_user(ban->user_id))
		fprintf(export->text, "user:%s\n", ban->user_id);
	else
		export->left_out++;
}

static void put_ban(struct export *export, const Protector__Ban *ban)
{
	if (export->lines)
		put_json(export, ban);
	else
		put_text(export, ban);
}

/* One page; *token is malloc'd, NULL behind the last. */
static int export_page(struct export *export, struct arena *arena, char **token)
{
	Protector__ListBansRequest request = PROTECTOR__LIST_BANS_REQUEST__INIT;
	const Protector__ListBansResponse *page;
	struct rpc_status status;

	request.page_size = PAGE;
	if (*token)
		request.page_token = *token;
	page = (const Protector__ListBansResponse *)rpc_caller_call(
		&export->caller, RPC_ANY_SHARD, "ListBans", &request.base, arena, &status);
	if (!page)
		return tool_end(
			export->call, TOOL_NO, "the protector does not tell its bans: %s", status.message);
	for (size_t i = 0; i < page->n_bans; i++)
		put_ban(export, page->bans[i]);
	free(*token);
	*token = *page->next_page_token ? memory_copy_text(page->next_page_token) : NULL;
	return TOOL_FINE;
}

static int export_pages(struct export *export)
{
	struct arena arena;
	char *token = NULL;
	int code;

	arena_init(&arena, 1 << 20, ARENA_BYTES);
	do {
		code = export_page(export, &arena, &token);
		arena_clear(&arena);
	} while (code == TOOL_FINE && token);
	free(token);
	arena_release(&arena);
	return code;
}

static int close_json(struct export *export, int code)
{
	struct error error;

	if (code != TOOL_FINE)
		tool_lines_drop(export->lines);
	else if (!tool_lines_close(export->lines, &error))
		code = tool_end(export->call, TOOL_NO, "%s", error.text);
	return code;
}

static int close_text(struct export *export, int code)
{
	bool good = fflush(export->text) == 0 && !ferror(export->text);

	if (export->text != stdout)
		good = fclose(export->text) == 0 && good;
	if (code == TOOL_FINE && !good)
		code = tool_end(export->call, TOOL_NO, "the list can't be written: %s", strerror(errno));
	if (code == TOOL_FINE && export->left_out)
		code = tool_end(export->call, TOOL_NO,
			"%zu accounts whose names no line of text can hold were left out; --json tells all",
			export->left_out);
	return code;
}

static bool open_out(struct export *export)
{
	struct error error;

	if (export->own->json) {
		export->lines = tool_lines_open(export->own->out, &error);
		if (!export->lines)
			tool_end(export->call, TOOL_NO, "%s", error.text);
		return export->lines;
	}
	export->text = export->own->out ? fopen(export->own->out, "wx") : stdout;
	if (!export->text)
		tool_end(export->call, TOOL_NO, "%s can't be written: %s", export->own->out, strerror(errno));
	return export->text;
}

static int run_export(const struct tool_call *call)
{
	struct export export = {.call = call, .own = call->own};
	enum ban_effect effect = list_effect(export.own->effect);
	struct error error;
	int code;

	if (!effect)
		return tool_end(
			call, TOOL_CANNOT, "--effect: expected deny, shadow, allow, slow or challenge");
	export.effect = message_effect(effect);
	if (!tool_needs(call, "discovery-file", call->common->discovery_file))
		return TOOL_CANNOT;
	if (!rpc_caller_open(&export.caller, call->common, "protector", "protector",
		    &protector__protector_service__descriptor, &error))
		return tool_end(call, TOOL_CANNOT, "%s", error.text);
	code = open_out(&export) ? export_pages(&export) : TOOL_NO;
	if (export.lines)
		code = close_json(&export, code);
	else if (export.text)
		code = close_text(&export, code);
	rpc_caller_close(&export.caller);
	return code;
}

const struct service_tool tool_ban_export = {.name = "export",
	.purpose = "write the bans of a running protector as a list",
	.settings = export_table,
	.settings_count = sizeof(export_table) / sizeof(export_table[0]),
	.settings_bytes = sizeof(struct export_settings),
	.uses_service = true,
	.run = run_export};
