/* rpc/tls.h - mutual TLS between the services, from files that may change.
 *
 * Servers demand a client certificate of the same authority; clients demand that the server's names the service they look for (rpc/role.h). The three files are
 * one thing: read together, checked together (rpc/tls_files.h), and what they held last that was good stays in use until something better is there. rpc_tls_refresh()
 * looks whether they changed: at every handshake of a server, once a second in every pool, at SIGHUP. New certificates count for new connections; pools then make
 * theirs anew without giving up a call.
 * At start a file that is missing or wrong is an error; later it is logged and changes nothing.
 * One server and any number of pools use one struct rpc_tls; it must outlive them. Threads: any. */
#ifndef FLASHSALE_RPC_TLS_H
#define FLASHSALE_RPC_TLS_H

#include <grpc/grpc_security.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct rpc_tls_files {
	const char *certificate; /* PEM files: this process's certificate, and what leads from it to the authority, */
	const char *key;         /* its private key, */
	const char *authority;   /* and who signs the certificates of the others: one or, while it changes, more */
};

struct rpc_tls;
/* All or none of the files: false names what is missing. */
bool rpc_tls_complete(const struct rpc_tls_files *files, const char *prefix, struct error *error);
/* `service`: whose certificate it must be, "cart"; NULL: anybody's. */
struct rpc_tls *rpc_tls_new(const struct rpc_tls_files *files, const char *service, struct error *error);
void rpc_tls_free(struct rpc_tls *tls);
/* Reads the files again if they changed. Returns a number that ascends with every new set of certificates, from 1. */
uint64_t rpc_tls_refresh(struct rpc_tls *tls);
void rpc_tls_publish(struct rpc_tls *tls); /* its certificate's end becomes a metric; of one in a process */

/* NULL tls: plaintext. Both succeed: what is in a struct rpc_tls was checked. */
grpc_server_credentials *rpc_tls_server(struct rpc_tls *tls);
grpc_channel_credentials *rpc_tls_channel(struct rpc_tls *tls);

#endif
