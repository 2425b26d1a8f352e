/* The program that steers in the kernel against decode: every frame of pcaps/, every kind of header, cut off and
 * damaged. They share no code but the hash of a five-tuple, so that where one is wrong the other says so. */
#include "bpf_run.h"
#include "decode_frames.h"
#include "fanout.h"
#include "file.h"
#include "source.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SALT UINT64_C(0x1234567890abcdef)
#define ANY UINT32_MAX /* of no flow: may go anywhere */

static struct {
	uint64_t packets, fragments, anywhere, left_out;
} seen;

/* As many queues as shards, so that the queue is the shard. */
static struct fanout *load(uint64_t decap_type, uint32_t snaplen, bool cooked)
{
	struct source_options o = {
	    .queues = SHARDS,
	    .salt = SALT,
	    .snaplen = snaplen,
	    .decap_type = decap_type,
	    .vxlan_port_count = 2,
	    .vxlan_ports = {4789, 8472},
	};
	struct fanout *f = NULL;
	int r = fanout_open(&f, &o, cooked);
	if (r)
		print_message("not loaded: %s\n", strerror(-r));
	assert_int_equal(r, 0);
	return f;
}

static struct decode decoder(uint64_t decap_type)
{
	struct decode d = make_decode(decap_type, ISOLATE_NONE, false);
	d.shard_keys = shard_keys_of(SALT);
	return d;
}

static uint32_t shard_by_decode(struct decode *d, unsigned link_type, const uint8_t *data, uint32_t caplen,
				uint32_t wirelen)
{
	struct packet p;
	switch (decode_bytes(d, link_type, data, caplen, wirelen, &p)) {
	case DECODE_PACKET:
		seen.packets++;
		return p.shard;
	case DECODE_FRAGMENT: {
		seen.fragments++;
		unsigned long long source[2], target[2];
		memcpy(source, d->fragment.source, 16);
		memcpy(target, d->fragment.target, 16);
		return shard_of_fragment(&d->shard_keys, source, target, d->fragment.protocol, d->fragment.id);
	}
	default:
		seen.anywhere++;
		return ANY;
	}
}

static uint32_t shard_by_kernel(const struct fanout *f, const uint8_t *frame, uint32_t len)
{
	uint32_t shard = ANY;
	int r = bpf_run(fanout_program(f), frame, len, &shard);
	if (r)
		print_message("frame of %u bytes: %s\n", len, strerror(-r));
	assert_int_equal(r, 0);
	assert_true(shard < SHARDS);
	return shard;
}

static bool same(struct decode *d, const struct fanout *f, const uint8_t *data, uint32_t len, uint32_t caplen)
{
	uint32_t expected = shard_by_decode(d, L_ETH, data, caplen, len);
	if (expected == ANY)
		return true;
	uint32_t got = shard_by_kernel(f, data, len);
	if (got != expected) {
		print_message("shard %u, decode says %u, of %u bytes:", got, expected, len);
		for (uint32_t i = 0; i < min_of(len, 160u); i++)
			print_message("%s%02x", i % 16 ? " " : "\n", data[i]);
		print_message("\n");
	}
	return got == expected;
}

static void every_header(void **state maybe_unused)
{
	struct decode d = decoder(ALL_TUNNELS);
	struct fanout *f = load(ALL_TUNNELS, 0, false);
	unsigned compared = 0;
	for (size_t i = 0; i < array_size(frame_table); i++) {
		frame_table[i].build();
		if (frame_table[i].link_type != L_ETH || build_len(&b) > BPF_RUN_MAX)
			continue;
		compared++;
		if (!same(&d, f, b.at, build_len(&b), build_len(&b)))
			fail_msg("%s", frame_table[i].name);
	}
	assert_in_range(compared, 45, array_size(frame_table));
	f = fanout_close(f);
}

static void no_tunnel_opened(void **state maybe_unused)
{
	for (unsigned tunnel = 0; tunnel <= TUNNEL_TYPES; tunnel++) {
		uint64_t but_this = ALL_TUNNELS & ~(UINT64_C(1) << tunnel), only_this = UINT64_C(1) << tunnel;
		for (unsigned k = 0; k < 2; k++) {
			struct decode d = decoder(k ? only_this : but_this);
			struct fanout *f = load(k ? only_this : but_this, 0, false);
			for (size_t i = 0; i < array_size(frame_table); i++) {
				frame_table[i].build();
				if (frame_table[i].link_type == L_ETH && build_len(&b) <= BPF_RUN_MAX &&
				    !same(&d, f, b.at, build_len(&b), build_len(&b)))
					fail_msg("%s with tunnels %llx", frame_table[i].name,
						 (unsigned long long)d.settings.decap_type);
			}
			f = fanout_close(f);
		}
	}
}

/* Frames that end too early, and frames of which the snap length leaves too little. */
static void cut_anywhere(void **state maybe_unused)
{
	struct decode d = decoder(ALL_TUNNELS);
	struct fanout *f = load(ALL_TUNNELS, 0, false);
	for (size_t i = 0; i < array_size(frame_table); i++) {
		frame_table[i].build();
		if (frame_table[i].link_type != L_ETH)
			continue;
		for (uint32_t n = BPF_RUN_MIN; n <= min_of(build_len(&b), (uint32_t)BPF_RUN_MAX); n++)
			if (!same(&d, f, b.at, n, n))
				fail_msg("%s, %u bytes", frame_table[i].name, n);
	}
	f = fanout_close(f);
	for (uint32_t snaplen = 14; snaplen < 200; snaplen++) {
		f = load(ALL_TUNNELS, snaplen, false);
		for (size_t i = 0; i < array_size(frame_table); i++) {
			frame_table[i].build();
			uint32_t len = build_len(&b);
			if (frame_table[i].link_type == L_ETH && len <= BPF_RUN_MAX &&
			    !same(&d, f, b.at, len, min_of(len, snaplen)))
				fail_msg("%s, snap length %u", frame_table[i].name, snaplen);
		}
		f = fanout_close(f);
	}
}

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

static void damaged(void **state maybe_unused)
{
	struct decode d = decoder(ALL_TUNNELS);
	struct fanout *f = load(ALL_TUNNELS, 0, false);
	struct fanout *cut = load(ALL_TUNNELS, 80, false);
	uint8_t frame[BPF_RUN_MAX];
	for (unsigned round = 0; round < 1500; round++) {
		for (size_t i = 0; i < array_size(frame_table); i++) {
			frame_table[i].build();
			uint32_t len = build_len(&b);
			if (frame_table[i].link_type != L_ETH || len > BPF_RUN_MAX)
				continue;
			memcpy(frame, b.at, len);
			/* a few bytes, rather those of the headers, by values that mean something somewhere */
			static const uint8_t telling[] = {0, 1, 4, 6, 17, 44, 47, 51, 60, 0x08, 0x45, 0x60, 0x81, 0xff};
			for (unsigned k = 0; k <= random_below(4); k++)
				frame[12 + random_below(min_of(len, 130u) - 12)] =
				    random_below(2) ? telling[random_below(array_size(telling))]
						    : (uint8_t)random_below(256);
			if (!same(&d, f, frame, len, len) || !same(&d, cut, frame, len, min_of(len, 80u)))
				fail_msg("%s, damaged", frame_table[i].name);
		}
	}
	f = fanout_close(f);
	cut = fanout_close(cut);
}

/* Frames of link types without an Ethernet header come as the kernel has them: the packet, and its EtherType. */
static bool cooked(const struct frame *f, uint8_t *ret_frame, uint32_t *ret_len)
{
	uint32_t header = f->link_type == L_SLL ? 16 : f->link_type == L_SLL2 ? 20 : 0;
	bool raw = f->link_type == L_RAW || f->link_type == L_IP4 || f->link_type == L_IP6;
	if ((!raw && !header) || f->caplen < header + 20 || f->caplen - header + 14 > BPF_RUN_MAX)
		return false;
	const uint8_t *packet = f->data + header;
	memset(ret_frame, 0, 12);
	if (raw)
		build_put16(ret_frame + 12, packet[0] >> 4 == 6 ? 0x86dd : 0x0800);
	else
		memcpy(ret_frame + 12, f->data + (header == 16 ? 14 : 0), 2);
	memcpy(ret_frame + 14, packet, f->caplen - header);
	*ret_len = f->caplen - header + 14;
	return true;
}

static void compare_file(const char *path, const struct fanout *f, const struct fanout *bare)
{
	struct decode d = decoder(ALL_TUNNELS);
	struct capture_files *c;
	struct capture_files_options options = {0};
	struct error e;
	struct frame frames[64];
	if (capture_files_open(&c, &path, 1, &options, &e))
		return; /* what is no capture is another test's */
	int n;
	while ((n = capture_files_read(c, frames, array_size(frames), &e)) > 0) {
		for (int i = 0; i < n; i++) {
			const struct frame *x = &frames[i];
			uint8_t packet[BPF_RUN_MAX + 64];
			uint32_t len;
			bool ok = true;
			/* a frame that the capture cut is a whole frame here */
			if (x->link_type == L_ETH && x->caplen >= BPF_RUN_MIN && x->caplen <= BPF_RUN_MAX) {
				ok = same(&d, f, x->data, x->caplen, x->caplen);
			} else if (cooked(x, packet, &len)) {
				uint32_t expected = shard_by_decode(&d, x->link_type, x->data, x->caplen, x->caplen);
				ok = expected == ANY || shard_by_kernel(bare, packet, len) == expected;
			} else {
				seen.left_out++;
			}
			if (!ok)
				fail_msg("%s, frame %llu", path, (unsigned long long)x->ordinal);
		}
		capture_files_release(c, frames[n - 1].ordinal);
	}
	capture_files_close(c);
}

static void every_capture(void **state maybe_unused)
{
	const char *folder = getenv("TAPSCOPE_PCAPS");
	DIR *d = folder ? opendir(folder) : NULL;
	assert_non_null(d);
	struct fanout *f = load(ALL_TUNNELS, 0, false), *bare = load(ALL_TUNNELS, 0, true);
	memset(&seen, 0, sizeof seen);
	for (struct dirent *entry; (entry = readdir(d));) {
		char path[4096];
		if (!strstr(entry->d_name, ".pcap") || strstr(entry->d_name, ".json"))
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		compare_file(path, f, bare);
	}
	closedir(d);
	print_message(
	    "%llu packets, %llu fragments the same; %llu of no flow; %llu too long or too short for this test\n",
	    (unsigned long long)seen.packets, (unsigned long long)seen.fragments, (unsigned long long)seen.anywhere,
	    (unsigned long long)seen.left_out);
	assert_true(seen.packets > 5000 && seen.fragments > 10);
	f = fanout_close(f);
	bare = fanout_close(bare);
}

/* Both directions, and all that is around them. */
static void one_program_for_all_alike(void **state maybe_unused)
{
	struct fanout *a = load(ALL_TUNNELS, 0, false), *same_again = load(ALL_TUNNELS, 0, false);
	struct fanout *other = load(ALL_TUNNELS, 0, true);
	assert_ptr_equal(a, same_again);
	assert_ptr_not_equal(a, other);
	a = fanout_close(a);
	build_start(&b);
	tcp4();
	build_eth(&b, 0x0800);
	shard_by_kernel(same_again, b.at, build_len(&b)); /* still there */
	same_again = fanout_close(same_again);
	other = fanout_close(other);
}

int main(void)
{
	struct fanout *f = NULL;
	int r = fanout_open(&f, &(struct source_options){.queues = 2}, false);
	if (r == -ENOTSUP || r == -EPERM) {
		print_message("eBPF is not to be had: %s\n", strerror(-r));
		return 77; /* skipped */
	}
	fanout_close(f);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_header),  cmocka_unit_test(no_tunnel_opened),
	    cmocka_unit_test(cut_anywhere),  cmocka_unit_test(damaged),
	    cmocka_unit_test(every_capture), cmocka_unit_test(one_program_for_all_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
