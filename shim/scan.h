/* SPDX-License-Identifier: MIT */
/* PAGEMAP_SCAN. */
#ifndef SHIM_SCAN_H
#define SHIM_SCAN_H

#include <stdint.h>

/*
 * The whole ioctl, if @fd is of a pagemap: its result or a negative errno.
 * -ENOTTY: it is not, and the kernel shall answer.
 */
int pagescan_shim_scan(int fd, void *arg);

/* Under the lock: forget what is open of the own process, which was the parent. */
void pagescan_shim_forget_process(void);

/*
 * Under the lock: [start, end) was registered for write-protection with a userfaultfd
 * that is asynchronous or not. smaps does not tell which (R3.4).
 */
void pagescan_shim_note_kind(uint64_t start, uint64_t end, int is_async);

#endif
