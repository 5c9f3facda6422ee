/* Who may ask what: demo mode, and tokens made with keys of the test's own. */
#include "ask.h"

#include <jwt.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "gatekeeper/edge/identity.h"

#define NOW_S 1000000

static struct clock_manual clock_now;
static struct identifier *identifier;
static char folder[] = "/tmp/flashsale-keys-XXXXXX";
static char *rsa_private, *ec_private, *stranger_private, *rsa_public;

/* ---- keys ---- */

static char *pem_of(EVP_PKEY *key, bool private)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text;
	long size;

	assert_int_equal(private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
				 : PEM_write_bio_PUBKEY(bio, key),
		1);
	size = BIO_get_mem_data(bio, &data);
	text = memory_format("%.*s", (int)size, data);
	BIO_free(bio);
	return text;
}

static void write_key(const char *name, const char *text)
{
	char *path = memory_format("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	free(path);
}

static void remove_key(const char *name)
{
	char *path = memory_format("%s/%s", folder, name);

	unlink(path);
	free(path);
}

/* Its public half goes into the folder unless `name` is NULL. */
static char *make_key(EVP_PKEY *key, const char *name, char **ret_public)
{
	char *public = pem_of(key, false), *private = pem_of(key, true);

	if (name)
		write_key(name, public);
	if (ret_public)
		*ret_public = public;
	else
		free(public);
	EVP_PKEY_free(key);
	return private;
}

static int setup(void **state)
{
	clock_manual_init(&clock_now, NOW_S * INT64_C(1000), 0);
	assert_non_null(mkdtemp(folder));
	rsa_private = make_key(EVP_RSA_gen(2048), "shop.pem", &rsa_public);
	ec_private = make_key(EVP_EC_gen("P-256"), "staff.pem", NULL);
	stranger_private = make_key(EVP_RSA_gen(2048), NULL, NULL);
	return fixture_setup(state);
}

static int teardown(void **state)
{
	remove_key("shop.pem");
	remove_key("staff.pem");
	rmdir(folder);
	free(rsa_private);
	free(ec_private);
	free(stranger_private);
	free(rsa_public);
	return fixture_teardown(state);
}

static int with_tokens(void **state)
{
	struct error error;

	identifier = identifier_new(
		&(struct identity_options){.keys_folder = folder, .clock = &clock_now.base}, &error);
	return identifier ? 0 : -1;
}

static int with_demo(void **state)
{
	identifier = identifier_new(&(struct identity_options){.demo = true, .clock = &clock_now.base}, NULL);
	return 0;
}

static int release(void **state)
{
	identifier_free(identifier);
	return 0;
}

/* ---- tokens ---- */

struct claims {
	const char *sub, *scope;
	int64_t exp_s, nbf_s, level; /* exp_s 0: an hour from now; -1: none */
};

static char *token_with(jwt_alg_t algorithm, const char *key, struct claims claims)
{
	char *encoded, *header;
	jwt_t *jwt;

	assert_int_equal(jwt_new(&jwt), 0);
	if (claims.sub)
		jwt_add_grant(jwt, "sub", claims.sub);
	if (claims.scope)
		jwt_add_grant(jwt, "scope", claims.scope);
	if (claims.exp_s >= 0)
		jwt_add_grant_int(jwt, "exp", claims.exp_s ? claims.exp_s : NOW_S + 3600);
	if (claims.nbf_s)
		jwt_add_grant_int(jwt, "nbf", claims.nbf_s);
	if (claims.level)
		jwt_add_grant_int(jwt, "level", claims.level);
	assert_int_equal(
		jwt_set_alg(jwt, algorithm, (const unsigned char *)key, key ? (int)strlen(key) : 0), 0);
	encoded = jwt_encode_str(jwt);
	assert_non_null(encoded);
	header = memory_format("Bearer %s", encoded);
	free(encoded);
	jwt_free(jwt);
	return header;
}

/* The message as admitted; NULL: fixture.problem. */
static void *admit(const char *method, const char *path, const char *body, const char *authorization)
{
	const struct edge_input in = {
		.authorization = {authorization, authorization ? strlen(authorization) : 0},
		.client_ip = {"192.0.2.9", 9},
	};
	ProtobufCMessage *message = ask(method, path, body);
	const struct shape_method *of = fixture.match.route->method;
	struct identity_request request = {
		.in = &in,
		.access = of->access,
		.message = message,
		.user_id = json_shape_field(of->input, "user_id"),
		.user_level = json_shape_field(of->input, "user_level"),
		.client_ip = json_shape_field(of->input, "client_ip"),
	};

	assert_non_null(message);
	return identity_admit(identifier, &request, &fixture.arena, &fixture.problem) ? message : NULL;
}

static Gatekeeper__BuyRequest *buy_with(char *authorization, const char *who)
{
	char *body = memory_format("{%s\"goodsSKU\":\"A\",\"goodsQuantity\":1}", who);
	void *message = admit("POST", "/v1/buy", body, authorization);

	free(authorization);
	free(body);
	return message;
}

static void assert_refused(const void *message, Common__Reason reason)
{
	assert_null(message);
	assert_int_equal(fixture.problem.reason->value, reason);
	assert_true(fixture.problem.detail[0]);
}

#define UNAUTHENTICATED COMMON__REASON__REASON_UNAUTHENTICATED
#define FORBIDDEN COMMON__REASON__REASON_FORBIDDEN
#define RSA_TOKEN(...) token_with(JWT_ALG_RS256, rsa_private, (struct claims){__VA_ARGS__})

static void test_a_token_says_who_it_is(void **state)
{
	Gatekeeper__BuyRequest *buy =
		buy_with(RSA_TOKEN(.sub = "ann", .level = 5), "\"clientIP\":\"10.0.0.1\",");

	assert_non_null(buy);
	assert_string_equal(buy->user_id, "ann");
	assert_int_equal(buy->user_level, 5);
	assert_string_equal(buy->client_ip, "192.0.2.9");
	buy = buy_with(token_with(JWT_ALG_ES256, ec_private, (struct claims){.sub = "bob"}), "");
	assert_non_null(buy);
	assert_string_equal(buy->user_id, "bob");
	assert_int_equal(buy->user_level, 0);
	assert_non_null(buy_with(RSA_TOKEN(.sub = "ann", .level = 5), "\"userID\":\"ann\",\"userLevel\":5,"));
}

static void test_another_identity_is_forbidden(void **state)
{
	assert_refused(buy_with(RSA_TOKEN(.sub = "ann"), "\"userID\":\"bob\","), FORBIDDEN);
	assert_refused(buy_with(RSA_TOKEN(.sub = "ann", .level = 5), "\"userLevel\":6,"), FORBIDDEN);
	for (int i = 0; i < 2; i++) {
		char *token = RSA_TOKEN(.sub = "ann");

		assert_refused(admit("GET", "/cart/all/userid/bob", NULL, token), FORBIDDEN);
		assert_non_null(admit("GET", "/cart/all/userid/ann", NULL, token));
		free(token);
	}
}

static void test_scopes(void **state)
{
	char *shopper = RSA_TOKEN(.sub = "ann"),
	     *other = RSA_TOKEN(.sub = "ann", .scope = "operators payment"),
	     *staff = RSA_TOKEN(.sub = "op", .scope = "payment operator");

	assert_refused(admit("GET", "/badguy/all", NULL, shopper), FORBIDDEN);
	assert_refused(admit("GET", "/badguy/all", NULL, other), FORBIDDEN);
	assert_refused(admit("GET", "/badguy/all", NULL, NULL), UNAUTHENTICATED);
	assert_non_null(admit("GET", "/badguy/all", NULL, staff));
	assert_non_null(admit("GET", "/badguy/userid/ann", NULL, staff));
	assert_non_null(admit("GET", "/all", NULL, NULL));
	free(shopper);
	free(other);
	free(staff);
}

static void test_tokens_that_count_for_nothing(void **state)
{
	char *long_name = memory_format("%065d", 0);
	char *broken = RSA_TOKEN(.sub = "ann"), *large = memory_format("Bearer %05000d", 0);

	broken[strlen(broken) - 5] ^= 1;
	assert_refused(buy_with(NULL, ""), UNAUTHENTICATED);
	assert_refused(buy_with(memory_format("Basic abc"), ""), UNAUTHENTICATED);
	assert_refused(buy_with(memory_format("Bearer "), ""), UNAUTHENTICATED);
	assert_refused(buy_with(memory_format("Bearer a.b.c"), ""), UNAUTHENTICATED);
	assert_refused(buy_with(large, ""), UNAUTHENTICATED);
	assert_refused(buy_with(broken, ""), UNAUTHENTICATED);
	assert_refused(
		buy_with(token_with(JWT_ALG_RS256, stranger_private, (struct claims){.sub = "ann"}), ""),
		UNAUTHENTICATED);
	assert_refused(
		buy_with(token_with(JWT_ALG_NONE, NULL, (struct claims){.sub = "ann"}), ""), UNAUTHENTICATED);
	/* The public key is public: it is no shared secret. */
	assert_refused(buy_with(token_with(JWT_ALG_HS256, rsa_public, (struct claims){.sub = "ann"}), ""),
		UNAUTHENTICATED);
	assert_refused(buy_with(token_with(JWT_ALG_RS512, rsa_private, (struct claims){.sub = "ann"}), ""),
		UNAUTHENTICATED);
	assert_refused(buy_with(RSA_TOKEN(.sub = NULL), ""), UNAUTHENTICATED);
	assert_refused(buy_with(RSA_TOKEN(.sub = ""), ""), UNAUTHENTICATED);
	assert_refused(buy_with(RSA_TOKEN(.sub = long_name), ""), UNAUTHENTICATED);
	assert_refused(buy_with(RSA_TOKEN(.sub = "ann", .exp_s = -1), ""), UNAUTHENTICATED);
	assert_refused(buy_with(RSA_TOKEN(.sub = "ann", .level = 1001), ""), UNAUTHENTICATED);
	free(long_name);
}

/* Remembered or not: its time is looked at each time. */
static void test_tokens_have_a_time(void **state)
{
	char *token = RSA_TOKEN(.sub = "ann", .exp_s = NOW_S + 10, .nbf_s = NOW_S - 10);

	assert_non_null(buy_with(memory_copy_text(token), ""));
	clock_manual_jump_wall(&clock_now, 9999);
	assert_non_null(buy_with(memory_copy_text(token), ""));
	clock_manual_jump_wall(&clock_now, 1);
	assert_refused(buy_with(memory_copy_text(token), ""), UNAUTHENTICATED);
	clock_manual_jump_wall(&clock_now, -20001);
	assert_refused(buy_with(memory_copy_text(token), ""), UNAUTHENTICATED);
	clock_manual_jump_wall(&clock_now, 10001);
	free(token);
}

static void test_demo_mode_believes(void **state)
{
	Gatekeeper__BuyRequest *buy = buy_with(NULL, "\"userID\":\"ann\",\"userLevel\":7,");

	assert_string_equal(buy->user_id, "ann");
	assert_int_equal(buy->user_level, 7);
	assert_string_equal(buy->client_ip, "192.0.2.9");
	buy = buy_with(NULL, "\"userID\":\"ann\",\"clientIP\":\"10.0.0.1\",");
	assert_string_equal(buy->client_ip, "10.0.0.1");
	assert_non_null(admit("GET", "/badguy/all", NULL, NULL));
}

static void test_keys_that_are_none(void **state)
{
	struct identity_options options = {.clock = &clock_now.base};
	struct error error;

	assert_null(identifier_new(&options, &error));
	options.keys_folder = "/tmp/no-such-folder";
	assert_null(identifier_new(&options, &error));
	assert_non_null(strstr(error.text, "/tmp/no-such-folder"));
	options.keys_folder = folder;
	write_key("bad.pem", "not a key\n");
	assert_null(identifier_new(&options, &error));
	assert_non_null(strstr(error.text, "bad.pem"));
	write_key("bad.pem", rsa_private);
	assert_null(identifier_new(&options, &error));
	remove_key("bad.pem");
}

int main(void)
{
#define TOKENS(name) cmocka_unit_test_setup_teardown(name, with_tokens, release)
	const struct CMUnitTest tests[] = {
		TOKENS(test_a_token_says_who_it_is),
		TOKENS(test_another_identity_is_forbidden),
		TOKENS(test_scopes),
		TOKENS(test_tokens_that_count_for_nothing),
		TOKENS(test_tokens_have_a_time),
		cmocka_unit_test_setup_teardown(test_demo_mode_believes, with_demo, release),
		cmocka_unit_test(test_keys_that_are_none),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
