/* What a million bans cost: read from a store as the protector does at its start, followed over gRPC as a gatekeeper does, and looked up in both.
 *
 *     flashsale-bans STORE SERVICES-LIST COUNT
 *
 * One JSON object on stdout. Clients of the look-ups: half are accounts that are banned, half are not; addresses at random, of which nearly none is banned, as in life. */
#include <jansson.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/static.h"
#include "gatekeeper/edge/ban_list.h"
#include "protector/records.h"
#include "protector/shelf.h"
#include "rpc/followers.h"
#include "rpc/reason.h"

#define LOOKUPS 2000000
#define CLIENTS 65536
#define WAIT_S 120

struct client {
	char user[BANS_USER_MAX + 1];
	struct address address;
};

static struct client *make_clients(unsigned bans)
{
	struct client *clients = NEW_ARRAY(CLIENTS, struct client);
	unsigned seed = 1;

	for (unsigned i = 0; i < CLIENTS; i++) {
		char text[32];
		unsigned number = (unsigned)rand_r(&seed) % (bans ? bans : 1), ip = (unsigned)rand_r(&seed);

		snprintf(
			clients[i].user, sizeof(clients[i].user), i % 2 ? "bot-%07u" : "person-%07u", number);
		snprintf(text, sizeof(text), "%u.%u.%u.%u", 1 + ip % 223, ip >> 8 & 255, ip >> 16 & 255,
			number & 255);
		if (!address_parse(text, strlen(text), &clients[i].address))
			abort();
	}
	return clients;
}

static int64_t memory_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long long kib = 0;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "RssAnon: %lld", &kib);
	if (file)
		fclose(file);
	return kib * 1024;
}

static double seconds_since(int64_t begin_ns)
{
	return (double)(clock_mono_ns() - begin_ns) / 1e9;
}

/* Of this thread alone: other programs may be running. */
static int64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static json_t *ns_each(int64_t begin_cpu_ns)
{
	return json_real((double)(cpu_ns() - begin_cpu_ns) / LOOKUPS);
}

/* ---- the protector's ---- */

static void measure_protector(const char *directory, const struct client *clients, json_t *figures)
{
	const struct store_options options = {.directory = directory,
		.service = "protector",
		.format = PROTECTOR_FORMAT,
		.shards = 1,
		.map_bytes = INT64_C(4) << 30,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	struct error error;
	struct store *store = store_open_reading(&options, &error);
	struct bans *bans = bans_new();
	int64_t memory = memory_bytes(), begin_ns = clock_mono_ns(), denied = 0;

	if (!store || !shelf_load(store, bans, &error)) {
		fprintf(stderr, "flashsale-bans: %s\n", error.text);
		exit(1);
	}
	json_object_set_new(figures, "store_load_s", json_real(seconds_since(begin_ns)));
	json_object_set_new(figures, "bans", json_integer((json_int_t)bans_count(bans, BANS_OWN)));
	json_object_set_new(figures, "protector_bytes_a_ban",
		json_integer((memory_bytes() - memory) / (int64_t)(bans_count(bans, BANS_OWN) + 1)));
	begin_ns = cpu_ns();
	for (unsigned i = 0; i < LOOKUPS; i++) {
		const struct client *client = &clients[i * 7919 % CLIENTS];

		denied += bans_judge(bans, client->user, &client->address, 0).deny != NULL;
	}
	json_object_set_new(figures, "protector_check_ns", ns_each(begin_ns));
	json_object_set_new(figures, "protector_denied", json_real((double)denied / LOOKUPS));
	bans_free(bans);
	store_close(store);
}

/* ---- the gatekeeper's ---- */

struct follow {
	struct rpc_task task;
	struct followers *followers;
	struct rpc_loop *loop;
	struct rpc_pool *pool;
	sem_t done;
};

static void follow_open(struct rpc_task *task)
{
	struct follow *follow = container_of(task, struct follow, task);

	followers_open(follow->followers, follow->loop, follow->pool);
	sem_post(&follow->done);
}

static void follow_close(struct rpc_task *task)
{
	struct follow *follow = container_of(task, struct follow, task);

	followers_close(follow->followers);
	sem_post(&follow->done);
}

static bool follow_apply(
	void *list, uint32_t place, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	return ban_list_apply(list, place, (const Protector__WatchBansResponse *)message);
}

static void follow_run(struct follow *follow, void (*run)(struct rpc_task *task))
{
	follow->task.run = run;
	rpc_post(follow->loop, &follow->task);
	while (sem_wait(&follow->done) != 0)
		;
}

static void check_edge(struct ban_list *list, const struct client *clients, json_t *figures)
{
	int64_t begin_ns = cpu_ns(), denied = 0;

	for (unsigned i = 0; i < LOOKUPS; i++) {
		const struct client *client = &clients[i * 7919 % CLIENTS];
		struct ban_verdict verdict;

		ban_list_judge(list, client->user, &client->address, 0, &verdict);
		denied += verdict.effect == BAN_DENY;
	}
	json_object_set_new(figures, "edge_check_ns", ns_each(begin_ns));
	json_object_set_new(figures, "edge_denied", json_real((double)denied / LOOKUPS));
}

static void measure_edge(const char *services, size_t count, const struct client *clients, json_t *figures)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	struct ban_list *list = ban_list_new();
	struct follow follow = {.followers = followers_new(&(struct followers_options){
					.service = &protector__protector_service__descriptor,
					.method = "WatchBans",
					.apply = follow_apply,
					.context = list,
				}),
		.loop = rpc_loop_new("bench")};
	struct error error;
	struct discovery *discovery = discovery_static_new(services, &error);
	int64_t memory = memory_bytes(), begin_ns = clock_mono_ns();

	if (!discovery) {
		fprintf(stderr, "flashsale-bans: %s\n", error.text);
		exit(1);
	}
	rpc_reason_init();
	sem_init(&follow.done, 0, 0);
	follow.pool = rpc_pool_new(follow.loop, discovery, "protector", NULL);
	follow_run(&follow, follow_open);
	while (ban_list_count(list) < count && seconds_since(begin_ns) < WAIT_S)
		nanosleep(&pause, NULL);
	json_object_set_new(figures, "watch_snapshot_s", json_real(seconds_since(begin_ns)));
	json_object_set_new(figures, "edge_bans", json_integer((json_int_t)ban_list_count(list)));
	json_object_set_new(
		figures, "edge_bytes_a_ban", json_integer((memory_bytes() - memory) / (int64_t)(count + 1)));
	check_edge(list, clients, figures);
	follow_run(&follow, follow_close);
	rpc_pool_free(follow.pool);
	rpc_loop_free(follow.loop);
	discovery_free(discovery);
	followers_free(follow.followers);
	ban_list_free(list);
}

int main(int argc, char **argv)
{
	json_t *figures = json_object();
	size_t count = argc == 4 ? (size_t)strtoull(argv[3], NULL, 10) : 0;
	struct client *clients;

	if (!count) {
		fprintf(stderr, "usage: flashsale-bans STORE SERVICES-LIST COUNT\n");
		return 2;
	}
	clients = make_clients((unsigned)(count * 2 / 5)); /* of the list's bans so many are of accounts */
	measure_edge(argv[2], count, clients, figures);
	measure_protector(argv[1], clients, figures);
	json_dumpf(figures, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(figures);
	free(clients);
	return 0;
}
