/* SPDX-License-Identifier: MIT */
#include "userfaultfd.h"

#include "files.h"
#include "mode.h"
#include "real.h"
#include "scan.h"
#include "scan/user-memory.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Features that are taken for present although the kernel lacks them. The first three
 * are what asynchronous protection brings with it (R10.1).
 */
#define EMULATED                                                                                   \
	(UAPI_UFFD_FEATURE_WP_ASYNC | UAPI_UFFD_FEATURE_WP_UNPOPULATED |                           \
	 UAPI_UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UAPI_UFFD_FEATURE_PAGEFAULT_FLAG_WP)

/* Never known: makes the kernel refuse. */
#define NO_FEATURE (UINT64_C(1) << 63)

static int real(int fd, unsigned long request, void *arg)
{
	int r = pagescan_shim_real()->ioctl(fd, request, arg);

	return r < 0 ? -errno : r;
}

/* What the kernel wrote back goes to the program, whatever the result was. */
static int write_back(void *arg, const struct uapi_uffdio_api *api, int r)
{
	return pagescan_copy_to_user((uintptr_t)arg, api, sizeof(*api)) < 0 ? -EFAULT : r;
}

/* What the kernel can do by itself, events for the program excepted: see the manual page. */
static uint64_t find_features(void)
{
	const uint64_t events =
		UINT64_C(1) << 1 | UINT64_C(1) << 2 | UINT64_C(1) << 3 | UINT64_C(1) << 6;
	struct uapi_uffdio_api api = {.api = UAPI_UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd < 0 || ioctl(fd, UAPI_UFFDIO_API, &api) < 0)
		api.features = 0;
	if (fd >= 0)
		close(fd);
	return (api.features & ~events) | EMULATED;
}

/* The program's own is made to look used; the work is done by another. Under the lock. */
static int emulate(int fd, struct uapi_uffdio_api *api)
{
	const uint64_t wanted = api->features;
	struct pagescan_shim_uffd *uffd;
	int r;

	/* What the kernel says to anyone: no userfaultfd, another version. */
	api->features = NO_FEATURE;
	r = real(fd, UAPI_UFFDIO_API, api);
	if (r != -EINVAL || (wanted & ~find_features()))
		return r;
	uffd = pagescan_shim_add_uffd(fd);
	if (!uffd)
		return -ENFILE;
	uffd->is_emulated = true;
	r = pagescan_fault_handler_open(&uffd->handler);
	uffd->work_fd = uffd->handler.uffd;
	if (r == 0) {
		*api = (struct uapi_uffdio_api){.api = UAPI_UFFD_API};
		r = real(fd, UAPI_UFFDIO_API, api);
	}
	if (r < 0)
		pagescan_shim_note(fd, PAGESCAN_SHIM_FOREIGN);
	else
		api->features |= EMULATED;
	return r;
}

static int api_emulated(int fd, void *arg)
{
	struct uapi_uffdio_api api;
	int r = pagescan_copy_from_user(&api, (uintptr_t)arg, sizeof(api));

	if (r < 0)
		return real(fd, UAPI_UFFDIO_API, arg);
	/* Not ours; but it may be asked only what there is. */
	if (!(api.features & UAPI_UFFD_FEATURE_WP_ASYNC)) {
		r = real(fd, UAPI_UFFDIO_API, arg);
		if (r == 0 && pagescan_copy_from_user(&api, (uintptr_t)arg, sizeof(api)) == 0) {
			api.features |= EMULATED;
			r = write_back(arg, &api, r);
		}
		return r;
	}
	if (!pagescan_shim_lock())
		return real(fd, UAPI_UFFDIO_API, arg);
	/* Another version is refused as the kernel refuses it. */
	r = api.api == UAPI_UFFD_API ? emulate(fd, &api) : real(fd, UAPI_UFFDIO_API, &api);
	pagescan_shim_unlock();
	/* Refusals of what it asks for come with zeros. */
	return r == 0 || r == -EINVAL ? write_back(arg, &api, r) : r;
}

/* The kernel's own: noted, to know what is asynchronous and by what to protect. */
static int api_real(int fd, void *arg)
{
	struct uapi_uffdio_api api;
	struct pagescan_shim_uffd *uffd;
	int r, copied = pagescan_copy_from_user(&api, (uintptr_t)arg, sizeof(api));

	r = real(fd, UAPI_UFFDIO_API, arg);
	if (r < 0 || copied < 0 || !(api.features & UAPI_UFFD_FEATURE_WP_ASYNC) ||
	    !pagescan_shim_lock())
		return r;
	uffd = pagescan_shim_add_uffd(fd);
	if (uffd) {
		int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0l);

		uffd->work_fd = copy < 0 ? -1 : pagescan_shim_make_own(copy);
	}
	pagescan_shim_unlock();
	return r;
}

/*
 * What must never be armed, in a range: the stack of who would have to serve it, and
 * what the kernel writes for a scan, which it may not be able to do then.
 */
static bool find_ours(uint64_t start, uint64_t end, uint64_t *ret_start, uint64_t *ret_end)
{
	for (unsigned i = 0; i < PAGESCAN_SHIM_N_UFFDS; i++) {
		const struct pagescan_shim_uffd *uffd = &pagescan_shim_uffds[i];
		uint64_t memory = (uintptr_t)uffd->handler.memory;

		if (!uffd->n_fds || !uffd->is_emulated || uffd->is_inherited || memory >= end ||
		    memory + uffd->handler.length <= start)
			continue;
		*ret_start = memory > start ? memory : start;
		*ret_end =
			memory + uffd->handler.length < end ? memory + uffd->handler.length : end;
		return true;
	}
	return pagescan_shim_find_buffer(start, end, ret_start, ret_end);
}

/* Register what is left of @request without these. */
static int register_around(struct pagescan_shim_uffd *uffd, struct uapi_uffdio_register *request)
{
	uint64_t start = request->range.start, end = start + request->range.len;
	struct uapi_uffdio_register before = *request, behind = *request;
	uint64_t ours, ours_end;
	int r, r_behind;

	if (!find_ours(start, end, &ours, &ours_end))
		return real(uffd->work_fd, UAPI_UFFDIO_REGISTER, request);
	before.range.len = ours - start;
	behind.range = (struct uapi_uffdio_range){ours_end, end - ours_end};
	r = register_around(uffd, &before);
	r_behind = register_around(uffd, &behind);
	request->ioctls = r == 0 ? before.ioctls : behind.ioctls;
	/* Nothing mapped on one side of it is no reason to refuse (R10.2). */
	return r == 0 && r_behind == -EINVAL ? 0 : r == -EINVAL ? r_behind : r < 0 ? r : r_behind;
}

static int register_range(struct pagescan_shim_uffd *uffd, void *arg)
{
	struct uapi_uffdio_register request;
	int r;

	/* Where it cannot be read or makes no sense, the kernel says so. */
	if (pagescan_copy_from_user(&request, (uintptr_t)arg, sizeof(request)) < 0)
		return real(uffd->work_fd, UAPI_UFFDIO_REGISTER, arg);
	if (uffd->is_emulated && (request.mode & ~UAPI_UFFDIO_REGISTER_MODE_WP))
		return -EINVAL;
	if (!uffd->is_emulated)
		r = real(uffd->work_fd, UAPI_UFFDIO_REGISTER, arg);
	else
		r = register_around(uffd, &request);
	if (r < 0)
		return r;
	if (request.mode & UAPI_UFFDIO_REGISTER_MODE_WP) {
		uint64_t start = request.range.start, end = start + request.range.len;

		(void)pagescan_rangeset_add(&uffd->registered, start, end, 0);
		pagescan_shim_note_kind(start, end, true);
	}
	if (uffd->is_emulated)
		r = pagescan_copy_to_user((uintptr_t)arg, &request, sizeof(request));
	return r;
}

static int unregister_range(struct pagescan_shim_uffd *uffd, void *arg)
{
	struct uapi_uffdio_range range;
	int copied = pagescan_copy_from_user(&range, (uintptr_t)arg, sizeof(range));
	int r = real(uffd->work_fd, UAPI_UFFDIO_UNREGISTER, arg);

	if (r == 0 && copied == 0)
		(void)pagescan_rangeset_remove(&uffd->registered, range.start,
					       range.start + range.len);
	return r;
}

/* Under the lock. */
static int on_uffd(struct pagescan_shim_uffd *uffd, int fd, unsigned request, void *arg)
{
	/* It acts on the parent's memory, as nobody else's; ours is gone (R9.5). */
	if (uffd->is_inherited && uffd->is_emulated)
		return request == UAPI_UFFDIO_WRITEPROTECT ? -ESRCH : -ENOMEM;
	if (uffd->is_inherited || uffd->work_fd < 0)
		return real(fd, request, arg);
	if (request == UAPI_UFFDIO_REGISTER)
		return register_range(uffd, arg);
	if (request == UAPI_UFFDIO_UNREGISTER)
		return unregister_range(uffd, arg);
	return real(uffd->work_fd, request, arg);
}

/* A userfaultfd that is not ours: only what it registers is noted. */
static int on_foreign(int fd, unsigned request, void *arg)
{
	struct uapi_uffdio_register asked;
	int copied, r;

	if (request != UAPI_UFFDIO_REGISTER)
		return real(fd, request, arg);
	copied = pagescan_copy_from_user(&asked, (uintptr_t)arg, sizeof(asked));
	r = real(fd, request, arg);
	if (r == 0 && copied == 0 && (asked.mode & UAPI_UFFDIO_REGISTER_MODE_WP) &&
	    pagescan_shim_lock()) {
		pagescan_shim_note_kind(asked.range.start, asked.range.start + asked.range.len,
					false);
		pagescan_shim_unlock();
	}
	return r;
}

int pagescan_shim_uffd_ioctl(int fd, unsigned long request, void *arg)
{
	enum pagescan_shim_mode mode = pagescan_shim_mode();
	struct pagescan_shim_uffd *uffd;
	int r;

	if (mode <= PAGESCAN_SHIM_NOTHING)
		return real(fd, request, arg);
	/* The second time on the same one is refused by the kernel (R10.1). */
	uffd = pagescan_shim_find_uffd(fd);
	if ((unsigned)request == UAPI_UFFDIO_API)
		return mode == PAGESCAN_SHIM_ALL && !uffd ? api_emulated(fd, arg)
							  : api_real(fd, arg);
	if (!uffd)
		return on_foreign(fd, (unsigned)request, arg);
	if (!pagescan_shim_lock())
		return real(fd, request, arg);
	uffd = pagescan_shim_find_uffd(fd);
	r = uffd ? on_uffd(uffd, fd, (unsigned)request, arg) : real(fd, request, arg);
	pagescan_shim_unlock();
	return r;
}

/* Linux before 5.11 does not know the flag: what it asks to leave out is there then. */
int pagescan_shim_uffd_make(int flags)
{
	const struct pagescan_shim_real *libc = pagescan_shim_real();
	int fd = (int)libc->syscall(SYS_userfaultfd, flags);

	if (fd < 0 && errno == EINVAL && (flags & UAPI_UFFD_USER_MODE_ONLY) &&
	    pagescan_shim_mode() == PAGESCAN_SHIM_ALL)
		fd = (int)libc->syscall(SYS_userfaultfd, flags & ~UAPI_UFFD_USER_MODE_ONLY);
	return fd < 0 ? -errno : fd;
}
