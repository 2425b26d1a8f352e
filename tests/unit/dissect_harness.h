/* dissect_harness.h - runs a dissector over a written conversation and says in text what it found.
 *
 * How to test a protocol. Write conversations as tables of steps and the lines you expect, from the protocol's
 * document:
 *
 *     static const struct script scripts[] = {
 *         {
 *             .name = "a request and its response",
 *             .steps = {CLIENT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), SERVER("HTTP/1.1 204 No Content\r\n\r\n"), CLOSE},
 *             .expected = "is http\n"
 *                         "session c0-27 s0-27 version=1.1 request_type=GET request_domain=a request_resource=/ "
 *                         "endpoint=/ code=204 status=ok\n",
 *         },
 *     };
 *     static void conversations(void **state)
 *     {
 *         assert_true(harness_check(scripts, array_size(scripts)));
 *     }
 *
 * harness_check() runs each script whole, then split at every byte, byte by byte, and in random pieces, and the lines
 * must be the same each time. It then cuts the conversation at every byte and takes out pieces of it everywhere (gaps):
 * what is still found must be among what the whole conversation holds. Where a message that the gap did not touch must
 * not be lost, write a script with a GAP step. What differs is printed. Data are offered at the end of a page that
 * cannot be read beyond, and whatever breaks the contract of dissect.h aborts.
 *
 * The lines. "is NAME": recognised; "becomes NAME"; "gives up": dissect_fail(), or a full buffer. Messages follow in
 * the order in which they began, a response on the line of its request:
 *
 * - session cA-B sC-D: request and response, with the stream offsets of their first byte and behind their last;
 * - request cA-B: without its response; response sC-D: without its request;
 * - cA-B~: was under way when its side was closed, lost bytes, or the dissector gave up;
 * - gap=N: bytes were lost within the message;
 * - name=value: its fields in the order of REQUEST_FIELDS, attributes in the order of the dissector's table, then
 * code=, status=, affected_rows=, unpaired. Values with spaces or control bytes are in quotes.
 *
 * Messages of a nested stream have upper-case sides (C, S) and offsets in that stream.
 *
 * Other ways in: harness_run() gives the lines of one run, with all that can be varied; harness_probe() asks every
 * registered dissector about some bytes; struct harness and its functions drive one by hand (fuzz_dissect.c does).
 *
 * Simplifications against the engine: pairing stops for good after a gap, a FIN of one side is a step of its own,
 * nothing ever times out, and texts are cut at settings.text_max alone. */
#ifndef TS_TESTS_DISSECT_HARNESS_H
#define TS_TESTS_DISSECT_HARNESS_H

#include "dissect.h"
#include "text.h"

enum step_kind { STEP_END, STEP_DATA, STEP_GAP, STEP_CLOSE };

struct step {
	enum step_kind kind;
	enum dissect_side side;
	const void *data; /* STEP_DATA */
	size_t len;       /* STEP_DATA; STEP_GAP: bytes lost */
};

/* clang-format off */
#define CLIENT(literal) {STEP_DATA, SIDE_CLIENT, (literal), sizeof(literal) - 1}
#define SERVER(literal) {STEP_DATA, SIDE_SERVER, (literal), sizeof(literal) - 1}
#define CLIENT_BYTES(data, len) {STEP_DATA, SIDE_CLIENT, (data), (len)}
#define SERVER_BYTES(data, len) {STEP_DATA, SIDE_SERVER, (data), (len)}
#define CLIENT_GAP(n) {STEP_GAP, SIDE_CLIENT, NULL, (n)}
#define SERVER_GAP(n) {STEP_GAP, SIDE_SERVER, NULL, (n)}
#define CLIENT_CLOSE {STEP_CLOSE, SIDE_CLIENT, NULL, 0}
#define SERVER_CLOSE {STEP_CLOSE, SIDE_SERVER, NULL, 0}
/* clang-format on */
#define CLOSE CLIENT_CLOSE, SERVER_CLOSE

#define SCRIPT_STEPS 24

struct script {
	const char *name;
	struct step steps[SCRIPT_STEPS];   /* the rest is STEP_END */
	const char *expected;              /* lines, each with its line end */
	const struct dissector *dissector; /* at work from the start; NULL: found by probing, as it should be */
	struct dissect_settings settings;  /* text_max 0: 4096 */
	bool midstream;
	bool coarse;  /* large: split, cut and hurt at some places only */
	bool no_gaps; /* a gap may make a false message of it: say why in a comment */
};

/* Runs scripts in all the ways told above. False: something differed, and was printed to stderr. */
bool harness_check(const struct script *scripts, size_t count);

/* How one run is cut up. */
struct harness_cut {
	size_t split_step, split_at;      /* this step in two; split_at 0: not */
	size_t piece_max;                 /* every step in pieces of this size; 0: whole */
	uint64_t random;                  /* not 0: every step in pieces of random size up to piece_max */
	size_t stop_step, stop_at;        /* no more bytes after these; stop_at SIZE_MAX: all */
	size_t gap_step, gap_at, gap_len; /* these bytes of a step are lost; gap_len 0: none */
	bool halves;                      /* requests and responses on lines of their own, without fields */
};
#define HARNESS_WHOLE ((struct harness_cut){.stop_at = SIZE_MAX})

/* The lines of one run; valid until the next. */
const char *harness_run(const struct script *script, const struct harness_cut *cut);

/* What the registered dissectors say about a direction's first bytes, offered at a guard page: "http client", "tls
 * server"; "unsure": some would see more; "none". Aborts where two are certain. */
const char *harness_probe(const void *data, size_t len, bool midstream);

/* By hand. One at a time. */
struct harness;
struct harness *harness_new(const struct dissector *d, const struct dissect_settings *settings, bool midstream);
void harness_data(struct harness *h, enum dissect_side side, const void *data, size_t len);
void harness_gap(struct harness *h, enum dissect_side side, uint64_t missing);
void harness_close(struct harness *h, enum dissect_side side);
/* Appends the lines. */
void harness_print(const struct harness *h, bool halves, struct buffer *out);
struct harness *harness_free(struct harness *h);

#endif
