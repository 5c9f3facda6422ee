/* witness.c - between a program and libc (LD_PRELOAD): notes in one order what the program writes to and syncs of its data.mdb and what it
 * sends to others, and holds a write or a sync back while a test says so.
 *
 * FLASHSALE_WITNESS names a folder. Each event is appended to its file `trace` (struct event, then `length` bytes). The order of the file is
 * pessimistic on purpose: a write and a sending are noted before they happen, a sync's end after it happened. So what is durable by the
 * trace is durable, and what left by the trace may have left.
 * Gates are files in the same folder; who comes to a shut one notes EVENT_HELD and waits until that file is gone:
 *   hold-sync      before an fdatasync or fsync of data.mdb
 *   hold-meta      before a write of a meta page (one through a descriptor opened with O_DSYNC)
 *   hold-meta-end  after that write, before the program hears that it ended
 * Threads: any; one mutex orders the events. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DATA_FILE "/data.mdb"
#define PATH_BYTES 4096
#define GATE_PAUSE_NS 1000000
#define PARTS_MAX 1000 /* of one call; the event itself is one more, and the system takes 1024 */

enum event_kind {
	EVENT_WRITE = 1, /* payload: what is written at `offset` */
	EVENT_WRITTEN,	 /* the write numbered `offset` ended */
	EVENT_SYNC,
	EVENT_SYNCED, /* the sync numbered `offset` ended */
	EVENT_SEND,   /* payload: what is sent to the socket `fd` */
	EVENT_HELD,   /* before the gate `offset` */
	EVENT_CUT,    /* the file's length becomes `offset` */
	EVENT_MAPPED, /* data.mdb was mapped for writing */
};

enum { GATE_SYNC, GATE_META, GATE_META_END, GATE_COUNT };

/* As tests/crash/witness.py reads it. */
struct event {
	uint64_t number;
	int64_t mono_ns;
	int64_t offset;
	uint64_t length;
	int32_t kind;
	int32_t fd;
	int32_t durable; /* of a write: its end is also its sync */
	int32_t result;	 /* of an end: 0, or errno */
};

static const char *const gate_names[GATE_COUNT] = {"hold-sync", "hold-meta", "hold-meta-end"};
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t count;
static int trace_fd = -1;
static const char *folder;

static struct {
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*pwrite)(int, const void *, size_t, off_t);
	ssize_t (*writev)(int, const struct iovec *, int);
	ssize_t (*sendmsg)(int, const struct msghdr *, int);
	int (*fdatasync)(int);
	int (*fsync)(int);
	int (*ftruncate)(int, off_t);
	void *(*mmap)(void *, size_t, int, int, int, off_t);
} real;

static void *find(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

static void begin(void)
{
	char path[PATH_BYTES];

	real.write = find("write");
	real.pwrite = find("pwrite");
	real.writev = find("writev");
	real.sendmsg = find("sendmsg");
	real.fdatasync = find("fdatasync");
	real.fsync = find("fsync");
	real.ftruncate = find("ftruncate");
	real.mmap = find("mmap");
	folder = getenv("FLASHSALE_WITNESS");
	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/trace", folder);
	trace_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (trace_fd < 0)
		abort();
}

static bool is_data_file(int fd)
{
	char link[64], path[PATH_BYTES];
	ssize_t length;

	pthread_once(&once, begin);
	if (trace_fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < (ssize_t)strlen(DATA_FILE))
		return false;
	path[length] = '\0';
	return strcmp(path + length - strlen(DATA_FILE), DATA_FILE) == 0;
}

static bool is_network(int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);

	pthread_once(&once, begin);
	return trace_fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}

/* The event's number. A trace with a hole proves nothing: the program ends. */
static uint64_t note(struct event event, const struct iovec *parts, int part_count)
{
	struct iovec all[PARTS_MAX + 1] = {{&event, sizeof(event)}};
	struct timespec now;

	if (part_count > PARTS_MAX)
		abort();
	for (int i = 0; i < part_count; i++) {
		all[i + 1] = parts[i];
		event.length += parts[i].iov_len;
	}
	pthread_mutex_lock(&order);
	event.number = ++count;
	clock_gettime(CLOCK_MONOTONIC, &now);
	event.mono_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	if (real.writev(trace_fd, all, part_count + 1) != (ssize_t)(sizeof(event) + event.length))
		abort();
	pthread_mutex_unlock(&order);
	return event.number;
}

/* 0: the gate is open. A test lets one pass, and the next one not, by putting another file in its place. */
static ino_t shut_by(int gate)
{
	char path[PATH_BYTES];
	struct stat status;

	snprintf(path, sizeof(path), "%s/%s", folder, gate_names[gate]);
	return stat(path, &status) == 0 ? status.st_ino : 0;
}

static void pass_gate(int gate, int fd)
{
	struct timespec pause = {0, GATE_PAUSE_NS};
	ino_t shut = shut_by(gate);

	if (!shut)
		return;
	note((struct event){.kind = EVENT_HELD, .fd = fd, .offset = gate}, NULL, 0);
	while (shut_by(gate) == shut)
		nanosleep(&pause, NULL);
}

static bool is_synchronous(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_DSYNC);
}

/* `offset` -1: where the descriptor stands. */
static uint64_t write_begins(int fd, const struct iovec *parts, int part_count, off_t offset)
{
	bool durable = is_synchronous(fd);

	if (durable)
		pass_gate(GATE_META, fd);
	if (offset < 0)
		offset = lseek(fd, 0, SEEK_CUR);
	return note((struct event){.kind = EVENT_WRITE, .fd = fd, .offset = offset, .durable = durable},
		parts, part_count);
}

static ssize_t write_ends(int fd, uint64_t number, ssize_t result, const struct iovec *parts, int part_count)
{
	bool durable = is_synchronous(fd);
	int error = result < 0 ? errno : 0;
	size_t whole = 0;

	for (int i = 0; i < part_count; i++)
		whole += parts[i].iov_len;
	/* Written in part counts as failed: then it is not durable. */
	note((struct event){.kind = EVENT_WRITTEN,
		     .fd = fd,
		     .offset = (int64_t)number,
		     .durable = durable,
		     .result = result == (ssize_t)whole ? 0 : (error ? error : EIO)},
		NULL, 0);
	if (durable)
		pass_gate(GATE_META_END, fd);
	errno = error;
	return result;
}

ssize_t write(int fd, const void *data, size_t size)
{
	struct iovec part = {(void *)(uintptr_t)data, size};
	uint64_t number;

	if (!is_data_file(fd))
		return real.write(fd, data, size);
	number = write_begins(fd, &part, 1, -1);
	return write_ends(fd, number, real.write(fd, data, size), &part, 1);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	struct iovec part = {(void *)(uintptr_t)data, size};
	uint64_t number;

	if (!is_data_file(fd))
		return real.pwrite(fd, data, size, offset);
	number = write_begins(fd, &part, 1, offset);
	return write_ends(fd, number, real.pwrite(fd, data, size, offset), &part, 1);
}

ssize_t writev(int fd, const struct iovec *parts, int part_count)
{
	uint64_t number;

	if (!is_data_file(fd))
		return real.writev(fd, parts, part_count);
	number = write_begins(fd, parts, part_count, -1);
	return write_ends(fd, number, real.writev(fd, parts, part_count), parts, part_count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (is_network(fd))
		note((struct event){.kind = EVENT_SEND, .fd = fd}, message->msg_iov,
			(int)message->msg_iovlen);
	return real.sendmsg(fd, message, flags);
}

static int sync_file(int fd, int (*how)(int))
{
	uint64_t number;
	int result, error;

	if (!is_data_file(fd))
		return how(fd);
	number = note((struct event){.kind = EVENT_SYNC, .fd = fd}, NULL, 0);
	pass_gate(GATE_SYNC, fd);
	result = how(fd);
	error = result ? errno : 0;
	note((struct event){.kind = EVENT_SYNCED, .fd = fd, .offset = (int64_t)number, .result = error}, NULL,
		0);
	errno = error;
	return result;
}

int fdatasync(int fd)
{
	pthread_once(&once, begin);
	return sync_file(fd, real.fdatasync);
}

int fsync(int fd)
{
	pthread_once(&once, begin);
	return sync_file(fd, real.fsync);
}

int ftruncate(int fd, off_t length)
{
	if (is_data_file(fd))
		note((struct event){.kind = EVENT_CUT, .fd = fd, .offset = length}, NULL, 0);
	return real.ftruncate(fd, length);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && is_data_file(fd))
		note((struct event){.kind = EVENT_MAPPED, .fd = fd}, NULL, 0);
	pthread_once(&once, begin);
	return real.mmap(address, size, protection, flags, fd, offset);
}
