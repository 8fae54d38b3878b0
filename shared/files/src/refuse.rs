//! What is no text that can be read: its lines would be so many bad records, where one word says what it is and what to do.

use crate::format::{self, Packing, is_parquet};
use crate::reject;
use memchr::memchr_iter;
use millrace_core::quarantine::Reject;

/// What a file is that is no text.
enum Is {
    Zip,
    Archive(&'static str),
    Packed(&'static str),
    /// And what to do with it.
    Binary(&'static str),
}

/// What is no text, by the bytes at a place.
/// <https://en.wikipedia.org/wiki/List_of_file_signatures>
const NO_TEXT: &[(usize, &[u8], Is)] = &[
    (0, b"PK\x03\x04", Is::Zip),
    (0, b"PK\x05\x06", Is::Zip),
    (257, b"ustar\0", Is::Archive("tar")),
    (257, b"ustar  \0", Is::Archive("tar")),
    (0, b"7z\xbc\xaf\x27\x1c", Is::Archive("7z")),
    (0, b"Rar!\x1a\x07", Is::Archive("RAR")),
    (4, b"1AY&SY", Is::Packed("bzip2")),
    (0, b"\xfd7zXZ\0", Is::Packed("xz")),
    (0, b"\x04\x22\x4d\x18", Is::Packed("lz4")),
    (0, b"\xff\x06\0\0sNaPpY", Is::Packed("snappy")),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Is::Binary("a file of an old Office: save it as CSV")),
    (0, b"ARROW1\0\0", Is::Binary("Arrow, or Feather, which is not read: save it as Parquet")),
    (0, b"Obj\x01", Is::Binary("Avro, which is not read: save it as Parquet or NDJSON")),
];

/// Refuses what is no text that can be read.
pub(crate) fn refuse(head: &[u8], packing: Packing) -> Result<(), Reject> {
    let inner = if is_parquet(head) { Some("Parquet") } else { format::packing(head).name() };
    if let (Some(outer), Some(inner)) = (packing.name(), inner) {
        return Err(reject("packed_twice", format!("it is {inner} within {outer}: undo the outer one")));
    }
    let begins =
        |(at, magic, _): &&(usize, &[u8], _)| head.get(*at..).is_some_and(|from| from.starts_with(magic));
    if let Some((.., is)) = NO_TEXT.iter().find(begins) {
        return Err(is.refused());
    }
    if is_utf16(head) {
        return Err(reject("utf16", "it is UTF-16, and only UTF-8 is read: save it as UTF-8"));
    }
    if let Some(controls) = controls(head) {
        let detail = format!(
            "it is binary, or a text that is not UTF-8: {controls} of its first {} bytes are in no text; save it as CSV, NDJSON or Parquet",
            head.len()
        );
        return Err(reject("binary", detail));
    }
    Ok(())
}

impl Is {
    fn refused(&self) -> Reject {
        match self {
            Self::Zip => reject(
                "zip",
                "it is a ZIP archive, or a spreadsheet, which is one: take it apart, or save it as CSV",
            ),
            Self::Archive(name) => {
                reject("archive", format!("it is a {name} archive: take it apart, and drop the files in it"))
            }
            Self::Packed(name) => reject(
                "packing",
                format!("it is compressed with {name}, which is not read: use gzip or zstd"),
            ),
            Self::Binary(what) => reject("binary", format!("it is {what}")),
        }
    }
}

/// Whether it has the byte order mark of UTF-16, or the NULs that Latin letters have in it: one beside each, on the same side.
fn is_utf16(head: &[u8]) -> bool {
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] = head {
        return true;
    }
    let nuls = memchr_iter(0, head).count();
    let odd = memchr_iter(0, head).filter(|at| at % 2 == 1).count();
    // Other texts may have a NUL or two. Of Latin letters alone they would be half of all bytes, and names in another script are
    // between them. A few letters, such as the U+0100, have theirs on the other side.
    nuls >= 4 && nuls >= head.len() / 3 && nuls.abs_diff(2 * odd) >= nuls * 9 / 10
}

/// How many bytes are in no text, where they are too many for one: of random bytes a tenth are, 28 of 256, and of a text next to
/// none. The limit lies between. A short text may have some all the same.
fn controls(head: &[u8]) -> Option<usize> {
    let is_control = |byte: &&u8| matches!(byte, 0..=8 | 14..=31 | 127);
    let controls = head.iter().filter(is_control).count();
    (controls >= 8 && controls > head.len() / 20).then_some(controls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[expect(clippy::needless_pass_by_value, reason = "that is how expect! is written")]
    fn check(head: impl AsRef<[u8]>, expected: Expect) {
        let told = refuse(head.as_ref(), Packing::Plain);
        expected.assert_eq(&told.map_or_else(|why| why.to_string(), |()| "a text".to_owned()));
    }

    #[test]
    fn what_is_no_text_is_refused_with_advice() {
        check(
            b"\xff\xfea\0,\0b\0",
            expect!["file: utf16: it is UTF-16, and only UTF-8 is read: save it as UTF-8"],
        );
        check(
            b"a\0,\0b\0\n\0",
            expect!["file: utf16: it is UTF-16, and only UTF-8 is read: save it as UTF-8"],
        );
        check(
            b"PK\x03\x04",
            expect![
                "file: zip: it is a ZIP archive, or a spreadsheet, which is one: take it apart, or save it as CSV"
            ],
        );
        let tar = [b"prices.csv".as_slice(), &[0; 247], b"ustar\x0000", &[0; 247], b"sku,name\n"].concat();
        check(tar, expect!["file: archive: it is a tar archive: take it apart, and drop the files in it"]);
        check(
            b"BZh91AY&SY\xb3\x12",
            expect!["file: packing: it is compressed with bzip2, which is not read: use gzip or zstd"],
        );
        check(
            b"ARROW1\0\0\xff\xff",
            expect!["file: binary: it is Arrow, or Feather, which is not read: save it as Parquet"],
        );
        let random: Vec<_> = (0_u32..4_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        check(
            random,
            expect![
                "file: binary: it is binary, or a text that is not UTF-8: 437 of its first 4000 bytes are in no text; save it as CSV, NDJSON or Parquet"
            ],
        );
        let letters = "\u{6771}\u{4eac},\u{5927}\u{962a}\n".repeat(40);
        check(
            letters.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
            expect![
                "file: binary: it is binary, or a text that is not UTF-8: 80 of its first 480 bytes are in no text; save it as CSV, NDJSON or Parquet"
            ],
        );
    }

    #[test]
    fn a_text_may_have_some_of_these_signs() {
        check("a,b\n1,\0\x01\n", expect!["a text"]);
        // Three NULs, and seven controls: one less than it takes.
        check("a\0b\0c\0", expect!["a text"]);
        check("\x01\x02\x03\x04\x05\x06\x07", expect!["a text"]);
        // Eight among 160, which is one in twenty.
        check(format!("{}{}", "\x01".repeat(8), "a".repeat(152)), expect!["a text"]);
    }

    #[test]
    fn a_utf16_text_may_have_letters_of_other_scripts() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        assert!(is_utf16(&utf16("name,\u{6771}\u{4eac}\n")));
        assert!(is_utf16(&utf16(&format!("\u{100}{}", "a".repeat(39)))), "whose NUL is on the other side");
        assert!(!is_utf16(&[0; 64]), "on both sides");
    }

    #[test]
    fn what_is_packed_twice_is_refused() {
        for (packing, inner, expected) in [
            (
                Packing::Gzip,
                &b"\x1f\x8b\x08\0"[..],
                "file: packed_twice: it is gzip within gzip: undo the outer one",
            ),
            (
                Packing::Zstd,
                b"\x1f\x8b\x08\0",
                "file: packed_twice: it is gzip within zstd: undo the outer one",
            ),
            (
                Packing::Gzip,
                b"\x28\xb5\x2f\xfd",
                "file: packed_twice: it is zstd within gzip: undo the outer one",
            ),
            (Packing::Gzip, b"PAR1", "file: packed_twice: it is Parquet within gzip: undo the outer one"),
        ] {
            assert_eq!(refuse(inner, packing).unwrap_err().to_string(), expected);
        }
    }
}
