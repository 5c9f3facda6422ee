#include <string.h>

#include "base/memory.h"
#include "base/metrics.h"
#include "protector/protector.h"

#define SESSION_MAX 64
#define API_VERSION "1.0"

#define COUNTER(result) \
	{ \
		.name = "flashsale_protector_checks_total", .help = "Clients that were judged.", \
		.labels = "outcome=\"" result "\"" \
	}
static struct metric counters[OUTCOMES] = {
	[OUTCOME_WELCOME] = COUNTER("welcome"),
	[OUTCOME_BANNED] = COUNTER("banned"),
	[OUTCOME_SHADOWED] = COUNTER("shadowed"),
	[OUTCOME_INVALID] = COUNTER("invalid"),
};

void protector_register_checks(void)
{
	for (int outcome = 0; outcome < OUTCOMES; outcome++)
		metrics_register(&counters[outcome]);
}

PROTECTOR_METHOD(validate_client, ValidateClient)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__ValidateClientResponse response = PROTECTOR__VALIDATE_CLIENT_RESPONSE__INIT;
	struct bans_verdict verdict;
	struct ban_subject account;
	struct address address;
	struct complaint complaint = subject_from_user("user_id", request->user_id, &account);

	if (!complaint.field)
		complaint = address_from_text("client_ip", request->client_ip, &address);
	if (!complaint.field && strlen(request->session_id) > SESSION_MAX)
		complaint = (struct complaint){"session_id", "expected at most 64 bytes"};
	if (complaint.field) {
		metric_add(&counters[OUTCOME_INVALID], 1);
		protector_refuse(call, &complaint);
		return;
	}
	verdict = bans_judge(protector->bans, request->user_id, &address, clock_wall_ms(protector->clock));
	metric_add(&counters[verdict.deny     ? OUTCOME_BANNED
			     : verdict.shadow ? OUTCOME_SHADOWED
					      : OUTCOME_WELCOME],
		1);
	response.session_id = request->session_id;
	response.user_id = request->user_id;
	response.client_ip = request->client_ip;
	response.is_allowed = !verdict.deny;
	response.api_version = (char *)(uintptr_t)API_VERSION;
	answer(&response, call);
}

PROTECTOR_METHOD(batch_validate_clients, BatchValidateClients)
{
	struct protector *protector = container_of(service, struct protector, methods);
	Protector__BatchValidateClientsResponse response = PROTECTOR__BATCH_VALIDATE_CLIENTS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	int64_t now_ms = clock_wall_ms(protector->clock), counted[OUTCOMES] = {0};
	Protector__ClientOutcome *outcomes;
	enum outcome outcome;

	response.n_items = request->n_items;
	response.items = ARENA_ARRAY(arena, request->n_items, Protector__ClientOutcome *);
	outcomes = ARENA_ARRAY(arena, request->n_items, Protector__ClientOutcome);
	if (request->n_items && (!response.items || !outcomes)) {
		protector_fail_too_large(call);
		return;
	}
	for (size_t i = 0; i < request->n_items; i++) {
		response.items[i] = &outcomes[i];
		if (!message_outcome(
			    arena, protector->bans, request->items[i], now_ms, &outcomes[i], &outcome)) {
			protector_fail_too_large(call);
			return;
		}
		counted[outcome]++;
	}
	for (int i = 0; i < OUTCOMES; i++)
		metric_add(&counters[i], counted[i]);
	answer(&response, call);
}
