#include "filter_ebpf.h"

#include "filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdlib.h>

/* Where classic BPF keeps its registers. LD_ABS and LD_IND use r0 for what they load, want the frame in r6, and clobber
 * r1 to r5. All four values are 32 bits wide, with zeroes above. */
enum { A = BPF_REG_0, FRAME = BPF_REG_6, X = BPF_REG_7, LEN = BPF_REG_8, COUNTS = BPF_REG_9, FP = BPF_REG_10 };
enum { SCRATCH = -8, MEMORY = -8 - 4 * BPF_MEMWORDS }; /* on the stack, from FP */

struct fixup {
	uint16_t at, target; /* of ours; of the classic program */
};

struct build {
	struct bpf_insn *code;
	unsigned len;
	int failed;
	unsigned count;                    /* classic instructions; as targets of jumps: */
	unsigned accept, reject, unwanted; /* … and what comes behind them */
	unsigned fixup_count;
	uint16_t start[BPF_MAXINSNS + 3];
	struct fixup fixups[FILTER_EBPF_MAX];
};

static void emit(struct build *b, unsigned op, unsigned target, unsigned source, int offset, int32_t k)
{
	if (b->len == FILTER_EBPF_MAX) {
		b->failed = -E2BIG;
		return;
	}
	b->code[b->len++] = (struct bpf_insn){
	    .code = (uint8_t)op,
	    .dst_reg = (uint8_t)(target & 15),
	    .src_reg = (uint8_t)(source & 15),
	    .off = (int16_t)offset,
	    .imm = k,
	};
}

static void move(struct build *b, unsigned target, unsigned source)
{
	emit(b, BPF_ALU | BPF_MOV | BPF_X, target, source, 0, 0);
}

static void move_k(struct build *b, unsigned target, uint32_t k)
{
	emit(b, BPF_ALU | BPF_MOV | BPF_K, target, 0, 0, (int32_t)k);
}

/* op: with its class, JMP or JMP32 */
static void jump(struct build *b, unsigned op, unsigned left, unsigned right, uint32_t k, unsigned to)
{
	if (b->len < FILTER_EBPF_MAX)
		b->fixups[b->fixup_count++] = (struct fixup){(uint16_t)b->len, (uint16_t)to};
	emit(b, op, left, right, 0, (int32_t)k);
}

static void jump_always(struct build *b, unsigned to)
{
	jump(b, BPF_JMP | BPF_JA, 0, 0, 0, to);
}

/* Atomic: in a kernel built for real time the program can be preempted. */
static void count_one(struct build *b, size_t counter)
{
	move_k(b, BPF_REG_1, 1);
	emit(b, BPF_STX | BPF_ATOMIC | BPF_DW, COUNTS, BPF_REG_1, (int)counter, BPF_ADD);
}

static void leave(struct build *b, uint32_t result)
{
	move_k(b, BPF_REG_0, result);
	emit(b, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void load_context(struct build *b, unsigned target, size_t field)
{
	emit(b, BPF_LDX | BPF_MEM | BPF_W, target, FRAME, (int)field, 0);
}

static bool uses_memory(const struct source_filter *f)
{
	for (unsigned i = 0; f && i < f->count; i++)
		if (BPF_CLASS(f->code[i].code) == BPF_ST || BPF_CLASS(f->code[i].code) == BPF_STX)
			return true;
	return false;
}

static void begin(struct build *b, const struct filter_ebpf *what)
{
	emit(b, BPF_ALU64 | BPF_MOV | BPF_X, FRAME, BPF_REG_1, 0, 0);
	emit(b, BPF_ST | BPF_MEM | BPF_W, FP, 0, SCRATCH, 0);
	emit(b, BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, what->map);
	emit(b, 0, 0, 0, 0, 0);
	emit(b, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, FP, 0, 0);
	emit(b, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, SCRATCH);
	emit(b, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	/* never: the map has this element */
	emit(b, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 1, 0);
	emit(b, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	emit(b, BPF_ALU64 | BPF_MOV | BPF_X, COUNTS, BPF_REG_0, 0, 0);
	count_one(b, offsetof(struct filter_counts, seen));
	if (what->drops_outgoing) {
		load_context(b, BPF_REG_1, offsetof(struct __sk_buff, pkt_type));
		jump(b, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, PACKET_OUTGOING, b->unwanted);
	}
	load_context(b, LEN, offsetof(struct __sk_buff, len));
	move_k(b, A, 0);
	move_k(b, X, 0);
	for (int at = MEMORY; at < SCRATCH && uses_memory(what->filter); at += 8)
		emit(b, BPF_ST | BPF_MEM | BPF_DW, FP, 0, at, 0);
}

/* Whether there is a jump to it. The kernel refuses code that nothing leads to. */
static bool wanted(const struct build *b, unsigned target)
{
	for (unsigned i = 0; i < b->fixup_count; i++)
		if (b->fixups[i].target == target)
			return true;
	return false;
}

static void end(struct build *b, const struct filter_ebpf *what)
{
	b->start[b->accept] = (uint16_t)b->len;
	if (!b->count || wanted(b, b->accept))
		leave(b, what->snaplen);
	b->start[b->reject] = (uint16_t)b->len;
	if (wanted(b, b->reject)) {
		count_one(b, offsetof(struct filter_counts, filtered));
		leave(b, 0);
	}
	b->start[b->unwanted] = (uint16_t)b->len;
	if (wanted(b, b->unwanted)) {
		count_one(b, offsetof(struct filter_counts, unwanted));
		leave(b, 0);
	}
}

/* Rejects, always; but what follows does not become code that nothing leads to. */
static void reject(struct build *b)
{
	jump(b, BPF_JMP | BPF_JEQ | BPF_X, LEN, LEN, 0, b->reject);
}

static unsigned bytes_of(const struct sock_filter *f)
{
	return BPF_SIZE(f->code) == BPF_W ? 4 : BPF_SIZE(f->code) == BPF_H ? 2 : 1;
}

/* Behind the frame's end the kernel would leave the program at once, so the end is looked at first. */
static void load_absolute(struct build *b, const struct sock_filter *f, unsigned size, unsigned bytes)
{
	if (f->k > INT32_MAX - 4) {
		reject(b);
		return;
	}
	jump(b, BPF_JMP32 | BPF_JLT | BPF_K, LEN, 0, f->k + bytes, b->reject);
	emit(b, BPF_LD | BPF_ABS | size, 0, 0, 0, (int32_t)f->k);
}

static void load_indirect(struct build *b, const struct sock_filter *f)
{
	move_k(b, BPF_REG_1, f->k);
	emit(b, BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_1, X, 0, 0); /* 33 bits: does not wrap */
	emit(b, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_1, 0, 0);
	emit(b, BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, (int32_t)bytes_of(f));
	jump(b, BPF_JMP | BPF_JGT | BPF_X, BPF_REG_2, LEN, 0, b->reject);
	emit(b, BPF_LD | BPF_IND | BPF_SIZE(f->code), 0, BPF_REG_1, 0, 0);
}

/* What the kernel knows beside the frame's bytes. */
static void load_aside(struct build *b, uint32_t what)
{
	static const struct {
		uint16_t what, field;
		bool network_order;
	} fields[] = {
	    {SKF_AD_PROTOCOL, offsetof(struct __sk_buff, protocol), true},
	    {SKF_AD_PKTTYPE, offsetof(struct __sk_buff, pkt_type), false},
	    {SKF_AD_IFINDEX, offsetof(struct __sk_buff, ifindex), false},
	    {SKF_AD_VLAN_TAG, offsetof(struct __sk_buff, vlan_tci), false},
	    {SKF_AD_VLAN_TAG_PRESENT, offsetof(struct __sk_buff, vlan_present), false},
	    {SKF_AD_VLAN_TPID, offsetof(struct __sk_buff, vlan_proto), true},
	};
	for (unsigned i = 0; i < array_size(fields); i++) {
		if (fields[i].what != what)
			continue;
		load_context(b, A, fields[i].field);
		if (fields[i].network_order)
			emit(b, BPF_ALU | BPF_END | BPF_TO_BE, A, 0, 0, 16);
		return;
	}
	b->failed = -ENOTSUP;
}

static void load(struct build *b, const struct sock_filter *f)
{
	switch (BPF_MODE(f->code)) {
	case BPF_IMM:
		move_k(b, A, f->k);
		return;
	case BPF_ABS:
		if (f->k - (uint32_t)SKF_AD_OFF < SKF_AD_MAX)
			load_aside(b, f->k - (uint32_t)SKF_AD_OFF);
		else
			load_absolute(b, f, BPF_SIZE(f->code), bytes_of(f));
		return;
	case BPF_IND:
		load_indirect(b, f);
		return;
	case BPF_MEM:
		emit(b, BPF_LDX | BPF_MEM | BPF_W, A, FP, MEMORY + (int)(4 * (f->k % BPF_MEMWORDS)), 0);
		return;
	case BPF_LEN:
		move(b, A, LEN);
		return;
	}
	b->failed = -ENOTSUP;
}

static void load_index(struct build *b, const struct sock_filter *f)
{
	switch (BPF_MODE(f->code)) {
	case BPF_IMM:
		move_k(b, X, f->k);
		return;
	case BPF_MEM:
		emit(b, BPF_LDX | BPF_MEM | BPF_W, X, FP, MEMORY + (int)(4 * (f->k % BPF_MEMWORDS)), 0);
		return;
	case BPF_LEN:
		move(b, X, LEN);
		return;
	case BPF_MSH: /* X = 4 * (byte & 15), A stays */
		emit(b, BPF_STX | BPF_MEM | BPF_DW, FP, A, SCRATCH, 0);
		load_absolute(b, f, BPF_B, 1);
		emit(b, BPF_ALU | BPF_AND | BPF_K, A, 0, 0, 15);
		emit(b, BPF_ALU | BPF_LSH | BPF_K, A, 0, 0, 2);
		move(b, X, A);
		emit(b, BPF_LDX | BPF_MEM | BPF_DW, A, FP, SCRATCH, 0);
		return;
	}
	b->failed = -ENOTSUP;
}

/* The operations have the same numbers in both, but division by 0 rejects here, and a shift by 32 or more gives 0. */
static void calculate(struct build *b, const struct sock_filter *f)
{
	unsigned op = BPF_OP(f->code);
	bool by_x = BPF_SRC(f->code) == BPF_X;
	switch (op) {
	case BPF_DIV:
	case BPF_MOD:
		if (by_x) {
			jump(b, BPF_JMP32 | BPF_JEQ | BPF_K, X, 0, 0, b->reject);
		} else if (!f->k) {
			reject(b);
			return;
		}
		break;
	case BPF_LSH:
	case BPF_RSH:
		if (by_x) {
			emit(b, BPF_JMP32 | BPF_JLT | BPF_K, X, 0, 2, 32);
			move_k(b, A, 0);
			emit(b, BPF_JMP | BPF_JA, 0, 0, 1, 0);
		} else if (f->k >= 32) {
			move_k(b, A, 0);
			return;
		}
		break;
	case BPF_NEG:
		emit(b, BPF_ALU | BPF_NEG, A, 0, 0, 0);
		return;
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		break;
	default:
		b->failed = -ENOTSUP;
		return;
	}
	emit(b, BPF_ALU | op | BPF_SRC(f->code), A, by_x ? X : 0, 0, by_x ? 0 : (int32_t)f->k);
}

static void branch(struct build *b, const struct sock_filter *f, unsigned at)
{
	unsigned op = BPF_OP(f->code);
	if (op == BPF_JA) {
		if (f->k < b->count)
			jump_always(b, at + 1 + f->k);
		else
			b->failed = -ENOTSUP;
		return;
	}
	if (op != BPF_JEQ && op != BPF_JGT && op != BPF_JGE && op != BPF_JSET) {
		b->failed = -ENOTSUP;
		return;
	}
	bool by_x = BPF_SRC(f->code) == BPF_X;
	jump(b, BPF_JMP32 | op | BPF_SRC(f->code), A, by_x ? X : 0, by_x ? 0 : f->k, at + 1 + f->jt);
	if (f->jf)
		jump_always(b, at + 1 + f->jf);
}

static void translate_one(struct build *b, const struct sock_filter *f, unsigned at)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
		load(b, f);
		return;
	case BPF_LDX:
		load_index(b, f);
		return;
	case BPF_ST:
	case BPF_STX:
		emit(b, BPF_STX | BPF_MEM | BPF_W, FP, BPF_CLASS(f->code) == BPF_ST ? A : X,
		     MEMORY + (int)(4 * (f->k % BPF_MEMWORDS)), 0);
		return;
	case BPF_ALU:
		calculate(b, f);
		return;
	case BPF_JMP:
		branch(b, f, at);
		return;
	case BPF_RET:
		if (BPF_RVAL(f->code) == BPF_A)
			jump(b, BPF_JMP32 | BPF_JNE | BPF_K, A, 0, 0, b->accept);
		jump_always(b, BPF_RVAL(f->code) == BPF_K && f->k ? b->accept : b->reject);
		return;
	default:
		if (BPF_MISCOP(f->code) == BPF_TAX)
			move(b, X, A);
		else
			move(b, A, X);
	}
}

static int link_jumps(struct build *b)
{
	for (unsigned i = 0; i < b->fixup_count; i++) {
		const struct fixup *f = &b->fixups[i];
		if (f->target > b->unwanted)
			return -ENOTSUP;
		b->code[f->at].off = (int16_t)(b->start[f->target] - f->at - 1);
	}
	return (int)b->len;
}

int filter_ebpf_build(struct bpf_insn *ret_code, const struct filter_ebpf *what)
{
	unsigned count = what->filter ? what->filter->count : 0;
	if (count > BPF_MAXINSNS)
		return -E2BIG;
	struct build *b = malloc(sizeof *b);
	if (!b)
		return -ENOMEM;
	*b = (struct build){
	    .code = ret_code, .count = count, .accept = count, .reject = count + 1, .unwanted = count + 2};
	begin(b, what);
	for (unsigned i = 0; i < count && !b->failed; i++) {
		b->start[i] = (uint16_t)b->len;
		translate_one(b, &what->filter->code[i], i);
	}
	end(b, what);
	int r = b->failed ? b->failed : link_jumps(b);
	free(b);
	return r;
}
