#include "discovery/consul_internal.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "discovery/consul.h"
#include "discovery/consul_internal.h"
#include "discovery/consul_json.h"

struct registration *registration_copy(const struct registration *from)
{
	struct registration *to = NEW(struct registration);

	*to = *from;
	to->service = memory_copy_text(from->service);
	to->self.id = memory_copy_text(from->self.id);
	to->self.address = memory_copy_text(from->self.address);
	to->self.admin_address = memory_copy_text(from->self.admin_address);
	to->self.version = memory_copy_text(from->self.version);
	to->health_service = from->health_service ? memory_copy_text(from->health_service) : NULL;
	return to;
}

void registration_free(struct registration *registration)
{
	if (!registration)
		return;
	free((char *)registration->service);
	free((char *)registration->self.id);
	free((char *)registration->self.address);
	free((char *)registration->self.admin_address);
	free((char *)registration->self.version);
	free((char *)registration->health_service);
	free(registration);
}

static enum consul_found judge(struct consul_self *self)
{
	const struct consul_exchange *exchange = &self->exchange;

	if (self->asked == CONSUL_LOOK && exchange->status == 404)
		return CONSUL_MISSING;
	if (exchange->status != 200)
		return CONSUL_FAILED;
	if (self->asked == CONSUL_LOOK && !consul_json_is_ours(exchange->answer.data, exchange->answer.length,
						  self->registration, self->name))
		return CONSUL_OTHER;
	return CONSUL_DONE;
}

static void tell_failure(struct consul_self *self)
{
	metric_add(&self->metrics.failures, 1);
	if (self->away)
		return;
	self->away = true;
	log_warn(self->asked == CONSUL_LOOK
			 ? "Consul does not tell whether this instance is registered"
			 : "this instance can't be registered with Consul, it is tried again",
		LOG_TEXT("id", self->registration->self.id), LOG_TEXT("why", self->exchange.why.text));
}

static void tell(struct consul_self *self, enum consul_found found)
{
	const struct instance *instance = &self->registration->self;

	if (found == CONSUL_FAILED) {
		tell_failure(self);
		return;
	}
	self->away = false;
	if (found == CONSUL_MISSING)
		log_warn("Consul has forgotten this instance, it registers again",
			LOG_TEXT("id", instance->id));
	else if (found == CONSUL_OTHER)
		log_warn("Consul has something else under the id of this instance, it registers again",
			LOG_TEXT("id", instance->id));
	else if (self->asked == CONSUL_REGISTER) {
		metric_add(&self->metrics.registrations, 1);
		log_info("registered with Consul", LOG_TEXT("as", self->name), LOG_TEXT("id", instance->id),
			LOG_TEXT("address", instance->address));
	} else if (self->asked == CONSUL_WITHDRAW) {
		log_info("left Consul", LOG_TEXT("id", instance->id));
	}
}

static void answered(struct consul_self *self, enum consul_found found)
{
	/* who wants to leave does not care any more what came of the step before */
	bool overtaken = self->enroll.next == CONSUL_WITHDRAW && self->asked != CONSUL_WITHDRAW;

	tell(self, found);
	self->asked = CONSUL_NOTHING;
	if (!overtaken)
		consul_enroll_heard(&self->enroll, found, consul_now_ms(), consul_random(self->source));
	metric_set(&self->metrics.registered, self->enroll.registered);
}

static void done(struct consul_exchange *exchange)
{
	struct consul_self *self = container_of(exchange, struct consul_self, exchange);

	answered(self, judge(self));
}

static bool send_step(struct consul_self *self)
{
	const struct consul_options *options = &self->source->options;
	char *path, *body = NULL;
	bool sent;

	switch (self->asked) {
	case CONSUL_REGISTER:
		path = memory_copy_text("/v1/agent/service/register?replace-existing-checks=true");
		body = consul_json_registration(self->registration, self->name);
		break;
	case CONSUL_LOOK:
		path = memory_format("/v1/agent/service/%s", self->id);
		break;
	default:
		path = memory_format("/v1/agent/service/deregister/%s", self->id);
		body = memory_copy_text("");
	}
	sent = consul_exchange_send(&self->exchange, path, body,
		self->asked == CONSUL_WITHDRAW && CONSUL_WITHDRAW_MS < options->answer_ms
			? CONSUL_WITHDRAW_MS
			: options->answer_ms);
	free(path);
	return sent;
}

int64_t consul_self_run(struct consul_self *self, int64_t now_ms)
{
	if (self->asked == CONSUL_NOTHING && self->enroll.next != CONSUL_NOTHING &&
		self->enroll.next_ms <= now_ms) {
		self->asked = self->enroll.next;
		if (!send_step(self))
			answered(self, CONSUL_FAILED);
	}
	if (self->asked != CONSUL_NOTHING || self->enroll.next == CONSUL_NOTHING)
		return INT64_MAX;
	return self->enroll.next_ms;
}

bool consul_self_is_idle(const struct consul_self *self)
{
	return self->asked == CONSUL_NOTHING && self->enroll.next == CONSUL_NOTHING;
}

void consul_self_begin(struct consul_self *self, struct registration *registration)
{
	assert(!self->registration);
	self->registration = registration;
	self->name = memory_format("%s-%s", self->source->options.prefix, registration->service);
	self->id = consul_escape(registration->self.id);
	consul_enroll_metrics_init(&self->metrics);
	consul_enroll_begin(&self->enroll, consul_now_ms());
}

void consul_self_init(struct consul_self *self, struct consul_source *source)
{
	*self = (struct consul_self){.source = source};
	consul_enroll_init(&self->enroll, &source->options);
	consul_exchange_init(&self->exchange, &source->client, done);
}

void consul_self_release(struct consul_self *self)
{
	consul_exchange_release(&self->exchange);
	if (!self->registration)
		return;
	consul_enroll_metrics_release(&self->metrics);
	registration_free(self->registration);
	free(self->name);
	free(self->id);
}
