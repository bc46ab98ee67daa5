// Command workload is what the containers of the lab's own images run: one static program, of the standard library only.
//
//	workload pause       holds the namespaces of a pod
//	workload serve       answers HTTP on :8080 with its host name and the address of who asks
//	workload get URL     prints what a URL gives
//	workload eat MIB     takes so much memory and keeps it
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func waitForEnd() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}

func serve() {
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		log.Fatal(http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s\n", host, r.RemoteAddr)
		})))
	}()
	log.Printf("serving as %s", host)
	waitForEnd()
}

func get(url string) {
	client := http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		log.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		log.Fatal(answer.Status)
	}
}

func eat(mebibytes string) {
	count, err := strconv.Atoi(mebibytes)
	if err != nil {
		log.Fatal(err)
	}
	eaten := make([]byte, count<<20)
	for i := 0; i < len(eaten); i += 4096 {
		eaten[i] = 1
	}
	log.Printf("holding %d MiB", len(eaten)>>20)
	waitForEnd()
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "pause":
		waitForEnd()
	case len(os.Args) == 2 && os.Args[1] == "serve":
		serve()
	case len(os.Args) == 3 && os.Args[1] == "get":
		get(os.Args[2])
	case len(os.Args) == 3 && os.Args[1] == "eat":
		eat(os.Args[2])
	default:
		log.Fatal("usage: workload pause | serve | get URL | eat MIB")
	}
}
