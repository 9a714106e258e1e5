/* SPDX-License-Identifier: MIT */
/* Flags of /proc/kpageflags (R11.10), those that we use, under names of our own. */
#ifndef UAPI_KPAGEFLAGS_H
#define UAPI_KPAGEFLAGS_H

#include <stdint.h>

#define UAPI_KPF_THP       (UINT64_C(1) << 22) /* any large folio, however it is mapped */
#define UAPI_KPF_ZERO_PAGE (UINT64_C(1) << 24)

#endif
