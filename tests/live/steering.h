/* steering.h - to which queue a frame belongs, by decode: what engine asks before it hands a packet over. */
#ifndef TS_TESTS_STEERING_H
#define TS_TESTS_STEERING_H

#include "source.h"

enum steering {
	STEERING_NONE = 0, /* of no flow: at home anywhere */
	STEERING_PACKET = 1,
	STEERING_FRAGMENT = 2,
	STEERING_WRONG = 4, /* and it came to the wrong one */
};

/* Says in the options what decode opens: everything. Before anything else. */
void steering_init(struct source_options *options);
/* Each queue from one thread. */
enum steering steering_check(unsigned queue, unsigned queues, const struct frame *f);

#endif
