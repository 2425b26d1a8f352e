#include "file_filter.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>

struct filter_program {
	uint16_t link_type;
	struct bpf_program code;
};

/* libpcap's compiler takes DLT_ values. In files they are LINKTYPE_ values; on Linux the two differ only here. */
static int dlt_of_link_type(uint16_t link_type)
{
	static const struct {
		uint16_t link_type;
		int dlt;
	} differing[] = {
	    {100, DLT_ATM_RFC1483}, {101, DLT_RAW},      {102, DLT_SLIP_BSDOS},
	    {103, DLT_PPP_BSDOS},   {106, DLT_ATM_CLIP}, {246, DLT_PFSYNC},
	};
	for (size_t i = 0; i < array_size(differing); i++)
		if (differing[i].link_type == link_type)
			return differing[i].dlt;
	return link_type;
}

int filter_add_link_type(struct filter *f, uint16_t link_type, const char *file, struct error *e)
{
	if (!f->expression)
		return 0;
	for (unsigned i = 0; i < f->count; i++)
		if (f->programs[i].link_type == link_type)
			return 0;
	struct filter_program *programs = realloc(f->programs, (f->count + 1) * sizeof *programs);
	if (!programs)
		return error_set(e, -ENOMEM, "%s: no memory for its filter", file);
	f->programs = programs;
	int dlt = dlt_of_link_type(link_type);
	/* A filter returns the snap length for what it accepts. */
	pcap_t *p = pcap_open_dead(dlt, 262144);
	if (!p)
		return error_set(e, -ENOMEM, "%s: no memory for its filter", file);
	struct filter_program *program = &programs[f->count];
	program->link_type = link_type;
	int r = 0;
	if (pcap_compile(p, &program->code, f->expression, 1, PCAP_NETMASK_UNKNOWN)) {
		const char *name = pcap_datalink_val_to_name(dlt);
		r = error_set(e, -EINVAL, "%s: filter \"%s\" does not compile for its link type %u (%s): %s", file,
			      f->expression, (unsigned)link_type, name ? name : "unknown to libpcap", pcap_geterr(p));
	} else {
		f->count++;
	}
	pcap_close(p);
	return r;
}

bool filter_matches(const struct filter *f, uint16_t link_type, const uint8_t *data, uint32_t caplen, uint32_t wirelen)
{
	const struct filter_program *p = f->programs;
	while (p->link_type != link_type)
		p++;
	return bpf_filter(p->code.bf_insns, data, wirelen, caplen) != 0;
}

void filter_fini(struct filter *f)
{
	for (unsigned i = 0; i < f->count; i++)
		pcap_freecode(&f->programs[i].code);
	free(f->programs);
	*f = (struct filter){0};
}
