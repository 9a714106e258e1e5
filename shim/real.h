/* SPDX-License-Identifier: MIT */
/* What libc has behind the names that the shim stands before. */
#ifndef SHIM_REAL_H
#define SHIM_REAL_H

struct pagescan_shim_real {
	int (*close)(int fd);
	int (*close_range)(unsigned first, unsigned last, int flags);
	int (*dup)(int fd);
	int (*dup2)(int fd, int to);
	int (*dup3)(int fd, int to, int flags);
	int (*fcntl)(int fd, int command, ...);
	int (*ioctl)(int fd, unsigned long request, ...);
	long (*syscall)(long number, ...);
};

extern struct pagescan_shim_real pagescan_shim_found;

void pagescan_shim_find_real(void);

/* Other libraries are initialised before us, and may call. */
static inline const struct pagescan_shim_real *pagescan_shim_real(void)
{
	if (__builtin_expect(!pagescan_shim_found.syscall, 0))
		pagescan_shim_find_real();
	return &pagescan_shim_found;
}

#endif
