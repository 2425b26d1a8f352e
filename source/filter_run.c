/* filter_run.c - classic BPF in user space. libpcap has the same machine, but gives it nothing beside the frame. */
#include "filter.h"

#include <linux/filter.h>

#define STEPS_MAX                                                                                                      \
	100000 /* longer than any program that does not loop; loops go on along the frame, and end with it             \
		*/

struct machine {
	const uint8_t *data;
	uint32_t caplen, wirelen;
	const struct filter_aside *aside;
	uint32_t a, x, memory[BPF_MEMWORDS];
	bool bad; /* a load behind the frame, or of what is not known: rejects */
};

static uint32_t load_aside(struct machine *m, uint32_t what)
{
	const struct filter_aside *aside = m->aside;
	switch (what) {
	case SKF_AD_PROTOCOL:
		return aside->protocol;
	case SKF_AD_PKTTYPE:
		return aside->packet_type;
	case SKF_AD_IFINDEX:
		return aside->ifindex;
	case SKF_AD_VLAN_TAG:
		return aside->vlan_tci;
	case SKF_AD_VLAN_TAG_PRESENT:
		return aside->vlan_present;
	case SKF_AD_VLAN_TPID:
		return aside->vlan_tpid;
	}
	m->bad = true;
	return 0;
}

static uint32_t load(struct machine *m, unsigned size, uint64_t at)
{
	unsigned len = size == BPF_W ? 4 : size == BPF_H ? 2 : 1;
	if (at + len > m->caplen) {
		m->bad = true;
		return 0;
	}
	const uint8_t *p = m->data + at;
	return len == 4 ? load_be32(p) : len == 2 ? load_be16(p) : *p;
}

static uint32_t fetch(struct machine *m, const struct sock_filter *f)
{
	switch (BPF_MODE(f->code)) {
	case BPF_IMM:
		return f->k;
	case BPF_ABS:
		if (f->k - (uint32_t)SKF_AD_OFF < SKF_AD_MAX)
			return load_aside(m, f->k - (uint32_t)SKF_AD_OFF);
		return load(m, BPF_SIZE(f->code), f->k);
	case BPF_IND:
		return load(m, BPF_SIZE(f->code), (uint64_t)m->x + f->k);
	case BPF_MEM:
		return m->memory[f->k % BPF_MEMWORDS];
	case BPF_LEN:
		return m->wirelen;
	case BPF_MSH:
		return (load(m, BPF_B, f->k) & 15) * 4;
	}
	m->bad = true;
	return 0;
}

static void calculate(struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += v;
		return;
	case BPF_SUB:
		m->a -= v;
		return;
	case BPF_MUL:
		m->a *= v;
		return;
	case BPF_DIV:
	case BPF_MOD:
		if (!v)
			m->bad = true;
		else if (BPF_OP(f->code) == BPF_DIV)
			m->a /= v;
		else
			m->a %= v;
		return;
	case BPF_AND:
		m->a &= v;
		return;
	case BPF_OR:
		m->a |= v;
		return;
	case BPF_XOR:
		m->a ^= v;
		return;
	case BPF_LSH:
		m->a = v < 32 ? m->a << v : 0;
		return;
	case BPF_RSH:
		m->a = v < 32 ? m->a >> v : 0;
		return;
	case BPF_NEG:
		m->a = -m->a;
		return;
	}
	m->bad = true;
}

/* How many instructions to leave out; less than 0 in the loops that libpcap makes of `protochain`. */
static int64_t jump(struct machine *m, const struct sock_filter *f)
{
	uint32_t v = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return (int32_t)f->k;
	case BPF_JEQ:
		return m->a == v ? f->jt : f->jf;
	case BPF_JGT:
		return m->a > v ? f->jt : f->jf;
	case BPF_JGE:
		return m->a >= v ? f->jt : f->jf;
	case BPF_JSET:
		return m->a & v ? f->jt : f->jf;
	}
	m->bad = true;
	return 0;
}

bool source_filter_matches(const struct source_filter *filter, const uint8_t *data, uint32_t caplen, uint32_t wirelen,
			   const struct filter_aside *aside)
{
	struct machine m = {.data = data, .caplen = caplen, .wirelen = wirelen, .aside = aside};
	unsigned steps = STEPS_MAX;
	for (int64_t pc = 0; pc >= 0 && pc < filter->count && !m.bad && steps; pc++, steps--) {
		const struct sock_filter *f = &filter->code[pc];
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			m.a = fetch(&m, f);
			break;
		case BPF_LDX:
			m.x = fetch(&m, f);
			break;
		case BPF_ST:
			m.memory[f->k % BPF_MEMWORDS] = m.a;
			break;
		case BPF_STX:
			m.memory[f->k % BPF_MEMWORDS] = m.x;
			break;
		case BPF_ALU:
			calculate(&m, f);
			break;
		case BPF_JMP:
			pc += jump(&m, f);
			break;
		case BPF_RET:
			return BPF_RVAL(f->code) == BPF_A ? m.a != 0 : f->k != 0;
		case BPF_MISC:
			if (BPF_MISCOP(f->code) == BPF_TAX)
				m.x = m.a;
			else
				m.a = m.x;
			break;
		}
	}
	return false;
}
