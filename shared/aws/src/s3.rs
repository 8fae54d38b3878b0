//! An S3 bucket to put objects to, delete them from, and read them from.

use crate::failed;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_types::SdkConfig;
use bytes::Bytes;
#[cfg(feature = "redrive")]
use millrace_core::port::Browse;
use millrace_core::port::{Error, Kind, ObjectStore, ReadObject};

/// A bucket, by name.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// The bucket of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        Self { client: Client::new(config), name }
    }
}

#[cfg(feature = "redrive")]
impl Browse for Bucket {
    async fn keys(&self, begin: &str) -> Result<Vec<String>, Error> {
        let what = || format!("list the objects {begin}… of the bucket {}", self.name);
        let (mut keys, mut token) = (Vec::new(), None);
        loop {
            let call = self.client.list_objects_v2().bucket(&self.name).prefix(begin);
            let answer = Box::pin(call.set_continuation_token(token).send()).await;
            let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
            keys.extend(answer.contents().iter().filter_map(|object| object.key()).map(str::to_owned));
            token = answer.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, Error> {
        let what = || format!("get the object {key} of the bucket {}", self.name);
        let answer = Box::pin(self.client.get_object().bucket(&self.name).key(key).send()).await;
        let answer = match answer.map_err(SdkError::into_service_error) {
            Ok(answer) => answer,
            Err(why) if why.is_no_such_key() => return Ok(None),
            Err(why) => return Err(failed(what(), why)),
        };
        let body = answer.body.collect().await;
        body.map(|body| Some(body.into_bytes())).map_err(|why| Error {
            what: what(),
            kind: Kind::Transient,
            source: Some(Box::new(why)),
        })
    }
}

impl ObjectStore for Bucket {
    async fn put(&self, key: &str, body: Bytes) -> Result<(), Error> {
        let call = self.client.put_object().bucket(&self.name).key(key).body(body.into());
        let sent = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            failed(format!("put the object {key} to the bucket {}", self.name), error.into_service_error())
        })
    }

    async fn delete(&self, key: &str) -> Result<(), Error> {
        let call = self.client.delete_object().bucket(&self.name).key(key);
        let sent = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        sent.map(drop).map_err(|error| {
            failed(format!("delete the object {key} of the bucket {}", self.name), error.into_service_error())
        })
    }
}

impl ReadObject for Bucket {
    async fn read(&self, key: &str, etag: &str, from: u64, bytes: u64) -> Result<Option<Bytes>, Error> {
        let last = from.saturating_add(bytes).saturating_sub(1);
        let call = self.client.get_object().bucket(&self.name).key(key);
        let call = call.if_match(format!("\"{etag}\"")).range(format!("bytes={from}-{last}"));
        let what = || format!("read an object of the bucket {}", self.name);
        let answer = match Box::pin(call.send()).await.map_err(SdkError::into_service_error) {
            Ok(answer) => answer,
            Err(why) if matches!(why.code(), Some("PreconditionFailed" | "NoSuchKey")) => return Ok(None),
            // What S3 says of an object that it refuses has the key in it, which may hold personal data.
            Err(why) => {
                let what = format!("{}: {}", what(), why.code().unwrap_or("no answer"));
                return Err(Error { source: None, what, ..failed(String::new(), why) });
            }
        };
        match answer.body.collect().await {
            Ok(body) => Ok(Some(body.into_bytes())),
            Err(why) => Err(Error { what: what(), kind: Kind::Transient, source: Some(Box::new(why)) }),
        }
    }
}
