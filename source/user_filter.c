#include "user_filter.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>

struct user_filter {
	struct bpf_program code;
};

/* Only these differ on Linux. */
static const struct {
	uint16_t link_type;
	int dlt;
} differing[] = {
    {100, DLT_ATM_RFC1483}, {101, DLT_RAW},      {102, DLT_SLIP_BSDOS},
    {103, DLT_PPP_BSDOS},   {106, DLT_ATM_CLIP}, {246, DLT_PFSYNC},
};

uint16_t link_type_of_dlt(int dlt)
{
	for (size_t i = 0; i < array_size(differing); i++)
		if (differing[i].dlt == dlt)
			return differing[i].link_type;
	return (uint16_t)dlt;
}

static int dlt_of_link_type(uint16_t link_type)
{
	for (size_t i = 0; i < array_size(differing); i++)
		if (differing[i].link_type == link_type)
			return differing[i].dlt;
	return link_type;
}

int user_filter_new(struct user_filter **ret_f, const char *expression, uint16_t link_type, const char *where,
		    struct error *e)
{
	if (!expression || !*expression) {
		*ret_f = NULL;
		return 0;
	}
	struct user_filter *f = calloc(1, sizeof *f);
	/* Not the handle of a live device: its compiler would look for VLAN tags where only the kernel finds them. */
	pcap_t *p = pcap_open_dead(dlt_of_link_type(link_type), 262144);
	int r = 0;
	if (!f || !p)
		r = error_set(e, -ENOMEM, "%s: no memory for its filter", where);
	else if (pcap_compile(p, &f->code, expression, 1, PCAP_NETMASK_UNKNOWN))
		r = error_set(e, -EINVAL, "%s: filter \"%s\" does not compile: %s", where, expression, pcap_geterr(p));
	if (p)
		pcap_close(p);
	if (r)
		free(f);
	else
		*ret_f = f;
	return r;
}

struct user_filter *user_filter_free(struct user_filter *f)
{
	if (f)
		pcap_freecode(&f->code);
	free(f);
	return NULL;
}

bool user_filter_matches(const struct user_filter *f, const uint8_t *data, uint32_t caplen, uint32_t wirelen)
{
	return bpf_filter(f->code.bf_insns, data, wirelen, caplen) != 0;
}
