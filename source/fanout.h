/* fanout.h - steers the packets of a NIC to the queue that owns their shard: our eBPF program in a PACKET_FANOUT group.
 *
 * It walks the headers as capture/decode does and ends at the same five-tuple, whose shard (base/shard_hash.h) it takes
 * modulo the number of queues. A fragment goes by its addresses, protocol and id (shard_of_fragment()). What it cannot
 * walk through goes by the last five-tuple that it saw, or to queue 0: the engine hands it over. */
#ifndef TS_SOURCE_FANOUT_H
#define TS_SOURCE_FANOUT_H

#include "error.h"

struct fanout;
struct source_options;

/* Loads the program. 0; -errno: this kernel or these privileges do not allow it (-EPERM: CAP_BPF), or this build has
 * none (-ENOTSUP). */
int fanout_open(struct fanout **ret_fanout, const struct source_options *options, bool cooked);
int fanout_program(const struct fanout *f);    /* descriptor */
struct fanout *fanout_close(struct fanout *f); /* NULL */

#endif
