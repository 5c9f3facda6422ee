#include "tests/unit/discovery/fake_agent.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <microhttpd.h>

#include "base/memory.h"

struct upload {
	char *data;
	size_t size;
};

static void note(
	struct fake_agent *agent, struct MHD_Connection *connection, const char *method, const char *url)
{
	const char *token = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Consul-Token");
	const char *index = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "index");
	const char *wait = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "wait");
	const char *ns = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "ns");

	if (agent->count < FAKE_NOTES_MAX)
		snprintf(agent->notes[agent->count++], FAKE_TEXT_MAX, "%s %s index=%s wait=%s ns=%s token=%s",
			method, url, index ? index : "", wait ? wait : "", ns ? ns : "", token ? token : "");
	pthread_cond_broadcast(&agent->stirred);
}

static enum MHD_Result answer(
	struct MHD_Connection *connection, unsigned status, const char *index, const char *body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(body), (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (index && *index)
		MHD_add_response_header(response, "X-Consul-Index", index);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_health(struct fake_agent *agent, struct MHD_Connection *connection)
{
	const char *index = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "index");
	enum MHD_Result result;

	while (!agent->closing &&
		(!agent->status || (agent->status == 200 && index && !strcmp(index, agent->index))))
		pthread_cond_wait(&agent->stirred, &agent->lock);
	if (agent->closing)
		return MHD_NO;
	result = answer(connection, agent->status, agent->index, agent->body);
	return result;
}

static enum MHD_Result answer_self(struct fake_agent *agent, struct MHD_Connection *connection,
	const char *method, const char *url, struct upload *upload)
{
	while (!agent->closing && agent->self_status == 999)
		pthread_cond_wait(&agent->stirred, &agent->lock);
	if (agent->closing)
		return MHD_NO;
	if (agent->self_status)
		return answer(connection, agent->self_status, NULL, "Permission denied\nand more");
	if (strstr(url, "/register")) {
		free(agent->registered);
		agent->registered = upload->data;
		upload->data = NULL;
		agent->registrations++;
	} else if (strstr(url, "/deregister/")) {
		free(agent->registered);
		agent->registered = NULL;
	} else if (!agent->registered) {
		return answer(connection, 404, NULL, "unknown service ID");
	}
	pthread_cond_broadcast(&agent->stirred);
	return answer(connection, 200, NULL, strcmp(method, "GET") ? "" : agent->registered);
}

/* "Name" of a registration is "Service" of what is registered. */
static void rename_field(struct upload *upload)
{
	char *name = upload->data ? strstr(upload->data, "\"Name\":") : NULL, *renamed;

	if (!name)
		return;
	renamed = memory_format("%.*s\"Service\":%s", (int)(name - upload->data), upload->data, name + 7);
	free(upload->data);
	upload->data = renamed;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
	const char *method, const char *version, const char *data, size_t *size, void **state)
{
	struct fake_agent *agent = context;
	struct upload *upload = *state;
	enum MHD_Result result;

	if (!upload) {
		*state = NEW(struct upload);
		return MHD_YES;
	}
	if (*size) {
		upload->data = memory_resize(upload->data, upload->size + *size + 1, 1);
		memcpy(upload->data + upload->size, data, *size);
		upload->size += *size;
		upload->data[upload->size] = '\0';
		*size = 0;
		return MHD_YES;
	}
	rename_field(upload);
	pthread_mutex_lock(&agent->lock);
	note(agent, connection, method, url);
	if (!strncmp(url, "/v1/health/service/", 19))
		result = answer_health(agent, connection);
	else
		result = answer_self(agent, connection, method, url, upload);
	pthread_mutex_unlock(&agent->lock);
	return result;
}

static void completed(
	void *context, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
	struct upload *upload = *state;

	if (upload)
		free(upload->data);
	free(upload);
	*state = NULL;
}

static void serve(struct fake_agent *agent, int fd)
{
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;

	assert_int_equal(listen(fd, 16), 0);
	agent->closing = false;
	agent->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, agent, MHD_OPTION_NOTIFY_COMPLETED,
		completed, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_END);
	assert_non_null(agent->daemon);
}

void fake_agent_start(struct fake_agent *agent)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)agent->port)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	agent->port = ntohs(address.sin_port);
	serve(agent, fd);
}

void fake_agent_listen_unix(struct fake_agent *agent, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fake_agent_stop(agent);
	strcpy(address.sun_path, path);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	serve(agent, fd);
}

struct fake_agent *fake_agent_new(void)
{
	struct fake_agent *agent = NEW(struct fake_agent);

	pthread_mutex_init(&agent->lock, NULL);
	pthread_cond_init(&agent->stirred, NULL);
	fake_agent_say(agent, 200, "1", "[]");
	fake_agent_start(agent);
	return agent;
}

void fake_agent_stop(struct fake_agent *agent)
{
	if (!agent->daemon)
		return;
	pthread_mutex_lock(&agent->lock);
	agent->closing = true;
	pthread_cond_broadcast(&agent->stirred);
	pthread_mutex_unlock(&agent->lock);
	MHD_stop_daemon(agent->daemon);
	agent->daemon = NULL;
}

void fake_agent_free(struct fake_agent *agent)
{
	fake_agent_stop(agent);
	free(agent->body);
	free(agent->registered);
	pthread_mutex_destroy(&agent->lock);
	pthread_cond_destroy(&agent->stirred);
	free(agent);
}

void fake_agent_say(struct fake_agent *agent, unsigned status, const char *index, const char *body)
{
	pthread_mutex_lock(&agent->lock);
	agent->status = status;
	snprintf(agent->index, sizeof(agent->index), "%s", index);
	free(agent->body);
	agent->body = memory_copy_text(body);
	pthread_cond_broadcast(&agent->stirred);
	pthread_mutex_unlock(&agent->lock);
}

void fake_agent_say_self(struct fake_agent *agent, unsigned status)
{
	pthread_mutex_lock(&agent->lock);
	agent->self_status = status;
	pthread_cond_broadcast(&agent->stirred);
	pthread_mutex_unlock(&agent->lock);
}

void fake_agent_replace(struct fake_agent *agent, const char *registration)
{
	pthread_mutex_lock(&agent->lock);
	free(agent->registered);
	agent->registered = registration ? memory_copy_text(registration) : NULL;
	pthread_mutex_unlock(&agent->lock);
}

void fake_agent_forget(struct fake_agent *agent)
{
	fake_agent_replace(agent, NULL);
}

static void await(
	struct fake_agent *agent, bool (*is_so)(const struct fake_agent *, const void *), const void *what)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&agent->lock);
	while (!is_so(agent, what))
		assert_int_equal(pthread_cond_timedwait(&agent->stirred, &agent->lock, &end), 0);
	pthread_mutex_unlock(&agent->lock);
}

static bool has_note(const struct fake_agent *agent, const void *part)
{
	for (size_t i = 0; i < agent->count; i++)
		if (strstr(agent->notes[i], part))
			return true;
	return false;
}

static bool has_notes(const struct fake_agent *agent, const void *count)
{
	return agent->count >= *(const size_t *)count;
}

static bool has_registrations(const struct fake_agent *agent, const void *count)
{
	return agent->registrations >= *(const size_t *)count;
}

static bool has_nothing(const struct fake_agent *agent, const void *unused)
{
	return !agent->registered;
}

void fake_agent_await_note(struct fake_agent *agent, const char *part)
{
	await(agent, has_note, part);
}

void fake_agent_await_notes(struct fake_agent *agent, size_t count)
{
	await(agent, has_notes, &count);
}

void fake_agent_await_registrations(struct fake_agent *agent, size_t count)
{
	await(agent, has_registrations, &count);
}

void fake_agent_await_gone(struct fake_agent *agent)
{
	await(agent, has_nothing, NULL);
}

const char *fake_entry(const char *id, const char *address, int port, const char *meta, const char *status)
{
	static _Thread_local char texts[4][2048];
	static _Thread_local unsigned next;
	char *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]),
		"{\"Node\":{\"Node\":\"n\",\"Address\":\"10.0.0.9\"},\"Service\":{\"ID\":\"%s\",\"Service\":"
		"\"flashsale-cart\","
		"\"Address\":\"%s\",\"Port\":%d,\"Meta\":{%s},\"Tags\":[\"flashsale\"]},\"Checks\":[{"
		"\"Status\":\"passing\"},"
		"{\"Status\":\"%s\"}]}",
		id, address, port, meta, status);
	return text;
}
