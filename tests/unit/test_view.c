/* Owners over time, what a view makes of them, and how views are published. Meant for ThreadSanitizer as well. */
#include "place_internal.h"
#include "view.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define OWN 1000u
#define S NS_PER_S

static struct ip_address ip4(uint8_t last)
{
	return (struct ip_address){4, {10, 0, 0, last}};
}

static struct owner_key key4(uint8_t last)
{
	struct ip_address ip = ip4(last);
	return owner_key_ip(&ip);
}

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb}, mac_c[6] = {2, 0, 0, 0, 0, 0xc},
		     no_mac[6];

static void say(struct owners *o, struct owner_key key, uint64_t netns, const uint8_t mac[6], const char *name)
{
	assert_int_equal(owners_say(o, &key, netns, mac, name), 0);
}

static struct place *open_place(const char *const *owners, size_t count)
{
	struct place *p = NULL;
	struct error e = {.text = ""};
	struct place_settings s = {.owners = {(char **)(uintptr_t)owners, count}, .learn = true};
	if (place_open(&p, &s, &e) != 0)
		fail_msg("%s", e.text);
	return p;
}

static struct view *view_of(struct place *p, const struct owners *o)
{
	struct view *v = NULL;
	struct view_source source = {.own_netns = OWN, .facts = o ? o->facts : NULL, .fact_count = o ? o->count : 0};
	assert_int_equal(view_make(&v, p, &source), 0);
	return v;
}

static const struct view_owner *owner_of_address(const struct view *v, const struct ip_address *ip, uint64_t netns,
						 const uint8_t *mac, int64_t at_ns)
{
	struct owner_key key = owner_key_ip(ip);
	return view_owner(v, view_find(v, &key), netns, mac, at_ns);
}

static const struct view_owner *owner_of_mac(const struct view *v, const uint8_t mac[6], uint64_t netns, int64_t at_ns)
{
	struct owner_key key = owner_key_mac(mac);
	return view_owner(v, view_find(v, &key), netns, NULL, at_ns);
}

static bool netns_has(const struct view *v, uint64_t netns, const struct owner_key *key, int64_t at_ns)
{
	return view_netns_has(v, view_find(v, key), netns, at_ns);
}

static bool pod_has(const struct view *v, const struct owner_key *key, int64_t at_ns)
{
	return view_pod_has(v, view_find(v, key), at_ns);
}

/* The pod's name, "" for none known, "-" for nobody. */
static const char *pod_of(const struct view_owner *o)
{
	static char text[64];
	if (!o)
		return "-";
	snprintf(text, sizeof text, "%.*s", (int)o->pod.len, o->pod.at ? o->pod.at : "");
	return text;
}

static const char *by_address(const struct view *v, uint8_t last, int64_t at_ns)
{
	struct ip_address ip = ip4(last);
	return pod_of(owner_of_address(v, &ip, 0, NULL, at_ns));
}

static void test_facts_begin_end_and_come_back(void **state maybe_unused)
{
	struct owners o = {0};
	say(&o, key4(1), 7, mac_a, "a");
	say(&o, key4(2), 7, mac_a, "a");
	say(&o, key4(1), 7, mac_a, "a"); /* on two NICs of one namespace */
	assert_int_equal(owners_end(&o, 10 * S), 1);
	assert_int_equal(o.count, 2);
	say(&o, key4(2), 7, mac_a, "a");
	say(&o, key4(1), 7, mac_a, "a");
	assert_int_equal(owners_end(&o, 11 * S), 0);
	assert_true(o.facts[0].since_ns == 10 * S && o.facts[0].until_ns == INT64_MAX);
	/* address 1 goes, 2 gets another name */
	say(&o, key4(2), 7, mac_a, "a2");
	assert_int_equal(owners_end(&o, 12 * S), 1);
	assert_int_equal(o.count, 2);
	assert_true(o.facts[0].until_ns == 12 * S);
	assert_string_equal(o.facts[1].name, "a2");
	assert_true(o.facts[1].since_ns == 10 * S);
	/* 1 is back, in the same and in another namespace */
	say(&o, key4(2), 7, mac_a, "a2");
	say(&o, key4(1), 7, mac_a, "a2");
	say(&o, key4(1), 8, mac_b, "b");
	assert_int_equal(owners_end(&o, 20 * S), 1);
	assert_int_equal(o.count, 4);
	assert_true(o.facts[0].netns == 7 && o.facts[0].since_ns == 10 * S && o.facts[0].until_ns == 12 * S);
	assert_true(o.facts[1].netns == 7 && o.facts[1].since_ns == 20 * S && o.facts[1].until_ns == INT64_MAX);
	assert_true(o.facts[2].netns == 8 && o.facts[2].since_ns == 20 * S);
	/* all go; an hour after its end each is forgotten, and not before */
	assert_int_equal(owners_end(&o, 30 * S), 1);
	assert_int_equal(o.count, 4);
	assert_int_equal(owners_end(&o, 12 * S + OWNER_KEEP_NS), 0);
	assert_int_equal(o.count, 4);
	assert_int_equal(owners_end(&o, 12 * S + OWNER_KEEP_NS + 1), 1);
	assert_int_equal(o.count, 3);
	assert_int_equal(owners_end(&o, 30 * S + OWNER_KEEP_NS + 1), 1);
	assert_int_equal(o.count, 0);
	owners_clear(&o);
}

static void test_facts_are_bounded(void **state maybe_unused)
{
	struct owners o = {0};
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < OWNER_FACTS_MAX + 100; i++) {
			struct owner_key key = {.kind = 6, .at = {0x20, (uint8_t)round}};
			memcpy(key.at + 8, &i, sizeof i);
			say(&o, key, 5, mac_a, "pod");
		}
		owners_end(&o, (round + 1) * S);
		assert_true(o.count <= 2 * OWNER_FACTS_MAX);
	}
	assert_int_equal(o.left_out, 400);
	/* those of the last round hold, those of the round before ended last */
	size_t holding = 0, youngest = 0;
	for (size_t i = 0; i < o.count; i++) {
		holding += o.facts[i].until_ns == INT64_MAX;
		youngest += o.facts[i].until_ns == 4 * S;
	}
	assert_int_equal(holding, OWNER_FACTS_MAX);
	assert_int_equal(youngest, o.count - holding);
	struct owner_key common = {.kind = 4, .at = {127, 0, 0, 1}};
	owners_clear(&o);
	say(&o, common, 5, mac_a, "pod");
	assert_int_equal(owners_end(&o, 9 * S), 0);
	owners_clear(&o);
}

static void test_address_moves_to_another_pod(void **state maybe_unused)
{
	struct owners o = {0};
	struct place *p = open_place(NULL, 0);
	say(&o, key4(1), 7, mac_a, "first");
	owners_end(&o, 100 * S);
	owners_end(&o, 200 * S);
	say(&o, key4(1), 8, mac_b, "second");
	owners_end(&o, 210 * S);
	struct view *v = view_of(p, &o);
	assert_string_equal(by_address(v, 1, 100 * S), "first");
	assert_string_equal(by_address(v, 1, 199 * S), "first");
	assert_string_equal(by_address(v, 1, 210 * S), "second");
	assert_string_equal(by_address(v, 1, 1000 * S), "second");
	assert_string_equal(by_address(v, 1, 205 * S), "second"); /* it talks before it is learned */
	assert_string_equal(by_address(v, 1, 50 * S), "first");
	assert_string_equal(by_address(v, 2, 100 * S), "-");
	view_free(v);
	owners_end(&o, 300 * S);
	v = view_of(p, &o);
	assert_string_equal(by_address(v, 1, 299 * S), "second");
	assert_string_equal(by_address(v, 1, 300 * S), "-");
	assert_string_equal(by_address(v, 1, 150 * S), "first");
	view_free(v);
	owners_clear(&o);
	place_close(p);
}

static void test_address_that_several_have(void **state maybe_unused)
{
	struct owners o = {0};
	struct place *p = open_place(NULL, 0);
	say(&o, key4(1), 7, mac_a, "seven");
	say(&o, key4(1), 8, mac_b, "eight");
	say(&o, owner_key_mac(mac_a), 7, mac_a, "seven");
	say(&o, owner_key_mac(mac_b), 8, mac_b, "eight");
	say(&o, owner_key_mac(mac_c), 7, mac_c, "seven");
	say(&o, owner_key_mac(mac_c), 8, mac_c, "eight");
	owners_end(&o, 100 * S);
	struct view *v = view_of(p, &o);
	struct ip_address ip = ip4(1);
	int64_t at = 100 * S;
	assert_string_equal(pod_of(owner_of_address(v, &ip, 0, NULL, at)), "-");
	assert_string_equal(pod_of(owner_of_address(v, &ip, 0, mac_c, at)), "-");
	assert_string_equal(pod_of(owner_of_address(v, &ip, 0, mac_b, at)), "eight");
	assert_string_equal(pod_of(owner_of_address(v, &ip, 7, mac_b, at)), "seven");
	assert_string_equal(pod_of(owner_of_address(v, &ip, 9, mac_b, at)), "eight");
	assert_string_equal(pod_of(owner_of_mac(v, mac_a, 0, at)), "seven");
	assert_string_equal(pod_of(owner_of_mac(v, mac_c, 0, at)), "-");
	assert_string_equal(pod_of(owner_of_mac(v, mac_c, 8, at)), "eight");
	struct owner_key key = key4(1);
	assert_true(netns_has(v, 7, &key, at) && netns_has(v, 8, &key, at));
	assert_false(netns_has(v, 9, &key, at) || netns_has(v, OWN, &key, at));
	assert_true(pod_has(v, &key, at));
	view_free(v);
	owners_clear(&o);
	place_close(p);
}

static void test_own_namespace_and_unknown_names(void **state maybe_unused)
{
	struct owners o = {0};
	struct place *p = open_place(NULL, 0);
	say(&o, key4(1), OWN, mac_a, "");
	say(&o, key4(2), 7, mac_b, "");
	owners_end(&o, 100 * S);
	struct view *v = view_of(p, &o);
	struct ip_address own = ip4(1), pod = ip4(2);
	struct owner_key own_key = key4(1), pod_key = key4(2);
	const struct view_owner *w = owner_of_address(v, &own, 0, NULL, 100 * S);
	assert_true(w && w->node && w->here && !w->pod.at && w->netns == OWN);
	assert_false(pod_has(v, &own_key, 100 * S));
	w = owner_of_address(v, &pod, 0, NULL, 100 * S);
	assert_true(w && !w->node && w->here && !w->pod.at && w->netns == 7 && w->since_ns == 100 * S);
	assert_true(pod_has(v, &pod_key, 100 * S));
	view_free(v);
	owners_clear(&o);
	place_close(p);
}

/* A namespace is called by its last name, whatever was said of it before. */
static void test_names_that_come_late(void **state maybe_unused)
{
	struct owners o = {0};
	struct place *p = open_place(NULL, 0);
	say(&o, key4(1), 7, mac_a, "cni-1234");
	say(&o, key4(2), 7, mac_a, "cni-1234");
	say(&o, key4(3), 8, mac_b, "");
	owners_end(&o, 100 * S);
	say(&o, key4(2), 7, mac_a, "cart-7d9f");
	say(&o, key4(3), 8, mac_b, "db-0");
	owners_end(&o, 110 * S);
	struct view *v = view_of(p, &o);
	assert_string_equal(by_address(v, 1, 105 * S), "cart-7d9f");
	assert_string_equal(by_address(v, 2, 105 * S), "cart-7d9f");
	assert_string_equal(by_address(v, 3, 105 * S), "db-0");
	view_free(v);
	owners_clear(&o);
	place_close(p);
}

static void test_configured_owners(void **state maybe_unused)
{
	static const char *const entries[] = {
	    "02:00:00:00:00:0a = shop/cart-7d9f (Deployment/cart)",
	    "10.0.0.3 = db @another-host-for-sure",
	};
	struct place *p = open_place(entries, 2);
	struct owners o = {0};
	say(&o, owner_key_mac(mac_a), 7, mac_a, "cart-7d9f");
	say(&o, key4(1), 7, mac_a, "cart-7d9f");
	say(&o, key4(3), 8, mac_b, "local-db");
	say(&o, key4(4), 8, mac_b, "local-db");
	owners_end(&o, 100 * S);
	struct view *v = view_of(p, &o), *alone = view_of(p, NULL);
	const struct view_owner *w = owner_of_mac(v, mac_a, 0, 5 * S);
	assert_true(w && w->configured && w->here && text_is(w->pod, "cart-7d9f") && text_is(w->pod_ns, "shop") &&
		    text_is(w->workload, "Deployment/cart") && !w->host.at);
	/* the rest of its namespace is the same owner's */
	struct ip_address ip = ip4(1);
	w = owner_of_address(v, &ip, 0, NULL, 100 * S);
	assert_true(w && !w->configured && text_is(w->pod_ns, "shop") && text_is(w->pod, "cart-7d9f"));
	/* what is configured goes before what was learned */
	ip = ip4(3);
	w = owner_of_address(v, &ip, 0, NULL, 100 * S);
	assert_true(w && w->configured && !w->here && text_is(w->pod, "db") &&
		    text_is(w->host, "another-host-for-sure"));
	struct owner_key key = key4(3);
	assert_true(netns_has(v, 8, &key, 100 * S));
	assert_true(netns_has(v, 8, &key, 50 * S)); /* it talked before it was learned */
	assert_false(netns_has(v, 7, &key, 100 * S));
	assert_string_equal(by_address(v, 4, 100 * S), "db");
	/* without anything learned */
	assert_string_equal(by_address(alone, 3, 0), "db");
	assert_string_equal(by_address(alone, 1, 0), "-");
	assert_string_equal(pod_of(owner_of_mac(alone, mac_a, 0, 0)), "cart-7d9f");
	assert_false(netns_has(alone, 8, &key, 0));
	view_free(v);
	view_free(alone);
	owners_clear(&o);
	place_close(p);
}

/* Against a plain search through all facts, for many keys at random. */
static void test_lookups_of_many(void **state maybe_unused)
{
	struct owners o = {0};
	struct place *p = open_place(NULL, 0);
	uint64_t seed = 42;
	for (unsigned round = 1; round <= 20; round++) {
		for (unsigned i = 0; i < 300; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			struct owner_key key = {.kind = 4, .at = {10, 9, (uint8_t)(seed >> 60), (uint8_t)(seed >> 40)}};
			char name[16];
			uint64_t netns = 1 + (seed >> 33) % 50;
			snprintf(name, sizeof name, "pod-%u", (unsigned)netns);
			say(&o, key, netns, no_mac, name);
		}
		owners_end(&o, round * S);
	}
	struct view *v = view_of(p, &o);
	for (unsigned x = 0; x < 16; x++) {
		for (unsigned y = 0; y < 256; y++) {
			struct ip_address ip = {4, {10, 9, (uint8_t)x, (uint8_t)y}};
			struct owner_key key = owner_key_ip(&ip);
			int64_t at = (1 + y % 22) * S - S / 2, next = INT64_MAX;
			for (size_t i = 0; i < o.count; i++) {
				const struct owner_fact *f = &o.facts[i];
				if (memcmp(&f->key, &key, sizeof key))
					continue;
				if (f->since_ns <= at && at < f->until_ns)
					next = at;
				else if (f->since_ns > at && next > f->since_ns)
					next = f->since_ns;
			}
			uint64_t one = 0;
			bool several = false;
			for (size_t i = 0; i < o.count; i++) {
				const struct owner_fact *f = &o.facts[i];
				if (memcmp(&f->key, &key, sizeof key) || f->since_ns > next || next >= f->until_ns)
					continue;
				several |= one && one != f->netns;
				one = f->netns;
			}
			const struct view_owner *w = owner_of_address(v, &ip, 0, NULL, at);
			assert_int_equal(w ? w->netns : 0, several ? 0 : one);
		}
	}
	view_free(v);
	owners_clear(&o);
	place_close(p);
}

/* --- publication --- */

#define READERS 3
#define EDITIONS 3000

static struct views *published;
static atomic_int reading;

/* Every name in a view is its edition's: one that was freed too early, or is half made, has another. */
static void *read_views(void *arg)
{
	unsigned worker = (unsigned)(uintptr_t)arg, last = 0;
	struct ip_address ip = ip4(1), ip2 = ip4(2);
	for (;;) {
		const struct view *v = view_current(published, worker);
		const struct view_owner *a = owner_of_address(v, &ip, 0, NULL, 0);
		const struct view_owner *b = owner_of_address(v, &ip2, 0, NULL, 0);
		unsigned number = 0;
		for (uint32_t i = 4; i < a->pod.len; i++)
			number = number * 10 + (unsigned)(a->pod.at[i] - '0');
		if (number < last || a->pod.len != b->pod.len || memcmp(a->pod.at, b->pod.at, a->pod.len))
			return (void *)1;
		last = number;
		if (number == EDITIONS) {
			atomic_fetch_sub(&reading, 1);
			return NULL;
		}
	}
}

static struct view *edition(struct place *p, unsigned number)
{
	struct owners o = {0};
	char name[32];
	snprintf(name, sizeof name, "pod-%u", number);
	say(&o, key4(1), 7, mac_a, name);
	say(&o, key4(2), 7, mac_a, name);
	owners_end(&o, 0);
	struct view *v = view_of(p, &o);
	owners_clear(&o);
	return v;
}

static void test_publication(void **state maybe_unused)
{
	pthread_t readers[READERS];
	struct place *p = open_place(NULL, 0);
	assert_int_equal(views_open(&published, READERS, edition(p, 0)), 0);
	atomic_store(&reading, READERS);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_views, (void *)(uintptr_t)i), 0);
	for (unsigned i = 1; i <= EDITIONS; i++) {
		struct view *v = edition(p, i);
		while (views_publish(published, v) == -EAGAIN) {
			assert_true(views_waiting(published) == VIEWS_WAITING_MAX);
			sched_yield();
		}
	}
	for (unsigned i = 0; i < READERS; i++) {
		void *bad;
		assert_int_equal(pthread_join(readers[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(atomic_load(&reading), 0);
	assert_int_equal(views_publish(published, NULL), 0);
	assert_int_equal(views_waiting(published), 0);
	published = views_close(published);
	assert_int_equal(p->holders, 1);
	place_close(p);
}

static void test_a_reader_that_stands_still(void **state maybe_unused)
{
	struct place *p = open_place(NULL, 0);
	struct views *s;
	assert_int_equal(views_open(&s, 2, edition(p, 0)), 0);
	const struct view *held = view_current(s, 0);
	for (unsigned i = 1; i <= VIEWS_WAITING_MAX; i++) {
		assert_int_equal(views_publish(s, edition(p, i)), 0);
		view_current(s, 1);
		assert_int_equal(views_waiting(s), i);
	}
	struct view *more = edition(p, 99);
	assert_int_equal(views_publish(s, more), -EAGAIN);
	assert_string_equal(by_address(held, 1, 0), "pod-0");
	assert_string_equal(by_address(view_current(s, 0), 1, 0), "pod-16");
	assert_int_equal(views_publish(s, more), 0);
	assert_int_equal(views_waiting(s), 1); /* the one that both still look at */
	views_close(s);
	place_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_facts_begin_end_and_come_back),
	    cmocka_unit_test(test_facts_are_bounded),
	    cmocka_unit_test(test_address_moves_to_another_pod),
	    cmocka_unit_test(test_address_that_several_have),
	    cmocka_unit_test(test_own_namespace_and_unknown_names),
	    cmocka_unit_test(test_names_that_come_late),
	    cmocka_unit_test(test_configured_owners),
	    cmocka_unit_test(test_lookups_of_many),
	    cmocka_unit_test(test_publication),
	    cmocka_unit_test(test_a_reader_that_stands_still),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
