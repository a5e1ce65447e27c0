// Drives an engine for the auditor. Fill in the places marked ENGINE; `hydra adapter check` lists them. The protocol: adapters/README.md.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
)

const version = "0.0.0" // ENGINE: the version that is built in

type object = map[string]any

// ask asks the auditor what this body does: a value, or why it fails.
func ask(execution, step string, saw object, otherInput bool) (any, error) {
	question, err := json.Marshal(object{"execution": execution, "step": step, "saw": saw, "other_input": otherInput})
	if err != nil {
		return nil, err
	}
	reply, err := http.Post(os.Getenv("HYDRA_DOOR")+"/effect", "application/json", bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	var told struct{ Do, Value, Message string }
	if err := json.NewDecoder(reply.Body).Decode(&told); err != nil {
		return nil, err
	}
	switch told.Do {
	case "return":
		return told.Value, nil
	case "unencodable":
		return make(chan int), nil // JSON has no channels
	}
	// "fail", and "fail-finally": an error that no retry can mend, if the engine can be told so.
	return nil, errors.New(told.Message)
}

// program is the one workflow: it interprets every program. ENGINE: register it; runStep is the engine's step.
// An item is {"step": {"id", "kind", "attempts_max"}}; with sleeps = true in adapter.toml also {"sleep": {"id", "ms"}}, with
// parallel = true also {"parallel": [STEP, ...]}. What a body returns as an error is for the engine to retry: let it through.
func program(input object, runStep func(name string, body func() (any, error)) (any, error)) (object, error) {
	given := input["program"].(object)
	saw := object{}
	for _, item := range given["body"].([]any) {
		id := item.(object)["step"].(object)["id"].(string)
		value, err := runStep(id, func() (any, error) { return ask(given["id"].(string), id, saw, input["other_input"] == true) })
		if err != nil {
			return nil, err
		}
		saw[id] = object{"value": value}
	}
	return saw, nil
}

func answer(asked object) object {
	if asked["op"] == "start" {
		return object{"error": "ENGINE: start the workflow under this id"}
	}
	return object{"error": "ENGINE: status (pending, running, succeeded, failed, cancelled, missing) and saw"}
}

func say(what object) {
	line, _ := json.Marshal(what)
	fmt.Println(string(line))
}

func main() {
	_ = program
	say(object{"ready": true, "version": version})
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		select {} // ENGINE: start a worker on HYDRA_STORE before the line above, and work here.
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked object
		if json.Unmarshal(lines.Bytes(), &asked) == nil {
			told := answer(asked)
			told["id"] = asked["id"]
			say(told)
		}
	}
}
