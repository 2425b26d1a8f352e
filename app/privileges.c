#include "privileges.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

static const cap_value_t kept[] = {
    CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_IPC_LOCK, CAP_DAC_READ_SEARCH,
};

int privileges_drop(struct error *e)
{
	cap_t now = cap_get_proc(), next = cap_init();
	int r = now && next ? 0 : -errno;
	for (unsigned i = 0; i < array_size(kept) && r == 0; i++) {
		cap_flag_value_t has = CAP_CLEAR;
		if (cap_get_flag(now, kept[i], CAP_PERMITTED, &has) < 0 || has != CAP_SET)
			continue; /* this kernel does not know it, or it was never there */
		if (cap_set_flag(next, CAP_PERMITTED, 1, &kept[i], CAP_SET) < 0 ||
		    cap_set_flag(next, CAP_EFFECTIVE, 1, &kept[i], CAP_SET) < 0)
			r = -errno;
	}
	if (r == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || cap_set_proc(next) < 0))
		r = -errno;
	cap_free(now);
	cap_free(next);
	return r < 0 ? error_set(e, r, "cannot drop privileges: %s", strerror(-r)) : 0;
}
