// Package crashpoint names the moments between two steps at which a crash leaves something
// of its own: see the crash states in the documentation of engine and checkpoint. The crash
// lab lets a process die at each of them. In an ordinary build a point is an empty function.
package crashpoint
