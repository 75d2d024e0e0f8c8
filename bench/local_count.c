/* SPDX-License-Identifier: MIT */
#include "bench/local_count.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/assert.h"

#if BENCH_IS_SANITIZED

struct local_counts local_count(void (*run)(void *user), void *user)
{
    run(user);
    return (struct local_counts){0};
}

#else

static _Thread_local volatile uint64_t allocations;
static _Thread_local volatile uint64_t system_calls;

/* glibc's own names for what is put before it. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
    allocations++;
    return __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
    allocations++;
    *ret = __libc_memalign(alignment, size);
    return *ret == NULL ? ENOMEM : 0;
}

struct task {
    void (*run)(void *user);
    void *user;
    struct local_counts counts;
};

/* The call is not made, and fails. */
static void on_system_call(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = context;
    (void)signal_number;
    (void)info;
    system_calls++;
#if defined(__x86_64__)
    interrupted->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
    interrupted->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
#else
    (void)interrupted;
#endif
}

/* For the thread's life, which ends by the one call that is left to it. */
static bool trap_system_calls(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *run_task(void *argument)
{
    struct task *task = argument;
    void *volatile block = malloc(1); /* the first one of a thread makes system calls */
    free(block);
    if (!trap_system_calls()) {
        task->run(task->user);
        return NULL;
    }
    system_calls = 0;
    allocations = 0;
    (void)syscall(SYS_getppid); /* the counters count */
    block = malloc(1);
    free(block);
    RF_ASSERT(system_calls >= 1 && allocations == 1);
    system_calls = 0;
    allocations = 0;
    task->run(task->user);
    task->counts = (struct local_counts){
        .is_counted = true, .system_calls = system_calls, .allocations = allocations};
    (void)syscall(SYS_exit, 0); /* returning would make others */
    return NULL;
}

struct local_counts local_count(void (*run)(void *user), void *user)
{
    struct task task = {.run = run, .user = user};
    struct sigaction action = {.sa_sigaction = on_system_call, .sa_flags = SA_SIGINFO};
    pthread_t thread;
    (void)sigaction(SIGSYS, &action, NULL); /* cannot fail for a signal that can be caught */
    if (pthread_create(&thread, NULL, run_task, &task) != 0) {
        return (struct local_counts){0};
    }
    (void)pthread_join(thread, NULL);
    return task.counts;
}

#endif
