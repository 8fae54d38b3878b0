//! An S3 bucket to put objects to and delete them from.

use crate::failed;
use aws_sdk_s3::Client;
use aws_types::SdkConfig;
use bytes::Bytes;
use millrace_core::port::{Error, ObjectStore};

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
