/* afpacket_filter.c - the filter of a source: in the kernel if it may be there, else behind the ring. */
#include "afpacket.h"
#include "kernel_bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINK_SLL = 113 };

/* Without CAP_BPF, or in a kernel that is too old, the source does without it. */
static void load_program(struct packet_source *s)
{
	s->cpus = kernel_cpus_possible();
	struct bpf_insn *code = malloc(FILTER_EBPF_MAX * sizeof *code);
	s->counts_room = calloc(max_of(s->cpus, 1u), sizeof *s->counts_room);
	s->counts = s->cpus ? kernel_bpf_counters_new(sizeof *s->counts_room) : -1;
	if (code && s->counts_room && s->counts >= 0) {
		int count = filter_ebpf_build(code, &(struct filter_ebpf){
							.filter = s->filter,
							.map = s->counts,
							.drops_outgoing = s->loopback,
							.snaplen = s->in_ring,
						    });
		if (count > 0)
			s->program = kernel_bpf_load(BPF_PROG_TYPE_SOCKET_FILTER, code, (unsigned)count, NULL, 0);
	}
	free(code);
}

int packet_filter_open(struct packet_source *s, const char *expression, struct error *e)
{
	int r = 0;
	if (s->cooked)
		r = user_filter_new(&s->user_filter, expression, LINK_SLL, s->nic.name, e);
	else if (expression && *expression)
		r = source_filter_new(&s->filter, expression, s->nic.name, e);
	if (r)
		return r;
	s->in_ring = s->user_filter ? UINT32_MAX : s->snaplen;
	load_program(s);
	if (s->program < 0 && s->filter)
		s->in_ring = UINT32_MAX;
	return 0;
}

void packet_filter_close(struct packet_source *s)
{
	if (s->program >= 0)
		close(s->program);
	if (s->counts >= 0)
		close(s->counts);
	free(s->counts_room);
	s->filter = source_filter_free(s->filter);
	s->user_filter = user_filter_free(s->user_filter);
}

static int attach_classic(int fd, uint32_t result)
{
	struct sock_filter code = {.code = BPF_RET | BPF_K, .k = result};
	struct sock_fprog program = {.len = 1, .filter = &code};
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? -errno : 0;
}

int packet_filter_shut(int fd)
{
	return attach_classic(fd, 0);
}

int packet_filter_attach(const struct packet_source *s, int fd, struct error *e)
{
	int r = 0;
	if (s->program < 0)
		r = attach_classic(fd, s->in_ring);
	else if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &s->program, sizeof s->program))
		r = -errno;
	return r ? error_set(e, r, "%s: its socket takes no filter: %s", s->nic.name, strerror(-r)) : 0;
}

void packet_filter_counters(struct packet_source *s, struct source_counters *c)
{
	if (s->program < 0 || kernel_bpf_counters_read(s->counts, s->counts_room))
		return;
	for (unsigned i = 0; i < s->cpus; i++) {
		c->seen += s->counts_room[i].seen;
		c->unwanted += s->counts_room[i].unwanted;
		c->filtered += s->counts_room[i].filtered;
	}
}
