# One verb per mode. The steps themselves are in .ci/run, so that what passes here passes there.

SHELL    := /bin/bash
FUZZTIME ?= 20s
TIME     ?= 5m
KILLS    ?= 0
BENCH    ?= .
COUNT    ?= 1
FILE     ?=

.PHONY: check test fuzz crash bench quickstart follow interop compat

check: ## formatting, vet, staticcheck, tests under the race detector
	@bash .ci/run format vet staticcheck race

test: ## the tests, as the README runs them
	@bash .ci/run tests

fuzz: ## every fuzz target for FUZZTIME
	@FUZZTIME=$(FUZZTIME) bash .ci/run fuzz

crash: ## the crash lab for TIME (or KILLS processes): prints kills, points, rows acked and lost
	@CRASHTIME=$(TIME) CRASHKILLS=$(KILLS) bash .ci/run crash

bench: ## benchmarks beside plain go-sqlite3; BENCH selects, COUNT repeats
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) -timeout=60m ./...

quickstart: ## the quickstart on FILE, or on a database that it makes
	go run ./examples/quickstart $(FILE)

follow: ## a primary and two replicas on this machine
	go run ./examples/follow

interop: ## our logs through the ltx tool and litestream
	@bash .ci/run interop

compat: ## tests that need heavier modules, such as GORM's
	@bash .ci/run compat
