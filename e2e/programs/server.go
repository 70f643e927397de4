// A Go server of the component tests: `server ADDRESS [CERTIFICATE KEY [http2]]`.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func handle(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	path := request.URL.Path
	switch {
	case path == "/none":
		response.WriteHeader(http.StatusNoContent)
		return
	case strings.HasPrefix(path, "/bytes/"):
		length, _ := strconv.Atoi(strings.TrimPrefix(path, "/bytes/"))
		body = make([]byte, length)
		for at := range body {
			body[at] = byte(at*31 + 7)
		}
	}
	if _, err := response.Write(body); err != nil {
		fmt.Fprintln(os.Stderr, "write:", err)
	}
}

func main() {
	server := http.Server{Addr: os.Args[1], Handler: http.HandlerFunc(handle)}
	if len(os.Args) > 3 {
		if len(os.Args) == 4 {
			// HTTP/1 alone, whatever the client offers.
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
			server.TLSConfig = &tls.Config{NextProtos: []string{"http/1.1"}}
		}
		log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
	}
	log.Fatal(server.ListenAndServe())
}
