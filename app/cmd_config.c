/* config: checks a file, prints every option, what is in force, or the fields of the records. */
#include "commands.h"
#include "config.h"
#include "record.h"
#include "setup.h"
#include "usage.h"

#include <stdio.h>

static const char usage_text[] =
    "usage: tapscope config check FILE              whether FILE is right; every fault with line and column\n"
    "       tapscope config example                 every option with its default, unit, range and meaning\n"
    "       tapscope config show [options] [FILE]   what is in force, as YAML\n"
    "       tapscope config fields                  the fields of flow and request records\n"
    "\n"
    "  -c, -C, --config FILE  settings to show\n"
    "  -o, --set NAME=VALUE   one setting, as in the file\n"
    "  -h, --help             this text\n"
    "\n"
    "FILE may be '-' for standard input. A file for the DeepFlow agent is right too; options of it that do\n"
    "nothing here are named in warnings.\n"
    "Exit status: 0 done; 1 the file is wrong; 2 wrong usage; 3 it cannot be read.\n";

static const struct usage_option usage_options[] = {
    {'c', "config", true}, {'C', NULL, true}, {'o', "set", true}, {'h', "help", false}, {0},
};

static const char *kind_name(enum field_kind kind)
{
	switch (kind) {
	case FIELD_U64:
		return "number";
	case FIELD_I64:
		return "signed number";
	case FIELD_NS:
		return "duration";
	case FIELD_TIME:
		return "time (RFC 3339)";
	case FIELD_ID:
		return "16 hex digits";
	case FIELD_BOOL:
		return "boolean";
	case FIELD_NAME:
		return "name";
	case FIELD_TEXT:
		return "text";
	case FIELD_IP:
		return "IP address";
	case FIELD_MAC:
		return "MAC address";
	case FIELD_VLANS:
		return "list of numbers";
	case FIELD_TUNNELS:
		return "list of tunnels";
	case FIELD_FLAGS:
		return "TCP flags";
	case FIELD_ATTRIBUTES:
		return "map";
	}
	return "";
}

static void print_fields(const char *record, const struct field *fields, size_t count)
{
	printf("\"record\": \"%s\"\n", record);
	for (size_t i = 0; i < count; i++) {
		const struct field *f = fields + i;
		printf("  %-20s %-16s %-8s %s\n", f->name, kind_name(f->kind), f->unit ? f->unit : "-", f->meaning);
	}
}

/* Prints what `fill` makes of the options. */
static int print(int (*fill)(const struct option_table *tables, struct buffer *out), struct setup *setup)
{
	struct buffer b = {0};
	int status = EXIT_DONE;
	if (fill(setup->tables, &b) < 0) {
		fprintf(stderr, "tapscope: no memory for the text\n");
		status = EXIT_INPUT;
	} else {
		fwrite(b.at, 1, b.len, stdout);
	}
	buffer_free(&b);
	return status;
}

static int check(struct setup *setup maybe_unused, const char *file)
{
	printf("%s: valid\n", strcmp(file, "-") ? file : "standard input");
	return EXIT_DONE;
}

static int example(struct setup *setup, const char *file maybe_unused)
{
	return print(config_example, setup);
}

static int show(struct setup *setup, const char *file maybe_unused)
{
	return print(config_show, setup);
}

static int fields(struct setup *setup maybe_unused, const char *file maybe_unused)
{
	print_fields("flow", flow_fields, FLOW_FIELD_COUNT);
	printf("\n");
	print_fields("request", request_fields, REQUEST_FIELD_COUNT);
	return EXIT_DONE;
}

/* What follows "config". `run` is called once the settings are loaded. */
static const struct verb {
	const char *name;
	int (*run)(struct setup *setup, const char *file);
	bool needs_file, takes_settings;
} verbs[] = {
    {"check", check, true, false},
    {"example", example, false, false},
    {"show", show, false, true},
    {"fields", fields, false, false},
};

static const struct verb *find_verb(const char *name)
{
	const char *names[array_size(verbs) + 1] = {NULL};
	for (size_t i = 0; i < array_size(verbs); i++) {
		if (!strcmp(name, verbs[i].name))
			return verbs + i;
		names[i] = verbs[i].name;
	}
	const char *nearest = usage_nearest(name, names);
	usage_fault("config", nearest ? "no such command '%s'; did you mean '%s'?" : "no such command '%s'", name,
		    nearest);
	return NULL;
}

int cmd_config(int argc, char **argv)
{
	struct usage u = usage_start(argc, argv, usage_options);
	struct setup_options options = {0};
	const struct verb *verb = NULL;
	bool settings = false;
	int code;
	while ((code = usage_next(&u)) != USAGE_END) {
		if (code == USAGE_FAULT)
			return EXIT_USAGE;
		if (code == 'h') {
			fputs(usage_text, stdout);
			return EXIT_DONE;
		}
		if (code == USAGE_OPERAND && !verb) {
			verb = find_verb(u.value);
			if (!verb)
				return EXIT_USAGE;
			continue;
		}
		settings |= code == 'o' || code == 'c' || code == 'C';
		if (code == 'o') {
			if (!setup_assign(&options, u.value))
				return usage_fault("config", "too many settings");
		} else if (options.config) {
			return usage_fault("config", "one file at a time: '%s' and '%s'", options.config, u.value);
		} else {
			options.config = u.value;
		}
	}
	if (!verb)
		return usage_fault("config", "check, example, show or fields?");
	if (verb->needs_file && !options.config)
		return usage_fault("config", "%s needs a file", verb->name);
	if (!verb->takes_settings && (settings || (options.config && !verb->needs_file)))
		return usage_fault("config", "%s takes no %s", verb->name, settings ? "options" : "file");
	struct setup setup;
	int status = setup_load(&setup, &options, "config");
	if (status)
		return status;
	status = verb->run(&setup, options.config);
	setup_clear(&setup);
	return status;
}
