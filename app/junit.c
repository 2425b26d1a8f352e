#include "junit.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* XML 1.0 has no way at all to write most control characters. */
static int put_escaped(struct buffer *b, const char *text, size_t len)
{
	int r = 0;
	for (size_t i = 0; i < len && r == 0;) {
		size_t n = utf8_sequence(text + i, len - i);
		uint8_t c = (uint8_t)text[i];
		if (c == '<')
			r = buffer_printf(b, "&lt;");
		else if (c == '>')
			r = buffer_printf(b, "&gt;");
		else if (c == '&')
			r = buffer_printf(b, "&amp;");
		else if (c == '"')
			r = buffer_printf(b, "&quot;");
		else if (!n || (c < 0x20 && c != '\n' && c != '\t'))
			r = buffer_put(b, "?", 1);
		else
			r = buffer_put(b, text + i, n);
		i += n ? n : 1;
	}
	return r;
}

void junit_add(struct junit *j, const char *class_name, const char *name, double seconds, enum junit_result result,
	       const char *text, size_t len)
{
	static const char *const elements[] = {[JUNIT_FAILURE] = "failure", [JUNIT_ERROR] = "error"};
	struct buffer *b = &j->cases;
	j->tests++;
	j->failures += result == JUNIT_FAILURE;
	j->errors += result == JUNIT_ERROR;
	int r = buffer_printf(b, "  <testcase classname=\"");
	if (r == 0)
		r = put_escaped(b, class_name, strlen(class_name));
	if (r == 0)
		r = buffer_printf(b, "\" name=\"");
	if (r == 0)
		r = put_escaped(b, name, strlen(name));
	if (r == 0)
		r = buffer_printf(b, "\" time=\"%.3f\"%s", seconds, result == JUNIT_PASSED ? "/>\n" : ">\n");
	if (r == 0 && result != JUNIT_PASSED) {
		r = buffer_printf(b, "    <%s message=\"%s\">", elements[result],
				  result == JUNIT_FAILURE ? "records differ" : "could not compare");
		if (r == 0)
			r = put_escaped(b, text, len);
		if (r == 0)
			r = buffer_printf(b, "</%s>\n  </testcase>\n", elements[result]);
	}
	if (r < 0)
		j->no_memory = true;
}

int junit_write(struct junit *j, const char *path)
{
	if (j->no_memory)
		return -ENOMEM;
	FILE *f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuite name=\"tapscope verify\" tests=\"%u\" failures=\"%u\" errors=\"%u\">\n",
		j->tests, j->failures, j->errors);
	fwrite(j->cases.at, 1, j->cases.len, f);
	fprintf(f, "</testsuite>\n");
	bool failed = ferror(f);
	return fclose(f) || failed ? -EIO : 0;
}

void junit_free(struct junit *j)
{
	buffer_free(&j->cases);
}
