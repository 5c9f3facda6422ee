/* gatekeeper/edge/challenge.h - a proof of work, asked for and checked without keeping anything.
 *
 * A challenge is a text: "v1.DIFFICULTY.EXPIRY.NONCE.MAC", the expiry in seconds since 1970, nonce and MAC 16 bytes each in hexadecimal. The MAC
 * (HMAC-SHA256, cut) is over what stands before it and over the client, so that nobody makes one, prolongs one, makes one easier or uses another's.
 * A solution is the challenge, a dot and a decimal number, such that the SHA-256 of the whole text begins with DIFFICULTY zero bits: about 2^DIFFICULTY attempts
 * to find, one to check.
 * That a solution counts once is the caller's to see to: challenge_check() gives the nonce and the expiry.
 * Pure but for the nonce, which is the system's randomness. Threads: any. */
#ifndef FLASHSALE_EDGE_CHALLENGE_H
#define FLASHSALE_EDGE_CHALLENGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/error.h"

#define CHALLENGE_KEY_BYTES 32
#define CHALLENGE_NONCE_BYTES 16
#define CHALLENGE_TEXT_MAX 96  /* with its end */
#define CHALLENGE_COUNTER_MAX 20 /* digits of a solution's number */
#define CHALLENGE_DIFFICULTY_MAX 32

struct challenge_key {
	uint8_t bytes[CHALLENGE_KEY_BYTES];
};
/* From the bytes of a file: gatekeepers with the same file take one another's. */
bool challenge_key_read(const char *path, struct challenge_key *ret, struct error *error);
void challenge_key_random(struct challenge_key *ret);

/* Whom it is for: an account wherever it is, or an account at an address (of IPv6 the /64 counts, hosts change the rest as they like). */
struct challenge_client {
	const char *user_id;
	const struct address *address; /* NULL: wherever */
};

void challenge_make(const struct challenge_key *key, const struct challenge_client *client, unsigned difficulty,
	int64_t expire_s, char ret[CHALLENGE_TEXT_MAX]);

enum challenge_end {
	CHALLENGE_SOLVED,
	CHALLENGE_MALFORMED,
	CHALLENGE_NOT_OURS, /* or another client's, or changed */
	CHALLENGE_EXPIRED,
	CHALLENGE_NOT_SOLVED,
};
struct challenge_solved {
	uint8_t nonce[CHALLENGE_NONCE_BYTES];
	int64_t expire_s;
};
/* *ret is set with CHALLENGE_SOLVED. What is easier than `difficulty` by now does not count any more. */
enum challenge_end challenge_check(const struct challenge_key *key, const struct challenge_client *client,
	unsigned difficulty, const char *solution, size_t size, int64_t now_s, struct challenge_solved *ret);

#endif
