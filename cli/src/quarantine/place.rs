//! Where a quarantine is: a directory, or a bucket.

use crate::cloud::{self, Bucket};
use crate::error::Error;
use bytes::Bytes;
use millrace_core::port::{self, Browse, ObjectStore};
use std::path::{Path, PathBuf};
use std::{fs, io};

pub(super) enum Place {
    Dir(PathBuf),
    Bucket(Bucket),
}

impl Place {
    pub(super) fn open(place: &str) -> Result<Self, Error> {
        match place.strip_prefix("s3://") {
            Some(bucket) => cloud::bucket(bucket.trim_end_matches('/')).map(Self::Bucket),
            None => Ok(Self::Dir(PathBuf::from(place))),
        }
    }
}

impl Browse for Place {
    /// A directory may be any part of a bucket: all that lies there, whatever it begins with.
    async fn keys(&self, begin: &str) -> Result<Vec<String>, port::Error> {
        match self {
            Self::Dir(dir) => {
                let mut keys = Vec::new();
                walk(dir, dir, &mut keys)?;
                Ok(keys)
            }
            Self::Bucket(bucket) => bucket.keys(begin).await,
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, port::Error> {
        match self {
            Self::Dir(dir) => {
                let path = dir.join(key);
                match fs::read(&path) {
                    Ok(body) => Ok(Some(body.into())),
                    Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(why) => Err(Error::port("cannot read", &path)(why)),
                }
            }
            Self::Bucket(bucket) => bucket.get(key).await,
        }
    }
}

impl ObjectStore for Place {
    /// Whole, or not at all.
    async fn put(&self, key: &str, body: Bytes) -> Result<(), port::Error> {
        match self {
            Self::Dir(dir) => {
                let (path, new) = (dir.join(key), dir.join(format!("{key}.new")));
                fs::write(&new, body).map_err(Error::port("cannot write", &new))?;
                fs::rename(&new, &path).map_err(Error::port("cannot write", &path))
            }
            Self::Bucket(bucket) => bucket.put(key, body).await,
        }
    }

    async fn delete(&self, key: &str) -> Result<(), port::Error> {
        match self {
            Self::Dir(dir) => {
                let path = dir.join(key);
                match fs::remove_file(&path) {
                    Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
                    deleted => deleted.map_err(Error::port("cannot delete", &path)),
                }
            }
            Self::Bucket(bucket) => bucket.delete(key).await,
        }
    }
}

fn walk(root: &Path, dir: &Path, keys: &mut Vec<String>) -> Result<(), port::Error> {
    let tried = "cannot read the directory";
    for entry in fs::read_dir(dir).map_err(Error::port(tried, dir))? {
        let path = entry.map_err(Error::port(tried, dir))?.path();
        if path.is_dir() {
            walk(root, &path, keys)?;
        } else if let Some(key) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            keys.push(key.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_deleted_already() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("page"), "").unwrap();
        let place = Place::open(dir.path().to_str().unwrap()).unwrap();
        for _ in 0..2 {
            cloud::run(async { Ok(place.delete("page").await?) }).unwrap();
            assert!(!dir.path().join("page").exists());
        }
        // What cannot be deleted is there.
        fs::create_dir(dir.path().join("page")).unwrap();
        cloud::run(async { Ok(place.delete("page").await?) }).unwrap_err();
    }
}
