/* SPDX-License-Identifier: MIT */
#include "scan/user-memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The system call copies and tells what cannot be; a sandbox that denies it leaves us to trust. */
static int copied(ssize_t r, size_t n, bool *ret_is_denied)
{
	*ret_is_denied = r < 0 && (errno == EPERM || errno == ENOSYS);
	return r == (ssize_t)n ? 0 : -EFAULT;
}

int pagescan_copy_from_user(void *to, uint64_t from, size_t n)
{
	struct iovec local = {to, n}, remote = {(void *)(uintptr_t)from, n};
	int saved = errno, r;
	bool is_denied;

	r = copied(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), n, &is_denied);
	errno = saved;
	if (!is_denied)
		return r;
	memcpy(to, (const void *)(uintptr_t)from, n);
	return 0;
}

int pagescan_copy_to_user(uint64_t to, const void *from, size_t n)
{
	struct iovec local = {(void *)(uintptr_t)from, n}, remote = {(void *)(uintptr_t)to, n};
	int saved = errno, r;
	bool is_denied;

	r = copied(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), n, &is_denied);
	errno = saved;
	if (!is_denied)
		return r;
	memcpy((void *)(uintptr_t)to, from, n);
	return 0;
}
