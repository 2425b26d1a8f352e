#include "api.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

const struct option api_options[] = {
    {"api.listen", NULL, OPTION_STRING, offsetof(struct api_settings, listen), "127.0.0.1:9555", 0, 0, NULL, NULL, NULL,
     "Address and port of /metrics, /healthz, /readyz and /reload while capturing live: ADDRESS:PORT, or "
     "[ADDRESS]:PORT for "
     "IPv6. Empty: none."},
    {0},
};

struct api {
	struct MHD_Daemon *daemon;
	void (*look)(void *ctx, struct api_state *ret_state);
	void (*reload)(void *ctx);
	void *ctx;
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type, char *text, size_t len)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	enum MHD_Result result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
	char *copy = strdup(text);
	return copy ? answer(c, status, "text/plain; charset=utf-8", copy, strlen(copy)) : MHD_NO;
}

static enum MHD_Result metrics(struct MHD_Connection *c, const struct api_state *s)
{
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool openmetrics = accept && strstr(accept, "application/openmetrics-text");
	size_t len;
	char *text = api_metrics(s, openmetrics, &len);
	if (!text)
		return say(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
	return answer(c, MHD_HTTP_OK,
		      openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
				  : "text/plain; version=0.0.4; charset=utf-8",
		      text, len);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
				  const char *version maybe_unused, const char *upload maybe_unused,
				  size_t *upload_size, void **request)
{
	struct api *a = cls;
	static int begun;
	if (*request != &begun) { /* the head has come; answer when all of it has */
		*request = &begun;
		return MHD_YES;
	}
	if (*upload_size) { /* nothing here wants any */
		*upload_size = 0;
		return MHD_YES;
	}
	if (!strcmp(url, "/reload")) {
		if (strcmp(method, MHD_HTTP_METHOD_POST))
			return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only POST\n");
		a->reload(a->ctx);
		return say(c, MHD_HTTP_ACCEPTED, "the configuration is read again; the log tells what came of it\n");
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	bool health = !strcmp(url, "/healthz"), ready = !strcmp(url, "/readyz");
	if (!strcmp(url, "/"))
		return say(c, MHD_HTTP_OK, "tapscope: /metrics /healthz /readyz, POST /reload\n");
	if (strcmp(url, "/metrics") && !health && !ready)
		return say(c, MHD_HTTP_NOT_FOUND, "there are /metrics, /healthz, /readyz and /reload\n");
	struct api_state *s = calloc(1, sizeof *s);
	if (!s)
		return MHD_NO;
	a->look(a->ctx, s);
	enum MHD_Result r;
	if (health)
		r = s->healthy ? say(c, MHD_HTTP_OK, "ok\n")
			       : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "a thread does not advance\n");
	else if (ready)
		r = s->ready ? say(c, MHD_HTTP_OK, "ok\n") : say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "captures nowhere\n");
	else
		r = metrics(c, s);
	free(s);
	return r;
}

/* "address:port" or "[address]:port". 0 or -EINVAL. */
static int parse_address(const char *text, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *four = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_address;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	if (!colon || !colon[1] || (size_t)(colon - text) >= sizeof host)
		return -EINVAL;
	unsigned long port = strtoul(colon + 1, &end, 10);
	if (*end || port > UINT16_MAX || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	size_t len = strlen(host);
	memset(ret_address, 0, sizeof *ret_address);
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host + 1, &six->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &four->sin_addr) == 1 ? 0 : -EINVAL;
}

int api_new(struct api **ret_api, const struct api_settings *settings,
	    void (*look)(void *ctx, struct api_state *ret_state), void (*reload)(void *ctx), void *ctx, struct error *e)
{
	struct sockaddr_storage address;
	if (parse_address(settings->listen, &address) < 0)
		return error_set(e, -EINVAL, "api.listen: '%s' is no ADDRESS:PORT", settings->listen);
	struct api *a = calloc(1, sizeof *a);
	if (!a)
		return error_set(e, -ENOMEM, "no memory for the API");
	a->look = look;
	a->reload = reload;
	a->ctx = ctx;
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
	if (address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	errno = 0;
	a->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, a, MHD_OPTION_SOCK_ADDR, &address,
				     MHD_OPTION_CONNECTION_LIMIT, (unsigned)API_CONNECTIONS,
				     MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
	if (!a->daemon) {
		int error = errno ? errno : EIO;
		free(a);
		return error_set(e, -error, "cannot listen on %s: %s; set api.listen", settings->listen,
				 strerror(error));
	}
	*ret_api = a;
	return 0;
}

struct api *api_free(struct api *a)
{
	if (a) {
		MHD_stop_daemon(a->daemon);
		free(a);
	}
	return NULL;
}

unsigned api_port(const struct api *a)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_BIND_PORT);
	return info ? info->port : 0;
}
