/* xdp_none.c - in place of xdp.c where libxdp, clang or bpftool were not there to build it. */
#include "internal.h"

#include <errno.h>

static int no_open(struct source **ret_source, const struct source_options *o, struct error *e)
{
	(void)ret_source;
	return error_set(e, -ENOTSUP,
			 "%s: this build has no AF_XDP: it takes libxdp, libbpf, clang and bpftool to build it",
			 o->nic);
}

const struct source_ops source_xdp_ops = {.kind = SOURCE_AF_XDP, .open = no_open};
