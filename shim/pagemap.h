/* SPDX-License-Identifier: MIT */
/*
 * Recognising an open pagemap, however the program came by it: opened under any
 * name, received, or inherited. So opening needs no watching.
 */
#ifndef SHIM_PAGEMAP_H
#define SHIM_PAGEMAP_H

#include <sys/types.h>

/*
 * 0 and the process whose memory it shows, which is 0 if that memory is gone (R9.2);
 * -EBADF of what is not open for that (R1.9), -ENOTTY of anything else.
 */
int pagescan_shim_whose_pagemap(int fd, pid_t *ret);

#endif
