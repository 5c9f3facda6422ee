#include "protector/settings_store.h"

#include <stdio.h>

#include "base/log.h"

#define VERSION 1
#define DETECTOR_NUMBERS 7 /* enabled, shadow, window, least, slow, challenge, ban */
#define LADDER_NUMBERS 6
#define NAME_MAX_BYTES 64
#define BYTES(numbers) (1 + 8 * (numbers))

static void pack(uint8_t *to, const int64_t *numbers, size_t count)
{
	to[0] = VERSION;
	for (size_t i = 0; i < count; i++)
		store_put_be64(to + 1 + 8 * i, (uint64_t)numbers[i]);
}

static bool unpack(const uint8_t *from, int64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		numbers[i] = (int64_t)store_get_be64(from + 1 + 8 * i);
	return from[0] == VERSION;
}

static void name_of(enum detector detector, char name[NAME_MAX_BYTES])
{
	snprintf(name, NAME_MAX_BYTES, "detector/%s", detector_infos[detector].name);
}

static int put_detector(
	struct store *store, MDB_txn *txn, const struct detector_setting *setting, enum detector detector)
{
	const int64_t numbers[DETECTOR_NUMBERS] = {setting->enabled, setting->shadow, setting->window_us,
		setting->least, setting->slow, setting->challenge, setting->ban};
	uint8_t bytes[BYTES(DETECTOR_NUMBERS)];
	char name[NAME_MAX_BYTES];

	pack(bytes, numbers, DETECTOR_NUMBERS);
	name_of(detector, name);
	return store_meta_put(store, txn, name, bytes, sizeof(bytes));
}

int settings_store_put(
	struct store *store, MDB_txn *txn, const struct detector_settings *settings, enum detector detector)
{
	const int64_t numbers[LADDER_NUMBERS] = {settings->slow_us, settings->challenge_us, settings->ban_us,
		settings->ban_longest_us, settings->decay_us, settings->exempt_us};
	uint8_t bytes[BYTES(LADDER_NUMBERS)];

	if (detector != DETECTOR_NONE)
		return put_detector(store, txn, &settings->of[detector], detector);
	pack(bytes, numbers, LADDER_NUMBERS);
	return store_meta_put(store, txn, "ladder", bytes, sizeof(bytes));
}

/* Takes what was read into *settings if all of it can be. */
static void take(struct detector_settings *settings, const struct detector_settings *read, const char *name)
{
	const char *field;
	struct error error;

	if (detector_settings_check(read, &field, &error))
		*settings = *read;
	else
		log_warn("a stored setting can not be any more; the standard counts",
			LOG_TEXT("setting", name), LOG_TEXT("why", error.text));
}

static int load_detector(
	struct store *store, MDB_txn *txn, struct detector_settings *settings, enum detector detector)
{
	struct detector_settings read = *settings;
	uint8_t bytes[BYTES(DETECTOR_NUMBERS)];
	int64_t numbers[DETECTOR_NUMBERS];
	char name[NAME_MAX_BYTES];
	int rc;

	name_of(detector, name);
	rc = store_meta_get(store, txn, name, bytes, sizeof(bytes));
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (!unpack(bytes, numbers, DETECTOR_NUMBERS))
		return MDB_CORRUPTED;
	read.of[detector] = (struct detector_setting){.enabled = numbers[0],
		.shadow = numbers[1],
		.window_us = numbers[2],
		.least = (uint32_t)numbers[3],
		.slow = (uint32_t)numbers[4],
		.challenge = (uint32_t)numbers[5],
		.ban = (uint32_t)numbers[6]};
	take(settings, &read, name);
	return 0;
}

static int load_ladder(struct store *store, MDB_txn *txn, struct detector_settings *settings)
{
	struct detector_settings read = *settings;
	uint8_t bytes[BYTES(LADDER_NUMBERS)];
	int64_t numbers[LADDER_NUMBERS];
	int rc = store_meta_get(store, txn, "ladder", bytes, sizeof(bytes));

	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	if (!unpack(bytes, numbers, LADDER_NUMBERS))
		return MDB_CORRUPTED;
	read.slow_us = numbers[0];
	read.challenge_us = numbers[1];
	read.ban_us = numbers[2];
	read.ban_longest_us = numbers[3];
	read.decay_us = numbers[4];
	read.exempt_us = numbers[5];
	take(settings, &read, "ladder");
	return 0;
}

bool settings_store_load(struct store *store, struct detector_settings *settings, struct error *error)
{
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);

	detector_settings_standard(settings);
	if (!rc) {
		rc = load_ladder(store, txn, settings);
		for (enum detector i = DETECTOR_NONE + 1; !rc && i < DETECTORS; i++)
			rc = load_detector(store, txn, settings, i);
		mdb_txn_abort(txn);
	}
	return !rc ||
	       error_set(error, "store %s: the detectors' settings can't be read, restore a backup: %s",
		       store->directory, mdb_strerror(rc));
}
