/* doctor.h - the examinations behind `tapscope doctor`. Each tells findings: what is well, what could be better, what
 * keeps capture from working, and the command that mends it. */
#ifndef TS_APP_DOCTOR_H
#define TS_APP_DOCTOR_H

#include "setup.h"

enum finding_kind { FINDING_GOOD, FINDING_NOTE /* works, but … */, FINDING_FAULT /* does not work */ };

struct finding {
	enum finding_kind kind;
	const char *subject; /* "kernel", a NIC's name, … */
	char what[256];
	char mend[256]; /* a command, or what to do; empty: nothing to mend */
};

struct doctor {
	void (*tell)(void *ctx, const struct finding *f);
	void *ctx;
};

/* Tells one; `mend` may be NULL. */
void doctor_tell(const struct doctor *d, enum finding_kind kind, const char *subject, const char *mend, const char *fmt,
		 ...) print_format(5, 6);

/* Privileges, kernel features, BTF, huge pages, clock, the source of the configuration. */
void doctor_host(const struct doctor *d, const struct setup *setup);
/* The NICs that are picked: state, offloads, rings, queues, hash, drops. Whether there is any. */
bool doctor_nics(const struct doctor *d, const struct setup *setup);
/* Captures on them for a while, and judges the traffic. */
void doctor_traffic(const struct doctor *d, const struct setup *setup, unsigned seconds);

#endif
