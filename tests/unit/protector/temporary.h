/* tests/unit/protector/temporary.h - a directory for a test's files. */
#ifndef FLASHSALE_TESTS_TEMPORARY_H
#define FLASHSALE_TESTS_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEMPORARY_MAX 64

struct temporary {
	char directory[TEMPORARY_MAX], recording[TEMPORARY_MAX + 16], truth[TEMPORARY_MAX + 16];
};

static inline void temporary_make(struct temporary *t)
{
	snprintf(t->directory, sizeof(t->directory), "/tmp/flashsale-traffic-XXXXXX");
	if (!mkdtemp(t->directory))
		abort();
	snprintf(t->recording, sizeof(t->recording), "%s/recording", t->directory);
	snprintf(t->truth, sizeof(t->truth), "%s/truth", t->directory);
}

static inline void temporary_remove(const struct temporary *t)
{
	unlink(t->recording);
	unlink(t->truth);
	rmdir(t->directory);
}

static inline void temporary_fill(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");

	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
		abort();
}

#endif
