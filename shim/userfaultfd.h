/* SPDX-License-Identifier: MIT */
/* The ioctls of userfaultfds. */
#ifndef SHIM_USERFAULTFD_H
#define SHIM_USERFAULTFD_H

#include <stdbool.h>

/* An ioctl whose type is a userfaultfd's: its result or a negative errno. */
int pagescan_shim_uffd_ioctl(int fd, unsigned long request, void *arg);

/* Make one for the program, by system call: the result or a negative errno. */
int pagescan_shim_uffd_make(int flags);

#endif
