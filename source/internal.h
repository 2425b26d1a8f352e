/* internal.h - what the sources share. */
#ifndef TS_SOURCE_INTERNAL_H
#define TS_SOURCE_INTERNAL_H

#include "source.h"

#endif
