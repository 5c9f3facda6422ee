/* flashsale-raw-lmdb DIRECTORY GROUP SECONDS MOST: the writes of a hold as LMDB alone does them; one line of JSON at the end.
 *
 * The same tables, keys, sizes and groups as inventory's books (inventory/records.h), each group one durable commit: what a store on LMDB can
 * reach at best on this machine. Nothing is looked up or decided, everything is appended, all bytes but the keys are the same. */
#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/store.h"
#include "inventory/records.h"
#include "samples.h"

#define MAP_BYTES ((size_t)16 << 30)
#define HOLD_TTL_MS 600000

enum table { GOODS, HOLDS, EXPIRY, LEDGER, META, TABLE_COUNT };

struct raw {
	MDB_env *env;
	MDB_dbi tables[TABLE_COUNT];
	struct id_generator ids;
	uint64_t sequence;
	uint8_t ledger[LEDGER_RECORD_MAX];
	size_t ledger_size;
	int64_t now_ms;
};

static void must(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
	exit(1);
}

static void raw_open(struct raw *raw, const char *directory)
{
	static const char *const names[TABLE_COUNT] = {"goods", "holds", "expiry", "ledger", "meta"};
	MDB_txn *txn;

	if (mkdir(directory, 0700) != 0)
		must(errno, directory);
	must(mdb_env_create(&raw->env), "mdb_env_create");
	must(mdb_env_set_maxdbs(raw->env, TABLE_COUNT), "mdb_env_set_maxdbs");
	must(mdb_env_set_mapsize(raw->env, MAP_BYTES), "mdb_env_set_mapsize");
	must(mdb_env_open(raw->env, directory, 0, 0600), "mdb_env_open");
	must(mdb_txn_begin(raw->env, NULL, 0, &txn), "mdb_txn_begin");
	for (int i = 0; i < TABLE_COUNT; i++)
		must(mdb_dbi_open(txn, names[i], MDB_CREATE, &raw->tables[i]), "mdb_dbi_open");
	must(mdb_txn_commit(txn), "mdb_txn_commit");
}

/* A ledger entry as a hold of the bench has it: names, session and key of the lengths in tests/bench/requests.c. */
static void raw_prepare(struct raw *raw)
{
	static const char hash[] = "0123456789abcdef", session[] = "0190a5c2-7d3e-7c31-9a55-0123456789ab";
	struct ledger_entry entry = {.kind = LEDGER_HOLD_CREATED,
		.created = {.quantity = 1,
			.price_micros = 99000000,
			.epoch = 1,
			.currency = "USD",
			.sku = {"BENCH", 5},
			.user = {"shopper-0000000001", 18},
			.session = {session, sizeof(session) - 1},
			.key_hash = {hash, 16},
			.fingerprint = {hash, 16}}};

	raw->ledger_size = ledger_pack(&entry, raw->ledger);
	id_generator_init(&raw->ids, &clock_system);
}

static void put(MDB_cursor *cursor, const void *key, size_t key_size, const void *data, size_t size)
{
	MDB_val key_value = {key_size, (void *)(uintptr_t)key}, value = {size, (void *)(uintptr_t)data};

	must(mdb_cursor_put(cursor, &key_value, &value, MDB_APPEND), "mdb_cursor_put");
}

static void write_hold(struct raw *raw, MDB_cursor *holds, MDB_cursor *expiry, MDB_cursor *ledger)
{
	struct hold hold = {.id = id_next(&raw->ids),
		.state = HOLD_HELD,
		.quantity = 1,
		.deadline_ms = raw->now_ms + HOLD_TTL_MS};
	uint8_t sequence[8], record[HOLD_RECORD_MAX], due[EXPIRY_KEY_BYTES];

	store_put_be64(sequence, ++raw->sequence);
	memcpy(raw->ledger + 13, hold.id.bytes, ID_BYTES);
	put(ledger, sequence, sizeof(sequence), raw->ledger, raw->ledger_size);
	put(holds, hold.id.bytes, ID_BYTES, record, hold_pack(&hold, record));
	expiry_key_pack(hold.deadline_ms, &hold.id, due);
	put(expiry, due, sizeof(due), "", 0);
}

/* What is written once a group. */
static void write_rest(struct raw *raw, MDB_txn *txn)
{
	static const struct goods goods = {.stock = 1, .available = 1, .currency = "USD"};
	uint8_t record[GOODS_RECORD_BYTES], time[16] = {0};
	MDB_val key = {5, (void *)(uintptr_t) "BENCH"}, value = {goods_pack(&goods, record), record};

	must(mdb_put(txn, raw->tables[GOODS], &key, &value, 0), "mdb_put");
	store_put_be64(time, (uint64_t)raw->now_ms);
	key = (MDB_val){4, (void *)(uintptr_t) "time"};
	value = (MDB_val){sizeof(time), time};
	must(mdb_put(txn, raw->tables[META], &key, &value, 0), "mdb_put");
}

static void write_group(struct raw *raw, uint32_t group)
{
	MDB_cursor *holds, *expiry, *ledger;
	MDB_txn *txn;

	raw->now_ms = clock_wall_ms(&clock_system);
	must(mdb_txn_begin(raw->env, NULL, 0, &txn), "mdb_txn_begin");
	must(mdb_cursor_open(txn, raw->tables[HOLDS], &holds), "mdb_cursor_open");
	must(mdb_cursor_open(txn, raw->tables[EXPIRY], &expiry), "mdb_cursor_open");
	must(mdb_cursor_open(txn, raw->tables[LEDGER], &ledger), "mdb_cursor_open");
	for (uint32_t i = 0; i < group; i++)
		write_hold(raw, holds, expiry, ledger);
	write_rest(raw, txn);
	must(mdb_txn_commit(txn), "mdb_txn_commit");
}

static double used_bytes(const struct raw *raw)
{
	MDB_envinfo info;
	MDB_stat stat;

	mdb_env_info(raw->env, &info);
	mdb_env_stat(raw->env, &stat);
	return (double)(info.me_last_pgno + 1) * stat.ms_psize;
}

int main(int argc, char **argv)
{
	struct samples samples = {0};
	struct raw raw = {0};
	int64_t began_ns, until_ns, before_ns;
	uint64_t most;
	uint32_t group;

	if (argc != 5)
		return 2;
	group = (uint32_t)strtoul(argv[2], NULL, 10);
	most = strtoull(argv[4], NULL, 10);
	raw_open(&raw, argv[1]);
	raw_prepare(&raw);
	began_ns = clock_mono_ns();
	until_ns = began_ns + strtol(argv[3], NULL, 10) * INT64_C(1000000000);
	do {
		before_ns = clock_mono_ns();
		write_group(&raw, group);
		samples_add(&samples, clock_mono_ns() - before_ns);
	} while (clock_mono_ns() < until_ns && raw.sequence < most);
	printf("{\"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"holds\": %llu, \"bytes_a_hold\": "
	       "%.1f}\n",
		(double)raw.sequence * 1e9 / (double)(clock_mono_ns() - began_ns), samples_ms(&samples, 0.50),
		samples_ms(&samples, 0.99), (unsigned long long)raw.sequence,
		used_bytes(&raw) / (double)raw.sequence);
	mdb_env_close(raw.env);
	free(samples.us);
	return 0;
}
