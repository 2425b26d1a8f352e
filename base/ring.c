#include "ring.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

int ring_init(struct ring *r, size_t slot_size, uint32_t slot_count)
{
	if (slot_count < 2 || slot_count & (slot_count - 1) || !slot_size)
		return -EINVAL;
	size_t size = (slot_size + 63) & ~(size_t)63;
	void *slots = aligned_alloc(64, size * slot_count);
	if (!slots)
		return -ENOMEM;
	memset(r, 0, sizeof *r);
	r->slots = slots;
	r->slot_size = size;
	r->mask = slot_count - 1;
	return 0;
}

void ring_fini(struct ring *r)
{
	free(r->slots);
	r->slots = NULL;
}

void ring_wait(unsigned *spins)
{
	if (++*spins < 64) {
#ifdef __x86_64__
		__builtin_ia32_pause();
#endif
	} else if (*spins < 128) {
		sched_yield();
	} else {
		nanosleep(&(struct timespec){.tv_nsec = 50 * NS_PER_US}, NULL);
	}
}
