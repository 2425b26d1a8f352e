/* notify.h - what the service manager wants to know: systemd's notification protocol (sd_notify(3)), one datagram to
 * the socket that NOTIFY_SOCKET names. Without one, nothing happens. Control thread. */
#ifndef TS_APP_NOTIFY_H
#define TS_APP_NOTIFY_H

#include "def.h"

/* Sends "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…", several separated by newlines. */
void notify(const char *state);
/* How often WATCHDOG=1 is expected at least (WATCHDOG_USEC), in ns; 0: not at all. */
int64_t notify_watchdog_ns(void);

#endif
