// A service of the cluster tests: it answers requests, and on demand makes some itself and says
// which of them failed. Standard library only, linked statically.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// What became of requests that were made.
type result struct {
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	Error    string `json:"error,omitempty"`
}

var client = &http.Client{Timeout: 30 * time.Second}

// One request whose answer is known beforehand.
func call(to, id string) error {
	sent := []byte(`{"order":"` + id + `"}`)
	request, err := http.NewRequest("POST", to+"/orders/"+id, bytes.NewReader(sent))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	// What no record may contain.
	request.Header.Set("Authorization", "Bearer credential-of-"+id)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != 201 || !bytes.Equal(body, sent) {
		return fmt.Errorf("%d with %d bytes", response.StatusCode, len(body))
	}
	return nil
}

func (r *result) add(err error) {
	r.Requests++
	if err != nil {
		r.Failed++
		r.Error = err.Error()
	}
}

// Requests that go on until they are stopped.
type load struct {
	mutex sync.Mutex
	stop  chan struct{}
	done  chan result
}

func (l *load) run(to, prefix string, perSecond int) {
	var sum result
	tick := time.NewTicker(time.Second / time.Duration(perSecond))
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			l.done <- sum
			return
		case <-tick.C:
			sum.add(call(to, prefix+"-"+strconv.Itoa(sum.Requests)))
		}
	}
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(value)
}

func number(r *http.Request, name string) int {
	value, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || value < 1 {
		return 1
	}
	return value
}

func main() {
	running := &load{}
	http.HandleFunc("POST /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		io.Copy(w, r.Body)
	})
	http.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {})
	// Whether a connection to an address can be made.
	http.HandleFunc("GET /reach", func(w http.ResponseWriter, r *http.Request) {
		connection, err := net.DialTimeout("tcp", r.URL.Query().Get("to"), 5*time.Second)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		connection.Close()
	})
	// Makes n requests and says how they went.
	http.HandleFunc("GET /send", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		var sum result
		for i := range number(r, "n") {
			sum.add(call(query.Get("to"), query.Get("prefix")+"-"+strconv.Itoa(i)))
		}
		answer(w, sum)
	})
	http.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		running.mutex.Lock()
		defer running.mutex.Unlock()
		if running.stop != nil {
			http.Error(w, "it runs already", http.StatusConflict)
			return
		}
		query := r.URL.Query()
		running.stop, running.done = make(chan struct{}), make(chan result, 1)
		go running.run(query.Get("to"), query.Get("prefix"), number(r, "rate"))
	})
	http.HandleFunc("GET /stop", func(w http.ResponseWriter, r *http.Request) {
		running.mutex.Lock()
		defer running.mutex.Unlock()
		if running.stop == nil {
			http.Error(w, "it does not run", http.StatusConflict)
			return
		}
		close(running.stop)
		sum := <-running.done
		running.stop = nil
		answer(w, sum)
	})
	address := ":8080"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	log.Fatal(http.ListenAndServe(address, nil))
}
