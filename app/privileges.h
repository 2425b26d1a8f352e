/* privileges.h - what a running capture keeps of root's powers.
 *
 * Works with root, and with file capabilities alone (setcap). Control thread, before others are started. */
#ifndef TS_APP_PRIVILEGES_H
#define TS_APP_PRIVILEGES_H

#include "error.h"

/* Drops every capability but those that hot plug needs later (CAP_NET_RAW and CAP_NET_ADMIN for sockets, CAP_BPF and
 * CAP_PERFMON for programs, CAP_SYS_ADMIN for other network namespaces and older kernels, CAP_SYS_PTRACE to find them,
 * CAP_IPC_LOCK for rings, CAP_DAC_READ_SEARCH to read the configuration again), as far as they are there; and the way
 * to gain any (no_new_privs). Processes that it would start inherit none. 0 or -errno with e. */
int privileges_drop(struct error *e);

#endif
