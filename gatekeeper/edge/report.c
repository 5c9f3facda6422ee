/* report.c - from an answered request to its event: who asked, for what, and what came of it. */
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "gatekeeper/edge/edge_internal.h"

void report_learn(const struct route *route, struct route_facts *facts)
{
	/* Others name the account that they are about, not their own. */
	facts->of_shopper = route->method->access == OPTIONS__ACCESS__ACCESS_SHOPPER;
	if (facts->buys && facts->purchase != PURCHASE_UPDATE)
		facts->kind = PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_BUY;
	else if (route->http_method == ROUTE_GET)
		facts->kind = PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_READ;
	else if (facts->of_shopper)
		facts->kind = PROTECTOR__TRAFFIC_KIND__TRAFFIC_KIND_CHANGE;
}

void report_client(struct work *work)
{
	const struct edge_slice ip = work->request->in.client_ip;

	if (!work->has_address && ip.data)
		work->has_address = address_parse(ip.data, ip.size, &work->address);
}

static void fill_address(struct event *event, const struct work *work)
{
	const bool v4 = work->has_address && address_is_v4(&work->address);

	event->address_size = !work->has_address ? 0 : v4 ? 4 : 16;
	if (work->has_address)
		memcpy(event->address, work->address.bytes + 16 - event->address_size, event->address_size);
}

static void fill_user(struct event *event, const struct work *work)
{
	const char *user_id = work->request->out.user_id;
	const size_t size = work->facts && work->facts->of_shopper ? strlen(user_id) : 0;

	event->user_id[0] = '\0';
	if (size && size <= EVENT_USER_MAX && utf8_valid(user_id, size))
		memcpy(event->user_id, user_id, size + 1);
}

static void fill(struct event *event, const struct work *work)
{
	event->time_us = clock_wall_us();
	event->kind = work->facts ? (uint8_t)work->facts->kind : 0;
	event->reason = (uint8_t)work->reason;
	fill_address(event, work);
	fill_user(event, work);
}

void report_from_door(struct work *work)
{
	struct event *event = reporter_door_place(work->edge->reporter);

	if (!event)
		return;
	fill(event, work);
	reporter_door_put(work->edge->reporter);
}

void report_from_loop(struct work *work)
{
	struct event event;

	if (work->start == echo_start) /* what the way costs, and nothing more */
		return;
	fill(&event, work);
	reporter_put(work->edge->reporter, &event);
}
