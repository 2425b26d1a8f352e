/* When to shed load, and when to take that back. What each level leaves out is in session.h and flowtab_admit(). */
#include "live_internal.h"

unsigned live_govern(struct live *l)
{
	struct governor *g = &l->governor;
	struct live_counters c;
	unsigned level = atomic_load_explicit(&l->shed, memory_order_relaxed);
	if (!l->settings.live.shed_lag_ns)
		return level;
	int64_t now_ns = clock_ns(CLOCK_MONOTONIC), passed_ns = now_ns - g->at_ns;
	live_counters(l, &c);
	uint64_t busy_ns = (uint64_t)clock_ns(CLOCK_PROCESS_CPUTIME_ID),
		 dropped = c.source.kernel_dropped + c.source.ring_dropped + c.engine.ledger.handover_dropped;
	int64_t lag_ns = 0;
	for (unsigned i = 0; i < l->workers; i++)
		lag_ns = max_of(lag_ns, c.worker[i].lag_ns);
	bool first = !g->at_ns;
	uint64_t limit_ns = l->settings.live.max_cpus * (uint64_t)passed_ns;
	bool pressed = !first && (dropped > g->dropped || lag_ns > l->settings.live.shed_lag_ns ||
				  (l->settings.live.max_cpus && busy_ns - g->busy_ns > limit_ns));
	g->dropped = dropped;
	g->busy_ns = busy_ns;
	g->at_ns = now_ns;
	if (pressed && level + 1 < SHED_LEVELS) {
		level++;
		publish_add(g->steps_up[level], 1);
	}
	if (pressed || !level || first) {
		g->calm_since_ns = now_ns;
	} else if (now_ns > g->calm_since_ns + SHED_CALM_NS) {
		level--;
		g->calm_since_ns = now_ns;
	}
	atomic_store_explicit(&l->shed, level, memory_order_relaxed);
	return level;
}

void live_reconfigure(struct live *l, const struct engine_settings *settings)
{
	l->settings.live.max_cpus = settings->live.max_cpus;
	l->settings.live.shed_lag_ns = settings->live.shed_lag_ns;
}
