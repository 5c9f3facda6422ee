/* rpc/store_fault.c - see store_fault.h. In a handler only what is safe there: system calls, and memory of ours; base/log.c takes no lock and no memory. */
#include "rpc/store_fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "rpc/tool.h"

static const char *watched_program; /* NULL: a service */
static const char *watched_directory;
static struct sigaction before_bus, before_segv; /* a sanitizer has its own */

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));

	(void)written;
}

static void say_number(uint64_t number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	say(digits + at);
}

/* A line of /proc/self/maps: "start-end rights offset device inode path". */
static bool line_has(const char *line, uintptr_t address, uint64_t *ret_offset)
{
	uint64_t numbers[3] = {0}; /* start, end, offset */
	const char *at = line;
	size_t length = strlen(line);

	if (length < 9 || strcmp(line + length - 9, "/data.mdb") != 0)
		return false;
	for (int i = 0; i < 3; i++) {
		for (; (*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'); at++)
			numbers[i] = numbers[i] * 16 + (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
		if (i == 1) /* over the rights */
			for (at++; *at && *at != ' '; at++)
				;
		if (*at)
			at++;
	}
	*ret_offset = address - numbers[0] + numbers[2];
	return address >= numbers[0] && address < numbers[1];
}

/* Whether the address is in the data file, and where. */
static bool find_place(uintptr_t address, uint64_t *ret_offset)
{
	char buffer[512], line[4352];
	size_t length = 0;
	ssize_t got;
	bool found = false;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && !found && (got = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < got && !found; i++) {
			if (buffer[i] != '\n') {
				if (length < sizeof(line) - 1)
					line[length++] = buffer[i];
				continue;
			}
			line[length] = '\0';
			length = 0;
			found = line_has(line, address, ret_offset);
		}
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static _Noreturn void end(void)
{
	say(": restore a backup\n");
	_exit(TOOL_CANNOT);
}

static void begin(void)
{
	say(watched_program);
	say(": store ");
	say(watched_directory);
	say(": the data file is damaged ");
}

#define SERVICE_TEXT "the store's data file is damaged, or was cut while in use: restore a backup"

/* Then back to the instruction, which faults again for who had the signal before; by default the process dies of it. */
static void say_as_service(int signal, uintptr_t address)
{
	uint64_t offset;

	if (find_place(address, &offset))
		log_error(SERVICE_TEXT, LOG_TEXT("store", watched_directory),
			LOG_INT("near_byte", (int64_t)offset), LOG_INT("signal", signal));
	sigaction(signal, signal == SIGBUS ? &before_bus : &before_segv, NULL);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	uint64_t offset;

	if (!watched_program) {
		say_as_service(signal, (uintptr_t)info->si_addr);
		return;
	}
	begin();
	if (find_place((uintptr_t)info->si_addr, &offset)) {
		say("near byte ");
		say_number(offset);
	} else {
		say("(its pages do not fit together, signal ");
		say_number((uint64_t)signal);
		say(")");
	}
	end();
}

static void on_assert(MDB_env *env, const char *text)
{
	if (!watched_program) {
		log_error(SERVICE_TEXT, LOG_TEXT("store", watched_directory), LOG_TEXT("lmdb", text));
		abort();
	}
	begin();
	say("(LMDB: ");
	say(text);
	say(")");
	end();
}

static void watch(const char *program, const char *directory)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	watched_program = program;
	watched_directory = directory;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before_bus);
	sigaction(SIGSEGV, &action, &before_segv);
}

void store_fault_watch_tool(const char *program, const char *directory)
{
	watch(program, directory);
}

void store_fault_watch_service(const char *directory)
{
	watch(NULL, directory);
}

void store_fault_env(MDB_env *env)
{
	mdb_env_set_assert(env, on_assert);
}
