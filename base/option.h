/* option.h - how a room declares its options.
 *
 * A room has a struct of settings and a table of `struct option` that says where each lies, how it is spelled in the
 * YAML file, what it may be, its default, unit and meaning. config/ loads, checks, prints and explains from these
 * tables and from nothing else. */
#ifndef TS_BASE_OPTION_H
#define TS_BASE_OPTION_H

#include "error.h"
#include "text.h"

enum option_type {
	OPTION_BOOL,     /* bool */
	OPTION_UINT,     /* uint64_t, within min..max */
	OPTION_DURATION, /* int64_t ns; YAML: a number in `unit`, or a number with a suffix: ns, us, ms, s, m, h */
	OPTION_BYTES,    /* uint64_t; YAML: a number in `unit`, or with a suffix: B, KB, MB, GB, KiB, MiB, GiB */
	OPTION_STRING,   /* char *, owned by the settings */
	OPTION_ENUM,     /* unsigned: index into choices */
	OPTION_SET,      /* uint64_t: bit i is choices[i]; YAML: a list of names or of numbers in choice_numbers */
	OPTION_STRINGS,  /* struct option_list: a list of strings */
	OPTION_PORTS,    /* struct option_map: a map from name to a list of ports and ranges ("80,1000-2000") */
};

struct option_list {
	char **item;
	size_t count;
};

struct option_map {
	struct {
		char *name, *value;
	} * item;
	size_t count;
};

struct option {
	const char
	    *name; /* path in the YAML file, '.' between levels: "max_memory", "static_config.flow.others-timeout" */
	const char *also; /* another spelling that is accepted too, or NULL */
	enum option_type type;
	size_t offset;              /* in the room's settings */
	const char *initial;        /* the default, as one would write it in YAML; "" for an empty list or string */
	uint64_t min, max;          /* OPTION_UINT: of the value; OPTION_DURATION: in ns; OPTION_BYTES: in bytes */
	const char *unit;           /* of a bare number: "s", "MB", "ports", …; NULL where it has none */
	const char *const *choices; /* NULL-terminated; OPTION_ENUM, OPTION_SET */
	const int *choice_numbers;  /* DeepFlow's numbers of the choices, or NULL */
	const char *meaning;        /* one or more sentences for the person who sets it */
	/* Further than the type: whether a text, or one of a list of texts, is right. NULL: any is. 0, or -EINVAL with
	 * e, which completes "'NAME' is wrong: …". */
	int (*check)(const char *text, struct error *e);
};

/* A room's settings and what may be set in them. The table ends with a NULL name. */
struct option_table {
	const char *room;
	const struct option *options;
	void *settings;
};

#endif
