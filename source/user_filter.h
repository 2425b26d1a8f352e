/* user_filter.h - a filter in libpcap's language, run here: for sources whose kernel side has no place for one, or no
 * counter for what it rejects. It sees whole frames as they are on the wire, VLAN tags in place. */
#ifndef TS_SOURCE_USER_FILTER_H
#define TS_SOURCE_USER_FILTER_H

#include "error.h"

struct user_filter; /* NULL: everything matches */

/* Compiles for frames of a LINKTYPE_. ret_f is NULL where the expression is NULL or "". 0; -EINVAL, e naming `where`
 * and the expression; -ENOMEM. Control thread. */
int user_filter_new(struct user_filter **ret_f, const char *expression, uint16_t link_type, const char *where,
		    struct error *e);
struct user_filter *user_filter_free(struct user_filter *f);

/* Whether f takes the frame; f is not NULL. Any thread. */
bool user_filter_matches(const struct user_filter *f, const uint8_t *data, uint32_t caplen, uint32_t wirelen);

/* LINKTYPE_ (of files) and DLT_ (of programs) differ in a few numbers. */
uint16_t link_type_of_dlt(int dlt);

#endif
