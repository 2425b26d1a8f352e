#include "fanout.h"

#include "fanout_config.h"
#include "source.h"

#include "fanout.skel.h"

#include <errno.h>
#include <stdlib.h>

/* fanout.bpf.c has its own list: it cannot include packet.h. */
_Static_assert(TUNNEL_VXLAN == 1 && TUNNEL_GENEVE == 2 && TUNNEL_GRE == 3 && TUNNEL_NVGRE == 4 &&
		   TUNNEL_ERSPAN_I == 5 && TUNNEL_ERSPAN_II == 6 && TUNNEL_ERSPAN_III == 7 && TUNNEL_IPIP == 8 &&
		   TUNNEL_6IN4 == 9 && TUNNEL_4IN6 == 10 && TUNNEL_6IN6 == 11 && TUNNEL_GTPU == 12 &&
		   TUNNEL_TYPES == 13 && PACKET_TUNNELS == 4,
	       "the program in the kernel numbers tunnels as decode does");

/* NICs that are steered alike share one program. Control thread only, as open() and close() are. */
struct fanout {
	struct fanout *next;
	unsigned users;
	struct fanout_config config;
	struct fanout_bpf *program;
};
static struct fanout *loaded;

static int quiet(enum libbpf_print_level level maybe_unused, const char *format maybe_unused, va_list args maybe_unused)
{
	return 0;
}

static int load(struct fanout *f)
{
	f->program = fanout_bpf__open();
	if (!f->program)
		return -errno;
	/* Written before it is loaded, and read-only from then on: the verifier takes out what is not asked for. */
	_Static_assert(sizeof f->program->rodata->config == sizeof f->config, "the same on both sides");
	memcpy((void *)&f->program->rodata->config, &f->config, sizeof f->config);
	int r = fanout_bpf__load(f->program);
	if (r)
		fanout_bpf__destroy(f->program);
	return r;
}

int fanout_open(struct fanout **ret_fanout, const struct source_options *options, bool cooked)
{
	struct fanout *f = malloc(sizeof *f);
	if (!f)
		return -ENOMEM;
	memset(f, 0, sizeof *f); /* padding too: configurations are compared as bytes */
	f->config.keys = shard_keys_of(options->salt);
	f->config.decap_type = options->decap_type;
	f->config.queues = options->queues;
	f->config.snaplen = options->snaplen ? options->snaplen : UINT32_MAX;
	f->config.ethernet = !cooked;
	f->config.vxlan_port_count = min_of(options->vxlan_port_count, (unsigned)FANOUT_VXLAN_PORTS);
	memcpy(f->config.vxlan_ports, options->vxlan_ports,
	       f->config.vxlan_port_count * sizeof f->config.vxlan_ports[0]);
	for (struct fanout *other = loaded; other; other = other->next) {
		if (memcmp(&other->config, &f->config, sizeof f->config))
			continue;
		free(f);
		other->users++;
		*ret_fanout = other;
		return 0;
	}
	libbpf_print_fn_t before = libbpf_set_print(quiet);
	int r = load(f);
	libbpf_set_print(before);
	if (r) {
		free(f);
		return r;
	}
	f->users = 1;
	f->next = loaded;
	loaded = f;
	*ret_fanout = f;
	return 0;
}

int fanout_program(const struct fanout *f)
{
	return bpf_program__fd(f->program->progs.steer);
}

struct fanout *fanout_close(struct fanout *f)
{
	if (!f || --f->users)
		return NULL;
	struct fanout **at = &loaded;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	fanout_bpf__destroy(f->program);
	free(f);
	return NULL;
}
