#include "discovery/consul_exchange.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/consul_json.h"

#define CONNECT_MS 2000
#define HEADER_BYTES_MAX (64 * 1024)
#define CONNECTIONS_MAX 64 /* kept open: more than there are watches */
#define WORDS_MAX 160	   /* of a refusal, in a log line */

/* Options of a fixed kind can't be refused; those that take a copy of a text can for want of memory. */
#define SET(easy, option, value) \
	do { \
		CURLcode set_code_ = curl_easy_setopt(easy, option, value); \
		assert(set_code_ == CURLE_OK); \
	} while (0)

int64_t consul_now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* ---- the client ---- */

static void init_curl(void)
{
	CURLcode code = curl_global_init(CURL_GLOBAL_ALL);

	assert(code == CURLE_OK);
}

bool consul_client_init(
	struct consul_client *client, const struct consul_options *options, struct error *error)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_curl);
	*client = (struct consul_client){.options = options, .multi = curl_multi_init()};
	if (!client->multi)
		return error_set(error, "libcurl does not start");
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
	if (options->connect_to)
		client->connect_to = curl_slist_append(NULL, options->connect_to);
	return true;
}

void consul_client_release(struct consul_client *client)
{
	assert(!client->in_flight);
	curl_multi_cleanup(client->multi);
	curl_slist_free_all(client->connect_to);
	*client = (struct consul_client){0};
}

void consul_client_wake(struct consul_client *client)
{
	curl_multi_wakeup(client->multi);
}

/* ---- an answer comes in ---- */

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
	struct consul_exchange *exchange = context;

	if (text_append(&exchange->answer, data, size * count))
		return size * count;
	exchange->too_large = true;
	return 0;
}

static uint64_t read_index(const char *value, size_t length)
{
	uint64_t index = 0;

	while (length && (*value == ' ' || *value == '\t'))
		value++, length--;
	for (; length && *value >= '0' && *value <= '9'; value++, length--)
		if (__builtin_mul_overflow(index, 10, &index) ||
			__builtin_add_overflow(index, (uint64_t)(*value - '0'), &index))
			return 0;
	while (length && strchr(" \t\r\n", *value))
		value++, length--;
	return length ? 0 : index;
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
	static const char name[] = "X-Consul-Index:";
	struct consul_exchange *exchange = context;
	const size_t bytes = size * count, length = sizeof(name) - 1;

	exchange->header_bytes += bytes;
	if (exchange->header_bytes > HEADER_BYTES_MAX) {
		exchange->too_large = true;
		return 0;
	}
	if (bytes > length && !strncasecmp(data, name, length))
		exchange->index = read_index(data + length, bytes - length);
	return bytes;
}

static void explain(struct consul_exchange *exchange, CURLcode code)
{
	if (exchange->too_large)
		error_set(&exchange->why, "the answer is too large");
	else
		error_set(&exchange->why, "%s",
			exchange->problem[0] ? exchange->problem : curl_easy_strerror(code));
}

static void explain_status(struct consul_exchange *exchange)
{
	const char *words = exchange->answer.data;

	error_set(&exchange->why, "HTTP status %ld: %.*s", exchange->status,
		(int)(strcspn(words, "\r\n") < WORDS_MAX ? strcspn(words, "\r\n") : WORDS_MAX), words);
}

static void drop_request(struct consul_exchange *exchange)
{
	curl_multi_remove_handle(exchange->client->multi, exchange->easy);
	curl_slist_free_all(exchange->headers);
	exchange->headers = NULL;
	free(exchange->body);
	exchange->body = NULL;
	exchange->flying = false;
	exchange->client->in_flight--;
}

static void finish(struct consul_exchange *exchange, CURLcode code)
{
	exchange->status = 0;
	if (code == CURLE_OK)
		curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &exchange->status);
	drop_request(exchange);
	if (code != CURLE_OK)
		explain(exchange, code);
	else if (exchange->status != 200)
		explain_status(exchange);
	exchange->done(exchange);
}

/* Whether something has ended. */
static bool finish_all(struct consul_client *client)
{
	const CURLMsg *message;
	bool any = false;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		CURLcode code = message->data.result;
		char *exchange;

		assert(message->msg == CURLMSG_DONE);
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
		finish((struct consul_exchange *)(void *)exchange, code);
		any = true;
	}
	return any;
}

void consul_client_run(struct consul_client *client, int64_t wait_ms)
{
	int running;

	curl_multi_perform(client->multi, &running);
	if (!finish_all(client)) /* else there may be something to do at once */
		curl_multi_poll(client->multi, NULL, 0, (int)wait_ms, NULL);
}

/* ---- a request goes out ---- */

void consul_exchange_init(struct consul_exchange *exchange, struct consul_client *client,
	void (*done)(struct consul_exchange *))
{
	*exchange = (struct consul_exchange){.client = client, .done = done, .easy = curl_easy_init()};
	assert(exchange->easy);
	text_init(&exchange->answer, CONSUL_ANSWER_BYTES_MAX);
}

void consul_exchange_release(struct consul_exchange *exchange)
{
	if (exchange->flying)
		drop_request(exchange);
	curl_easy_cleanup(exchange->easy);
	text_release(&exchange->answer);
}

static void set_answer(struct consul_exchange *exchange)
{
	CURL *easy = exchange->easy;

	SET(easy, CURLOPT_WRITEFUNCTION, take_body);
	SET(easy, CURLOPT_WRITEDATA, exchange);
	SET(easy, CURLOPT_HEADERFUNCTION, take_header);
	SET(easy, CURLOPT_HEADERDATA, exchange);
	SET(easy, CURLOPT_ERRORBUFFER, exchange->problem);
	SET(easy, CURLOPT_PRIVATE, exchange);
}

static void set_limits(CURL *easy, int64_t timeout_ms)
{
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_PROXY, "");
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void set_text(CURL *easy, CURLoption option, const char *text)
{
	if (text)
		SET(easy, option, text);
}

static void set_tls(CURL *easy, const struct consul_options *options)
{
	set_text(easy, CURLOPT_CAINFO, options->ca_file);
	set_text(easy, CURLOPT_CAPATH, options->ca_folder);
	set_text(easy, CURLOPT_SSLCERT, options->certificate);
	set_text(easy, CURLOPT_SSLKEY, options->key);
	SET(easy, CURLOPT_SSL_VERIFYPEER, options->verify ? 1L : 0L);
	SET(easy, CURLOPT_SSL_VERIFYHOST, options->verify ? 2L : 0L);
	SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

static void add_header(struct consul_exchange *exchange, const char *header)
{
	struct curl_slist *longer = curl_slist_append(exchange->headers, header);

	assert(longer);
	exchange->headers = longer;
}

static bool set_identity(struct consul_exchange *exchange, const struct consul_options *options)
{
	char *token, *header;

	if (!consul_options_token(options, &token, &exchange->why))
		return false;
	if (token) {
		header = memory_format("X-Consul-Token: %s", token);
		add_header(exchange, header);
		free(header);
		free(token);
	}
	set_text(exchange->easy, CURLOPT_USERPWD, options->auth);
	return true;
}

static void set_place(struct consul_exchange *exchange, const char *path)
{
	const struct consul_options *options = exchange->client->options;
	const char *query = options->query;
	char *url = memory_format("%s%s%s%s", options->base, path, *query && !strchr(path, '?') ? "?" : "",
		*query && !strchr(path, '?') ? query + 1 : query);

	SET(exchange->easy, CURLOPT_URL, url);
	free(url);
	set_text(exchange->easy, CURLOPT_UNIX_SOCKET_PATH, options->socket);
}

static void set_body(struct consul_exchange *exchange)
{
	if (!exchange->body)
		return;
	SET(exchange->easy, CURLOPT_CUSTOMREQUEST, "PUT");
	SET(exchange->easy, CURLOPT_POSTFIELDS, exchange->body);
	SET(exchange->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(exchange->body));
	add_header(exchange, "Content-Type: application/json");
	add_header(exchange, "Expect:");
}

bool consul_exchange_send(struct consul_exchange *exchange, const char *path, char *body, int64_t timeout_ms)
{
	CURLMcode code;

	assert(!exchange->flying);
	curl_easy_reset(exchange->easy); /* keeps the connections' session data */
	text_clear(&exchange->answer);
	exchange->body = body;
	exchange->header_bytes = 0;
	exchange->index = 0;
	exchange->too_large = false;
	exchange->problem[0] = exchange->why.text[0] = '\0';
	exchange->sent_ms = consul_now_ms();
	if (!set_identity(exchange, exchange->client->options)) {
		free(exchange->body);
		exchange->body = NULL;
		return false;
	}
	set_answer(exchange);
	set_limits(exchange->easy, timeout_ms);
	set_tls(exchange->easy, exchange->client->options);
	set_place(exchange, path);
	set_body(exchange);
	SET(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers);
	if (exchange->client->connect_to)
		SET(exchange->easy, CURLOPT_CONNECT_TO, exchange->client->connect_to);
	exchange->flying = true;
	exchange->client->in_flight++;
	code = curl_multi_add_handle(exchange->client->multi, exchange->easy);
	assert(code == CURLM_OK);
	return true;
}

char *consul_escape(const char *text)
{
	struct text escaped;

	text_init(&escaped, 3 * strlen(text) + 1);
	for (; *text; text++) {
		if ((*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'z') ||
			(*text >= 'A' && *text <= 'Z') || strchr("-._~", *text))
			text_append_char(&escaped, *text);
		else
			text_appendf(&escaped, "%%%02X", (unsigned char)*text);
	}
	return text_detach(&escaped, NULL);
}
