/* The environment of every Consul tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "discovery/consul_options.h"

static const char *names[8], *values[8];

static char *get(const char *name)
{
	for (size_t i = 0; i < 8 && names[i]; i++)
		if (!strcmp(names[i], name))
			return (char *)(uintptr_t)values[i];
	return NULL;
}

/* NAME, VALUE, ..., NULL */
static void set(const char *name, ...)
{
	va_list rest;
	size_t count = 0;

	va_start(rest, name);
	for (; name; name = va_arg(rest, const char *)) {
		names[count] = name;
		values[count++] = va_arg(rest, const char *);
	}
	va_end(rest);
	names[count] = NULL;
}

static struct consul_options options;
static struct error error;

static void expect_base(const char *base)
{
	if (!consul_options_read(&options, get, "flashsale", &error))
		fail_msg("%s", error.text);
	assert_string_equal(options.base, base);
	consul_options_release(&options);
}

static void expect_refusal(const char *words)
{
	assert_false(consul_options_read(&options, get, "flashsale", &error));
	if (!strstr(error.text, words))
		fail_msg("'%s' does not say '%s'", error.text, words);
}

static void addresses(void **state)
{
	static const char *const rows[][3] = {
		/* CONSUL_HTTP_ADDR, CONSUL_HTTP_SSL, base */
		{"", "", "http://127.0.0.1:8500"},
		{"", "true", "https://127.0.0.1:8500"},
		{"h:1", "", "http://h:1"},
		{"h:1", "1", "https://h:1"},
		{"h:1", "False", "http://h:1"},
		{"http://h:1", "", "http://h:1"},
		{"http://h:1", "t", "https://h:1"},
		{"https://h:1", "", "https://h:1"},
		{"https://h", "", "https://h"},
		{"h:1/consul/", "", "http://h:1/consul"},
		{"[::1]:8500", "", "http://[::1]:8500"},
		{"unix:///run/consul.sock", "", "http://localhost"},
	};
	static const char *const bad[][2] = {
		{"ftp://h:1", "its scheme is none of"},
		{"unix://run", "unix:///PATH"},
		{"http://", "expected HOST:PORT"},
		{"/", "expected HOST:PORT"},
		{":8500", "expected HOST:PORT"},
		{"h:1?x=y", "expected HOST:PORT"},
		{"h 1", "expected HOST:PORT"},
		{"h:1\r\nX: y", "expected HOST:PORT"},
		{"user@h:1", "expected HOST:PORT"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set("CONSUL_HTTP_ADDR", rows[i][0], "CONSUL_HTTP_SSL", rows[i][1], NULL);
		expect_base(rows[i][2]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		set("CONSUL_HTTP_ADDR", bad[i][0], NULL);
		expect_refusal(bad[i][1]);
	}
	set(NULL);
	expect_base("http://127.0.0.1:8500");
	set("CONSUL_HTTP_SSL", "perhaps", NULL);
	expect_refusal("CONSUL_HTTP_SSL is 'perhaps'");
}

static void a_unix_socket(void **state)
{
	set("CONSUL_HTTP_ADDR", "unix:///run/consul.sock", NULL);
	assert_true(consul_options_read(&options, get, "flashsale", &error));
	assert_string_equal(options.socket, "/run/consul.sock");
	consul_options_release(&options);
}

static void another_name_in_the_certificate(void **state)
{
	static const char *const rows[][4] = {
		/* address, name, base, what libcurl connects to */
		{"https://10.0.0.1:8501", "server.dc1.consul", "https://server.dc1.consul:8501",
			"::10.0.0.1:8501"},
		{"https://[::1]:8501/x", "s", "https://s:8501/x", "::[::1]:8501"},
		{"https://[::1]", "s", "https://s", "::[::1]:"},
		{"https://h/x", "s", "https://s/x", "::h:"},
		{"http://h:1", "s", "http://h:1", NULL},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set("CONSUL_HTTP_ADDR", rows[i][0], "CONSUL_TLS_SERVER_NAME", rows[i][1], NULL);
		assert_true(consul_options_read(&options, get, "flashsale", &error));
		assert_string_equal(options.base, rows[i][2]);
		if (rows[i][3])
			assert_string_equal(options.connect_to, rows[i][3]);
		else
			assert_null(options.connect_to);
		consul_options_release(&options);
	}
	set("CONSUL_HTTP_ADDR", "https://h", "CONSUL_TLS_SERVER_NAME", "a/b", NULL);
	expect_refusal("CONSUL_TLS_SERVER_NAME is 'a/b'");
}

static void the_rest(void **state)
{
	set("CONSUL_CACERT", "ca.pem", "CONSUL_CAPATH", "cas", "CONSUL_CLIENT_CERT", "c.pem",
		"CONSUL_CLIENT_KEY", "k.pem", "CONSUL_HTTP_SSL_VERIFY", "false", "CONSUL_NAMESPACE", "a",
		"CONSUL_PARTITION", "b", NULL);
	assert_true(consul_options_read(&options, get, "flashsale", &error));
	assert_string_equal(options.ca_file, "ca.pem");
	assert_string_equal(options.ca_folder, "cas");
	assert_string_equal(options.certificate, "c.pem");
	assert_string_equal(options.key, "k.pem");
	assert_false(options.verify);
	assert_string_equal(options.query, "&ns=a&partition=b");
	assert_null(options.token);
	consul_options_release(&options);
	set(NULL);
	assert_true(consul_options_read(&options, get, "flashsale", &error));
	assert_true(options.verify);
	assert_string_equal(options.query, "");
	consul_options_release(&options);
	set("CONSUL_CLIENT_CERT", "c.pem", NULL);
	expect_refusal("only the certificate is set");
	set("CONSUL_NAMESPACE", "a&token=b", NULL);
	expect_refusal("CONSUL_NAMESPACE");
	set("CONSUL_HTTP_SSL_VERIFY", "no", NULL);
	expect_refusal("CONSUL_HTTP_SSL_VERIFY");
	set(NULL);
	assert_false(consul_options_read(&options, get, "Flash", &error));
	assert_false(consul_options_read(&options, get, "", &error));
	assert_false(consul_options_read(&options, get, "a23456789012345678901234567890123", &error));
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
}

static void expect_token(const char *expected)
{
	char *token;

	assert_true(consul_options_token(&options, &token, &error));
	assert_string_equal(token, expected);
	free(token);
}

static void tokens(void **state)
{
	char path[] = "/tmp/test_consul_options_XXXXXX", *token;

	close(mkstemp(path));
	set("CONSUL_HTTP_TOKEN", "secret\r\nX-Evil: 1", NULL);
	expect_refusal("CONSUL_HTTP_TOKEN is not a token");
	assert_null(strstr(error.text, "secret"));
	set("CONSUL_HTTP_TOKEN", "one", NULL);
	assert_true(consul_options_read(&options, get, "flashsale", &error));
	expect_token("one");
	consul_options_release(&options);
	set("CONSUL_HTTP_TOKEN", "one", "CONSUL_HTTP_TOKEN_FILE", path, NULL);
	assert_true(consul_options_read(&options, get, "flashsale", &error));
	put(path, "  two\n");
	expect_token("two");
	put(path, "three"); /* renewed */
	expect_token("three");
	put(path, "a b");
	assert_false(consul_options_token(&options, &token, &error));
	put(path, "");
	assert_false(consul_options_token(&options, &token, &error));
	unlink(path);
	assert_false(consul_options_token(&options, &token, &error));
	assert_non_null(strstr(error.text, path));
	consul_options_release(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(a_unix_socket),
		cmocka_unit_test(another_name_in_the_certificate),
		cmocka_unit_test(the_rest),
		cmocka_unit_test(tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
