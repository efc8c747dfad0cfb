module github.com/mylibsql/mylibsql

go 1.26.0

require (
	github.com/jmoiron/sqlx v1.4.0
	github.com/mattn/go-sqlite3 v1.14.53
	github.com/stretchr/testify v1.12.1
	github.com/superfly/ltx v0.5.3
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/pierrec/lz4/v4 v4.1.23 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
