#include "rpc/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

#define PEM_BYTES_MAX (1024 * 1024)

static char *read_file(const char *path, struct error *error)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t size;

	if (!file) {
		error_set(error, "%s: %s", path, strerror(errno));
		return NULL;
	}
	text = memory_new(PEM_BYTES_MAX + 1);
	size = fread(text, 1, PEM_BYTES_MAX + 1, file);
	fclose(file);
	if (size && size <= PEM_BYTES_MAX && strstr(text, "-----BEGIN "))
		return memory_resize(text, size + 1, 1);
	error_set(error, "%s: not a PEM file", path);
	free(text);
	return NULL;
}

struct pem {
	char *certificate, *key, *authority;
};

static void pem_release(struct pem *pem)
{
	free(pem->certificate);
	free(pem->key);
	free(pem->authority);
}

static bool pem_read(struct pem *pem, const struct rpc_tls *tls, struct error *error)
{
	*pem = (struct pem){0};
	if ((pem->certificate = read_file(tls->certificate, error)) &&
		(pem->key = read_file(tls->key, error)) &&
		(pem->authority = read_file(tls->authority, error)))
		return true;
	pem_release(pem);
	return false;
}

/* gRPC runs it before each handshake: what it returns is kept when it is new, else the last one stays. */
static grpc_ssl_certificate_config_reload_status fetch(
	void *context, grpc_ssl_server_certificate_config **ret)
{
	const struct rpc_tls *tls = context;
	struct error error;
	struct pem pem;
	grpc_ssl_pem_key_cert_pair pair;

	if (!pem_read(&pem, tls, &error)) {
		LOG_LIMITED(LOG_ERROR, "certificates can't be read, the last good ones stay",
			LOG_TEXT("why", error.text));
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	}
	pair = (grpc_ssl_pem_key_cert_pair){.private_key = pem.key, .cert_chain = pem.certificate};
	*ret = grpc_ssl_server_certificate_config_create(pem.authority, &pair, 1);
	pem_release(&pem);
	return *ret ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
}

grpc_server_credentials *rpc_tls_server(const struct rpc_tls *tls, struct error *error)
{
	grpc_ssl_server_credentials_options *options;
	grpc_server_credentials *credentials;
	struct pem pem;

	if (!tls)
		return grpc_insecure_server_credentials_create();
	if (!pem_read(&pem, tls, error))
		return NULL;
	pem_release(&pem);
	options = grpc_ssl_server_credentials_create_options_using_config_fetcher(
		GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, (void *)tls);
	credentials = options ? grpc_ssl_server_credentials_create_with_options(options) : NULL;
	if (!credentials)
		error_set(error, "%s: gRPC does not take this certificate or its key", tls->certificate);
	return credentials;
}

grpc_channel_credentials *rpc_tls_channel(const struct rpc_tls *tls, struct error *error)
{
	grpc_channel_credentials *credentials;
	grpc_ssl_pem_key_cert_pair pair;
	struct pem pem;

	if (!tls)
		return grpc_insecure_credentials_create();
	if (!pem_read(&pem, tls, error))
		return NULL;
	pair = (grpc_ssl_pem_key_cert_pair){.private_key = pem.key, .cert_chain = pem.certificate};
	credentials = grpc_ssl_credentials_create(pem.authority, &pair, NULL, NULL);
	if (!credentials)
		error_set(error, "%s: gRPC does not take this certificate or its key", tls->certificate);
	pem_release(&pem);
	return credentials;
}
