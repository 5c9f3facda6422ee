#include "protector/truth.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/memory.h"

#define LINE_MAX_BYTES 256
#define FIELDS 4

struct person {
	UT_hash_handle hh;
	char key[BANS_USER_MAX + ADDRESS_TEXT_MAX]; /* the account; of a nameless one the address */
	size_t kind;
	int64_t first_us, ban_us; /* 0: not yet */
	enum ban_effect worst;	  /* 0: none */
};

/* Who is at an address. */
struct resident {
	struct person *person;
	struct resident *next;
};
struct home {
	UT_hash_handle hh;
	uint8_t bytes[16];
	struct resident *residents;
};

struct truth {
	struct person *people;
	struct home *homes;
	struct truth_tally kinds[TRUTH_KINDS_MAX];
	size_t kind_count;
};

static struct address household(const struct address *address)
{
	return address_is_v4(address) ? *address : address_prefix(address, 64);
}

static bool find_kind(struct truth *truth, const char *name, bool good, size_t *ret)
{
	struct truth_tally *kind = &truth->kinds[truth->kind_count];

	for (*ret = 0; *ret < truth->kind_count; ++*ret)
		if (strcmp(truth->kinds[*ret].kind, name) == 0)
			return truth->kinds[*ret].good == good;
	if (truth->kind_count == TRUTH_KINDS_MAX || strlen(name) > TRUTH_KIND_LENGTH_MAX)
		return false;
	truth->kind_count++;
	strcpy(kind->kind, name);
	kind->good = good;
	return true;
}

static struct person *add_person(struct truth *truth, const char *key, size_t kind)
{
	struct person *person;

	HASH_FIND_STR(truth->people, key, person);
	if (person)
		return person;
	person = NEW(struct person);
	strcpy(person->key, key);
	person->kind = kind;
	HASH_ADD_STR(truth->people, key, person);
	return person;
}

static void add_resident(struct truth *truth, const struct address *address, struct person *person)
{
	const struct address at = household(address);
	struct resident *resident = NEW(struct resident);
	struct home *home;

	HASH_FIND(hh, truth->homes, at.bytes, sizeof(at.bytes), home);
	if (!home) {
		home = NEW(struct home);
		memcpy(home->bytes, at.bytes, sizeof(at.bytes));
		HASH_ADD(hh, truth->homes, bytes, sizeof(home->bytes), home);
	}
	*resident = (struct resident){.person = person, .next = home->residents};
	home->residents = resident;
}

/* NULL: it is well; else what is wrong with it. */
static const char *read_line(struct truth *truth, char *line)
{
	char *fields[FIELDS], key[ADDRESS_TEXT_MAX];
	struct address address;
	struct person *person;
	bool good;
	size_t kind;

	if (strlen(line) == LINE_MAX_BYTES - 1)
		return "it is too long";
	line[strcspn(line, "\n")] = 0;
	for (size_t i = 0; i < FIELDS; i++)
		fields[i] = strsep(&line, "\t");
	if (!fields[FIELDS - 1] || line)
		return "it must be kind, good or bad, account, address, with tabs between";
	good = strcmp(fields[1], "good") == 0;
	if (!good && strcmp(fields[1], "bad") != 0)
		return "the second field must be good or bad";
	if (!find_kind(truth, fields[0], good, &kind))
		return "a kind is either good or bad and has at most 31 bytes, and there are at most 64 "
		       "kinds";
	if (strlen(fields[2]) > BANS_USER_MAX)
		return "the account is too long";
	if (fields[3][0] && !address_parse(fields[3], strlen(fields[3]), &address))
		return "the fourth field is no address";
	if (!fields[2][0] && !fields[3][0])
		return "there is neither an account nor an address";
	if (fields[3][0])
		address = household(&address);
	person = add_person(truth, fields[2][0] ? fields[2] : address_format(&address, key), kind);
	if (fields[3][0])
		add_resident(truth, &address, person);
	return NULL;
}

static bool read_lines(struct truth *truth, FILE *file, const char *path, struct error *error)
{
	char line[LINE_MAX_BYTES];
	const char *wrong;

	static_assert(TRUTH_KINDS_MAX == 64 && TRUTH_KIND_LENGTH_MAX == 31, "as read_line says");
	for (unsigned number = 1; fgets(line, sizeof(line), file); number++) {
		wrong = read_line(truth, line);
		if (wrong)
			return error_set(error, "%s, line %u: %s", path, number, wrong);
	}
	return !ferror(file) || error_set(error, "%s can't be read: %s", path, strerror(errno));
}

struct truth *truth_read(const char *path, struct error *error)
{
	FILE *file = fopen(path, "r");
	struct truth *truth;

	if (!file) {
		error_set(error, "%s can't be opened: %s", path, strerror(errno));
		return NULL;
	}
	truth = NEW(struct truth);
	if (!read_lines(truth, file, path, error)) {
		truth_free(truth);
		truth = NULL;
	}
	fclose(file);
	return truth;
}

void truth_free(struct truth *truth)
{
	struct person *person, *next_person;
	struct home *home, *next_home;

	if (!truth)
		return;
	HASH_ITER (hh, truth->people, person, next_person) {
		HASH_DEL(truth->people, person);
		free(person);
	}
	HASH_ITER (hh, truth->homes, home, next_home) {
		for (struct resident *next, *r = home->residents; r; r = next) {
			next = r->next;
			free(r);
		}
		HASH_DEL(truth->homes, home);
		free(home);
	}
	free(truth);
}

/* An event without an account is its address's, if that is known as a client by itself. */
void truth_see(struct truth *truth, const struct traffic *traffic)
{
	char key[ADDRESS_TEXT_MAX + BANS_USER_MAX] = "";
	struct address at;
	struct person *person;

	if (traffic->user_id.length) {
		memcpy(key, traffic->user_id.text, traffic->user_id.length);
	} else if (traffic->has_address) {
		at = household(&traffic->address);
		address_format(&at, key);
	}
	HASH_FIND_STR(truth->people, key, person);
	if (person && !person->first_us)
		person->first_us = traffic->time_us;
}

static void mark(struct person *person, const struct decision *decision)
{
	static const int rank[BAN_EFFECTS] = {[BAN_SLOWS] = 1, [BAN_CHALLENGES] = 2, [BAN_DENIES] = 3};

	if (rank[decision->effect] > rank[person->worst])
		person->worst = decision->effect;
	if (decision->effect == BAN_DENIES && !person->ban_us)
		person->ban_us = decision->create_us;
}

void truth_hear(struct truth *truth, const struct decision *decision)
{
	struct person *person;
	struct home *home;

	if (decision->subject.kind == BAN_OF_ACCOUNT) {
		HASH_FIND_STR(truth->people, decision->subject.user_id, person);
		if (person)
			mark(person, decision);
		return;
	}
	HASH_FIND(hh, truth->homes, decision->subject.address.bytes, sizeof(home->bytes), home);
	for (struct resident *r = home ? home->residents : NULL; r; r = r->next)
		mark(r->person, decision);
}

size_t truth_tally(const struct truth *truth, struct truth_tally to[TRUTH_KINDS_MAX])
{
	memcpy(to, truth->kinds, truth->kind_count * sizeof(*to));
	for (const struct person *person = truth->people; person; person = person->hh.next) {
		struct truth_tally *tally = &to[person->kind];

		if (!person->first_us && !person->worst)
			continue;
		tally->clients++;
		tally->banned += person->ban_us > 0;
		tally->soon += person->ban_us > 0 && person->ban_us - person->first_us <= TRUTH_SOON_US;
		tally->challenged += person->worst == BAN_CHALLENGES;
		tally->slowed += person->worst == BAN_SLOWS;
	}
	return truth->kind_count;
}

void truth_print(const struct truth *truth, FILE *out)
{
	struct truth_tally tallies[TRUTH_KINDS_MAX];
	const size_t count = truth_tally(truth, tallies);

	fprintf(out, "%-16s %-5s %9s %9s %9s %11s %9s\n", "kind", "", "clients", "banned", "in 5 s",
		"challenged", "slowed");
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%-16s %-5s %9llu %9llu %9llu %11llu %9llu\n", tallies[i].kind,
			tallies[i].good ? "good" : "bad", (unsigned long long)tallies[i].clients,
			(unsigned long long)tallies[i].banned, (unsigned long long)tallies[i].soon,
			(unsigned long long)tallies[i].challenged, (unsigned long long)tallies[i].slowed);
}
