// Package engine runs one open database.
package engine
