#include "gatekeeper/edge/edge_metrics.h"

#include "base/memory.h"
#include "base/process_metrics.h"

#define REASONS_MAX 64 /* values of Reason; the contracts' list ends far before */

#define SECONDS(variable, value) \
	struct metric variable = { \
		.kind = METRIC_HISTOGRAM, \
		.name = "flashsale_gatekeeper_request_seconds", \
		.help = "Requests that went to the services, from their arrival at the edge to their " \
			"answer.", \
		.labels = "kind=\"" value "\"", \
		.bounds = metric_bounds_seconds, \
		.scale = 1e-9, \
	}
SECONDS(edge_metrics_seconds_buy, "buy");
SECONDS(edge_metrics_seconds_read, "read");
SECONDS(edge_metrics_seconds_write, "write");
SECONDS(edge_metrics_seconds_echo, "echo");

struct metric edge_metrics_open = {
	.kind = METRIC_GAUGE,
	.name = "flashsale_gatekeeper_requests_open",
	.help = "Requests that are with the services now.",
};

#define ANSWERS(text) \
	{ \
		.kind = METRIC_COUNTER, .name = "flashsale_gatekeeper_requests_total", \
		.help = "Answered requests by their status.", .labels = "status=\"" text "\"", \
	}
static struct metric answers[] = {
	ANSWERS("1xx"), ANSWERS("2xx"), ANSWERS("3xx"), ANSWERS("4xx"), ANSWERS("5xx")};
#define ANSWER_CLASSES ((int)(sizeof(answers) / sizeof(answers[0])))

void edge_metrics_answered(int status)
{
	const int class = status / 100 - 1;

	metric_add(&answers[class >= 0 && class < ANSWER_CLASSES ? class : ANSWER_CLASSES - 1], 1);
}

/* By Reason; 0: granted. */
static struct metric buys[REASONS_MAX], glances[REASONS_MAX];
static struct metric plain = {
	.kind = METRIC_COUNTER,
	.name = "flashsale_gatekeeper_buys_total",
	.help = "Answered buys and changes of carts, by outcome.",
	.labels = "outcome=\"ERROR\"",
};
static struct metric degraded_buys = {
	.kind = METRIC_COUNTER,
	.name = "flashsale_gatekeeper_degraded_buys_total",
	.help = "Answered buys that were judged by the last known bans or rules, because a service was away.",
};

static void init_family(
	struct metric *family, int first, const char *name, const char *help, const char *label)
{
	for (int value = first; value < REASONS_MAX; value++) {
		const struct rpc_reason *reason = value ? rpc_reason_get((Common__Reason)value) : NULL;

		if (value && !reason)
			continue;
		family[value] = (struct metric){
			.kind = METRIC_COUNTER,
			.name = name,
			.help = help,
			.labels = metrics_label(label, reason ? reason->name : "GRANTED"),
		};
		metrics_register(&family[value]);
	}
}

void edge_metrics_init(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	process_metrics_register();
	init_family(buys, 0, plain.name, plain.help, "outcome");
	init_family(glances, 1, "flashsale_gatekeeper_glance_refusals_total",
		"Buys that were refused from a snapshot, without asking anybody.", "reason");
	for (int i = 0; i < ANSWER_CLASSES; i++)
		metrics_register(&answers[i]);
	metrics_register(&plain);
	metrics_register(&degraded_buys);
	metrics_register(&edge_metrics_open);
	metrics_register(&edge_metrics_seconds_buy);
	metrics_register(&edge_metrics_seconds_read);
	metrics_register(&edge_metrics_seconds_write);
	metrics_register(&edge_metrics_seconds_echo);
}

static struct metric *of_reason(struct metric *family, const struct problem *problem)
{
	const unsigned value = problem->reason ? (unsigned)problem->reason->value : REASONS_MAX;

	return value < REASONS_MAX && family[value].name ? &family[value] : &plain;
}

void edge_metrics_buy(const struct problem *problem, bool degraded)
{
	metric_add(problem ? of_reason(buys, problem) : &buys[0], 1);
	if (degraded)
		metric_add(&degraded_buys, 1);
}

void edge_metrics_glance(const struct problem *problem)
{
	metric_add(of_reason(glances, problem), 1);
}
