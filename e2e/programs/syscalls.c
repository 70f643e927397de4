/*
 * A server and a client of the component tests that use exactly the system calls they are told.
 *
 *   syscalls serve FAMILY PORT READ WRITE FORM
 *   syscalls fetch FAMILY PORT READ WRITE COUNT SIZE FILE
 *
 * FAMILY 4, 6, or dual (an IPv6 socket that also takes IPv4, so that peers are v4-mapped)
 * READ   read readv recvfrom recvmsg recvmmsg
 * WRITE  write writev sendto sendmsg sendmmsg, and for bodies only: sendfile splice
 * FILE   the client waits until this file is there
 * FORM   threads  a thread per connection
 *        fork     a child process per connection
 *        pass     the connection is passed to another process with SCM_RIGHTS
 *        dup      reads from the descriptor, writes to a duplicate of it
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *read_call, *write_call;

struct peer {
    int in, out;
    char *buffer;
    size_t held, room;
};

static int is(const char *call, const char *name) { return strcmp(call, name) == 0; }

static ssize_t receive_some(int fd, char *to, size_t room) {
    /* Uneven pieces, so that every buffer of a vector is used. */
    size_t first = room > 7 ? 7 : room, second = room - first;
    struct iovec parts[2] = {{to, first}, {to + first, second}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (is(read_call, "read")) return read(fd, to, room);
    if (is(read_call, "readv")) return readv(fd, parts, 2);
    if (is(read_call, "recvfrom")) return recvfrom(fd, to, room, 0, NULL, NULL);
    if (is(read_call, "recvmsg")) return recvmsg(fd, &message, 0);
    if (is(read_call, "recvmmsg")) {
        struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
                                      {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}}};
        int count = recvmmsg(fd, messages, second ? 2 : 1, MSG_WAITFORONE, NULL);
        if (count <= 0) return count;
        size_t got = messages[0].msg_len, more = count > 1 ? messages[1].msg_len : 0;
        /* A stream has no borders: the first buffer need not be full when the second is used. */
        memmove(to + got, parts[1].iov_base, more);
        return got + more;
    }
    errx(2, "unknown read call %s", read_call);
}

static void send_vector(int fd, struct iovec *parts, int count) {
    while (count > 0) {
        if (parts->iov_len == 0) {
            parts++, count--;
            continue;
        }
        ssize_t done;
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        if (is(write_call, "writev")) {
            done = writev(fd, parts, count);
        } else if (is(write_call, "sendmsg")) {
            done = sendmsg(fd, &message, 0);
        } else if (is(write_call, "sendmmsg")) {
            struct mmsghdr messages[2];
            memset(messages, 0, sizeof messages);
            for (int at = 0; at < count && at < 2; at++)
                messages[at].msg_hdr = (struct msghdr){.msg_iov = &parts[at], .msg_iovlen = 1};
            int sent = sendmmsg(fd, messages, count < 2 ? count : 2, 0);
            if (sent < 0) err(1, "sendmmsg");
            done = 0;
            for (int at = 0; at < sent; at++) {
                done += messages[at].msg_len;
                if (messages[at].msg_len < parts[at].iov_len) break;
            }
        } else if (is(write_call, "sendto")) {
            done = sendto(fd, parts->iov_base, parts->iov_len, 0, NULL, 0);
        } else {
            done = write(fd, parts->iov_base, parts->iov_len);
        }
        if (done < 0) err(1, "%s", write_call);
        while (done > 0 && count > 0) {
            size_t part = (size_t)done < parts->iov_len ? (size_t)done : parts->iov_len;
            parts->iov_base = (char *)parts->iov_base + part;
            parts->iov_len -= part;
            done -= part;
            if (parts->iov_len == 0) parts++, count--;
        }
    }
}

static void send_from_file(int fd, const char *body, size_t size) {
    int file = memfd_create("body", 0);
    if (file < 0 || write(file, body, size) != (ssize_t)size) err(1, "memfd");
    off_t at = 0;
    if (is(write_call, "sendfile")) {
        while ((size_t)at < size)
            if (sendfile(fd, file, &at, size - at) <= 0) err(1, "sendfile");
    } else {
        int ends[2];
        if (pipe(ends)) err(1, "pipe");
        while ((size_t)at < size) {
            ssize_t filled = splice(file, &at, ends[1], NULL, size - at, 0);
            if (filled <= 0) err(1, "splice from the file");
            while (filled > 0) {
                ssize_t done = splice(ends[0], NULL, fd, NULL, filled, 0);
                if (done <= 0) err(1, "splice to the socket");
                filled -= done;
            }
        }
        close(ends[0]), close(ends[1]);
    }
    close(file);
}

static void send_message(int fd, const char *head, const char *body, size_t size) {
    struct iovec parts[2] = {{(void *)head, strlen(head)}, {(void *)body, size}};
    int by_file = is(write_call, "sendfile") || is(write_call, "splice");
    send_vector(fd, parts, by_file ? 1 : 2);
    if (by_file && size) send_from_file(fd, body, size);
}

static int fill(struct peer *peer) {
    if (peer->held == peer->room) {
        peer->room = peer->room ? peer->room * 2 : 4096;
        peer->buffer = realloc(peer->buffer, peer->room + 1);
        if (!peer->buffer) err(1, "realloc");
    }
    ssize_t count = receive_some(peer->in, peer->buffer + peer->held, peer->room - peer->held);
    if (count <= 0) return 0;
    peer->held += count;
    peer->buffer[peer->held] = 0;
    return 1;
}

/* Length of the head at the front of the buffer with its empty line, 0 at the end. */
static size_t await_head(struct peer *peer) {
    for (;;) {
        char *end = peer->held ? memmem(peer->buffer, peer->held, "\r\n\r\n", 4) : NULL;
        if (end) return end + 4 - peer->buffer;
        if (!fill(peer)) return 0;
    }
}

static size_t content_length(const char *head, size_t size) {
    for (const char *at = head; at < head + size; at++) {
        at = memchr(at, '\n', head + size - at);
        if (!at) return 0;
        if (strncasecmp(at + 1, "content-length:", 15) == 0) return strtoul(at + 16, NULL, 10);
    }
    return 0;
}

static int await_body(struct peer *peer, size_t until) {
    while (peer->held < until)
        if (!fill(peer)) return 0;
    return 1;
}

static char *pattern(size_t size) {
    char *body = malloc(size + 1);
    if (!body) err(1, "malloc");
    for (size_t at = 0; at < size; at++) body[at] = (char)(at * 31 + 7);
    return body;
}

static void *serve(void *argument) {
    struct peer peer = *(struct peer *)argument;
    free(argument);
    size_t head;
    while ((head = await_head(&peer))) {
        size_t length = content_length(peer.buffer, head);
        if (!await_body(&peer, head + length)) break;
        char *target = memchr(peer.buffer, ' ', head) + 1, *made = NULL;
        const char *body = peer.buffer + head;
        int is_head = strncmp(peer.buffer, "HEAD ", 5) == 0, status = 200;
        if (strncmp(target, "/bytes/", 7) == 0) {
            length = strtoul(target + 7, NULL, 10);
            body = made = pattern(length);
        } else if (strncmp(target, "/none", 5) == 0) {
            status = 204;
        }
        size_t asked = content_length(peer.buffer, head);
        char lines[128];
        if (status == 204)
            strcpy(lines, "HTTP/1.1 204 No Content\r\nServer: syscalls\r\n\r\n");
        else
            snprintf(lines, sizeof lines,
                     "HTTP/1.1 200 OK\r\nServer: syscalls\r\nContent-Length: %zu\r\n\r\n", length);
        send_message(peer.out, lines, body, status == 204 || is_head ? 0 : length);
        free(made);
        peer.held -= head + asked;
        memmove(peer.buffer, peer.buffer + head + asked, peer.held);
        if (peer.buffer) peer.buffer[peer.held] = 0;
    }
    close(peer.in);
    if (peer.out != peer.in) close(peer.out);
    free(peer.buffer);
    return NULL;
}

static void serve_in_thread(int fd, int writer) {
    struct peer *peer = calloc(1, sizeof *peer);
    pthread_t thread;
    peer->in = fd, peer->out = writer;
    if (pthread_create(&thread, NULL, serve, peer)) errx(1, "pthread_create");
    pthread_detach(thread);
}

static void pass(int channel, int fd) {
    char byte = 0, control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(channel, &message, 0) != 1) err(1, "pass a descriptor");
    close(fd);
}

static void serve_passed(int channel) {
    for (;;) {
        int fd;
        char byte, control[CMSG_SPACE(sizeof fd)];
        struct iovec part = {&byte, 1};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
                                 .msg_controllen = sizeof control};
        if (recvmsg(channel, &message, 0) <= 0) exit(0);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        serve_in_thread(fd, fd);
    }
}

static socklen_t address(const char *family, int port, int listening, struct sockaddr_storage *to) {
    memset(to, 0, sizeof *to);
    if (is(family, "4")) {
        struct sockaddr_in *in = (void *)to;
        in->sin_family = AF_INET, in->sin_port = htons(port);
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof *in;
    }
    struct sockaddr_in6 *in = (void *)to;
    in->sin6_family = AF_INET6, in->sin6_port = htons(port);
    in->sin6_addr = in6addr_loopback;
    if (is(family, "dual")) {
        if (listening) in->sin6_addr = in6addr_any;
        else inet_pton(AF_INET6, "::ffff:127.0.0.1", &in->sin6_addr);
    }
    return sizeof *in;
}

static void run_server(const char *family, int port, const char *form) {
    struct sockaddr_storage at;
    socklen_t size = address(family, port, 1, &at);
    int one = 1, zero = 0, channel[2];
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (is(form, "pass")) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel)) err(1, "socketpair");
        pid_t child = fork();
        if (child < 0) err(1, "fork");
        if (child == 0) close(channel[0]), serve_passed(channel[1]);
        close(channel[1]);
    }
    int listener = socket(at.ss_family, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (is(family, "dual")) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(listener, (void *)&at, size) || listen(listener, 256)) err(1, "listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) err(1, "accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (is(form, "pass")) {
            pass(channel[0], fd);
        } else if (is(form, "dup")) {
            serve_in_thread(fd, dup(fd));
        } else if (is(form, "fork")) {
            if (fork() == 0) {
                struct peer *peer = calloc(1, sizeof *peer);
                close(listener);
                peer->in = peer->out = fd;
                serve(peer);
                exit(0);
            }
            close(fd);
        } else {
            serve_in_thread(fd, fd);
        }
    }
}

static void run_client(const char *family, int port, int count, size_t size) {
    struct sockaddr_storage at;
    socklen_t length = address(family, port, 0, &at);
    int one = 1, fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (connect(fd, (void *)&at, length)) err(1, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct peer peer = {.in = fd, .out = fd};
    char *body = pattern(size);
    for (int number = 0; number < count; number++) {
        char head[160];
        snprintf(head, sizeof head,
                 "POST /echo?number=%d HTTP/1.1\r\nHost: syscalls\r\nContent-Length: %zu\r\n\r\n",
                 number, size);
        send_message(fd, head, body, size);
        size_t got = await_head(&peer);
        if (!got || !await_body(&peer, got + size) || content_length(peer.buffer, got) != size ||
            memcmp(peer.buffer + got, body, size) || peer.held != got + size)
            errx(1, "a wrong answer");
        peer.held = 0;
    }
    close(fd);
    printf("done %d\n", count);
}

int main(int count, char **words) {
    if (count < 7) errx(2, "see the head of syscalls.c");
    read_call = words[4], write_call = words[5];
    if (is(words[1], "serve")) {
        run_server(words[2], atoi(words[3]), words[6]);
        return 0;
    }
    if (count < 9) errx(2, "see the head of syscalls.c");
    while (access(words[8], F_OK)) usleep(1000);
    run_client(words[2], atoi(words[3]), atoi(words[6]), strtoul(words[7], NULL, 10));
    return 0;
}
