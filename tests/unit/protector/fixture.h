/* tests/unit/protector/fixture.h - an empty protector store in a folder of its own. */
#ifndef FLASHSALE_TESTS_PROTECTOR_FIXTURE_H
#define FLASHSALE_TESTS_PROTECTOR_FIXTURE_H

#include "protector/records.h"
#include "protector/shelf.h"
#include "tests/unit/base/folder.h"

struct fixture {
	char directory[FOLDER_TEXT_MAX];
	struct store_options options;
	struct store *store;
	struct history history;
};

#define FIXTURE_LIMITS \
	{ \
		.retention_ms = 10000, .address_ms = 1000, .rows_max = 100000 \
	}

static inline void fixture_open(struct fixture *f)
{
	const struct history_limits limits = FIXTURE_LIMITS;
	struct error error;
	bool made;

	f->store = store_open(&f->options, &error);
	assert(f->store);
	made = history_open(&f->history, f->store, &limits, &error);
	assert(made);
}

static inline void fixture_init(struct fixture *f)
{
	struct error error;
	bool made;

	folder_make(f->directory);
	f->options = (struct store_options){.directory = f->directory,
		.service = "protector",
		.format = PROTECTOR_FORMAT,
		.shards = 1,
		.map_bytes = 64 << 20,
		.tables = shelf_tables,
		.table_count = SHELF_TABLE_COUNT};
	made = store_create(&f->options, &error);
	assert(made);
	fixture_open(f);
}

static inline void fixture_release(struct fixture *f)
{
	store_close(f->store);
	folder_remove(f->directory);
}

/* How many rows a table has. */
static inline size_t fixture_rows(struct fixture *f, int table)
{
	MDB_stat stat;
	MDB_txn *txn;
	int rc = store_read_begin(f->store, &txn);

	assert(rc == 0);
	rc = mdb_stat(txn, f->store->tables[table], &stat);
	assert(rc == 0);
	mdb_txn_abort(txn);
	return stat.ms_entries;
}

static inline MDB_txn *fixture_begin(struct fixture *f)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(f->store->env, NULL, 0, &txn);

	assert(rc == 0);
	return txn;
}

#endif
