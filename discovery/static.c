#include "discovery/static.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/signals.h"
#include "discovery/catalog.h"
#include "discovery/static_expand.h"

#define WATCH_AGAIN_MS 1000 /* when the folder cannot be watched */

struct static_source {
	struct discovery base;
	struct catalog catalog;
	char *lines; /* instead of a file: nothing is watched, and `path` only names them. NULL: a file */
	char *path, *folder;
	const char *name;  /* the file's, within the folder */
	int inotify, stop; /* descriptors */
	int watched;	   /* inotify's number of the folder; -1: not watched */
	pthread_t thread;
	/* The thread's, once it runs. */
	struct static_file file; /* the last good one */
	char **names;		 /* in it */
	size_t name_count;
	struct resolver *resolver;
	int64_t resolve_ms, resolve_next_ms;
};

static struct static_source *source_of(struct discovery *discovery)
{
	return container_of(discovery, struct static_source, base);
}

/* What the file and the names in it come to now. */
static void publish(struct static_source *source)
{
	struct catalog_entry entries[STATIC_SERVICES_MAX];
	int64_t wall_ms = clock_wall_ms(&clock_system);
	bool ok;

	for (size_t i = 0; i < source->file.service_count; i++) {
		const struct static_service *service = &source->file.services[i];

		entries[i].service = service->name;
		entries[i].list = static_expand(service, source->resolver, wall_ms);
	}
	ok = catalog_replace(&source->catalog, entries, source->file.service_count);
	assert(ok); /* STATIC_SERVICES_MAX is what a catalog takes */
}

static void drop_file(struct static_source *source)
{
	static_file_release(&source->file);
	static_names_free(source->names, source->name_count);
}

static bool read_lines(const struct static_source *source, struct static_file *file, struct error *error)
{
	if (source->lines)
		return static_file_parse(file, source->lines, strlen(source->lines), source->path, error);
	return static_file_read(file, source->path, error);
}

static bool load(struct static_source *source, struct error *error)
{
	struct static_file file;
	char **names;
	size_t count;

	if (!read_lines(source, &file, error))
		return false;
	if (!static_names(&file, &names, &count, error)) {
		static_file_release(&file);
		return error_prefix(error, "%s", source->path);
	}
	drop_file(source);
	source->file = file;
	source->names = names;
	source->name_count = count;
	source->resolve_next_ms = 0;
	publish(source);
	return true;
}

static void reload(struct static_source *source)
{
	struct error error;

	if (load(source, &error))
		log_info("the list of instances was read again", LOG_TEXT("file", source->path));
	else
		log_error("the list of instances is not readable, the last one stays",
			LOG_TEXT("why", error.text));
}

/* Whole files count: one that was written and closed, or renamed over the old one. Kubernetes renames "..data", to which the file links. */
static bool watch_folder(struct static_source *source)
{
	uint32_t mask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

	source->watched = inotify_add_watch(source->inotify, source->folder, mask);
	return source->watched >= 0;
}

static bool concerns_us(struct static_source *source, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (event->wd != source->watched)
		return false; /* of a folder that was moved away */
	if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF)) {
		inotify_rm_watch(source->inotify, source->watched);
		source->watched = -1;
		return true;
	}
	return event->len && (!strcmp(event->name, source->name) || !strcmp(event->name, "..data"));
}

static void read_events(struct static_source *source)
{
	_Alignas(struct inotify_event) char buffer[4096];
	bool changed = false;
	ssize_t size = read(source->inotify, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < size;) {
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		changed |= concerns_us(source, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	if (changed)
		reload(source);
}

static int64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

/* Begins the rounds that are due; returns how long to wait at most, -1: for ever. */
static int resolve(struct static_source *source)
{
	int64_t now = now_ms();

	if (!source->name_count)
		return source->watched >= 0 || source->lines ? -1 : WATCH_AGAIN_MS;
	if (source->resolve_next_ms <= now) {
		resolver_ask(source->resolver, (const char *const *)source->names, source->name_count);
		source->resolve_next_ms = now + source->resolve_ms;
	}
	now = source->resolve_next_ms - now;
	return resolver_timeout_ms(source->resolver, now < WATCH_AGAIN_MS ? (int)now : WATCH_AGAIN_MS);
}

static void *run(void *context)
{
	struct static_source *source = context;
	struct pollfd fds[2 + RESOLVER_FDS_MAX] = {
		{.fd = source->stop, .events = POLLIN}, {.fd = source->inotify, .events = POLLIN}};

	for (;;) {
		int wait_ms = resolve(source);
		size_t count = resolver_fds(source->resolver, fds + 2);
		int ready = poll(fds, 2 + count, wait_ms);

		if (fds[0].revents)
			return NULL;
		if (resolver_run(source->resolver, fds + 2, count))
			publish(source);
		if (ready > 0 && fds[1].revents)
			read_events(source);
		else if (source->watched < 0 && !source->lines && watch_folder(source))
			reload(source);
	}
}

static struct discovery_watch *static_watch(
	struct discovery *discovery, const char *service, discovery_changed *changed, void *context)
{
	return catalog_watch(&source_of(discovery)->catalog, discovery, service, changed, context);
}

static void static_unwatch(struct discovery_watch *watch)
{
	struct static_source *source = source_of(watch->discovery);

	assert(!pthread_equal(pthread_self(), source->thread));
	catalog_unwatch(&source->catalog, watch);
}

/* Whoever wrote the file said where we are. */
static bool static_enroll(
	struct discovery *discovery, const struct registration *registration, struct error *error)
{
	return registration_check(registration, error);
}

static void static_withdraw(struct discovery *discovery)
{
}

static void release(struct static_source *source)
{
	if (source->inotify >= 0)
		close(source->inotify);
	if (source->stop >= 0)
		close(source->stop);
	catalog_release(&source->catalog);
	drop_file(source);
	resolver_free(source->resolver);
	free(source->lines);
	free(source->path);
	free(source->folder);
	free(source);
}

static void static_free(struct discovery *discovery)
{
	struct static_source *source = source_of(discovery);
	uint64_t one = 1;
	ssize_t written = write(source->stop, &one, sizeof(one));

	assert(written == sizeof(one));
	pthread_join(source->thread, NULL);
	release(source);
}

static const struct discovery_source static_vtable = {
	.watch = static_watch,
	.unwatch = static_unwatch,
	.enroll = static_enroll,
	.withdraw = static_withdraw,
	.free = static_free,
};

static void split_path(struct static_source *source, const char *path)
{
	const char *slash = strrchr(path, '/');

	source->path = memory_copy_text(path);
	source->name = slash ? source->path + (slash - path) + 1 : source->path;
	if (!slash)
		source->folder = memory_copy_text(".");
	else
		source->folder = memory_format("%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static bool start_thread(struct static_source *source, struct error *error)
{
	sigset_t all, before;
	int code;

	signals_fill(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&source->thread, NULL, run, source);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code)
		return error_set(error, "no thread for discovery: %s", strerror(code));
	pthread_setname_np(source->thread, "discovery");
	return true;
}

static bool start(struct static_source *source, struct error *error)
{
	source->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	source->stop = eventfd(0, EFD_CLOEXEC);
	if (source->inotify < 0 || source->stop < 0)
		return error_set(error, "no descriptor to watch '%s': %s", source->path, strerror(errno));
	/* watched before it is read, so that no change falls in between */
	if (!source->lines && !watch_folder(source))
		return error_set(
			error, "the folder '%s' cannot be watched: %s", source->folder, strerror(errno));
	return load(source, error) && start_thread(source, error);
}

static struct static_source *source_new(const char *path, const char *servers, int64_t resolve_ms)
{
	struct static_source *source = NEW(struct static_source);

	source->base.source = &static_vtable;
	source->inotify = source->stop = source->watched = -1;
	source->resolve_ms = resolve_ms;
	source->resolver = resolver_new(servers);
	catalog_init(&source->catalog);
	split_path(source, path);
	return source;
}

static struct discovery *start_or_release(struct static_source *source, struct error *error)
{
	if (start(source, error))
		return &source->base;
	release(source);
	return NULL;
}

struct discovery *discovery_static_new_with(
	const char *path, const char *servers, int64_t resolve_ms, struct error *error)
{
	return start_or_release(source_new(path, servers, resolve_ms), error);
}

struct discovery *discovery_static_new_fixed(const char *lines, const char *name, struct error *error)
{
	struct static_source *source = source_new(name, NULL, STATIC_RESOLVE_MS);

	source->lines = memory_copy_text(lines);
	return start_or_release(source, error);
}

struct discovery *discovery_static_new(const char *path, struct error *error)
{
	return discovery_static_new_with(path, NULL, STATIC_RESOLVE_MS, error);
}
