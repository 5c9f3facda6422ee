/* services_page.c - GET /v1/services.html: for people; whole in itself, and every text that is not ours escaped. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "gatekeeper/edge/services.h"
#include "rpc/timestamp.h"

#define SHA256_BYTES 32

static const char style[] = "body{font:14px/1.5 system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
			    "h1{font-size:1.4em}h2{font-size:1.1em;margin:1.5em 0 .4em}"
			    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3em "
			    ".8em .3em 0;border-bottom:1px solid #ddd}"
			    "th{font-weight:600;color:#666}.good{color:#17692b}.bad{color:#b00020;font-"
			    "weight:600}.odd{color:#8a5a00}.dim{color:#777}";

/* As text, also inside of a quoted attribute. */
static void put(struct text *text, const char *value)
{
	for (; *value; value++) {
		switch (*value) {
		case '&':
			text_append_string(text, "&amp;");
			break;
		case '<':
			text_append_string(text, "&lt;");
			break;
		case '>':
			text_append_string(text, "&gt;");
			break;
		case '"':
			text_append_string(text, "&quot;");
			break;
		case '\'':
			text_append_string(text, "&#39;");
			break;
		default:
			text_append_char(text, *value);
		}
	}
}

/* A cell; `class` is a literal. */
static void put_cell(struct text *text, const char *class, const char *value)
{
	text_appendf(text, "<td class=\"%s\">", class);
	put(text, value);
	text_append_string(text, "</td>");
}

static const char *time_text(const Google__Protobuf__Timestamp *time, char buffer[CLOCK_TEXT_MAX])
{
	int64_t ms;

	return time && timestamp_get(time, &ms) ? clock_format_rfc3339(ms, buffer) : "";
}

/* The two largest units of it: "3 d 4 h". */
static const char *age_text(const Google__Protobuf__Duration *age, char *buffer, size_t room)
{
	const long long seconds = age ? (long long)age->seconds : 0;

	if (!age)
		return "";
	if (seconds >= 86400)
		snprintf(buffer, room, "%lld d %lld h", seconds / 86400, seconds % 86400 / 3600);
	else if (seconds >= 3600)
		snprintf(buffer, room, "%lld h %lld min", seconds / 3600, seconds % 3600 / 60);
	else if (seconds >= 60)
		snprintf(buffer, room, "%lld min %lld s", seconds / 60, seconds % 60);
	else
		snprintf(buffer, room, "%lld s", seconds);
	return buffer;
}

static void put_health(struct text *text, Gatekeeper__InstanceHealth health)
{
	switch (health) {
	case GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_SERVING:
		put_cell(text, "good", "serving");
		break;
	case GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING:
		put_cell(text, "bad", "not serving");
		break;
	case GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNREACHABLE:
		put_cell(text, "bad", "unreachable");
		break;
	default:
		put_cell(text, "odd", "not known");
	}
}

static void put_registry_health(struct text *text, Gatekeeper__RegistryHealth health)
{
	switch (health) {
	case GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_PASSING:
		put_cell(text, "good", "passing");
		break;
	case GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_WARNING:
		put_cell(text, "odd", "warning");
		break;
	case GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_CRITICAL:
		put_cell(text, "bad", "critical");
		break;
	default:
		put_cell(text, "dim", "listed");
	}
}

static void put_instance(
	struct text *text, const Gatekeeper__ServiceView *service, const Gatekeeper__InstanceView *view)
{
	char time[CLOCK_TEXT_MAX], age[48], shard[32] = "";

	if (service->shards)
		snprintf(shard, sizeof(shard), "%u", view->shard);
	text_append_string(text, "<tr>");
	put_cell(text, "", view->id);
	put_health(text, view->health);
	put_registry_health(text, view->registry_health);
	put_cell(text, "", shard);
	put_cell(text, "", view->version);
	text_append_string(text, "<td title=\"");
	put(text, time_text(view->start_time, time));
	text_append_string(text, "\">");
	put(text, age_text(view->age, age, sizeof(age)));
	text_append_string(text, "</td>");
	put_cell(text, "", view->address);
	put_cell(text, "dim", view->admin_address);
	put_cell(text, "dim", view->detail);
	text_append_string(text, "</tr>\n");
}

static void put_missing(struct text *text, const Gatekeeper__ServiceView *service)
{
	if (!service->n_missing_shards)
		return;
	text_append_string(text, "<p class=\"bad\">No instance is known of shard");
	for (size_t i = 0; i < service->n_missing_shards; i++)
		text_appendf(text, "%s %u", i ? "," : "", service->missing_shards[i]);
	text_appendf(text, " of %u.</p>\n", service->shards);
}

static void put_service(struct text *text, const Gatekeeper__ServiceView *service)
{
	text_append_string(text, "<h2>");
	put(text, service->service);
	text_append_string(text, "</h2>\n");
	if (!service->known)
		text_append_string(text, "<p class=\"odd\">The registry has not told of it yet.</p>\n");
	else if (!service->n_instances && !service->n_missing_shards)
		text_append_string(text, "<p class=\"bad\">No instance is known.</p>\n");
	put_missing(text, service);
	if (!service->n_instances)
		return;
	text_append_string(text,
		"<table><tr><th>instance</th><th>health</th><th>registry</th><th>shard</th><th>version</th>"
		"<th>age</th><th>address</th><th>admin</th><th></th></tr>\n");
	for (size_t i = 0; i < service->n_instances; i++)
		put_instance(text, service, service->instances[i]);
	text_append_string(text, "</table>\n");
}

bool services_page(struct text *text, const Gatekeeper__ListServicesResponse *response)
{
	char time[CLOCK_TEXT_MAX];

	text_clear(text);
	text_append_string(text,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta http-equiv=\"refresh\" content=\"5\"><title>Flash sale: services</title><style>");
	text_append_string(text, style);
	text_append_string(text, "</style></head><body>\n<h1>Services</h1>\n<p class=\"dim\">As ");
	put(text, response->gatekeeper);
	text_append_string(text, " sees them at ");
	put(text, time_text(response->server_time, time));
	text_append_string(text, "; registry: ");
	put(text, response->registry);
	text_append_string(text, "</p>\n");
	for (size_t i = 0; i < response->n_services; i++)
		put_service(text, response->services[i]);
	text_append_string(text, "</body></html>\n");
	return !text->overflowed;
}

const char *services_page_policy(void)
{
	static char policy[256];
	unsigned char hash[SHA256_BYTES];
	char encoded[(SHA256_BYTES + 2) / 3 * 4 + 1];

	if (policy[0])
		return policy;
	EVP_Digest(style, sizeof(style) - 1, hash, NULL, EVP_sha256(), NULL);
	EVP_EncodeBlock((unsigned char *)encoded, hash, SHA256_BYTES);
	snprintf(policy, sizeof(policy),
		"default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'",
		encoded);
	return policy;
}
