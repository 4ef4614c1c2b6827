/* Preloaded into the tool: stops the process at one place, so that strace can attach there and count system calls from there.

   TORTURE_GATE    start: before main; thread:NAME: the first thread whose name begins so; resolve: the first getaddrinfo
   TORTURE_TRACEE  the file that gets the number of the thread that stopped the process

   What comes before (the dynamic loader, the runtimes) is neither counted nor made to fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_flag passed = ATOMIC_FLAG_INIT;

static void stop_here(void) {
    if (atomic_flag_test_and_set(&passed)) return;
    char text[16];
    int length = snprintf(text, sizeof text, "%ld", syscall(SYS_gettid));
    int file = open(getenv("TORTURE_TRACEE"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || write(file, text, length) != length) _exit(99);
    close(file);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    /* To this thread only: a signal to the process may stop another thread first, while this one continues for a moment. */
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
}

static const char *gate(void) {
    const char *value = getenv("TORTURE_GATE");
    return value ? value : "";
}

__attribute__((constructor)) static void started(void) {
    if (strcmp(gate(), "start") == 0) stop_here();
}

int pthread_setname_np(pthread_t thread, const char *name) {
    int (*original)(pthread_t, const char *) = dlsym(RTLD_NEXT, "pthread_setname_np");
    int result = original(thread, name);
    if (strncmp(gate(), "thread:", 7) == 0 && strncmp(name, gate() + 7, strlen(gate() + 7)) == 0) stop_here();
    return result;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    int (*original)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(gate(), "resolve") == 0) stop_here();
    return original(node, service, hints, result);
}
