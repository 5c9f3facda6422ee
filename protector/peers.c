#include "protector/peers_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "protector/heard.h"
#include "protector/settings_change.h"
#include "protector/shelf.h"

#define TICK_MS 250
#define ANSWER_MS 1000
#define SWEEP_MAX 1024 /* a turn */
#define LOOK_MAX 512   /* a tick */

static struct metric metric_peers = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_peers",
	.help = "Other protectors that are heard."};
static struct metric metric_peer_bans = {.kind = METRIC_GAUGE,
	.name = "flashsale_protector_peer_bans",
	.help = "Bans and entries of the allow list that other protectors told of."};

static uint8_t owner_of(uint32_t place)
{
	return (uint8_t)(place + 1);
}

const char *peers_name(const struct peers *peers, uint8_t owner, bool *ret_here)
{
	const char *name = followers_instance(peers->bans, owner - 1u, ret_here);

	return name ? name : "a protector that is not known any more";
}

/* ---- questions ---- */

bool peers_ask(struct peers *peers, struct rpc_call *call, const char *method, const ProtobufCMessage *input,
	struct rpc_survey *survey)
{
	const int64_t latest_ns = clock_mono_ns() + ANSWER_MS * INT64_C(1000000);
	const int64_t deadline_ns = rpc_deadline_ns(call);

	if (!peers || !peers->pool)
		return false;
	survey->service = &protector__protector_service__descriptor;
	survey->method = protobuf_c_service_descriptor_get_method_by_name(
		&protector__protector_service__descriptor, method);
	survey->input = input;
	survey->deadline_ns = deadline_ns < latest_ns ? deadline_ns : latest_ns;
	survey->trace = rpc_trace(call);
	survey->arena = rpc_arena(call);
	rpc_survey_start(peers->pool, survey);
	return true;
}

size_t peers_missing(const struct peers *peers, const struct rpc_survey *survey, char ***ret)
{
	size_t count = 0;

	*ret = ARENA_ARRAY(survey->arena, survey->count, char *);
	for (size_t i = 0; *ret && survey->entries && i < survey->count; i++) {
		const struct rpc_survey_entry *entry = &survey->entries[i];

		if (entry->status.code != RPC_OK && entry->status.code != RPC_NOT_FOUND &&
			!followers_is_self(peers->bans, entry->id))
			(*ret)[count++] = (char *)(uintptr_t)entry->id;
	}
	return count;
}

/* ---- bans of ours that are over ---- */

struct retirement {
	struct chore chore;
	struct id id, replaced_by; /* the zero id: it is lifted */
	bool found;
};

static int retire_apply(struct chore *chore, struct protector *protector, MDB_txn *txn, int64_t now_ms)
{
	struct retirement *retirement = container_of(chore, struct retirement, chore);

	return shelf_remove(&protector->history, txn, &retirement->id,
		id_is_zero(&retirement->replaced_by) ? BAN_LIFTED : BAN_REPLACED, &retirement->replaced_by,
		now_ms, &retirement->found);
}

static void retire_settle(struct chore *chore, struct protector *protector)
{
	const struct retirement *retirement = container_of(chore, struct retirement, chore);

	if (!retirement->found)
		return;
	protector_remove(protector, &retirement->id);
	watch_board_flush(protector->board);
}

/* Twice is harmless. replaced_by: the newer word; NULL: a person lifted it. */
static void retire(struct peers *peers, const struct ban *ban, const struct ban *replaced_by)
{
	struct retirement *retirement = NEW(struct retirement);

	retirement->chore.apply = retire_apply;
	retirement->chore.settle = retire_settle;
	retirement->id = ban->id;
	if (replaced_by)
		retirement->replaced_by = replaced_by->id;
	chores_do(peers->chores, &retirement->chore);
}

/* ---- what they say ---- */

/* A person's word that is newer than one of ours, or that lifts what our detectors said: then ours is over. */
static void obey(struct peers *peers, const struct ban *heard)
{
	const struct bans *bans = peers->protector->bans;
	const struct ban *said = bans_of(bans, &heard->subject, BAN_BY_OPERATOR);
	const struct ban *found = bans_of(bans, &heard->subject, BAN_BY_DETECTOR);

	if (!ban_in_force(heard, clock_wall_ms(peers->protector->clock)))
		return;
	if (heard->origin ==
		BAN_BY_OPERATOR) /* what is said here from now on is newer, whatever our clock says */
		id_generator_pass(&peers->protector->ids, &heard->id);
	if (heard->origin == BAN_BY_OPERATOR && said && id_compare(&said->id, &heard->id) < 0)
		retire(peers, said, heard);
	if (heard->effect != BAN_EXEMPTS)
		return;
	if (found && found->detection && (heard->exempts & DETECTOR_BIT(found->detection->detector)))
		retire(peers, found, NULL);
	if (peers->protector->exempted)
		peers->protector->exempted(peers->protector, heard);
}

static bool has_room(const struct peers *peers, const struct ban *ban)
{
	return (int64_t)bans_count(peers->protector->bans, ban->owner) < peers->protector->settings->bans_max;
}

static void hear(struct peers *peers, uint8_t owner, const Protector__Ban *message)
{
	struct bans *bans = peers->protector->bans;
	struct detection detection;
	struct id replaced;
	struct ban ban;

	if (!ban_from_message(message, &ban, &detection)) {
		LOG_LIMITED(LOG_WARN, "a ban of an unknown kind at another protector is not regarded",
			LOG_TEXT("ban", message->ban_id));
		return;
	}
	ban.owner = owner;
	bans_remove(bans, &ban.id, owner);
	if (bans_get(bans, &ban.id)) {
		LOG_LIMITED(LOG_WARN,
			"two protectors have the same ban: one's store is a copy of the other's",
			LOG_TEXT("ban", message->ban_id));
		return;
	}
	if (!has_room(peers, &ban)) {
		LOG_LIMITED(LOG_ERROR, "another protector has more bans than --bans-max lets be here");
		return;
	}
	bans_put(bans, &ban, &replaced);
	obey(peers, &ban);
}

static void start_sweep(struct peers *peers, uint8_t owner)
{
	peers->stale[owner] = true;
	if (peers->sweeping)
		return;
	peers->sweeping = true;
	rpc_post(peers->protector->loop, &peers->sweep);
}

static void sweep(struct rpc_task *task)
{
	struct peers *peers = container_of(task, struct peers, sweep);

	peers->sweeping = false;
	for (uint8_t owner = 1; owner < BANS_OWNERS_MAX; owner++) {
		if (!peers->stale[owner])
			continue;
		peers->stale[owner] = false;
		if (!bans_drop_old(peers->protector->bans, owner, SWEEP_MAX))
			start_sweep(peers, owner);
	}
}

static bool apply(
	void *context, uint32_t place, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	const Protector__WatchBansResponse *news = (const Protector__WatchBansResponse *)message;
	struct peers *peers = context;
	const uint8_t owner = owner_of(place);
	struct id id;

	if (header->snapshot_begin) {
		bans_begin_round(peers->protector->bans, owner);
		peers->stale[owner] = false;
	}
	for (size_t i = 0; i < news->n_items; i++)
		hear(peers, owner, news->items[i]);
	for (size_t i = 0; i < news->n_removed_keys; i++) {
		if (id_parse(news->removed_keys[i], &id))
			bans_remove(peers->protector->bans, &id, owner);
	}
	if (header->snapshot_end)
		start_sweep(peers, owner);
	return true;
}

/* ---- what they set ---- */

struct news {
	struct chore chore;
	struct settings_change change;
};

static int news_apply(struct chore *chore, struct protector *protector, MDB_txn *txn, int64_t now_ms)
{
	return settings_store_put(protector->store, txn, &container_of(chore, struct news, chore)->change);
}

static void news_settle(struct chore *chore, struct protector *protector)
{
	settings_take_effect(protector, &container_of(chore, struct news, chore)->change);
}

static bool apply_settings(
	void *context, uint32_t place, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	const Protector__WatchDetectorsResponse *told = (const Protector__WatchDetectorsResponse *)message;
	struct peers *peers = context;

	for (size_t i = 0; i < told->n_items; i++) {
		struct settings_change change;
		struct news *news;

		if (!settings_from_message(told->items[i], peers->protector->watching, &change))
			continue;
		id_generator_pass(&peers->protector->ids, &change.id);
		news = NEW(struct news);
		news->chore.apply = news_apply;
		news->chore.settle = news_settle;
		news->chore.grows = true;
		news->change = change;
		chores_do(peers->chores, &news->chore);
	}
	return true;
}

/* ---- from time to time ---- */

static void tick(struct rpc_task *task)
{
	struct peers *peers = container_of(task, struct peers, tick.task);
	struct bans *bans = peers->protector->bans;
	size_t count = 0, here = 0;

	for (uint8_t owner = 1; owner < BANS_OWNERS_MAX; owner++) {
		bool is_here;

		followers_instance(peers->bans, owner - 1u, &is_here);
		here += is_here;
		count += bans_count(bans, owner);
	}
	if (count)
		bans_drop_ended(bans, &peers->looked_at, LOOK_MAX, clock_wall_ms(peers->protector->clock));
	metric_set(&metric_peers, (int64_t)here);
	metric_set(&metric_peer_bans, (int64_t)count);
	rpc_timer_start(peers->protector->loop, &peers->tick, TICK_MS);
}

/* ---- their life ---- */

struct peers *peers_new(struct protector *protector, const struct id *incarnation)
{
	struct peers *peers = NEW(struct peers);

	peers->protector = protector;
	peers->chores = chores_new(protector);
	peers->bans = followers_new(&(struct followers_options){
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.self = incarnation,
		.apply = apply,
		.context = peers,
	});
	peers->settings = followers_new(&(struct followers_options){
		.service = &protector__protector_service__descriptor,
		.method = "WatchDetectors",
		.self = incarnation,
		.apply = apply_settings,
		.context = peers,
	});
	peers->sweep.run = sweep;
	peers->tick.task.run = tick;
	metrics_register(&metric_peers);
	metrics_register(&metric_peer_bans);
	return peers;
}

static void open_run(void *context)
{
	struct peers *peers = context;

	followers_open(peers->bans, peers->protector->loop, peers->pool);
	followers_open(peers->settings, peers->protector->loop, peers->pool);
	rpc_timer_start(peers->protector->loop, &peers->tick, TICK_MS);
}

void peers_open(struct peers *peers, struct discovery *discovery, struct rpc_tls *tls)
{
	if (!discovery)
		return;
	peers->pool = rpc_pool_new(peers->protector->loop, discovery, "protector", tls);
	rpc_run(peers->protector->loop, open_run, peers);
}

static void close_run(void *context)
{
	struct peers *peers = context;

	chores_end(peers->chores);
	if (!peers->pool)
		return;
	peers->pool = NULL;
	followers_close(peers->bans);
	followers_close(peers->settings);
	rpc_timer_stop(peers->protector->loop, &peers->tick);
}

void peers_close(struct peers *peers)
{
	struct rpc_pool *pool = peers->pool;

	rpc_run(peers->protector->loop, close_run, peers);
	if (pool)
		rpc_pool_free(pool);
}

void peers_free(struct peers *peers)
{
	if (!peers)
		return;
	followers_free(peers->bans);
	followers_free(peers->settings);
	chores_free(peers->chores);
	free(peers);
}
