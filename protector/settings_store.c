#include "protector/settings_store.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define VERSION 2
#define VERSION_WITHOUT_ID 1
#define DETECTOR_NUMBERS 7 /* enabled, shadow, window, least, slow, challenge, ban */
#define LADDER_NUMBERS 6
#define NUMBERS_MAX DETECTOR_NUMBERS
#define NAME_MAX_BYTES 64
#define BYTES(numbers) (1 + ID_BYTES + 8 * (numbers))

static void pack(uint8_t *to, const struct id *id, const int64_t *numbers, size_t count)
{
	to[0] = VERSION;
	memcpy(to + 1, id->bytes, ID_BYTES);
	for (size_t i = 0; i < count; i++)
		store_put_be64(to + 1 + ID_BYTES + 8 * i, (uint64_t)numbers[i]);
}

/* Of either version. MDB_NOTFOUND: it was never changed. */
static int get(
	struct store *store, MDB_txn *txn, const char *name, struct id *id, int64_t *numbers, size_t count)
{
	uint8_t bytes[BYTES(NUMBERS_MAX)];
	const uint8_t *at = bytes + 1;
	int rc = store_meta_get(store, txn, name, bytes, BYTES(count));

	memset(id, 0, sizeof(*id));
	if (!rc && bytes[0] != VERSION)
		return MDB_CORRUPTED;
	if (!rc) {
		memcpy(id->bytes, at, ID_BYTES);
		at += ID_BYTES;
	} else if (rc == MDB_CORRUPTED) {
		rc = store_meta_get(store, txn, name, bytes, BYTES(count) - ID_BYTES);
		if (!rc && bytes[0] != VERSION_WITHOUT_ID)
			return MDB_CORRUPTED;
	}
	for (size_t i = 0; !rc && i < count; i++)
		numbers[i] = (int64_t)store_get_be64(at + 8 * i);
	return rc;
}

static void name_of(enum detector part, char name[NAME_MAX_BYTES])
{
	if (part == DETECTOR_NONE)
		snprintf(name, NAME_MAX_BYTES, "ladder");
	else
		snprintf(name, NAME_MAX_BYTES, "detector/%s", detector_infos[part].name);
}

static size_t list_numbers(
	const struct detector_settings *settings, enum detector part, int64_t numbers[NUMBERS_MAX])
{
	const struct detector_setting *setting = &settings->of[part];
	const int64_t ladder[LADDER_NUMBERS] = {settings->slow_us, settings->challenge_us, settings->ban_us,
		settings->ban_longest_us, settings->decay_us, settings->exempt_us};
	const int64_t detector[DETECTOR_NUMBERS] = {setting->enabled, setting->shadow, setting->window_us,
		setting->least, setting->slow, setting->challenge, setting->ban};

	if (part == DETECTOR_NONE) {
		memcpy(numbers, ladder, sizeof(ladder));
		return LADDER_NUMBERS;
	}
	memcpy(numbers, detector, sizeof(detector));
	return DETECTOR_NUMBERS;
}

static void set_numbers(
	struct detector_settings *settings, enum detector part, const int64_t numbers[NUMBERS_MAX])
{
	if (part == DETECTOR_NONE) {
		settings->slow_us = numbers[0];
		settings->challenge_us = numbers[1];
		settings->ban_us = numbers[2];
		settings->ban_longest_us = numbers[3];
		settings->decay_us = numbers[4];
		settings->exempt_us = numbers[5];
		return;
	}
	settings->of[part] = (struct detector_setting){.enabled = numbers[0],
		.shadow = numbers[1],
		.window_us = numbers[2],
		.least = (uint32_t)numbers[3],
		.slow = (uint32_t)numbers[4],
		.challenge = (uint32_t)numbers[5],
		.ban = (uint32_t)numbers[6]};
}

int settings_store_put(struct store *store, MDB_txn *txn, const struct settings_change *change)
{
	int64_t numbers[NUMBERS_MAX], stored[NUMBERS_MAX];
	const size_t count = list_numbers(&change->settings, change->part, numbers);
	uint8_t bytes[BYTES(NUMBERS_MAX)];
	char name[NAME_MAX_BYTES];
	struct id last;
	int rc;

	name_of(change->part, name);
	rc = get(store, txn, name, &last, stored, count);
	if (rc && rc != MDB_NOTFOUND)
		return rc;
	if (id_compare(&last, &change->id) > 0)
		return 0;
	pack(bytes, &change->id, numbers, count);
	return store_meta_put(store, txn, name, bytes, BYTES(count));
}

/* Takes what was read into *settings if all of it can be. */
static bool take(struct detector_settings *settings, const struct detector_settings *read, const char *name)
{
	const char *field;
	struct error error;

	if (detector_settings_check(read, &field, &error)) {
		*settings = *read;
		return true;
	}
	log_warn("a stored setting can not be any more; the standard counts", LOG_TEXT("setting", name),
		LOG_TEXT("why", error.text));
	return false;
}

static int load_part(struct store *store, MDB_txn *txn, struct detector_settings *settings,
	enum detector part, struct id *ret_change)
{
	struct detector_settings read = *settings;
	int64_t numbers[NUMBERS_MAX];
	char name[NAME_MAX_BYTES];
	int rc;

	name_of(part, name);
	rc = get(store, txn, name, ret_change, numbers, list_numbers(settings, part, numbers));
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	set_numbers(&read, part, numbers);
	if (!take(settings, &read, name))
		memset(ret_change, 0, sizeof(*ret_change));
	return 0;
}

bool settings_store_load(struct store *store, struct detector_settings *settings,
	struct id changes[DETECTORS], struct error *error)
{
	MDB_txn *txn;
	int rc = store_read_begin(store, &txn);

	detector_settings_standard(settings);
	if (!rc) {
		for (enum detector part = DETECTOR_NONE; !rc && part < DETECTORS; part++)
			rc = load_part(store, txn, settings, part, &changes[part]);
		mdb_txn_abort(txn);
	}
	return !rc ||
	       error_set(error, "store %s: the detectors' settings can't be read, restore a backup: %s",
		       store->directory, mdb_strerror(rc));
}
