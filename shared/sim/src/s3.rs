//! Buckets: S3.
//!
//! An object is there whole or not at all, and a put is over the one before it; who reads after a put sees it:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel>. A put whose answer is lost
//! has happened; a 503 asks to slow down: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use crate::account::Account;
use bytes::Bytes;
use millrace_core::port::{Browse, Error, ObjectStore, ReadObject};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// Its name.
    pub name: &'static str,
    account: Account,
    objects: RefCell<BTreeMap<String, Bytes>>,
    /// All that was ever put.
    taken: RefCell<Vec<(String, Bytes)>>,
}

impl Bucket {
    /// An empty bucket.
    #[must_use]
    pub fn new(account: &Account, name: &'static str) -> Rc<Self> {
        let (objects, taken) = Default::default();
        Rc::new(Self { name, account: account.clone(), objects, taken })
    }

    /// Has an object from now on, that somebody of no interest put.
    pub fn hold(&self, key: &str, body: Bytes) {
        self.objects.borrow_mut().insert(key.to_owned(), body);
    }

    /// The objects in it.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.objects.borrow().clone()
    }

    /// All that was ever put into it, in order, also what is gone or was written over.
    #[must_use]
    pub fn taken(&self) -> Vec<(String, Bytes)> {
        self.taken.borrow().clone()
    }
}

/// A client of a bucket.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Bucket>);

impl ObjectStore for Client {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let (bucket, key) = (Rc::clone(&self.0), key.to_owned());
        let effect = move |_| {
            bucket.account.tell(|| format!("  {}: put {key}", bucket.name));
            bucket.taken.borrow_mut().push((key.clone(), body.clone()));
            bucket.objects.borrow_mut().insert(key, body);
            Ok(())
        };
        self.0.account.call(self.0.name, effect).await
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let (bucket, key) = (Rc::clone(&self.0), key.to_owned());
        let effect = move |_| {
            bucket.account.tell(|| format!("  {}: delete {key}", bucket.name));
            bucket.objects.borrow_mut().remove(&key);
            Ok(())
        };
        self.0.account.call(self.0.name, effect).await
    }
}

impl Browse for Client {
    async fn keys(&self, begin: &str) -> Result<Vec<String>, Error> {
        let (bucket, begin) = (Rc::clone(&self.0), begin.to_owned());
        let effect = move |_| {
            let objects = bucket.objects.borrow();
            Ok(objects.keys().filter(|key| key.starts_with(&begin)).cloned().collect())
        };
        self.0.account.call(self.0.name, effect).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let (bucket, key) = (Rc::clone(&self.0), key.to_owned());
        self.0.account.call(self.0.name, move |_| Ok(bucket.objects.borrow().get(&key).cloned())).await
    }
}

impl ReadObject for Client {
    async fn read(&self, key: &str, etag: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        let (bucket, key, etag) = (Rc::clone(&self.0), key.to_owned(), etag.to_owned());
        let effect = move |_| {
            Ok(crate::part(bucket.objects.borrow().get(&key).map(AsRef::as_ref), &etag, from, bytes))
        };
        self.0.account.call(self.0.name, effect).await
    }
}
