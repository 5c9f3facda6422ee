#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/memory.h"
#include "gatekeeper/nginx/door.h"

struct mailbox {
	pthread_mutex_t mutex;
	struct edge_request *first, **last; /* under the mutex */
	int descriptor;
	ngx_connection_t *connection;
	void (*arrived)(struct edge_request *list);
};

static void on_wake(ngx_event_t *event)
{
	ngx_connection_t *connection = event->data;
	struct mailbox *mailbox = connection->data;
	uint64_t count;

	while (read(mailbox->descriptor, &count, sizeof(count)) < 0 && ngx_errno == NGX_EINTR)
		;
	mailbox->arrived(mailbox_take(mailbox));
}

/* An eventfd of our own: ngx_notify has one handler, which `aio threads` would share. */
static ngx_int_t listen_to(struct mailbox *mailbox, ngx_cycle_t *cycle)
{
	ngx_connection_t *connection = ngx_get_connection(mailbox->descriptor, cycle->log);

	if (!connection)
		return NGX_ERROR;
	connection->data = mailbox;
	connection->read->handler = on_wake;
	connection->read->log = cycle->log;
	connection->recv = NULL;
	mailbox->connection = connection;
	return ngx_add_event(connection->read, NGX_READ_EVENT, NGX_CLEAR_EVENT);
}

struct mailbox *mailbox_new(ngx_cycle_t *cycle, void (*arrived)(struct edge_request *list))
{
	struct mailbox *mailbox = NEW(struct mailbox);

	pthread_mutex_init(&mailbox->mutex, NULL);
	mailbox->last = &mailbox->first;
	mailbox->arrived = arrived;
	mailbox->descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (mailbox->descriptor < 0 || listen_to(mailbox, cycle) != NGX_OK) {
		mailbox_free(mailbox);
		return NULL;
	}
	return mailbox;
}

void mailbox_free(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	if (mailbox->connection)
		ngx_close_connection(mailbox->connection); /* closes the descriptor too */
	else if (mailbox->descriptor >= 0)
		close(mailbox->descriptor);
	pthread_mutex_destroy(&mailbox->mutex);
	free(mailbox);
}

void mailbox_put(void *context, struct edge_request *first, struct edge_request *last)
{
	struct mailbox *mailbox = context;
	const uint64_t one = 1;
	bool was_empty;

	pthread_mutex_lock(&mailbox->mutex);
	was_empty = !mailbox->first;
	*mailbox->last = first;
	mailbox->last = &last->next;
	pthread_mutex_unlock(&mailbox->mutex);
	/* Only the first wakes nginx: until it takes the list, the rest rides along. */
	if (was_empty) {
		ssize_t written = write(mailbox->descriptor, &one, sizeof(one));

		(void)written; /* it can only fail by overflow, and then a wake is pending */
	}
}

struct edge_request *mailbox_take(struct mailbox *mailbox)
{
	struct edge_request *list;

	pthread_mutex_lock(&mailbox->mutex);
	list = mailbox->first;
	mailbox->first = NULL;
	mailbox->last = &mailbox->first;
	pthread_mutex_unlock(&mailbox->mutex);
	return list;
}
