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
#include "base/memory.h"
#include "discovery/static.h"
#include "rpc/client.h"
#include "rpc/tls.h"
#include "trial.h"

static char directory[64];

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
	char command[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	assert_int_equal(system(command), 0);
}

/* `file`.crt and .key in the name of `name`, signed by `by`. */
static void make_certificate(const char *file, const char *name, const char *by)
{
	run("cd %s && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key -subj "
	    "/CN=%s "
	    "-out %s.csr 2>/dev/null",
		directory, file, name, file);
	run("cd %s && printf 'subjectAltName=DNS:%s' > %s.ext && openssl x509 -req -in %s.csr -CA %s.crt "
	    "-CAkey %s.key "
	    "-CAcreateserial -days 2 -extfile %s.ext -out %s.crt 2>/dev/null",
		directory, name, file, file, by, by, file, file);
}

static void make_authority(const char *file)
{
	run("cd %s && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s.key "
	    "-out %s.crt "
	    "-subj /CN=%s -days 2 2>/dev/null",
		directory, file, file, file);
}

static char *path_of(const char *file, const char *end)
{
	return memory_format("%s/%s.%s", directory, file, end);
}

static struct rpc_tls tls_of(const char *file, const char *authority)
{
	return (struct rpc_tls){
		path_of(file, "crt"), path_of(file, "key"), path_of(authority, "crt"), "inventory"};
}

static void tls_release(struct rpc_tls *tls)
{
	free((char *)tls->certificate);
	free((char *)tls->key);
	free((char *)tls->authority);
}

static int make_files(void **state)
{
	strcpy(directory, "/tmp/flashsale-tls-XXXXXX");
	assert_non_null(mkdtemp(directory));
	make_authority("ours");
	make_authority("theirs");
	make_certificate("server", "inventory", "ours");
	make_certificate("client", "cart", "ours");
	make_certificate("stranger", "cart", "theirs");
	return 0;
}

static int remove_files(void **state)
{
	run("rm -r %s", directory);
	return 0;
}

/* The name that the server saw, or "" when the call did not come that far. */
static enum rpc_code ask_in_time(int port, struct rpc_tls *tls, char *ret_name, int deadline_ms)
{
	Trial__AskRequest request = TRIAL__ASK_REQUEST__INIT;
	struct error error = {""};
	struct client client;
	struct client_call call;
	struct rpc_status status;

	client_open(&client, port, tls ? rpc_tls_channel(tls, &error) : NULL, tls ? tls->name : NULL);
	request.text = (char *)"who am I";
	client_start(&call, &client, TRIAL "Ask", deadline_ms, NULL);
	client_send_message(&call, &request.base);
	client_half_close(&call);
	client_finish(&call, &status);
	client_close(&client);
	strcpy(ret_name, !strcmp(status.field, "peer") ? status.message : "");
	return status.code;
}

static void expect_name(int port, struct rpc_tls *tls, const char *expected)
{
	char name[256];

	assert_int_equal(ask_in_time(port, tls, name, CLIENT_WAIT_S * 1000), RPC_INVALID_ARGUMENT);
	assert_string_equal(name, expected);
}

static void expect_refused(int port, struct rpc_tls *tls)
{
	char name[256];

	assert_int_not_equal(ask_in_time(port, tls, name, 700), RPC_INVALID_ARGUMENT);
	assert_string_equal(name, "");
}

static void test_mutual(void **state)
{
	struct rpc_tls server = tls_of("server", "ours"), client = tls_of("client", "ours");
	struct rpc_tls stranger = tls_of("stranger", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", &server);
	int port = rpc_server_port(trial->server);

	expect_name(port, &client, "cart");
	expect_refused(port, &stranger); /* another authority signed it */
	expect_refused(port, NULL);	 /* no TLS at all */
	assert_int_equal(trial->asks, 1);
	trial_free(trial);
	tls_release(&server);
	tls_release(&client);
	tls_release(&stranger);
}

/* New files count at the next handshake; broken ones leave the last good ones in use. */
static void test_reload(void **state)
{
	struct rpc_tls server = tls_of("server", "ours"), client = tls_of("client", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", &server);
	int port = rpc_server_port(trial->server);

	expect_name(port, &client, "cart");
	make_certificate("server", "moved", "ours");
	expect_refused(port, &client);
	client.name = "moved";
	expect_name(port, &client, "cart");
	run("echo broken > %s/server.crt", directory);
	expect_name(port, &client, "cart");
	make_certificate("server", "inventory", "ours");
	trial_free(trial);
	tls_release(&server);
	tls_release(&client);
}

static void test_files_that_are_not_there(void **state)
{
	struct rpc_tls tls = tls_of("nobody", "ours");
	struct error error = {""};

	grpc_init();
	assert_null(rpc_tls_server(&tls, &error));
	assert_non_null(strstr(error.text, "nobody.crt"));
	assert_null(rpc_tls_channel(&tls, &error));
	tls_release(&tls);
	grpc_shutdown();
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
		.deadline_ns = clock_mono_ns() + INT64_C(1000000000),
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

/* Certificates that come later than the list: nothing leaves before them, and then the server sees our name. */
static void test_pool(void **state)
{
	struct rpc_tls server = tls_of("server", "ours"), late = tls_of("late", "ours");
	struct trial *trial = trial_new_at(&trial_limits, "127.0.0.1:0", &server);
	struct rpc_loop *loop = rpc_loop_new("client");
	struct discovery *discovery;
	struct rpc_pool *pool;
	struct rpc_status status;
	char list[80];

	snprintf(list, sizeof(list), "%s/list", directory);
	run("echo trial 127.0.0.1:%d > %s", rpc_server_port(trial->server), list);
	discovery = discovery_static_new(list, NULL);
	pool = rpc_pool_new(loop, discovery, "trial", &late);
	ask_through(loop, pool, &status);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	make_certificate("late", "cart", "ours");
	for (int i = 0; status.code != RPC_INVALID_ARGUMENT; i++) {
		assert_true(i < CLIENT_WAIT_S * 1000);
		usleep(1000);
		ask_through(loop, pool, &status);
	}
	assert_string_equal(status.field, "peer");
	assert_string_equal(status.message, "cart");
	rpc_pool_free(pool);
	discovery_free(discovery);
	rpc_loop_free(loop);
	trial_free(trial);
	tls_release(&server);
	tls_release(&late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutual),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_files_that_are_not_there),
		cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
