/* policy/policy.h - the policy service: what its RPC files share.
 *
 * The rules in memory and the watch board belong to the loop's thread; every method runs there, and none of those that read touches the
 * store. The store belongs to the writer's thread: a change is committed by it, then takes effect on the loop, then is answered (rpc/change.h).
 * Before the port is open, policy_start fills both from the store on the main thread. A replica has neither store nor writer (policy/replica.h). */
#ifndef FLASHSALE_POLICY_POLICY_H
#define FLASHSALE_POLICY_POLICY_H

#include "base/writer.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "policy/replica.h"
#include "policy/rules.h"
#include "rpc/service.h"
#include "rpc/watch.h"

struct policy_settings {
	struct service_settings common;
	int64_t default_limit; /* --default-limit 5; 0: unlimited */
	int64_t rules_max;     /* --rules-max */
	char *replica_of;      /* --replica-of HOST:PORT; NULL: this is the owner of the rules */
	int64_t owner_silence_ms; /* --owner-silence-max 30s */
};

struct policy {
	Policy__PolicyService_Service methods; /* what rpc_serve gets, and the methods are called with */
	const struct policy_settings *settings;
	const struct clock_source *clock;
	struct rpc_loop *loop;
	struct store *store; /* the writer's; NULL: a replica */
	struct writer *writer;	 /* NULL: a replica */
	struct replica *replica; /* NULL: the owner */
	struct rules *rules;
	struct watch_board *board;
};

/* The hooks of service_definition. */
bool policy_check(const void *settings, struct error *error);
bool policy_stored(const void *settings);
bool policy_start(struct service *service, struct error *error);
void policy_stop(struct service *service);
void policy_release(struct service *service);

/* rules.h's changes, shown to the watchers too. Loop only, or before it has calls. */
void policy_put(struct policy *policy, const struct rule *rule);
void policy_remove(struct policy *policy, const char *sku, int32_t level);
void policy_show_standard(struct policy *policy); /* as "*" and -1, if no rule is there */

/* Whether the rules are known well enough to answer from; else the call has ended. Loop only. */
bool policy_answers(const struct policy *policy, struct rpc_call *call);
void policy_fail_too_large(struct rpc_call *call);

/* The methods; each gets `service`, `request`, the closure `answer` and `call`. */
#define POLICY_METHOD(name, Type) \
	void policy_##name(Policy__PolicyService_Service *service, const Policy__##Type##Request *request, \
		Policy__##Type##Response_Closure answer, void *call)
/* rpc_validate.c */
POLICY_METHOD(validate_purchase, ValidatePurchase);
POLICY_METHOD(batch_validate_purchases, BatchValidatePurchases);
/* rpc_rules.c */
POLICY_METHOD(set_policy, SetPolicy);
POLICY_METHOD(get_policy, GetPolicy);
POLICY_METHOD(list_policies, ListPolicies);
POLICY_METHOD(delete_policy, DeletePolicy);
POLICY_METHOD(watch_policies, WatchPolicies);

#endif
