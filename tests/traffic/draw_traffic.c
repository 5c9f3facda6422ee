/* tests/traffic/draw_traffic.c - `draw-traffic --seed N --out FILE --truth FILE`: recorded traffic of known people and programs.
 *
 * The truth's file has a line for each client, or for each address of one that has several: kind, good or bad, account, address, with tabs. */
#include <stddef.h>

#include "base/config.h"
#include "tests/traffic/town.h"

struct settings {
	int64_t seed, scale;
	char *out, *truth;
};

static const struct config_setting table[] = {
	{"seed", CONFIG_INT, offsetof(struct settings, seed), "1", false, 1, INT64_C(1000000000),
		"of all chance"},
	{"people", CONFIG_INT, offsetof(struct settings, scale), "100", false, 1, 1000,
		"how many people there are, in percent of the documented numbers"},
	{"out", CONFIG_TEXT, offsetof(struct settings, out), NULL, false, 0, 0, "the traffic's file"},
	{"truth", CONFIG_TEXT, offsetof(struct settings, truth), NULL, false, 0, 0, "the truth's file"},
};
static const struct config config = {.program = "draw-traffic",
	.purpose = "draws traffic of known people and programs",
	.settings = table,
	.count = sizeof(table) / sizeof(table[0])};

int main(int argc, char **argv)
{
	struct settings settings = {0};
	uint64_t events;
	struct error error;
	const enum config_result result = config_read(&config, argc, argv, &settings, NULL, &error);
	int status = 0;

	if (result == CONFIG_HELP) {
		config_print_help(&config, stdout);
		return 0;
	}
	if (result == CONFIG_ERROR || !town_draw((uint64_t)settings.seed, (unsigned)settings.scale,
					      settings.out, settings.truth, &events, &error)) {
		fprintf(stderr, "draw-traffic: %s\n", error.text);
		status = 1;
	} else {
		printf("%llu events\n", (unsigned long long)events);
	}
	if (result == CONFIG_OK)
		config_release(&config, &settings);
	return status;
}
