//! What the Parquet library says when it panics is not heard; what other code says is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use bytes::Bytes;
use millrace_files::Room;
use millrace_files::table::Rows;
use parquet::data_type::ByteArrayType;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn heard() -> Vec<String> {
    std::mem::take(&mut *HEARD.lock().unwrap())
}

fn file() -> Vec<u8> {
    let schema = Arc::new(parse_message_type("message rows { required binary name (UTF8); }").unwrap());
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::default()).unwrap();
    let mut rows = writer.next_row_group().unwrap();
    let mut column = rows.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&["ann@example.com".into()], None, None).unwrap();
    column.close().unwrap();
    rows.close().unwrap();
    writer.close().unwrap();
    file
}

/// The process has one hook, so that this is one test.
#[test]
fn a_panic_of_the_library_is_not_heard_and_any_other_is() {
    panic::set_hook(Box::new(|why| HEARD.lock().unwrap().push(why.to_string())));
    let whole = file();
    let damaged = |at: usize, with: u8| {
        let mut bytes = whole.clone();
        bytes[at] ^= with;
        Bytes::from(bytes)
    };
    let all = || (0..whole.len()).flat_map(|at| [1, 0x55, 0x80].map(|with| damaged(at, with)));
    for bytes in all() {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            SerializedFileReader::new(bytes)
                .map(|file| file.get_row_iter(None).map(|rows| rows.take(2).count()).unwrap_or_default())
        }));
    }
    assert!(!heard().is_empty(), "the library panics at some of them");
    for bytes in all() {
        let _ = Rows::of(bytes, 0..1, 1).and_then(|mut rows| rows.chunk(&mut Room::default()));
    }
    assert_eq!(heard(), [""; 0]);
    let _ = catch_unwind(|| panic!("of another"));
    let _ = std::thread::spawn(|| panic!("of a thread")).join();
    assert_eq!(heard().len(), 2);
}
