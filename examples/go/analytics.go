// Tells what a region sold: answers the requests to the agent `analytics`.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

type figures struct {
	Orders int `json:"orders"`
	EUR    int `json:"eur"`
}

var sold = map[string]figures{"north": {120, 48200}, "south": {75, 31500}}

func fail(request *nats.Msg, code, text string) error {
	reply := nats.NewMsg(request.Reply)
	reply.Header.Set("Nats-Service-Error-Code", code)
	reply.Header.Set("Nats-Service-Error", text)
	return request.RespondMsg(reply)
}

func answer(request *nats.Msg) {
	var question struct{ Region string }
	if err := json.Unmarshal(request.Data, &question); err != nil {
		fail(request, "400", err.Error())
	} else if found, ok := sold[question.Region]; !ok {
		fail(request, "404", "no region "+question.Region)
	} else {
		data, _ := json.Marshal(found)
		request.Respond(data)
	}
}

// ask asks an agent, which is told how long its answer is waited for.
func ask(nc *nats.Conn, agent string, question any, timeout time.Duration) ([]byte, error) {
	request := nats.NewMsg("rpc." + agent)
	request.Data, _ = json.Marshal(question)
	request.Header.Set("Werkpilot-Deadline", time.Now().Add(timeout).UTC().Format(time.RFC3339Nano))
	reply, err := nc.RequestMsg(request, timeout)
	if err != nil {
		return nil, err // nats.ErrNoResponders, nats.ErrTimeout …
	}
	if code := reply.Header.Get("Nats-Service-Error-Code"); code != "" {
		return nil, fmt.Errorf("%s: %s", code, reply.Header.Get("Nats-Service-Error"))
	}
	return reply.Data, nil
}

func main() {
	user, password := os.Getenv("NATS_USER"), os.Getenv("NATS_PASSWORD")
	nc, err := nats.Connect(os.Getenv("NATS_SERVER"), nats.UserInfo(user, password))
	if err != nil {
		log.Fatal(err)
	}
	if len(os.Args) > 1 {
		for _, region := range os.Args[1:] {
			data, err := ask(nc, "analytics", map[string]string{"region": region}, 5*time.Second)
			fmt.Println(region, string(data), err)
		}
		return
	}
	if _, err := nc.Subscribe("rpc.analytics", answer); err != nil {
		log.Fatal(err)
	}
	nc.Flush()
	fmt.Println("answering")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	nc.Drain()
}
