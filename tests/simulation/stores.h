/* tests/simulation/stores.h - LMDB, clocks and randomness as the code under test meets them here.
 *
 * stores.c stands between the libraries and LMDB (by the linker): commits take time, may be torn by a crash to either side, or report a failure
 * after either outcome; puts fail. LMDB itself is real, on a folder in memory and without fsync: it is trusted, and a crash here is one of
 * the process, decided between the last byte written and the first. */
#ifndef FLASHSALE_TESTS_SIMULATION_STORES_H
#define FLASHSALE_TESTS_SIMULATION_STORES_H

#include <lmdb.h>

#include "world.h"

struct sim_store {
	struct sim_store *next;
	const char *directory; /* of whom the environment is */
	MDB_env *env;
	MDB_txn *txn;          /* the writing one that is open */
	bool committing;       /* inside a commit that has not happened yet */
	bool dead;             /* its process has crashed: nothing is written any more */
	bool disk_full, failed_put, failed_commit, map_full;
	bool map_full_told; /* the next commit goes well, as it does without what grows */
	uint32_t fail_put, fail_commit;
	void (*committed)(void *owner); /* something became durable */
	void *owner;
};

/* Before the store at `directory` is opened. */
void stores_register(struct sim_store *store, const char *directory, void *owner);
/* The process is gone; a commit that was under way happened or not. The environment is closed by its owner. */
void stores_crash(struct sim_store *store);
void stores_forget(struct sim_store *store);

#endif
