/* fuzz_dissect.c - one fuzz target per dissector, FUZZ_DISSECTOR its name, on the harness of the unit tests.
 *
 * An input is a conversation. Bytes are data, of the client at first; these are not:
 *
 * - F0: the client speaks; F1: the server speaks;
 * - F2 LO HI: the client loses so many bytes; F3 LO HI: the server does;
 * - F4: the client closes; F5: the server closes;
 * - F6 OPTIONS: bit 0: picked up midstream; bit 1: recognised by probing; bit 2: texts hidden; bit 3: text_max 5;
 * - F8 BYTE: that byte as data.
 *
 * So an input for a text protocol can be written by hand.
 *
 * Beside what sanitizers, guard pages and the harness see: where nothing is lost, the lines must be the same when each
 * byte comes on its own. */
#include "cursor.h"
#include "dissect_harness.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 64, BYTES = 1 << 16 };
enum { OPTION_MIDSTREAM = 1, OPTION_PROBE = 2, OPTION_HIDE = 4, OPTION_SHORT = 8 };

struct conversation {
	struct step steps[STEPS];
	size_t count, used;
	uint8_t options;
	bool lossy;
	uint8_t bytes[BYTES];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Whether the steps up to here can take one more. */
static bool read_operation(struct conversation *c, struct cursor *in, uint8_t op)
{
	struct step *s = &c->steps[c->count - 1];
	if (op < 0xf6 && s->kind != STEP_END) {
		if (c->count == STEPS)
			return false;
		s = &c->steps[c->count++];
	}
	enum dissect_side side = op & 1 ? SIDE_SERVER : SIDE_CLIENT;
	if (op <= 0xf1) {
		*s = (struct step){STEP_DATA, side, c->bytes + c->used, 0};
	} else if (op <= 0xf3) {
		*s = (struct step){STEP_GAP, side, NULL, cursor_le16(in)};
		c->lossy = true;
	} else if (op <= 0xf5) {
		*s = (struct step){STEP_CLOSE, side, NULL, 0};
	} else if (op == 0xf6) {
		c->options = cursor_u8(in);
	}
	return !in->bad;
}

static void read_conversation(struct conversation *c, const uint8_t *data, size_t len)
{
	struct cursor in = cursor_make(data, len);
	*c = (struct conversation){.count = 1, .steps = {{STEP_DATA, SIDE_CLIENT, c->bytes, 0}}};
	while (cursor_left(&in) && c->used < BYTES) {
		uint8_t b = cursor_u8(&in);
		if (b >= 0xf0 && b <= 0xf7) {
			if (!read_operation(c, &in, b))
				return;
			continue;
		}
		if (b == 0xf8)
			b = cursor_u8(&in);
		struct step *s = &c->steps[c->count - 1];
		if (s->kind != STEP_DATA && !read_operation(c, &in, s->side == SIDE_SERVER ? 0xf1 : 0xf0))
			return;
		c->bytes[c->used++] = b;
		c->steps[c->count - 1].len++;
	}
}

static void run(const struct conversation *c, size_t piece_max, struct buffer *out)
{
	struct dissect_settings settings = {
	    .text_max = c->options & OPTION_SHORT ? 5 : DISSECT_TEXT_MAX,
	    .obfuscate = c->options & OPTION_HIDE ? UINT64_MAX : 0,
	};
	const struct dissector *d = c->options & OPTION_PROBE ? NULL : dissector_find(FUZZ_DISSECTOR);
	struct harness *h = harness_new(d, &settings, c->options & OPTION_MIDSTREAM);
	for (size_t i = 0; i < c->count; i++) {
		const struct step *s = &c->steps[i];
		if (s->kind == STEP_GAP)
			harness_gap(h, s->side, s->len);
		else if (s->kind == STEP_CLOSE)
			harness_close(h, s->side);
		for (size_t at = 0; s->kind == STEP_DATA && at < s->len; at += piece_max)
			harness_data(h, s->side, (const uint8_t *)s->data + at, min_of(piece_max, s->len - at));
	}
	harness_close(h, SIDE_CLIENT);
	harness_close(h, SIDE_SERVER);
	harness_print(h, false, out);
	buffer_put(out, "", 1);
	harness_free(h);
}

static void probe(const struct conversation *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->steps[i].kind == STEP_DATA)
			harness_probe(c->steps[i].data, c->steps[i].len, c->options & OPTION_MIDSTREAM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct conversation c;
	struct buffer whole = {0}, bytewise = {0};
	read_conversation(&c, data, len);
	probe(&c);
	run(&c, BYTES, &whole);
	run(&c, 1, &bytewise);
	/* what a probe makes of a beginning may differ from what it makes of the whole */
	if (!c.lossy && !(c.options & (OPTION_PROBE | OPTION_MIDSTREAM)) && strcmp(whole.at, bytewise.at)) {
		fprintf(stderr, "differs byte by byte\nwhole:\n%sbytewise:\n%s", whole.at, bytewise.at);
		abort();
	}
	buffer_free(&whole);
	buffer_free(&bytewise);
	return 0;
}
