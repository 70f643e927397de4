// A Go client of the component tests: `client URL CONNECTIONS REQUESTS` waits for its input to end, then sends that many requests
// on each of so many connections at once, and fails unless each answer is the request's body.
package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func exchange(client *http.Client, url string, body []byte) error {
	response, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(answer, body) {
		return fmt.Errorf("%s answered %d bytes of %d", url, len(answer), len(body))
	}
	return nil
}

func main() {
	connections, _ := strconv.Atoi(os.Args[2])
	requests, _ := strconv.Atoi(os.Args[3])
	if _, err := io.ReadAll(os.Stdin); err != nil {
		log.Fatal(err)
	}
	var group sync.WaitGroup
	for connection := range connections {
		group.Go(func() {
			// One connection each.
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				MaxConnsPerHost: 1,
			}}
			for request := range requests {
				number := connection*requests + request
				body := bytes.Repeat([]byte{byte(number), byte(number >> 8), 'x'}, 1+number%9000)
				url := fmt.Sprintf("%s?%d", os.Args[1], number)
				if err := exchange(client, url, body); err != nil {
					log.Fatal(err)
				}
			}
			client.CloseIdleConnections()
		})
	}
	group.Wait()
}
