#include "gatekeeper/edge/token.h"

#include <dirent.h>
#include <errno.h>
#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define KEY_BYTES_MAX 16384
#define LEVEL_MAX 1000

struct key {
	unsigned char *pem;
	int size;
	jwt_alg_t algorithm; /* that a key of its kind signs with */
};

struct token_keys {
	struct key keys[TOKEN_KEYS_MAX];
	size_t count;
};

void token_keys_free(struct token_keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++)
		free(keys->keys[i].pem);
	free(keys);
}

static bool read_file(const char *path, struct key *key, struct error *error)
{
	FILE *file = fopen(path, "r");
	size_t size;

	if (!file)
		return error_set(error, "%s: %s", path, strerror(errno));
	key->pem = NEW_ARRAY(KEY_BYTES_MAX + 1, unsigned char);
	size = fread(key->pem, 1, KEY_BYTES_MAX + 1, file);
	fclose(file);
	key->size = (int)size;
	if (size <= KEY_BYTES_MAX)
		return true;
	free(key->pem);
	return error_set(error, "%s is too large for a public key", path);
}

/* RSA signs RS256, an elliptic curve ES256: a token can't choose otherwise. */
static bool find_algorithm(struct key *key)
{
	BIO *bio = BIO_new_mem_buf(key->pem, key->size);
	EVP_PKEY *public = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	const int kind = public ? EVP_PKEY_get_base_id(public) : EVP_PKEY_NONE;
	const bool is_p256 = kind == EVP_PKEY_EC && EVP_PKEY_get_bits(public) == 256;

	key->algorithm = kind == EVP_PKEY_RSA ? JWT_ALG_RS256 : JWT_ALG_ES256;
	EVP_PKEY_free(public);
	BIO_free(bio);
	ERR_clear_error();
	return kind == EVP_PKEY_RSA || is_p256;
}

static bool add_key(struct token_keys *keys, const char *path, struct error *error)
{
	struct key *key = &keys->keys[keys->count];

	if (keys->count == TOKEN_KEYS_MAX)
		return error_set(error, "%s is one key too many: there may be %d", path, TOKEN_KEYS_MAX);
	if (!read_file(path, key, error))
		return false;
	keys->count++;
	return find_algorithm(key) ||
	       error_set(error, "%s is no public key in PEM form of RSA or of the curve P-256", path);
}

static bool is_pem(const char *name)
{
	const size_t length = strlen(name);

	return length > 4 && strcmp(name + length - 4, ".pem") == 0;
}

static bool add_folder(struct token_keys *keys, const char *path, struct error *error)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool fine = true;

	if (!folder)
		return error_set(error, "%s: %s", path, strerror(errno));
	while (fine && (entry = readdir(folder))) {
		char *file = is_pem(entry->d_name) ? memory_format("%s/%s", path, entry->d_name) : NULL;

		fine = !file || add_key(keys, file, error);
		free(file);
	}
	closedir(folder);
	if (fine && !keys->count)
		return error_set(error, "%s holds no key: no file whose name ends with .pem", path);
	return fine;
}

struct token_keys *token_keys_new(const char *folder, struct error *error)
{
	struct token_keys *keys = NEW(struct token_keys);

	if (add_folder(keys, folder, error))
		return keys;
	token_keys_free(keys);
	return NULL;
}

/* ---- claims ---- */

static bool has_word(const char *words, const char *word)
{
	const size_t length = strlen(word);

	for (const char *at = words; *at; at += strspn(at, " ")) {
		const size_t size = strcspn(at, " ");

		if (size == length && memcmp(at, word, length) == 0)
			return true;
		at += size;
	}
	return false;
}

/* libjwt says 0 for what is not there, with errno. */
static bool integer_claim(jwt_t *jwt, const char *name, int64_t absent, int64_t *ret)
{
	errno = 0;
	*ret = jwt_get_grant_int(jwt, name);
	if (errno == ENOENT)
		*ret = absent;
	return errno == 0 || errno == ENOENT;
}

static bool read_claims(jwt_t *jwt, struct token *token)
{
	const char *user = jwt_get_grant(jwt, "sub"), *scope = jwt_get_grant(jwt, "scope");
	int64_t level;

	if (!user || !user[0] || strlen(user) > TOKEN_USER_MAX)
		return false;
	memcpy(token->user_id, user, strlen(user) + 1);
	token->is_operator = scope && has_word(scope, "operator");
	token->is_payment = scope && has_word(scope, "payment");
	if (!integer_claim(jwt, "level", 0, &level) || level < 0 || level > LEVEL_MAX)
		return false;
	token->level = (int32_t)level;
	return integer_claim(jwt, "exp", 0, &token->expires_s) && token->expires_s > 0 &&
	       integer_claim(jwt, "nbf", 0, &token->not_before_s);
}

bool token_verify(const struct token_keys *keys, const char *text, size_t length, struct token *ret)
{
	char copy[TOKEN_BYTES_MAX + 1];
	bool fine = false;

	if (length > TOKEN_BYTES_MAX || memchr(text, 0, length))
		return false;
	memcpy(copy, text, length);
	copy[length] = 0;
	for (size_t i = 0; i < keys->count && !fine; i++) {
		const struct key *key = &keys->keys[i];
		struct token token = {0};
		jwt_t *jwt = NULL;

		/* libjwt checks with whatever the token's header names: a shared secret, should it say so, and that would be the public key. */
		fine = jwt_decode(&jwt, copy, key->pem, key->size) == 0 &&
		       jwt_get_alg(jwt) == key->algorithm && read_claims(jwt, &token);
		if (fine)
			*ret = token;
		if (jwt)
			jwt_free(jwt);
	}
	ERR_clear_error();
	return fine;
}
