/* SPDX-License-Identifier: MIT */
/*
 * The names of libc that a program's calls come through. What is not ours goes on at
 * once: most of all an ioctl, which is told by its number, without a look at the descriptor.
 */

/* Else what is defined here would get the names of the 64-bit variants. */
#undef _FILE_OFFSET_BITS

#include "copies.h"
#include "mode.h"
#include "real.h"
#include "scan.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"
#include "userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static int finish(int r, int saved)
{
	errno = r < 0 ? -r : saved;
	return r < 0 ? -1 : r;
}

static int on_scan(int fd, unsigned long request, void *arg)
{
	int saved = errno, r = -ENOTTY;

	if (pagescan_shim_mode() > PAGESCAN_SHIM_NOTHING)
		r = pagescan_shim_scan(fd, arg);
	errno = saved;
	if (r == -ENOTTY)
		return pagescan_shim_real()->ioctl(fd, request, arg);
	return finish(r, saved);
}

static int on_ioctl(int fd, unsigned long request, void *arg)
{
	int saved = errno;

	/* The kernel looks at 32 bits of it. */
	if ((unsigned)request == (unsigned)UAPI_PAGEMAP_SCAN)
		return on_scan(fd, request, arg);
	return finish(pagescan_shim_uffd_ioctl(fd, request, arg), saved);
}

static inline bool is_ours(unsigned long request)
{
	return (unsigned)request == (unsigned)UAPI_PAGEMAP_SCAN ||
	       _IOC_TYPE(request) == UAPI_UFFD_API;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *arg;

	va_start(list, request);
	arg = va_arg(list, void *);
	va_end(list);
	if (__builtin_expect(!is_ours(request), 1))
		return pagescan_shim_real()->ioctl(fd, request, arg);
	return on_ioctl(fd, request, arg);
}

EXPORT int close(int fd)
{
	return pagescan_shim_close(fd);
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	return pagescan_shim_close_range(first, last, flags);
}

EXPORT void closefrom(int first)
{
	(void)pagescan_shim_close_range(first < 0 ? 0 : (unsigned)first, ~0u, 0);
}

EXPORT int dup(int fd)
{
	return pagescan_shim_dup(fd);
}

EXPORT int dup2(int fd, int to)
{
	return pagescan_shim_dup2(fd, to);
}

EXPORT int dup3(int fd, int to, int flags)
{
	return pagescan_shim_dup3(fd, to, flags);
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list list;
	long arg;

	va_start(list, command);
	arg = va_arg(list, long);
	va_end(list);
	return pagescan_shim_fcntl(fd, command, arg);
}

EXPORT int fcntl64(int fd, int command, ...)
{
	va_list list;
	long arg;

	va_start(list, command);
	arg = va_arg(list, long);
	va_end(list);
	return pagescan_shim_fcntl(fd, command, arg);
}

/* What comes by number and is ours: 1 and its result. */
static int by_number(long number, const long *a, long *ret)
{
	switch (number) {
	case SYS_ioctl:
		*ret = ioctl((int)a[0], (unsigned long)a[1], a[2]);
		return 1;
	case SYS_userfaultfd:
		*ret = finish(pagescan_shim_uffd_make((int)a[0]), errno);
		return 1;
	case SYS_close:
		*ret = pagescan_shim_close((int)a[0]);
		return 1;
	case SYS_close_range:
		*ret = pagescan_shim_close_range((unsigned)a[0], (unsigned)a[1], (int)a[2]);
		return 1;
	case SYS_dup:
		*ret = pagescan_shim_dup((int)a[0]);
		return 1;
#ifdef SYS_dup2
	case SYS_dup2:
		*ret = pagescan_shim_dup2((int)a[0], (int)a[1]);
		return 1;
#endif
	case SYS_dup3:
		*ret = pagescan_shim_dup3((int)a[0], (int)a[1], (int)a[2]);
		return 1;
	case SYS_fcntl:
		*ret = pagescan_shim_fcntl((int)a[0], (int)a[1], a[2]);
		return 1;
	default:
		return 0;
	}
}

EXPORT long syscall(long number, ...)
{
	va_list list;
	long a[6], r;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (by_number(number, a, &r))
		return r;
	return pagescan_shim_real()->syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
