/* junit.h - test results in the XML that CI systems read. */
#ifndef TS_APP_JUNIT_H
#define TS_APP_JUNIT_H

#include "text.h"

struct junit {
	struct buffer cases;
	unsigned tests, failures, errors;
	bool no_memory;
};

enum junit_result { JUNIT_PASSED, JUNIT_FAILURE, JUNIT_ERROR };

/* One test. text: what went wrong, for any but JUNIT_PASSED; any bytes. */
void junit_add(struct junit *j, const char *class_name, const char *name, double seconds, enum junit_result result,
	       const char *text, size_t len);
/* Writes the file. 0 or -errno. */
int junit_write(struct junit *j, const char *path);
void junit_free(struct junit *j);

#endif
