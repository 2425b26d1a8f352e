/* Following NICs with changing settings, on whatever host this is: loopback is everywhere. What comes and goes is
 * tested by tests/live/nics.py. */
#include "nics.h"
#include "tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define NOW (1700000000 * NS_PER_S)

static struct place *open_place(const char *pattern)
{
	struct place *p = NULL;
	struct error e = {.text = ""};
	struct place_settings s = {.interface_regex = (char *)(uintptr_t)pattern, .rescan_ns = NS_PER_S};
	if (place_open(&p, &s, &e) != 0)
		fail_msg("%s", e.text);
	return p;
}

static struct nics *open_nics(struct place *p)
{
	struct nics *n = NULL;
	struct error e = {.text = ""};
	if (nics_open(&n, p, &e) != 0)
		fail_msg("%s", e.text);
	return n;
}

static const struct nic *find(const struct nics *n, const char *name)
{
	const struct nic *i = NULL;
	while ((i = nics_next(n, i)) && strcmp(i->name, name))
		;
	return i;
}

static void test_settings_change(void **state maybe_unused)
{
	struct place *none = open_place("^no-such$"), *loopback = open_place("^lo$");
	struct nics *n = open_nics(none);
	const struct nic_change *changes;
	assert_int_equal(nics_poll(n, NOW, &changes), 0);
	assert_non_null(find(n, "lo"));
	assert_int_equal(find(n, "lo")->why, NIC_NOT_MATCHED);
	assert_int_equal(find(n, "lo")->id, 0);

	nics_configure(n, loopback);
	assert_int_equal(nics_poll(n, NOW + 1, &changes), 1);
	assert_int_equal(changes[0].kind, NIC_ADDED);
	assert_string_equal(changes[0].nic->name, "lo");
	assert_true(changes[0].nic->loopback && changes[0].nic->netns_descriptor == -1 &&
		    changes[0].nic->link_type == 1);
	uint16_t id = changes[0].nic->id;
	assert_true(id > 0);
	assert_int_equal(nics_poll(n, NOW + 2, &changes), 0);

	nics_configure(n, none);
	assert_int_equal(nics_poll(n, NOW + 3, &changes), 1);
	assert_int_equal(changes[0].kind, NIC_REMOVED);
	assert_int_equal(changes[0].nic->id, id);

	nics_configure(n, loopback); /* the same NIC, the same id */
	assert_int_equal(nics_poll(n, NOW + 4, &changes), 1);
	assert_int_equal(changes[0].kind, NIC_ADDED);
	assert_int_equal(changes[0].nic->id, id);
	nics_close(n);
	place_close(none);
	place_close(loopback);
}

static void test_view_of_nics(void **state maybe_unused)
{
	struct place *p = open_place("^lo$");
	struct nics *n = open_nics(p);
	const struct nic_change *changes;
	assert_int_equal(nics_poll(n, NOW, &changes), 1);
	assert_true(nics_view_is_stale(n));
	struct view *v = NULL;
	assert_int_equal(nics_view(n, &v), 0);
	assert_false(nics_view_is_stale(n));
	struct place_input in = {
	    .nic = changes[0].nic->id, .client = {4, {127, 0, 0, 1}}, .server = {4, {127, 0, 0, 1}}, .start_ns = NOW};
	struct place_result r;
	place_flow(v, &in, &r);
	assert_string_equal(r.tap_side, "local");
	assert_true(text_is(r.nic, "lo"));
	assert_false(r.tap_type.at || r.client.pod.at || r.server.pod.at);
	in.nic++;
	place_flow(v, &in, &r);
	assert_null(r.tap_side);
	view_free(v);
	nics_close(n);
	place_close(p);
}

/* With namespaces looked for; what is found depends on the host and on privileges, and neither may be a failure. */
static void test_others_are_looked_for(void **state maybe_unused)
{
	struct place_settings s = {
	    .netns_regex = (char *)(uintptr_t) "^no-such$", .learn = true, .rescan_ns = NS_PER_S};
	struct place *p = NULL;
	assert_int_equal(place_open(&p, &s, NULL), 0);
	struct nics *n = open_nics(p);
	const struct nic_change *changes;
	struct nics_status status;
	assert_true(nics_poll(n, NOW, &changes) >= 1); /* an empty pattern is found in every name */
	nics_status(n, &status);
	assert_int_equal(status.selected, 0);
	assert_int_equal(status.looks, 1);
	assert_true(status.listings >= 1 + status.namespaces);
	assert_int_equal(status.changes_lost, 0);
	nics_close(n);
	place_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settings_change),
	    cmocka_unit_test(test_view_of_nics),
	    cmocka_unit_test(test_others_are_looked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
