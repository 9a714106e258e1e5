/* SPDX-License-Identifier: MIT */
/* An ioctl that is not the shim's, through the shim and without it. */
#include "bench.h"
#include "measure.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_CALLS 20000

struct passthrough {
	int (*libc_ioctl)(int fd, unsigned long request, ...);
	int fds[2];
};

static int call(const struct passthrough *p, int (*function)(int, unsigned long, ...))
{
	for (int i = 0; i < N_CALLS; i++) {
		int n;

		if (function(p->fds[0], FIONREAD, &n) < 0)
			return -errno;
	}
	return 0;
}

static int call_shim(void *context)
{
	return call(context, ioctl);
}

static int call_libc(void *context)
{
	const struct passthrough *p = context;

	return call(p, p->libc_ioctl);
}

/* Here the name means the shim's, and libc's is found in libc. */
static int measure(void)
{
	struct passthrough p = {0};
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);

	if (libc)
		p.libc_ioctl = (int (*)(int, unsigned long, ...))dlsym(libc, "ioctl");
	if (!p.libc_ioctl || p.libc_ioctl == ioctl || pipe(p.fds) < 0)
		return -EIO;
	return bench_compare(&(struct bench_comparison){
		.name = "shim-passthrough",
		.unit = "ns",
		.unit_ns = 1,
		.n_per_call = N_CALLS,
		.n_pairs = 51,
		.ours = call_shim,
		.baseline = call_libc,
		.context = &p,
	});
}

/* Once more, with the shim before libc. */
int bench_shim_passthrough(void)
{
	int status;
	pid_t pid;

	if (getenv("LD_PRELOAD"))
		return measure();
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setenv("LD_PRELOAD", SHIM, 1);
		execl("/proc/self/exe", "bench", "shim-passthrough", (char *)NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return status == 0 ? 0 : -EIO;
}
