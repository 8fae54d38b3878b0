//! `millrace decrypt`: the way back for `anonymize.encrypt`, for whoever holds the key.
//!
//! It shows what was encrypted: that is its purpose, for those who have been given the key. What it cannot read it
//! names by its place, never by what stands there.

use crate::error::Error;
use crate::input::{Input, Piece};
use crate::run::read_key;
use crate::{note, say};
use indicatif::ProgressBar;
use millrace_core::event::{Event, Id, New, NoPath, Pattern, Value};
use millrace_core::token::{NoText, TokenKey};
use millrace_files::Room;
use std::path::PathBuf;

/// Turn back what anonymize.encrypt has made
///
/// Each line is an encrypted text, k1:VH7N…, which becomes the JSON of its value,
/// or an event, in which encrypted texts become their values. Without --field
/// that is each text which one of the keys has made, and all else stays as it is.
/// With --field it is these fields, which must then be such texts, or missing or
/// null.
///
/// After a change of keys give the old one too: the id in front of a text says
/// which key it wants.
#[derive(clap::Args)]
#[expect(clippy::doc_markdown, reason = "clap prints it as it stands")]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The secret, {"id": "k1", "key": "…", "encryption_key": "…"}; may be given again
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// What to decrypt: texts or events, a line each, plain, gzip or zstd; `-` is stdin
    #[arg(long = "in", value_name = "FILE|-", default_value = "-")]
    input: PathBuf,
    /// A field of the events, such as `email` or `address.**`; may be given again
    #[arg(long, value_name = "FIELD", value_parser = pattern)]
    field: Vec<Pattern>,
}

fn pattern(text: &str) -> Result<Pattern, NoPath> {
    Pattern::try_from(text.to_owned())
}

pub(crate) fn decrypt(args: &Args) -> Result<(), Error> {
    let ring = Ring::read(&args.key)?;
    let mut input = Input::open(&args.input, &ProgressBar::hidden())?;
    let (mut event, mut ids, mut foreign) = (Event::default(), Vec::new(), 0_usize);
    while let Some(mut chunk) = input.chunk(Room::default())? {
        chunk.each(|piece| {
            if !piece.bytes.starts_with(b"{") {
                return say(&ring.line(&piece, &args.field)?);
            }
            if let Err(why) = piece.read(&mut event) {
                return Err(refuse(piece.number, &why.detail));
            }
            if args.field.is_empty() {
                let root = event.root();
                foreign += ring.all(&mut event, root);
            }
            for field in &args.field {
                event.find_all(field, &mut ids);
                for id in ids.drain(..) {
                    ring.field(&mut event, id)
                        .map_err(|why| refuse(piece.number, &format!("`{field}`: {}", ring.told(why))))?;
                }
            }
            say(&event.to_string())
        })?;
    }
    if foreign > 0 {
        let texts = if foreign == 1 { "1 text looks" } else { &format!("{foreign} texts look") };
        note(&format!(
            "{texts} encrypted and stayed: of another key than {}, or damaged; `--field` tells where",
            ring.names()
        ));
    }
    Ok(())
}

fn refuse(line: u64, why: &str) -> Error {
    Error::Refused(format!("line {line}: {why}"))
}

/// The keys at hand.
struct Ring(Vec<TokenKey>);

impl Ring {
    fn read(paths: &[PathBuf]) -> Result<Self, Error> {
        let mut keys: Vec<TokenKey> = Vec::new();
        for path in paths {
            let (key, path) = (read_key(path)?, path.display());
            if !key.encrypts() {
                let why =
                    format!("the secret in `{path}` has no `encryption_key`: nothing was encrypted with it");
                return Err(Error::Refused(why));
            }
            if keys.iter().any(|known| known.id() == key.id()) {
                let why = format!("the secret in `{path}` has the id `{}`, as one before it", key.id());
                return Err(Error::Refused(why));
            }
            keys.push(key);
        }
        Ok(Self(keys))
    }

    /// The ids of the keys, for people.
    fn names(&self) -> String {
        self.0.iter().map(|key| format!("`{}`", key.id())).collect::<Vec<_>>().join(", ")
    }

    fn told(&self, why: NoText) -> String {
        match why {
            NoText::OtherKey => {
                format!("{why} than {}: the id is what stands before the colon", self.names())
            }
            why => why.to_string(),
        }
    }

    fn open(&self, text: &str) -> Result<String, NoText> {
        let mut why = NoText::OtherKey;
        for key in &self.0 {
            match key.decrypt(text) {
                Err(NoText::OtherKey) => {}
                Err(other) => why = other,
                Ok(json) => return Ok(json),
            }
        }
        Err(why)
    }

    /// A line that is one text, perhaps in the quotes of JSON or CSV.
    fn line(&self, piece: &Piece<'_>, fields: &[Pattern]) -> Result<String, Error> {
        if let Some(flaw) = &piece.flaw {
            return Err(refuse(piece.number, &flaw.detail));
        }
        if !fields.is_empty() {
            return Err(refuse(piece.number, "it is no event, so it has no fields: leave `--field` out"));
        }
        let text =
            str::from_utf8(piece.bytes).map_err(|_| refuse(piece.number, &NoText::Shape.to_string()))?;
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        self.open(bare).map_err(|why| refuse(piece.number, &self.told(why)))
    }

    /// What was encrypted in one field. What is missing or null was null.
    fn field(&self, event: &mut Event, id: Id) -> Result<(), NoText> {
        let json = match event.value(id) {
            Value::Null => return Ok(()),
            Value::String(text) => self.open(text)?,
            _ => return Err(NoText::Shape),
        };
        event.set(id, New::Json(&json));
        Ok(())
    }

    /// All that was encrypted below this value. Counts what looks like it and stays.
    fn all(&self, event: &mut Event, id: Id) -> usize {
        let ids: Vec<_> = match event.value(id) {
            Value::Object(_) | Value::Array(_) => event.children(id).collect(),
            Value::String(text) => match self.open(text) {
                Ok(json) => {
                    event.set(id, New::Json(&json));
                    return 0;
                }
                Err(why) => return usize::from(why != NoText::Shape && !is_token(text)),
            },
            _ => return 0,
        };
        ids.into_iter().map(|id| self.all(event, id)).sum()
    }
}

/// Whether this is what `anonymize.hmac` makes. It has the same shape, and there is no way back from it.
fn is_token(text: &str) -> bool {
    let hex = text.split_once(':').map_or("", |(_, rest)| rest);
    hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
