/* rpc_elsewhere.c - what other protectors know of bans that this one does not: those that are over, which nobody watches, and those made a moment ago,
 * which are shown and lifted all the same. Who can't be asked may have it: then nobody says that there is none. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protector/peers.h"
#include "rpc/reason.h"

/* ---- one ban ---- */

struct search {
	struct rpc_survey survey;
	struct protector *protector;
	struct rpc_call *call;
	struct elsewhere wanted;
};

static void fail_not_found(struct rpc_call *call, const struct elsewhere *wanted)
{
	rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "there is no %s %s%s", wanted->what,
		wanted->id, wanted->absent);
}

/* It may have been heard of meanwhile; its watch says soon that it is over. */
static void forget(struct bans *bans, const char *text)
{
	const struct ban *ban;
	struct id id;

	ban = id_parse(text, &id) ? bans_get(bans, &id) : NULL;
	if (ban && ban->owner != BANS_OWN)
		bans_remove(bans, &id, ban->owner);
}

static void searched(struct rpc_survey *survey)
{
	struct search *search = container_of(survey, struct search, survey);
	const struct elsewhere *wanted = &search->wanted;
	char **missing;

	for (size_t i = 0; survey->entries && i < survey->count; i++) {
		if (!survey->entries[i].answer)
			continue;
		if (wanted->removes)
			forget(search->protector->bans, wanted->id);
		wanted->answer(survey->entries[i].answer, search->call);
		return;
	}
	if (peers_missing(search->protector->peers, survey, &missing))
		rpc_fail_reason(search->call, COMMON__REASON__REASON_DEPENDENCY_DOWN,
			"no protector that is here knows %s %s, and %s does not answer", wanted->what,
			wanted->id, missing[0]);
	else if (arena_exhausted(survey->arena))
		protector_fail_too_large(search->call);
	else
		fail_not_found(search->call, wanted);
}

void rpc_ask_elsewhere(struct protector *protector, struct rpc_call *call, const struct elsewhere *wanted)
{
	struct search *search = ARENA_NEW(rpc_arena(call), struct search);

	if (!search) {
		protector_fail_too_large(call);
		return;
	}
	search->survey.done = searched;
	search->protector = protector;
	search->call = call;
	search->wanted = *wanted;
	if (wanted->own ||
		!peers_ask(protector->peers, call, wanted->method, wanted->question, &search->survey))
		fail_not_found(call, wanted);
}

/* ---- a page of those that are over ---- */

struct collection {
	struct rpc_survey survey;
	struct protector *protector;
	struct rpc_call *call;
	Protector__ListBansResponse *page;
	size_t max;
	Protector__ListBansResponse_Closure answer;
};

/* Texts of ids are in the order of ids. */
static int by_id(const void *a, const void *b)
{
	return strcmp((*(Protector__Ban *const *)a)->ban_id, (*(Protector__Ban *const *)b)->ban_id);
}

/* All of them once, in order; how many. */
static size_t merge(const struct collection *collection, Protector__Ban **all)
{
	const struct rpc_survey *survey = &collection->survey;
	size_t count = collection->page->n_bans, kept = 0;

	memcpy(all, collection->page->bans, count * sizeof(*all));
	for (size_t i = 0; i < survey->count; i++) {
		const Protector__ListBansResponse *more =
			(const Protector__ListBansResponse *)survey->entries[i].answer;

		for (size_t j = 0; more && j < more->n_bans; j++)
			all[count++] = more->bans[j];
	}
	qsort(all, count, sizeof(*all), by_id);
	for (size_t i = 0; i < count; i++) {
		if (!kept || by_id(&all[kept - 1], &all[i]) != 0)
			all[kept++] = all[i];
	}
	return kept;
}

/* Whether there is more behind what was answered; *ret_count: how many bans that is at most. */
static bool count_all(const struct collection *collection, size_t *ret_count)
{
	const struct rpc_survey *survey = &collection->survey;
	bool more = *collection->page->next_page_token;

	*ret_count = collection->page->n_bans;
	for (size_t i = 0; survey->entries && i < survey->count; i++) {
		const Protector__ListBansResponse *answer =
			(const Protector__ListBansResponse *)survey->entries[i].answer;

		*ret_count += answer ? answer->n_bans : 0;
		more = more || (answer && *answer->next_page_token);
	}
	return more;
}

static void collected(struct rpc_survey *survey)
{
	struct collection *collection = container_of(survey, struct collection, survey);
	Protector__ListBansResponse *page = collection->page;
	size_t count;
	bool more = count_all(collection, &count);
	Protector__Ban **all = ARENA_ARRAY(survey->arena, count + 1, Protector__Ban *);

	page->n_missing = peers_missing(collection->protector->peers, survey, &page->missing);
	if (arena_exhausted(survey->arena)) {
		protector_fail_too_large(collection->call);
		return;
	}
	count = merge(collection, all);
	page->bans = all;
	page->n_bans = count < collection->max ? count : collection->max;
	if (page->n_bans && (more || count > collection->max))
		page->next_page_token = all[page->n_bans - 1]->ban_id;
	collection->answer(page, collection->call);
}

void rpc_list_elsewhere(struct protector *protector, struct rpc_call *call,
	const Protector__ListBansRequest *request, Protector__ListBansResponse *page, size_t max,
	Protector__ListBansResponse_Closure answer)
{
	Protector__ListBansRequest question = *request;
	struct collection *collection = ARENA_NEW(rpc_arena(call), struct collection);

	if (!collection) {
		protector_fail_too_large(call);
		return;
	}
	question.own = true;
	collection->survey.done = collected;
	collection->protector = protector;
	collection->call = call;
	collection->page = page;
	collection->max = max;
	collection->answer = answer;
	if (!peers_ask(protector->peers, call, "ListBans", &question.base, &collection->survey))
		answer(page, call);
}
