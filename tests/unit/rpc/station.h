/* What the client's tests stand on: peers to kill, a discovery that says what it is told, a loop, asks that note how they came back. */
#ifndef FLASHSALE_TESTS_RPC_STATION_H
#define FLASHSALE_TESTS_RPC_STATION_H

#include <stdatomic.h>
#include <sys/types.h>

#include "discovery/catalog.h"
#include "echo.pb-c.h"
#include "rpc/client.h"

#define STATION_WAIT_S 60

struct peer {
	pid_t pid; /* 0: not running */
	int port, out;
};
void peer_start(struct peer *peer); /* on its port of before, if it had one */
void peer_kill(struct peer *peer);  /* -9 */
void peer_free(struct peer *peer);
void peer_signal(const struct peer *peer, int signal);
int peer_read(const struct peer *peer); /* the next number that it writes */
void peer_await_hang(const struct peer *peer); /* a call was kept */

struct station {
	struct rpc_loop *loop;
	struct catalog catalog;
	struct discovery discovery;
	struct rpc_pool *pool;
};
struct station *station_new(void);
void station_free(struct station *station); /* the pool too, if it is still there */
/* The list from now on: peers with the shards 0 to count - 1, or without. */
void station_list(struct station *station, const struct peer *peers, int count, bool sharded);
/* Without shards; the first `critical` ones are said to be in a critical state. */
void station_list_health(struct station *station, const struct peer *peers, int count, int critical);
void station_do(struct station *station, void (*run)(void *context), void *context); /* on the loop, and waits */
void station_await_ready(struct station *station, int32_t shard);

/* An ask and what became of it. */
struct asked {
	struct rpc_ask ask;
	Echo__EchoRequest item;
	char text[24];
	_Atomic uint32_t came_back; /* counted after the rest was written */
	uint32_t port, items, shard, timeout_ms;
	bool answered;
	void (*then)(struct asked *asked);
	void *context;
};
void asked_init(struct asked *asked, const char *text, int32_t shard, int64_t patience_ms);
void asked_send(struct station *station, struct rpc_batcher *batcher, struct asked *asked, int count); /* in one turn */
void asked_await(const struct asked *asked); /* it came back, once */
enum rpc_code asked_code(const struct asked *asked);

struct rpc_batcher *station_batcher(struct station *station, uint32_t items_max, uint32_t queue_max);
void station_free_batcher(struct station *station, struct rpc_batcher *batcher);

void await(bool (*is_so)(void *context), void *context);
void await_counter(const _Atomic uint32_t *counter, uint32_t least);

#endif
