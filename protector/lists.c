#include "protector/lists.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"

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

	if (!length || length > BANS_USER_MAX || memchr(text, '\0', length))
		return wrong(error, "an account has 1 to 64 bytes");
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

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool is_other(const json_t *object)
{
	const char *kind = text_of(object, "kind"), *source = text_of(object, "source");

	return (kind && strcmp(kind, "ban") != 0) || (source && strcmp(source, "BAN_SOURCE_OPERATOR") != 0);
}

static enum list_line read_object(const json_t *object, struct list_ban *ret, struct error *error)
{
	const json_t *user = json_object_get(object, "userID"), *end = json_object_get(object, "expireMs");
	const char *address = text_of(object, "address"), *effect = text_of(object, "effect");
	const char *reason = text_of(object, "reason");
	enum list_line line;

	if (is_other(object))
		return LIST_NOTHING;
	if (json_is_string(user))
		line = read_user(json_string_value(user), json_string_length(user), &ret->subject, error);
	else if (address)
		line = read_address(address, strlen(address), &ret->subject, error);
	else
		return wrong(error, "expected \"userID\" or \"address\"");
	if (line == LIST_BAN && effect && !(ret->effect = list_effect(effect)))
		return wrong(error, "\"effect\" is none that a person can ask for");
	if (line == LIST_BAN && reason && strlen(reason) > BANS_REASON_MAX)
		return wrong(error, "\"reason\" has at most 256 bytes");
	if (json_is_integer(end))
		ret->expire_ms = json_integer_value(end) ? json_integer_value(end) : BANS_NEVER;
	if (line == LIST_BAN && reason)
		ret->reason = memory_copy_text(reason);
	return line;
}

static enum list_line read_json(const char *line, size_t length, struct list_ban *ret, struct error *error)
{
	json_error_t why;
	json_t *object = json_loadb(line, length, 0, &why);
	enum list_line result;

	if (!json_is_object(object)) {
		json_decref(object);
		return wrong(error, "this is no JSON object");
	}
	result = read_object(object, ret, error);
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
