/*
 * What a system call costs a process that nobody captures: prints, per kind, the 10th percentile
 * over many batches in nanoseconds per operation.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 400 };
static char buffer[16384];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int by_size(const void *left, const void *right) {
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static void round_trip(int from, int to, size_t size) {
    if (send(from, buffer, size, 0) != (ssize_t)size) err(1, "send");
    for (size_t got = 0; got < size;) {
        ssize_t count = recv(to, buffer, sizeof buffer, 0);
        if (count <= 0) err(1, "recv");
        got += count;
    }
}

int main(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 1)) err(1, "listen");
    getsockname(listener, (void *)&at, &length);
    if (connect(client, (void *)&at, sizeof at)) err(1, "connect");
    int server = accept(listener, NULL, NULL), zeros = open("/dev/zero", O_RDONLY);
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

    const char *names[] = {"getppid", "read_zero_64", "tcp_200", "tcp_1k", "tcp_16k"};
    const int counts[] = {500, 500, 100, 100, 30};
    const size_t sizes[] = {0, 64, 200, 1024, 16384};
    for (int kind = 0; kind < 5; kind++) {
        double cost[BATCHES];
        for (int batch = 0; batch < BATCHES; batch++) {
            double begin = now();
            for (int at = 0; at < counts[kind]; at++) {
                if (kind == 0) syscall(SYS_getppid);
                else if (kind == 1) { if (read(zeros, buffer, 64) != 64) err(1, "read"); }
                else round_trip(client, server, sizes[kind]);
            }
            cost[batch] = (now() - begin) / counts[kind];
        }
        qsort(cost, BATCHES, sizeof *cost, by_size);
        printf("%s %.1f\n", names[kind], cost[BATCHES / 10]);
    }
    return 0;
}
