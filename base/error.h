/* error.h - how functions of this project fail.
 *
 * 0 is success. A negative errno is fatal for the operation: the caller undoes what it did and passes it on. A
 * positive value is the function's own answer and is documented with it. Outputs are named ret_... and stay untouched
 * on failure. A free function returns NULL, so that `x = x_free(x)` leaves no dangling pointer.
 *
 * Where a person has to read the reason, the function also takes a `struct error *` and writes one sentence into it:
 * what is wrong, where, and what mends it. Only app/ prints. */
#ifndef TS_BASE_ERROR_H
#define TS_BASE_ERROR_H

#include "def.h"

struct error {
	char text[512]; /* one sentence, NUL-terminated, without a final full stop or newline; cut where it is too long
			 */
};

/* Writes the message into e (which may be NULL) and returns `code`, a negative errno. */
int error_set(struct error *e, int code, const char *fmt, ...) print_format(3, 4);

#endif
