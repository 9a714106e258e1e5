/* SPDX-License-Identifier: MIT */
/* What copies and closes descriptors, so that the table of files.h stays true. */
#ifndef SHIM_COPIES_H
#define SHIM_COPIES_H

/* As the functions of libc, errno and all. */
int pagescan_shim_close(int fd);
int pagescan_shim_close_range(unsigned first, unsigned last, int flags);
int pagescan_shim_dup(int fd);
int pagescan_shim_dup2(int fd, int to);
int pagescan_shim_dup3(int fd, int to, int flags);
int pagescan_shim_fcntl(int fd, int command, long arg);

#endif
