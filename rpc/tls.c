#include "rpc/tls.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "rpc/role.h"
#include "rpc/tls_files.h"

struct rpc_tls {
	struct rpc_tls_files files; /* copies */
	char name[ROLE_NAME_MAX];   /* "": anybody's */
	struct metric expires;

	pthread_mutex_t lock;	/* of what follows */
	struct tls_pem pem;	/* the last good ones */
	struct tls_stamp stamp; /* of what was read last, good or bad */
	uint64_t version;
	uint64_t served; /* the version that gRPC's server has */
};

bool rpc_tls_complete(const struct rpc_tls_files *files, const char *prefix, struct error *error)
{
	const char *const values[] = {files->certificate, files->key, files->authority};
	static const char *const names[] = {"cert", "key", "ca"};
	int there = 0, missing = 0;

	for (int i = 0; i < 3; i++)
		if (values[i])
			there = i + 1;
		else
			missing = i + 1;
	if (!there || !missing)
		return true;
	return error_set(error, "%s%s is set and %s%s is not: TLS needs all three of them, or none", prefix,
		names[there - 1], prefix, names[missing - 1]);
}

static int64_t read_expiry(void *context)
{
	struct rpc_tls *tls = context;
	int64_t expires_s;

	pthread_mutex_lock(&tls->lock);
	expires_s = tls->pem.expires_s;
	pthread_mutex_unlock(&tls->lock);
	return expires_s;
}

static const char *wanted_name(const struct rpc_tls *tls)
{
	return tls->name[0] ? tls->name : NULL;
}

struct rpc_tls *rpc_tls_new(const struct rpc_tls_files *files, const char *service, struct error *error)
{
	struct rpc_tls *tls = NEW(struct rpc_tls);

	if (service)
		role_certificate_name(service, tls->name);
	tls_stamp_take(&tls->stamp, files);
	if (!tls_pem_read(&tls->pem, files, wanted_name(tls), error)) {
		free(tls);
		return NULL;
	}
	tls->files.certificate = memory_copy_text(files->certificate);
	tls->files.key = memory_copy_text(files->key);
	tls->files.authority = memory_copy_text(files->authority);
	tls->version = 1;
	pthread_mutex_init(&tls->lock, NULL);
	return tls;
}

void rpc_tls_publish(struct rpc_tls *tls)
{
	tls->expires = (struct metric){.kind = METRIC_GAUGE,
		.name = "flashsale_tls_certificate_expires_timestamp_seconds",
		.help = "When this process's certificate ends, in Unix time.",
		.read = read_expiry,
		.context = tls};
	metrics_register(&tls->expires);
}

void rpc_tls_free(struct rpc_tls *tls)
{
	if (!tls)
		return;
	metrics_unregister(&tls->expires);
	tls_pem_release(&tls->pem);
	free((char *)tls->files.certificate);
	free((char *)tls->files.key);
	free((char *)tls->files.authority);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* A set of three files is not renewed at one instant: half of one is not good, and the next look finds the rest. */
static void refresh_locked(struct rpc_tls *tls)
{
	struct tls_stamp stamp;
	struct tls_pem pem;
	struct error error;

	tls_stamp_take(&stamp, &tls->files);
	if (tls_stamp_equal(&stamp, &tls->stamp))
		return;
	tls->stamp = stamp;
	if (!tls_pem_read(&pem, &tls->files, wanted_name(tls), &error)) {
		log_error("the new certificates are not good, the last good ones stay",
			LOG_TEXT("why", error.text));
		return;
	}
	tls_pem_release(&tls->pem);
	tls->pem = pem;
	tls->version++;
	log_info("the certificates were read again", LOG_TEXT("certificate", tls->files.certificate),
		LOG_INT("expires", pem.expires_s));
}

uint64_t rpc_tls_refresh(struct rpc_tls *tls)
{
	uint64_t version;

	pthread_mutex_lock(&tls->lock);
	refresh_locked(tls);
	version = tls->version;
	pthread_mutex_unlock(&tls->lock);
	return version;
}

/* gRPC runs it before each handshake: what it returns is kept when it is new, else the last one stays. */
static grpc_ssl_certificate_config_reload_status fetch(
	void *context, grpc_ssl_server_certificate_config **ret)
{
	struct rpc_tls *tls = context;
	grpc_ssl_pem_key_cert_pair pair;

	pthread_mutex_lock(&tls->lock);
	refresh_locked(tls);
	if (tls->served == tls->version) {
		pthread_mutex_unlock(&tls->lock);
		return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
	}
	pair = (grpc_ssl_pem_key_cert_pair){.private_key = tls->pem.key, .cert_chain = tls->pem.certificate};
	*ret = grpc_ssl_server_certificate_config_create(tls->pem.authority, &pair, 1);
	tls->served = tls->version;
	pthread_mutex_unlock(&tls->lock);
	return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

grpc_server_credentials *rpc_tls_server(struct rpc_tls *tls)
{
	grpc_ssl_server_credentials_options *options;
	grpc_server_credentials *credentials;

	if (!tls)
		return grpc_insecure_server_credentials_create();
	pthread_mutex_lock(&tls->lock);
	tls->served = 0;
	pthread_mutex_unlock(&tls->lock);
	options = grpc_ssl_server_credentials_create_options_using_config_fetcher(
		GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, tls);
	assert(options);
	credentials = grpc_ssl_server_credentials_create_with_options(options);
	assert(credentials);
	return credentials;
}

grpc_channel_credentials *rpc_tls_channel(struct rpc_tls *tls)
{
	grpc_channel_credentials *credentials;
	grpc_ssl_pem_key_cert_pair pair;

	if (!tls)
		return grpc_insecure_credentials_create();
	pthread_mutex_lock(&tls->lock);
	pair = (grpc_ssl_pem_key_cert_pair){.private_key = tls->pem.key, .cert_chain = tls->pem.certificate};
	credentials = grpc_ssl_credentials_create(tls->pem.authority, &pair, NULL, NULL);
	pthread_mutex_unlock(&tls->lock);
	assert(credentials);
	return credentials;
}
