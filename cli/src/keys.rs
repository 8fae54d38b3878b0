//! `millrace keys`: the write keys of a stack.

use crate::cloud::Keys;
use crate::error::Error;
use crate::run::{now, random};
use crate::{note, say};
use millrace_core::port::WriteKey;
use millrace_core::tenant;
use millrace_core::time::Micros;
use millrace_core::write_key::{self, Listed};
use std::num::NonZeroU64;

/// Make, list and revoke write keys
///
/// They are in a table of the stack, the output `KeysTable`, where it was
/// deployed with Access=keys. The table has their hashes alone: a key is shown
/// once, when it is made. Wants a build with `--features aws`, and credentials
/// as `millrace quarantine` does.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a key, and print it: it cannot be had again
    Create(Create),
    /// List the keys: the first digits of their hashes, whose they are, and what holds for them
    Ls(Which),
    /// End a key: within a minute nobody comes in with it
    Revoke(Revoke),
}

#[derive(clap::Args)]
struct Which {
    /// The name of the table
    #[arg(long, value_name = "NAME")]
    table: String,
}

#[derive(clap::Args)]
struct Create {
    #[command(flatten)]
    which: Which,
    /// Whose the events are that come with it: letters, digits, `_`, `-` and dots
    #[arg(long, value_name = "NAME", value_parser = tenant_name)]
    tenant: String,
    /// How many events may come with it in a minute [default: any number]
    #[arg(long, value_name = "EVENTS")]
    quota: Option<NonZeroU64>,
    /// For how many days it is good [default: for ever]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// What people are to know of it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(clap::Args)]
struct Revoke {
    #[command(flatten)]
    which: Which,
    /// The key, as `ls` shows it
    #[arg(value_name = "ID")]
    id: String,
}

/// So many digits of a hash are shown: enough to tell keys apart.
const ID_DIGITS: usize = 12;

const DAY_MS: i64 = 24 * 3_600_000;

fn tenant_name(text: &str) -> Result<String, String> {
    let why = "a tenant has 1 to 128 letters, digits, `_`, `-` and dots, and is not called `none`";
    if tenant::is_name(text) { Ok(text.to_owned()) } else { Err(why.to_owned()) }
}

pub(crate) fn keys(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::Create(args) => create(args),
        Command::Ls(which) => ls(&Keys::open(&which.table)?),
        Command::Revoke(args) => revoke(&Keys::open(&args.which.table)?, &args.id),
    }
}

fn create(args: &Create) -> Result<(), Error> {
    let table = Keys::open(&args.which.table)?;
    let text = write_key::text(&random()?);
    let hash = write_key::hash(&text).unwrap_or_default(); // a key has the form of one
    let expires_at = args.days.map(|days| now().plus_ms(DAY_MS * i64::from(days)));
    let key = WriteKey {
        tenant: args.tenant.clone(),
        enabled: true,
        expires_at,
        quota: args.quota.map(NonZeroU64::get),
    };
    let listed = Listed { hash, key, created_at: now(), note: args.note.clone() };
    table.add(&listed)?;
    note(&format!("the key {}, which is shown this once:", id(&listed.hash)));
    say(&text)
}

fn ls(table: &Keys) -> Result<(), Error> {
    let mut keys = table.list()?;
    keys.sort_by(|a, b| (&a.key.tenant, a.created_at).cmp(&(&b.key.tenant, b.created_at)));
    let width = keys.iter().map(|listed| listed.key.tenant.len()).max().unwrap_or_default();
    for listed in &keys {
        let Listed { key, created_at, note, .. } = listed;
        let state = if !key.enabled {
            "revoked"
        } else if key.expires_at.is_some_and(|at| at <= now()) {
            "expired"
        } else {
            "good"
        };
        let quota = key.quota.map_or_else(|| "any number".to_owned(), |quota| format!("{quota} a minute"));
        let expires = key.expires_at.map_or_else(|| "never".to_owned(), Micros::date);
        let line = format!(
            "{}  {:width$}  {state:7}  {quota:>16}  made {}  ends {expires:10}  {}",
            id(&listed.hash),
            key.tenant,
            created_at.date(),
            note.as_deref().unwrap_or_default()
        );
        say(line.trim_end())?;
    }
    Ok(())
}

fn revoke(table: &Keys, id: &str) -> Result<(), Error> {
    let keys = table.list()?;
    match only(&keys, id)? {
        Listed { key, .. } if !key.enabled => note("it was revoked before"),
        listed => table.revoke(&listed.hash)?,
    }
    Ok(())
}

/// The only key whose hash begins so.
fn only<'k>(keys: &'k [Listed], id: &str) -> Result<&'k Listed, Error> {
    let mut found = keys.iter().filter(|listed| id.len() >= 8 && listed.hash.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => {
            Err(Error::Refused("there is no such key: `millrace keys ls` shows what to call them".to_owned()))
        }
        (Some(_), Some(_)) => Err(Error::Refused("more than one key begins so: give more digits".to_owned())),
    }
}

fn id(hash: &str) -> &str {
    hash.get(..ID_DIGITS).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_by_the_beginning_of_its_hash_if_no_other_begins_so() {
        let listed = |hash: &str| Listed {
            hash: hash.into(),
            key: WriteKey { tenant: "acme".into(), enabled: true, expires_at: None, quota: None },
            created_at: Micros::EPOCH,
            note: None,
        };
        let keys = [listed("0123456789abcdef"), listed("0123456789abffff"), listed("ffff456789abcdef")];
        let told = |id| only(&keys, id).map_or_else(|why| why.to_string(), |listed| listed.hash.clone());
        assert_eq!(told("ffff456789ab"), "ffff456789abcdef");
        assert_eq!(told("0123456789abc"), "0123456789abcdef");
        assert!(told("0123456789ab").starts_with("more than one"));
        for id in ["", "ffff", "aaaaaaaaaaaa"] {
            assert!(told(id).starts_with("there is no such key"), "{id}");
        }
    }
}
