#include "policy/replica.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "discovery/static.h"
#include "policy/messages.h"
#include "policy/policy.h"
#include "rpc/follower.h"
#include "rpc/reason.h"

#define LOOK_MS 100 /* how often the owner's silence is looked at */
#define PASS_ON_MS 5000
#define SERVICE (&policy__policy_service__descriptor)

struct replica {
	struct policy *policy;
	struct service *service;
	struct discovery *discovery; /* of the owner */
	struct rpc_pool *pool;
	struct follower *follower;
	struct rpc_timer look;
	struct rules *gathered; /* of the snapshot that is coming; NULL: none is */
	bool current;
};

/* ---- the copy ---- */

static bool is_full(const struct replica *replica, const struct rules *rules, const struct rule *rule)
{
	return (int64_t)rules_count(rules) >= replica->policy->settings->rules_max &&
	       !rules_get(rules, rule->sku, rule->level);
}

static void take(struct replica *replica, const Policy__Policy *message)
{
	struct rules *rules = replica->gathered ? replica->gathered : replica->policy->rules;
	struct rule rule;
	struct complaint complaint = rule_from_message(message, &rule);

	if (complaint.field)
		LOG_LIMITED(LOG_WARN, "a rule of the owner's makes no sense here and is left out",
			LOG_TEXT("field", complaint.field), LOG_TEXT("why", complaint.why));
	else if (is_full(replica, rules, &rule))
		LOG_LIMITED(LOG_ERROR, "a rule of the owner's is left out: raise --rules-max here, too",
			LOG_TEXT("sku", rule.sku));
	else if (replica->gathered)
		rules_put(replica->gathered, &rule);
	else
		policy_put(replica->policy, &rule);
}

static void drop(struct replica *replica, const char *name)
{
	char sku[RULES_SKU_MAX + 1];
	int32_t level;

	if (!rule_name_parse(name, sku, &level))
		return;
	if (replica->gathered)
		rules_remove(replica->gathered, sku, level);
	else
		policy_remove(replica->policy, sku, level);
}

static void drop_what_is_gone(struct policy *policy, const struct rules *now)
{
	const struct rule *rule = rules_after(policy->rules, "", RULES_EVERY_LEVEL);

	while (rule) {
		const struct rule last = *rule;

		if (!rules_get(now, last.sku, last.level))
			policy_remove(policy, last.sku, last.level);
		rule = rules_after(policy->rules, last.sku, last.level);
	}
}

static bool is_same(const struct rule *one, const struct rule *other)
{
	return one->unlimited == other->unlimited && one->units == other->units &&
	       one->open_ms == other->open_ms && one->close_ms == other->close_ms;
}

static void put_what_is_new(struct policy *policy, const struct rules *now)
{
	const struct rule *rule = rules_after(now, "", RULES_EVERY_LEVEL);

	for (; rule; rule = rules_after(now, rule->sku, rule->level)) {
		const struct rule *old = rules_get(policy->rules, rule->sku, rule->level);

		if (!old || !is_same(old, rule))
			policy_put(policy, rule);
	}
}

static void begin_snapshot(struct replica *replica)
{
	rules_free(replica->gathered);
	replica->gathered = rules_new(rules_standard(replica->policy->rules));
}

static void end_snapshot(struct replica *replica)
{
	drop_what_is_gone(replica->policy, replica->gathered);
	put_what_is_new(replica->policy, replica->gathered);
	rules_free(replica->gathered);
	replica->gathered = NULL;
	log_info("the owner's rules are known",
		LOG_INT("rules", (int64_t)rules_count(replica->policy->rules)));
}

static bool apply(
	void *context, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	const Policy__WatchPoliciesResponse *response = (const Policy__WatchPoliciesResponse *)message;
	struct replica *replica = context;

	if (header->snapshot_begin)
		begin_snapshot(replica);
	for (size_t i = 0; i < response->n_items; i++)
		take(replica, response->items[i]);
	for (size_t i = 0; i < response->n_removed_keys; i++)
		drop(replica, response->removed_keys[i]);
	if (header->snapshot_end && replica->gathered)
		end_snapshot(replica);
	watch_board_flush(replica->policy->board);
	return true;
}

/* ---- whether it is current ---- */

static void set_current(struct replica *replica, bool current)
{
	if (current == replica->current)
		return;
	replica->current = current;
	if (current) {
		log_info("the owner of the rules is heard: purchase checks are answered");
	} else {
		log_warn("the owner of the rules has been silent for too long: nothing is answered until it "
			 "is heard again",
			LOG_TEXT("owner", replica->policy->settings->replica_of));
		watch_board_dismiss(replica->policy->board);
	}
	service_set_serving(replica->service, current);
}

static void look(struct rpc_task *task)
{
	struct replica *replica = container_of(task, struct replica, look.task);
	int64_t silence_ns = clock_mono_ns() - follower_heard_ns(replica->follower);

	set_current(replica, follower_synced(replica->follower) &&
				     silence_ns <= replica->policy->settings->owner_silence_ms * 1000000);
	rpc_timer_start(replica->policy->loop, &replica->look, LOOK_MS);
}

bool replica_current(const struct replica *replica)
{
	return replica->current;
}

/* ---- passing on ---- */

struct passed {
	struct rpc_request request;
	struct rpc_call *call;
	ProtobufCClosure answer;
};

static void passed_done(struct rpc_request *request)
{
	const struct passed *passed = container_of(request, struct passed, request);
	const struct rpc_status *status = &request->status;

	if (status->code == RPC_OK)
		passed->answer(request->output, passed->call);
	else if (status->reason[0])
		rpc_fail(passed->call, status);
	else if (request->sent)
		rpc_fail_reason(passed->call, COMMON__REASON__REASON_OUTCOME_UNKNOWN,
			"the owner of the rules was asked and has not answered: %s", status->message);
	else
		rpc_fail_reason(passed->call, COMMON__REASON__REASON_DEPENDENCY_DOWN,
			"the owner of the rules can't be reached: %s", status->message);
}

void replica_pass_on(struct replica *replica, struct rpc_call *call, const char *method,
	const ProtobufCMessage *request, ProtobufCClosure answer)
{
	struct passed *passed = ARENA_NEW(rpc_arena(call), struct passed);
	int64_t deadline_ns = clock_mono_ns() + PASS_ON_MS * INT64_C(1000000);

	if (!passed) {
		policy_fail_too_large(call);
		return;
	}
	if (rpc_deadline_ns(call) < deadline_ns)
		deadline_ns = rpc_deadline_ns(call);
	passed->call = call;
	passed->answer = answer;
	passed->request = (struct rpc_request){
		.method = protobuf_c_service_descriptor_get_method_by_name(SERVICE, method),
		.service = SERVICE,
		.input = request,
		.shard = RPC_ANY_SHARD,
		.deadline_ns = deadline_ns,
		.trace = rpc_trace(call),
		.arena = rpc_arena(call),
		.done = passed_done,
	};
	assert(passed->request.method);
	rpc_request_start(replica->pool, &passed->request);
}

/* ---- start and end ---- */

static void begin(void *context)
{
	struct replica *replica = context;

	replica->follower = follower_new(&(struct follower_options){
		.pool = replica->pool,
		.service = SERVICE,
		.method = "WatchPolicies",
		.shard = RPC_ANY_SHARD,
		.apply = apply,
		.context = replica,
	});
	replica->look.task.run = look;
	rpc_timer_start(replica->policy->loop, &replica->look, LOOK_MS);
}

struct replica *replica_new(struct policy *policy, struct service *service, struct error *error)
{
	char *line = memory_format("policy %s\n", policy->settings->replica_of);
	struct discovery *discovery = discovery_static_new_fixed(line, "--replica-of", error);
	struct replica *replica;

	free(line);
	if (!discovery)
		return NULL;
	replica = NEW(struct replica);
	replica->policy = policy;
	replica->service = service;
	replica->discovery = discovery;
	replica->pool = rpc_pool_new(policy->loop, discovery, "policy", service->tls);
	rpc_run(policy->loop, begin, replica);
	return replica;
}

static void end(void *context)
{
	struct replica *replica = context;

	rpc_timer_stop(replica->policy->loop, &replica->look);
	follower_free(replica->follower);
}

void replica_stop(struct replica *replica)
{
	rpc_run(replica->policy->loop, end, replica);
	rpc_pool_free(replica->pool);
	rpc_run(replica->policy->loop, NULL, NULL); /* what came back last has been heard */
}

void replica_free(struct replica *replica)
{
	discovery_free(replica->discovery);
	rules_free(replica->gathered);
	free(replica);
}
