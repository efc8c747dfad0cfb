package translog

// BuildOptions says where a [Builder] keeps the bytes of its log.
type BuildOptions struct {
	// Dir is the folder for temporary files, "" is [os.TempDir].
	Dir string
	// MemoryBytes is how much is held in memory before the log moves to a file; 0 is
	// [DefaultMemoryBytes].
	MemoryBytes int
}

// Builder makes a [Log], page by page, in memory or in a temporary file without a name.
// It is not safe for concurrent use. It ends with Finish or Abort, one of which must be
// called.
type Builder struct {
	encoding encoding
	follows  Position
	spool    *spool
}

// NewBuilder begins a log. A specification that does not hold together is a
// [*FormatError].
func NewBuilder(spec Spec, options BuildOptions) (*Builder, error) {
	b := &Builder{follows: spec.follows(), spool: newSpool(options.Dir, options.MemoryBytes)}
	if err := b.encoding.begin(b.spool, spec, b.spool.folder()); err != nil {
		_ = b.spool.discard()
		return nil, err
	}
	return b, nil
}

// WritePage adds the next page, by the rules of [Encoder.WritePage].
func (b *Builder) WritePage(no PageNo, data []byte) error { return b.encoding.writePage(no, data) }

// Finish completes the log with the checksum of the whole database after it. The checksum
// is not compared with the pages here. A snapshot that lacks a page is a [*FormatError].
// After an error nothing is left of the log. The caller closes the log.
func (b *Builder) Finish(after Checksum) (*Log, error) {
	if _, err := b.encoding.finish(after); err != nil {
		_ = b.spool.discard()
		return nil, err
	}
	c, err := b.spool.finish()
	if err != nil {
		_ = b.spool.discard()
		return nil, err
	}
	return &Log{handle: newHandle(c), facts: b.encoding.facts, follows: b.follows}, nil
}

// Abort gives up, and leaves nothing. After Finish or Abort it does nothing.
func (b *Builder) Abort() {
	_ = b.encoding.fail(ErrClosed)
	_ = b.spool.discard()
}
