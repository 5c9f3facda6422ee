/* gatekeeper/edge/token.h - JSON Web Tokens of shoppers, operators and the payment side: signature and claims.
 *
 * RS256 and ES256 only, whatever the token's own header asks for; the keys are the PEM files of one folder, read once at start (a reload of nginx reads them
 * again). Claims: `sub` the account (1 to 64 bytes), `exp` (needed), `nbf`, `level` (0 to 1,000; 0 when absent), `scope` (words: "operator", "payment").
 * Threads: none of its own; one user at a time. */
#ifndef FLASHSALE_EDGE_TOKEN_H
#define FLASHSALE_EDGE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define TOKEN_USER_MAX 64
#define TOKEN_BYTES_MAX 4096
#define TOKEN_KEYS_MAX 16

struct token {
	char user_id[TOKEN_USER_MAX + 1];
	int32_t level;
	bool is_operator, is_payment;
	int64_t not_before_s, expires_s; /* since 1970 */
};

struct token_keys;
/* NULL: the folder can't be read, holds no key, or holds what is none. */
struct token_keys *token_keys_new(const char *folder, struct error *error);
void token_keys_free(struct token_keys *keys);

/* False: not signed by any of the keys, or without the claims. Its time is the caller's to look at. */
bool token_verify(const struct token_keys *keys, const char *text, size_t length, struct token *ret);

#endif
