/* discovery/consul_options.h - where Consul is and how to speak to it, from the environment variables that every Consul tool reads.
 *
 * CONSUL_HTTP_ADDR (host:port, http://, https://, unix://; a path behind the port is kept), CONSUL_HTTP_SSL, CONSUL_HTTP_SSL_VERIFY, CONSUL_CACERT,
 * CONSUL_CAPATH, CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY, CONSUL_TLS_SERVER_NAME, CONSUL_HTTP_TOKEN, CONSUL_HTTP_TOKEN_FILE (it wins, and is read again for
 * each request, so a renewed token counts at once), CONSUL_HTTP_AUTH, CONSUL_NAMESPACE, CONSUL_PARTITION. An empty variable is none. What cannot be
 * meant is an error that names its variable; a token is never part of one. Texts are owned; NULL: not set. Pure: any thread. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_OPTIONS_H
#define FLASHSALE_DISCOVERY_CONSUL_OPTIONS_H

#include <stdint.h>

#include "base/error.h"

#define CONSUL_PREFIX_MAX 31

struct consul_options {
	char *base;       /* "http://127.0.0.1:8500", with the path that all of Consul's paths follow; no slash at its end */
	char *socket;     /* a unix socket's path: connect there instead */
	char *connect_to; /* "name:port:host:port" for libcurl, when the certificate is another's than the address */
	char *token, *token_file, *auth;
	char *ca_file, *ca_folder, *certificate, *key;
	bool verify;
	char *query;      /* "&ns=a&partition=b", or "" */
	char *prefix;     /* "flashsale": the service inventory is "flashsale-inventory" in Consul */
	/* What has no variable; standards are set by the reading. */
	int64_t wait_ms;         /* of a blocking query */
	int64_t answer_ms;       /* any other request's time, and what a blocking one may take beyond its own */
	int64_t look_ms;         /* between looks at our own registration */
	int64_t backoff_max_ms;
	int64_t linger_ms;       /* how long instances stay that Consul does not know any more since it was away */
};

/* `get` is getenv, or a test's own. */
bool consul_options_read(struct consul_options *options, char *(*get)(const char *name), const char *prefix, struct error *error);
void consul_options_release(struct consul_options *options);

/* The token to send now; malloc'd, NULL: none. False: the file is not readable, or what is in it is no token. */
bool consul_options_token(const struct consul_options *options, char **ret_token, struct error *error);

#endif
