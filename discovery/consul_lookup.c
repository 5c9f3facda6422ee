#include "discovery/consul_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "discovery/consul_json.h"

static void tell_failure(struct consul_lookup *lookup)
{
	const struct instances *list = lookup->watch.list;

	metric_add(&lookup->metrics.failures, 1);
	if (lookup->away) {
		log_debug("Consul still does not tell of a service", LOG_TEXT("of", lookup->name),
			LOG_TEXT("why", lookup->exchange.why.text));
		return;
	}
	lookup->away = true;
	log_warn(list ? "Consul does not tell of a service, its last known instances stay in use"
		      : "Consul does not tell of a service, and nothing is known of it yet",
		LOG_TEXT("of", lookup->name), LOG_TEXT("why", lookup->exchange.why.text),
		LOG_INT("instances", list ? (int64_t)list->count : 0));
}

static void failed(struct consul_lookup *lookup)
{
	tell_failure(lookup);
	consul_watch_failed(&lookup->watch, consul_now_ms(), consul_random(lookup->source));
}

static void tell_change(const struct consul_lookup *lookup, const struct instances *list)
{
	int64_t passing = 0;

	for (size_t i = 0; i < list->count; i++)
		passing += list->items[i].health == INSTANCE_PASSING;
	log_info("instances of a service have changed", LOG_TEXT("of", lookup->name),
		LOG_INT("instances", (int64_t)list->count), LOG_INT("passing", passing),
		LOG_BOOL("lingering", lookup->watch.missing != NULL));
}

static void heard(struct consul_lookup *lookup, struct instances *fresh)
{
	int64_t now_ms = consul_now_ms();
	struct instances *changed = consul_watch_heard(
		&lookup->watch, lookup->exchange.index, fresh, lookup->exchange.sent_ms, now_ms);

	atomic_store(&lookup->metrics.heard_ms, now_ms);
	if (lookup->away) {
		lookup->away = false;
		log_info("Consul tells of a service again", LOG_TEXT("of", lookup->name));
		consul_enroll_hurry(&lookup->source->self.enroll, now_ms); /* it may have forgotten us */
	}
	if (!changed)
		return;
	metric_set(&lookup->metrics.instances, (int64_t)changed->count);
	tell_change(lookup, changed);
	if (!catalog_put(&lookup->source->catalog, lookup->name, changed))
		log_error("more services are watched than discovery has room for",
			LOG_TEXT("of", lookup->name));
}

static void done(struct consul_exchange *exchange)
{
	struct consul_lookup *lookup = container_of(exchange, struct consul_lookup, exchange);
	struct instances *fresh = NULL;
	size_t left_out = 0;
	struct error why;

	if (exchange->status == 200)
		fresh = consul_json_read(exchange->answer.data, exchange->answer.length,
			clock_wall_ms(&clock_system), &left_out, &why, &exchange->why);
	if (left_out) {
		metric_add(&lookup->metrics.left_out, (int64_t)left_out);
		LOG_LIMITED(LOG_WARN, "instances in Consul are left out", LOG_TEXT("of", lookup->name),
			LOG_INT("count", (int64_t)left_out), LOG_TEXT("why", why.text));
	}
	if (fresh)
		heard(lookup, fresh);
	else
		failed(lookup);
	text_release(&exchange->answer); /* may have been large, and the next one can be long in coming */
	text_init(&exchange->answer, CONSUL_ANSWER_BYTES_MAX);
}

static void ask(struct consul_lookup *lookup)
{
	const struct consul_options *options = &lookup->source->options;
	int64_t time_ms = options->answer_ms;
	char *path;

	if (lookup->watch.index) {
		path = memory_format("%s?index=%llu&wait=%lldms", lookup->path,
			(unsigned long long)lookup->watch.index, (long long)options->wait_ms);
		time_ms += options->wait_ms + options->wait_ms / 16; /* by which Consul scatters the ends */
	} else {
		path = memory_copy_text(lookup->path);
	}
	if (!consul_exchange_send(&lookup->exchange, path, NULL, time_ms))
		failed(lookup);
	free(path);
}

int64_t consul_lookup_run(struct consul_lookup *lookup, int64_t now_ms)
{
	if (!lookup->exchange.flying && lookup->watch.next_ms <= now_ms)
		ask(lookup);
	return lookup->exchange.flying ? INT64_MAX : lookup->watch.next_ms;
}

struct consul_lookup *consul_lookup_new(struct consul_source *source, const char *service)
{
	struct consul_lookup *lookup = NEW(struct consul_lookup);

	lookup->source = source;
	lookup->name = memory_copy_text(service);
	lookup->path = memory_format("/v1/health/service/%s-%s", source->options.prefix, service);
	consul_watch_init(&lookup->watch, &source->options, consul_now_ms());
	consul_exchange_init(&lookup->exchange, &source->client, done);
	consul_watch_metrics_init(&lookup->metrics, service, consul_now_ms());
	return lookup;
}

void consul_lookup_free(struct consul_lookup *lookup)
{
	consul_exchange_release(&lookup->exchange);
	consul_watch_metrics_release(&lookup->metrics);
	consul_watch_release(&lookup->watch);
	free(lookup->name);
	free(lookup->path);
	free(lookup);
}
