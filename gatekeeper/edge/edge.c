/* edge.c - the edge's life, its loop, and the way of a request through both. */
#include "gatekeeper/edge/edge.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "discovery/consul.h"
#include "discovery/static.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "gatekeeper/edge/edge_internal.h"
#include "gatekeeper/edge/edge_metrics.h"
#include "gatekeeper/edge/probe.h"
#include "gatekeeper/edge/services.h"

#define REQUEST_BLOCK_BYTES 8192
#define REQUEST_BYTES_MAX (24 << 20) /* the answer as a message and as text */
#define FREE_REQUESTS_MAX 4096
#define ANSWER_TEXT_MAX (8 << 20)
#define BATCH_ITEMS_MAX 4096
#define BATCH_ANSWER_BYTES_MAX (8 << 20)

/* ---- start and end ---- */

static void place(void *context, ProtobufCMessage *request, int32_t shard)
{
	struct edge *edge = context;

	common__placement__init(&edge->placement);
	edge->placement.shard = (uint32_t)shard;
	edge->placement.shards = edge->options.cart_shards;
	if (request->descriptor == &cart__batch_add_items_request__descriptor)
		((Cart__BatchAddItemsRequest *)request)->placement = &edge->placement;
	else
		((Cart__BatchLookupKeysRequest *)request)->placement = &edge->placement;
}

static struct rpc_batcher *batcher_new(struct edge *edge, enum edge_service pool,
	const ProtobufCServiceDescriptor *service, const char *method, struct rpc_batcher *next_hop)
{
	return rpc_batcher_new(&(struct rpc_batcher_options){
		.pool = edge->pools[pool],
		.service = service,
		.method = protobuf_c_service_descriptor_get_method_by_name(service, method),
		.items_max = BATCH_ITEMS_MAX,
		.in_flight_max = 1,
		.queue_max = edge->options.queue_max,
		.arena_bytes_max = BATCH_ANSWER_BYTES_MAX,
		.read = strcmp(method, "BatchAddItems") != 0, /* it alone changes something */
		.prepare = pool == EDGE_CART ? place : NULL,
		.context = edge,
		.next_hop = next_hop,
	});
}

static void start_on_loop(void *context)
{
	struct edge *edge = context;
	const uint32_t shards = edge->options.cart_shards;

	edge->lines = batcher_new(edge, EDGE_CART, &cart__cart_service__descriptor, "BatchAddItems", NULL);
	edge->keys = batcher_new(edge, EDGE_CART, &cart__cart_service__descriptor, "BatchLookupKeys", NULL);
	edge->clients = batcher_new(edge, EDGE_PROTECTOR, &protector__protector_service__descriptor,
		"BatchValidateClients", edge->lines);
	edge->limits = batcher_new(edge, EDGE_POLICY, &policy__policy_service__descriptor,
		"BatchValidatePurchases", edge->lines);
	snapshots_open(edge);
	reporter_open(edge->reporter, edge->pools[EDGE_PROTECTOR]);
	edge->cart_probes = NEW_ARRAY(shards, struct probe *);
	for (uint32_t shard = 0; shard < shards; shard++)
		edge->cart_probes[shard] = probe_new(edge->loop, edge->pools[EDGE_CART], (int32_t)shard);
	if (edge->echo)
		echo_open(edge->echo);
}

static void stop_on_loop(void *context)
{
	struct edge *edge = context;

	if (edge->echo)
		echo_close(edge->echo);
	for (uint32_t shard = 0; shard < edge->options.cart_shards; shard++)
		probe_free(edge->cart_probes[shard]);
	free(edge->cart_probes);
	snapshots_close(edge);
	reporter_close(edge->reporter);
	rpc_batcher_free(edge->clients);
	rpc_batcher_free(edge->limits);
	rpc_batcher_free(edge->lines);
	rpc_batcher_free(edge->keys);
}

/* Everything that needs no thread. */
static void release(struct edge *edge)
{
	services_free(edge->services);
	fleet_free(edge->fleet);
	if (edge->discovery)
		discovery_free(edge->discovery);
	free(edge->instance);
	rpc_tls_free(edge->tls);
	identifier_free(edge->identifier);
	stock_marks_free(edge->marks);
	followers_free(edge->ban_followers);
	ban_list_free(edge->bans);
	ladder_free(edge->ladder);
	rule_list_free(edge->rules);
	free(edge->openapi);
	free(edge->facts);
	routes_free(edge->routes);
	shapes_free(edge->shapes);
	text_release(&edge->door_text);
	text_release(&edge->loop_text);
	sem_destroy(&edge->drained);
	free(edge);
}

/* A gatekeeper's check is HTTP's: it speaks no gRPC. */
static bool enroll(struct edge *edge, struct error *error)
{
	const struct edge_options *options = &edge->options;
	char host[HOST_NAME_MAX + 1] = "localhost";
	const char *port = strrchr(options->advertise, ':');

	gethostname(host, sizeof(host) - 1);
	edge->instance = memory_format("gatekeeper-%s-%s", host, port ? port + 1 : "");
	return discovery_register(edge->discovery,
		&(struct registration){.service = "gatekeeper",
			.self = {.id = edge->instance,
				.address = options->advertise,
				.admin_address = options->advertise_admin,
				.version = FLASHSALE_VERSION,
				.shard = -1}},
		error);
}

static bool open_discovery(struct edge *edge, struct error *error)
{
	const struct edge_options *options = &edge->options;

	if (options->discovery_file)
		edge->discovery = discovery_static_new(options->discovery_file, error);
	else
		edge->discovery = discovery_consul_new_standard(options->consul_prefix, error);
	return edge->discovery && (!options->advertise || enroll(edge, error));
}

static bool open_tls(struct edge *edge, struct error *error)
{
	const struct edge_options *options = &edge->options;
	const struct rpc_tls_files files = {options->tls_cert, options->tls_key, options->tls_ca};

	if (!rpc_tls_complete(&files, "flashsale_tls_", error))
		return false;
	if (!files.certificate)
		return true;
	edge->tls = rpc_tls_new(&files, "gatekeeper", error);
	if (!edge->tls)
		return error_prefix(error, "TLS to the services");
	rpc_tls_publish(edge->tls);
	return true;
}

bool edge_check(const struct edge_options *options, struct error *error)
{
	const struct identity_options identity = {.demo = options->demo, .keys_folder = options->keys_folder};
	const struct rpc_tls_files files = {options->tls_cert, options->tls_key, options->tls_ca};
	struct identifier *identifier = identifier_new(&identity, error);
	struct challenge_key key;
	struct rpc_tls *tls;

	if (!identifier)
		return false;
	identifier_free(identifier);
	if (options->challenge_key && !challenge_key_read(options->challenge_key, &key, error))
		return false;
	if (!files.certificate)
		return true;
	tls = rpc_tls_new(&files, "gatekeeper", error);
	if (!tls)
		return error_prefix(error, "TLS to the services");
	rpc_tls_free(tls);
	return true;
}

static bool open_ladder(struct edge *edge, struct error *error)
{
	const struct edge_options *options = &edge->options;

	edge->ladder = ladder_new(
		&(struct ladder_options){
			.memory = options->shared,
			.key_file = options->challenge_key,
			.difficulty = options->challenge_difficulty,
			.lifetime_s = options->challenge_lifetime_ms / 1000,
			.account_rate = options->slow_account_rate,
			.address_rate = options->slow_address_rate,
		},
		error);
	return edge->ladder != NULL;
}

size_t edge_shared_size(void)
{
	return ladder_memory_size();
}

void edge_shared_init(void *shared)
{
	ladder_memory_init(shared);
}

static bool open_all(struct edge *edge, struct error *error)
{
	const struct identity_options identity = {
		.demo = edge->options.demo,
		.keys_folder = edge->options.keys_folder,
		.clock = &clock_system,
	};

	if (!facts_learn(edge, error))
		return false;
	edge->identifier = identifier_new(&identity, error);
	if (!edge->identifier)
		return false;
	return open_ladder(edge, error) && open_tls(edge, error) && open_discovery(edge, error);
}

/* All of a turn at once: the door is woken once a batch of answers, and not for its first, only to sleep before the second is ready. */
static void hand_over(struct rpc_task *task)
{
	struct edge *edge = container_of(task, struct edge, hand_over);
	struct edge_request *first = edge->finished,
			    *last = container_of(edge->finished_last, struct edge_request, next);

	edge->working -= edge->finished_count;
	metric_set(&edge_metrics_open, edge->working);
	atomic_fetch_sub_explicit(&edge->open, edge->finished_count, memory_order_relaxed);
	edge->finished = NULL;
	edge->finished_last = &edge->finished;
	edge->finished_count = 0;
	edge->options.finished(edge->options.context, first, last); /* they are the door's */
	if (edge->draining && !edge->working)
		sem_post(&edge->drained);
}

struct edge *edge_new(const struct edge_options *options, struct error *error)
{
	struct edge *edge = NEW(struct edge);

	assert(options->inventory_shards && options->cart_shards && options->queue_max && options->finished);
	edge->options = *options;
	sem_init(&edge->drained, 0, 0);
	text_init(&edge->door_text, ANSWER_TEXT_MAX);
	text_init(&edge->loop_text, ANSWER_TEXT_MAX);
	edge->hand_over.run = hand_over;
	edge->finished_last = &edge->finished;
	id_generator_init(&edge->ids, &clock_system);
	trace_maker_init(&edge->traces);
	rpc_reason_init();
	edge_metrics_init();
	edge->marks = stock_marks_new(options->inventory_shards);
	edge->bans = ban_list_new();
	edge->ban_followers = snapshots_ban_followers(edge->bans);
	edge->rules = rule_list_new();
	if (!open_all(edge, error)) {
		release(edge);
		return NULL;
	}
	edge->loop = rpc_loop_new("edge");
	edge->reporter = reporter_new(edge->loop);
	for (int i = 0; i < EDGE_SERVICES; i++)
		edge->pools[i] = rpc_pool_new(edge->loop, edge->discovery, edge_service_name(i), edge->tls);
	edge->services = services_new(edge);
	edge->fleet = fleet_new(edge->discovery, options->advertise);
	edge->echo = options->bench ? echo_new(edge) : NULL;
	rpc_run(edge->loop, start_on_loop, edge);
	snapshots_count(edge);
	return edge;
}

void edge_free(struct edge *edge)
{
	struct edge_request *request;

	if (!edge)
		return;
	assert(edge->draining && !atomic_load(&edge->open));
	snapshots_uncount(edge);
	rpc_run(edge->loop, stop_on_loop, edge);
	for (int i = 0; i < EDGE_SERVICES; i++)
		rpc_pool_free(edge->pools[i]);
	if (edge->echo)
		echo_free(edge->echo);
	rpc_loop_free(edge->loop);
	reporter_free(edge->reporter);
	while ((request = edge->free)) {
		edge->free = request->next;
		arena_release(&request->arena);
		free(request);
	}
	release(edge);
}

/* ---- requests ---- */

struct edge_request *edge_request_new(struct edge *edge)
{
	struct edge_request *request = edge->free;

	if (request) {
		edge->free = request->next;
		edge->free_count--;
		request->next = NULL;
		return request;
	}
	request = NEW(struct edge_request);
	arena_init(&request->arena, REQUEST_BLOCK_BYTES, REQUEST_BYTES_MAX);
	return request;
}

void edge_request_free(struct edge *edge, struct edge_request *request)
{
	if (edge->free_count >= FREE_REQUESTS_MAX) {
		arena_release(&request->arena);
		free(request);
		return;
	}
	arena_clear(&request->arena);
	request->in = (struct edge_input){0};
	request->out = (struct edge_output){0};
	request->door = NULL;
	request->work = NULL;
	request->next = edge->free;
	edge->free = request;
	edge->free_count++;
}

static void begin(struct rpc_task *task)
{
	struct work *work = container_of(task, struct work, task);
	struct edge *edge = work->edge;
	struct problem problem;

	work->scratch = &edge->loop_text;
	edge->working++;
	metric_set(&edge_metrics_open, edge->working);
	if (!edge->draining && edge->working <= edge->options.queue_max) {
		work->start(work);
		return;
	}
	problem_from_reason(&problem, COMMON__REASON__REASON_OVERLOADED, "%s",
		edge->draining ? "this gatekeeper is ending" : "");
	answer_problem(work, &problem);
	work_finish(work);
}

void edge_send(struct edge *edge, struct edge_request *first, struct edge_request *last)
{
	struct work *work = NULL;
	uint32_t count = 0;

	for (struct edge_request *request = first;; request = request->next) {
		struct work *next = request->work;

		next->task.run = begin;
		next->task.next = NULL;
		if (work)
			work->task.next = &next->task;
		work = next;
		count++;
		if (request == last)
			break;
	}
	atomic_fetch_add_explicit(&edge->open, count, memory_order_relaxed);
	rpc_post_list(edge->loop, &((struct work *)first->work)->task, &work->task);
}

void work_finish(struct work *work)
{
	const int64_t taken_ns = clock_mono_ns() - work->arrived_ns;
	struct edge *edge = work->edge;

	assert(work->request->out.status);
	if (work->facts)
		metric_observe(work->facts->seconds, taken_ns);
	work_account(work, taken_ns);
	report_from_loop(work);
	edge->calls -= work->is_call;
	if (!edge->finished)
		rpc_at_turn_end(edge->loop, &edge->hand_over);
	work->request->next = NULL;
	*edge->finished_last = work->request;
	edge->finished_last = &work->request->next;
	edge->finished_count++;
}

static void drain_on_loop(void *context)
{
	struct edge *edge = context;

	edge->draining = true;
	if (!edge->working)
		sem_post(&edge->drained);
}

void edge_drain(struct edge *edge, bool leave)
{
	if (edge->instance && leave)
		discovery_deregister(edge->discovery);
	rpc_run(edge->loop, drain_on_loop, edge);
	while (sem_wait(&edge->drained) != 0)
		;
}

uint32_t edge_fleet(const struct edge *edge)
{
	return fleet_size(edge->fleet);
}

bool edge_healthy(struct edge *edge)
{
	for (uint32_t shard = 0; shard < edge->options.inventory_shards; shard++) {
		if (!follower_synced(edge->stock_followers[shard]))
			return false;
	}
	for (uint32_t shard = 0; shard < edge->options.cart_shards; shard++) {
		if (!probe_seen(edge->cart_probes[shard]))
			return false;
	}
	return followers_synced(edge->ban_followers) && follower_synced(edge->rule_follower);
}
