#include "gatekeeper/edge/identity.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/memory.h"
#include "gatekeeper/edge/token.h"

#define BEARER "Bearer "
/* Verified tokens that are remembered; each has one place, by its hash, and the newest keeps it. */
#define CACHE_PLACES 16384

struct remembered {
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct token token; /* user_id "": nothing here */
};

struct identifier {
	struct identity_options options;
	struct token_keys *keys;  /* NULL in demo mode */
	struct remembered *cache; /* the same */
};

struct identifier *identifier_new(const struct identity_options *options, struct error *error)
{
	struct token_keys *keys = NULL;
	struct identifier *identifier;

	if (!options->demo && !options->keys_folder) {
		error_set(error, "without demo mode the folder with the keys of the tokens is needed");
		return NULL;
	}
	if (!options->demo) {
		keys = token_keys_new(options->keys_folder, error);
		if (!keys)
			return NULL;
	}
	identifier = NEW(struct identifier);
	identifier->options = *options;
	identifier->keys = keys;
	identifier->cache = keys ? NEW_ARRAY(CACHE_PLACES, struct remembered) : NULL;
	return identifier;
}

void identifier_free(struct identifier *identifier)
{
	if (!identifier)
		return;
	token_keys_free(identifier->keys);
	free(identifier->cache);
	free(identifier);
}

static bool out_of_memory(struct problem *problem)
{
	problem_from_reason(problem, COMMON__REASON__REASON_OVERLOADED, "the request needs too much memory");
	return false;
}

static bool forbid(struct problem *problem, const char *why)
{
	problem_from_reason(problem, COMMON__REASON__REASON_FORBIDDEN, "%s", why);
	return false;
}

static bool unauthenticated(struct problem *problem, const char *why)
{
	problem_from_reason(problem, COMMON__REASON__REASON_UNAUTHENTICATED, "%s", why);
	return false;
}

static const char **text_slot(const struct json_field *field, const struct identity_request *request)
{
	return json_field_value(field, request->message);
}

/* A peer without an address (a local socket) stays without one. */
static bool set_peer(const struct identity_request *request, struct arena *arena, struct problem *ret_problem)
{
	const struct edge_slice ip = request->in->client_ip;
	struct address address;
	const char *text = "";

	if (ip.data && address_parse(ip.data, ip.size, &address))
		text = arena_text(arena, ip.data, ip.size);
	if (text)
		*text_slot(request->client_ip, request) = text;
	return text || out_of_memory(ret_problem);
}

/* ---- demo mode ---- */

static bool admit_anybody(
	const struct identity_request *request, struct arena *arena, struct problem *ret_problem)
{
	if (request->access != OPTIONS__ACCESS__ACCESS_SHOPPER || !request->client_ip ||
		(*text_slot(request->client_ip, request))[0])
		return true;
	return set_peer(request, arena, ret_problem);
}

/* ---- tokens ---- */

static bool find_token(struct identifier *identifier, struct edge_slice text, const struct token **ret)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct remembered *place;
	struct token token;
	uint32_t index;

	SHA256((const unsigned char *)text.data, text.size, hash);
	memcpy(&index, hash, sizeof(index));
	place = &identifier->cache[index % CACHE_PLACES];
	*ret = &place->token;
	if (place->token.user_id[0] && memcmp(place->hash, hash, sizeof(hash)) == 0)
		return true;
	if (!token_verify(identifier->keys, text.data, text.size, &token))
		return false;
	memcpy(place->hash, hash, sizeof(hash));
	place->token = token;
	return true;
}

/* NULL: *ret_problem says why. The token is the cache's, until the next one. */
static const struct token *authenticate(
	struct identifier *identifier, const struct edge_input *in, struct problem *ret_problem)
{
	const size_t prefix = sizeof(BEARER) - 1;
	const int64_t now_s = clock_wall_ms(identifier->options.clock) / 1000;
	struct edge_slice text = in->authorization;
	const struct token *token;

	if (text.size <= prefix || strncasecmp(text.data, BEARER, prefix) != 0) {
		unauthenticated(ret_problem, "the header Authorization with a Bearer token is missing");
		return NULL;
	}
	text.data += prefix;
	text.size -= prefix;
	if (!find_token(identifier, text, &token))
		unauthenticated(ret_problem, "the token is not one that is accepted here");
	else if (now_s >= token->expires_s)
		unauthenticated(ret_problem, "the token has expired");
	else if (now_s < token->not_before_s)
		unauthenticated(ret_problem, "the token is not valid yet");
	else
		return token;
	return NULL;
}

static bool set_user(const struct identity_request *request, const struct token *token, struct arena *arena,
	struct problem *ret_problem)
{
	const char **slot = text_slot(request->user_id, request);

	if ((*slot)[0])
		return strcmp(*slot, token->user_id) == 0 ||
		       forbid(ret_problem, "the token is another account's");
	*slot = arena_text(arena, token->user_id, strlen(token->user_id));
	if (!*slot)
		*slot = "";
	return (*slot)[0] || out_of_memory(ret_problem);
}

static bool set_level(
	const struct identity_request *request, const struct token *token, struct problem *ret_problem)
{
	int32_t *slot = json_field_value(request->user_level, request->message);

	if (*slot && *slot != token->level)
		return forbid(ret_problem, "the token is of another level");
	*slot = token->level;
	return true;
}

static bool admit_shopper(const struct identity_request *request, const struct token *token,
	struct arena *arena, struct problem *ret_problem)
{
	return (!request->user_id || set_user(request, token, arena, ret_problem)) &&
	       (!request->user_level || set_level(request, token, ret_problem)) &&
	       (!request->client_ip || set_peer(request, arena, ret_problem));
}

static bool admit_token(const struct identity_request *request, const struct token *token,
	struct arena *arena, struct problem *ret_problem)
{
	switch (request->access) {
	case OPTIONS__ACCESS__ACCESS_SHOPPER:
		return admit_shopper(request, token, arena, ret_problem);
	case OPTIONS__ACCESS__ACCESS_OPERATOR:
		return token->is_operator || forbid(ret_problem, "the token lacks the scope operator");
	case OPTIONS__ACCESS__ACCESS_PAYMENT:
		return token->is_payment || forbid(ret_problem, "the token lacks the scope payment");
	default:
		return forbid(ret_problem, "nobody may do this");
	}
}

bool identity_admit(struct identifier *identifier, const struct identity_request *request,
	struct arena *arena, struct problem *ret_problem)
{
	const struct token *token;

	if (identifier->options.demo)
		return admit_anybody(request, arena, ret_problem);
	if (request->access == OPTIONS__ACCESS__ACCESS_PUBLIC)
		return true;
	token = authenticate(identifier, request->in, ret_problem);
	return token && admit_token(request, token, arena, ret_problem);
}
