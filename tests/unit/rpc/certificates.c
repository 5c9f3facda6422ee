#include "certificates.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

char certificates[64];

int certificates_begin(void **state)
{
	strcpy(certificates, "/tmp/flashsale-tls-XXXXXX");
	return mkdtemp(certificates) ? 0 : -1;
}

int certificates_end(void **state)
{
	char *command = memory_format("rm -r %s", certificates);
	int result = system(command);

	free(command);
	return result;
}

char *certificate_path(const char *file, const char *end)
{
	return memory_format("%s/%s.%s", certificates, file, end);
}

static FILE *open_file(const char *file, const char *end, const char *mode)
{
	char *path = certificate_path(file, end);
	FILE *stream = fopen(path, mode);

	free(path);
	assert_non_null(stream);
	return stream;
}

static X509 *read_certificate(const char *file)
{
	FILE *stream = open_file(file, "crt", "re");
	X509 *certificate = PEM_read_X509(stream, NULL, NULL, NULL);

	fclose(stream);
	assert_non_null(certificate);
	return certificate;
}

static EVP_PKEY *read_key(const char *file)
{
	FILE *stream = open_file(file, "key", "re");
	EVP_PKEY *key = PEM_read_PrivateKey(stream, NULL, NULL, NULL);

	fclose(stream);
	assert_non_null(key);
	return key;
}

static void add_extension(X509 *certificate, int which, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, which, value);

	assert_non_null(extension);
	X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
}

static X509 *new_certificate(const char *subject, EVP_PKEY *key, long from_s, long to_s)
{
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	uint32_t serial;

	RAND_bytes((unsigned char *)&serial, sizeof(serial));
	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
	X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
	X509_set_pubkey(certificate, key);
	return certificate;
}

static void write_both(const char *file, X509 *certificate, EVP_PKEY *key)
{
	FILE *stream = open_file(file, "key", "we");

	assert_int_equal(PEM_write_PrivateKey(stream, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(stream);
	stream = open_file(file, "crt", "we");
	assert_int_equal(PEM_write_X509(stream, certificate), 1);
	fclose(stream);
}

void certificate_authority(const char *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = new_certificate(file, key, -3600, 86400);

	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	write_both(file, certificate, key);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void certificate_make_for(const char *file, const char *name, const char *by, long from_s, long to_s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *signing = read_key(by);
	X509 *authority = read_certificate(by);
	X509 *certificate = new_certificate(name ? name : "somebody", key, from_s, to_s);
	char *names = name ? memory_format("DNS:%s", name) : NULL;

	X509_set_issuer_name(certificate, X509_get_subject_name(authority));
	if (names)
		add_extension(certificate, NID_subject_alt_name, names);
	assert_true(X509_sign(certificate, signing, EVP_sha256()) > 0);
	write_both(file, certificate, key);
	free(names);
	X509_free(authority);
	X509_free(certificate);
	EVP_PKEY_free(signing);
	EVP_PKEY_free(key);
}

void certificate_make(const char *file, const char *name, const char *by)
{
	certificate_make_for(file, name, by, -3600, 86400);
}

struct rpc_tls_files certificate_files(const char *file, const char *authority)
{
	return (struct rpc_tls_files){certificate_path(file, "crt"), certificate_path(file, "key"),
		certificate_path(authority, "crt")};
}

void certificate_files_release(struct rpc_tls_files *files)
{
	free((char *)files->certificate);
	free((char *)files->key);
	free((char *)files->authority);
}

struct rpc_tls *certificate_tls(const char *file, const char *authority)
{
	struct rpc_tls_files files = certificate_files(file, authority);
	struct error error = {""};
	struct rpc_tls *tls = rpc_tls_new(&files, NULL, &error);

	if (!tls)
		fail_msg("%s", error.text);
	certificate_files_release(&files);
	return tls;
}

static char *read_text(const char *file, const char *end)
{
	FILE *stream = open_file(file, end, "re");
	char *text = memory_new(65536);

	assert_true(fread(text, 1, 65535, stream) > 0);
	fclose(stream);
	return text;
}

grpc_channel_credentials *certificate_channel(const char *file, const char *authority)
{
	char *certificate = read_text(file, "crt"), *key = read_text(file, "key");
	char *root = read_text(authority, "crt");
	grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = certificate};
	grpc_channel_credentials *credentials = grpc_ssl_credentials_create(root, &pair, NULL, NULL);

	free(certificate);
	free(key);
	free(root);
	return credentials;
}
