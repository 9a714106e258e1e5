/* SPDX-License-Identifier: MIT */
#include "copies.h"

#include "files.h"
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>

static int fail(int code)
{
	errno = code;
	return -1;
}

/* @result is a copy of something of kind @kind. */
static int note_copy(int result, unsigned char kind)
{
	int saved = errno;

	if (result < 0 || (!kind && !pagescan_shim_kind(result)))
		return result;
	if (pagescan_shim_lock()) {
		pagescan_shim_note(result, kind);
		pagescan_shim_unlock();
	}
	errno = saved;
	return result;
}

int pagescan_shim_close(int fd)
{
	unsigned char kind = pagescan_shim_kind(fd);

	if (!kind)
		return pagescan_shim_real()->close(fd);
	/* Who closes all that may be open does not know of ours. */
	if (kind == PAGESCAN_SHIM_OWN)
		return fail(EBADF);
	note_copy(fd, PAGESCAN_SHIM_FOREIGN);
	return pagescan_shim_real()->close(fd);
}

int pagescan_shim_dup(int fd)
{
	unsigned char kind = pagescan_shim_kind(fd);

	if (kind == PAGESCAN_SHIM_OWN)
		return fail(EBADF);
	return note_copy(pagescan_shim_real()->dup(fd), kind);
}

/* 0, or why @fd may not be copied to @to. */
static int refuse(int fd, int to)
{
	if (pagescan_shim_kind(fd) == PAGESCAN_SHIM_OWN)
		return EBADF;
	return pagescan_shim_kind(to) == PAGESCAN_SHIM_OWN ? EBUSY : 0;
}

int pagescan_shim_dup2(int fd, int to)
{
	unsigned char kind = pagescan_shim_kind(fd);
	int code = refuse(fd, to);

	if (code)
		return fail(code);
	if (fd == to)
		return pagescan_shim_real()->dup2(fd, to);
	return note_copy(pagescan_shim_real()->dup2(fd, to), kind);
}

int pagescan_shim_dup3(int fd, int to, int flags)
{
	unsigned char kind = pagescan_shim_kind(fd);
	int code = refuse(fd, to);

	if (code)
		return fail(code);
	return note_copy(pagescan_shim_real()->dup3(fd, to, flags), kind);
}

int pagescan_shim_fcntl(int fd, int command, long arg)
{
	unsigned char kind = pagescan_shim_kind(fd);

	if (kind == PAGESCAN_SHIM_OWN)
		return fail(EBADF);
	if (!kind || (command != F_DUPFD && command != F_DUPFD_CLOEXEC))
		return pagescan_shim_real()->fcntl(fd, command, arg);
	return note_copy(pagescan_shim_real()->fcntl(fd, command, arg), kind);
}

/* The first in [first, last] that is not foreign, or one above. */
static unsigned find_known(unsigned first, unsigned last)
{
	unsigned fd = first;

	while (fd <= last && fd < PAGESCAN_SHIM_N_FDS && !pagescan_shim_fds[fd])
		fd++;
	return fd <= last && fd < PAGESCAN_SHIM_N_FDS ? fd : last + 1;
}

/* Around the shim's own; those that mean a userfaultfd go one by one. */
int pagescan_shim_close_range(unsigned first, unsigned last, int flags)
{
	const struct pagescan_shim_real *real = pagescan_shim_real();
	unsigned known;

	if (first > last || (flags & ~(int)CLOSE_RANGE_UNSHARE))
		return real->close_range(first, last, flags);
	while (last - first < PAGESCAN_SHIM_N_FDS || first < PAGESCAN_SHIM_N_FDS) {
		known = find_known(first, last);
		if (known == last + 1)
			break;
		if (known > first && real->close_range(first, known - 1, flags) < 0)
			return -1;
		if (pagescan_shim_kind((int)known) != PAGESCAN_SHIM_OWN)
			pagescan_shim_close((int)known);
		if (known == last)
			return 0;
		first = known + 1;
	}
	return real->close_range(first, last, flags);
}
