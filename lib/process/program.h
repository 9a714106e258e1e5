/* SPDX-License-Identifier: MIT */
/* The file that a program's name stands for. */
#ifndef PROCESS_PROGRAM_H
#define PROCESS_PROGRAM_H

#include <limits.h>
#include <pagescan/base.h>

/*
 * Find what exec would start as @name, by PATH if it has no slash. 0, -ENOENT,
 * -EACCES, -ENAMETOOLONG; or -EPERM: it gives rights that it would not get when it is traced.
 */
int pagescan_program_find(const char *name, char path[PATH_MAX], struct pagescan_error *reterr);

#endif
