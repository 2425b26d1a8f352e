/* line.h - lines of a table on a terminal.
 *
 * Text from the network is made safe before it is shown: control characters, also the 8-bit ones, and characters that
 * change the direction of writing become a dot. Width is counted in columns; wide characters take two. */
#ifndef TS_EXPORT_LINE_H
#define TS_EXPORT_LINE_H

#include "record.h"

#define LINE_BYTES 8192 /* what does not fit is cut */

enum line_style {
	STYLE_NONE,
	STYLE_HEAD,
	STYLE_FAINT,
	STYLE_GOOD,
	STYLE_WARN,
	STYLE_BAD,
	STYLE_NAME,
};

struct line {
	bool colour, utf8;
	unsigned column; /* of the cursor */
	size_t len;
	char at[LINE_BYTES];
};

/* How a cell that is too wide is cut. */
enum line_cut { CUT_END, CUT_START };
enum line_align { ALIGN_LEFT, ALIGN_RIGHT, ALIGN_NONE /* not padded */ };

void line_start(struct line *l, bool colour, bool utf8);
/* One cell of `width` columns; 0: as wide as the text. */
void line_cell(struct line *l, enum line_style style, struct text t, unsigned width, enum line_cut cut,
	       enum line_align a);
void line_printf(struct line *l, enum line_style style, unsigned width, enum line_align a, const char *fmt, ...)
    print_format(5, 6);
void line_to_column(struct line *l, unsigned column);
/* A symbol of our own, or its substitute where the terminal has no UTF-8; one column each, or as wide as the
 * substitute. */
void line_symbol(struct line *l, enum line_style style, const char *utf8, const char *ascii);
/* Ends the line and starts the next; at[0..len) is to be written then. */
void line_end(struct line *l);

/* Columns that the text takes. */
unsigned text_columns(struct text t, bool utf8);

/* "1.23 ms", "980 ns", "2m 03s"; "12.3 kB"; "1,234". Each into a buffer that is returned. */
#define QUANTITY_MAX 32
const char *print_duration_short(char out[QUANTITY_MAX], int64_t ns, bool utf8);
const char *print_bytes_short(char out[QUANTITY_MAX], uint64_t bytes);
const char *print_count(char out[QUANTITY_MAX], uint64_t n);
/* "12.3 %" of a whole; "" where the whole is 0. */
const char *print_share(char out[QUANTITY_MAX], uint64_t part, uint64_t whole);

#endif
