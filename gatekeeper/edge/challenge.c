#include "gatekeeper/edge/challenge.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#define VERSION "v1"
#define MAC_BYTES 16
#define KEY_FILE_MIN 16
#define KEY_FILE_MAX 4096
#define V6_HOST_BITS 64
#define CLIENT_BYTES (1 + 16 + SHA256_DIGEST_LENGTH)
#define SOLUTION_MAX (CHALLENGE_TEXT_MAX + CHALLENGE_COUNTER_MAX)

/* ---- keys ---- */

bool challenge_key_read(const char *path, struct challenge_key *ret, struct error *error)
{
	uint8_t content[KEY_FILE_MAX + 1];
	FILE *file = fopen(path, "re");
	size_t size;
	bool broken;

	if (!file)
		return error_set(error, "the key of challenges: %s: %s", path, strerror(errno));
	size = fread(content, 1, sizeof(content), file);
	broken = ferror(file) != 0;
	fclose(file);
	if (broken)
		return error_set(error, "the key of challenges: %s can't be read", path);
	if (size < KEY_FILE_MIN || size > KEY_FILE_MAX)
		return error_set(error, "the key of challenges: %s must have %d to %d bytes", path,
			KEY_FILE_MIN, KEY_FILE_MAX);
	SHA256(content, size, ret->bytes);
	OPENSSL_cleanse(content, sizeof(content));
	return true;
}

/* The system's randomness does not end. */
static void random_bytes(uint8_t *to, size_t size)
{
	const int got = RAND_bytes(to, (int)size);

	assert(got == 1);
}

void challenge_key_random(struct challenge_key *ret)
{
	random_bytes(ret->bytes, sizeof(ret->bytes));
}

/* ---- text ---- */

static void write_hex(const uint8_t *bytes, size_t count, char *to)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		*to++ = digits[bytes[i] >> 4];
		*to++ = digits[bytes[i] & 15];
	}
	*to = '\0';
}

/* Lower case only: a text has one form. -1: no digit. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct reader {
	const char *at, *end;
};

static bool take_dot(struct reader *reader)
{
	return reader->at < reader->end && *reader->at++ == '.';
}

static bool take_hex(struct reader *reader, uint8_t *to, size_t count)
{
	if ((size_t)(reader->end - reader->at) < 2 * count)
		return false;
	for (size_t i = 0; i < count; i++, reader->at += 2) {
		const int high = hex_value(reader->at[0]), low = hex_value(reader->at[1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* Without leading zeros. */
static bool take_number(struct reader *reader, int64_t max, int64_t *ret)
{
	const char *start = reader->at;
	int64_t value = 0;

	while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
		value = value * 10 + (*reader->at++ - '0');
		if (value > max)
			return false;
	}
	*ret = value;
	return reader->at > start && (*start != '0' || reader->at == start + 1);
}

static bool is_counter(const struct reader *rest)
{
	const size_t size = (size_t)(rest->end - rest->at);

	for (const char *at = rest->at; at < rest->end; at++) {
		if (*at < '0' || *at > '9')
			return false;
	}
	return size > 0 && size <= CHALLENGE_COUNTER_MAX;
}

struct parts {
	int64_t difficulty, expire_s;
	uint8_t nonce[CHALLENGE_NONCE_BYTES], mac[MAC_BYTES];
	size_t signed_size; /* of the text before the MAC's dot */
};

static bool read_parts(const char *solution, size_t size, struct parts *ret)
{
	struct reader reader = {solution, solution + size};
	const size_t version = sizeof(VERSION) - 1;

	if (size > SOLUTION_MAX || size < version || memcmp(solution, VERSION, version) != 0)
		return false;
	reader.at += version;
	if (!take_dot(&reader) || !take_number(&reader, CHALLENGE_DIFFICULTY_MAX, &ret->difficulty) ||
		!take_dot(&reader) || !take_number(&reader, UINT32_MAX, &ret->expire_s) ||
		!take_dot(&reader) || !take_hex(&reader, ret->nonce, sizeof(ret->nonce)))
		return false;
	ret->signed_size = (size_t)(reader.at - solution);
	return take_dot(&reader) && take_hex(&reader, ret->mac, sizeof(ret->mac)) && take_dot(&reader) &&
	       is_counter(&reader);
}

/* ---- the MAC ---- */

/* Each part has a fixed size: no two clients are written the same. */
static void write_client(const struct challenge_client *client, uint8_t to[CLIENT_BYTES])
{
	const struct address *address = client->address;

	memset(to, 0, CLIENT_BYTES);
	to[0] = address ? 'a' : 'u';
	if (address) {
		const struct address kept =
			address_is_v4(address) ? *address : address_prefix(address, V6_HOST_BITS);

		memcpy(to + 1, kept.bytes, sizeof(kept.bytes));
	}
	SHA256((const uint8_t *)client->user_id, strlen(client->user_id),
		to + CLIENT_BYTES - SHA256_DIGEST_LENGTH);
}

static void sign(const struct challenge_key *key, const struct challenge_client *client, const char *text,
	size_t size, uint8_t ret[MAC_BYTES])
{
	uint8_t input[CHALLENGE_TEXT_MAX + CLIENT_BYTES], mac[SHA256_DIGEST_LENGTH];
	unsigned mac_size = sizeof(mac);
	const uint8_t *made;

	assert(size < CHALLENGE_TEXT_MAX);
	memcpy(input, text, size);
	input[size] = '\0'; /* no text has one: here the client begins */
	write_client(client, input + size + 1);
	made = HMAC(
		EVP_sha256(), key->bytes, sizeof(key->bytes), input, size + 1 + CLIENT_BYTES, mac, &mac_size);
	assert(made);
	memcpy(ret, mac, MAC_BYTES);
}

/* ---- both ways ---- */

void challenge_make(const struct challenge_key *key, const struct challenge_client *client,
	unsigned difficulty, int64_t expire_s, char ret[CHALLENGE_TEXT_MAX])
{
	char nonce_text[2 * CHALLENGE_NONCE_BYTES + 1];
	uint8_t nonce[CHALLENGE_NONCE_BYTES], mac[MAC_BYTES];
	int size;

	random_bytes(nonce, sizeof(nonce));
	write_hex(nonce, sizeof(nonce), nonce_text);
	size = snprintf(
		ret, CHALLENGE_TEXT_MAX, VERSION ".%u.%lld.%s", difficulty, (long long)expire_s, nonce_text);
	sign(key, client, ret, (size_t)size, mac);
	ret[size++] = '.';
	write_hex(mac, sizeof(mac), ret + size);
}

static bool begins_with_zeros(const uint8_t *digest, unsigned bits)
{
	for (; bits >= 8; bits -= 8) {
		if (*digest++)
			return false;
	}
	return bits == 0 || *digest >> (8 - bits) == 0;
}

enum challenge_end challenge_check(const struct challenge_key *key, const struct challenge_client *client,
	unsigned difficulty, const char *solution, size_t size, int64_t now_s, struct challenge_solved *ret)
{
	uint8_t digest[SHA256_DIGEST_LENGTH], mac[MAC_BYTES];
	struct parts parts;

	if (!read_parts(solution, size, &parts))
		return CHALLENGE_MALFORMED;
	sign(key, client, solution, parts.signed_size, mac);
	if (CRYPTO_memcmp(mac, parts.mac, sizeof(mac)) != 0 || parts.difficulty < difficulty)
		return CHALLENGE_NOT_OURS;
	if (now_s >= parts.expire_s)
		return CHALLENGE_EXPIRED;
	SHA256((const uint8_t *)solution, size, digest);
	if (!begins_with_zeros(digest, (unsigned)parts.difficulty))
		return CHALLENGE_NOT_SOLVED;
	memcpy(ret->nonce, parts.nonce, sizeof(ret->nonce));
	ret->expire_s = parts.expire_s;
	return CHALLENGE_SOLVED;
}
