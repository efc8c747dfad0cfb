// Package compat holds the tests of this driver below libraries that the main module does
// not depend on: GORM, and the tracing wrapper otelsql. It has no code of its own.
package compat
