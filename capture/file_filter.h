/* file_filter.h - one BPF expression, compiled for each link type met. Private to capture/file*.c. */
#ifndef TS_CAPTURE_FILE_FILTER_H
#define TS_CAPTURE_FILE_FILTER_H

#include "error.h"

struct bpf_insn;
struct filter_program;

struct filter {
	const char *expression; /* borrowed; NULL: everything passes */
	struct filter_program *programs;
	unsigned count;
};

/* Compiles the expression for the link type unless that was done before. 0; -EINVAL with e naming the place; -ENOMEM.
 */
int filter_add_link_type(struct filter *f, uint16_t link_type, const char *file, struct error *e);
/* Of a link type that was added. */
bool filter_matches(const struct filter *f, uint16_t link_type, const uint8_t *data, uint32_t caplen, uint32_t wirelen);
void filter_fini(struct filter *f);

#endif
