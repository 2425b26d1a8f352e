/* Rules of tap types. Those with one condition on VLAN or priority are tables; the others are looked through in order,
 * and only as far as a table has not found an earlier one. */
#include "tap.h"

#include "nic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum condition_kind { ON_VLAN, ON_INNER_VLAN, ON_PCP, ON_ERSPAN, ON_GRE, ON_VNI, ON_NIC, CONDITION_KINDS };

static const struct {
	const char *name;
	uint32_t max;
} kinds[CONDITION_KINDS] = {
    [ON_VLAN] = {"vlan", 4095},     [ON_INNER_VLAN] = {"inner-vlan", 4095}, [ON_PCP] = {"pcp", 7},
    [ON_ERSPAN] = {"erspan", 1023}, [ON_GRE] = {"gre-key", UINT32_MAX},     [ON_VNI] = {"vni", (1 << 24) - 1},
    [ON_NIC] = {"nic", 0},
};

struct condition {
	uint32_t kind;      /* enum condition_kind */
	uint32_t low, high; /* of a NIC: the index of its name + 1 */
};

struct rule {
	uint16_t count;
	bool tunnel; /* one of its conditions wants a tunnel */
	uint8_t name_len;
	char name[TAP_NAME_MAX];
	struct condition conditions[TAP_CONDITIONS_MAX];
};

struct tap_rules {
	struct rule *rules;
	char (*nics)[NIC_NAME_MAX]; /* names in rules */
	uint16_t *others;           /* rules that no table has, in order */
	unsigned count, nic_count, other_count;
	struct rule initial;
	uint16_t vlan[4096], inner_vlan[4096], pcp[8]; /* the first rule that wants this alone */
};

static bool parse_number(const char *s, size_t len, uint32_t max, uint32_t *ret_value)
{
	unsigned base = 10;
	if (len > 2 && s[0] == '0' && (s[1] | 0x20) == 'x') {
		base = 16;
		s += 2;
		len -= 2;
	}
	uint64_t value = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = s[i] >= '0' && s[i] <= '9' ? (unsigned)(s[i] - '0')
				 : (s[i] | 0x20) >= 'a'     ? (unsigned)((s[i] | 0x20) - 'a') + 10
							    : 99;
		if (digit >= base)
			return false;
		value = value * base + digit;
		if (value > max)
			return false;
	}
	*ret_value = (uint32_t)value;
	return len > 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct word {
	const char *at;
	size_t len;
};

static struct word next_word(const char **s, const char *end)
{
	while (*s < end && is_blank(**s))
		(*s)++;
	struct word w = {*s, 0};
	while (*s < end && !is_blank(**s))
		(*s)++;
	w.len = (size_t)(*s - w.at);
	return w;
}

static int parse_condition(struct condition *c, struct word key, struct word value, struct word *ret_nic,
			   struct error *e)
{
	unsigned kind = 0;
	while (kind < CONDITION_KINDS &&
	       (strlen(kinds[kind].name) != key.len || memcmp(kinds[kind].name, key.at, key.len)))
		kind++;
	if (kind == CONDITION_KINDS)
		return error_set(e, -EINVAL,
				 "'%.*s' is no condition; there are vlan, inner-vlan, pcp, erspan, gre-key, vni, nic",
				 (int)min_of(key.len, (size_t)64), key.at);
	c->kind = kind;
	if (kind == ON_NIC) {
		if (!value.len || value.len >= NIC_NAME_MAX)
			return error_set(e, -EINVAL, "behind 'nic' the name of an interface is expected");
		*ret_nic = value;
		return 0;
	}
	const char *dash = value.len ? memchr(value.at, '-', value.len) : NULL;
	size_t low = dash ? (size_t)(dash - value.at) : value.len;
	if (!parse_number(value.at, low, kinds[kind].max, &c->low) ||
	    !(dash ? parse_number(dash + 1, value.len - low - 1, kinds[kind].max, &c->high)
		   : (c->high = c->low, true)) ||
	    c->low > c->high)
		return error_set(e, -EINVAL, "behind '%s' a number or a range from 0 to %u is expected, not '%.*s'",
				 kinds[kind].name, kinds[kind].max, (int)min_of(value.len, (size_t)64), value.at);
	return 0;
}

/* nics: the word behind each `nic` condition. */
static int parse_rule(struct rule *rule, const char *text, struct word nics[TAP_CONDITIONS_MAX], struct error *e)
{
	*rule = (struct rule){0};
	const char *equals = strchr(text, '='), *s = text;
	if (!equals)
		return error_set(e, -EINVAL, "the '=' is missing: CONDITION [CONDITION …] = NAME");
	for (;;) {
		struct word key = next_word(&s, equals);
		if (!key.len)
			break;
		if (rule->count == TAP_CONDITIONS_MAX)
			return error_set(e, -EINVAL, "more than %d conditions", TAP_CONDITIONS_MAX);
		struct condition *c = &rule->conditions[rule->count];
		int r = parse_condition(c, key, next_word(&s, equals), &nics[rule->count], e);
		if (r < 0)
			return r;
		rule->tunnel |= c->kind == ON_ERSPAN || c->kind == ON_GRE || c->kind == ON_VNI;
		rule->count++;
	}
	if (!rule->count)
		return error_set(e, -EINVAL, "before '=' a condition is expected");
	const char *name = equals + 1, *end = name + strlen(name);
	while (is_blank(*name))
		name++;
	while (end > name && is_blank(end[-1]))
		end--;
	if (end == name || end - name > TAP_NAME_MAX)
		return error_set(e, -EINVAL, "behind '=' a name of 1 to %d bytes is expected", TAP_NAME_MAX);
	rule->name_len = (uint8_t)(end - name);
	memcpy(rule->name, name, rule->name_len);
	return 0;
}

int tap_rule_check(const char *text, struct error *e)
{
	struct rule rule;
	struct word nics[TAP_CONDITIONS_MAX];
	struct error why;
	int r = parse_rule(&rule, text, nics, &why);
	return r < 0 ? error_set(e, r, "in '%.200s': %s", text, why.text) : 0;
}

static uint32_t nic_index(struct tap_rules *t, struct word name)
{
	unsigned i = 0;
	while (i < t->nic_count && (strlen(t->nics[i]) != name.len || memcmp(t->nics[i], name.at, name.len)))
		i++;
	if (i == t->nic_count)
		memcpy(t->nics[t->nic_count++], name.at, name.len);
	return i + 1;
}

/* Enters a rule of one condition into the table for it; false where there is none. */
static bool enter(struct tap_rules *t, const struct rule *rule, uint16_t index)
{
	const struct condition *c = &rule->conditions[0];
	uint16_t *table = c->kind == ON_VLAN         ? t->vlan
			  : c->kind == ON_INNER_VLAN ? t->inner_vlan
			  : c->kind == ON_PCP        ? t->pcp
						     : NULL;
	if (rule->count != 1)
		return false;
	for (uint32_t i = c->low; table && i <= c->high; i++)
		table[i] = min_of(table[i], index);
	return table || c->kind == ON_NIC; /* see tap_rules_nic() */
}

int tap_rules_compile(struct tap_rules **ret_rules, const struct option_list *list, const char *initial,
		      struct error *e)
{
	if (list->count >= TAP_NO_RULE / TAP_CONDITIONS_MAX)
		return error_set(e, -EINVAL, "'tap.types' has more than %d rules",
				 TAP_NO_RULE / TAP_CONDITIONS_MAX - 1);
	struct tap_rules *t = calloc(1, sizeof *t);
	if (t) {
		t->rules = calloc(list->count + 1, sizeof *t->rules);
		t->nics = calloc((list->count + 1) * TAP_CONDITIONS_MAX, sizeof *t->nics);
		t->others = calloc(list->count + 1, sizeof *t->others);
	}
	if (!t || !t->rules || !t->nics || !t->others) {
		tap_rules_free(t);
		return error_set(e, -ENOMEM, "no memory for the rules of tap.types");
	}
	memset(t->vlan, 0xff, sizeof t->vlan);
	memset(t->inner_vlan, 0xff, sizeof t->inner_vlan);
	memset(t->pcp, 0xff, sizeof t->pcp);
	for (; t->count < list->count; t->count++) {
		struct rule *rule = &t->rules[t->count];
		struct word nics[TAP_CONDITIONS_MAX];
		struct error why;
		const char *text = list->item[t->count];
		int r = parse_rule(rule, text, nics, &why);
		if (r < 0) {
			tap_rules_free(t);
			return error_set(e, r, "'tap.types' is wrong: in '%.200s': %s", text, why.text);
		}
		for (unsigned i = 0; i < rule->count; i++)
			if (rule->conditions[i].kind == ON_NIC)
				rule->conditions[i].low = rule->conditions[i].high = nic_index(t, nics[i]);
		if (!enter(t, rule, (uint16_t)t->count))
			t->others[t->other_count++] = (uint16_t)t->count;
	}
	size_t len = initial ? strlen(initial) : 0;
	if (len > TAP_NAME_MAX) {
		tap_rules_free(t);
		return error_set(e, -EINVAL, "'static_config.default-tap-type' is longer than %d bytes", TAP_NAME_MAX);
	}
	t->initial.name_len = (uint8_t)len;
	if (len)
		memcpy(t->initial.name, initial, len);
	*ret_rules = t;
	return 0;
}

struct tap_rules *tap_rules_free(struct tap_rules *t)
{
	if (t) {
		free(t->rules);
		free(t->nics);
		free(t->others);
		free(t);
	}
	return NULL;
}

void tap_rules_nic(const struct tap_rules *t, const char *name, uint16_t *ret_name, uint16_t *ret_rule)
{
	*ret_name = 0;
	*ret_rule = TAP_NO_RULE;
	for (unsigned i = 0; i < t->nic_count && !*ret_name; i++)
		if (!strcmp(t->nics[i], name))
			*ret_name = (uint16_t)(i + 1);
	for (unsigned i = 0; i < t->count && *ret_name && *ret_rule == TAP_NO_RULE; i++) {
		const struct rule *rule = &t->rules[i];
		if (rule->count == 1 && rule->conditions[0].kind == ON_NIC && rule->conditions[0].low == *ret_name)
			*ret_rule = (uint16_t)i;
	}
}

static bool is_of(uint32_t kind, unsigned tunnel_type)
{
	switch (kind) {
	case ON_ERSPAN:
		return tunnel_type == TUNNEL_ERSPAN_I || tunnel_type == TUNNEL_ERSPAN_II ||
		       tunnel_type == TUNNEL_ERSPAN_III;
	case ON_GRE:
		return tunnel_type == TUNNEL_GRE;
	default:
		return tunnel_type == TUNNEL_VXLAN || tunnel_type == TUNNEL_GENEVE || tunnel_type == TUNNEL_NVGRE;
	}
}

static bool holds(const struct condition *c, const struct place_input *in, uint16_t nic_name)
{
	uint32_t value;
	switch (c->kind) {
	case ON_VLAN:
	case ON_PCP:
		if (!in->vlan_count)
			return false;
		value = c->kind == ON_VLAN ? in->vlan[0] & 0xfff : in->vlan[0] >> 13;
		break;
	case ON_INNER_VLAN:
		if (in->vlan_count < 2)
			return false;
		value = in->vlan[1] & 0xfff;
		break;
	case ON_NIC:
		value = nic_name;
		break;
	default:
		for (unsigned i = 0; i < in->tunnel_count; i++)
			if (is_of(c->kind, in->tunnel[i].type) && in->tunnel[i].id >= c->low &&
			    in->tunnel[i].id <= c->high)
				return true;
		return false;
	}
	return value >= c->low && value <= c->high;
}

struct text tap_rules_find(const struct tap_rules *t, const struct place_input *in, uint16_t nic_name,
			   uint16_t nic_rule)
{
	uint16_t best = nic_rule;
	if (in->vlan_count) {
		best = min_of(best, t->vlan[in->vlan[0] & 0xfff]);
		best = min_of(best, t->pcp[in->vlan[0] >> 13]);
	}
	if (in->vlan_count > 1)
		best = min_of(best, t->inner_vlan[in->vlan[1] & 0xfff]);
	for (unsigned i = 0; i < t->other_count && t->others[i] < best; i++) {
		const struct rule *rule = &t->rules[t->others[i]];
		if (rule->tunnel && !in->tunnel_count)
			continue;
		unsigned c = 0;
		while (c < rule->count && holds(&rule->conditions[c], in, nic_name))
			c++;
		if (c == rule->count)
			best = t->others[i];
	}
	const struct rule *rule = best == TAP_NO_RULE ? &t->initial : &t->rules[best];
	return (struct text){rule->name_len ? rule->name : NULL, rule->name_len};
}
