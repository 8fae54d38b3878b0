//! Gzip and zstd undone, piece by piece.

use crate::format::Packing;
use crate::reject;
use flate2::write::MultiGzDecoder;
use millrace_core::quarantine::Reject;
use std::fmt;
use std::io::Write as _;
use zstd::stream::raw::{Decoder, InBuffer, Operation as _, OutBuffer};

/// How much a call writes at a time, bytes.
const STEP: usize = 128 << 10;

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
                Self::Zstd { decoder: Decoder::new().map_err(|_| damaged(packing))?, is_between: true }
            }
        })
    }

    /// Appends what these bytes unpack to: up to a thousand times their size.
    pub(crate) fn push(&mut self, packed: &[u8], out: &mut Vec<u8>) -> Result<(), Reject> {
        match self {
            Self::Plain => out.extend_from_slice(packed),
            Self::Gzip(decoder) => {
                let pushed = decoder.write_all(packed).and_then(|()| decoder.flush());
                pushed.map_err(|_| damaged(Packing::Gzip))?;
                out.append(decoder.get_mut());
            }
            Self::Zstd { decoder, is_between } => {
                let mut input = InBuffer::around(packed);
                loop {
                    if *is_between && input.pos() < packed.len() {
                        decoder.reinit().map_err(|_| damaged(Packing::Zstd))?;
                    }
                    out.reserve(STEP);
                    let (before, room) = (out.len(), out.capacity());
                    let mut output = OutBuffer::around_pos(out, before);
                    let hint = decoder.run(&mut input, &mut output).map_err(|_| damaged(Packing::Zstd))?;
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
                decoder.try_finish().map_err(|_| damaged(Packing::Gzip))?;
                out.append(decoder.get_mut());
            }
            Self::Zstd { .. } => return Err(damaged(Packing::Zstd)),
        }
        Ok(())
    }
}

fn damaged(packing: Packing) -> Reject {
    match packing {
        Packing::Gzip => reject("bad_gzip", "the gzip data is damaged or cut off"),
        Packing::Plain | Packing::Zstd => reject("bad_zstd", "the zstd data is damaged or cut off"),
    }
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
