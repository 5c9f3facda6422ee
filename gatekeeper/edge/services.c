#include "gatekeeper/edge/services.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "flashsale/common/v1/instance.pb-c.h"
#include "gatekeeper/edge/edge_internal.h"
#include "rpc/timestamp.h"

#define ANSWER_MS 500 /* time an instance has to tell */
#define VISITS_MAX 8  /* at once: each may ask some hundred instances */
#define SAID_MAX 64   /* of what an instance says, this much is shown */
#define MISSING_MAX 64
#define GATEKEEPER "gatekeeper"

/* By name, as they are shown. */
static const struct {
	const char *name;
	enum edge_service pool; /* EDGE_SERVICES: none, it is not asked */
} kinds[] = {
	{"cart", EDGE_CART},
	{GATEKEEPER, EDGE_SERVICES},
	{"inventory", EDGE_INVENTORY},
	{"policy", EDGE_POLICY},
	{"protector", EDGE_PROTECTOR},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct services {
	struct edge *edge;
	char *self; /* our id */
	int64_t start_ms;
	uint32_t visits; /* the loop's */
	pthread_mutex_t lock;
	struct services_list {
		struct services *services;
		struct discovery_watch *watch;
		const struct instances *list; /* under the lock; NULL: nothing known yet */
	} lists[KINDS];
};

/* One request. */
struct visit {
	struct work *work;
	uint32_t open;
	struct services_survey {
		struct rpc_survey survey;
		struct visit *visit;
	} surveys[KINDS];
};

/* ---- the registry ---- */

static void list_changed(void *context, const struct instances *list)
{
	struct services_list *own = context;
	const struct instances *old;

	pthread_mutex_lock(&own->services->lock);
	old = own->list;
	own->list = instances_keep(list);
	pthread_mutex_unlock(&own->services->lock);
	instances_drop(old);
}

static const struct instances *keep_list(struct services *services, size_t kind)
{
	const struct instances *list;

	pthread_mutex_lock(&services->lock);
	list = services->lists[kind].list ? instances_keep(services->lists[kind].list) : NULL;
	pthread_mutex_unlock(&services->lock);
	return list;
}

/* ---- one instance ---- */

/* What a stranger may have written: short and printable, else cut and with question marks. */
static char *clean(struct arena *arena, const char *said)
{
	const size_t length = strnlen(said, SAID_MAX);
	char *copy = arena_text(arena, said, length);

	for (size_t i = 0; copy && i < length; i++)
		if (copy[i] < ' ' || copy[i] > '~')
			copy[i] = '?';
	return copy;
}

static char *shown(const char *checked)
{
	return (char *)(uintptr_t)checked;
}

static bool fill_times(int64_t start_ms, int64_t now_ms, struct arena *arena, Gatekeeper__InstanceView *view)
{
	const int64_t age_ms = now_ms > start_ms ? now_ms - start_ms : 0;

	view->start_time = timestamp_new(arena, start_ms);
	view->age = ARENA_NEW(arena, Google__Protobuf__Duration);
	if (!view->start_time || !view->age)
		return false;
	google__protobuf__duration__init(view->age);
	view->age->seconds = age_ms / 1000;
	view->age->nanos = (int32_t)(age_ms % 1000 * 1000000);
	return true;
}

/* `words` and what was said. */
static bool set_detail(
	struct arena *arena, Gatekeeper__InstanceView *view, const char *words, const char *said)
{
	char *cleaned = clean(arena, said);

	view->detail = cleaned ? arena_format(arena, "%s%s", words, cleaned) : NULL;
	return view->detail != NULL;
}

/* It answered. Another service at its address is not it. */
static bool fill_answer(const struct services_facts *facts, const Common__GetInstanceResponse *answer,
	struct arena *arena, Gatekeeper__InstanceView *view)
{
	const bool itself = !strcmp(answer->service, facts->service);
	int64_t start_ms;

	view->health = itself && answer->serving ? GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_SERVING
						 : GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING;
	if (!itself)
		return set_detail(arena, view, "another service answers there: ", answer->service);
	view->version = clean(arena, answer->version);
	if (!view->version)
		return false;
	if (answer->shards != (uint32_t)facts->instance->shards ||
		(answer->shards && answer->shard != (uint32_t)facts->instance->shard)) {
		view->health = GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING;
		view->detail = arena_format(
			arena, "it says that it is shard %u of %u", answer->shard, answer->shards);
		if (!view->detail)
			return false;
	}
	if (!answer->start_time || !timestamp_get(answer->start_time, &start_ms))
		return true;
	return fill_times(start_ms, facts->now_ms, arena, view);
}

static bool fill_silence(
	const struct rpc_survey_entry *entry, struct arena *arena, Gatekeeper__InstanceView *view)
{
	if (!entry->connected) {
		view->health = GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNREACHABLE;
		return set_detail(arena, view, "", entry->status.message);
	}
	switch (entry->status.code) {
	case RPC_UNIMPLEMENTED:
		return set_detail(arena, view, "", "it is connected, and too old to tell");
	case RPC_DEADLINE_EXCEEDED:
		return set_detail(arena, view, "", "it is connected and did not answer in time");
	case RPC_UNAVAILABLE:
		view->health = GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_UNREACHABLE;
		return set_detail(arena, view, "", "the connection broke when it was asked");
	default:
		return set_detail(arena, view, "it was not to be asked: ", rpc_code_name(entry->status.code));
	}
}

static Gatekeeper__RegistryHealth registry_health(enum instance_health health)
{
	switch (health) {
	case INSTANCE_PASSING:
		return GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_PASSING;
	case INSTANCE_WARNING:
		return GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_WARNING;
	default:
		return GATEKEEPER__REGISTRY_HEALTH__REGISTRY_HEALTH_CRITICAL;
	}
}

bool services_fill(const struct services_facts *facts, struct arena *arena, Gatekeeper__InstanceView *view)
{
	const struct instance *instance = facts->instance;
	const struct rpc_survey_entry *entry = facts->entry;

	gatekeeper__instance_view__init(view);
	view->id = shown(instance->id);
	view->address = shown(instance->address);
	view->admin_address = shown(instance->admin_address);
	view->version = shown(instance->version);
	view->shard = instance->shards ? (uint32_t)instance->shard : 0;
	if (facts->has_registry_health)
		view->registry_health = registry_health(instance->health);
	if (entry && entry->answer)
		return fill_answer(facts, (const Common__GetInstanceResponse *)entry->answer, arena, view);
	if (entry)
		return fill_silence(entry, arena, view);
	view->detail = shown("it was found just now");
	return true;
}

static bool is_self(const struct services *services, const char *id, const char *address)
{
	const char *own = services->edge->options.advertise;

	return !strcmp(id, services->self) || (own && !strcmp(address, own));
}

/* ---- a gatekeeper speaks no gRPC: of the others the registry has the word, of itself it knows ---- */

static void fill_gatekeeper(const struct services_facts *facts, Gatekeeper__InstanceView *view)
{
	view->detail = shown(
		facts->has_registry_health ? "as the registry says" : "gatekeepers do not ask each other");
	if (!facts->has_registry_health)
		return;
	view->health = facts->instance->health == INSTANCE_CRITICAL
			       ? GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING
			       : GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_SERVING;
}

static bool fill_self(
	const struct services *services, int64_t now_ms, struct arena *arena, Gatekeeper__InstanceView *view)
{
	view->version = shown(FLASHSALE_VERSION);
	view->health = edge_healthy(services->edge)
			       ? GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_SERVING
			       : GATEKEEPER__INSTANCE_HEALTH__INSTANCE_HEALTH_NOT_SERVING;
	view->detail = shown("this one");
	return fill_times(services->start_ms, now_ms, arena, view);
}

static Gatekeeper__InstanceView *add_view(Gatekeeper__ServiceView *service, struct arena *arena)
{
	Gatekeeper__InstanceView *view = ARENA_NEW(arena, Gatekeeper__InstanceView);

	if (view)
		service->instances[service->n_instances++] = view;
	return view;
}

/* ---- a service ---- */

static const struct rpc_survey_entry *find_entry(
	const struct rpc_survey *survey, const struct instance *instance)
{
	for (size_t i = 0; i < survey->count; i++)
		if (!strcmp(survey->entries[i].id, instance->id) &&
			!strcmp(survey->entries[i].address, instance->address))
			return &survey->entries[i];
	return NULL;
}

static uint32_t shards_of(const struct edge *edge, enum edge_service pool)
{
	if (pool == EDGE_INVENTORY)
		return edge->options.inventory_shards;
	return pool == EDGE_CART ? edge->options.cart_shards : 0;
}

static bool has_shard(const struct instances *list, uint32_t shard)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (list->items[i].shards && (uint32_t)list->items[i].shard == shard)
			return true;
	return false;
}

static bool fill_shards(const struct edge *edge, size_t kind, const struct instances *list,
	struct arena *arena, Gatekeeper__ServiceView *view)
{
	view->shards = shards_of(edge, kinds[kind].pool);
	if (!view->shards)
		return true;
	view->missing_shards = ARENA_ARRAY(arena, MISSING_MAX, uint32_t);
	if (!view->missing_shards)
		return false;
	for (uint32_t shard = 0; shard < view->shards && view->n_missing_shards < MISSING_MAX; shard++)
		if (!has_shard(list, shard))
			view->missing_shards[view->n_missing_shards++] = shard;
	return true;
}

static bool fill_instances(const struct visit *visit, size_t kind, const struct instances *list,
	int64_t now_ms, Gatekeeper__ServiceView *service)
{
	struct services *services = visit->work->edge->services;
	struct arena *arena = &visit->work->request->arena;
	struct services_facts facts = {
		.service = kinds[kind].name,
		.has_registry_health = !services->edge->options.discovery_file,
		.now_ms = now_ms,
	};

	for (size_t i = 0; list && i < list->count; i++) {
		Gatekeeper__InstanceView *view = add_view(service, arena);

		facts.instance = &list->items[i];
		facts.entry = find_entry(&visit->surveys[kind].survey, facts.instance);
		if (!view || !services_fill(&facts, arena, view))
			return false;
		if (kinds[kind].pool != EDGE_SERVICES)
			continue;
		fill_gatekeeper(&facts, view);
		if (is_self(services, view->id, view->address) && !fill_self(services, now_ms, arena, view))
			return false;
	}
	return true;
}

/* The registry may not know of us. */
static bool add_self(const struct visit *visit, int64_t now_ms, Gatekeeper__ServiceView *service)
{
	struct services *services = visit->work->edge->services;
	struct arena *arena = &visit->work->request->arena;
	const struct edge_options *options = &services->edge->options;
	Gatekeeper__InstanceView *view;

	for (size_t i = 0; i < service->n_instances; i++)
		if (is_self(services, service->instances[i]->id, service->instances[i]->address))
			return true;
	view = add_view(service, arena);
	if (!view)
		return false;
	gatekeeper__instance_view__init(view);
	view->id = services->self;
	view->address = shown(options->advertise ? options->advertise : "");
	view->admin_address = shown(options->advertise_admin ? options->advertise_admin : "");
	return fill_self(services, now_ms, arena, view);
}

static bool fill_service(const struct visit *visit, size_t kind, const struct instances *list, int64_t now_ms,
	Gatekeeper__ServiceView *view)
{
	struct edge *edge = visit->work->edge;
	struct arena *arena = &visit->work->request->arena;

	gatekeeper__service_view__init(view);
	view->service = shown(kinds[kind].name);
	view->known = list != NULL;
	view->instances = ARENA_ARRAY(arena, (list ? list->count : 0) + 1, Gatekeeper__InstanceView *);
	if (list)
		view->changed_time = timestamp_new(arena, list->seen_wall_ms);
	if (!view->instances || (list && !view->changed_time))
		return false;
	return fill_shards(edge, kind, list, arena, view) &&
	       fill_instances(visit, kind, list, now_ms, view) &&
	       (kinds[kind].pool != EDGE_SERVICES || add_self(visit, now_ms, view));
}

/* ---- a visit ---- */

static void show(struct work *work, const Gatekeeper__ListServicesResponse *response)
{
	if (route_is_page(work->route))
		answer_page(work, services_page(work->scratch, response), services_page_policy());
	else
		answer_message(work, 200, &response->base);
}

static void fail(struct work *work, const char *why)
{
	struct problem problem;

	problem_from_reason(&problem, COMMON__REASON__REASON_OVERLOADED, "%s", why);
	answer_problem(work, &problem);
}

/* Lists are kept until the answer is written, for it points to their texts. */
static void answer(struct visit *visit)
{
	struct work *work = visit->work;
	struct services *services = work->edge->services;
	const int64_t now_ms = clock_wall_ms(&clock_system);
	const struct instances *lists[KINDS] = {0};
	Gatekeeper__ListServicesResponse response = GATEKEEPER__LIST_SERVICES_RESPONSE__INIT;
	Gatekeeper__ServiceView views[KINDS], *pointers[KINDS];
	Google__Protobuf__Timestamp server_time;
	bool good = true;

	timestamp_set(&server_time, now_ms);
	response.server_time = &server_time;
	response.gatekeeper = services->self;
	response.registry = shown(work->edge->options.discovery_file ? "static" : "consul");
	response.n_services = KINDS;
	response.services = pointers;
	for (size_t kind = 0; kind < KINDS && good; kind++) {
		lists[kind] = keep_list(services, kind);
		pointers[kind] = &views[kind];
		good = fill_service(visit, kind, lists[kind], now_ms, &views[kind]);
	}
	if (good)
		show(work, &response);
	else
		fail(work, "there are more instances than one answer has room for");
	for (size_t kind = 0; kind < KINDS; kind++)
		instances_drop(lists[kind]);
}

static void finish(struct visit *visit)
{
	struct work *work = visit->work;

	answer(visit);
	work->edge->services->visits--;
	work_finish(work);
}

static void surveyed(struct rpc_survey *survey)
{
	struct visit *visit = container_of(survey, struct services_survey, survey)->visit;

	if (--visit->open == 0)
		finish(visit);
}

static void ask(struct visit *visit, size_t kind)
{
	struct rpc_survey *survey = &visit->surveys[kind].survey;
	Common__GetInstanceRequest input = COMMON__GET_INSTANCE_REQUEST__INIT;
	struct work *work = visit->work;

	visit->surveys[kind].visit = visit;
	survey->service = &common__instance_service__descriptor;
	survey->method = protobuf_c_service_descriptor_get_method_by_name(survey->service, "GetInstance");
	survey->input = &input.base;
	survey->deadline_ns = clock_mono_ns() + ANSWER_MS * INT64_C(1000000);
	survey->trace = work->trace.text;
	survey->arena = &work->request->arena;
	survey->done = surveyed;
	visit->open++;
	rpc_survey_start(work->edge->pools[kinds[kind].pool], survey);
}

void services_start(struct work *work)
{
	struct services *services = work->edge->services;
	struct visit *visit = ARENA_NEW(&work->request->arena, struct visit);

	if (!visit || services->visits >= VISITS_MAX) {
		fail(work, "the instances are being asked already");
		work_finish(work);
		return;
	}
	services->visits++;
	visit->work = work;
	for (size_t kind = 0; kind < KINDS; kind++)
		if (kinds[kind].pool != EDGE_SERVICES)
			ask(visit, kind);
}

/* ---- its life ---- */

static char *own_id(const struct edge *edge)
{
	char host[HOST_NAME_MAX + 1] = "localhost";

	if (edge->instance)
		return memory_copy_text(edge->instance);
	gethostname(host, sizeof(host) - 1);
	return memory_format("%s-%s", GATEKEEPER, host);
}

struct services *services_new(struct edge *edge)
{
	struct services *services = NEW(struct services);

	services->edge = edge;
	services->self = own_id(edge);
	services->start_ms = clock_wall_ms(&clock_system);
	pthread_mutex_init(&services->lock, NULL);
	for (size_t kind = 0; kind < KINDS; kind++) {
		services->lists[kind].services = services;
		services->lists[kind].watch = discovery_watch(
			edge->discovery, kinds[kind].name, list_changed, &services->lists[kind]);
	}
	return services;
}

void services_free(struct services *services)
{
	if (!services)
		return;
	for (size_t kind = 0; kind < KINDS; kind++) {
		discovery_unwatch(services->lists[kind].watch);
		instances_drop(services->lists[kind].list);
	}
	pthread_mutex_destroy(&services->lock);
	free(services->self);
	free(services);
}
