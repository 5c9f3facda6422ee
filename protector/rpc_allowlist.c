/* protector/rpc_allowlist.c - the allow list: bans with the effect ALLOW, under a name of their own. */
#include "base/memory.h"
#include "protector/protector.h"

struct create_allowance {
	struct ban_change change;
	Protector__CreateAllowanceResponse_Closure answer;
};

static void create_settled(struct ban_change *change)
{
	struct create_allowance *create = container_of(change, struct create_allowance, change);
	struct rpc_call *call = change->change.call;
	Protector__CreateAllowanceResponse response = PROTECTOR__CREATE_ALLOWANCE_RESPONSE__INIT;

	response.allowance = message_allowance(rpc_arena(call), &change->ban);
	if (response.allowance)
		create->answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(create_allowance, CreateAllowance)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct create_allowance *create = ARENA_NEW(rpc_arena(call), struct create_allowance);
	struct complaint complaint;

	if (!create) {
		protector_fail_too_large(call);
		return;
	}
	complaint = allowance_from_request(request, clock_wall_ms(protector->clock), &create->change.ban);
	if (complaint.field) {
		protector_refuse(call, &complaint);
		return;
	}
	create->change.settled = create_settled;
	create->answer = answer;
	protector_ban(protector, call, &create->change);
}

struct delete_allowance {
	struct remove_change change;
	Protector__DeleteAllowanceResponse_Closure answer;
};

static void delete_settled(struct remove_change *change)
{
	struct delete_allowance *delete = container_of(change, struct delete_allowance, change);
	struct rpc_call *call = change->change.call;
	Protector__DeleteAllowanceResponse response = PROTECTOR__DELETE_ALLOWANCE_RESPONSE__INIT;

	if (!change->found) {
		rpc_ban_gone(call, change->was);
		return;
	}
	response.allowance = message_allowance(rpc_arena(call), change->was);
	if (response.allowance)
		delete->answer(&response, call);
	else
		protector_fail_too_large(call);
}

PROTECTOR_METHOD(delete_allowance, DeleteAllowance)
{
	struct protector *protector = container_of(service, struct protector, methods);
	struct delete_allowance *delete = ARENA_NEW(rpc_arena(call), struct delete_allowance);
	Protector__DeleteAllowanceRequest question = *request;
	const struct elsewhere elsewhere = {.method = "DeleteAllowance",
		.question = &question.base,
		.what = "allowance",
		.id = request->allowance_id,
		.absent = " in force",
		.own = request->own,
		.removes = true,
		.answer = (ProtobufCClosure)answer};
	const struct ban *ban;

	if (!delete) {
		protector_fail_too_large(call);
		return;
	}
	question.own = true;
	ban = rpc_find_ban(protector, call, true, &elsewhere);
	if (!ban)
		return;
	delete->answer = answer;
	delete->change.settled = delete_settled;
	rpc_start_removal(protector, call, ban, &delete->change);
}

PROTECTOR_METHOD(get_allowance, GetAllowance)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__GetAllowanceResponse response = PROTECTOR__GET_ALLOWANCE_RESPONSE__INIT;
	Protector__GetAllowanceRequest question = *request;
	const struct elsewhere elsewhere = {.method = "GetAllowance",
		.question = &question.base,
		.what = "allowance",
		.id = request->allowance_id,
		.absent = " in force",
		.own = request->own,
		.answer = (ProtobufCClosure)answer};
	const struct ban *ban;

	question.own = true;
	ban = rpc_find_ban(protector, call, true, &elsewhere);
	if (!ban)
		return;
	response.allowance = message_allowance(rpc_arena(call), ban);
	if (response.allowance)
		answer(&response, call);
	else
		protector_fail_too_large(call);
}

static const struct ban *next_in_force(const struct bans *bans, const struct id *after, int64_t now_ms)
{
	const struct ban *ban = bans_allowance_after(bans, after);

	while (ban && !bans_shows(bans, ban, now_ms))
		ban = bans_allowance_after(bans, &ban->id);
	return ban;
}

PROTECTOR_METHOD(list_allowances, ListAllowances)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__ListAllowancesResponse response = PROTECTOR__LIST_ALLOWANCES_RESPONSE__INIT;
	int64_t now_ms = clock_wall_ms(protector->clock);
	char token[ID_TEXT_LENGTH + 1];
	struct arena *arena = rpc_arena(call);
	const struct ban *ban;
	struct id at;
	size_t max;

	if (!rpc_read_page(call, request->page_size, request->page_token, &max, &at))
		return;
	response.allowances = ARENA_ARRAY(arena, max, Protector__Allowance *);
	while (response.allowances && response.n_allowances < max &&
		(ban = next_in_force(protector->bans, &at, now_ms))) {
		response.allowances[response.n_allowances] = message_allowance(arena, ban);
		if (!response.allowances[response.n_allowances++])
			break;
		at = ban->id;
	}
	if (arena_exhausted(arena)) {
		protector_fail_too_large(call);
		return;
	}
	if (response.n_allowances == max && next_in_force(protector->bans, &at, now_ms))
		response.next_page_token = id_format(&at, token);
	answer(&response, call);
}
