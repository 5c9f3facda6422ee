#include "protector/peers_internal.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "protector/heard.h"

#define TICK_MS 250
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

/* ---- what they say ---- */

/* A person's word that is newer than one of ours, or that lifts what our detectors said: then ours is over. */
static void obey(struct peers *peers, const struct ban *heard)
{
	const struct bans *bans = peers->protector->bans;
	const struct ban *said = bans_of(bans, &heard->subject, BAN_BY_OPERATOR);
	const struct ban *found = bans_of(bans, &heard->subject, BAN_BY_DETECTOR);

	if (!ban_in_force(heard, clock_wall_ms(peers->protector->clock)))
		return;
	if (heard->origin == BAN_BY_OPERATOR && said && id_compare(&said->id, &heard->id) < 0)
		retire(peers->retirements, &said->id, &heard->id);
	if (heard->effect != BAN_EXEMPTS)
		return;
	if (found && found->detection && (heard->exempts & DETECTOR_BIT(found->detection->detector)))
		retire(peers->retirements, &found->id, NULL);
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
	peers->retirements = retirements_new(protector);
	peers->bans = followers_new(&(struct followers_options){
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.self = incarnation,
		.apply = apply,
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

	retirements_end(peers->retirements);
	if (!peers->pool)
		return;
	followers_close(peers->bans);
	rpc_timer_stop(peers->protector->loop, &peers->tick);
}

void peers_close(struct peers *peers)
{
	struct rpc_pool *pool = peers->pool;

	rpc_run(peers->protector->loop, close_run, peers);
	if (pool)
		rpc_pool_free(pool);
	peers->pool = NULL;
}

void peers_free(struct peers *peers)
{
	if (!peers)
		return;
	followers_free(peers->bans);
	retirements_free(peers->retirements);
	free(peers);
}
