/* policy/replica.h - a policy service without a store: it answers purchase checks from a copy of the owner's rules.
 *
 * The copy follows the owner's WatchPolicies. It is whole or the old one: a snapshot is gathered beside it and takes its place at its end. What is about the rules
 * themselves (set, delete, get, list) is passed on to the owner, so whoever asks any instance reads what was written through any other.
 * Not serving before the first snapshot, nor once the owner has been silent for --owner-silence-max: rules may have changed since, and
 * the streams of who watches here end with it.
 * Threads: the loop; replica_new, replica_stop and replica_free the main thread, as the service's hooks. It owns its pool, and the list that names the owner. */
#ifndef FLASHSALE_POLICY_REPLICA_H
#define FLASHSALE_POLICY_REPLICA_H

#include <protobuf-c/protobuf-c.h>

#include "base/error.h"

struct policy;
struct replica;
struct rpc_call;
struct service;

struct replica *replica_new(struct policy *policy, struct service *service, struct error *error);
void replica_stop(struct replica *replica); /* calls that were passed on come back */
void replica_free(struct replica *replica);

/* Whether the copy is fit to answer from. Loop only. */
bool replica_current(const struct replica *replica);

/* Asks the owner, and ends the call with what it says. Loop only. */
void replica_pass_on(struct replica *replica, struct rpc_call *call, const char *method,
	const ProtobufCMessage *request, ProtobufCClosure answer);

#endif
