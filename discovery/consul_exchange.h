/* discovery/consul_exchange.h - one request to Consul at a time over libcurl, with everything of its answer bounded.
 *
 * An exchange is used again and again; it is in flight between a send that returned true and the call of done(), which may send the next one. Bytes of
 * body and headers, and the time, have limits: past them the exchange fails. No redirects, no proxies, no signals; HTTP/1.1. Each
 * request reads token and certificates anew. Threads: all exchanges of a client belong to one thread; only consul_client_wake is for others. */
#ifndef FLASHSALE_DISCOVERY_CONSUL_EXCHANGE_H
#define FLASHSALE_DISCOVERY_CONSUL_EXCHANGE_H

#include <curl/curl.h>

#include "base/text.h"
#include "discovery/consul_options.h"

struct consul_client {
	const struct consul_options *options;
	CURLM *multi;
	struct curl_slist *connect_to; /* the option, as libcurl wants it */
	size_t in_flight;
};

bool consul_client_init(struct consul_client *client, const struct consul_options *options, struct error *error);
void consul_client_release(struct consul_client *client); /* after its exchanges */
void consul_client_run(struct consul_client *client, int64_t wait_ms); /* waits for what happens first, and calls done() for what has ended */
void consul_client_wake(struct consul_client *client);                 /* any thread: ends the wait */

struct consul_exchange {
	struct consul_client *client;
	void (*done)(struct consul_exchange *exchange);
	/* Of the answer, while done() runs. */
	long status;          /* HTTP's; 0: there was no whole answer, `why` says what happened */
	uint64_t index;       /* X-Consul-Index; 0 when it said so or said nothing */
	struct text answer;   /* the body */
	struct error why;     /* also of a status that is not 200: the first words of the body */
	int64_t sent_ms;
	/* inside */
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t header_bytes;
	bool flying, too_large;
	char problem[CURL_ERROR_SIZE];
};

void consul_exchange_init(struct consul_exchange *exchange, struct consul_client *client, void (*done)(struct consul_exchange *));
void consul_exchange_release(struct consul_exchange *exchange); /* one in flight is given up */

/* GET, or PUT when there is a body (malloc'd, taken over). `path` begins with "/v1/" and may have a query; the options' own is appended. False: it could
 * not be sent and `why` says why; done() is not called. */
bool consul_exchange_send(struct consul_exchange *exchange, const char *path, char *body, int64_t timeout_ms);

/* Anything as part of a path; malloc'd. */
char *consul_escape(const char *text);

int64_t consul_now_ms(void); /* monotonic */

#endif
