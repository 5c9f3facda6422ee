#include <string.h>

#include "base/memory.h"
#include "policy/messages.h"
#include "policy/policy.h"
#include "policy/shelf.h"
#include "rpc/change.h"
#include "rpc/reason.h"

#define PAGE_MAX 10000

static void fail_not_found(struct rpc_call *call, const char *sku, int32_t level)
{
	rpc_fail_reason(call, COMMON__REASON__REASON_NOT_FOUND, "there is no rule for SKU %s and level %d",
		sku, level);
}

/* ---- set ---- */

struct set_policy {
	struct change change;
	struct policy *policy;
	struct rule rule;
	Policy__SetPolicyResponse_Closure answer;
};

static int set_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct set_policy *set = container_of(change, struct set_policy, change);

	return shelf_put(set->policy->store, txn, &set->rule);
}

static void set_settle(struct change *change)
{
	struct set_policy *set = container_of(change, struct set_policy, change);
	Policy__SetPolicyResponse response = POLICY__SET_POLICY_RESPONSE__INIT;

	policy_put(set->policy, &set->rule);
	watch_board_flush(set->policy->board);
	response.policy = message_policy(rpc_arena(change->call), &set->rule);
	if (response.policy)
		set->answer(&response, change->call);
	else
		policy_fail_too_large(change->call);
}

POLICY_METHOD(set_policy, SetPolicy)
{
	struct policy *policy = container_of(service, struct policy, methods);
	struct set_policy *set = ARENA_NEW(rpc_arena(call), struct set_policy);
	struct complaint complaint;

	if (policy->replica) {
		replica_pass_on(policy->replica, call, "SetPolicy", &request->base, (ProtobufCClosure)answer);
		return;
	}
	if (!set) {
		policy_fail_too_large(call);
		return;
	}
	complaint = rule_from_request(request, &set->rule);
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	if ((int64_t)rules_count(policy->rules) >= policy->settings->rules_max &&
		!rules_get(policy->rules, set->rule.sku, set->rule.level)) {
		rpc_fail_reason(call, COMMON__REASON__REASON_STORE_FULL,
			"there are %lld rules already: remove some, or raise --rules-max",
			(long long)policy->settings->rules_max);
		return;
	}
	set->policy = policy;
	set->answer = answer;
	set->change = (struct change){
		.apply = set_apply, .settle = set_settle, .grows = true, .call = call, .loop = policy->loop};
	change_submit(&set->change, policy->writer);
}

/* ---- delete ---- */

struct delete_policy {
	struct change change;
	struct policy *policy;
	const Policy__DeletePolicyRequest *request;
	uint32_t removed;
	Policy__DeletePolicyResponse_Closure answer;
};

static bool names_a_level(const Policy__DeletePolicyRequest *request)
{
	return request->level_case == POLICY__DELETE_POLICY_REQUEST__LEVEL_USER_LEVEL;
}

static int delete_apply(struct change *change, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct delete_policy *delete = container_of(change, struct delete_policy, change);
	const Policy__DeletePolicyRequest *request = delete->request;
	struct store *store = delete->policy->store;

	if (names_a_level(request))
		return shelf_remove(store, txn, request->sku, request->user_level, &delete->removed);
	return shelf_remove_sku(store, txn, request->sku, &delete->removed);
}

/* Memory is as the store was when this change was committed, so it holds the same rules of the SKU. */
static void remove_sku(struct policy *policy, const char *sku)
{
	const struct rule *rule = rules_get(policy->rules, sku, RULES_EVERY_LEVEL);

	if (!rule)
		rule = rules_after(policy->rules, sku, RULES_EVERY_LEVEL);
	while (rule && strcmp(rule->sku, sku) == 0) {
		int32_t level = rule->level;

		policy_remove(policy, sku, level);
		rule = rules_after(policy->rules, sku, level);
	}
}

static void delete_settle(struct change *change)
{
	struct delete_policy *delete = container_of(change, struct delete_policy, change);
	const Policy__DeletePolicyRequest *request = delete->request;
	Policy__DeletePolicyResponse response = POLICY__DELETE_POLICY_RESPONSE__INIT;
	Policy__EmptiedPolicy emptied = POLICY__EMPTIED_POLICY__INIT;

	if (delete->removed == 0) {
		if (names_a_level(request))
			fail_not_found(change->call, request->sku, request->user_level);
		else
			rpc_fail_reason(change->call, COMMON__REASON__REASON_NOT_FOUND,
				"there is no rule for SKU %s", request->sku);
		return;
	}
	if (names_a_level(request))
		policy_remove(delete->policy, request->sku, request->user_level);
	else
		remove_sku(delete->policy, request->sku);
	watch_board_flush(delete->policy->board);
	response.emptied = &emptied;
	response.removed = delete->removed;
	delete->answer(&response, change->call);
}

POLICY_METHOD(delete_policy, DeletePolicy)
{
	struct policy *policy = container_of(service, struct policy, methods);
	struct delete_policy *delete = ARENA_NEW(rpc_arena(call), struct delete_policy);
	struct complaint complaint =
		complain_subject(request->sku, names_a_level(request) ? request->user_level : 0);

	if (policy->replica) {
		replica_pass_on(
			policy->replica, call, "DeletePolicy", &request->base, (ProtobufCClosure)answer);
		return;
	}
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	if (!delete) {
		policy_fail_too_large(call);
		return;
	}
	delete->policy = policy;
	delete->request = request;
	delete->answer = answer;
	delete->change = (struct change){
		.apply = delete_apply, .settle = delete_settle, .call = call, .loop = policy->loop};
	change_submit(&delete->change, policy->writer);
}

/* ---- reads, from memory ---- */

POLICY_METHOD(get_policy, GetPolicy)
{
	struct policy *policy = container_of(service, struct policy, methods);
	Policy__GetPolicyResponse response = POLICY__GET_POLICY_RESPONSE__INIT;
	struct complaint complaint = complain_subject(request->sku, request->user_level);
	const struct rule *rule;

	if (policy->replica) {
		replica_pass_on(policy->replica, call, "GetPolicy", &request->base, (ProtobufCClosure)answer);
		return;
	}
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	rule = rules_get(policy->rules, request->sku, request->user_level);
	if (!rule) {
		fail_not_found(call, request->sku, request->user_level);
		return;
	}
	response.policy = message_policy(rpc_arena(call), rule);
	if (response.policy)
		answer(&response, call);
	else
		policy_fail_too_large(call);
}

/* A place in the order of the rules: the next one is after it, or at it. */
struct place {
	char sku[RULES_SKU_MAX + 1];
	int32_t level;
	bool at;
};

static bool find_place(const Policy__ListPoliciesRequest *request, struct rpc_call *call, struct place *ret)
{
	*ret = (struct place){.level = RULES_EVERY_LEVEL, .at = true};
	if (*request->sku && !rules_subject_valid(request->sku)) {
		struct complaint complaint = complain_subject(request->sku, 0);

		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return false;
	}
	if (request->page_size > PAGE_MAX) {
		rpc_refuse(call, "page_size", "expected at most %d", PAGE_MAX);
		return false;
	}
	strcpy(ret->sku, request->sku);
	if (!*request->page_token)
		return true;
	ret->at = false;
	if (rule_name_parse(request->page_token, ret->sku, &ret->level) &&
		(!*request->sku || strcmp(request->sku, ret->sku) == 0))
		return true;
	rpc_refuse(call, "page_token", "not the next_page_token of a page of this list");
	return false;
}

static const struct rule *next_rule(const struct rules *rules, struct place *place, const char *sku)
{
	const struct rule *rule = place->at ? rules_get(rules, place->sku, place->level) : NULL;

	if (!rule)
		rule = rules_after(rules, place->sku, place->level);
	if (!rule || (*sku && strcmp(rule->sku, sku) != 0))
		return NULL;
	strcpy(place->sku, rule->sku);
	place->level = rule->level;
	place->at = false;
	return rule;
}

POLICY_METHOD(list_policies, ListPolicies)
{
	struct policy *policy = container_of(service, struct policy, methods);
	Policy__ListPoliciesResponse response = POLICY__LIST_POLICIES_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	size_t max = request->page_size ? request->page_size : PAGE_MAX;
	char token[RULE_NAME_MAX];
	const struct rule *rule;
	struct place place;

	if (policy->replica) {
		replica_pass_on(
			policy->replica, call, "ListPolicies", &request->base, (ProtobufCClosure)answer);
		return;
	}
	if (!find_place(request, call, &place))
		return;
	response.policies = ARENA_ARRAY(arena, max, Policy__Policy *);
	if (!response.policies) {
		policy_fail_too_large(call);
		return;
	}
	while (response.n_policies < max && (rule = next_rule(policy->rules, &place, request->sku))) {
		Policy__Policy *message = message_policy(arena, rule);

		if (!message) {
			policy_fail_too_large(call);
			return;
		}
		response.policies[response.n_policies++] = message;
	}
	if (response.n_policies == max) {
		rule_name_format(place.sku, place.level, token);
		if (next_rule(policy->rules, &place, request->sku))
			response.next_page_token = token;
	}
	answer(&response, call);
}

POLICY_METHOD(watch_policies, WatchPolicies)
{
	struct policy *policy = container_of(service, struct policy, methods);

	if (policy_answers(policy, call))
		watch_board_stream(policy->board, call, request->resume_incarnation, request->resume_version);
}
