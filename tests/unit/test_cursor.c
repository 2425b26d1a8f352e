/* A cursor never touches the byte after its end: the input lies against a page that cannot be read. */
#include "cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t *guard; /* first unreadable byte */

static int make_guard(void **state maybe_unused)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED || mprotect(base + page, page, PROT_NONE))
		return -1;
	guard = base + page;
	return 0;
}

/* `len` bytes 1, 2, 3, … that end at the guard. */
static struct cursor open_input(size_t len)
{
	for (size_t i = 0; i < len; i++)
		guard[i - len] = (uint8_t)(i + 1);
	return cursor_make(guard - len, len);
}

#define READER(name)                                                                                                   \
	static uint64_t read_##name(struct cursor *c)                                                                  \
	{                                                                                                              \
		return cursor_##name(c);                                                                               \
	}
READER(u8)
READER(be16)
READER(be24)
READER(be32)
READER(be64)
READER(le16)
READER(le32)
READER(le64)

static const struct {
	uint64_t (*read)(struct cursor *c);
	size_t size;
	uint64_t value; /* of bytes 1, 2, 3, … */
} readers[] = {
    {read_u8, 1, 0x01},
    {read_be16, 2, 0x0102},
    {read_be24, 3, 0x010203},
    {read_be32, 4, 0x01020304},
    {read_be64, 8, 0x0102030405060708},
    {read_le16, 2, 0x0201},
    {read_le32, 4, 0x04030201},
    {read_le64, 8, 0x0807060504030201},
};

static void test_values(void **state maybe_unused)
{
	for (size_t i = 0; i < array_size(readers); i++) {
		struct cursor c = open_input(readers[i].size);
		assert_true(readers[i].read(&c) == readers[i].value);
		assert_false(c.bad);
		assert_int_equal(cursor_left(&c), 0);
	}
}

/* One byte short, two bytes short, …: zero, nothing moved, and bad for good. */
static void test_every_truncation(void **state maybe_unused)
{
	for (size_t i = 0; i < array_size(readers); i++) {
		for (size_t len = 0; len < readers[i].size; len++) {
			struct cursor c = open_input(len);
			assert_true(readers[i].read(&c) == 0);
			assert_true(c.bad);
			assert_int_equal(cursor_left(&c), len);
			assert_true(cursor_u8(&c) == 0); /* although a byte may be there */
			assert_int_equal(cursor_left(&c), len);
			assert_null(cursor_take(&c, 0));
			assert_true(c.bad);
		}
	}
}

static void test_take_and_skip(void **state maybe_unused)
{
	struct cursor c = open_input(10);
	const uint8_t *start = c.at;
	assert_ptr_equal(cursor_take(&c, 0), start);
	assert_ptr_equal(cursor_take(&c, 4), start);
	assert_true(cursor_skip(&c, 5));
	assert_int_equal(cursor_left(&c), 1);
	assert_int_equal(cursor_u8(&c), 10);
	assert_true(cursor_skip(&c, 0));
	assert_false(c.bad);
	assert_false(cursor_skip(&c, 1));
	assert_true(c.bad);
}

/* A length from the network may be anything. */
static void test_huge_lengths(void **state maybe_unused)
{
	static const size_t lengths[] = {11, 12, UINT32_MAX, SIZE_MAX / 2, SIZE_MAX - 5, SIZE_MAX};
	for (size_t i = 0; i < array_size(lengths); i++) {
		struct cursor c = open_input(10);
		assert_null(cursor_take(&c, lengths[i]));
		assert_true(c.bad);
		assert_int_equal(cursor_left(&c), 10);
	}
}

static void test_empty_input(void **state maybe_unused)
{
	struct cursor c = cursor_make(guard, 0);
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_be32(&c), 0);
	assert_true(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),        cmocka_unit_test(test_every_truncation),
	    cmocka_unit_test(test_take_and_skip), cmocka_unit_test(test_huge_lengths),
	    cmocka_unit_test(test_empty_input),
	};
	return cmocka_run_group_tests(tests, make_guard, NULL);
}
