#include "rpc/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define PEM_BYTES_MAX (1024 * 1024)
#define CERTIFICATES_MAX 1024 /* in one file */

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
	OPENSSL_cleanse(text, size);
	free(text);
	return NULL;
}

/* ---- what the texts hold; OpenSSL's objects live for one check ---- */

struct parsed {
	STACK_OF(X509) * chain; /* the certificate first, then what leads to the authority */
	STACK_OF(X509) * authorities;
	EVP_PKEY *key;
};

static void parsed_release(struct parsed *parsed)
{
	sk_X509_pop_free(parsed->chain, X509_free);
	sk_X509_pop_free(parsed->authorities, X509_free);
	EVP_PKEY_free(parsed->key);
	ERR_clear_error();
}

static STACK_OF(X509) * parse_certificates(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	STACK_OF(X509) *list = sk_X509_new_null();
	X509 *certificate;

	while (sk_X509_num(list) < CERTIFICATES_MAX &&
		(certificate = PEM_read_bio_X509(bio, NULL, NULL, (void *)"")))
		sk_X509_push(list, certificate);
	BIO_free(bio);
	ERR_clear_error();
	return list;
}

/* A key with a passphrase is refused instead of asking for it at a terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
	return -1;
}

static EVP_PKEY *parse_key(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static bool parse(struct parsed *parsed, const struct tls_pem *pem, const struct rpc_tls_files *files,
	struct error *error)
{
	parsed->chain = parse_certificates(pem->certificate);
	parsed->authorities = parse_certificates(pem->authority);
	parsed->key = parse_key(pem->key);
	if (!sk_X509_num(parsed->chain))
		return error_set(error, "%s: no certificate in it that can be read", files->certificate);
	if (!sk_X509_num(parsed->authorities))
		return error_set(error, "%s: no certificate in it that can be read", files->authority);
	if (!parsed->key)
		return error_set(error,
			"%s: no private key in it that can be read; it may have no passphrase", files->key);
	return true;
}

static bool verify(const struct parsed *parsed, const struct rpc_tls_files *files, struct error *error)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	bool good;

	for (int i = 0; i < sk_X509_num(parsed->authorities); i++)
		X509_STORE_add_cert(store, sk_X509_value(parsed->authorities, i));
	X509_STORE_CTX_init(check, store, sk_X509_value(parsed->chain, 0), parsed->chain);
	good = X509_verify_cert(check) == 1;
	if (!good)
		error_set(error, "%s: %s; the authorities are those in %s", files->certificate,
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)), files->authority);
	X509_STORE_CTX_free(check);
	X509_STORE_free(store);
	return good;
}

static int64_t end_of(const X509 *certificate)
{
	struct tm end;

	if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end))
		return 0;
	return timegm(&end);
}

static bool check(
	struct tls_pem *pem, const struct rpc_tls_files *files, const char *name, struct error *error)
{
	struct parsed parsed = {0};
	X509 *own;
	bool good = parse(&parsed, pem, files, error);

	if (good) {
		own = sk_X509_value(parsed.chain, 0);
		if (X509_check_private_key(own, parsed.key) != 1)
			good = error_set(error, "%s is not the key of %s", files->key, files->certificate);
		else if (name && X509_check_host(own, name, 0,
					 X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
					 NULL) != 1)
			good = error_set(error,
				"%s is not made out to %s, as a DNS name among its alternative names",
				files->certificate, name);
		else
			good = verify(&parsed, files, error);
		pem->expires_s = end_of(own);
	}
	parsed_release(&parsed);
	return good;
}

void tls_pem_release(struct tls_pem *pem)
{
	if (pem->key)
		OPENSSL_cleanse(pem->key, strlen(pem->key));
	free(pem->certificate);
	free(pem->key);
	free(pem->authority);
	*pem = (struct tls_pem){0};
}

bool tls_pem_read(
	struct tls_pem *pem, const struct rpc_tls_files *files, const char *name, struct error *error)
{
	*pem = (struct tls_pem){0};
	if ((pem->certificate = read_file(files->certificate, error)) &&
		(pem->key = read_file(files->key, error)) &&
		(pem->authority = read_file(files->authority, error)) && check(pem, files, name, error))
		return true;
	tls_pem_release(pem);
	return false;
}

void tls_stamp_take(struct tls_stamp *stamp, const struct rpc_tls_files *files)
{
	const char *const paths[] = {files->certificate, files->key, files->authority};
	struct stat status;

	*stamp = (struct tls_stamp){0};
	for (int i = 0; i < 3; i++) {
		if (stat(paths[i], &status))
			continue;
		stamp->files[i].device = status.st_dev;
		stamp->files[i].inode = status.st_ino;
		stamp->files[i].size = status.st_size;
		stamp->files[i].changed = status.st_mtim;
	}
}

bool tls_stamp_equal(const struct tls_stamp *one, const struct tls_stamp *other)
{
	for (int i = 0; i < 3; i++)
		if (one->files[i].device != other->files[i].device ||
			one->files[i].inode != other->files[i].inode ||
			one->files[i].size != other->files[i].size ||
			one->files[i].changed.tv_sec != other->files[i].changed.tv_sec ||
			one->files[i].changed.tv_nsec != other->files[i].changed.tv_nsec)
			return false;
	return true;
}
