#include <fcntl.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "certificates.h"
#include "discovery/static.h"
#include "rpc/access.h"
#include "rpc/client.h"
#include "rpc/tls.h"
#include "trial.h"

#define SERVER "trial.flashsale.internal"
#define CART "cart.flashsale.internal"

static int make_files(void **state)
{
	if (certificates_begin(state))
		return -1;
	certificate_authority("ours");
	certificate_authority("theirs");
	certificate_make("server", SERVER, "ours");
	certificate_make("cart", CART, "ours");
	return 0;
}

/* ---- a client of gRPC's, which checks nothing of its own ---- */

/* NULL credentials: no TLS. */
static void ask_in_time(int port, grpc_channel_credentials *credentials, const char *text, int deadline_ms,
	struct rpc_status *ret)
{
	Trial__AskRequest request = TRIAL__ASK_REQUEST__INIT;
	struct client client;
	struct client_call call;

	client_open(&client, port, credentials, credentials ? SERVER : NULL);
	request.text = (char *)text;
	client_start(&call, &client, TRIAL "Ask", deadline_ms, NULL);
	client_send_message(&call, &request.base);
	client_half_close(&call);
	client_finish(&call, ret);
	client_close(&client);
}

static void expect_name(int port, const char *file, const char *expected)
{
	struct rpc_status status;

	ask_in_time(port, certificate_channel(file, "ours"), "who am I", CLIENT_WAIT_S * 1000, &status);
	assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
	assert_string_equal(status.field, "peer");
	assert_string_equal(status.message, expected);
}

/* What was logged since the last look; the log goes to a file meanwhile. */
static int log_file = -1;

static bool log_says(const char *text)
{
	static char all[1 << 16];
	ssize_t size = pread(log_file, all, sizeof(all) - 1, 0);

	assert_true(size >= 0);
	all[size] = '\0';
	return strstr(all, text);
}

static void log_begin(void)
{
	char *path = certificate_path("test", "log");

	log_file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(log_file >= 0);
	log_set_descriptor(log_file);
	free(path);
}

static void log_end(void)
{
	log_set_descriptor(2);
	close(log_file);
}

/* No call comes through, and the log says why: one line a second, so that it may take two attempts. */
static void expect_refused(int port, grpc_channel_credentials *(*make)(const char *, const char *),
	const char *file, const char *why)
{
	int64_t end_ns = clock_mono_ns() + CLIENT_WAIT_S * INT64_C(1000000000);
	struct rpc_status status;

	log_begin();
	do {
		ask_in_time(port, make ? make(file, "ours") : NULL, "who am I", 300, &status);
		assert_true(status.code == RPC_UNAVAILABLE || status.code == RPC_DEADLINE_EXCEEDED);
		if (clock_mono_ns() > end_ns)
			fail_msg("%s: never logged '%s'", file, why);
	} while (!log_says(why));
	log_end();
}

static grpc_channel_credentials *without_certificate(const char *file, const char *authority)
{
	char *path = certificate_path(authority, "crt"), text[8192] = "";
	FILE *stream = fopen(path, "re");

	assert_true(fread(text, 1, sizeof(text) - 1, stream) > 0);
	fclose(stream);
	free(path);
	return grpc_ssl_credentials_create(text, NULL, NULL, NULL);
}

static void test_mutual(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);

	expect_name(rpc_server_port(trial->server), "cart", CART);
	assert_int_equal(trial->asks, 1);
	trial_free(trial);
	rpc_tls_free(tls);
}

static void test_strangers(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);
	int port = rpc_server_port(trial->server);

	certificate_make("stranger", CART, "theirs");
	certificate_make_for("expired", CART, "ours", -7200, -3600);
	certificate_make_for("early", CART, "ours", 3600, 7200);
	expect_refused(port, certificate_channel, "stranger", "unable to get local issuer certificate");
	expect_refused(
		port, certificate_channel, "expired", "certificate has expired\",\"certificate\":\"" CART);
	expect_refused(port, certificate_channel, "early", "certificate is not yet valid");
	expect_refused(port, without_certificate, "nobody", "the client has no certificate");
	expect_refused(port, NULL, "plain text", "one side speaks TLS and the other does not");
	assert_int_equal(trial->asks, 0);
	trial_free(trial);
	rpc_tls_free(tls);
}

/* ---- who may call what ---- */

static const struct rpc_access access_table[] = {
	{"Ask", ROLE_CART}, {"AskLater", ROLE_GATEKEEPER}, {"Add", ROLE_GATEKEEPER}, {NULL, 0}};

static void call_as(int port, const char *file, const char *path, struct rpc_status *ret)
{
	struct client client;
	struct client_call call;

	client_open(&client, port, certificate_channel(file, "ours"), SERVER);
	client_start(&call, &client, path, CLIENT_WAIT_S * 1000, NULL);
	client_send(&call, "", 0);
	client_half_close(&call);
	client_receive(&call);
	client_finish(&call, ret);
	client_close(&client);
}

static void expect_allowed(int port, const char *file, const char *path)
{
	struct rpc_status status;

	call_as(port, file, path, &status);
	assert_int_equal(status.code, RPC_OK);
}

static void expect_forbidden(int port, const char *file, const char *path, const char *why)
{
	struct rpc_status status;

	call_as(port, file, path, &status);
	assert_int_equal(status.code, RPC_PERMISSION_DENIED);
	assert_string_equal(status.reason, "FORBIDDEN");
	assert_string_equal(status.message, why);
}

static void test_access(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_restricted("127.0.0.1:0", tls, access_table);
	int port = rpc_server_port(trial->server);

	certificate_make("operator", "operator.flashsale.internal", "ours");
	certificate_make("gatekeeper", "GateKeeper.flashsale.internal", "ours");
	certificate_make("somebody", "cart.flashsale.internal.example.org", "ours");
	certificate_make("unnamed", NULL, "ours");
	certificate_make("both", CART ",DNS:gatekeeper.flashsale.internal", "ours");
	expect_allowed(port, "cart", TRIAL "Ask");
	expect_allowed(port, "gatekeeper", TRIAL "AskLater");
	expect_allowed(port, "gatekeeper", TRIAL "Add");
	expect_allowed(port, "operator", TRIAL "Ask");
	expect_allowed(port, "operator", TRIAL "AskWriter");
	expect_allowed(port, "both", TRIAL "Ask");
	expect_allowed(port, "both", TRIAL "AskLater");
	expect_forbidden(port, "gatekeeper", TRIAL "Ask",
		"the client's certificate is that of gatekeeper; this method is for cart, operator");
	expect_forbidden(port, "cart", TRIAL "Add",
		"the client's certificate is that of cart; this method is for gatekeeper, operator");
	/* no row: operators only; a stream as well */
	expect_forbidden(port, "cart", TRIAL "AskWriter",
		"the client's certificate is that of cart; this method is for operator");
	expect_forbidden(port, "both", TRIAL "Count",
		"the client's certificate is that of cart, gatekeeper; this method is for operator");
	expect_forbidden(port, "somebody", TRIAL "Ask",
		"the client's certificate has no name of this system's; this method is for cart, operator");
	expect_forbidden(port, "unnamed", TRIAL "Ask",
		"the client's certificate has no name of this system's; this method is for cart, operator");
	expect_allowed(port, "unnamed", "/grpc.health.v1.Health/Check");
	expect_allowed(port, "unnamed", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
	trial_free(trial);
	rpc_tls_free(tls);
}

/* ---- files ---- */

/* New files count at the next handshake; broken ones, and half of a new pair, leave the last good ones in use. */
static void test_reload(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);
	int port = rpc_server_port(trial->server);
	char *path = certificate_path("server", "key");
	FILE *file;

	expect_name(port, "cart", CART);
	assert_int_equal(rpc_tls_refresh(tls), 1);
	certificate_authority("more");
	certificate_make("server", "elsewhere.flashsale.internal", "ours");
	expect_refused(port, certificate_channel, "cart", "Peer name " SERVER " is not in peer certificate");
	assert_int_equal(rpc_tls_refresh(tls), 2);
	certificate_make("server", SERVER, "ours");
	expect_name(port, "cart", CART);
	assert_int_equal(rpc_tls_refresh(tls), 3);
	file = fopen(path, "we");
	fputs("-----BEGIN nonsense", file);
	fclose(file);
	expect_name(port, "cart", CART);
	remove(path);
	expect_name(port, "cart", CART);
	assert_int_equal(rpc_tls_refresh(tls), 3);
	certificate_make("server", SERVER, "ours");
	expect_name(port, "cart", CART);
	assert_int_equal(rpc_tls_refresh(tls), 4);
	free(path);
	trial_free(trial);
	rpc_tls_free(tls);
}

static void expect_bad(
	const char *certificate, const char *key, const char *authority, const char *service, const char *why)
{
	struct rpc_tls_files files = {certificate_path(certificate, "crt"), certificate_path(key, "key"),
		certificate_path(authority, "crt")};
	struct error error = {""};

	assert_null(rpc_tls_new(&files, service, &error));
	if (!strstr(error.text, why))
		fail_msg("expected '%s' in: %s", why, error.text);
	certificate_files_release(&files);
}

static void test_files_that_are_not_good(void **state)
{
	char *path = certificate_path("locked", "key");
	FILE *file = fopen(path, "we");
	EVP_PKEY *key = EVP_EC_gen("P-256");

	PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), (const unsigned char *)"secret", 6, NULL, NULL);
	fclose(file);
	EVP_PKEY_free(key);
	free(path);
	certificate_make_for("expired", CART, "ours", -7200, -3600);
	expect_bad("nobody", "cart", "ours", NULL, "nobody.crt: No such file");
	expect_bad("cart", "nobody", "ours", NULL, "nobody.key: No such file");
	expect_bad("cart", "cart", "nobody", NULL, "nobody.crt: No such file");
	expect_bad("cart", "server", "ours", NULL, "server.key is not the key of");
	expect_bad("cart", "locked", "ours", NULL, "locked.key: no private key in it that can be read");
	expect_bad("cart", "cart", "theirs", NULL, "cart.crt: unable to get local issuer certificate");
	expect_bad("expired", "expired", "ours", NULL, "expired.crt: certificate has expired");
	expect_bad("cart", "cart", "ours", "inventory", "is not made out to inventory.flashsale.internal");
}

static void test_half_of_the_settings(void **state)
{
	struct error error = {""};

	assert_true(rpc_tls_complete(&(struct rpc_tls_files){0}, "--tls-", &error));
	assert_true(rpc_tls_complete(&(struct rpc_tls_files){"a", "b", "c"}, "--tls-", &error));
	assert_false(rpc_tls_complete(&(struct rpc_tls_files){"a", "b", NULL}, "--tls-", &error));
	assert_string_equal(
		error.text, "--tls-key is set and --tls-ca is not: TLS needs all three of them, or none");
	assert_false(rpc_tls_complete(&(struct rpc_tls_files){NULL, NULL, "c"}, "--tls-", &error));
	assert_string_equal(
		error.text, "--tls-ca is set and --tls-key is not: TLS needs all three of them, or none");
}

/* ---- a pool: the same files, the instances from a list ---- */

struct pooled {
	struct rpc_task task;
	struct rpc_request request;
	struct rpc_pool *pool;
	struct arena arena;
	sem_t done;
};

static void pooled_done(struct rpc_request *request)
{
	sem_post(&container_of(request, struct pooled, request)->done);
}

static void pooled_start(struct rpc_task *task)
{
	struct pooled *pooled = container_of(task, struct pooled, task);

	rpc_request_start(pooled->pool, &pooled->request);
}

static void ask_through(struct rpc_loop *loop, struct rpc_pool *pool, struct rpc_status *ret)
{
	Trial__AskRequest input = TRIAL__ASK_REQUEST__INIT;
	struct pooled pooled = {.task.run = pooled_start, .pool = pool};

	input.text = (char *)"who am I";
	arena_init(&pooled.arena, 1024, 65536);
	sem_init(&pooled.done, 0, 0);
	pooled.request = (struct rpc_request){
		.service = &trial__trial__descriptor,
		.method = protobuf_c_service_descriptor_get_method_by_name(&trial__trial__descriptor, "Ask"),
		.input = &input.base,
		.shard = RPC_ANY_SHARD,
		.deadline_ns = clock_mono_ns() + INT64_C(5000000000),
		.arena = &pooled.arena,
		.done = pooled_done,
	};
	rpc_post(loop, &pooled.task);
	while (sem_wait(&pooled.done))
		;
	*ret = pooled.request.status;
	arena_release(&pooled.arena);
	sem_destroy(&pooled.done);
}

struct side {
	struct rpc_tls *tls;
	struct rpc_loop *loop;
	struct discovery *discovery;
	struct rpc_pool *pool;
};

static void side_open(struct side *side, int port, const struct rpc_tls_files *files)
{
	char *path = certificate_path("list", "txt");
	FILE *list = fopen(path, "we");

	fprintf(list, "trial 127.0.0.1:%d\n", port);
	fclose(list);
	side->tls = rpc_tls_new(files, NULL, NULL);
	assert_non_null(side->tls);
	side->loop = rpc_loop_new("client");
	side->discovery = discovery_static_new(path, NULL);
	side->pool = rpc_pool_new(side->loop, side->discovery, "trial", side->tls);
	free(path);
}

static void side_close(struct side *side)
{
	rpc_pool_free(side->pool);
	discovery_free(side->discovery);
	rpc_loop_free(side->loop);
	rpc_tls_free(side->tls);
}

/* A first connection takes as long as it takes; a call waits for it for a moment only. */
static void await_first(struct side *side, struct rpc_status *ret)
{
	int64_t end_ns = clock_mono_ns() + CLIENT_WAIT_S * INT64_C(1000000000);

	do {
		ask_through(side->loop, side->pool, ret);
		assert_true(clock_mono_ns() < end_ns);
	} while (ret->code == RPC_UNAVAILABLE);
}

/* Certificates are renewed on both sides, time and again, while calls go on: each call succeeds, and in the end the new ones are in use. */
static void test_pool_renews(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);
	struct rpc_tls_files files = certificate_files("moving", "ours");
	struct side side;
	struct rpc_status status;
	const char *const names[] = {CART, "policy.flashsale.internal", "protector.flashsale.internal"};

	certificate_make("moving", CART, "ours");
	side_open(&side, rpc_server_port(trial->server), &files);
	certificate_files_release(&files);
	await_first(&side, &status);
	for (int i = 1; i < 3; i++) {
		int64_t end_ns = clock_mono_ns() + CLIENT_WAIT_S * INT64_C(1000000000);

		ask_through(side.loop, side.pool, &status);
		assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
		assert_string_equal(status.message, names[i - 1]);
		certificate_make("server", SERVER, "ours");
		certificate_make("moving", names[i], "ours");
		while (strcmp(status.message, names[i])) {
			ask_through(side.loop, side.pool, &status);
			assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
			assert_true(clock_mono_ns() < end_ns);
		}
	}
	side_close(&side);
	trial_free(trial);
	rpc_tls_free(tls);
}

static void append_file(const char *from, const char *to)
{
	char *source = certificate_path(from, "crt"), *target = certificate_path(to, "crt"), text[8192];
	FILE *in = fopen(source, "re"), *out = fopen(target, "ae");
	size_t size = fread(text, 1, sizeof(text), in);

	assert_int_equal(fwrite(text, 1, size, out), size);
	fclose(in);
	fclose(out);
	free(source);
	free(target);
}

/* New certificates that the other side does not take: the old connection goes on. */
static void test_pool_keeps_what_works(void **state)
{
	struct rpc_tls *tls = certificate_tls("server", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);
	int64_t end_ns = clock_mono_ns() + CLIENT_WAIT_S * INT64_C(1000000000);
	struct rpc_tls_files files = certificate_files("moving", "both");
	struct side side;
	struct rpc_status status;

	append_file("ours", "both");
	append_file("theirs", "both");
	certificate_make("moving", CART, "ours");
	side_open(&side, rpc_server_port(trial->server), &files);
	await_first(&side, &status);
	certificate_make("moving", "policy.flashsale.internal", "theirs");
	log_begin();
	while (!log_says("the other's certificate is not good")) {
		ask_through(side.loop, side.pool, &status);
		assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
		assert_true(clock_mono_ns() < end_ns);
	}
	for (int i = 0; i < 100; i++) {
		ask_through(side.loop, side.pool, &status);
		assert_int_equal(status.code, RPC_INVALID_ARGUMENT);
		assert_string_equal(status.message, CART);
	}
	log_end();
	certificate_files_release(&files);
	side_close(&side);
	trial_free(trial);
	rpc_tls_free(tls);
}

/* Who has another service's certificate is not the service that was looked for. */
static void test_pool_wants_the_name(void **state)
{
	struct rpc_tls_files files = certificate_files("cart", "ours");
	struct rpc_tls *tls;
	struct trial *trial;
	struct side side;
	struct rpc_status status;

	certificate_make("other", "policy.flashsale.internal", "ours");
	tls = certificate_tls("other", "ours");
	trial = trial_new_at(&trial_limits, "127.0.0.1:0", tls);
	side_open(&side, rpc_server_port(trial->server), &files);
	certificate_files_release(&files);
	for (int i = 0; i < 5; i++) {
		ask_through(side.loop, side.pool, &status);
		assert_int_equal(status.code, RPC_UNAVAILABLE);
	}
	assert_int_equal(trial->asks, 0);
	side_close(&side);
	trial_free(trial);
	rpc_tls_free(tls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutual),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_access),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_files_that_are_not_good),
		cmocka_unit_test(test_half_of_the_settings),
		cmocka_unit_test(test_pool_renews),
		cmocka_unit_test(test_pool_keeps_what_works),
		cmocka_unit_test(test_pool_wants_the_name),
	};

	return cmocka_run_group_tests(tests, make_files, certificates_end);
}
