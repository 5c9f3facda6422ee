/* protector/rpc_top.c - the clients that the detectors see most of: our own, found on the analysis thread, then those of the peers, which are asked at once. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/peers.h"
#include "protector/watching.h"
#include "rpc/timestamp.h"

#define TOP_STANDARD 20
#define TOP_MAX 1000

struct top {
	struct stream_errand errand;
	struct rpc_task task;
	struct rpc_survey survey;
	struct rpc_call *call;
	struct protector *protector;
	bool own;
	size_t count;
	struct top_client *clients;
	Protector__ListTopClientsResponse response;
	Protector__ListTopClientsResponse_Closure answer;
};

static void finish(struct top *top)
{
	if (arena_exhausted(rpc_arena(top->call)))
		protector_fail_too_large(top->call);
	else
		top->answer(&top->response, top->call);
}

/* ---- peers' ---- */

static int compare_subjects(const Protector__TopClient *a, const Protector__TopClient *b)
{
	if (a->subject_case != b->subject_case)
		return a->subject_case < b->subject_case ? -1 : 1;
	return a->subject_case == PROTECTOR__TOP_CLIENT__SUBJECT_USER_ID ? strcmp(a->user_id, b->user_id)
									 : strcmp(a->address, b->address);
}

static int compare_requests(const Protector__TopClient *a, const Protector__TopClient *b)
{
	return a->requests == b->requests ? 0 : a->requests > b->requests ? -1 : 1;
}

static int by_subject(const void *a, const void *b)
{
	const Protector__TopClient *x = *(Protector__TopClient *const *)a,
				   *y = *(Protector__TopClient *const *)b;
	int order = compare_subjects(x, y);

	return order ? order : compare_requests(x, y);
}

static int by_requests(const void *a, const void *b)
{
	const Protector__TopClient *x = *(Protector__TopClient *const *)a,
				   *y = *(Protector__TopClient *const *)b;
	int order = compare_requests(x, y);

	return order ? order : compare_subjects(x, y);
}

/* Each client once, with the most that anybody counted, the heaviest first. How many are left. */
static size_t settle(Protector__TopClient **list, size_t count, size_t max)
{
	size_t kept = 0;

	qsort(list, count, sizeof(*list), by_subject);
	for (size_t i = 0; i < count; i++) {
		if (!kept || compare_subjects(list[kept - 1], list[i]) != 0)
			list[kept++] = list[i];
	}
	qsort(list, kept, sizeof(*list), by_requests);
	return kept < max ? kept : max;
}

static Protector__TopClient **append(struct arena *arena, Protector__TopClient **list, size_t *count,
	Protector__TopClient *const *more, size_t more_count)
{
	Protector__TopClient **joined = ARENA_ARRAY(arena, *count + more_count, Protector__TopClient *);

	if (!joined || !(*count + more_count))
		return list;
	if (*count)
		memcpy(joined, list, *count * sizeof(*list));
	if (more_count)
		memcpy(joined + *count, more, more_count * sizeof(*more));
	*count += more_count;
	return joined;
}

static void add_answer(struct top *top, const Protector__ListTopClientsResponse *answer)
{
	Protector__ListTopClientsResponse *all = &top->response;
	struct arena *arena = rpc_arena(top->call);

	all->accounts = append(arena, all->accounts, &all->n_accounts, answer->accounts, answer->n_accounts);
	all->addresses =
		append(arena, all->addresses, &all->n_addresses, answer->addresses, answer->n_addresses);
}

static void heard(struct rpc_survey *survey)
{
	struct top *top = container_of(survey, struct top, survey);
	Protector__ListTopClientsResponse *all = &top->response;

	for (size_t i = 0; survey->entries && i < survey->count; i++) {
		if (survey->entries[i].answer)
			add_answer(top, (const Protector__ListTopClientsResponse *)survey->entries[i].answer);
	}
	all->n_missing = peers_missing(top->protector->peers, survey, &all->missing);
	if (!arena_exhausted(rpc_arena(top->call))) {
		all->n_accounts = settle(all->accounts, all->n_accounts, top->count);
		all->n_addresses = settle(all->addresses, all->n_addresses, top->count);
	}
	finish(top);
}

static void ask_peers(struct rpc_task *task)
{
	struct top *top = container_of(task, struct top, task);
	Protector__ListTopClientsRequest request = PROTECTOR__LIST_TOP_CLIENTS_REQUEST__INIT;

	request.count = (uint32_t)top->count;
	request.own = true;
	top->survey.done = heard;
	if (!peers_ask(top->protector->peers, top->call, "ListTopClients", &request.base, &top->survey))
		finish(top);
}

/* ---- our own ---- */

static bool set_subject(struct arena *arena, const struct ban_subject *subject, Protector__TopClient *message)
{
	char text[ADDRESS_TEXT_MAX];

	if (subject->kind == BAN_OF_ACCOUNT) {
		message->subject_case = PROTECTOR__TOP_CLIENT__SUBJECT_USER_ID;
		message->user_id = arena_text(arena, subject->user_id, strlen(subject->user_id));
		return message->user_id != NULL;
	}
	address_format(&subject->address, text);
	message->subject_case = PROTECTOR__TOP_CLIENT__SUBJECT_ADDRESS;
	message->address = arena_text(arena, text, strlen(text));
	return message->address != NULL;
}

static Protector__TopClient *message_top(struct arena *arena, const struct top_client *client)
{
	Protector__TopClient *message = ARENA_NEW(arena, Protector__TopClient);

	if (!message)
		return NULL;
	protector__top_client__init(message);
	if (!set_subject(arena, &client->subject, message))
		return NULL;
	message->requests = client->requests;
	message->throttled = client->throttled;
	message->refusals = client->refusals;
	message->distinct = client->distinct;
	message->effect = client->effect ? message_effect(client->effect)
					 : PROTECTOR__BAN_EFFECT__BAN_EFFECT_UNSPECIFIED;
	message->first_time = timestamp_new(arena, client->first_us / 1000);
	message->last_time = timestamp_new(arena, client->last_us / 1000);
	return message;
}

static Protector__TopClient **list_top(
	struct top *top, const struct analysis *analysis, enum ban_kind kind, size_t *ret_count)
{
	struct arena *arena = rpc_arena(top->call);
	Protector__TopClient **list = ARENA_ARRAY(arena, top->count, Protector__TopClient *);

	*ret_count = list ? analysis_top(analysis, kind, top->clients, top->count) : 0;
	for (size_t i = 0; i < *ret_count; i++)
		list[i] = message_top(arena, &top->clients[i]);
	return list;
}

/* On the analysis thread. */
static void find_top(struct stream_errand *errand, struct analysis *analysis)
{
	struct top *top = container_of(errand, struct top, errand);
	Protector__ListTopClientsResponse *response = &top->response;

	response->accounts = list_top(top, analysis, BAN_OF_ACCOUNT, &response->n_accounts);
	response->addresses = list_top(top, analysis, BAN_OF_ADDRESS, &response->n_addresses);
	if (top->own || arena_exhausted(rpc_arena(top->call)))
		finish(top);
	else
		rpc_post(top->protector->loop, &top->task);
}

PROTECTOR_METHOD(list_top_clients, ListTopClients)
{
	struct protector *protector = container_of(service, struct protector, methods);
	const size_t count = request->count ? request->count : TOP_STANDARD;
	struct top *top;

	if (count > TOP_MAX) {
		rpc_refuse(call, "count", "expected at most %d", TOP_MAX);
		return;
	}
	top = ARENA_NEW(rpc_arena(call), struct top);
	if (!top || !(top->clients = ARENA_ARRAY(rpc_arena(call), count, struct top_client))) {
		protector_fail_too_large(call);
		return;
	}
	protector__list_top_clients_response__init(&top->response);
	top->errand.run = find_top;
	top->task.run = ask_peers;
	top->call = call;
	top->protector = protector;
	top->own = request->own;
	top->count = count;
	top->answer = answer;
	stream_run(protector->watching->stream, &top->errand);
}
