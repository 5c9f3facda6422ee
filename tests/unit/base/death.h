/* tests/unit/base/death.h - does a function end the process? It runs in a child, whose last words are not shown. */
#ifndef FLASHSALE_TESTS_DEATH_H
#define FLASHSALE_TESTS_DEATH_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool dies(void (*function)(void))
{
	const struct rlimit no_core = {0, 0};
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(nowhere, STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &no_core);
		function();
		_exit(0);
	}
	while (waitpid(child, &status, 0) != child)
		;
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

#endif
