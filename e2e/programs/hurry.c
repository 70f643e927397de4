/* A program of the component tests that is over at once: `hurry PORT TARGET` asks for one target on
 * the loopback and exits 0 when the answer is 200. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count != 3) return 2;
    int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_fd, (struct sockaddr *)&address, sizeof address)) return 3;
    char buffer[4096];
    int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", words[2]);
    if (write(socket_fd, buffer, (size_t)length) != length) return 4;
    size_t have = 0;
    ssize_t got;
    while ((got = read(socket_fd, buffer + have, sizeof buffer - 1 - have)) > 0) have += (size_t)got;
    buffer[have] = 0;
    return strncmp(buffer, "HTTP/1.1 200", 12) ? 5 : 0;
}
