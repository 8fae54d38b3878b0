//! The functions' log lines, kept by thread: a run has a thread for itself.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::Once;

thread_local! {
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to keep them.
pub(crate) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().json().without_time().with_writer(|| Lines);
        tracing::subscriber::set_global_default(lines.finish()).expect("nobody else keeps them");
    });
    LINES.with_borrow_mut(Vec::clear);
}

/// What was logged since then.
pub(crate) fn of_this_thread() -> Vec<u8> {
    LINES.with_borrow(Clone::clone)
}
