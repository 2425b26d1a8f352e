/* interfaces: which NICs the configuration picks, in which network namespace, and why; and whose addresses are known.
 */
#include "commands.h"
#include "line.h"
#include "ndjson.h"
#include "nics.h"
#include "outputs.h"
#include "setup.h"
#include "usage.h"

#include <errno.h>
#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char usage_text[] =
    "usage: tapscope interfaces [options]\n"
    "\n"
    "Prints all NICs of this host, in our network namespace and in those that can be looked into: which\n"
    "of them the configuration picks to capture on, and why, or why not.\n"
    "\n"
    "  -i, --interface NIC   as for 'run': this one, and no other; may be given several times\n"
    "  --picked              only those that are picked\n"
    "  --owners              whose addresses are, as learned from namespaces, instead of NICs\n"
    "  --follow              goes on: every change of what is picked (or learned), until SIGINT or SIGTERM\n"
    "  --format table|ndjson a table (the default on a terminal), or a JSON object a line\n"
    "\n"
    "  -C, --config FILE     settings, see 'tapscope config example'\n"
    "  -o, --set NAME=VALUE  one setting, as in the file\n"
    "  -h, --help            this text\n"
    "\n"
    "Exit status: 0 done; 1 the configuration is wrong, or picks no NIC; 2 wrong usage; 3 the host cannot\n"
    "be asked.\n";

enum { OPTION_PICKED = 256, OPTION_OWNERS, OPTION_FOLLOW, OPTION_FORMAT };

static const struct usage_option usage_options[] = {
    {'i', "interface", true},
    {OPTION_PICKED, "picked", false},
    {OPTION_OWNERS, "owners", false},
    {OPTION_FOLLOW, "follow", false},
    {OPTION_FORMAT, "format", true},
    {'C', "config", true},
    {'c', NULL, true},
    {'o', "set", true},
    {'h', "help", false},
    {0},
};

struct arguments {
	enum format format; /* FORMATS: not given */
	bool picked, owners, follow, help;
	struct setup_options setup;
	struct option_list only;
};

static atomic_int stop;

static void on_signal(int number maybe_unused)
{
	atomic_store_explicit(&stop, 1, memory_order_relaxed);
}

static int parse_option(struct arguments *a, int code, char *value)
{
	switch (code) {
	case 'i':
		a->only.item[a->only.count++] = value;
		return 0;
	case OPTION_PICKED:
		a->picked = true;
		return 0;
	case OPTION_OWNERS:
		a->owners = true;
		return 0;
	case OPTION_FOLLOW:
		a->follow = true;
		return 0;
	case OPTION_FORMAT:
		a->format = outputs_format(value, "interfaces");
		if (a->format == FORMAT_NONE)
			return usage_fault("interfaces", "with the format 'none' there is nothing to do");
		return a->format == FORMATS ? EXIT_USAGE : 0;
	case 'C':
	case 'c':
		a->setup.config = value;
		return 0;
	case 'o':
		return setup_assign(&a->setup, value) ? 0 : usage_fault("interfaces", "too many settings");
	case USAGE_OPERAND:
		return usage_fault("interfaces", "what is '%s'? A NIC is given with -i", value);
	default:
		a->help = true;
		return 0;
	}
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* --- JSON --- */

static void put_string(const char *name, struct text t)
{
	printf("%s\"", name);
	for (uint32_t i = 0; i < t.len;) {
		uint8_t c = (uint8_t)t.at[i];
		size_t n = utf8_sequence(t.at + i, t.len - i);
		if (c < 0x20 || c == 0x7f)
			printf("\\u%04x", c);
		else if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (n)
			fwrite(t.at + i, 1, n, stdout);
		else
			fputs("\xef\xbf\xbd", stdout);
		i += n ? (uint32_t)n : 1;
	}
	putchar('"');
}

static struct text text_of(const char *s)
{
	return (struct text){s, (uint32_t)strlen(s)};
}

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void print_nic_json(const struct nic *n, const char *event)
{
	if (event)
		printf("{\"event\":\"%s\",\"nic\":", event);
	else
		fputs("{\"nic\":", stdout);
	put_string("", text_of(n->name));
	if (n->netns_name[0])
		put_string(",\"netns\":", text_of(n->netns_name));
	printf(",\"netns_inode\":%llu,\"ifindex\":%d", (unsigned long long)n->netns, n->ifindex);
	if (n->id)
		printf(",\"id\":%u", n->id);
	printf(",\"picked\":%s,\"why\":\"%s\"", truth(nic_is_picked(n)), nic_why_text(n->why));
	if (n->kind[0])
		put_string(",\"kind\":", text_of(n->kind));
	printf(",\"up\":%s,\"running\":%s", truth(n->up), truth(n->running));
	if (n->has_mac)
		printf(",\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\"", n->mac[0], n->mac[1], n->mac[2], n->mac[3],
		       n->mac[4], n->mac[5]);
	if (n->parent)
		printf(",\"parent\":%d", n->parent);
	if (n->pod)
		printf(",\"pod_nic\":true");
	if (n->pod_netns)
		printf(",\"pod_netns\":%llu", (unsigned long long)n->pod_netns);
	printf(",\"link_type\":%u,\"addresses\":[", n->link_type);
	for (unsigned i = 0; i < n->address_count; i++) {
		char text[IP_TEXT_MAX];
		put_string(i ? "," : "", (struct text){text, (uint32_t)ip_print(&n->addresses[i], text)});
	}
	puts("]}");
}

static void put_time(const char *name, int64_t ns)
{
	char text[TIME_TEXT_LEN];
	put_string(name, (struct text){text, (uint32_t)time_print(ns, text)});
}

static void print_owner_json(const struct owner_fact *f, const struct view_owner *o)
{
	char key[OWNER_KEY_TEXT_MAX];
	owner_key_print(&f->key, key);
	printf("{\"address\":\"%s\"", key);
	if (o && o->pod.at)
		put_string(",\"pod\":", o->pod);
	if (o && o->pod_ns.at)
		put_string(",\"pod_ns\":", o->pod_ns);
	if (o && o->workload.at)
		put_string(",\"workload\":", o->workload);
	if (o && o->node)
		fputs(",\"node\":true", stdout);
	printf(",\"netns_inode\":%llu", (unsigned long long)f->netns);
	put_time(",\"since\":", f->since_ns);
	if (f->until_ns != INT64_MAX)
		put_time(",\"until\":", f->until_ns);
	puts("}");
}

/* --- tables --- */

struct table {
	struct line line;
	unsigned netns, nic; /* columns of the first cells */
};

static void write_line(struct line *l)
{
	line_end(l);
	fwrite(l->at, 1, l->len, stdout);
}

static void cell(struct table *t, enum line_style style, const char *text, unsigned width)
{
	line_cell(&t->line, style, text_of(text), width, CUT_END, ALIGN_LEFT);
	line_cell(&t->line, STYLE_NONE, text_of(" "), 1, CUT_END, ALIGN_LEFT);
}

static void start_table(struct table *t, const struct nics *n)
{
	bool terminal = isatty(STDOUT_FILENO);
	bool utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	line_start(&t->line, terminal && !getenv("NO_COLOR"), utf8);
	t->netns = sizeof "NETNS" - 1;
	t->nic = sizeof "NIC" - 1;
	for (const struct nic *i = nics_next(n, NULL); i; i = nics_next(n, i)) {
		t->netns = max_of(t->netns, min_of(text_columns(text_of(i->netns_name), utf8), 40u));
		t->nic = max_of(t->nic, text_columns(text_of(i->name), utf8));
	}
}

static const char *state_of(const struct nic *n)
{
	return !n->up ? "down" : n->running ? "up" : "no carrier";
}

static void print_nic_row(struct table *t, const struct nic *n, const char *event)
{
	char addresses[3 * (IP_TEXT_MAX + 1) + 8] = "";
	size_t at = 0;
	for (unsigned i = 0; i < min_of(n->address_count, 3u); i++) {
		if (i)
			addresses[at++] = ' ';
		at += ip_print(&n->addresses[i], addresses + at);
	}
	if (n->address_count > 3)
		snprintf(addresses + at, sizeof addresses - at, " …");
	bool picked = nic_is_picked(n);
	line_start(&t->line, t->line.colour, t->line.utf8);
	if (event)
		cell(t, STYLE_HEAD, event, 7);
	cell(t, STYLE_NONE, n->netns_name[0] ? n->netns_name : "-", t->netns);
	cell(t, STYLE_NAME, n->name, t->nic);
	cell(t, picked ? STYLE_GOOD : STYLE_FAINT, picked ? "yes" : "no", 6);
	cell(t, STYLE_NONE, state_of(n), 10);
	cell(t, STYLE_NONE, n->kind[0] ? n->kind : "-", 9);
	cell(t, picked ? STYLE_NONE : STYLE_FAINT, nic_why_text(n->why), 0);
	cell(t, STYLE_FAINT, addresses, 0);
	write_line(&t->line);
}

static void print_nic_head(struct table *t, bool event)
{
	line_start(&t->line, t->line.colour, t->line.utf8);
	if (event)
		cell(t, STYLE_HEAD, "EVENT", 7);
	cell(t, STYLE_HEAD, "NETNS", t->netns);
	cell(t, STYLE_HEAD, "NIC", t->nic);
	cell(t, STYLE_HEAD, "PICKED", 6);
	cell(t, STYLE_HEAD, "STATE", 10);
	cell(t, STYLE_HEAD, "KIND", 9);
	cell(t, STYLE_HEAD, "WHY, ADDRESSES", 0);
	write_line(&t->line);
}

static void print_owner_row(struct table *t, const struct owner_fact *f, const struct view_owner *o)
{
	char key[OWNER_KEY_TEXT_MAX], since[TIME_TEXT_LEN + 1] = "", until[TIME_TEXT_LEN + 1] = "";
	char name[512];
	owner_key_print(&f->key, key);
	time_print(f->since_ns, since);
	if (f->until_ns != INT64_MAX)
		time_print(f->until_ns, until);
	if (!o || o->node || !o->pod.at)
		snprintf(name, sizeof name, "%s", o && o->node ? "(this host)" : "(no name)");
	else
		snprintf(name, sizeof name, "%.*s%s%.*s", (int)o->pod_ns.len, o->pod_ns.at ? o->pod_ns.at : "",
			 o->pod_ns.at ? "/" : "", (int)o->pod.len, o->pod.at);
	line_start(&t->line, t->line.colour, t->line.utf8);
	cell(t, STYLE_NAME, key, 40);
	cell(t, STYLE_NONE, name, 40);
	cell(t, STYLE_FAINT, since, 30);
	cell(t, STYLE_FAINT, until, 0);
	write_line(&t->line);
}

static void print_owner_head(struct table *t)
{
	line_start(&t->line, t->line.colour, t->line.utf8);
	cell(t, STYLE_HEAD, "ADDRESS", 40);
	cell(t, STYLE_HEAD, "WHOSE", 40);
	cell(t, STYLE_HEAD, "SINCE", 30);
	cell(t, STYLE_HEAD, "UNTIL", 0);
	write_line(&t->line);
}

/* --- what was asked for --- */

static void print_nics(const struct nics *n, const struct arguments *a, struct table *t)
{
	if (a->format == FORMAT_TABLE)
		print_nic_head(t, false);
	for (const struct nic *i = nics_next(n, NULL); i; i = nics_next(n, i)) {
		if (a->picked && !nic_is_picked(i))
			continue;
		if (a->format == FORMAT_TABLE)
			print_nic_row(t, i, NULL);
		else
			print_nic_json(i, NULL);
	}
}

static const struct view_owner *owner_of(const struct view *v, const struct owner_fact *f)
{
	return view_owner(v, view_find(v, &f->key), f->netns, f->mac, f->since_ns);
}

/* Those that began or ended at `at_ns`; INT64_MIN: all. */
static int print_owners(struct nics *n, const struct arguments *a, struct table *t, int64_t at_ns)
{
	struct view *v;
	size_t count;
	if (nics_view(n, &v) < 0)
		return -ENOMEM;
	const struct owner_fact *facts = nics_owners(n, &count);
	for (size_t i = 0; i < count; i++) {
		if (at_ns != INT64_MIN && facts[i].since_ns != at_ns && facts[i].until_ns != at_ns)
			continue;
		if (a->format == FORMAT_TABLE)
			print_owner_row(t, &facts[i], owner_of(v, &facts[i]));
		else
			print_owner_json(&facts[i], owner_of(v, &facts[i]));
	}
	view_free(v);
	return 0;
}

/* What a person should know about what could not be looked at. */
static void print_status(const struct nics *n)
{
	struct nics_status s;
	nics_status(n, &s);
	if (s.left_out && s.first_error == -EPERM)
		fprintf(stderr,
			"tapscope: %u network namespaces cannot be looked into, as that needs CAP_SYS_ADMIN: run as "
			"root, or "
			"setcap cap_sys_admin,cap_sys_ptrace,cap_net_admin,cap_net_raw+ep; or set "
			"tap.learn_owners=false\n",
			s.left_out);
	else if (s.left_out)
		fprintf(stderr, "tapscope: %u namespaces cannot be looked into: %s\n", s.left_out,
			strerror(-s.first_error));
	if (s.hidden)
		fprintf(stderr,
			"tapscope: the network namespaces of %u process%s cannot be seen: that needs CAP_SYS_PTRACE, "
			"and all "
			"capabilities that those have\n",
			s.hidden, s.hidden == 1 ? "" : "es");
}

static bool has_picked(const struct nics *n)
{
	for (const struct nic *i = nics_next(n, NULL); i; i = nics_next(n, i))
		if (nic_is_picked(i))
			return true;
	return false;
}

static int follow(struct nics *n, const struct arguments *a, struct table *t)
{
	static const char *const events[] = {
	    [NIC_ADDED] = "added", [NIC_REMOVED] = "removed", [NIC_CHANGED] = "changed"};
	const struct nic_change *changes;
	while (!atomic_load_explicit(&stop, memory_order_relaxed) && !ferror(stdout)) {
		struct pollfd p = {.fd = nics_descriptor(n), .events = POLLIN};
		if (poll(&p, 1, 1000) < 0 && errno != EINTR)
			return -errno;
		int64_t now = now_ns();
		int count = nics_poll(n, now, &changes);
		if (count < 0)
			return count;
		for (int i = 0; i < count && !a->owners; i++) {
			if (a->format == FORMAT_TABLE)
				print_nic_row(t, changes[i].nic, events[changes[i].kind]);
			else
				print_nic_json(changes[i].nic, events[changes[i].kind]);
		}
		if (a->owners && nics_view_is_stale(n) && print_owners(n, a, t, now) < 0)
			return -ENOMEM;
		fflush(stdout);
	}
	return 0;
}

static int show(struct nics *n, const struct arguments *a)
{
	struct table t;
	const struct nic_change *changes;
	int64_t now = now_ns();
	int r = nics_poll(n, now, &changes);
	/* a listing that a change got into is done again a moment later */
	for (unsigned i = 0; i < 20 && r >= 0 && !nics_next(n, NULL); i++) {
		poll(NULL, 0, 50);
		r = nics_poll(n, now = now_ns(), &changes);
	}
	if (r >= 0) {
		print_status(n);
		start_table(&t, n);
		if (a->owners && a->format == FORMAT_TABLE)
			print_owner_head(&t);
		if (!a->owners)
			print_nics(n, a, &t);
		else
			r = print_owners(n, a, &t, INT64_MIN);
		fflush(stdout);
	}
	if (r >= 0 && a->follow)
		r = follow(n, a, &t);
	if (r < 0) {
		fprintf(stderr, "tapscope: cannot follow NICs: %s\n", strerror(-r));
		return EXIT_INPUT;
	}
	if (!a->follow && !has_picked(n)) {
		fprintf(stderr, "tapscope: the configuration picks no NIC\n");
		return EXIT_DIFFERENT;
	}
	return EXIT_DONE;
}

static int interfaces(struct arguments *a, struct setup *setup)
{
	struct place *p;
	struct nics *n;
	struct error e;
	setup->place.only = a->only;
	if (place_open(&p, &setup->place, &e) < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
		return EXIT_DIFFERENT;
	}
	int status = EXIT_INPUT;
	if (nics_open(&n, p, &e) < 0) {
		fprintf(stderr, "tapscope: %s\n", e.text);
	} else {
		status = show(n, a);
		nics_close(n);
	}
	place_close(p);
	return status;
}

int cmd_interfaces(int argc, char **argv)
{
	struct arguments a = {.format = FORMATS};
	struct setup setup;
	struct usage u = usage_start(argc, argv, usage_options);
	a.only.item = calloc((size_t)argc, sizeof *a.only.item);
	if (!a.only.item) {
		fprintf(stderr, "tapscope: no memory\n");
		return EXIT_INPUT;
	}
	int status = 0;
	for (int code; status == 0 && !a.help && (code = usage_next(&u)) != USAGE_END;)
		status = code == USAGE_FAULT ? EXIT_USAGE : parse_option(&a, code, (char *)(uintptr_t)u.value);
	if (a.format == FORMATS)
		a.format = isatty(STDOUT_FILENO) ? FORMAT_TABLE : FORMAT_NDJSON;
	if (status == 0 && a.help) {
		fputs(usage_text, stdout);
	} else if (status == 0 && (status = setup_load(&setup, &a.setup, "interfaces")) == 0) {
		const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		status = interfaces(&a, &setup);
		setup_clear(&setup);
	}
	free(a.only.item);
	return status;
}
