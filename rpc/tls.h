/* rpc/tls.h - mutual TLS between the services, from files.
 *
 * Servers demand a client certificate of the same authority; both sides read the files again when they change (a server at the next
 * handshake, a client with its next channel), so certificates are renewed without a restart. A file that can't be read or does not parse: an
 * error at start; later the last good one stays in use.
 * The struct and its paths must outlive what is made from it. Threads: any. */
#ifndef FLASHSALE_RPC_TLS_H
#define FLASHSALE_RPC_TLS_H

#include <grpc/grpc_security.h>

#include "base/error.h"

struct rpc_tls {
	const char *certificate; /* PEM files: this process's certificate chain, */
	const char *key;	 /* its private key, */
	const char *authority;	 /* and who signs the certificates of the others */
	const char *
		name; /* the name in the other side's certificate, for clients: addresses are not in certificates */
};

/* NULL tls: plaintext. NULL returned: the error says why. */
grpc_server_credentials *rpc_tls_server(const struct rpc_tls *tls, struct error *error);
grpc_channel_credentials *rpc_tls_channel(const struct rpc_tls *tls, struct error *error);

#endif
