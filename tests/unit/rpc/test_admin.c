#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/metrics.h"
#include "rpc/admin.h"

static bool serving;

static bool healthy(void *context)
{
	return *(bool *)context;
}

static void get(int port, const char *request, char *answer, size_t size)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t length = 0;
	ssize_t got;

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	dprintf(fd, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", request);
	while (length < size - 1 && (got = read(fd, answer + length, size - 1 - length)) > 0)
		length += (size_t)got;
	answer[length] = 0;
	close(fd);
}

static void expect(int port, const char *request, const char *status, const char *text)
{
	static char answer[256 * 1024];

	get(port, request, answer, sizeof(answer));
	assert_int_equal(strncmp(answer, status, strlen(status)), 0);
	assert_non_null(strstr(answer, text));
}

static void test_pages(void **state)
{
	static struct metric metric = {
		.kind = METRIC_COUNTER, .name = "flashsale_test_total", .help = "A test."};
	struct error error = {""};
	struct admin *admin = admin_new("127.0.0.1:0", healthy, &serving, &error);
	int port;

	assert_non_null(admin);
	port = admin_port(admin);
	metrics_register(&metric);
	metric_add(&metric, 7);
	expect(port, "GET /metrics", "HTTP/1.1 200", "flashsale_test_total 7\n");
	expect(port, "GET /metrics", "HTTP/1.1 200", "text/plain; version=0.0.4");
	expect(port, "GET /livez", "HTTP/1.1 200", "alive");
	serving = false;
	expect(port, "GET /healthz", "HTTP/1.1 503", "not serving");
	serving = true;
	expect(port, "GET /healthz", "HTTP/1.1 200", "serving");
	expect(port, "HEAD /healthz", "HTTP/1.1 200", "\r\n\r\n");
	expect(port, "GET /other", "HTTP/1.1 404", "/metrics");
	expect(port, "POST /metrics", "HTTP/1.1 405", "Allow: GET, HEAD");
	metrics_unregister(&metric);
	admin_free(admin);
}

static void test_can_not_listen(void **state)
{
	struct error error = {""};
	struct admin *admin = admin_new("127.0.0.1:0", healthy, &serving, &error);
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%d", admin_port(admin));
	assert_null(admin_new(address, healthy, &serving, &error));
	assert_non_null(strstr(error.text, address));
	assert_non_null(strstr(error.text, "in use"));
	assert_null(admin_new("nowhere", healthy, &serving, &error));
	assert_non_null(strstr(error.text, "host:port"));
	admin_free(admin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_can_not_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
