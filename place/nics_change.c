/* What has changed, for those who capture and for those who look at views. */
#include "hash.h"
#include "nics_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static uint16_t take_id(struct nics *n)
{
	for (unsigned i = 0; i < 65535; i++) {
		n->last_id = n->last_id == 65535 ? 1 : (uint16_t)(n->last_id + 1);
		uint8_t *byte = &n->ids[n->last_id / 8], bit = (uint8_t)(1 << n->last_id % 8);
		if (*byte & bit)
			continue;
		*byte |= bit;
		return n->last_id;
	}
	return 0;
}

/* The namespace at the other end of a veth pair of ours, 0 where it is not known: there is a veth that says so, too. */
static uint64_t find_peer(const struct nics *n, const struct member *ours)
{
	for (const struct netns *s = n->namespaces->next; s; s = s->next) {
		if (s->own_nsid < 0)
			continue;
		for (const struct member *m = s->members; m; m = m->next)
			if (m->nic.parent == ours->nic.ifindex && m->nic.ifindex == ours->nic.parent &&
			    m->parent_nsid == s->own_nsid && !strcmp(m->nic.kind, "veth"))
				return s->inode;
	}
	return 0;
}

static void name_netns(const struct netns *s, char out[NETNS_NAME_MAX])
{
	memset(out, 0, NETNS_NAME_MAX);
	if (s->own)
		return;
	if (s->name[0] || s->host[0])
		snprintf(out, NETNS_NAME_MAX, "%s", s->name[0] ? s->name : s->host);
	else
		snprintf(out, NETNS_NAME_MAX, "net:[%llu]", (unsigned long long)s->inode);
}

static void complete_member(struct nics *n, const struct netns *s, struct member *m)
{
	struct nic *nic = &m->nic;
	if (!m->why_known)
		nic->why = s->selected ? place_pick(n->place, nic->name) : NIC_OTHER_NETNS;
	m->why_known = true;
	if (nic_is_picked(nic) && !nic->id) {
		nic->id = take_id(n);
		if (!nic->id) {
			nic->why = NIC_NO_ID;
			m->why_known = false; /* there may be one the next time */
		}
	}
	name_netns(s, nic->netns_name);
	nic->netns_descriptor = s->own ? -1 : s->descriptor;
	nic->pod = !s->own || (nic->parent_elsewhere && !strcmp(nic->kind, "veth"));
	nic->pod_netns = !nic->pod ? 0 : s->own ? find_peer(n, m) : s->inode;
}

/* Room for one change of each NIC, so that telling cannot fail. */
static int reserve_changes(struct nics *n)
{
	size_t count = 0;
	for (const struct member *m = n->leaving; m; m = m->next)
		count++;
	for (const struct netns *s = n->namespaces; s; s = s->next)
		for (const struct member *m = s->members; m; m = m->next)
			count++;
	if (count <= n->change_room)
		return 0;
	struct nic_change *changes = realloc(n->changes, 2 * count * sizeof *changes);
	if (!changes)
		return -ENOMEM;
	n->changes = changes;
	n->change_room = 2 * count;
	return 0;
}

static void tell(struct nics *n, enum nic_change_kind kind, const struct member *m)
{
	n->changes[n->change_count++] = (struct nic_change){kind, &m->nic};
	n->stale = true;
}

static void tell_removed(struct nics *n, int64_t now_ns)
{
	for (struct member *m = n->leaving; m; m = m->next) {
		m->nic.netns_descriptor = -1;
		m->gone_ns = now_ns;
		if (m->told)
			tell(n, NIC_REMOVED, m);
		m->told = false;
	}
	for (struct netns *s = n->namespaces; s; s = s->next) {
		for (struct member *m = s->members; m; m = m->next) {
			if (!m->told || nic_is_picked(&m->nic))
				continue;
			tell(n, NIC_REMOVED, m);
			m->told = false;
		}
	}
}

static void tell_others(struct nics *n)
{
	for (struct netns *s = n->namespaces; s; s = s->next) {
		for (struct member *m = s->members; m; m = m->next) {
			uint64_t hash = hash64(&m->nic, sizeof m->nic, 0);
			if (!nic_is_picked(&m->nic) || (m->told && hash == m->told_hash))
				continue;
			tell(n, m->told ? NIC_CHANGED : NIC_ADDED, m);
			m->told = true;
			m->told_hash = hash;
		}
	}
}

/* IPVlan children have their parent's MAC: it tells nobody apart. */
static bool has_own_mac(const struct nic *nic)
{
	return nic->has_mac && strncmp(nic->kind, "ipv", 3) != 0;
}

static int say_owners(struct nics *n)
{
	n->owners.said_count = 0;
	for (struct netns *s = n->namespaces; s; s = s->next) {
		if (!s->own && !n->place->learn)
			continue;
		const char *name = s->own ? "" : s->host[0] ? s->host : s->name;
		for (const struct member *m = s->members; m; m = m->next) {
			struct owner_key key = owner_key_mac(m->nic.mac);
			int r = has_own_mac(&m->nic) ? owners_say(&n->owners, &key, s->inode, m->nic.mac, name) : 0;
			for (unsigned i = 0; i < m->nic.address_count && r == 0; i++) {
				key = owner_key_ip(&m->nic.addresses[i]);
				r = owners_say(&n->owners, &key, s->inode, m->nic.mac, name);
			}
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int change_all(struct nics *n, int64_t now_ns)
{
	for (struct netns *s = n->namespaces; s; s = s->next)
		for (struct member *m = s->members; m; m = m->next)
			complete_member(n, s, m);
	int r = reserve_changes(n);
	if (r == 0)
		r = say_owners(n);
	if (r == 0)
		r = owners_end(&n->owners, now_ns);
	if (r < 0)
		return r;
	n->stale |= r > 0;
	tell_removed(n, now_ns);
	tell_others(n);
	return 0;
}

void change_forget(struct nics *n, int64_t now_ns)
{
	for (struct member *m = n->leaving, *next; m; m = next) {
		next = m->next;
		if (!m->gone_ns) /* not told yet */
			return;
	}
	while (n->leaving) {
		struct member *m = n->leaving;
		n->leaving = m->next;
		if (m->nic.id) {
			m->next = n->gone;
			n->gone = m;
		} else {
			free(m);
		}
	}
	for (struct member **at = &n->gone; *at;) {
		struct member *m = *at;
		m->gone_ns = min_of(m->gone_ns, now_ns); /* a clock that was set back keeps nothing for ever */
		if (now_ns - m->gone_ns < OWNER_KEEP_NS) {
			at = &m->next;
			continue;
		}
		*at = m->next;
		n->ids[m->nic.id / 8] &= (uint8_t) ~(1 << m->nic.id % 8);
		n->stale = true;
		free(m);
	}
}
