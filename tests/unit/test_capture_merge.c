/* What capture_files gives out, in which order, and for how long: blocks, merge, filter, taps, standard input. */
#include "capture_file_writer.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* ---- blocks ---- */

static uint32_t size_of_frame(unsigned i)
{
	/* around the size of a block, below and far above it */
	static const uint32_t large[] = {262144, 262128, 262100, 300000, 1 << 20, 65535, 5000000};
	return i % 50 == 49 ? large[i / 50 % array_size(large)] : (i * 2654435761u >> 7) % 3000;
}

static void make_large(struct out *o, unsigned count)
{
	put_pcap_header(o, 0xa1b2c3d4, 2, 4, 1);
	for (unsigned i = 0; i < count; i++)
		put_pcap_record(o, i, 0, size_of_frame(i), i);
}

static void test_frames_across_blocks(void **state maybe_unused)
{
	struct out o = {0};
	const unsigned count = 1000;
	make_large(&o, count);
	struct file f = file_make(&o);
	static const unsigned bursts[] = {1, 7, 256, 5000};
	for (size_t b = 0; b < array_size(bursts); b++) {
		struct capture_files *c = open_one(f.path, &(struct capture_files_options){0});
		static struct frame frames[5000];
		struct error e;
		unsigned seen = 0;
		for (int n; (n = capture_files_read(c, frames, bursts[b], &e));) {
			assert_true(n > 0 && (unsigned)n <= bursts[b]);
			for (int i = 0; i < n; i++, seen++) {
				assert_int_equal(frames[i].ordinal, seen + 1);
				assert_int_equal(frames[i].caplen, size_of_frame(seen));
				assert_true(is_pattern(&frames[i], seen));
			}
			capture_files_release(c, seen);
		}
		assert_int_equal(seen, count);
		capture_files_close(c);
	}
	file_drop(&f);
}

/* Records as long as a block, and all but: wherever the part that was read before begins, the rest has room. */
static void test_frames_that_fill_a_block(void **state maybe_unused)
{
	const uint32_t least = (256 << 10) - 99; /* growing: a block that had to be made longer stays so */
	struct out o = {0};
	const unsigned count = 100;
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	for (unsigned i = 0; i < count; i++)
		put_pcap_record(&o, i, 0, least + i, i);
	struct file f = file_make(&o);
	struct reading r = read_all(&f, 1, NULL);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_true(r.frames[i].caplen == least + i && is_pattern(&r.frames[i], i));
	reading_drop(&r);
	file_drop(&f);
}

/* Frames stay whole until they are released; without a release reading stops, and goes on after one. */
static void hold_and_release(const char *const *paths, unsigned files, unsigned count)
{
	struct capture_files *c;
	struct error e;
	assert_int_equal(capture_files_open(&c, paths, files, &(struct capture_files_options){0}, &e), 0);
	struct frame *held = calloc(count + 64, sizeof *held);
	unsigned seen = 0, released = 0, stops = 0;
	for (;;) {
		int n = capture_files_read(c, held + seen, 64, &e);
		if (!n)
			break;
		if (n == -ENOBUFS) {
			assert_int_equal(capture_files_read(c, held + seen, 64, &e), -ENOBUFS);
			for (unsigned i = released; i < seen; i++)
				assert_true(is_pattern(&held[i], (unsigned)held[i].ts_ns));
			/* a part of them, then all */
			stops++;
			assert_true(released < seen);
			released += stops % 2 && seen - released > 1 ? (seen - released) / 2 : seen - released;
			capture_files_release(c, released);
			continue;
		}
		assert_true(n > 0);
		for (int i = 0; i < n; i++)
			assert_int_equal(held[seen + (unsigned)i].ordinal, seen + 1 + (unsigned)i);
		seen += (unsigned)n;
		assert_true(seen <= count);
	}
	for (unsigned i = released; i < seen; i++)
		assert_true(is_pattern(&held[i], (unsigned)held[i].ts_ns));
	assert_int_equal(seen, count);
	assert_true(stops > 2);
	free(held);
	capture_files_close(c);
}

static void test_hold_and_release(void **state maybe_unused)
{
	const unsigned count = 24000;
	struct out o[3] = {{0}};
	struct file f[3];
	const char *paths[3];
	for (unsigned k = 0; k < 3; k++) {
		put_pcap_header(&o[k], 0xa1b23c4d, 2, 4, 1);
		for (unsigned i = 0; i < count; i++)
			put_pcap_record(&o[k], 0, i, 700 + i % 600, i); /* the time says which */
		f[k] = file_make(&o[k]);
		paths[k] = f[k].path;
	}
	hold_and_release(paths, 1, count);
	hold_and_release(paths, 3, 3 * count);
	for (unsigned k = 0; k < 3; k++)
		file_drop(&f[k]);
}

/* What the filter rejects was given to nobody: it holds no memory, however much of it there is, and the caller is asked
 * now and then whether to go on. */
static void test_filter_rejects_much(void **state maybe_unused)
{
	const unsigned count = 100000;
	struct out o = {0};
	put_pcap_header(&o, 0xa1b23c4d, 2, 4, 1);
	for (unsigned i = 0; i < count; i++)
		put_pcap_record(&o, 0, i, 100, i);
	struct file f = file_make(&o);
	const char *const paths[] = {f.path, f.path};
	for (unsigned files = 1; files <= 2; files++) {
		struct capture_files *c;
		struct error e;
		struct frame frames[64];
		const struct capture_files_options options = {.filter = "less 50"};
		unsigned asked = 0;
		int n;
		assert_int_equal(capture_files_open(&c, paths, files, &options, &e), 0);
		while ((n = capture_files_read(c, frames, array_size(frames), &e)) == -EAGAIN)
			asked++;
		assert_int_equal(n, 0);
		assert_in_range(asked, 1, files * count / 65536);
		assert_int_equal(capture_files_counters(c)->filtered, files * count);
		capture_files_close(c);
	}
	file_drop(&f);
}

/* ---- merge ---- */

static void test_merge(void **state maybe_unused)
{
	/* Times of the frames of three files; in the third time steps back. */
	static const uint32_t times[3][6] = {{10, 20, 20, 50}, {10, 20, 30, 40, 60, 70}, {15, 5, 20, 65}};
	static const unsigned counts[3] = {4, 6, 4};
	/* file and time, in the order of the merge: ties by file; 5 comes when 15 has been taken */
	static const struct {
		unsigned file;
		uint32_t time;
	} want[] = {
	    {1, 10}, {2, 10}, {3, 15}, {3, 5},  {1, 20}, {1, 20}, {2, 20},
	    {3, 20}, {2, 30}, {2, 40}, {1, 50}, {2, 60}, {3, 65}, {2, 70},
	};
	struct file f[3];
	for (unsigned k = 0; k < 3; k++) {
		struct out o = {.big = k == 1};
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
		for (unsigned i = 0; i < counts[k]; i++)
			put_pcap_record(&o, times[k][i], 0, 20, 0);
		f[k] = file_make(&o);
	}
	struct reading r = read_all(f, 3, &(struct capture_files_options){.tap = TAP_BY_FILE});
	assert_int_equal(r.count, array_size(want));
	assert_int_equal(r.errors, 0);
	for (size_t i = 0; i < array_size(want); i++) {
		assert_int_equal(r.frames[i].tap, want[i].file);
		assert_int_equal(r.frames[i].ts_ns, want[i].time * NS_PER_S);
		assert_int_equal(r.frames[i].ordinal, i + 1);
	}
	reading_drop(&r);
	for (unsigned k = 0; k < 3; k++)
		file_drop(&f[k]);
}

static void test_merge_goes_on_after_damage(void **state maybe_unused)
{
	struct file f[4];
	for (unsigned k = 0; k < 4; k++) {
		struct out o = {0};
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
		for (unsigned i = 0; i < 3; i++)
			put_pcap_record(&o, 10 * i + k, 0, 20, 0);
		/* the second is cut within its second frame, the third before its first */
		o.len = k == 1 ? o.len - 40 : k == 2 ? 30 : o.len;
		f[k] = file_make(&o);
	}
	const char *paths[] = {f[0].path, f[1].path, f[2].path, f[3].path};
	struct capture_files *c;
	struct error e;
	assert_int_equal(capture_files_open(&c, paths, 4, &(struct capture_files_options){0}, &e), 0);
	static const int64_t want[] = {0, 1, 3, 10, 13, 20, 23};
	struct frame frames[4];
	unsigned seen = 0, errors = 0;
	for (;;) {
		int n = capture_files_read(c, frames, 4, &e);
		if (!n)
			break;
		if (n < 0) {
			assert_int_equal(n, -EBADMSG);
			/* in the order of the merge: the third before any frame, the second after its only one */
			assert_non_null(strstr(e.text, paths[errors ? 1 : 2]));
			assert_int_equal(seen, errors ? 2 : 0);
			errors++;
			continue;
		}
		for (int i = 0; i < n; i++)
			assert_int_equal(frames[i].ts_ns, want[seen++] * NS_PER_S);
	}
	assert_int_equal(seen, array_size(want));
	assert_int_equal(errors, 2);
	assert_int_equal(capture_files_counters(c)->frames, array_size(want));
	capture_files_close(c);
	for (unsigned k = 0; k < 4; k++)
		file_drop(&f[k]);
}

/* More files than descriptors; each longer than what is read of it at a time. */
static void test_many_files(void **state maybe_unused)
{
	enum { FILES = 60, FRAMES = 250 };
	struct out o[FILES] = {{0}};
	char paths[FILES][40];
	const char *path[FILES];
	for (unsigned k = 0; k < FILES; k++) {
		put_pcap_header(&o[k], 0xa1b2c3d4, 2, 4, 1);
		for (unsigned i = 0; i < FRAMES; i++)
			put_pcap_record(&o[k], i * FILES + k, 0, 1400, i * FILES + k);
		snprintf(paths[k], sizeof paths[k], "/tmp/test_capture_file.XXXXXX");
		int fd = mkstemp(paths[k]);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, o[k].at, o[k].len), (ssize_t)o[k].len);
		close(fd);
		out_drop(&o[k]);
		path[k] = paths[k];
	}
	struct rlimit old, few;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 30;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct capture_files *c;
	struct error e = {""};
	int x = capture_files_open(&c, path, FILES, &(struct capture_files_options){0}, &e);
	if (x)
		fail_msg("%s", e.text);
	struct frame frames[100];
	unsigned seen = 0;
	for (int n; (n = capture_files_read(c, frames, 100, &e));) {
		if (n < 0)
			fail_msg("%s", e.text);
		for (int i = 0; i < n; i++, seen++) {
			assert_int_equal(frames[i].ts_ns, (int64_t)seen * NS_PER_S);
			assert_true(is_pattern(&frames[i], seen));
		}
		capture_files_release(c, seen);
	}
	assert_int_equal(seen, FILES * FRAMES);
	capture_files_close(c);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (unsigned k = 0; k < FILES; k++)
		unlink(paths[k]);
}

static void test_taps(void **state maybe_unused)
{
	/* pcapng with two interfaces and a third after its first packet, pcap, pcapng with one */
	struct file f[3];
	struct out o = {0};
	put_section(&o);
	put_interface(&o, 1, 0, NULL, 0);
	put_interface(&o, 1, 0, NULL, 0);
	put_enhanced(&o, 1, 1000000, 14, 14, 0);
	put_enhanced(&o, 0, 2000000, 14, 14, 0);
	put_interface(&o, 1, 0, NULL, 0);
	put_enhanced(&o, 2, 5000000, 14, 14, 0);
	put_enhanced(&o, 0, 6000000, 14, 14, 0);
	f[0] = file_make(&o);
	o = (struct out){0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	put_pcap_record(&o, 3, 0, 20, 0);
	f[1] = file_make(&o);
	o = (struct out){0};
	put_section(&o);
	put_interface(&o, 1, 0, NULL, 0);
	put_enhanced(&o, 0, 4000000, 14, 14, 0);
	f[2] = file_make(&o);
	static const struct {
		enum capture_tap tap;
		uint16_t want[6];
	} cases[] = {
	    {TAP_ONE, {0, 0, 0, 0, 0, 0}},
	    {TAP_BY_FILE, {1, 1, 2, 3, 1, 1}},
	    {TAP_BY_INTERFACE, {2, 1, 3, 4, 5, 1}},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct reading r = read_all(f, 3, &(struct capture_files_options){.tap = cases[i].tap});
		assert_int_equal(r.count, 6);
		for (unsigned k = 0; k < 6; k++) {
			assert_int_equal(r.frames[k].tap, cases[i].want[k]);
			assert_int_equal(r.frames[k].nic, cases[array_size(cases) - 1].want[k]);
		}
		reading_drop(&r);
	}
	for (unsigned k = 0; k < 3; k++)
		file_drop(&f[k]);
}

/* ---- filter, count, snap length ---- */

/* Ethernet, IPv4, UDP, from port 1000 + i to port 53 or 54. */
static void put_udp(struct out *o, unsigned i)
{
	uint8_t p[60] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17};
	p[34] = (uint8_t)((1000 + i) >> 8);
	p[35] = (uint8_t)(1000 + i);
	p[37] = i % 3 ? 53 : 54;
	put_pcap_record(o, i, 0, sizeof p, 0);
	memcpy(o->at + o->len - sizeof p, p, sizeof p);
}

static void test_filter(void **state maybe_unused)
{
	struct out o = {0};
	const unsigned count = 3000;
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	for (unsigned i = 0; i < count; i++)
		put_udp(&o, i);
	struct file f[2];
	f[1] = file_make(&o);
	o = (struct out){0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	f[0] = file_make(&o);
	/* alone, and merged with a file that is empty */
	for (unsigned files = 1; files <= 2; files++) {
		struct reading r = read_all(
		    f + 2 - files, files, &(struct capture_files_options){.filter = "udp dst port 54", .snaplen = 40});
		assert_int_equal(r.count, count / 3);
		for (unsigned i = 0; i < r.count; i++) {
			assert_int_equal(r.frames[i].ordinal, 3 * i + 1);
			assert_int_equal(r.frames[i].caplen, 40);
			assert_int_equal(r.frames[i].wirelen, 60);
		}
		assert_int_equal(r.counters.frames, count);
		assert_int_equal(r.counters.filtered, count - count / 3);
		assert_int_equal(r.counters.bytes, 60 * count);
		reading_drop(&r);

		r = read_all(f + 2 - files, files,
			     &(struct capture_files_options){.filter = "udp dst port 54", .count_max = 301});
		assert_int_equal(r.count, 301);
		/* nothing is counted beyond the last frame given out */
		assert_int_equal(r.counters.frames, 3 * 300 + 1);
		assert_int_equal(r.counters.filtered, 2 * 300);
		reading_drop(&r);

		r = read_all(f + 2 - files, files, &(struct capture_files_options){.filter = "port 9"});
		assert_int_equal(r.count, 0);
		assert_int_equal(r.counters.filtered, count);
		reading_drop(&r);
	}
	struct capture_files *c;
	struct error e = {""};
	const char *path = f[1].path;
	struct capture_files_options bad = {.filter = "udp dst prot 54"};
	assert_int_equal(capture_files_open(&c, &path, 1, &bad, &e), -EINVAL);
	assert_non_null(strstr(e.text, path));
	assert_non_null(strstr(e.text, "\"udp dst prot 54\" does not compile for its link type 1 (EN10MB)"));
	file_drop(&f[0]);
	file_drop(&f[1]);
}

/* The same packet behind each link header: libpcap has to be told which it is by its own number. */
static void test_filter_link_types(void **state maybe_unused)
{
	static const struct {
		uint32_t network;
		size_t header_len;
		const char *header;
	} cases[] = {
	    {1, 14, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\0"},
	    {101, 0, ""},
	    {12, 0, ""},
	    {228, 0, ""},
	    {0, 4, "\2\0\0\0"},
	    {108, 4, "\0\0\0\2"},
	    {113, 16, "\0\0\0\1\0\6\2\0\0\0\0\1\0\0\x08\0"},
	    {276, 20, "\x08\0\0\0\0\0\0\2\0\1\0\6\2\0\0\0\0\1\0\0"},
	};
	static const uint8_t ip[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0,  0, 10,
				       0,    0, 1, 10, 0, 0, 2, 0, 53, 0,  54, 0, 8};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct out o = {0};
		uint32_t len = (uint32_t)(cases[i].header_len + sizeof ip);
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, cases[i].network);
		for (unsigned k = 0; k < 2; k++) {
			put_pcap_record(&o, 1, 0, len, 0);
			memcpy(o.at + o.len - len, cases[i].header, cases[i].header_len);
			memcpy(o.at + o.len - sizeof ip, ip, sizeof ip);
		}
		o.at[o.len - sizeof ip + 23]++; /* the second goes to port 55 */
		struct file f = file_make(&o);
		struct reading r = read_all(&f, 1, &(struct capture_files_options){.filter = "udp dst port 55"});
		assert_int_equal(r.count, 1);
		assert_int_equal(r.frames[0].ordinal, 2);
		reading_drop(&r);
		file_drop(&f);
	}
}

/* "ether host" has no meaning on a link without Ethernet addresses. */
static void test_filter_of_later_interface(void **state maybe_unused)
{
	struct capture_files_options options = {.filter = "ether host 02:00:00:00:00:01"};
	for (int early = 0; early < 2; early++) {
		struct out o = {0};
		put_section(&o);
		put_interface(&o, 1, 0, NULL, 0);
		if (early)
			put_interface(&o, 101, 0, NULL, 0);
		put_block_head(&o, 6, 20 + 16);
		put32(&o, 0);
		put64(&o, 0);
		put32(&o, 14);
		put32(&o, 14);
		put_bytes(&o, "\2\0\0\0\0\1\2\0\0\0\0\2\x08\x00\0\0", 16);
		put32(&o, 12 + 36);
		if (!early)
			put_interface(&o, 101, 0, NULL, 0);
		put_enhanced(&o, 1, 1, 20, 20, 0);
		struct file f = file_make(&o);
		struct capture_files *c;
		struct error e = {""};
		const char *path = f.path;
		int x = capture_files_open(&c, &path, 1, &options, &e);
		if (early) {
			assert_int_equal(x, -EINVAL);
		} else {
			struct frame frames[8];
			assert_int_equal(x, 0);
			assert_int_equal(capture_files_read(c, frames, 8, &e), 1);
			assert_int_equal(capture_files_read(c, frames, 8, &e), -EINVAL);
			assert_int_equal(capture_files_read(c, frames, 8, &e), 0);
			capture_files_close(c);
		}
		assert_non_null(strstr(e.text, "link type 101"));
		file_drop(&f);
	}
}

/* ---- standard input ---- */

static void test_standard_input(void **state maybe_unused)
{
	for (int packed = 0; packed < 2; packed++) {
		struct out o = {0}, z = {0};
		const unsigned count = 2000;
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
		for (unsigned i = 0; i < count; i++)
			put_pcap_record(&o, i, 0, i % 500, i);
		if (packed)
			put_gzip(&z, o.at, o.len);
		const struct out *sent = packed ? &z : &o;
		int ends[2], keep = dup(STDIN_FILENO);
		assert_int_equal(pipe(ends), 0);
		pid_t child = fork();
		if (!child) {
			/* in pieces of all sizes */
			close(ends[0]);
			for (size_t at = 0, piece = 1; at < sent->len; piece = piece * 5 % 1999 + 1) {
				size_t len = min_of(piece, sent->len - at);
				if (write(ends[1], sent->at + at, len) != (ssize_t)len)
					_exit(1);
				at += len;
			}
			_exit(0);
		}
		close(ends[1]);
		dup2(ends[0], STDIN_FILENO);
		close(ends[0]);
		struct capture_files *c = open_one("-", &(struct capture_files_options){0});
		struct frame frames[64];
		struct error e;
		unsigned seen = 0;
		for (int n; (n = capture_files_read(c, frames, 64, &e));) {
			assert_true(n > 0);
			for (int i = 0; i < n; i++, seen++)
				assert_true(is_pattern(&frames[i], seen) && frames[i].caplen == seen % 500);
			capture_files_release(c, seen);
		}
		assert_int_equal(seen, count);
		capture_files_close(c);
		int status;
		waitpid(child, &status, 0);
		assert_int_equal(status, 0);
		dup2(keep, STDIN_FILENO);
		close(keep);
		out_drop(&o);
		out_drop(&z);
	}
}

/* A frame that a pipe has brought is given out before the writer writes more. */
static void test_pipe_without_delay(void **state maybe_unused)
{
	int ends[2], keep = dup(STDIN_FILENO);
	assert_int_equal(pipe(ends), 0);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
	struct out o = {0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	put_pcap_record(&o, 0, 0, 30, 0);
	assert_int_equal(write(ends[1], o.at, o.len), (ssize_t)o.len);
	struct capture_files *c = open_one("-", &(struct capture_files_options){0});
	struct frame frames[64];
	struct error e;
	alarm(20);
	assert_int_equal(capture_files_read(c, frames, 64, &e), 1);
	assert_int_equal(write(ends[1], o.at + 24, o.len - 24), (ssize_t)o.len - 24);
	assert_int_equal(capture_files_read(c, frames + 1, 64, &e), 1);
	assert_true(is_pattern(&frames[0], 0) && is_pattern(&frames[1], 0));
	close(ends[1]);
	assert_int_equal(capture_files_read(c, frames, 64, &e), 0);
	alarm(0);
	capture_files_close(c);
	dup2(keep, STDIN_FILENO);
	close(keep);
	out_drop(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames_across_blocks),
	    cmocka_unit_test(test_frames_that_fill_a_block),
	    cmocka_unit_test(test_hold_and_release),
	    cmocka_unit_test(test_filter_rejects_much),
	    cmocka_unit_test(test_merge),
	    cmocka_unit_test(test_merge_goes_on_after_damage),
	    cmocka_unit_test(test_many_files),
	    cmocka_unit_test(test_taps),
	    cmocka_unit_test(test_filter),
	    cmocka_unit_test(test_filter_link_types),
	    cmocka_unit_test(test_filter_of_later_interface),
	    cmocka_unit_test(test_standard_input),
	    cmocka_unit_test(test_pipe_without_delay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
