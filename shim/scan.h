/* SPDX-License-Identifier: MIT */
/* PAGEMAP_SCAN. */
#ifndef SHIM_SCAN_H
#define SHIM_SCAN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The whole ioctl, if @fd is of a pagemap: its result or a negative errno.
 * -ENOTTY: it is not, and the kernel shall answer.
 */
int pagescan_shim_scan(int fd, void *arg);

/* Under the lock: forget what is open of the own process, which was the parent. */
void pagescan_shim_forget_process(void);

/* Under the lock: what a scan reads into, if any of it lies in [start, end). */
bool pagescan_shim_find_buffer(uint64_t start, uint64_t end, uint64_t *ret_start,
			       uint64_t *ret_end);

/*
 * Under the lock: [start, end) was registered for write-protection with a userfaultfd
 * that is asynchronous or not. smaps does not tell which (R3.4).
 */
void pagescan_shim_note_kind(uint64_t start, uint64_t end, int is_async);

#endif
