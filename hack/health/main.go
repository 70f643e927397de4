// Runs the tests of Argo CD health scripts: every health_test.yaml below the folder that is named,
// with the same Lua as Argo CD.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	lua "github.com/yuin/gopher-lua"
	"gopkg.in/yaml.v3"
)

type health struct {
	Status  string `yaml:"status"`
	Message string `yaml:"message"`
}

type suite struct {
	Tests []struct {
		HealthStatus health `yaml:"healthStatus"`
		InputPath    string `yaml:"inputPath"`
	} `yaml:"tests"`
}

func main() {
	count, failed := 0, 0
	err := filepath.WalkDir(os.Args[1], func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "health_test.yaml" {
			return err
		}
		var tests suite
		if err := read(path, &tests); err != nil {
			return err
		}
		for _, test := range tests.Tests {
			input := filepath.Join(filepath.Dir(path), test.InputPath)
			found, err := run(filepath.Join(filepath.Dir(path), "health.lua"), input)
			if err != nil {
				return fmt.Errorf("%s: %w", input, err)
			}
			count++
			if found != test.HealthStatus {
				failed++
				fmt.Printf("%s: %+v, expected %+v\n", input, found, test.HealthStatus)
			}
		}
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Printf("health scripts: %d tests, %d failed\n", count, failed)
	if failed > 0 || count == 0 {
		os.Exit(1)
	}
}

func run(script, input string) (health, error) {
	var object any
	if err := read(input, &object); err != nil {
		return health{}, err
	}
	// No os and io, as in Argo CD.
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	lua.OpenBase(state)
	state.SetGlobal("obj", value(state, object))
	if err := state.DoFile(script); err != nil {
		return health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("the script gives no table")
	}
	text := func(key string) string { return lua.LVAsString(table.RawGetString(key)) }
	return health{Status: text("status"), Message: text("message")}, nil
}

func value(state *lua.LState, from interface{}) lua.LValue {
	switch from := from.(type) {
	case map[string]interface{}:
		table := state.NewTable()
		for key, field := range from {
			table.RawSetString(key, value(state, field))
		}
		return table
	case []interface{}:
		table := state.NewTable()
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(from)
	case bool:
		return lua.LBool(from)
	case int:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	}
	return lua.LNil
}

func read(path string, into any) error {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(bytes, into)
}
