#include "dpdk.h"

#include "user_filter.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_NAME "tapscope-dpdk.so"

static const struct dpdk_host host = {
    .size = sizeof(struct dpdk_host),
    .source_size = sizeof(struct source),
    .error_set = error_set,
    .filter_new = user_filter_new,
    .filter_free = user_filter_free,
    .filter_matches = user_filter_matches,
};

/* Its path in one of the three places, or an empty text. */
static void find(char ret_path[PATH_MAX])
{
	char program[PATH_MAX] = "";
	ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
	char *slash = len > 0 ? strrchr(program, '/') : NULL;
	if (slash)
		*slash = 0;
	const char *folders[] = {secure_getenv("TAPSCOPE_MODULES"), slash ? program : NULL, TAPSCOPE_MODULES};
	for (size_t i = 0; i < array_size(folders); i++) {
		if (!folders[i])
			continue;
		int n = snprintf(ret_path, PATH_MAX, "%s/" FILE_NAME, folders[i]);
		if (n < PATH_MAX && access(ret_path, R_OK) == 0)
			return;
	}
	*ret_path = 0;
}

const struct source_ops *dpdk_load(struct error *e)
{
	static const struct source_ops *loaded;
	if (loaded)
		return loaded;
	char path[PATH_MAX];
	find(path);
	if (!*path) {
		error_set(
		    e, -ENOTSUP,
		    "DPDK's module %s is neither beside the program nor in %s: build it (libdpdk-dev) or install it",
		    FILE_NAME, TAPSCOPE_MODULES);
		return NULL;
	}
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!module) {
		error_set(e, -ENOTSUP, "DPDK's module cannot be loaded: %s", dlerror());
		return NULL;
	}
	dpdk_module_function *begin = (dpdk_module_function *)dlsym(module, DPDK_MODULE_SYMBOL);
	loaded = begin ? begin(&host) : NULL;
	if (!loaded)
		error_set(e, -ENOTSUP, "%s was built for another version of this program: build both again", path);
	return loaded;
}
