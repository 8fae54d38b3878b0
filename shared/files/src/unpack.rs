//! Gzip and zstd undone, piece by piece.

use crate::format::Packing;
use crate::reject;
use flate2::write::MultiGzDecoder;
use millrace_core::quarantine::Reject;
use std::io::Write as _;
use std::{fmt, io};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

/// How much a call writes at a time, bytes.
const STEP: usize = 128 << 10;

/// The largest window of zstd, as a power of two: 128 MiB, which is `zstd --long`. A file may ask for 2 GiB of memory in its
/// first six bytes. It is what zstd takes by itself, too; said here because the memory of the Lambda counts on it.
/// <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1.1.2>
const WINDOW_LOG_MAX: u32 = 27;

/// What undoes the packing of one file.
pub(crate) enum Unpack {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd {
        decoder: Decoder<'static>,
        /// Whether it stands between two frames, where a file may end.
        is_between: bool,
    },
}

impl Unpack {
    pub(crate) fn new(packing: Packing) -> Result<Self, Reject> {
        Ok(match packing {
            Packing::Plain => Self::Plain,
            Packing::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Packing::Zstd => {
                let mut decoder = Decoder::new().map_err(|why| bad_zstd(&why))?;
                let limit = DParameter::WindowLogMax(WINDOW_LOG_MAX);
                decoder.set_parameter(limit).map_err(|why| bad_zstd(&why))?;
                Self::Zstd { decoder, is_between: true }
            }
        })
    }

    /// Appends what these bytes unpack to: up to a thousand times their size.
    pub(crate) fn push(&mut self, packed: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        match self {
            Self::Plain => out.extend_from_slice(packed),
            Self::Gzip(decoder) => {
                let pushed = decoder.write_all(packed).and_then(|()| decoder.flush());
                pushed.map_err(|_| bad_gzip())?;
                out.append(decoder.get_mut());
            }
            Self::Zstd { decoder, is_between } => {
                let mut input = InBuffer::around(packed);
                loop {
                    if *is_between && input.pos() < packed.len() {
                        decoder.reinit().map_err(|why| bad_zstd(&why))?;
                    }
                    out.reserve(STEP);
                    let (before, room) = (out.len(), out.capacity());
                    let mut output = OutBuffer::around_pos(out, before);
                    let hint = decoder.run(&mut input, &mut output).map_err(|why| bad_zstd(&why))?;
                    // A full buffer says that there may be more within.
                    let is_full = output.pos() == room;
                    *is_between = hint == 0;
                    if input.pos() == packed.len() && !is_full {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Says that the file ends here.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Reject> {
        match self {
            Self::Plain | Self::Zstd { is_between: true, .. } => {}
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(|_| bad_gzip())?;
                out.append(decoder.get_mut());
            }
            Self::Zstd { .. } => return Err(bad_zstd(&io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(())
    }
}

fn bad_gzip() -> Reject {
    reject("bad_gzip", "the gzip data is damaged or cut off")
}

fn bad_zstd(why: &io::Error) -> Reject {
    // The library tells its errors apart by their texts alone: this is `ZSTD_error_frameParameter_windowTooLarge`.
    if why.to_string().contains("too much memory") {
        let mib = 1_u32 << (WINDOW_LOG_MAX - 20);
        let detail =
            format!("it takes a window of more than {mib} MiB to unpack it: compress it without `--long`");
        return reject("too_large", detail);
    }
    reject("bad_zstd", "the zstd data is damaged or cut off")
}

impl fmt::Debug for Unpack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd { .. } => "Zstd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a frame of `{}` unpacks to whose window is two to this power.
    fn unpacked(window_log: u8) -> Result<Vec<u8>, Reject> {
        let mut unpack = Unpack::new(Packing::Zstd)?;
        let mut text = Vec::new();
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3, 0x11, 0, 0, b'{', b'}'];
        unpack.push(&frame, &mut text)?;
        unpack.end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_small_file_does_not_take_2_gib_of_memory() {
        assert_eq!(unpacked(27).unwrap(), b"{}");
        for window_log in [28, 31] {
            let why = unpacked(window_log).unwrap_err();
            assert_eq!(why.reason, "too_large");
            assert!(why.detail.contains("128 MiB"), "{why}");
        }
    }
}
