#include "station.h"

#include <arpa/inet.h>
#include <assert.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/memory.h"

/* ---- peers ---- */

static int read_number(int fd)
{
	int number;

	assert_int_equal(read(fd, &number, sizeof(number)), sizeof(number));
	return number;
}

/* Below those that the kernel gives away, so that it is still free when a killed peer comes back to it. */
static int choose_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int port, rc, tries = 0;

	do {
		int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(probe >= 0 && tries++ < 1000);
		port = 10000 + (int)arc4random_uniform(20000);
		address.sin_port = htons((uint16_t)port);
		rc = bind(probe, (const struct sockaddr *)&address, sizeof(address));
		close(probe);
	} while (rc != 0);
	return port;
}

void peer_start(struct peer *peer)
{
	char port[16];
	int ends[2];

	assert_int_equal(peer->pid, 0);
	assert_int_equal(pipe(ends), 0);
	if (!peer->port)
		peer->port = choose_port();
	snprintf(port, sizeof(port), "%d", peer->port);
	peer->pid = fork();
	assert_true(peer->pid >= 0);
	if (!peer->pid) {
		dup2(ends[1], 1);
		execl(ECHO_PEER, ECHO_PEER, port, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	peer->out = ends[0];
	peer->port = read_number(peer->out);
}

void peer_signal(const struct peer *peer, int signal)
{
	assert_true(peer->pid > 0);
	assert_int_equal(kill(peer->pid, signal), 0);
}

void peer_kill(struct peer *peer)
{
	peer_signal(peer, SIGKILL);
	assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
	close(peer->out);
	peer->pid = 0;
}

void peer_free(struct peer *peer)
{
	if (peer->pid)
		peer_kill(peer);
}

int peer_read(const struct peer *peer)
{
	return read_number(peer->out);
}

void peer_await_hang(const struct peer *peer)
{
	assert_int_equal(read_number(peer->out), -1);
}

/* ---- a discovery that says what it is told ---- */

static struct discovery_watch *catalog_source_watch(
	struct discovery *discovery, const char *service, discovery_changed *changed, void *context)
{
	struct station *station = container_of(discovery, struct station, discovery);

	return catalog_watch(&station->catalog, discovery, service, changed, context);
}

static void catalog_source_unwatch(struct discovery_watch *watch)
{
	struct station *station = container_of(watch->discovery, struct station, discovery);

	catalog_unwatch(&station->catalog, watch);
}

static const struct discovery_source source = {
	.watch = catalog_source_watch, .unwatch = catalog_source_unwatch};

static void put_list(struct station *station, const struct peer *peers, int count, bool sharded, int critical)
{
	struct instance items[8];
	char texts[8][32];

	assert_true(count <= 8);
	for (int i = 0; i < count; i++) {
		snprintf(texts[i], sizeof(texts[i]), "127.0.0.1:%d", peers[i].port);
		items[i] = (struct instance){.id = texts[i],
			.address = texts[i],
			.admin_address = "",
			.version = "",
			.shard = sharded ? i : -1,
			.shards = sharded ? count : 0,
			.health = i < critical ? INSTANCE_CRITICAL : INSTANCE_PASSING};
	}
	assert_true(catalog_put(&station->catalog, "echo", instances_make(items, (size_t)count, 0, NULL)));
}

void station_list(struct station *station, const struct peer *peers, int count, bool sharded)
{
	put_list(station, peers, count, sharded, 0);
}

void station_list_health(struct station *station, const struct peer *peers, int count, int critical)
{
	put_list(station, peers, count, false, critical);
}

/* ---- the station ---- */

struct station *station_new(void)
{
	struct station *station = NEW(struct station);

	catalog_init(&station->catalog);
	station->discovery.source = &source;
	station->loop = rpc_loop_new("client");
	station->pool = rpc_pool_new(station->loop, &station->discovery, "echo", NULL);
	return station;
}

void station_free(struct station *station)
{
	rpc_pool_free(station->pool);
	rpc_loop_free(station->loop);
	catalog_release(&station->catalog);
	free(station);
}

struct errand {
	struct rpc_task task;
	void (*run)(void *context);
	void *context;
	sem_t ran;
};

static void errand_run(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	errand->run(errand->context);
	sem_post(&errand->ran);
}

void station_do(struct station *station, void (*run)(void *context), void *context)
{
	struct errand errand = {.task.run = errand_run, .run = run, .context = context};

	sem_init(&errand.ran, 0, 0);
	rpc_post(station->loop, &errand.task);
	while (sem_wait(&errand.ran))
		;
	sem_destroy(&errand.ran);
}

void await(bool (*is_so)(void *context), void *context)
{
	for (int i = 0; !is_so(context); i++) {
		assert_true(i < STATION_WAIT_S * 1000);
		usleep(1000);
	}
}

static bool counted(void *context)
{
	const struct {
		const _Atomic uint32_t *counter;
		uint32_t least;
	} *what = context;

	return atomic_load(what->counter) >= what->least;
}

void await_counter(const _Atomic uint32_t *counter, uint32_t least)
{
	struct {
		const _Atomic uint32_t *counter;
		uint32_t least;
	} what = {counter, least};

	await(counted, &what);
}

/* ---- asks ---- */

static void asked_done(struct rpc_ask *ask)
{
	struct asked *asked = container_of(ask, struct asked, ask);
	const Echo__EchoResponse *answer = (const Echo__EchoResponse *)ask->answer;

	assert(!!answer == (ask->status.code == RPC_OK) && (ask->sent || !answer));
	asked->answered = answer && !strcmp(answer->text, asked->text);
	if (answer) {
		asked->port = answer->port;
		asked->items = answer->items;
		asked->shard = answer->shard;
		asked->timeout_ms = answer->timeout_ms;
	}
	if (asked->then)
		asked->then(asked);
	atomic_fetch_add(&asked->came_back, 1);
}

void asked_init(struct asked *asked, const char *text, int32_t shard, int64_t patience_ms)
{
	memset(asked, 0, sizeof(*asked));
	echo__echo_request__init(&asked->item);
	snprintf(asked->text, sizeof(asked->text), "%s", text);
	asked->item.text = asked->text;
	asked->ask.item = &asked->item.base;
	asked->ask.shard = shard;
	asked->ask.deadline_ns = clock_mono_ns() + patience_ms * 1000000;
	asked->ask.done = asked_done;
}

struct sending {
	struct rpc_batcher *batcher;
	struct asked *asked;
	int count;
};

static void send_run(void *context)
{
	struct sending *sending = context;

	for (int i = 0; i < sending->count; i++) {
		rpc_ask(sending->batcher, &sending->asked[i].ask);
		assert(!sending->asked[i].came_back); /* done() never runs inside */
	}
}

void asked_send(struct station *station, struct rpc_batcher *batcher, struct asked *asked, int count)
{
	struct sending sending = {batcher, asked, count};

	station_do(station, send_run, &sending);
}

void asked_await(const struct asked *asked)
{
	await_counter(&asked->came_back, 1);
	assert_int_equal(asked->came_back, 1);
}

enum rpc_code asked_code(const struct asked *asked)
{
	asked_await(asked);
	return asked->ask.status.code;
}

/* ---- batchers ---- */

struct batching {
	struct rpc_batcher_options options;
	struct rpc_batcher *batcher;
};

static void set_shard(void *context, ProtobufCMessage *request, int32_t shard)
{
	((Echo__BatchEchoRequest *)request)->shard = shard;
}

static void new_run(void *context)
{
	struct batching *batching = context;

	batching->batcher = rpc_batcher_new(&batching->options);
}

static void free_run(void *context)
{
	rpc_batcher_free(context);
}

struct rpc_batcher *station_batcher(struct station *station, uint32_t items_max, uint32_t queue_max)
{
	struct batching batching = {.options = {.pool = station->pool,
					    .service = &echo__echo_service__descriptor,
					    .method = protobuf_c_service_descriptor_get_method_by_name(
						    &echo__echo_service__descriptor, "BatchEcho"),
					    .items_max = items_max,
					    .in_flight_max = 1,
					    .queue_max = queue_max,
					    .arena_bytes_max = 512 * 1024,
					    .prepare = set_shard}};

	station_do(station, new_run, &batching);
	return batching.batcher;
}

void station_free_batcher(struct station *station, struct rpc_batcher *batcher)
{
	station_do(station, free_run, batcher);
}

static void probe(struct station *station, struct rpc_batcher *batcher, int32_t shard)
{
	for (int i = 0;; i++) {
		struct asked asked;

		asked_init(&asked, "ready?", shard, 1000);
		asked_send(station, batcher, &asked, 1);
		if (asked_code(&asked) == RPC_OK)
			return;
		assert_true(i < STATION_WAIT_S * 1000);
		usleep(1000);
	}
}

void station_await_ready(struct station *station, int32_t shard)
{
	struct rpc_batcher *batcher = station_batcher(station, 1, 1);

	probe(station, batcher, shard);
	station_free_batcher(station, batcher);
}
