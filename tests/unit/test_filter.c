/* The capture filter in its three forms against libpcap's own machine: translated to eBPF and run by the kernel, and
 * run by ours. Over expressions, and over programs that chance wrote. */
#include "bpf_run.h"
#include "decode_frames.h"
#include "filter.h"
#include "filter_ebpf.h"
#include "kernel_bpf.h"

#include <linux/filter.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* <pcap/pcap.h> has a struct bpf_insn of its own; these are libpcap's functions, by instructions of the same shape. */
typedef struct pcap pcap_t;
struct classic {
	unsigned count;
	struct sock_filter *code;
};
pcap_t *pcap_open_dead(int link_type, int snaplen);
int pcap_compile(pcap_t *p, struct classic *program, const char *text, int optimize, uint32_t netmask);
char *pcap_geterr(pcap_t *p);
void pcap_freecode(struct classic *program);
void pcap_close(pcap_t *p);
unsigned bpf_filter(const struct sock_filter *code, const uint8_t *data, unsigned wirelen, unsigned caplen);

#define ACCEPTED 77u

static struct bpf_insn code[FILTER_EBPF_MAX];
static char verifier[1 << 20];

/* Loaded as a program that gets the whole frame in a test, as a packet socket's does when it is attached. */
static int load(const struct source_filter *f, int map)
{
	int count = filter_ebpf_build(code, &(struct filter_ebpf){.filter = f, .map = map, .snaplen = ACCEPTED});
	assert_true(count > 0);
	int program = kernel_bpf_load(BPF_PROG_TYPE_SCHED_CLS, code, (unsigned)count, verifier, sizeof verifier);
	if (program < 0)
		print_message("%s: %.4000s\n", strerror(-program), verifier);
	assert_true(program >= 0);
	return program;
}

static struct filter_counts counts_of(int map)
{
	unsigned cpus = kernel_cpus_possible();
	struct filter_counts *values = calloc(cpus, sizeof *values), sum = {0};
	assert_non_null(values);
	assert_int_equal(kernel_bpf_counters_read(map, values), 0);
	for (unsigned i = 0; i < cpus; i++) {
		sum.seen += values[i].seen;
		sum.unwanted += values[i].unwanted;
		sum.filtered += values[i].filtered;
	}
	free(values);
	return sum;
}

static const struct filter_aside nothing_aside = {.protocol = 0x0800};

/* One program over one frame in all forms. */
static bool agree(const struct source_filter *f, int program, const uint8_t *frame, uint32_t len, bool *ret_accepted)
{
	bool expected = bpf_filter(f->code, frame, len, len) != 0;
	uint32_t got = 0;
	assert_int_equal(bpf_run(program, frame, len, &got), 0);
	bool ours = source_filter_matches(f, frame, len, len, &nothing_aside);
	*ret_accepted = expected;
	if (got != (expected ? ACCEPTED : 0))
		print_message("the kernel says %u, libpcap %d\n", got, expected);
	if (ours != expected)
		print_message("our machine says %d, libpcap %d\n", ours, expected);
	return got == (expected ? ACCEPTED : 0) && ours == expected;
}

static const char *const expressions[] = {
    "ip",
    "ip6",
    "arp",
    "tcp",
    "udp",
    "icmp",
    "icmp6",
    "sctp",
    "not ip",
    "tcp port 80",
    "port 1111",
    "src port 1111 and dst port 80",
    "udp port 4789",
    "portrange 1000-2000",
    "host 10.0.0.1",
    "src host 10.0.0.2",
    "net 10.0.0.0/8",
    "net 192.168.0.0 mask 255.255.0.0",
    "ip6 host fd00::1",
    "ip6 net fd00::/8",
    "ether host 02:00:00:00:00:01",
    "ether src 02:00:00:00:00:01",
    "ether broadcast",
    "ether multicast",
    "ether proto 0x8100",
    "vlan",
    "vlan 100",
    "vlan 100 and vlan 200",
    "vlan and tcp port 80",
    "vlan and vlan and ip6",
    "mpls",
    "mpls 100 and mpls 200 and tcp port 80",
    "pppoes",
    "pppoes and ip",
    "len > 100",
    "less 60",
    "greater 200",
    "len = 64 or len = 74",
    "tcp[13] & 16 != 0",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "ip[0] & 0xf != 5",
    "ip[6:2] & 0x1fff != 0",
    "ip[8] > 63",
    "ip[2:2] - ((ip[0] & 15) << 2) - 20 > 10",
    "(ip[9] * 3 + 1) / 2 = 9",
    "ip[9] % 4 = 2",
    "ip[9] ^ 6 = 0",
    "-ip[9] = 4294967290",
    "1 << ip[9] = 64",
    "1 << (ip[8] - 20) = 0",
    "0x80000000 >> ip[8] = 0",
    "ip[2:2] / (ip[1] + 0) > 1",
    "ip[2:2] % ip[1] = 0",
    "ether[12:2] = 0x0800 or ether[12:4] = 0x81002064",
    "ether[60] = 0",
    "ether[4000] = 0",
    "ether[len - 1] = 10",
    "ether[0xffffffff] = 1",
    "ip[ip[3]] = 7",
    "udp[8:4] & 0xffff0000 = 0x08000000",
    "proto 47",
    "ip proto 4 or ip proto 41",
    "ip6 proto 6",
    "gateway 10.0.0.1 or not (tcp or udp)",
    "ip broadcast or ip multicast",
    "geneve",
    "tcp[12] >= 0xf0 and ip[2:2] >= 0x8000",
    "ip src 10.0.0.1 and not (dst port 80 or dst port 443) or (ip6 and udp)",
    "ether[6:4] = 0x02000000 and ether[10:2] != 0",
};

static void expressions_agree(void **state maybe_unused)
{
	pcap_t *p = pcap_open_dead(1, 262144);
	unsigned compiled = 0, accepted = 0, rejected = 0;
	for (size_t i = 0; i < array_size(expressions); i++) {
		struct classic program;
		if (pcap_compile(p, &program, expressions[i], 1, 0xffffff00)) {
			print_message("left out: %s: %s\n", expressions[i], pcap_geterr(p));
			continue;
		}
		compiled++;
		const struct source_filter f = {.count = program.count, .code = program.code};
		int map = kernel_bpf_counters_new(sizeof(struct filter_counts)), loaded = load(&f, map);
		unsigned here = 0, not_here = 0;
		for (size_t k = 0; k < array_size(frame_table); k++) {
			frame_table[k].build();
			uint32_t len = build_len(&b);
			if (frame_table[k].link_type != L_ETH || len > BPF_RUN_MAX)
				continue;
			for (unsigned cut = 0; cut < 3; cut++) { /* the kernel wants its IP header whole */
				uint32_t n = cut == 0 ? len : min_of(len, cut == 1 ? max_of(len / 2, 54u) : 54u);
				bool yes;
				if (!agree(&f, loaded, b.at, n, &yes))
					fail_msg("%s on %s, %u bytes", expressions[i], frame_table[k].name, n);
				here += yes;
				not_here += !yes;
			}
		}
		struct filter_counts c = counts_of(map);
		assert_int_equal(c.seen, here + not_here);
		assert_int_equal(c.filtered, not_here);
		assert_int_equal(c.unwanted, 0);
		accepted += here;
		rejected += not_here;
		close(loaded);
		close(map);
		pcap_freecode(&program);
	}
	pcap_close(p);
	assert_true(compiled > array_size(expressions) - 8);
	assert_true(accepted > 1000 && rejected > 1000);
}

/* Programs that loop: never in the kernel, but here. */
static void loops(void **state maybe_unused)
{
	static const char *const looping[] = {"ip6 protochain 6", "ip6 protochain 17", "ip6 protochain 59",
					      "ip protochain 6"};
	pcap_t *p = pcap_open_dead(1, 262144);
	unsigned accepted = 0;
	for (size_t i = 0; i < array_size(looping); i++) {
		struct classic program;
		assert_int_equal(pcap_compile(p, &program, looping[i], 1, 0xffffff00), 0);
		const struct source_filter f = {.count = program.count, .code = program.code};
		assert_int_equal(filter_ebpf_build(code, &(struct filter_ebpf){.filter = &f}), -ENOTSUP);
		for (size_t k = 0; k < array_size(frame_table); k++) {
			frame_table[k].build();
			uint32_t len = build_len(&b);
			for (uint32_t n = min_of(len, 14u); n <= min_of(len, 300u); n++) {
				bool expected = bpf_filter(f.code, b.at, n, n) != 0;
				assert_int_equal(source_filter_matches(&f, b.at, n, n, &nothing_aside), expected);
				accepted += expected;
			}
		}
		pcap_freecode(&program);
	}
	pcap_close(p);
	assert_true(accepted > 100);
	struct sock_filter forever[] = {BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX)};
	struct source_filter f = {.count = 1, .code = forever};
	assert_false(source_filter_matches(&f, b.at, 60, 60, &nothing_aside));
}

static uint64_t random_state = 7;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

static uint32_t random_k(void)
{
	static const uint32_t some[] = {0, 1, 2, 12, 14, 23, 31, 0x7fffffff, 0x80000000, 0xffffffff, 0x0800, 0xffff};
	return random_below(3) ? random_below(80) : some[random_below(array_size(some))];
}

/* Instructions that libpcap's machine knows, each reachable, every memory word written before it is read. */
static unsigned write_program(struct sock_filter *out)
{
	static const uint16_t loads[] = {BPF_LD | BPF_W | BPF_ABS,
					 BPF_LD | BPF_H | BPF_ABS,
					 BPF_LD | BPF_B | BPF_ABS,
					 BPF_LD | BPF_W | BPF_IND,
					 BPF_LD | BPF_H | BPF_IND,
					 BPF_LD | BPF_B | BPF_IND,
					 BPF_LD | BPF_IMM,
					 BPF_LD | BPF_W | BPF_LEN,
					 BPF_LD | BPF_MEM,
					 BPF_LDX | BPF_IMM,
					 BPF_LDX | BPF_MEM,
					 BPF_LDX | BPF_W | BPF_LEN,
					 BPF_LDX | BPF_MSH | BPF_B,
					 BPF_ST,
					 BPF_STX,
					 BPF_MISC | BPF_TAX,
					 BPF_MISC | BPF_TXA};
	static const uint16_t operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND,
					      BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH, BPF_NEG};
	static const uint16_t jumps[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
	unsigned n = 0, len = 20 + random_below(40);
	for (unsigned i = 0; i < BPF_MEMWORDS; i++) {
		out[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, random_k());
		out[n++] = (struct sock_filter)BPF_STMT(BPF_ST, i);
	}
	unsigned end = n + len;
	for (; n < end; n++) {
		struct sock_filter *f = &out[n];
		unsigned what = random_below(10);
		uint16_t by_x = random_below(2) ? BPF_X : BPF_K;
		if (what < 4) {
			uint16_t op = loads[random_below(array_size(loads))];
			bool memory = BPF_MODE(op) == BPF_MEM || BPF_CLASS(op) == BPF_ST || BPF_CLASS(op) == BPF_STX;
			/* most of what is loaded is there, or no program would come to its end */
			uint32_t k = memory             ? random_below(BPF_MEMWORDS)
				     : random_below(20) ? random_below(60)
							: random_k();
			*f = (struct sock_filter)BPF_STMT(op, k);
		} else if (what < 8) {
			uint16_t op = operations[random_below(array_size(operations))];
			uint32_t k = op == BPF_LSH || op == BPF_RSH ? random_below(32) : random_k();
			if ((op == BPF_DIV || op == BPF_MOD) && !k)
				k = 3;
			if (op == BPF_NEG)
				by_x = BPF_K;
			*f = (struct sock_filter)BPF_STMT((uint16_t)(BPF_ALU | op | by_x), k);
		} else {
			/* one way goes to the next instruction, so that all are reachable */
			uint8_t far = (uint8_t)random_below(end - n);
			bool on_true = random_below(2);
			*f = (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | jumps[random_below(4)] | by_x),
							  random_k(), on_true ? far : 0, on_true ? 0 : far);
		}
	}
	out[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return n;
}

static void random_programs_agree(void **state maybe_unused)
{
	struct sock_filter program[200];
	unsigned accepted = 0, rejected = 0;
	int map = kernel_bpf_counters_new(sizeof(struct filter_counts));
	for (unsigned round = 0; round < 400; round++) {
		const struct source_filter f = {.count = write_program(program), .code = program};
		int loaded = load(&f, map);
		for (unsigned k = 0; k < 12; k++) {
			const struct expected *x = &frame_table[random_below(array_size(frame_table))];
			x->build();
			if (build_len(&b) > BPF_RUN_MAX || build_len(&b) < BPF_RUN_MIN)
				continue;
			bool yes;
			if (!agree(&f, loaded, b.at, build_len(&b), &yes)) {
				for (unsigned i = 0; i < f.count; i++)
					print_message("(%03u) %04x jt %u jf %u k %u\n", i, program[i].code,
						      i + 1 + program[i].jt, i + 1 + program[i].jf, program[i].k);
				fail_msg("round %u on %s", round, x->name);
			}
			accepted += yes;
			rejected += !yes;
		}
		close(loaded);
	}
	close(map);
	print_message("%u accepted, %u rejected\n", accepted, rejected);
	assert_true(accepted > 300 && rejected > 300);
}

/* What libpcap makes for a live handle looks for the tag beside the frame. */
static void tags_beside_the_frame(void **state maybe_unused)
{
	enum { UNTAGGED, BESIDE, INSIDE, BOTH, KINDS };
	static const struct {
		const char *expression;
		bool matches[KINDS]; /* TCP to port 80; beside: VLAN 100; inside: VLAN 100; both: 100 beside, 200 inside
				      */
	} table[] = {
	    {"tcp port 80", {true, true, false, false}},
	    {"vlan", {false, true, true, true}},
	    {"vlan 100", {false, true, true, true}},
	    {"vlan 200", {false, false, false, false}},
	    {"vlan and tcp port 80", {false, true, true, false}},
	    {"vlan 100 and vlan 200 and tcp port 80", {false, false, false, true}},
	    {"vlan and vlan", {false, false, false, true}},
	    {"not vlan", {true, false, false, false}},
	    {"ip", {true, true, false, false}},
	    {"inbound", {true, true, true, true}},
	    {"outbound", {false, false, false, false}},
	};
	for (size_t i = 0; i < array_size(table); i++) {
		struct error e = {""};
		struct source_filter *f = NULL;
		if (source_filter_new(&f, table[i].expression, "nowhere", &e))
			fail_msg("%s", e.text);
		for (unsigned kind = 0; kind < KINDS; kind++) {
			tcp4();
			uint16_t inside = kind == INSIDE ? 100 : kind == BOTH ? 200 : 0;
			if (inside)
				build_vlan(&b, inside, 0x0800);
			build_eth(&b, inside ? 0x8100 : 0x0800);
			bool beside = kind == BESIDE || kind == BOTH;
			struct filter_aside aside = {
			    .vlan_present = beside, .vlan_tci = beside ? 100 : 0, .vlan_tpid = beside ? 0x8100 : 0};
			bool got = source_filter_matches(f, b.at, build_len(&b), build_len(&b), &aside);
			if (got != table[i].matches[kind])
				fail_msg("%s, kind %u: %d", table[i].expression, kind, got);
		}
		/* the kernel takes it, too */
		int map = kernel_bpf_counters_new(sizeof(struct filter_counts));
		int count = filter_ebpf_build(
		    code, &(struct filter_ebpf){.filter = f, .map = map, .drops_outgoing = true, .snaplen = 96});
		int loaded = kernel_bpf_load(BPF_PROG_TYPE_SOCKET_FILTER, code, (unsigned)count, NULL, 0);
		if (loaded < 0)
			fail_msg("%s: %s", table[i].expression, strerror(-loaded));
		close(loaded);
		close(map);
		f = source_filter_free(f);
	}
}

static void refusals(void **state maybe_unused)
{
	struct error e = {""};
	struct source_filter *f = NULL;
	assert_int_equal(source_filter_new(&f, "tcp portt 80", "eth7", &e), -EINVAL);
	assert_non_null(strstr(e.text, "eth7"));
	assert_non_null(strstr(e.text, "tcp portt 80"));
	assert_null(f);

	/* what only the kernel's own machine has: the processor that runs it */
	struct sock_filter cpu[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU)),
				    BPF_STMT(BPF_RET | BPF_A, 0)};
	struct source_filter of_cpu = {.count = 2, .code = cpu};
	assert_int_equal(filter_ebpf_build(code, &(struct filter_ebpf){.filter = &of_cpu}), -ENOTSUP);
	/* a jump behind the program's end */
	struct sock_filter far[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 200, 0), BPF_STMT(BPF_RET | BPF_K, 1)};
	struct source_filter jumps = {.count = 2, .code = far};
	assert_int_equal(filter_ebpf_build(code, &(struct filter_ebpf){.filter = &jumps}), -ENOTSUP);
	/* as long as classic programs get */
	struct source_filter longest = {.count = BPF_MAXINSNS,
					.code = calloc(BPF_MAXINSNS, sizeof(struct sock_filter))};
	assert_non_null(longest.code);
	for (unsigned i = 0; i < BPF_MAXINSNS; i++)
		longest.code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_IND, 1);
	longest.code[BPF_MAXINSNS - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 1);
	int r = filter_ebpf_build(code, &(struct filter_ebpf){.filter = &longest});
	assert_true(r > BPF_MAXINSNS && r <= FILTER_EBPF_MAX);
	free(longest.code);
}

int main(void)
{
	int map = kernel_bpf_counters_new(sizeof(struct filter_counts));
	if (map < 0) {
		print_message("eBPF is not to be had: %s\n", strerror(-map));
		return 77; /* skipped */
	}
	close(map);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(expressions_agree),
	    cmocka_unit_test(random_programs_agree),
	    cmocka_unit_test(loops),
	    cmocka_unit_test(tags_beside_the_frame),
	    cmocka_unit_test(refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
