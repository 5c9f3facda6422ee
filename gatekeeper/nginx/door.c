#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "base/signals.h"
#include "gatekeeper/nginx/door.h"

/* How much longer than the edge nginx waits: the edge answers first unless it hangs. */
#define DOOR_PATIENCE_MS 500
/* How often a new worker looks whether it is connected to the services. */
#define DOOR_LOOK_MS 5

/* Of this worker; on nginx's thread only. */
static struct {
	struct edge *edge;
	struct mailbox *mailbox;
	struct edge_request *first, **last; /* gathered in this turn */
	ngx_event_t gathered;
	ngx_msec_t patience_ms, body_timeout_ms;
	struct door_shared *shared;
	uint32_t rate, burst, sharers; /* the throttle; rate 0: none */
	struct throttle_limit limit;
} door;

static ngx_str_t keep(ngx_http_request_t *r, const char *text)
{
	ngx_str_t kept = ngx_null_string;

	kept.len = ngx_strlen(text);
	kept.data = ngx_pnalloc(r->pool, kept.len);
	if (!kept.data)
		kept.len = 0;
	else
		ngx_memcpy(kept.data, text, kept.len);
	return kept;
}

/* Answers r from the request and gives the request back. */
static ngx_int_t answer(struct door_visit *visit, struct edge_request *request)
{
	ngx_http_request_t *r = visit->r;
	ngx_int_t rc;

	visit->request = NULL;
	visit->reason = keep(r, request->out.reason);
	visit->user = keep(r, request->out.user_id);
	visit->session = keep(r, request->out.session_id);
	visit->route = keep(r, request->out.route);
	if (request->out.trace)
		visit->trace = keep(r, request->out.trace);
	rc = answer_send(r, &request->out);
	edge_request_free(door.edge, request);
	return rc;
}

static void send_gathered(ngx_event_t *event)
{
	struct edge_request *first = door.first;

	if (!first)
		return;
	struct edge_request *last = container_of(door.last, struct edge_request, next);

	door.first = NULL;
	door.last = &door.first;
	edge_send(door.edge, first, last);
}

/* One lock and at most one wake a turn of the event loop, not a request. */
static void gather(struct edge_request *request)
{
	request->next = NULL;
	*door.last = request;
	door.last = &request->next;
	if (!door.gathered.posted) {
		ngx_post_event(&door.gathered, &ngx_posted_events);
	}
}

/* The shopper is gone, or gets another answer: the edge request goes on alone and is freed when it comes back. */
static void forget(struct door_visit *visit)
{
	if (visit->timer.timer_set)
		ngx_del_timer(&visit->timer);
	if (visit->request)
		visit->request->door = NULL;
	visit->request = NULL;
}

static void on_pool_gone(void *data)
{
	forget(data);
}

static void finish(struct door_visit *visit, struct edge_request *request)
{
	ngx_http_request_t *r = visit->r;
	ngx_connection_t *connection = r->connection;

	if (visit->timer.timer_set)
		ngx_del_timer(&visit->timer);
	ngx_http_finalize_request(r, answer(visit, request));
	ngx_http_run_posted_requests(connection);
}

static void on_arrived(struct edge_request *list)
{
	while (list) {
		struct edge_request *request = list;

		list = list->next;
		if (request->door)
			finish(request->door, request);
		else
			edge_request_free(door.edge, request);
	}
}

/* The edge did not answer in time, which only a hang explains: what was sent may have taken effect. */
static void on_patience_end(ngx_event_t *event)
{
	struct door_visit *visit = event->data;
	struct edge_request *problem = edge_request_new(door.edge);

	forget(visit);
	input_fill(visit->r, &problem->in);
	edge_problem(door.edge, problem, NGX_HTTP_GATEWAY_TIME_OUT);
	finish(visit, problem);
}

static ngx_int_t watch_pool(struct door_visit *visit)
{
	ngx_http_cleanup_t *cleanup;

	if (visit->is_watched)
		return NGX_OK;
	cleanup = ngx_http_cleanup_add(visit->r, 0);
	if (!cleanup)
		return NGX_ERROR;
	cleanup->handler = on_pool_gone;
	cleanup->data = visit;
	visit->is_watched = 1;
	return NGX_OK;
}

static ngx_int_t wait_for_edge(struct door_visit *visit)
{
	ngx_http_request_t *r = visit->r;

	if (watch_pool(visit) != NGX_OK)
		return NGX_ERROR;
	visit->request->door = visit;
	visit->timer.handler = on_patience_end;
	visit->timer.data = visit;
	visit->timer.log = r->connection->log;
	ngx_add_timer(&visit->timer, door.patience_ms);
	r->read_event_handler = ngx_http_test_reading;
	gather(visit->request);
	return NGX_OK;
}

static void on_body(ngx_http_request_t *r)
{
	struct door_visit *visit = ngx_http_get_module_ctx(r, ngx_http_flashsale_module);
	struct edge_request *request = edge_request_new(door.edge);

	if (visit->timer.timer_set)
		ngx_del_timer(&visit->timer);
	visit->request = request;
	input_fill(r, &request->in);
	if (input_fill_body(r, &request->in) != NGX_OK) {
		visit->request = NULL;
		edge_request_free(door.edge, request);
		ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
		return;
	}
	if (edge_judge(door.edge, request)) {
		ngx_http_finalize_request(r, answer(visit, request));
		return;
	}
	if (wait_for_edge(visit) != NGX_OK) {
		visit->request = NULL;
		edge_request_free(door.edge, request);
		ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
	}
}

/* nginx's own timeout begins anew with each byte: whoever sends one now and then would hold a connection for days. */
static void on_body_late(ngx_event_t *event)
{
	struct door_visit *visit = event->data;
	ngx_http_request_t *r = visit->r;
	ngx_connection_t *connection = r->connection;

	ngx_log_error(NGX_LOG_INFO, connection->log, 0, "flashsale: the body took too long to come");
	connection->timedout = 1;
	ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
	ngx_http_run_posted_requests(connection);
}

static void wait_for_body(struct door_visit *visit)
{
	if (watch_pool(visit) != NGX_OK)
		return; /* out of memory: nginx's own timeout remains */
	visit->timer.handler = on_body_late;
	visit->timer.data = visit;
	visit->timer.log = visit->r->connection->log;
	ngx_add_timer(&visit->timer, door.body_timeout_ms);
}

static struct door_visit *visit_new(ngx_http_request_t *r)
{
	struct door_visit *visit = ngx_http_get_module_ctx(r, ngx_http_flashsale_module);

	if (visit)
		return visit;
	visit = ngx_pcalloc(r->pool, sizeof(*visit));
	if (!visit)
		return NULL;
	visit->r = r;
	ngx_http_set_ctx(r, visit, ngx_http_flashsale_module);
	return visit;
}

/* This gatekeeper's share of what all together take, which changes as gatekeepers come and go. */
static bool is_too_many(void)
{
	uint32_t sharers = edge_fleet(door.edge);

	if (!door.rate)
		return false;
	if (sharers != door.sharers) {
		door.sharers = sharers;
		door.limit = throttle_share(door.rate, door.burst, sharers);
	}
	return !throttle_take(shared_throttle(door.shared), &door.limit, clock_mono_ns());
}

ngx_int_t door_handle(ngx_http_request_t *r)
{
	struct door_visit *visit = door.edge ? visit_new(r) : NULL;
	ngx_int_t rc;

	if (!visit)
		return NGX_HTTP_INTERNAL_SERVER_ERROR;
	if (is_too_many())
		return NGX_HTTP_TOO_MANY_REQUESTS;
	r->request_body_in_single_buf = 1;
	rc = ngx_http_read_client_request_body(r, on_body);
	if (rc == NGX_AGAIN)
		wait_for_body(visit);
	return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}

ngx_int_t door_handle_problem(ngx_http_request_t *r)
{
	struct door_visit *visit = door.edge ? visit_new(r) : NULL;
	struct edge_request *problem;
	ngx_int_t rc;

	if (!visit)
		return NGX_HTTP_INTERNAL_SERVER_ERROR;
	rc = ngx_http_discard_request_body(r);
	if (rc != NGX_OK)
		return rc;
	problem = edge_request_new(door.edge);
	input_fill_original(r, &problem->in);
	edge_problem(door.edge, problem, r->err_status ? (int)r->err_status : NGX_HTTP_NOT_FOUND);
	return answer(visit, problem);
}

/* An answer of the door's own, without the edge. */
static ngx_int_t answer_text(
	ngx_http_request_t *r, int status, const char *content_type, const char *text, size_t size)
{
	const struct edge_output out = {
		.status = status, .content_type = content_type, .body = text, .body_size = size};
	ngx_int_t rc = ngx_http_discard_request_body(r);

	return rc == NGX_OK ? answer_send(r, &out) : rc;
}

ngx_int_t door_handle_health(ngx_http_request_t *r)
{
	const bool healthy = door.edge && edge_healthy(door.edge);
	const char *text = healthy ? "serving\n" : "not serving: a service was not seen yet\n";

	return answer_text(r, healthy ? 200 : 503, "text/plain", text, strlen(text));
}

ngx_int_t door_handle_metrics(ngx_http_request_t *r)
{
	size_t size;
	char *text = metrics_text(&size);
	ngx_int_t rc = answer_text(r, 200, "text/plain; version=0.0.4", text, size);

	free(text);
	return rc;
}

static ngx_int_t open_edge(ngx_cycle_t *cycle, const struct door_conf *conf)
{
	struct edge_options options = {
		/* the configuration's strings are terminated, and NULL where none was given */
		.discovery_file = (const char *)conf->discovery_file.data,
		.consul_prefix = (const char *)conf->consul_prefix.data,
		.advertise = (const char *)conf->advertise.data,
		.advertise_admin = (const char *)conf->advertise_admin.data,
		.keys_folder = (const char *)conf->keys_folder.data,
		.tls_cert = (const char *)conf->tls_cert.data,
		.tls_key = (const char *)conf->tls_key.data,
		.tls_ca = (const char *)conf->tls_ca.data,
		.demo = conf->demo != DOOR_DEMO_OFF,
		.protector_fail_closed = conf->protector_fail_closed,
		.bench = conf->bench,
		.deadline_ms = (int64_t)conf->deadline,
		.policy_fallback_ms = (int64_t)conf->policy_fallback,
		.shared = shared_edge(conf->zone->data),
		.challenge_key = (const char *)conf->challenge_key.data,
		.challenge_difficulty = (uint32_t)conf->challenge_difficulty,
		.challenge_lifetime_ms = (int64_t)conf->challenge_lifetime,
		.slow_account_rate = (uint32_t)conf->slow_account_rate,
		.slow_address_rate = (uint32_t)conf->slow_address_rate,
		.inventory_shards = (uint32_t)conf->inventory_shards,
		.cart_shards = (uint32_t)conf->cart_shards,
		.queue_max = (uint32_t)conf->queue_max,
		.finished = mailbox_put,
		.context = door.mailbox,
	};
	struct error error = {0};
	sigset_t all, before;

	/* The edge's threads inherit the mask: nginx's signals are for nginx's thread. */
	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	door.edge = edge_new(&options, &error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (door.edge)
		return NGX_OK;
	ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "flashsale: %s", error.text);
	/* nginx never replaces a worker that fails at its start, and a master without workers looks alive: both end. */
	if (ngx_process == NGX_PROCESS_WORKER)
		kill(ngx_parent, SIGTERM);
	return NGX_ERROR;
}

/* The edge's lines go to nginx's error log as JSON, like every service's. */
static void name_logs(const ngx_cycle_t *cycle)
{
	static char instance[64];

	snprintf(instance, sizeof(instance), "gatekeeper-%.*s-%d", (int)ngx_min(cycle->hostname.len, 40),
		(const char *)cycle->hostname.data, (int)ngx_pid);
	log_init("gatekeeper", instance);
}

/* What arrives meanwhile waits in the kernel's queue, instead of being told that there are no services; not longer than requests wait for those that are away. */
static void await_services(ngx_msec_t deadline_ms)
{
	for (ngx_msec_t waited_ms = 0; waited_ms < deadline_ms && !edge_healthy(door.edge);
		waited_ms += DOOR_LOOK_MS)
		ngx_msleep(DOOR_LOOK_MS);
}

ngx_int_t door_open(ngx_cycle_t *cycle, const struct door_conf *conf)
{
	name_logs(cycle);
	log_set_level((enum log_level)conf->log_level);
	door.last = &door.first;
	door.gathered.handler = send_gathered;
	door.gathered.log = cycle->log;
	door.patience_ms = conf->deadline + DOOR_PATIENCE_MS;
	door.body_timeout_ms = conf->body_timeout;
	door.mailbox = mailbox_new(cycle, on_arrived);
	if (!door.mailbox) {
		ngx_log_error(
			NGX_LOG_EMERG, cycle->log, ngx_errno, "flashsale: no descriptor for the mailbox");
		return NGX_ERROR;
	}
	door.rate = (uint32_t)conf->throttle_rate;
	door.burst = (uint32_t)conf->throttle_burst;
	door.shared = conf->zone->data;
	if (open_edge(cycle, conf) != NGX_OK)
		return NGX_ERROR;
	shared_join(door.shared);
	await_services(conf->deadline);
	return NGX_OK;
}

void door_close(void)
{
	if (!door.edge)
		return;
	/* Requests of nginx are gone by now; what comes back late has nobody to go to. */
	send_gathered(&door.gathered);
	edge_drain(door.edge, shared_leave(door.shared));
	on_arrived(mailbox_take(door.mailbox));
	edge_free(door.edge);
	door.edge = NULL;
	mailbox_free(door.mailbox);
	door.mailbox = NULL;
}
