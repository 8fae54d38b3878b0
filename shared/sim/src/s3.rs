//! Buckets: S3.
//!
//! An object is there whole or not at all, and a put is over the one before it; who reads after a put sees it:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel>. A put whose answer is lost
//! has happened; a 503 asks to slow down: <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use crate::account::Account;
use bytes::Bytes;
use millrace_core::port::{Error, ObjectStore, ReadObject};
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
}

impl Bucket {
    /// An empty bucket.
    #[must_use]
    pub fn new(account: &Account, name: &'static str) -> Rc<Self> {
        Rc::new(Self { name, account: account.clone(), objects: RefCell::default() })
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
}

/// A client of a bucket.
#[derive(Debug, Clone)]
pub struct Client(pub Rc<Bucket>);

impl ObjectStore for Client {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let (bucket, key) = (Rc::clone(&self.0), key.to_owned());
        let effect = move |_| {
            bucket.account.tell(|| format!("  {}: put {key}", bucket.name));
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

impl ReadObject for Client {
    async fn read(&self, key: &str, etag: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        let (bucket, key, etag) = (Rc::clone(&self.0), key.to_owned(), etag.to_owned());
        let effect = move |_| {
            Ok(crate::part(bucket.objects.borrow().get(&key).map(AsRef::as_ref), &etag, from, bytes))
        };
        self.0.account.call(self.0.name, effect).await
    }
}
