#include "filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <pcap/pcap.h>
#include <stdlib.h>

/* libpcap and the kernel each have a name for the same eight bytes. */
_Static_assert(sizeof(struct sock_filter) == sizeof(struct bpf_insn) &&
		   offsetof(struct sock_filter, k) == offsetof(struct bpf_insn, k) &&
		   offsetof(struct sock_filter, jt) == offsetof(struct bpf_insn, jt),
	       "an instruction is an instruction");

/* A live handle, which alone makes libpcap compile for tags beside the frame. Nothing is read from it. */
static pcap_t *open_live(const char *nic, char reason[PCAP_ERRBUF_SIZE])
{
	pcap_t *p = pcap_create(nic, reason);
	if (!p)
		return NULL;
	pcap_set_snaplen(p, 64);
	pcap_set_buffer_size(p, 64 * 1024);
	int r = pcap_activate(p);
	if (r >= 0 && pcap_datalink(p) == DLT_EN10MB)
		return p;
	strcpy(reason, r < 0 ? pcap_statustostr(r) : "not Ethernet");
	pcap_close(p);
	return NULL;
}

int source_filter_new(struct source_filter **ret_filter, const char *expression, const char *nic, struct error *e)
{
	char loopback[PCAP_ERRBUF_SIZE], own[PCAP_ERRBUF_SIZE];
	pcap_t *p = open_live("lo", loopback);
	if (!p)
		p = open_live(nic, own);
	if (!p)
		return error_set(
		    e, -ENETDOWN,
		    "%s: to compile its filter takes an Ethernet NIC that is up, and neither lo (%.80s) nor "
		    "the NIC itself (%.80s) will do: 'ip link set lo up'",
		    nic, loopback, own);
	struct bpf_program program;
	int r = 0;
	if (pcap_compile(p, &program, expression, 1, PCAP_NETMASK_UNKNOWN)) {
		r = error_set(e, -EINVAL, "%s: filter \"%s\" does not compile: %s", nic, expression, pcap_geterr(p));
		pcap_close(p);
		return r;
	}
	struct source_filter *f = malloc(sizeof *f);
	struct sock_filter *code = malloc(program.bf_len * sizeof *code);
	if (f && code) {
		memcpy(code, program.bf_insns, program.bf_len * sizeof *code);
		*f = (struct source_filter){.count = program.bf_len, .code = code};
		*ret_filter = f;
	} else {
		free(f);
		free(code);
		r = error_set(e, -ENOMEM, "%s: no memory for its filter", nic);
	}
	pcap_freecode(&program);
	pcap_close(p);
	return r;
}

struct source_filter *source_filter_free(struct source_filter *f)
{
	if (f) {
		free(f->code);
		free(f);
	}
	return NULL;
}
