/* A server with the trial service (trial.proto), for tests of rpc/. */
#ifndef FLASHSALE_TESTS_RPC_TRIAL_H
#define FLASHSALE_TESTS_RPC_TRIAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "client.h"
#include "flashsale/common/v1/common.pb-c.h"
#include "rpc/server.h"
#include "rpc/watch.h"
#include "trial.pb-c.h"

#define TRIAL "/flashsale.trial.v1.Trial/"

struct trial {
	Trial__Trial_Service service; /* first */
	struct rpc_loop *loop;
	struct rpc_server *server;
	struct client client;
	void *set; /* its descriptor set */
	struct watch_board *_Atomic board; /* put there while the server runs already */
	_Atomic uint32_t asks; /* how often a function was entered */
	_Atomic uint32_t pulls, stream_ends;
	struct rpc_call *_Atomic kept; /* AskNever's last */
	sem_t kept_one;
	pthread_t threads[64];
	uint32_t thread_count;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t queued;
	struct later *queue; /* AskWriter's */
	bool writer_ends;
	pthread_t writer;
	LIST_HEAD(, follower) followers;
	uint32_t ticks;
};

extern const struct rpc_limits trial_limits;
struct trial *trial_new(const struct rpc_limits *limits);
struct trial *trial_new_at(const struct rpc_limits *limits, const char *address, struct rpc_tls *tls);
struct trial *trial_new_restricted(const char *address, struct rpc_tls *tls, const struct rpc_access *access);
void trial_free(struct trial *trial);
void trial_tick(struct trial *trial); /* any thread */
void trial_await(const _Atomic uint32_t *counter, uint32_t value); /* at least */

#endif
