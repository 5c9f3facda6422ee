#include "policy/policy.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "discovery/instances.h"
#include "policy/messages.h"
#include "policy/shelf.h"
#include "rpc/reason.h"

#define GROUP_MAX 256
#define QUEUE_MAX 4096
#define WATCH_ITEMS_MAX 512
#define WATCH_REMOVED_MAX 65536
#define MESSAGE_BYTES_MAX 4096

static struct metric metric_rules = {.kind = METRIC_GAUGE,
	.name = "flashsale_policy_rules",
	.help = "Rules in force, the standard not counted."};

static int64_t now_ms(void *domain)
{
	const struct policy *policy = domain;

	return clock_wall_ms(policy->clock);
}

static struct rule standard_rule(const struct policy_settings *settings)
{
	struct rule rule = {.units = (uint32_t)settings->default_limit};

	rule.unlimited = rule.units == 0;
	return rule;
}

static void show(struct policy *policy, const struct rule *rule)
{
	char name[RULE_NAME_MAX];
	struct arena arena;
	const Policy__Policy *message;

	arena_init(&arena, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX);
	message = message_policy(&arena, rule);
	assert(message);
	watch_board_put(policy->board, rule_name_format(rule->sku, rule->level, name), &message->base);
	arena_release(&arena);
}

void policy_show_standard(struct policy *policy)
{
	if (!rules_get(policy->rules, RULES_EVERY_SKU, RULES_EVERY_LEVEL))
		show(policy, rules_standard(policy->rules));
}

void policy_put(struct policy *policy, const struct rule *rule)
{
	rules_put(policy->rules, rule);
	metric_set(&metric_rules, (int64_t)rules_count(policy->rules));
	show(policy, rule);
}

void policy_remove(struct policy *policy, const char *sku, int32_t level)
{
	char name[RULE_NAME_MAX];

	if (!rules_remove(policy->rules, sku, level))
		return;
	metric_set(&metric_rules, (int64_t)rules_count(policy->rules));
	watch_board_remove(policy->board, rule_name_format(sku, level, name));
	policy_show_standard(policy);
}

static void show_all(struct policy *policy)
{
	const struct rule *rule = rules_after(policy->rules, "", RULES_EVERY_LEVEL);

	for (; rule; rule = rules_after(policy->rules, rule->sku, rule->level))
		show(policy, rule);
	policy_show_standard(policy);
	watch_board_flush(policy->board);
	metric_set(&metric_rules, (int64_t)rules_count(policy->rules));
}

static struct writer *start_writer(struct policy *policy, struct service *service)
{
	struct writer_options options = {.store = service->store,
		.domain = policy,
		.group_max = GROUP_MAX,
		.queue_max = QUEUE_MAX,
		.now_ms = now_ms,
		.fatal = service_fatal,
		.fatal_context = service,
		.name = "writer"};

	return writer_new(&options);
}

bool policy_answers(const struct policy *policy, struct rpc_call *call)
{
	if (!policy->replica || replica_current(policy->replica))
		return true;
	rpc_fail_reason(call, COMMON__REASON__REASON_STARTING,
		"this replica has not heard of the owner of the rules, or not for too long: ask another");
	return false;
}

void policy_fail_too_large(struct rpc_call *call)
{
	rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
		"the answer needs more memory than one call may have");
}

bool policy_stored(const void *settings)
{
	return !((const struct policy_settings *)settings)->replica_of;
}

bool policy_check(const void *settings, struct error *error)
{
	const struct policy_settings *own = settings;

	if (!own->replica_of)
		return true;
	if (own->common.store)
		return error_set(
			error, "--store and --replica-of contradict each other: a replica has no store");
	return instance_address_check(own->replica_of, error) || error_prefix(error, "--replica-of");
}

static bool own_the_rules(struct policy *policy, struct service *service, struct error *error)
{
	if (!shelf_load(service->store, policy->rules, error))
		return false;
	show_all(policy);
	policy->writer = start_writer(policy, service);
	log_info("the rules are read", LOG_INT("rules", (int64_t)rules_count(policy->rules)));
	return true;
}

static bool follow_the_rules(struct policy *policy, struct service *service, struct error *error)
{
	policy->replica = replica_new(policy, service, error);
	return policy->replica != NULL;
}

bool policy_start(struct service *service, struct error *error)
{
	struct policy *policy = NEW(struct policy);
	struct rule standard;

	policy->methods = (Policy__PolicyService_Service)POLICY__POLICY_SERVICE__INIT(policy_);
	policy->settings = service->settings;
	policy->clock = service->clock;
	policy->loop = service->loop;
	policy->store = service->store;
	standard = standard_rule(policy->settings);
	policy->rules = rules_new(&standard);
	policy->board = watch_board_new(&policy__watch_policies_response__descriptor, &service->incarnation,
		WATCH_ITEMS_MAX, WATCH_REMOVED_MAX);
	metrics_register(&metric_rules);
	service->state = policy;
	if (policy_stored(policy->settings) ? !own_the_rules(policy, service, error)
					    : !follow_the_rules(policy, service, error)) {
		policy_release(service);
		return false;
	}
	rpc_serve(service->server, &policy->methods.base);
	if (!policy->replica)
		service_set_serving(service, true);
	return true;
}

void policy_stop(struct service *service)
{
	struct policy *policy = service->state;

	if (policy->replica)
		replica_stop(policy->replica);
	else
		writer_free(policy->writer);
}

void policy_release(struct service *service)
{
	struct policy *policy = service->state;

	if (policy->replica)
		replica_free(policy->replica);
	watch_board_free(policy->board);
	rules_free(policy->rules);
	free(policy);
}
