/* rpc/health.h - grpc.health.v1: Check and Watch, for the whole server ("") and for each of its services, which share one state.
 * The name HEALTH_LIVENESS serves as long as the server answers at all: a probe that restarts what fails must not fail because another service is away.
 * Watchers get the state at once, then each change. Inside of the server.
 * Threads: health_set and health_serving from any; the rest on the loop. */
#ifndef FLASHSALE_RPC_HEALTH_H
#define FLASHSALE_RPC_HEALTH_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#define HEALTH_LIVENESS "liveness"

struct rpc_server;
struct health;

struct health *health_new(struct rpc_server *server);
void health_free(struct health *health);
ProtobufCService *health_service(struct health *health);
void health_set(struct health *health, bool serving);
bool health_serving(const struct health *health);

#endif
