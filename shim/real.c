/* SPDX-License-Identifier: MIT */
#include "real.h"

#include "files.h"
#include "uapi/userfaultfd.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pagescan_shim_real pagescan_shim_found;

/* libc before 2.34 has no such function, and then its callers call the system themselves. */
static int close_range_by_number(unsigned first, unsigned last, int flags)
{
	return (int)pagescan_shim_found.syscall(SYS_close_range, first, last, flags);
}

/* Twice at the same time does no harm. The one that tells that all are known comes last. */
__attribute__((constructor)) void pagescan_shim_find_real(void)
{
	struct pagescan_shim_real *real = &pagescan_shim_found;

	real->close = dlsym(RTLD_NEXT, "close");
	real->close_range = dlsym(RTLD_NEXT, "close_range");
	if (!real->close_range)
		real->close_range = close_range_by_number;
	real->dup = dlsym(RTLD_NEXT, "dup");
	real->dup2 = dlsym(RTLD_NEXT, "dup2");
	real->dup3 = dlsym(RTLD_NEXT, "dup3");
	real->fcntl = dlsym(RTLD_NEXT, "fcntl64");
	if (!real->fcntl)
		real->fcntl = dlsym(RTLD_NEXT, "fcntl");
	real->ioctl = dlsym(RTLD_NEXT, "ioctl");
	__atomic_store_n(&real->syscall, dlsym(RTLD_NEXT, "syscall"), __ATOMIC_RELEASE);
}

/* Meson has the library call the 64-bit variants, which are the same. */
#define ALSO(name, as) __typeof__(name) as __attribute__((alias(#name)))

/*
 * The linker turns what the library and the shim's other files call into these: they
 * are not programs whose calls are to be understood. What they open moves out of the
 * program's way, which may rely on getting the lowest numbers.
 */
int __wrap_close(int fd);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_fcntl(int fd, int command, long arg);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

int __wrap_close(int fd)
{
	pagescan_shim_forget_own(fd);
	return pagescan_shim_real()->close(fd);
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	int r = pagescan_shim_real()->ioctl(fd, request, arg);

	return request == UAPI_USERFAULTFD_IOC_NEW && r >= 0 ? pagescan_shim_make_own(r) : r;
}

int __wrap_fcntl(int fd, int command, long arg)
{
	return pagescan_shim_real()->fcntl(fd, command, arg);
}

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long r = pagescan_shim_real()->syscall(number, a, b, c, d, e, f);

	if (r >= 0 && (number == SYS_userfaultfd || number == SYS_pidfd_open))
		return pagescan_shim_make_own((int)r);
	return r;
}

int __wrap_eventfd(unsigned value, int flags)
{
	int fd = (int)pagescan_shim_real()->syscall(SYS_eventfd2, value, flags);

	return fd < 0 ? fd : pagescan_shim_make_own(fd);
}

/* The library creates no files: a mode is never needed. */
int __wrap_open(const char *path, int flags, ...)
{
	return __wrap_openat(AT_FDCWD, path, flags);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	int fd = (int)pagescan_shim_real()->syscall(SYS_openat, dir_fd, path, flags, 0);

	return fd < 0 ? fd : pagescan_shim_make_own(fd);
}

ALSO(__wrap_fcntl, __wrap_fcntl64);
ALSO(__wrap_open, __wrap_open64);
ALSO(__wrap_openat, __wrap_openat64);
