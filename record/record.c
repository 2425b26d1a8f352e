#include "record.h"

#define FLOW_ENTRY(kind, name, unit, meaning) {#name, FIELD_##kind, offsetof(struct flow_record, name), unit, meaning},
#define REQUEST_ENTRY(kind, name, unit, meaning)                                                                       \
	{#name, FIELD_##kind, offsetof(struct request_record, name), unit, meaning},

const struct field flow_fields[FLOW_FIELD_COUNT] = {FLOW_FIELDS(FLOW_ENTRY)};
const struct field request_fields[REQUEST_FIELD_COUNT] = {REQUEST_FIELDS(REQUEST_ENTRY)};
