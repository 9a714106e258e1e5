/* SPDX-License-Identifier: MIT */
#include "process/inject.h"

#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#if !defined(__x86_64__) || !defined(__LP64__)
#error "attaching is not written for this processor: add a file beside inject-x86-64.c"
#endif

/* The code segment of 64-bit programs; 32-bit code runs in another. */
#define CS_64BIT 0x33

/* The length of `syscall`, and of `int $0x80`, too. */
#define INSTRUCTION_SIZE 2

/* The kernel's own: the call is made again, if a handler permits it, always, or if none runs. */
#define ERESTARTSYS           512
#define ERESTARTNOINTR        513
#define ERESTARTNOHAND        514
#define ERESTART_RESTARTBLOCK 516

long pagescan_raw_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			  uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static int transfer(int request, pid_t tid, struct user_regs_struct *user)
{
	struct iovec iov = {user, sizeof(*user)};
	long r = pagescan_raw_syscall(SYS_ptrace, (uint64_t)request, (uint64_t)tid, NT_PRSTATUS,
				      (uint64_t)&iov, 0, 0);

	/* A thread in 32-bit code has another, shorter set. */
	return r == 0 && iov.iov_len != sizeof(*user) ? -ENOEXEC : (int)r;
}

int pagescan_registers_get(pid_t tid, struct pagescan_registers *ret)
{
	int r = transfer(PTRACE_GETREGSET, tid, &ret->user);

	return r == 0 && ret->user.cs != CS_64BIT ? -ENOEXEC : r;
}

int pagescan_registers_set(pid_t tid, const struct pagescan_registers *registers)
{
	struct user_regs_struct user = registers->user;

	return transfer(PTRACE_SETREGSET, tid, &user);
}

uint64_t pagescan_registers_get_interrupted(const struct pagescan_registers *registers)
{
	int64_t result = (int64_t)registers->user.rax;

	if ((int64_t)registers->user.orig_rax < 0)
		return 0;
	if (result != -EINTR && (result > -ERESTARTSYS || result < -ERESTART_RESTARTBLOCK))
		return 0;
	return registers->user.rip - INSTRUCTION_SIZE;
}

uint64_t pagescan_registers_get_ip(const struct pagescan_registers *registers)
{
	return registers->user.rip;
}

void pagescan_registers_set_ip(struct pagescan_registers *registers, uint64_t ip)
{
	registers->user.rip = ip;
}

void pagescan_registers_prepare(struct pagescan_registers *registers, uint64_t instruction,
				long number, const uint64_t args[4])
{
	struct user_regs_struct *user = &registers->user;

	user->rip = instruction;
	user->rax = (uint64_t)number;
	user->orig_rax = UINT64_MAX; /* not in a call: the kernel shall make nothing again */
	user->rdi = args[0];
	user->rsi = args[1];
	user->rdx = args[2];
	user->r10 = args[3];
}

long pagescan_registers_get_result(const struct pagescan_registers *registers)
{
	return (long)registers->user.rax;
}

void pagescan_registers_excuse(struct pagescan_registers *registers)
{
	struct user_regs_struct *user = &registers->user;

	/* The descriptor is gone by then: to close it once more would close another's. */
	if ((int64_t)user->orig_rax < 0 || user->orig_rax == SYS_close)
		return;
	if ((int64_t)user->rax == -EINTR)
		user->rax = (uint64_t)-ERESTARTNOHAND;
}

bool pagescan_registers_is_restart(const struct pagescan_registers *registers)
{
	return (int64_t)registers->user.rax == -ERESTARTNOINTR;
}

bool pagescan_code_is_syscall(const void *code, size_t size)
{
	const uint8_t *bytes = code;

	return size >= INSTRUCTION_SIZE && bytes[0] == 0x0f && bytes[1] == 0x05;
}
