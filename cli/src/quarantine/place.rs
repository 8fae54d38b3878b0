//! Where a quarantine is: a directory, or a bucket.

use crate::cloud::Bucket;
use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) enum Place {
    Dir(PathBuf),
    Bucket(Bucket),
}

impl Place {
    pub(super) fn open(place: &str) -> Result<Self, Error> {
        match place.strip_prefix("s3://") {
            Some(bucket) => Bucket::open(bucket.trim_end_matches('/')).map(Self::Bucket),
            None => Ok(Self::Dir(PathBuf::from(place))),
        }
    }

    /// The objects, in the order of their keys.
    pub(super) fn list(&self, date: Option<&str>) -> Result<Vec<String>, Error> {
        let mut keys = match self {
            Self::Dir(dir) => {
                let mut keys = Vec::new();
                walk(dir, dir, &mut keys)?;
                keys
            }
            Self::Bucket(bucket) => bucket.list("quarantine/")?,
        };
        let of_day = |key: &String| date.is_none_or(|date| key.contains(&format!("date={date}/")));
        keys.retain(|key| key.ends_with(".ndjson.gz") && of_day(key));
        keys.sort();
        Ok(keys)
    }

    pub(super) fn read(&self, key: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Dir(dir) => {
                let path = dir.join(key);
                fs::read(&path).map_err(Error::io("cannot read", &path))
            }
            Self::Bucket(bucket) => bucket.get(key),
        }
    }

    /// Replaces an object, whole or not at all.
    pub(super) fn write(&self, key: &str, body: Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Dir(dir) => {
                let (path, new) = (dir.join(key), dir.join(format!("{key}.new")));
                fs::write(&new, body).map_err(Error::io("cannot write", &new))?;
                fs::rename(&new, &path).map_err(Error::io("cannot write", &path))
            }
            Self::Bucket(bucket) => bucket.put(key, body),
        }
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), Error> {
        match self {
            Self::Dir(dir) => {
                let path = dir.join(key);
                fs::remove_file(&path).map_err(Error::io("cannot delete", &path))
            }
            Self::Bucket(bucket) => bucket.delete(key),
        }
    }
}

fn walk(root: &Path, dir: &Path, keys: &mut Vec<String>) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("cannot read the directory", dir))? {
        let path = entry.map_err(Error::io("cannot read the directory", dir))?.path();
        if path.is_dir() {
            walk(root, &path, keys)?;
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            keys.push(key.to_owned());
        }
    }
    Ok(())
}
