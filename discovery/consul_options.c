#include "discovery/consul_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

#define ADDRESS_STANDARD "127.0.0.1:8500"
#define ADDRESS_MAX 1024
#define TOKEN_MAX 1024

typedef char *consul_get(const char *name);

static const char *set_or_null(consul_get *get, const char *name)
{
	const char *value = get(name);

	return value && *value ? value : NULL;
}

static char *copy_or_null(consul_get *get, const char *name)
{
	const char *value = set_or_null(get, name);

	return value ? memory_copy_text(value) : NULL;
}

/* The spellings that Consul's own tools take. */
static bool read_switch(consul_get *get, const char *name, bool standard, bool *ret, struct error *error)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
	const char *value = set_or_null(get, name);

	*ret = standard;
	if (!value)
		return true;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (!strcmp(value, yes[i]) || !strcmp(value, no[i])) {
			*ret = !strcmp(value, yes[i]);
			return true;
		}
	}
	return error_set(error, "%s is '%.64s'; expected true or false", name, value);
}

/* What may stand in a URL's host, port and path as it is; brackets for IPv6. */
static bool is_plain(const char *text)
{
	const char *others = "-._~:/[]%";

	for (; *text; text++)
		if (!(*text >= '0' && *text <= '9') && !(*text >= 'a' && *text <= 'z') &&
			!(*text >= 'A' && *text <= 'Z') && !strchr(others, *text))
			return false;
	return true;
}

static bool set_base(struct consul_options *options, const char *scheme, const char *rest, const char *given,
	struct error *error)
{
	size_t length = strlen(rest);

	while (length && rest[length - 1] == '/')
		length--;
	if (!length || rest[0] == '/' || rest[0] == ':' || !is_plain(rest))
		return error_set(error,
			"CONSUL_HTTP_ADDR is '%.200s'; expected HOST:PORT, http://HOST:PORT, "
			"https://HOST:PORT or unix:///PATH",
			given);
	options->base = memory_format("%s://%.*s", scheme, (int)length, rest);
	return true;
}

static bool read_address(struct consul_options *options, consul_get *get, struct error *error)
{
	const char *given = set_or_null(get, "CONSUL_HTTP_ADDR"), *rest;
	bool ssl;

	if (!read_switch(get, "CONSUL_HTTP_SSL", false, &ssl, error))
		return false;
	given = given ? given : ADDRESS_STANDARD;
	if (strlen(given) > ADDRESS_MAX)
		return error_set(error, "CONSUL_HTTP_ADDR is longer than %d characters", ADDRESS_MAX);
	if (!strncmp(given, "unix://", 7)) {
		if (given[7] != '/')
			return error_set(
				error, "CONSUL_HTTP_ADDR is '%.200s'; a unix socket is unix:///PATH", given);
		options->socket = memory_copy_text(given + 7);
		return set_base(options, ssl ? "https" : "http", "localhost", given, error);
	}
	rest = strstr(given, "://");
	if (!rest)
		return set_base(options, ssl ? "https" : "http", given, given, error);
	if (!strncmp(given, "http://", 7))
		return set_base(options, ssl ? "https" : "http", rest + 3, given, error);
	if (!strncmp(given, "https://", 8))
		return set_base(options, "https", rest + 3, given, error);
	return error_set(
		error, "CONSUL_HTTP_ADDR is '%.200s'; its scheme is none of http, https and unix", given);
}

/* The URL then names whom the certificate must name, and libcurl connects to where Consul is. */
static bool read_server_name(struct consul_options *options, consul_get *get, struct error *error)
{
	const char *name = set_or_null(get, "CONSUL_TLS_SERVER_NAME"), *host, *path, *colon;
	char *base;
	int host_length;

	if (!name || strncmp(options->base, "https://", 8) != 0)
		return true;
	if (!is_plain(name) || strpbrk(name, ":/[]%") || strlen(name) > 253)
		return error_set(error, "CONSUL_TLS_SERVER_NAME is '%.64s', which is no host's name", name);
	host = options->base + 8;
	path = strchr(host, '/');
	path = path ? path : host + strlen(host);
	colon = memrchr(host, ':', (size_t)(path - host));
	if (colon && memchr(colon, ']', (size_t)(path - colon)))
		colon = NULL; /* one of an IPv6 address */
	host_length = (int)((colon ? colon : path) - host);
	if (!options->socket)
		options->connect_to = memory_format("::%.*s:%.*s", host_length, host,
			(int)(colon ? path - colon - 1 : 0), colon ? colon + 1 : "");
	base = memory_format("https://%s%s", name, colon ? colon : path);
	free(options->base);
	options->base = base;
	return true;
}

static bool append_name(
	struct text *query, const char *key, consul_get *get, const char *variable, struct error *error)
{
	const char *value = set_or_null(get, variable);

	if (!value)
		return true;
	if (strlen(value) > 64 || !is_plain(value) || strpbrk(value, ":/[]%"))
		return error_set(error, "%s is '%.64s'; expected letters, digits and dashes, 64 at most",
			variable, value);
	return text_appendf(query, "&%s=%s", key, value);
}

static bool read_query(struct consul_options *options, consul_get *get, struct error *error)
{
	struct text query;
	bool ok;

	text_init(&query, 256);
	ok = append_name(&query, "ns", get, "CONSUL_NAMESPACE", error) &&
	     append_name(&query, "partition", get, "CONSUL_PARTITION", error);
	options->query = memory_copy_text(query.data);
	text_release(&query);
	return ok;
}

static bool token_check(const char *token)
{
	size_t length = strnlen(token, TOKEN_MAX + 1);

	if (!length || length > TOKEN_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return false;
	return true;
}

static bool read_identity(struct consul_options *options, consul_get *get, struct error *error)
{
	options->token = copy_or_null(get, "CONSUL_HTTP_TOKEN");
	options->token_file = copy_or_null(get, "CONSUL_HTTP_TOKEN_FILE");
	options->auth = copy_or_null(get, "CONSUL_HTTP_AUTH");
	options->ca_file = copy_or_null(get, "CONSUL_CACERT");
	options->ca_folder = copy_or_null(get, "CONSUL_CAPATH");
	options->certificate = copy_or_null(get, "CONSUL_CLIENT_CERT");
	options->key = copy_or_null(get, "CONSUL_CLIENT_KEY");
	if (options->token && !token_check(options->token))
		return error_set(error,
			"CONSUL_HTTP_TOKEN is not a token: printable characters without spaces, %d at most",
			TOKEN_MAX);
	if (!options->certificate != !options->key)
		return error_set(error,
			"CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY belong together, and only %s is set",
			options->key ? "the key" : "the certificate");
	return read_switch(get, "CONSUL_HTTP_SSL_VERIFY", true, &options->verify, error);
}

static bool set_prefix(struct consul_options *options, const char *prefix, struct error *error)
{
	size_t length = strlen(prefix);
	bool ok = length > 0 && length <= CONSUL_PREFIX_MAX && prefix[0] >= 'a' && prefix[0] <= 'z';

	if (!ok || strspn(prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") != length)
		return error_set(error,
			"'%.64s' can't begin the services' names in Consul: 1 to %d lower-case letters, "
			"digits "
			"and dashes, a letter first",
			prefix, CONSUL_PREFIX_MAX);
	options->prefix = memory_copy_text(prefix);
	return true;
}

bool consul_options_read(
	struct consul_options *options, consul_get *get, const char *prefix, struct error *error)
{
	*options = (struct consul_options){.wait_ms = 30000,
		.answer_ms = 5000,
		.look_ms = 5000,
		.backoff_max_ms = 5000,
		.linger_ms = 60000};
	if (set_prefix(options, prefix, error) && read_address(options, get, error) &&
		read_server_name(options, get, error) && read_query(options, get, error) &&
		read_identity(options, get, error))
		return true;
	consul_options_release(options);
	return false;
}

void consul_options_release(struct consul_options *options)
{
	free(options->base);
	free(options->socket);
	free(options->connect_to);
	free(options->token);
	free(options->token_file);
	free(options->auth);
	free(options->ca_file);
	free(options->ca_folder);
	free(options->certificate);
	free(options->key);
	free(options->query);
	free(options->prefix);
	*options = (struct consul_options){0};
}

static bool read_token_file(const char *path, char buffer[TOKEN_MAX + 3], struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t size = fd < 0 ? -1 : read(fd, buffer, TOKEN_MAX + 2);

	if (size < 0)
		error_set(error, "CONSUL_HTTP_TOKEN_FILE %s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (size < 0)
		return false;
	buffer[size] = '\0';
	return true;
}

bool consul_options_token(const struct consul_options *options, char **ret_token, struct error *error)
{
	char buffer[TOKEN_MAX + 3], *begin, *end;

	if (!options->token_file) {
		*ret_token = options->token ? memory_copy_text(options->token) : NULL;
		return true;
	}
	if (!read_token_file(options->token_file, buffer, error))
		return false;
	begin = buffer + strspn(buffer, " \t\r\n");
	for (end = begin + strlen(begin); end > begin && strchr(" \t\r\n", end[-1]); end--)
		end[-1] = '\0';
	if (!token_check(begin))
		return error_set(error, "CONSUL_HTTP_TOKEN_FILE %s holds no token, or more than one",
			options->token_file);
	*ret_token = memory_copy_text(begin);
	return true;
}
