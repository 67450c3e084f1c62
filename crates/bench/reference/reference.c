/* The reference loops of `make bench`: what a C program needs for the same work, without any supervision.
 *
 *   reference exec N            N times posix_spawn of /bin/true with captured output, one at a time
 *   reference fleet N           starts N children that pause, then ends them with SIGTERM
 *   reference respawn N LIVE F  kill -9 and start again N times, with LIVE further children; F is a FIFO
 *   reference beacon F          a child: writes its clock to the FIFO F as soon as main() runs, then pauses
 *   reference pause             a child: pauses until a signal
 *
 * Figures go to stdout as "name value" lines, times in nanoseconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static pid_t start(char *const argv[], posix_spawn_file_actions_t *actions) {
    pid_t pid;
    int error = posix_spawn(&pid, argv[0], actions, NULL, argv, environ);
    if (error) {
        errno = error;
        die("posix_spawn");
    }
    return pid;
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void exec_loop(int n) {
    char *argv[] = {"/bin/true", NULL};
    uint64_t *each = calloc((size_t)n, sizeof *each);
    uint64_t begin = now();
    for (int i = 0; i < n; i++) {
        uint64_t t = now();
        int out[2], err[2];
        if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) die("pipe2");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        pid_t pid = start(argv, &actions);
        posix_spawn_file_actions_destroy(&actions);
        close(out[1]);
        close(err[1]);
        char buffer[4096];
        while (read(out[0], buffer, sizeof buffer) > 0) {}
        while (read(err[0], buffer, sizeof buffer) > 0) {}
        close(out[0]);
        close(err[0]);
        int status;
        if (waitpid(pid, &status, 0) != pid) die("waitpid");
        each[i] = now() - t;
    }
    uint64_t total = now() - begin;
    qsort(each, (size_t)n, sizeof *each, by_size);
    printf("mean %llu\np50 %llu\n", (unsigned long long)(total / (uint64_t)n), (unsigned long long)each[n / 2]);
}

static void fleet(int n, char *self) {
    char *argv[] = {self, "pause", NULL};
    pid_t *pids = calloc((size_t)n, sizeof *pids);
    uint64_t t = now();
    for (int i = 0; i < n; i++) pids[i] = start(argv, NULL);
    printf("start %llu\n", (unsigned long long)(now() - t));
    t = now();
    for (int i = 0; i < n; i++) kill(pids[i], SIGTERM);
    for (int i = 0; i < n; i++) waitpid(pids[i], NULL, 0);
    printf("stop %llu\n", (unsigned long long)(now() - t));
}

static void respawn(int n, int live, char *self, char *path) {
    char *pause_argv[] = {self, "pause", NULL};
    char *argv[] = {self, "beacon", path, NULL};
    pid_t *others = calloc((size_t)live + 1, sizeof *others);
    for (int i = 0; i < live; i++) others[i] = start(pause_argv, NULL);
    int fifo = open(path, O_RDWR | O_CLOEXEC);
    if (fifo < 0) die("open");
    uint64_t born;
    uint64_t *each = calloc((size_t)n, sizeof *each);
    pid_t pid = start(argv, NULL);
    if (read(fifo, &born, sizeof born) != sizeof born) die("read");
    for (int i = 0; i < n; i++) {
        usleep(2000);
        uint64_t t = now();
        kill(pid, SIGKILL);
        if (waitpid(pid, NULL, 0) != pid) die("waitpid");
        pid = start(argv, NULL);
        if (read(fifo, &born, sizeof born) != sizeof born) die("read");
        each[i] = born - t;
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < live; i++) kill(others[i], SIGKILL);
    for (int i = 0; i < live; i++) waitpid(others[i], NULL, 0);
    qsort(each, (size_t)n, sizeof *each, by_size);
    printf("p50 %llu\np99 %llu\n", (unsigned long long)each[n / 2], (unsigned long long)each[n * 99 / 100]);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "pause")) {
        for (;;) pause();
    }
    if (argc == 3 && !strcmp(argv[1], "beacon")) {
        uint64_t t = now();
        int fifo = open(argv[2], O_WRONLY);
        if (fifo < 0 || write(fifo, &t, sizeof t) != sizeof t) die(argv[2]);
        close(fifo);
        for (;;) pause();
    }
    if (argc == 3 && !strcmp(argv[1], "exec")) {
        exec_loop(atoi(argv[2]));
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "fleet")) {
        fleet(atoi(argv[2]), argv[0]);
        return 0;
    }
    if (argc == 5 && !strcmp(argv[1], "respawn")) {
        respawn(atoi(argv[2]), atoi(argv[3]), argv[0], argv[4]);
        return 0;
    }
    fprintf(stderr, "usage: see the head of reference.c\n");
    return 64;
}
