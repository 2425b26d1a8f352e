/* fanout_none.c - a build without the steering program: AF_PACKET uses the kernel's own hash. */
#include "fanout.h"

#include <errno.h>

int fanout_open(struct fanout **ret_fanout maybe_unused, const struct source_options *options maybe_unused,
		bool cooked maybe_unused)
{
	return -ENOTSUP;
}

int fanout_program(const struct fanout *f maybe_unused)
{
	return -1;
}

struct fanout *fanout_close(struct fanout *f maybe_unused)
{
	return NULL;
}
