/* rpc/tool_fault.c - see tool_fault.h. In a handler only what is safe there: system calls, and memory of ours. */
#include "rpc/tool_fault.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "rpc/tool.h"

static const char *watched_program, *watched_directory;

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

static void on_fault(int signal, siginfo_t *info, void *context)
{
	uint64_t offset;

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
	begin();
	say("(LMDB: ");
	say(text);
	say(")");
	end();
}

void tool_fault_watch(const char *program, const char *directory)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	watched_program = program;
	watched_directory = directory;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

void tool_fault_env(MDB_env *env)
{
	mdb_env_set_assert(env, on_assert);
}
