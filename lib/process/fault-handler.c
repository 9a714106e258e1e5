/* SPDX-License-Identifier: MIT */
#include "process/fault-handler.h"

#include "base/system.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* For the stack and what libc puts beside it; sanitizers need most of that. */
#define STACK_LENGTH ((size_t)1 << 18)

/* No huge page is larger. */
#define MAX_PAGE_SIZE (UINT64_C(16) << 30)

/* Messages that are read at a time. */
#define N_MESSAGES 16

static int unprotect(int uffd, uint64_t address, uint64_t size)
{
	struct uapi_uffdio_writeprotect request = {{address / size * size, size}, 0};

	for (;;) {
		if (ioctl(uffd, UAPI_UFFDIO_WRITEPROTECT, &request) == 0)
			return 0;
		/* A mapping is being changed: it will be over in a moment. */
		if (errno != EAGAIN)
			return -errno;
		sched_yield();
	}
}

/*
 * Exactly the page that is written: of hugetlb the whole huge one, since less is
 * refused there (section 12). The kernel splits every other huge page.
 */
static void serve(int uffd, uint64_t address)
{
	uint64_t size = pagescan_page_size();
	struct uapi_uffdio_range page = {address / size * size, size};
	int r = unprotect(uffd, address, size);

	while (r == -EINVAL && size < MAX_PAGE_SIZE) {
		size *= 2;
		r = unprotect(uffd, address, size);
	}
	/* Not registered any more, or the like: whoever waits may try again. */
	if (r < 0)
		(void)ioctl(uffd, UAPI_UFFDIO_WAKE, &page);
}

/* No malloc, no lock, no memory but the stack: any other may be armed. */
static void *run(void *context)
{
	const int uffd = ((const struct pagescan_fault_handler *)context)->uffd;
	const int stop_fd = ((const struct pagescan_fault_handler *)context)->stop_fd;
	struct pollfd fds[2] = {{.fd = uffd, .events = POLLIN}, {.fd = stop_fd, .events = POLLIN}};
	struct uapi_uffd_msg messages[N_MESSAGES];

	for (;;) {
		ssize_t n;

		(void)poll(fds, 2, -1);
		if (fds[1].revents)
			return NULL;
		n = read(uffd, messages, sizeof(messages));
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(messages[0]); i++) {
			if (messages[i].event == UAPI_UFFD_EVENT_PAGEFAULT)
				serve(uffd, messages[i].address);
		}
	}
}

/* Who may open the device may have the full kind, without the privilege for it (Linux 6.1 on). */
static int make_by_device(int flags)
{
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), uffd;

	if (device < 0)
		return -1;
	uffd = ioctl(device, UAPI_USERFAULTFD_IOC_NEW, (void *)(intptr_t)flags);
	close(device);
	return uffd;
}

/* The full kind if it may be had: the other fails kernel-mode writes. */
static int make_uffd(struct pagescan_fault_handler *handler)
{
	const int flags = O_CLOEXEC | O_NONBLOCK;
	int r;

	handler->is_user_mode_only = false;
	handler->uffd = (int)syscall(SYS_userfaultfd, flags);
	if (handler->uffd >= 0)
		return 0;
	r = -errno;
	handler->uffd = make_by_device(flags);
	if (handler->uffd >= 0 || r != -EPERM)
		return handler->uffd >= 0 ? 0 : r;
	handler->is_user_mode_only = true;
	handler->uffd = (int)syscall(SYS_userfaultfd, flags | UAPI_UFFD_USER_MODE_ONLY);
	return handler->uffd < 0 ? -errno : 0;
}

/* As many of the features as this kernel has: they came in this order (R10.1). */
static int speak(int uffd)
{
	static const uint64_t features[] = {
		UAPI_UFFD_FEATURE_PAGEFAULT_FLAG_WP | UAPI_UFFD_FEATURE_WP_HUGETLBFS_SHMEM |
			UAPI_UFFD_FEATURE_WP_UNPOPULATED,
		UAPI_UFFD_FEATURE_PAGEFAULT_FLAG_WP | UAPI_UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
		UAPI_UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct uapi_uffdio_api api = {UAPI_UFFD_API, features[i], 0};

		if (ioctl(uffd, UAPI_UFFDIO_API, &api) == 0)
			return 0;
		if (errno != EINVAL)
			return -errno;
	}
	return -EOPNOTSUPP;
}

/* A mapping that no other is merged with, and that does not grow into one that is armed. */
static int make_memory(struct pagescan_fault_handler *handler)
{
	const size_t guard = pagescan_page_size();
	char *memory;

	handler->length = STACK_LENGTH + 2 * guard;
	memory = mmap(NULL, handler->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	handler->memory = memory;
	if (memory == MAP_FAILED)
		return -errno;
	return mprotect(memory + guard, STACK_LENGTH, PROT_READ | PROT_WRITE) < 0 ? -errno : 0;
}

/* The program's signals are not for this thread. */
static int start(struct pagescan_fault_handler *handler)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int r = pthread_attr_init(&attributes);

	if (r != 0)
		return -r;
	(void)pthread_attr_setstack(&attributes, (char *)handler->memory + pagescan_page_size(),
				    STACK_LENGTH);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&handler->thread, &attributes, run, handler);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

static void let_go(struct pagescan_fault_handler *handler)
{
	if (handler->uffd >= 0)
		close(handler->uffd);
	if (handler->stop_fd >= 0)
		close(handler->stop_fd);
	if (handler->memory != MAP_FAILED)
		munmap(handler->memory, handler->length);
	handler->uffd = handler->stop_fd = -1;
	handler->memory = MAP_FAILED;
}

int pagescan_fault_handler_open(struct pagescan_fault_handler *handler)
{
	int r;

	*handler = (struct pagescan_fault_handler){.stop_fd = -1, .memory = MAP_FAILED};
	r = make_uffd(handler);
	if (r == 0)
		r = speak(handler->uffd);
	if (r == 0) {
		handler->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = handler->stop_fd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = make_memory(handler);
	if (r == 0)
		r = start(handler);
	if (r < 0)
		let_go(handler);
	return r;
}

void pagescan_fault_handler_close(struct pagescan_fault_handler *handler)
{
	if (handler->uffd < 0)
		return;
	(void)eventfd_write(handler->stop_fd, 1);
	pthread_join(handler->thread, NULL);
	let_go(handler);
}

void pagescan_fault_handler_disown(struct pagescan_fault_handler *handler)
{
	if (handler->uffd >= 0)
		let_go(handler);
}
