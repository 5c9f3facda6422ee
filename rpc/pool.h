/* rpc/pool.h - the inside of a pool: channels, and who waits for them. For the client's files of rpc/ only.
 *
 * A channel is one instance's connection, kept up by gRPC with quick back-off and watched by us. Calls start only on one that is READY, so that
 * what could not leave is known not to have left. An instance that discovery no longer names gets no new calls; its channel
 * ends with its last call.
 * A user is whoever holds on to a pool: it hears when an instance was found, lost, came back or turned out to be down, and when the pool closes.
 * All on the pool's loop. */
#ifndef FLASHSALE_RPC_POOL_H
#define FLASHSALE_RPC_POOL_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "rpc/client.h"
#include "rpc/client_metrics.h"
#include "rpc/role.h"
#include "rpc/tag.h"

/* What waits for a channel that is just connecting waits this long at most. */
#define RPC_READY_WAIT_MS 100
#define RPC_ANSWER_BYTES_MAX (4 << 20)

struct rpc_channel {
	struct rpc_pool *pool;
	TAILQ_ENTRY(rpc_channel) link;
	struct rpc_tag watch;            /* flies as long as grpc_channel_watch_connectivity_state does */
	grpc_channel *channel;           /* NULL: being taken down, until the watch came back */
	grpc_connectivity_state state;
	char *id, *address;
	int32_t shard;
	enum instance_health health;
	uint32_t calls;                  /* calls and streams that use it */
	bool listed;                     /* discovery names it, and it is the one for its instance: new calls go here */
	struct rpc_channel *successor;   /* connects, to take this one's place; or NULL */
	struct rpc_channel *predecessor; /* the other way round */
	bool seen;                       /* scratch of an update */
	uint32_t failures;               /* calls in a row that found it unavailable, or heard nothing */
	int64_t avoid_until_ns;          /* after such a call: others first */
	int64_t born_ns;
};

struct rpc_pool_user {
	TAILQ_ENTRY(rpc_pool_user) link;
	void (*changed)(struct rpc_pool_user *user); /* may be called without need */
	void (*closed)(struct rpc_pool_user *user);  /* end what you have and leave, now or when the last call came back */
};

/* A pool has few owners: who asks for its changes is known when the program is written. */
#define POOL_LISTENERS_MAX 4

TAILQ_HEAD(channel_list, rpc_channel);
TAILQ_HEAD(user_list, rpc_pool_user);

struct rpc_pool {
	struct rpc_loop *loop;
	struct discovery_watch *watch;
	struct client_metrics *metrics;
	char *service;
	struct rpc_tls *tls;	  /* NULL: plaintext */
	char name[ROLE_NAME_MAX]; /* that their certificates must have; with TLS */
	grpc_channel_credentials *credentials;
	uint64_t version; /* of the certificates in them */
	struct rpc_timer renewal;
	int64_t renew_ms, age_ns;
	uint64_t random;
	uint32_t budget; /* for calls that are sent again */
	struct channel_list channels; /* retired ones too, until their last call ended */
	struct user_list users;
	size_t user_count;
	_Atomic size_t listed; /* channels that discovery names */
	bool known;	       /* discovery said something */
	bool closing;
	bool stirred; /* the task below is on its way */
	bool tell;    /* and the owner wants to hear */
	struct rpc_task stir;
	struct pool_listener {
		void (*changed)(void *context);
		void *context;
	} listeners[POOL_LISTENERS_MAX];
	uint32_t listener_count;

	pthread_mutex_t lock; /* only between rpc_pool_free and the loop */
	pthread_cond_t signal;
	bool closed;
};

void rpc_pool_join(struct rpc_pool *pool, struct rpc_pool_user *user);
void rpc_pool_leave(struct rpc_pool *pool, struct rpc_pool_user *user);
size_t rpc_pool_users(const struct rpc_pool *pool);
/* Every instance that discovery names. */
void rpc_pool_each(struct rpc_pool *pool, void (*each)(void *context, struct rpc_channel *channel), void *context);

/* pool_pick.c */
/* A call on the channel ended with this code: the channel is avoided for a time that doubles, or trusted again. */
void rpc_channel_judge(struct rpc_channel *channel, enum rpc_code code, int64_t now_ns);
#define BUDGET_FIRST 100 /* tenths of a call; each call earns one, each that is sent again costs ten */
void rpc_pool_earn(struct rpc_pool *pool);
bool rpc_pool_may_repeat(struct rpc_pool *pool); /* takes it from the budget */
uint64_t rpc_pool_random(struct rpc_pool *pool);
/* A READY channel, the less busy of two by chance, not one that is critical or to be avoided if there is another; or NULL; then *ret_wait says whether one may be ready in a moment (connecting, or nothing known yet), or waiting is in vain. */
struct rpc_channel *rpc_pool_pick(struct rpc_pool *pool, int32_t shard, bool *ret_wait);
/* That instance's, if it is READY, else NULL. */
struct rpc_channel *rpc_pool_pick_instance(struct rpc_pool *pool, const char *id);
void rpc_channel_keep(struct rpc_channel *channel); /* for the time of a call */
void rpc_channel_drop(struct rpc_channel *channel);

struct rpc_loop *rpc_pool_loop(const struct rpc_pool *pool);
struct client_metrics *rpc_pool_metrics(const struct rpc_pool *pool);
/* UNAVAILABLE, in words: what a pick that came back empty means. */
void rpc_pool_explain(const struct rpc_pool *pool, int32_t shard, struct rpc_status *status);

/* channel.c */
/* `name`: whom the other side's certificate must name; NULL without TLS. */
struct rpc_channel *rpc_channel_new(struct rpc_pool *pool, const struct instance *instance,
	grpc_channel_credentials *credentials, const char *name);
void rpc_channel_retire(struct rpc_channel *channel);
/* pool.c, told by channel.c */
void rpc_pool_state_changed(struct rpc_pool *pool, bool ready_changed);
void rpc_pool_channel_gone(struct rpc_pool *pool, struct rpc_channel *channel);

static inline gpr_timespec rpc_time(int64_t mono_ns)
{
	if (mono_ns == INT64_MAX)
		return gpr_inf_future(GPR_CLOCK_MONOTONIC);
	return (gpr_timespec){.tv_sec = mono_ns / 1000000000,
		.tv_nsec = (int32_t)(mono_ns % 1000000000),
		.clock_type = GPR_CLOCK_MONOTONIC};
}

#endif
