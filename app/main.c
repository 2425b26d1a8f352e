/* tapscope: finds the command and runs it. */
#include "commands.h"
#include "usage.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <unistd.h>

static const struct {
	const char *name, *what;
	int (*run)(int argc, char **argv);
} commands[] = {
    {"replay", "flow and request records of capture files", cmd_replay},
    {"run", "flow and request records of live traffic", cmd_run},
    {"verify", "replay and compare with the golden records beside each capture", cmd_verify},
    {"interfaces", "which NICs the configuration picks, and why; whose addresses are", cmd_interfaces},
    {"doctor", "what this host allows and what it lacks, with the command that mends it", cmd_doctor},
    {"config", "check a configuration, print all options, print what is in force", cmd_config},
};

static void help(FILE *to)
{
	fprintf(to, "tapscope turns packets into flow records and request records.\n\n"
		    "usage: tapscope COMMAND …\n\n");
	for (size_t i = 0; i < array_size(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].what);
	fprintf(to, "\n'tapscope COMMAND --help' tells more; 'tapscope --version' the version.\n"
		    "Exit status: 0 done, 1 the data say no, 2 wrong usage, 3 the host or an input failed.\n");
}

static int find_command(const char *name)
{
	for (size_t i = 0; i < array_size(commands); i++)
		if (!strcmp(name, commands[i].name))
			return (int)i;
	const char *names[array_size(commands) + 1] = {NULL};
	for (size_t i = 0; i < array_size(commands); i++)
		names[i] = commands[i].name;
	const char *nearest = usage_nearest(name, names);
	fprintf(stderr,
		nearest ? "tapscope: no such command '%s'; did you mean '%s'?\n" : "tapscope: no such command '%s'\n",
		name, nearest);
	fprintf(stderr, "Try 'tapscope --help'.\n");
	return -1;
}

static int run(int argc, char **argv)
{
	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || (!strcmp(name, "help") && argc == 2)) {
		help(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("tapscope %s\n", TAPSCOPE_VERSION);
		return EXIT_DONE;
	}
	if (!strcmp(name, "help")) {
		int i = find_command(argv[2]);
		char help_option[] = "--help", *help_argv[] = {argv[2], help_option, NULL};
		return i < 0 ? EXIT_USAGE : commands[i].run(2, help_argv);
	}
	if (name[0] == '-') {
		fprintf(stderr, "tapscope: '%s' where a command was expected\nTry 'tapscope --help'.\n", name);
		return EXIT_USAGE;
	}
	int i = find_command(name);
	return i < 0 ? EXIT_USAGE : commands[i].run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "");
	int status = run(argc, argv);
	errno = 0;
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_DONE) {
		if (errno && errno != EPIPE)
			fprintf(stderr, "tapscope: cannot write standard output: %s\n", strerror(errno));
		status = EXIT_INPUT;
	}
	return status;
}
