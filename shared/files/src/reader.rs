//! A file, or a stretch of it, from its bytes to its chunks.

use crate::cut::{CHUNK, Chunk, Cutter, Mark, Room};
use crate::format::{self, Format, HEAD, Packing};
use crate::unpack::Unpack;
use millrace_core::quarantine::Reject;

/// How much is unpacked at a time, bytes: it may become a thousand times as much.
const PACKED: usize = 8 << 10;

/// Reads a file whose bytes are pushed in. Not Parquet, whose bytes are not in the order of its rows: see
/// [`table`](crate::table).
#[derive(Debug)]
pub struct Reader {
    /// The file's name, which decides where the content does not.
    name: String,
    unpack: Option<Unpack>,
    /// What comes before it is known what to do with it: the first bytes, then the first text.
    head: Vec<u8>,
    packing: Packing,
    format: Option<Format>,
    cutter: Option<Cutter>,
    /// So many bytes of the text come before the stretch.
    skip: u64,
    ended: bool,
}

impl Reader {
    /// A file from its beginning, of which nothing is known.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            unpack: None,
            head: Vec::new(),
            packing: Packing::Plain,
            format: None,
            cutter: None,
            skip: 0,
            ended: false,
        }
    }

    /// A file of this format from a mark on. The bytes are pushed from there on where it is plain, else from its beginning.
    pub fn from(format: &Format, mark: Mark) -> Result<Self, Reject> {
        let skip = if format.packing == Packing::Plain { 0 } else { mark.at };
        Ok(Self {
            unpack: Some(Unpack::new(format.packing)?),
            packing: format.packing,
            format: Some(format.clone()),
            cutter: Some(Cutter::new(&format.shape, mark)),
            skip,
            ..Self::new("")
        })
    }

    /// What the file is, once that is known.
    #[must_use]
    pub fn format(&self) -> Option<&Format> {
        self.format.as_ref()
    }

    /// Takes some of the bytes that come next, and says how many. To be called when there is no chunk.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, Reject> {
        let most = match &self.unpack {
            Some(Unpack::Plain) => CHUNK,
            Some(_) => PACKED,
            None => 4_usize.saturating_sub(self.head.len()),
        };
        let taken = bytes.get(..most).unwrap_or(bytes);
        let Some(unpack) = &mut self.unpack else {
            self.head.extend_from_slice(taken);
            if self.head.len() >= 4 {
                self.begin()?;
            }
            return Ok(taken.len());
        };
        let Some(cutter) = &mut self.cutter else {
            unpack.push(taken, &mut self.head)?;
            if self.head.len() >= HEAD {
                self.inspect()?;
            }
            return Ok(taken.len());
        };
        let text = cutter.text()?;
        unpack.push(taken, text)?;
        if self.skip > 0 {
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(text.len());
            text.drain(..skipped);
            self.skip -= skipped as u64;
        }
        Ok(taken.len())
    }

    /// Says that there are no more bytes in the file.
    pub fn end(&mut self) -> Result<(), Reject> {
        self.stop(true)
    }

    /// Says that the stretch ends here.
    pub fn end_stretch(&mut self) -> Result<(), Reject> {
        self.stop(false)
    }

    fn stop(&mut self, is_whole: bool) -> Result<(), Reject> {
        if self.ended {
            return Ok(());
        }
        if self.unpack.is_none() {
            self.begin()?;
        }
        self.ended = true;
        let text = self.cutter.as_mut().map_or(Ok(&mut self.head), Cutter::text)?;
        if let Some(unpack) = &mut self.unpack {
            unpack.end(text)?;
        }
        if self.cutter.is_none() {
            self.inspect()?;
        }
        if let Some(cutter) = &mut self.cutter {
            cutter.end(is_whole)?;
        }
        Ok(())
    }

    /// The next chunk, in the room that is given; none where more bytes have to be pushed first, or it is at its end.
    pub fn chunk(&mut self, room: &mut Room) -> Option<Chunk> {
        self.cutter.as_mut()?.chunk(room)
    }

    /// The first bytes are there.
    fn begin(&mut self) -> Result<(), Reject> {
        let magic = std::mem::take(&mut self.head);
        self.packing = format::packing(&magic);
        let mut unpack = Unpack::new(self.packing)?;
        unpack.push(&magic, &mut self.head)?;
        self.unpack = Some(unpack);
        Ok(())
    }

    /// The first text is there.
    fn inspect(&mut self) -> Result<(), Reject> {
        let (shape, begin) = format::shape(&self.head, self.packing, self.ended, &self.name)?;
        let mut cutter = Cutter::new(&shape, begin);
        let text = std::mem::take(&mut self.head);
        let first = usize::try_from(begin.at).unwrap_or(usize::MAX);
        cutter.text()?.extend_from_slice(text.get(first..).unwrap_or_default());
        self.cutter = Some(cutter);
        self.format = Some(Format { packing: self.packing, shape, begin });
        Ok(())
    }
}
