#include "dissect.h"
#include "text_tools.h"

/* Texts of a message, written where the session layer left room. What doesn't fit, or belongs to a message that has
 * left, is the session layer's to deal with. */

static inline uint8_t *room_for(const struct dissect *d, const struct message *m, size_t size, size_t len)
{
	if (unlikely(m->owner != d->owner || len > d->settings->text_max ||
		     sizeof(struct message_text_head) + size > (size_t)(m->text_room - m->text_len)))
		return NULL;
	return m->text + m->text_len;
}

static inline uint8_t *put_head(struct message *m, uint8_t *at, unsigned field, bool constant, size_t size, size_t len)
{
	struct message_text_head h = {.field = (uint8_t)field, .constant = constant, .len = (uint16_t)len};
	memcpy(at, &h, sizeof h);
	m->text_len += (uint32_t)(sizeof h + size);
	return at + sizeof h;
}

void message_put(struct dissect *d, struct message *m, enum request_field field, const void *data, size_t len)
{
	if (!m)
		return;
	uint8_t *at = room_for(d, m, len, len);
	if (likely(at))
		text_copy(put_head(m, at, field, false, len, len), data, len);
	else
		d->calls->put_text(d, m, field, data, len);
}

void message_put_constant(struct dissect *d, struct message *m, enum request_field field, struct text t)
{
	if (!m)
		return;
	uint8_t *at = room_for(d, m, sizeof t.at, t.len);
	if (likely(at))
		memcpy(put_head(m, at, field, true, sizeof t.at, t.len), &t.at, sizeof t.at);
	else
		d->calls->put_text(d, m, field, t.at, t.len);
}

char *message_reserve(struct dissect *d, struct message *m, enum request_field field, size_t len)
{
	uint8_t *at = m ? room_for(d, m, len, len) : NULL;
	return at ? (char *)put_head(m, at, field, false, len, len) : NULL;
}
