#include "protector/lists.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/text.h"

#define USER_PREFIX "user:"
#define EFFECT_PREFIX "BAN_EFFECT_"

static const char *const effect_names[BAN_EFFECTS] = {
	[BAN_DENIES] = EFFECT_PREFIX "DENY",
	[BAN_SHADOWS] = EFFECT_PREFIX "SHADOW",
	[BAN_ALLOWS] = EFFECT_PREFIX "ALLOW",
	[BAN_SLOWS] = EFFECT_PREFIX "SLOW",
	[BAN_CHALLENGES] = EFFECT_PREFIX "CHALLENGE",
};

enum ban_effect list_effect(const char *text)
{
	for (int effect = BAN_DENIES; effect < BAN_EFFECTS; effect++) {
		const char *name = effect_names[effect];

		if (name && (strcmp(text, name) == 0 || strcasecmp(text, name + strlen(EFFECT_PREFIX)) == 0))
			return (enum ban_effect)effect;
	}
	return 0;
}

const char *list_effect_name(enum ban_effect effect)
{
	return effect_names[effect] ? effect_names[effect] : EFFECT_PREFIX "EXEMPT";
}

static enum list_line wrong(struct error *error, const char *why)
{
	error_set(error, "%s", why);
	return LIST_WRONG;
}

static enum list_line read_user(const char *text, size_t length, struct ban_subject *ret, struct error *error)
{
	char user[BANS_USER_MAX + 1] = "";

	if (!length || length > BANS_USER_MAX || memchr(text, '\0', length) || !utf8_valid(text, length))
		return wrong(error, "an account has 1 to 64 bytes of UTF-8");
	memcpy(user, text, length);
	subject_account(ret, user);
	return LIST_BAN;
}

static enum list_line read_address(
	const char *text, size_t length, struct ban_subject *ret, struct error *error)
{
	struct address address;

	if (!address_parse_range(text, length, &address))
		return wrong(error, "expected an address, a range such as 192.0.2.0/24, or user:NAME");
	subject_address(ret, &address);
	return LIST_BAN;
}

static enum list_line read_text(const char *line, size_t length, struct list_ban *ret, struct error *error)
{
	const char *comment = memchr(line, '#', length);
	const size_t prefix = strlen(USER_PREFIX);

	if (length >= prefix && memcmp(line, USER_PREFIX, prefix) == 0) /* an account may have a # */
		return read_user(line + prefix, length - prefix, &ret->subject, error);
	if (comment)
		length = (size_t)(comment - line);
	while (length && isspace((unsigned char)line[length - 1]))
		length--;
	return length ? read_address(line, length, &ret->subject, error) : LIST_NOTHING;
}

static const struct {
	const char *name;
	json_type type;
} members[] = {
	{"kind", JSON_STRING},
	{"banId", JSON_STRING},
	{"userID", JSON_STRING},
	{"address", JSON_STRING},
	{"reason", JSON_STRING},
	{"source", JSON_STRING},
	{"effect", JSON_STRING},
	{"evidence", JSON_STRING},
	{"createMs", JSON_INTEGER},
	{"expireMs", JSON_INTEGER},
};

static bool check_member(const char *name, const json_t *value, struct error *error)
{
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		if (strcmp(name, members[i].name) != 0)
			continue;
		return json_typeof(value) == members[i].type ||
		       error_set(error, "\"%s\" must be %s", name,
			       members[i].type == JSON_STRING ? "a text" : "a whole number");
	}
	return error_set(error, "\"%.32s\" is nothing that a ban of a list has", name);
}

static bool check_members(json_t *object, struct error *error)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		if (!check_member(name, value, error))
			return false;
	}
	return true;
}

/* NULL: it has none, or no text. */
static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool is_ban(const json_t *object)
{
	const char *kind = text_of(object, "kind");

	return !kind || strcmp(kind, "ban") == 0;
}

/* A person's, and no remains of a lifted one. */
static bool is_of_a_person(const json_t *object)
{
	const char *source = text_of(object, "source"), *effect = text_of(object, "effect");

	return (!source || strcmp(source, "BAN_SOURCE_OPERATOR") == 0) &&
	       (!effect || strcmp(effect, list_effect_name(BAN_EXEMPTS)) != 0);
}

static enum list_line read_subject(const json_t *object, struct ban_subject *ret, struct error *error)
{
	const char *user = text_of(object, "userID"), *address = text_of(object, "address");

	if (!user == !address)
		return wrong(error, "expected either \"userID\" or \"address\"");
	return user ? read_user(user, strlen(user), ret, error)
		    : read_address(address, strlen(address), ret, error);
}

/* Of an object whose members are of the types they must be. */
static enum list_line read_object(const json_t *object, struct list_ban *ret, struct error *error)
{
	const char *effect = text_of(object, "effect"), *reason = text_of(object, "reason");
	const json_t *end = json_object_get(object, "expireMs");

	if (read_subject(object, &ret->subject, error) == LIST_WRONG)
		return LIST_WRONG;
	if (effect && !(ret->effect = list_effect(effect)))
		return wrong(error, "\"effect\" is none that a person can ask for");
	if (reason && strlen(reason) > BANS_REASON_MAX)
		return wrong(error, "\"reason\" has at most 256 bytes");
	if (end)
		ret->expire_ms = json_integer_value(end) ? json_integer_value(end) : BANS_NEVER;
	if (reason)
		ret->reason = memory_copy_text(reason);
	return LIST_BAN;
}

static enum list_line read_row(json_t *object, struct list_ban *ret, struct error *error)
{
	if (!json_is_object(object))
		return wrong(error, "this is no JSON object");
	if (!is_ban(object))
		return LIST_NOTHING;
	if (!check_members(object, error))
		return LIST_WRONG;
	return is_of_a_person(object) ? read_object(object, ret, error) : LIST_OTHERS;
}

static enum list_line read_json(const char *line, size_t length, struct list_ban *ret, struct error *error)
{
	json_error_t why;
	json_t *object = json_loadb(line, length, JSON_REJECT_DUPLICATES, &why);
	enum list_line result = read_row(object, ret, error);

	json_decref(object);
	return result;
}

enum list_line list_read_line(const char *line, size_t length, struct list_ban *ret, struct error *error)
{
	while (length && isspace((unsigned char)line[length - 1]))
		length--;
	while (length && isspace((unsigned char)*line))
		line++, length--;
	if (!length)
		return LIST_NOTHING;
	return *line == '{' ? read_json(line, length, ret, error) : read_text(line, length, ret, error);
}

bool list_holds_user(const char *user_id)
{
	const char *at = user_id;

	for (; *at; at++) {
		if (iscntrl((unsigned char)*at))
			return false;
	}
	return at > user_id && !isspace((unsigned char)at[-1]);
}
