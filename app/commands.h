/* commands.h - the subcommands of the program; each in its own cmd_NAME.c.
 *
 * argv[0] is the subcommand's name. The result is the exit status: 0 done, 1 the data say no, 2 wrong usage, 3 the host
 * or an input failed. Records and what was asked for go to stdout, everything else to stderr. */
#ifndef TS_APP_COMMANDS_H
#define TS_APP_COMMANDS_H

int cmd_config(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_interfaces(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_verify(int argc, char **argv);

#endif
