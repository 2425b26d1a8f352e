/* doctor: what this host allows and what it lacks, each with the command that mends it. */
#include "commands.h"
#include "doctor.h"
#include "setup.h"
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: tapscope doctor [options]\n"
    "\n"
    "Says what this host allows tapscope to do and what it lacks, each with the command that mends it:\n"
    "privileges, kernel, memory, clock, and the NICs that the configuration picks. With --seconds it also\n"
    "captures for a while, and says what the traffic tells about the mirror: one direction only, packets\n"
    "seen twice, bytes that were never seen although nothing was dropped here.\n"
    "\n"
    "  -i, --interface NIC   as for 'run': this one, and no other; may be given several times\n"
    "  --seconds N           capture for N seconds\n"
    "  --format text|ndjson  text (the default), or a JSON object a finding\n"
    "\n"
    "  -C, --config FILE     settings, see 'tapscope config example'\n"
    "  -o, --set NAME=VALUE  one setting, as in the file\n"
    "  -h, --help            this text\n"
    "\n"
    "Exit status: 0 all is well, or as well as need be; 1 something keeps capture from working; 2 wrong\n"
    "usage; 3 the host cannot be asked.\n";

enum { OPTION_SECONDS = 256, OPTION_FORMAT };

static const struct usage_option usage_options[] = {
    {'i', "interface", true},
    {OPTION_SECONDS, "seconds", true},
    {OPTION_FORMAT, "format", true},
    {'C', "config", true},
    {'o', "set", true},
    {'h', "help", false},
    {0},
};

struct arguments {
	struct setup_options setup;
	struct option_list only;
	uint64_t seconds;
	bool ndjson, help;
};

static int parse_option(struct arguments *a, int code, char *value)
{
	switch (code) {
	case USAGE_OPERAND:
		return usage_fault("doctor", "what is '%s'? A NIC is given with -i", value);
	case 'i':
		a->only.item[a->only.count++] = value;
		return 0;
	case OPTION_SECONDS:
		return usage_number(value, 1, 3600, &a->seconds)
			   ? 0
			   : usage_fault("doctor", "'%s' is no number of seconds from 1 to 3600", value);
	case OPTION_FORMAT:
		a->ndjson = !strcmp(value, "ndjson");
		return a->ndjson || !strcmp(value, "text")
			   ? 0
			   : usage_fault("doctor", "no such format '%s'; there are text and ndjson", value);
	case 'C':
		a->setup.config = value;
		return 0;
	case 'o':
		return setup_assign(&a->setup, value) ? 0 : usage_fault("doctor", "too many settings");
	default:
		a->help = true;
		return 0;
	}
}

struct printer {
	bool ndjson, colour;
	unsigned faults, notes;
};

static void put_json(const char *name, const char *value)
{
	printf("\"%s\":\"", name);
	for (; *value; value++) {
		if ((unsigned char)*value < 0x20)
			printf("\\u%04x", (unsigned)*value);
		else if (*value == '"' || *value == '\\')
			printf("\\%c", *value);
		else
			putchar(*value);
	}
	putchar('"');
}

static void print(void *ctx, const struct finding *f)
{
	static const char *const words[] = {[FINDING_GOOD] = "ok", [FINDING_NOTE] = "note", [FINDING_FAULT] = "fault"};
	static const char *const colours[] = {
	    [FINDING_GOOD] = "\033[32m", [FINDING_NOTE] = "\033[33m", [FINDING_FAULT] = "\033[31m"};
	struct printer *p = ctx;
	p->faults += f->kind == FINDING_FAULT;
	p->notes += f->kind == FINDING_NOTE;
	if (p->ndjson) {
		putchar('{');
		put_json("finding", words[f->kind]);
		putchar(',');
		put_json("subject", f->subject);
		putchar(',');
		put_json("what", f->what);
		if (f->mend[0]) {
			putchar(',');
			put_json("mend", f->mend);
		}
		puts("}");
		return;
	}
	printf("%s%-6s%s%-16s %s\n", p->colour ? colours[f->kind] : "", words[f->kind], p->colour ? "\033[0m" : "",
	       f->subject, f->what);
	if (f->mend[0])
		printf("%-22s %s\n", "", f->mend);
}

int cmd_doctor(int argc, char **argv)
{
	struct arguments a = {0};
	struct setup setup;
	struct usage u = usage_start(argc, argv, usage_options);
	int status = 0;
	a.only.item = calloc((size_t)argc, sizeof *a.only.item);
	if (!a.only.item) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	for (int code; status == 0 && !a.help && (code = usage_next(&u)) != USAGE_END;)
		status = code == USAGE_FAULT ? EXIT_USAGE : parse_option(&a, code, (char *)(uintptr_t)u.value);
	if (status == 0 && a.help) {
		fputs(usage_text, stdout);
	} else if (status == 0 && (status = setup_load(&setup, &a.setup, "doctor")) == 0) {
		const char *no_color = getenv("NO_COLOR");
		struct printer p = {.ndjson = a.ndjson, .colour = isatty(STDOUT_FILENO) && !(no_color && *no_color)};
		const struct doctor d = {.tell = print, .ctx = &p};
		setup.place.only = a.only;
		doctor_host(&d, &setup);
		if (doctor_nics(&d, &setup) && a.seconds)
			doctor_traffic(&d, &setup, (unsigned)a.seconds);
		if (!a.ndjson)
			printf("\n%u fault%s, %u note%s\n", p.faults, p.faults == 1 ? "" : "s", p.notes,
			       p.notes == 1 ? "" : "s");
		status = p.faults ? EXIT_DIFFERENT : EXIT_DONE;
		setup_clear(&setup);
	}
	free(a.only.item);
	return status;
}
