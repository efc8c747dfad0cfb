//go:build cgo

package engine

import (
	"strings"

	"github.com/mylibsql/mylibsql/engine/internal/sqlite"
)

// Class is what a statement's text may do to the main database.
type Class uint8

// The classes of statements.
const (
	// Read changes nothing and cannot end a transaction.
	Read Class = iota
	// Control opens or ends a transaction or savepoint without writing.
	Control
	// Write may change the database, or is BEGIN IMMEDIATE: it needs the write gate.
	Write
	// Several is a text of several statements, of which one may write.
	Several
	// Checkpoint is PRAGMA wal_checkpoint, which the engine answers.
	Checkpoint
	// Attach adds a database to the connection: what came is looked at afterwards.
	Attach
	// Broken does not compile. Running it reports why; should it compile by then, what it
	// does is looked at, without the gate.
	Broken
)

// classCacheEntries bounds the answers that a connection remembers.
const classCacheEntries = 256

// Classify tells what a text may do. The words that can only read or only write are
// recognised here; for everything else SQLite is asked, by preparing the statement. Only
// answers that cannot change are remembered.
func (s *Session) Classify(text string) Class {
	if text == s.lastText {
		return s.lastClass // the same constant in a loop: compared by its address
	}
	class, stable := classifyWords(text)
	if !stable {
		class, stable = s.recall(text)
	}
	if stable {
		s.lastText, s.lastClass = text, class
	}
	return class
}

// classifyWords knows the statements that need no asking; stable is false for the others.
func classifyWords(text string) (class Class, stable bool) {
	if !isSingle(text) {
		return Several, false
	}
	word, rest := firstWord(text)
	switch word {
	case "select", "values":
		return Read, !mentionsOptimize(text)
	case "insert", "update", "delete", "replace", "reindex":
		return Write, true
	case "commit", "end", "rollback", "savepoint", "release":
		return Control, true
	case "begin":
		if kind, _ := firstWord(rest); kind == "immediate" || kind == "exclusive" {
			return Write, true
		}
		return Control, true
	}
	return Several, false
}

func (s *Session) recall(text string) (class Class, stable bool) {
	if class, ok := s.classes[text]; ok {
		return class, true
	}
	class, stable = s.ask(text)
	if stable {
		if len(s.classes) >= classCacheEntries {
			clear(s.classes)
		}
		s.classes[text] = class
	}
	return class, stable
}

func (s *Session) ask(text string) (class Class, stable bool) {
	a := s.handle.Ask(text)
	if rest := text[min(a.Tail, len(text)):]; !a.Failed && !isBlank(rest) {
		if reads, compiles := s.onlyReads(text); reads && compiles {
			return Control, false
		}
		return Several, false
	}
	switch {
	case a.Failed:
		return Broken, false
	case a.Checkpoint:
		return Checkpoint, false
	case a.Attach:
		return Attach, false
	case a.Optimize:
		return Write, true
	case a.Pragma != "":
		class := pragmaClass(a)
		if word, _ := firstWord(text); class == Read && !a.Readonly && word != "pragma" {
			// Not this statement is the pragma: a virtual table that it uses for the
			// first time on this connection ran one.
			class = Write
		}
		return class, false
	case a.Reindex:
		return Write, false
	case !a.Readonly:
		return Write, true
	case a.Control:
		return Control, false
	}
	return Read, true
}

// connectionPragmas only change the connection, or only read, whatever they are given.
// Every other pragma that is given a value, or that acts without one, counts as a write.
// https://www.sqlite.org/pragma.html
var connectionPragmas = map[string]bool{
	"analysis_limit": true, "automatic_index": true, "busy_timeout": true,
	"cache_size": true, "cache_spill": true, "case_sensitive_like": true,
	"cell_size_check": true, "checkpoint_fullfsync": true, "collation_list": true,
	"compile_options": true, "data_version": true, "database_list": true,
	"defer_foreign_keys": true, "foreign_key_check": true, "foreign_key_list": true,
	"foreign_keys": true, "freelist_count": true, "fullfsync": true,
	"function_list": true, "hard_heap_limit": true, "ignore_check_constraints": true,
	"index_info": true, "index_list": true, "index_xinfo": true,
	"integrity_check": true, "journal_size_limit": true, "legacy_alter_table": true,
	"mmap_size": true, "module_list": true, "pragma_list": true, "query_only": true,
	"quick_check": true, "read_uncommitted": true, "recursive_triggers": true,
	"reverse_unordered_selects": true, "secure_delete": true, "shrink_memory": true,
	"soft_heap_limit": true, "synchronous": true, "table_info": true,
	"table_list": true, "table_xinfo": true, "temp_store": true, "threads": true,
	"trusted_schema": true, "wal_autocheckpoint": true, "writable_schema": true,
}

// readingPragmas read when they are given no value.
var readingPragmas = map[string]bool{
	"application_id": true, "auto_vacuum": true, "encoding": true,
	"journal_mode": true, "locking_mode": true, "max_page_count": true,
	"page_count": true, "page_size": true, "schema_version": true,
	"user_version": true, "default_cache_size": true,
}

func pragmaClass(a sqlite.Answer) Class {
	name := strings.ToLower(a.Pragma)
	if connectionPragmas[name] || !a.PragmaValue && readingPragmas[name] {
		return Read
	}
	return Write
}

// MentionsReturning reports whether a text may return rows of what it writes. Such a statement
// commits, or fails to, only when it is ended behind its last row.
func MentionsReturning(text string) bool { return mentions(text, "returning") }

// mentionsOptimize reports whether a query may call the two things that write although
// SQLite calls the statement read-only: the table-valued function pragma_optimize, and
// FTS3's optimize().
func mentionsOptimize(text string) bool {
	if strings.IndexByte(text, 'z') < 0 && strings.IndexByte(text, 'Z') < 0 {
		return false
	}
	return mentions(text, "optimize")
}

// mentions reports whether a word in lower case is in a text, in any case.
func mentions(text, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// isSingle reports whether a text is surely one statement: no semicolon but at its end. A
// semicolon in a literal makes it ask SQLite, which is right too.
func isSingle(text string) bool {
	i := strings.IndexByte(text, ';')
	return i < 0 || isBlank(text[i+1:])
}

// isBlank reports whether there is nothing but white space, comments and semicolons.
func isBlank(text string) bool {
	for text != "" {
		rest := strings.TrimLeft(skipSpace(text), ";")
		if len(rest) == len(text) {
			return false
		}
		text = rest
	}
	return true
}

// firstWord returns the first word in lower case, behind white space and comments, and
// what follows it.
func firstWord(text string) (word, rest string) {
	text = skipSpace(text)
	n := 0
	for n < len(text) && isLetter(text[n]) {
		n++
	}
	return lower(text[:n]), text[n:]
}

func skipSpace(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\r\n\f")
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*"):
			_, text, _ = strings.Cut(text[2:], "*/")
		default:
			return text
		}
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// knownWords are the words that Classify looks for.
var knownWords = [...]string{
	"select", "values", "insert", "update", "delete", "replace", "pragma", "begin", "commit",
	"end", "rollback", "savepoint", "release", "immediate", "exclusive",
	"reindex",
}

// lower returns a known word in lower case, and an empty string for any other one. It
// allocates nothing.
func lower(word string) string {
	for _, known := range knownWords {
		if len(word) == len(known) && strings.EqualFold(word, known) {
			return known
		}
	}
	return ""
}
