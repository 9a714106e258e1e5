/* SPDX-License-Identifier: MIT */
/* The kernel's userfaultfd interface, under names of our own (see pagemap.h). */
#ifndef UAPI_USERFAULTFD_H
#define UAPI_USERFAULTFD_H

#include <assert.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define UAPI_UFFD_API UINT64_C(0xAA)

/* Flag of the system call, Linux 5.11 on: needs no privilege. */
#define UAPI_UFFD_USER_MODE_ONLY 1

/* On /dev/userfaultfd, Linux 6.1 on: the argument is the system call's. */
#define UAPI_USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)

/* R10.1 */
#define UAPI_UFFD_FEATURE_PAGEFAULT_FLAG_WP    (UINT64_C(1) << 0)
#define UAPI_UFFD_FEATURE_WP_HUGETLBFS_SHMEM   (UINT64_C(1) << 12)
#define UAPI_UFFD_FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13)
#define UAPI_UFFD_FEATURE_WP_ASYNC	 (UINT64_C(1) << 15)

struct uapi_uffdio_api {
	uint64_t api;
	uint64_t features;
	uint64_t ioctls;
};

struct uapi_uffdio_range {
	uint64_t start;
	uint64_t len;
};

#define UAPI_UFFDIO_REGISTER_MODE_WP UINT64_C(2)

struct uapi_uffdio_register {
	struct uapi_uffdio_range range;
	uint64_t mode;
	uint64_t ioctls;
};

#define UAPI_UFFDIO_WRITEPROTECT_MODE_WP UINT64_C(1)

struct uapi_uffdio_writeprotect {
	struct uapi_uffdio_range range;
	uint64_t mode;
};

#define UAPI_UFFD_EVENT_PAGEFAULT 0x12

/* What is read from a userfaultfd; of the events, only the page fault's. */
struct uapi_uffd_msg {
	uint8_t event;
	uint8_t reserved[7];
	uint64_t flags;
	uint64_t address;
	uint64_t feature;
};

static_assert(sizeof(struct uapi_uffd_msg) == 32, "layout");
static_assert(sizeof(struct uapi_uffdio_api) == 24, "layout");
static_assert(sizeof(struct uapi_uffdio_register) == 32, "layout");
static_assert(sizeof(struct uapi_uffdio_writeprotect) == 24, "layout");

#define UAPI_UFFDIO_API	         _IOWR(0xAA, 0x3F, struct uapi_uffdio_api)
#define UAPI_UFFDIO_REGISTER     _IOWR(0xAA, 0x00, struct uapi_uffdio_register)
#define UAPI_UFFDIO_UNREGISTER   _IOR(0xAA, 0x01, struct uapi_uffdio_range)
#define UAPI_UFFDIO_WAKE	 _IOR(0xAA, 0x02, struct uapi_uffdio_range)
#define UAPI_UFFDIO_WRITEPROTECT _IOWR(0xAA, 0x06, struct uapi_uffdio_writeprotect)

#endif
