#include "live_run.h"

#include "api.h"
#include "config.h"
#include "nics.h"
#include "notify.h"
#include "privileges.h"
#include "red.h"
#include "usage.h"
#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND_MS 1000
#define RETRY_NS (5 * NS_PER_S)
#define FINISH_NS (4 * NS_PER_S) /* all records are out within five seconds of a signal */
#define SILENCE_NS (60 * NS_PER_S)
#define NICS_MAX LIVE_SOURCES

/* A NIC that is to be captured. */
struct watched {
	uint16_t nic; /* id; 0: free */
	bool attached, told;
	unsigned source; /* the engine's id */
	int netns;
	char name[160];
	int64_t retry_ns; /* when to try to open it again */
	int64_t since_ns; /* attached, or a frame was seen; 0: its silence has been told */
	uint64_t seen;
};

struct run {
	struct setup *setup;
	const struct live_run_options *options;
	struct outputs outputs;
	struct sink *sinks[5];
	unsigned sink_count;
	struct live *live;
	struct place *place;
	struct nics *nics; /* NULL: the source has none of the kernel's */
	struct views *views;
	struct api *api;
	struct sink *red;
	uint64_t salt;
	struct watched watched[NICS_MAX];
	unsigned attached, shed;
	uint64_t unwritten; /* records, as last told */
	int signals;
	atomic_int failed; /* an output did */
	_Atomic bool healthy;
	_Atomic unsigned ready; /* sources attached */
	_Atomic bool reload;    /* asked for by the API */
};

static int64_t clock_now(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void say(const char *fmt, ...) print_format(1, 2);
static void say(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("tapscope: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}

/* --- sources --- */

static bool promiscuous(const struct run *r)
{
	unsigned wanted = r->setup->source.promiscuous;
	return wanted == PROMISCUOUS_ON || (wanted == PROMISCUOUS_AUTO && r->setup->place.tap_mode != TAP_LOCAL);
}

/* 0 or -errno with e. */
static int attach(struct run *r, struct watched *w, const char *device, struct error *e)
{
	const struct source_settings *s = &r->setup->source;
	const struct source_ops *ops = source_find(s->kind, e);
	struct source *source;
	if (!ops)
		return -ENOTSUP;
	struct source_options options = {
	    .nic = device,
	    .netns = w->netns,
	    .salt = r->salt,
	    .filter = s->filter,
	    .snaplen = (uint32_t)s->snaplen,
	    .promiscuous = promiscuous(r),
	    .ring_bytes = s->ring_bytes,
	    .block_ns = s->block_ns,
	    .nic_clock = s->nic_clock,
	};
	int result = live_steer(&r->setup->settings, &options, e);
	if (!result)
		result = ops->open(&source, &options, e);
	if (result < 0)
		return result;
	const struct live_input input = {
	    .source = source,
	    .name = w->name,
	    .tap = r->setup->place.tap_mode == TAP_LOCAL ? w->nic : 0,
	    .nic = w->nic,
	};
	result = live_attach(r->live, &input, &w->source);
	if (result < 0) {
		ops->close(source);
		return error_set(e, result, "%s: too many sources, or no memory", w->name);
	}
	w->attached = true;
	w->since_ns = clock_now(CLOCK_MONOTONIC);
	w->seen = 0;
	r->attached++;
	atomic_store_explicit(&r->ready, r->attached, memory_order_relaxed);
	return 0;
}

static void detach(struct run *r, struct watched *w)
{
	if (w->attached) {
		live_detach(r->live, w->source);
		r->attached--;
		atomic_store_explicit(&r->ready, r->attached, memory_order_relaxed);
	}
	w->attached = false;
}

static struct watched *find(struct run *r, uint16_t nic)
{
	for (unsigned i = 0; i < NICS_MAX; i++)
		if (r->watched[i].nic == nic)
			return &r->watched[i];
	return NULL;
}

static const char *device_of(const struct watched *w)
{
	const char *slash = strrchr(w->name, '/'); /* netns/nic */
	return w->netns >= 0 && slash ? slash + 1 : w->name;
}

static void try_attach(struct run *r, struct watched *w)
{
	struct error e;
	if (attach(r, w, device_of(w), &e) < 0) {
		if (!w->told)
			say("%s; trying again", e.text);
		w->told = true;
		w->retry_ns = clock_now(CLOCK_MONOTONIC) + RETRY_NS;
	} else {
		say("captures on %s", w->name);
		w->told = false;
	}
}

static void add_nic(struct run *r, const struct nic *nic)
{
	struct watched *w = find(r, 0);
	if (!w) {
		say("%s: too many NICs", nic->name);
		return;
	}
	*w = (struct watched){.nic = nic->id, .netns = nic->netns_descriptor};
	snprintf(w->name, sizeof w->name, "%s%s%s", nic->netns_name, nic->netns_name[0] ? "/" : "", nic->name);
	try_attach(r, w);
}

static void remove_nic(struct run *r, uint16_t nic)
{
	struct watched *w = find(r, nic);
	if (!w)
		return;
	say("captures on %s no more", w->name);
	detach(r, w);
	*w = (struct watched){0};
}

static void publish_view(struct run *r)
{
	struct view *v;
	if (!nics_view_is_stale(r->nics)) {
		views_publish(r->views, NULL);
		return;
	}
	if (nics_view(r->nics, &v) == 0 && views_publish(r->views, v) < 0)
		view_free(v); /* workers lag behind: later */
}

static void follow_nics(struct run *r)
{
	const struct nic_change *changes;
	if (!r->nics)
		return;
	int n = nics_poll(r->nics, clock_now(CLOCK_REALTIME), &changes);
	publish_view(r); /* before the first packet of a new NIC */
	for (int i = 0; i < n; i++) {
		if (changes[i].kind == NIC_ADDED)
			add_nic(r, changes[i].nic);
		else if (changes[i].kind == NIC_REMOVED)
			remove_nic(r, changes[i].nic->id);
	}
}

/* What failed to open is tried again; what the engine found gone is closed, and opened again if it is back. */
static void mend_sources(struct run *r)
{
	int64_t now_ns = clock_now(CLOCK_MONOTONIC);
	for (int id; (id = live_gone(r->live)) >= 0;) {
		for (unsigned i = 0; i < NICS_MAX; i++) {
			struct watched *w = &r->watched[i];
			if (w->attached && w->source == (unsigned)id) {
				detach(r, w);
				w->retry_ns = now_ns + RETRY_NS;
			}
		}
	}
	for (unsigned i = 0; i < NICS_MAX; i++) {
		struct watched *w = &r->watched[i];
		if (w->name[0] && !w->attached && now_ns >= w->retry_ns)
			try_attach(r, w);
	}
}

/* Sources without NICs of the kernel: as named, once. */
static int attach_devices(struct run *r)
{
	const struct option_list *list = r->options->only.count ? &r->options->only : &r->setup->place.src_interfaces;
	struct error e;
	if (!list->count) {
		say("capture.source %s needs devices: -i, or static_config.src-interfaces",
		    source_kind_names[r->setup->source.kind]);
		return EXIT_INPUT;
	}
	for (size_t i = 0; i < list->count && i < NICS_MAX; i++) {
		struct watched *w = &r->watched[i];
		*w = (struct watched){.nic = (uint16_t)(i + 1), .netns = -1};
		snprintf(w->name, sizeof w->name, "%s", list->item[i]);
		if (attach(r, w, list->item[i], &e) < 0) {
			say("%s", e.text);
			return EXIT_INPUT;
		}
	}
	return EXIT_DONE;
}

/* What the command line names must be there, and open. */
static int check_start(struct run *r)
{
	for (size_t i = 0; i < r->options->only.count && r->nics; i++) {
		const char *name = r->options->only.item[i];
		struct watched *w = NULL;
		for (unsigned k = 0; k < NICS_MAX && !w; k++)
			if (r->watched[k].nic && !strcmp(device_of(&r->watched[k]), name))
				w = &r->watched[k];
		if (!w)
			say("there is no NIC %s; 'tapscope interfaces' shows those that there are", name);
		if (!w || !w->attached)
			return EXIT_INPUT;
	}
	bool wanted = false;
	for (unsigned k = 0; k < NICS_MAX; k++)
		wanted |= r->watched[k].nic != 0;
	if (wanted && !r->attached)
		return EXIT_INPUT; /* no NIC at all can be captured: told already */
	if (!wanted)
		say("no NIC is picked ('tapscope interfaces' tells why); waiting for one");
	return EXIT_DONE;
}

/* --- reload --- */

struct changes {
	unsigned refused, count;
	const struct run *run;
};

/* What a running capture can take over without losing a packet. */
static bool can_change(const struct option *o)
{
	static const char *const live[] = {"max_cpus", "live.shed_lag", NULL};
	for (const struct option *p = place_options; p->name; p++)
		if (p == o)
			return strcmp(o->name, "tap_mode") != 0;
	for (unsigned i = 0; live[i]; i++)
		if (!strcmp(o->name, live[i]))
			return true;
	return false;
}

static void on_change(void *ctx, const struct option *o)
{
	struct changes *c = ctx;
	c->count++;
	if (can_change(o))
		return;
	c->refused++;
	say("reload refused: %s is built into queues, tables or outputs when capture starts; restart to change it",
	    o->name);
}

static void reload(struct run *r)
{
	struct setup next;
	struct error e;
	struct changes changes = {.run = r};
	struct place *place;
	notify("RELOADING=1");
	if (setup_load(&next, r->options->setup, "run")) {
		say("reload refused: the configuration is wrong; what was in force goes on");
		notify("READY=1");
		return;
	}
	next.place.only = r->options->only;
	config_changes(r->setup->tables, next.tables, on_change, &changes);
	if (changes.refused) {
		say("reload refused as a whole; what was in force goes on");
	} else if (place_open(&place, &next.place, &e) < 0) {
		say("reload refused: %s", e.text);
	} else {
		if (r->nics)
			nics_configure(r->nics, place);
		place_close(r->place);
		r->place = place;
		live_reconfigure(r->live, &next.settings);
		/* the new settings take the place of the old; what the engine reads all the time it has copied */
		struct setup old = *r->setup;
		*r->setup = next;
		setup_rebase(r->setup);
		setup_rebase(&old);
		next = old;
		say("reloaded: %u option%s changed", changes.count, changes.count == 1 ? "" : "s");
		follow_nics(r);
	}
	setup_rebase(&next);
	setup_clear(&next);
	notify("READY=1");
}

/* --- the loop --- */

static void look(void *ctx, struct api_state *s)
{
	struct run *r = ctx;
	live_counters(r->live, &s->counters);
	setup_live_ledger(&s->counters, &s->ledger);
	s->source_count = live_sources(r->live, s->sources, LIVE_SOURCES);
	s->healthy = atomic_load_explicit(&r->healthy, memory_order_relaxed);
	s->ready = atomic_load_explicit(&r->ready, memory_order_relaxed) > 0;
	s->version = TAPSCOPE_VERSION;
	s->red = r->red;
}

/* A mirror that was not configured, or no longer is, looks like this. */
static void look_for_silence(struct run *r)
{
	static struct live_source_counters sources[LIVE_SOURCES];
	unsigned n = live_sources(r->live, sources, LIVE_SOURCES);
	int64_t now_ns = clock_now(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < NICS_MAX; i++) {
		struct watched *w = &r->watched[i];
		if (!w->attached || !w->since_ns)
			continue;
		for (unsigned k = 0; k < n; k++) {
			if (!sources[k].attached || sources[k].nic != w->nic)
				continue;
			if (sources[k].source.seen != w->seen) {
				w->seen = sources[k].source.seen;
				w->since_ns = now_ns;
			} else if (now_ns > w->since_ns + SILENCE_NS) {
				say("%s: no frame came for a minute", w->name);
				w->since_ns = 0;
			}
		}
	}
}

static void each_second(struct run *r, bool *was_alive)
{
	bool alive = live_alive(r->live);
	/* a thread may be late once: only two seconds without a beat are a fault */
	bool healthy = alive || *was_alive;
	*was_alive = alive;
	if (!healthy && atomic_load_explicit(&r->healthy, memory_order_relaxed))
		say("a thread does not advance");
	atomic_store_explicit(&r->healthy, healthy, memory_order_relaxed);
	if (healthy)
		notify("WATCHDOG=1");
	struct live_counters c;
	live_counters(r->live, &c);
	if (c.records_unwritten != r->unwritten)
		say("an output cannot be written: %" PRIu64 " records lost so far", c.records_unwritten);
	r->unwritten = c.records_unwritten;
	unsigned shed = live_govern(r->live);
	if (shed != r->shed)
		say("%s load: level %u (see live.shed_lag)", shed > r->shed ? "shedding more" : "shedding less", shed);
	r->shed = shed;
	mend_sources(r);
	look_for_silence(r);
}

static void ask_for_reload(void *ctx)
{
	struct run *r = ctx;
	atomic_store_explicit(&r->reload, true, memory_order_relaxed);
}

static int wait_ms(const struct run *r)
{
	return r->options->count ? 50 : 200;
}

/* Until a signal, a limit, or an output that failed. */
static void loop(struct run *r)
{
	const struct live_run_options *o = r->options;
	int64_t start_ns = clock_now(CLOCK_MONOTONIC), second_ns = start_ns;
	bool alive = true;
	for (;;) {
		struct pollfd polls[2] = {{.fd = r->signals, .events = POLLIN},
					  {.fd = r->nics ? nics_descriptor(r->nics) : -1, .events = POLLIN}};
		poll(polls, 2, wait_ms(r));
		struct signalfd_siginfo info;
		while (read(r->signals, &info, sizeof info) == (ssize_t)sizeof info) {
			if (info.ssi_signo != SIGHUP)
				return;
			if (o->setup)
				reload(r);
		}
		if (atomic_exchange_explicit(&r->reload, false, memory_order_relaxed))
			reload(r);
		follow_nics(r);
		int64_t now_ns = clock_now(CLOCK_MONOTONIC);
		if (now_ns >= second_ns + NS_PER_S) {
			second_ns = now_ns;
			each_second(r, &alive);
		}
		if (o->duration_s && now_ns >= start_ns + (int64_t)o->duration_s * NS_PER_S)
			return;
		if (atomic_load_explicit(&r->failed, memory_order_relaxed))
			return;
		if (o->count) {
			struct live_counters c;
			live_counters(r->live, &c);
			if (c.engine.ledger.frames >= o->count)
				return;
		}
	}
}

/* --- start and end --- */

static int open_places(struct run *r, struct error *e)
{
	struct setup *s = r->setup;
	struct view *v;
	const struct view_source nothing = {0};
	s->place.only = r->options->only;
	int result = place_open(&r->place, &s->place, e);
	if (result == 0 && s->source.kind != SOURCE_DPDK)
		result = nics_open(&r->nics, r->place, e);
	if (result < 0)
		return result;
	result = r->nics ? nics_view(r->nics, &v) : view_make(&v, r->place, &nothing);
	if (result == 0 && (result = views_open(&r->views, (unsigned)s->settings.workers, v)) < 0)
		view_free(v);
	return result < 0 ? error_set(e, result, "no memory for the view of NICs") : 0;
}

static int open_api(struct run *r, struct error *e)
{
	const struct api_settings *s = &r->setup->api;
	if (!s->listen[0])
		return 0;
	int result = api_new(&r->api, s, look, ask_for_reload, r, e);
	if (result == -EADDRINUSE) { /* another instance, perhaps: a second look at the network shall not fail for it */
		say("%s; goes on without /metrics", e->text);
		return 0;
	}
	return result;
}

/* 0, or an exit status. */
static int start(struct run *r)
{
	struct engine_settings *s = &r->setup->settings;
	struct error e;
	if (s->workers + 4 > s->live.max_threads) {
		say("%" PRIu64 " workers need %" PRIu64 " threads, and thread_threshold allows %" PRIu64, s->workers,
		    s->workers + 4, s->live.max_threads);
		return EXIT_DIFFERENT;
	}
	int result = outputs_open(&r->outputs, &r->options->outputs, &e);
	if (result == 0) {
		memcpy(r->sinks, r->outputs.sink, sizeof r->outputs.sink);
		r->sink_count = r->outputs.count;
		if (r->setup->api.listen[0] && (result = red_new(&r->red)) == 0)
			r->sinks[r->sink_count++] = r->red;
		if (result < 0)
			error_set(&e, result, "no memory for metrics");
		if (r->options->sink)
			r->sinks[r->sink_count++] = r->options->sink;
	}
	if (result == 0)
		result = open_places(r, &e);
	s->views = r->views;
	if (result == 0 && privileges_drop(&e) < 0) /* before there are threads: each has rights of its own */
		say("%s", e.text);
	if (result == 0)
		result = live_new(&r->live, s, r->sinks, r->sink_count, r->salt, &e);
	if (result == 0)
		result = open_api(r, &e);
	if (result < 0) {
		say("%s", e.text);
		return EXIT_INPUT;
	}
	int status = EXIT_DONE;
	if (r->nics)
		follow_nics(r);
	else
		status = attach_devices(r);
	if (status == EXIT_DONE)
		status = check_start(r);
	return status;
}

static int finish(struct run *r, int status)
{
	struct live_counters counters;
	struct export_ledger ledger;
	bool reader_gone = false;
	int result = live_finish(r->live, FINISH_NS);
	live_counters(r->live, &counters);
	setup_live_ledger(&counters, &ledger);
	if (r->options->ret_counters)
		*r->options->ret_counters = counters;
	int failed = outputs_finish(&r->outputs, status == EXIT_DONE ? &ledger : NULL, &reader_gone);
	if (result < 0 && failed == 0 && !reader_gone && result != -EPIPE)
		say("writing records failed: %s", strerror(-result));
	if ((result < 0 && result != -EPIPE) || failed < 0)
		status = EXIT_INPUT;
	int written = r->options->ledger ? ledger_write(r->options->ledger, r->live, &counters, &ledger) : EXIT_DONE;
	if (status == EXIT_DONE)
		status = written;
	if (reader_gone)
		usage_die_of_pipe();
	return status;
}

int live_run(struct setup *setup, const struct live_run_options *options)
{
	struct run *r = calloc(1, sizeof *r);
	sigset_t set;
	if (!r) {
		say("no memory");
		return EXIT_INPUT;
	}
	r->setup = setup;
	r->options = options;
	atomic_store(&r->healthy, true);
	struct live_run_options own = *options;
	own.outputs.stop = &r->failed;
	own.outputs.endures = true;
	r->options = &own;
	/* signals come through a descriptor; threads inherit that they are blocked */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (getrandom(&r->salt, sizeof r->salt, 0) != sizeof r->salt)
		r->salt = (uint64_t)clock_now(CLOCK_REALTIME);

	int status = r->signals < 0 ? EXIT_INPUT : start(r);
	if (status == EXIT_DONE) {
		notify("READY=1");
		loop(r);
	}
	notify("STOPPING=1");
	r->api = api_free(r->api);
	if (r->live)
		status = finish(r, status);
	r->live = live_free(r->live);
	if (r->red)
		r->red->ops->free(r->red);
	outputs_close(&r->outputs);
	if (r->views)
		views_close(r->views);
	if (r->nics)
		nics_close(r->nics);
	if (r->place)
		place_close(r->place);
	if (r->signals >= 0)
		close(r->signals);
	free(r);
	return status;
}
