/* Capture files are written here byte by byte, after draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng, and read
 * back. */
#include "capture_file_writer.h"

/* ---- pcap ---- */

static void test_pcap_forms(void **state maybe_unused)
{
	static const struct {
		const char *what;
		uint32_t magic;
		unsigned record_header;
		int64_t fraction_ns;
	} forms[] = {
	    {"microseconds", 0xa1b2c3d4, 16, 1000},
	    {"nanoseconds", 0xa1b23c4d, 16, 1},
	    {"modified", 0xa1b2cd34, 24, 1000},
	};
	/* seconds, fraction, captured, on the wire */
	static const uint32_t records[][4] = {
	    {1700000000, 123456, 60, 60}, {0, 0, 0, 0},        {1700000000, 999999, 1, 1500}, {0x7fffffff, 1, 64, 64},
	    {0xffffffff, 2, 33, 34},      {10, 1000000, 7, 7}, {10, 4000000000u, 9, 9},
	};
	for (size_t i = 0; i < array_size(forms); i++) {
		for (int big = 0; big < 2; big++) {
			struct out o = {.big = big};
			put_pcap_header(&o, forms[i].magic, 2, 4, 1);
			for (size_t k = 0; k < array_size(records); k++) {
				put32(&o, records[k][0]);
				put32(&o, records[k][1]);
				put32(&o, records[k][2]);
				put32(&o, records[k][3]);
				if (forms[i].record_header == 24)
					put_bytes(&o, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
				put_pattern(&o, (unsigned)k, records[k][2]);
			}
			struct file f = file_make(&o);
			struct capture_files *c = open_one(f.path, &(struct capture_files_options){0});
			struct frame frames[array_size(records)];
			struct error e;
			assert_int_equal(capture_files_read(c, frames, array_size(records), &e), array_size(records));
			for (size_t k = 0; k < array_size(records); k++) {
				assert_int_equal(frames[k].ts_ns, (int64_t)records[k][0] * NS_PER_S +
								      records[k][1] * forms[i].fraction_ns);
				assert_int_equal(frames[k].caplen, records[k][2]);
				assert_int_equal(frames[k].wirelen, records[k][3]);
				assert_int_equal(frames[k].link_type, 1);
				assert_int_equal(frames[k].tap, 0);
				assert_int_equal(frames[k].ordinal, k + 1);
				assert_true(is_pattern(&frames[k], (unsigned)k));
			}
			assert_int_equal(capture_files_read(c, frames, 1, &e), 0);
			capture_files_close(c);
			file_drop(&f);
		}
	}
}

static void test_pcap_old_lengths(void **state maybe_unused)
{
	static const struct {
		uint16_t major, minor;
		uint32_t first, second; /* as they lie in the record */
		uint32_t caplen, wirelen;
	} cases[] = {
	    {2, 4, 10, 20, 10, 20}, {2, 3, 10, 20, 10, 20},   {2, 3, 20, 10, 10, 20},
	    {2, 2, 20, 10, 10, 20}, {543, 0, 20, 10, 10, 20},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct out o = {0};
		put_pcap_header(&o, 0xa1b2c3d4, cases[i].major, cases[i].minor, 1);
		put32(&o, 1);
		put32(&o, 2);
		put32(&o, cases[i].first);
		put32(&o, cases[i].second);
		put_pattern(&o, 5, 10);
		struct file f = file_make(&o);
		struct reading r = read_all(&f, 1, NULL);
		assert_int_equal(r.count, 1);
		assert_int_equal(r.frames[0].caplen, cases[i].caplen);
		assert_int_equal(r.frames[0].wirelen, cases[i].wirelen);
		assert_int_equal(r.errors, 0);
		reading_drop(&r);
		file_drop(&f);
	}
}

static void test_link_types(void **state maybe_unused)
{
	static const struct {
		uint32_t network;
		uint16_t link_type;
	} cases[] = {
	    {1, 1},     {0, 0},     {12, 101},  {14, 101},       {101, 101},        {108, 108},
	    {113, 113}, {276, 276}, {229, 229}, {0x54000001, 1}, {0x5400000c, 101}, {0xf4000114, 276},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct out o = {0};
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, cases[i].network);
		put_pcap_record(&o, 1, 0, 20, 0);
		struct file f = file_make(&o);
		struct reading r = read_all(&f, 1, NULL);
		assert_int_equal(r.count, 1);
		assert_int_equal(r.frames[0].link_type, cases[i].link_type);
		reading_drop(&r);
		file_drop(&f);
	}
}

/* ---- pcapng ---- */

static void test_pcapng(void **state maybe_unused)
{
	for (int big = 0; big < 2; big++) {
		struct out o = {.big = big};
		put_section(&o);
		put_interface(&o, 1, 0, NULL, 0);                                         /* us */
		put_interface(&o, 276, 40, "\x09\x00\x01\x00\x09\x00\x00\x00", 8 * !big); /* ns, where little endian */
		put_enhanced(&o, 0, 1700000000123456, 61, 61, 1);
		put_block(&o, 4, 16);         /* name resolution */
		put_block(&o, 0xbad, 100000); /* longer than is looked at in one piece */
		put_enhanced(&o, 1, 1700000000123456789, 40, 1500, 2);
		put_simple(&o, 50, 50, 3); /* of interface 0, no time */
		put_obsolete(&o, 0, 1700000001000000, 33, 34, 4);
		/* a second section in the other byte order, its interface 0 is another */
		o.big = !o.big;
		put_section(&o);
		put_interface(&o, 101, 40, NULL, 0);
		put_simple(&o, 40, 1500, 5); /* cut by the snap length */
		put_enhanced(&o, 0, 1700000002000000, 20, 20, 6);
		struct file f = file_make(&o);
		struct reading r = read_all(&f, 1, &(struct capture_files_options){.tap = TAP_BY_INTERFACE});
		int64_t second = big ? (int64_t)INT64_C(1) << 62 : INT64_C(1700000000123456789);
		/* as microseconds that number is beyond the years that are kept */
		if (big)
			second -= 1;
		const struct {
			int64_t ts_ns;
			uint32_t caplen, wirelen;
			uint16_t link_type, tap;
			unsigned seed;
		} want[] = {
		    {1700000000123456000, 61, 61, 1, 1, 1},
		    {second, 40, 1500, 276, 2, 2},
		    {second, 50, 50, 1, 1, 3},
		    {1700000001000000000, 33, 34, 1, 1, 4},
		    {1700000001000000000, 40, 1500, 101, 1, 5},
		    {1700000002000000000, 20, 20, 101, 1, 6},
		};
		assert_int_equal(r.errors, 0);
		assert_int_equal(r.count, array_size(want));
		for (size_t i = 0; i < array_size(want); i++) {
			assert_int_equal(r.frames[i].ts_ns, want[i].ts_ns);
			assert_int_equal(r.frames[i].caplen, want[i].caplen);
			assert_int_equal(r.frames[i].wirelen, want[i].wirelen);
			assert_int_equal(r.frames[i].link_type, want[i].link_type);
			assert_int_equal(r.frames[i].tap, want[i].tap);
			assert_int_equal(r.frames[i].ordinal, i + 1);
			assert_true(is_pattern(&r.frames[i], want[i].seed));
		}
		reading_drop(&r);
		file_drop(&f);
	}
}

static void test_pcapng_times(void **state maybe_unused)
{
	const int64_t most = (INT64_C(1) << 62) - 1;
	const struct {
		int resolution; /* -1: no option */
		int64_t offset_s;
		uint64_t units;
		int64_t ts_ns;
	} cases[] = {
	    {-1, 0, 1500000, 1500000000},
	    {0, 0, 12, 12000000000},
	    {3, 0, 1700000000123, 1700000000123000000},
	    {9, 0, 1700000000123456789, 1700000000123456789},
	    {12, 0, 1234567890123999, 1234567890123},
	    {18, 0, UINT64_MAX, 18446744073},
	    {27, 0, UINT64_MAX, 18},
	    {28, 0, UINT64_MAX, 1},
	    {29, 0, UINT64_MAX, 0},
	    {127, 0, UINT64_MAX, 0},
	    {0x80, 0, 7, 7000000000},
	    {0x80 | 10, 0, 1536, 1500000000},
	    {0x80 | 32, 0, (UINT64_C(1700000000) << 32) + 0x80000000u, 1700000000500000000},
	    {0x80 | 63, 0, UINT64_C(3) << 62, 1500000000},
	    {0x80 | 64, 0, UINT64_C(1) << 63, 500000000},
	    {0x80 | 127, 0, UINT64_MAX, 0},
	    {6, 1700000000, 250000, 1700000000250000000},
	    {6, -1, 250000, -750000000},
	    {6, 0, UINT64_MAX, most},
	    {0, 0, UINT64_MAX, most},
	    {0x80, 0, UINT64_MAX, most},
	    {6, INT64_MAX, 0, most / NS_PER_S * NS_PER_S},
	    {6, INT64_MAX, UINT64_MAX, most},
	    {6, INT64_MIN, 0, -(most / NS_PER_S * NS_PER_S)},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		for (int big = 0; big < 2; big++) {
			struct out o = {.big = big}, options = {.big = big};
			if (cases[i].resolution >= 0) {
				put16(&options, 2); /* if_name, to be stepped over: 5 bytes and 3 of padding */
				put16(&options, 5);
				put_bytes(&options, "eth10\0\0\0", 8);
				put16(&options, 9);
				put16(&options, 1);
				put_bytes(&options, (uint8_t[]){(uint8_t)cases[i].resolution, 0, 0, 0}, 4);
				put16(&options, 14);
				put16(&options, 8);
				put64(&options, (uint64_t)cases[i].offset_s);
				put32(&options, 0);
			}
			put_section(&o);
			put_interface(&o, 1, 0, options.at, options.len);
			out_drop(&options);
			put_enhanced(&o, 0, cases[i].units, 14, 14, 0);
			struct file f = file_make(&o);
			struct reading r = read_all(&f, 1, NULL);
			assert_int_equal(r.count, 1);
			assert_int_equal(r.frames[0].ts_ns, cases[i].ts_ns);
			reading_drop(&r);
			file_drop(&f);
		}
	}
}

static void begin_pcapng(struct out *o)
{
	put_section(o);
	put_interface(o, 1, 0, NULL, 0);
	put_enhanced(o, 0, 1, 14, 14, 0);
}

static void put_raw(struct out *o, unsigned words, const uint32_t *word)
{
	for (unsigned i = 0; i < words; i++)
		put32(o, word[i]);
}

#define RAW(...)                                                                                                       \
	{                                                                                                              \
		.words = sizeof((uint32_t[]){__VA_ARGS__}) / 4, .word = { __VA_ARGS__ }                                \
	}

/* What follows a good frame and a damaged block is not to be trusted; the frame is given, then the reason. */
static void test_pcapng_damaged(void **state maybe_unused)
{
	static const struct {
		struct {
			unsigned words;
			uint32_t word[16];
		} raw;
		const char *message;
	} cases[] = {
	    {RAW(6, 8, 8, 0), "claims 8 bytes"},
	    {RAW(6, 0, 0, 0), "claims 0 bytes"},
	    {RAW(6, 33, 0, 0, 0, 0, 0, 0, 33), "claims 33 bytes"},
	    {RAW(6, 32, 0, 0, 0, 0, 0, 36), "and 32 bytes that says 36 at its end"},
	    {RAW(6, 28, 0, 0, 0, 0, 28), "only 28 bytes"},
	    {RAW(6, 32, 1, 0, 0, 0, 0, 32), "interface 1, but the section has 1"},
	    {RAW(2, 32, 7, 0, 0, 0, 0, 32), "interface 7, but the section has 1"},
	    {RAW(6, 36, 0, 0, 0, 5, 5, 0, 36), "36 bytes with 5 bytes captured"},
	    {RAW(6, 32, 0, 0, 0, 0xffffffff, 5, 32), "with 4294967295 bytes captured"},
	    {RAW(6, 0x10000000, 0, 0, 0, 0, 0), "claims 268435456 bytes, more than"},
	    {RAW(3, 12, 12), "only 12 bytes"},
	    {RAW(3, 20, 5, 0, 20), "20 bytes with 5 bytes captured"},
	    {RAW(1, 16, 1, 16), "an interface block of only 16 bytes"},
	    {RAW(1, 24, 1, 0, 0x00080009, 24), "option of 8 bytes that does not fit"},
	    {RAW(0x0a0d0d0a, 28, 0x11223344, 1, 0, 0, 28), "byte-order magic 0x11223344"},
	    {RAW(0x0a0d0d0a, 24, 0x1a2b3c4d, 1, 0, 24), "section header that claims 24 bytes"},
	    {RAW(0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0, 0, 32), "says 32 at its end"},
	    {RAW(0x0a0d0d0a, 28, 0x1a2b3c4d, 2, 0, 0, 28), "version 2.0"},
	    {RAW(0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0, 0, 28, 6, 32, 0, 0, 0, 0, 0, 32),
	     "interface 0, but the section has 0"},
	    {RAW(0x0a0d0d0a, 28, 0x1a2b3c4d, 1, 0, 0, 28, 3, 16, 0, 16), "without an interface block"},
	    {RAW(5, 16, 0, 12), "says 12 at its end"},
	    {RAW(5, 4000, 0, 0), "the block that begins at byte"},
	    {RAW(5, 400000, 0, 0), "the last 399984 bytes of a block are missing"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct out o = {0};
		begin_pcapng(&o);
		put_raw(&o, cases[i].raw.words, cases[i].raw.word);
		struct file f = file_make(&o);
		struct reading r = read_all(&f, 1, NULL);
		assert_int_equal(r.count, 1);
		assert_int_equal(r.errors, 1);
		assert_non_null(strstr(r.error.text, f.path));
		if (!strstr(r.error.text, cases[i].message))
			fail_msg("\"%s\" does not say \"%s\"", r.error.text, cases[i].message);
		reading_drop(&r);
		file_drop(&f);
	}
}

/* ---- what is no capture ---- */

static void test_refused_at_open(void **state maybe_unused)
{
	static const struct {
		const char *bytes;
		size_t len;
		int code;
		const char *message;
	} cases[] = {
	    {"", 0, -EPROTO, "is empty"},
	    {"\xd4\xc3", 2, -EPROTO, "only 2 bytes"},
	    {"GET / HTTP/1.1\r\n\r\n", 18, -EPROTO, "begins with bytes 47 45 54 20"},
	    {"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", 8, -EBADMSG, "has only 8 of its 24 bytes"},
	    {"\xd4\xc3\xb2\xa1\x01\x00\x04\x00\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0", 24, -ENOTSUP, "version 1.4"},
	    {"\x0a\x0d\x0d\x0a\x1c\0\0\0", 8, -EBADMSG, "has only 8 of its"},
	    {"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x02\0\0\0", 16, -EBADMSG, "has only 16 of its 28 bytes"},
	    {"\x28\xb5\x2f\xfd....", 8, -EPROTO, "zstd"},
	    {"snoop\0\0\0....", 12, -EPROTO, "snoop"},
	    {"\x1f\x8b\x08", 3, -EBADMSG, "gzip data cut off at byte 3"},
	    {"\x1f\x8b\x07\0\0\0\0\0\0\0\0\0", 12, -EBADMSG, "gzip data damaged"},
	};
	for (size_t i = 0; i < array_size(cases); i++) {
		struct out o = {0};
		put_bytes(&o, cases[i].bytes, cases[i].len);
		struct file f = file_make(&o);
		struct capture_files *c = NULL;
		struct error e = {""};
		const char *path = f.path;
		assert_int_equal(capture_files_open(&c, &path, 1, &(struct capture_files_options){0}, &e),
				 cases[i].code);
		assert_null(c);
		assert_non_null(strstr(e.text, f.path));
		if (!strstr(e.text, cases[i].message))
			fail_msg("\"%s\" does not say \"%s\"", e.text, cases[i].message);
		file_drop(&f);
	}
	static const struct {
		const char *path[2];
		int code;
		const char *message;
	} paths[] = {
	    {{"/nonexistent/x.pcap"}, -ENOENT, "/nonexistent/x.pcap: cannot be opened: No such file"},
	    {{"/tmp"}, -EISDIR, "/tmp: is a directory"},
	    {{"-", "-"}, -EINVAL, "once only"},
	};
	for (size_t i = 0; i < array_size(paths); i++) {
		struct capture_files *c;
		struct error e = {""};
		assert_int_equal(capture_files_open(&c, paths[i].path, paths[i].path[1] ? 2 : 1,
						    &(struct capture_files_options){0}, &e),
				 paths[i].code);
		assert_non_null(strstr(e.text, paths[i].message));
	}
}

/* ---- cut off ---- */

/* Ends: where the file may end without a message, in order; of which the first `headers` are followed by no frame. */
static void cut_everywhere(const struct out *o, const size_t *ends, unsigned end_count, unsigned headers)
{
	for (size_t len = 1; len <= o->len; len++) {
		struct out cut = {0};
		put_bytes(&cut, o->at, len);
		struct file f = file_make(&cut);
		unsigned whole = 0, frames = 0;
		bool clean = false;
		for (; whole < end_count && ends[whole] <= len; whole++)
			clean = ends[whole] == len;
		if (whole > headers)
			frames = whole - headers;
		struct capture_files *c;
		struct error e = {""};
		const char *path = f.path;
		int x = capture_files_open(&c, &path, 1, &(struct capture_files_options){0}, &e);
		if (x) {
			assert_int_equal(frames, 0);
			assert_false(clean);
			assert_true(x == -EBADMSG || (len < 4 && x == -EPROTO));
		} else {
			capture_files_close(c);
			struct reading r = read_all(&f, 1, NULL);
			assert_int_equal(r.count, frames);
			assert_int_equal(r.errors, !clean);
			for (unsigned i = 0; i < r.count; i++)
				assert_true(is_pattern(&r.frames[i], i));
			if (!clean) {
				char where[64];
				snprintf(where, sizeof where, "cut off at byte %zu:", len);
				assert_int_equal(r.code, -EBADMSG);
				assert_non_null(strstr(r.error.text, where));
			}
			reading_drop(&r);
		}
		file_drop(&f);
	}
}

static void test_cut_at_every_byte(void **state maybe_unused)
{
	for (int big = 0; big < 2; big++) {
		struct out o = {.big = big};
		size_t ends[16];
		unsigned n = 0;
		put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
		ends[n++] = o.len;
		for (unsigned i = 0; i < 4; i++) {
			put_pcap_record(&o, i, 0, i * 7, i);
			ends[n++] = o.len;
		}
		cut_everywhere(&o, ends, n, 1);
		out_drop(&o);

		o = (struct out){.big = big};
		n = 0;
		put_section(&o);
		ends[n++] = o.len;
		put_interface(&o, 1, 0, NULL, 0);
		ends[n++] = o.len;
		put_enhanced(&o, 0, 1, 14, 14, 0);
		ends[n++] = o.len;
		put_simple(&o, 15, 15, 1);
		ends[n++] = o.len;
		put_obsolete(&o, 0, 1, 16, 16, 2);
		ends[n++] = o.len;
		cut_everywhere(&o, ends, n, 2);
		out_drop(&o);
	}
}

static void test_gzip_cut_at_every_byte(void **state maybe_unused)
{
	struct out o = {0}, packed = {0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	for (unsigned i = 0; i < 30; i++)
		put_pcap_record(&o, i, 0, 40, i);
	put_gzip(&packed, o.at, o.len);
	for (size_t len = 2; len < packed.len; len++) {
		struct out cut = {0};
		put_bytes(&cut, packed.at, len);
		struct file f = file_make(&cut);
		struct capture_files *c;
		struct error e = {""};
		const char *path = f.path;
		int x = capture_files_open(&c, &path, 1, &(struct capture_files_options){0}, &e);
		if (x) {
			assert_int_equal(x, -EBADMSG);
		} else {
			capture_files_close(c);
			struct reading r = read_all(&f, 1, NULL);
			assert_true(r.count <= 30);
			/* of the last 8 bytes, the checksum and length, no frame depends */
			if (len >= packed.len - 8)
				assert_int_equal(r.count, 30);
			assert_int_equal(r.errors, 1);
			assert_int_equal(r.code, -EBADMSG);
			assert_non_null(strstr(r.error.text, "gzip data cut off"));
			for (unsigned i = 0; i < r.count; i++)
				assert_true(is_pattern(&r.frames[i], i));
			reading_drop(&r);
		}
		file_drop(&f);
	}
	/* a checksum that is wrong is told after the frames */
	packed.at[packed.len - 5] ^= 1;
	struct file f = file_make(&packed);
	struct reading r = read_all(&f, 1, NULL);
	assert_int_equal(r.count, 30);
	assert_int_equal(r.errors, 1);
	assert_non_null(strstr(r.error.text, "gzip data damaged"));
	reading_drop(&r);
	file_drop(&f);
	out_drop(&o);
}

static void test_gzip(void **state maybe_unused)
{
	/* Three members, cut anywhere, with padding between and after; more than a block of it. */
	struct out o = {0}, packed = {0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	const unsigned count = 4000;
	for (unsigned i = 0; i < count; i++)
		put_pcap_record(&o, i, 0, 100 + i % 400, i);
	put_gzip(&packed, o.at, 11);
	put_zeros(&packed, 3);
	put_gzip(&packed, o.at + 11, 500000);
	put_gzip(&packed, o.at + 500011, o.len - 500011);
	put_zeros(&packed, 70000);
	struct file f = file_make(&packed);
	struct reading r = read_all(&f, 1, NULL);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.count, count);
	reading_drop(&r);
	file_drop(&f);
	out_drop(&o);

	struct out ng = {0};
	begin_pcapng(&ng);
	packed = (struct out){0};
	put_gzip(&packed, ng.at, ng.len);
	put_bytes(&packed, "rubbish", 7);
	f = file_make(&packed);
	r = read_all(&f, 1, NULL);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.errors, 1);
	assert_non_null(strstr(r.error.text, "gzip data damaged"));
	reading_drop(&r);
	file_drop(&f);
	out_drop(&ng);
}

static void test_record_too_long(void **state maybe_unused)
{
	struct out o = {0};
	put_pcap_header(&o, 0xa1b2c3d4, 2, 4, 1);
	put_pcap_record(&o, 0, 0, 20, 0);
	put32(&o, 1);
	put32(&o, 1);
	put32(&o, (64 << 20) + 1);
	put32(&o, 60);
	put_zeros(&o, 1000);
	struct file f = file_make(&o);
	struct reading r = read_all(&f, 1, NULL);
	assert_int_equal(r.count, 1);
	assert_int_equal(r.errors, 1);
	assert_int_equal(r.code, -EBADMSG);
	assert_non_null(strstr(r.error.text, "damaged at byte 60"));
	assert_non_null(strstr(r.error.text, "67108865"));
	reading_drop(&r);
	file_drop(&f);
}

/* ---- anything ---- */

/* Bytes changed at random: whatever is read ends, in frames that lie within memory (the sanitizers look) and in at most
 * one error. */
static void test_mutations(void **state maybe_unused)
{
	uint64_t seed = 88172645463325252;
	for (unsigned round = 0; round < 6000; round++) {
		struct out o = {.big = round / 3 % 2};
		if (round % 3 == 0) {
			put_pcap_header(&o, round % 2 ? 0xa1b2cd34 : 0xa1b2c3d4, 2, 4, 1);
			for (unsigned i = 0; i < 8; i++)
				put_pcap_record(&o, i, 0, i * 9, i);
		} else {
			put_section(&o);
			put_interface(&o, 1, 64, "\x09\x00\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00", 12 * !o.big);
			put_enhanced(&o, 0, 1, 30, 30, 0);
			put_block(&o, 5, 20);
			put_simple(&o, 30, 30, 0);
			put_section(&o);
			put_interface(&o, 1, 0, NULL, 0);
			put_obsolete(&o, 0, 9, 30, 30, 0);
		}
		struct out z = {0};
		if (round % 7 == 0)
			put_gzip(&z, o.at, o.len);
		struct out *sent = z.len ? &z : &o;
		for (unsigned k = 0; k <= round % 4; k++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			sent->at[seed % sent->len] ^= (uint8_t)(seed >> 40 | 1);
		}
		struct file f = file_make(sent);
		struct capture_files *c;
		struct error e = {""};
		const char *path = f.path;
		if (!capture_files_open(&c, &path, 1, &(struct capture_files_options){0}, &e)) {
			struct frame frames[4];
			unsigned seen = 0, errors = 0, sum = 0;
			for (int n; (n = capture_files_read(c, frames, 4, &e));) {
				errors += n < 0;
				for (int i = 0; i < n; i++, seen++)
					for (uint32_t b = 0; b < frames[i].caplen; b++)
						sum += frames[i].data[b];
			}
			assert_true(errors <= 1);
			assert_true(seen < 200);
			assert_true(sum < UINT32_MAX);
			capture_files_close(c);
		} else {
			assert_true(e.text[0]);
		}
		file_drop(&f);
		out_drop(sent == &o ? &z : &o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_pcap_forms),
	    cmocka_unit_test(test_pcap_old_lengths),
	    cmocka_unit_test(test_link_types),
	    cmocka_unit_test(test_pcapng),
	    cmocka_unit_test(test_pcapng_times),
	    cmocka_unit_test(test_pcapng_damaged),
	    cmocka_unit_test(test_refused_at_open),
	    cmocka_unit_test(test_cut_at_every_byte),
	    cmocka_unit_test(test_gzip_cut_at_every_byte),
	    cmocka_unit_test(test_gzip),
	    cmocka_unit_test(test_record_too_long),
	    cmocka_unit_test(test_mutations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
