/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous write-protection for kernels that have the synchronous kind alone
 * (Linux 5.7 to 6.6): a thread that takes the protection from each page that is
 * written, so that the page's missing mark tells of the write. A first write waits
 * for it: 10 to 80 us instead of 1.
 */
#ifndef PROCESS_FAULT_HANDLER_H
#define PROCESS_FAULT_HANDLER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* May not be moved while it is open. */
struct pagescan_fault_handler {
	int uffd;    /* -1: not open. Register with UFFDIO_REGISTER_MODE_WP alone. */
	int stop_fd; /* readable: end */
	/*
	 * Without the privilege for a full one: then a system call that writes to armed
	 * memory fails with EFAULT, where it would succeed (R9.7).
	 */
	bool is_user_mode_only;
	pthread_t thread;
	/* The thread touches nothing else that is written. May never be registered. */
	void *memory;
	size_t length;
};

/*
 * Make a synchronous userfaultfd of the own process and serve it.
 *
 * @return 0, -EOPNOTSUPP (the kernel cannot write-protect), -EPERM or -ENOSYS (it
 *         denies userfaultfd), -EMFILE, -ENFILE, -ENOMEM, -EAGAIN (no more threads).
 */
int pagescan_fault_handler_open(struct pagescan_fault_handler *handler);

/*
 * The kernel lets go of everything that is still registered, unless a descriptor was
 * copied elsewhere (by a child that has not disowned it): whoever cannot exclude that
 * unregisters first, or writes would wait for ever. Accepts one that is not open.
 */
void pagescan_fault_handler_close(struct pagescan_fault_handler *handler);

/*
 * In a child made by fork: the thread is not in it, and the descriptors still act
 * on the parent's memory.
 */
void pagescan_fault_handler_disown(struct pagescan_fault_handler *handler);

#endif
