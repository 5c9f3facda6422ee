#include "rpc/admin.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/metrics.h"
#include "base/signals.h"

/* Scrapers and probes, nobody else: few connections, none for long. */
#define CONNECTIONS_MAX 64
#define CONNECTIONS_PER_PEER_MAX 32
#define IDLE_SECONDS 10
#define CONNECTION_MEMORY_BYTES (16 * 1024)

struct admin {
	struct MHD_Daemon *daemon;
	bool (*healthy)(void *context);
	void *context;
};

static enum MHD_Result send_response(
	struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
	enum MHD_Result result = MHD_NO;

	if (response)
		result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return send_response(connection, status, response);
}

static enum MHD_Result send_metrics(struct MHD_Connection *connection)
{
	size_t size;
	char *text = metrics_text(&size);
	struct MHD_Response *response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);

	MHD_add_response_header(
		response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
	return send_response(connection, MHD_HTTP_OK, response);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct admin *admin = context;

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	if (!strcmp(path, "/metrics"))
		return send_metrics(connection);
	if (!strcmp(path, "/livez"))
		return send_text(connection, MHD_HTTP_OK, "alive\n");
	if (strcmp(path, "/healthz"))
		return send_text(connection, MHD_HTTP_NOT_FOUND, "/metrics, /healthz, /livez\n");
	if (admin->healthy(admin->context))
		return send_text(connection, MHD_HTTP_OK, "serving\n");
	return send_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "not serving\n");
}

/* "host:port" or "[v6]:port". */
static struct addrinfo *resolve(const char *address, struct error *error)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
	char *host = memory_copy_text(address), *colon = strrchr(host, ':'), *name = host;
	int result;

	if (!colon) {
		error_set(error, "can't listen on %s: not an address of the form host:port", address);
		free(host);
		return NULL;
	}
	*colon = 0;
	if (name[0] == '[' && colon[-1] == ']') {
		colon[-1] = 0;
		name++;
	}
	result = getaddrinfo(name, colon + 1, &hints, &found);
	if (result) {
		error_set(error, "can't listen on %s: %s", address, gai_strerror(result));
		found = NULL;
	}
	free(host);
	return found;
}

/* Its threads inherit the mask: signals are main's. */
static struct MHD_Daemon *start(struct admin *admin, const struct addrinfo *where)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | (where->ai_family == AF_INET6 ? MHD_USE_IPv6 : 0);
	struct MHD_Daemon *daemon;
	sigset_t all, before;

	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, admin, MHD_OPTION_SOCK_ADDR, where->ai_addr,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		CONNECTIONS_PER_PEER_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return daemon;
}

struct admin *admin_new(
	const char *address, bool (*healthy)(void *context), void *context, struct error *error)
{
	struct addrinfo *where = resolve(address, error);
	struct admin *admin;

	if (!where)
		return NULL;
	admin = NEW(struct admin);
	admin->healthy = healthy;
	admin->context = context;
	admin->daemon = start(admin, where);
	freeaddrinfo(where);
	if (admin->daemon)
		return admin;
	error_set(error, "can't listen on %s: %s", address,
		errno ? strerror(errno) : "the HTTP library refused it");
	free(admin);
	return NULL;
}

int admin_port(const struct admin *admin)
{
	return MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void admin_free(struct admin *admin)
{
	if (!admin)
		return;
	MHD_stop_daemon(admin->daemon);
	free(admin);
}
