//! A Kinesis stream to put records to.

use crate::clients::within;
use crate::failed;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{Builder, retry::RetryConfig};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use aws_types::SdkConfig;
use millrace_core::port::{Entry, Error, Kind, Put, PutRecords};
use std::time::Duration;

/// A stream, by name.
#[derive(Debug, Clone)]
pub struct Stream {
    client: Client,
    name: String,
}

impl Stream {
    /// The stream of this name.
    #[must_use]
    pub fn new(config: &SdkConfig, name: String) -> Self {
        // The core retries what failed, entry by entry; the SDK would do whole calls beneath it.
        let builder = Builder::from(config).retry_config(RetryConfig::disabled());
        let config = builder.timeout_config(within(Duration::from_secs(3))).build();
        Self { client: Client::from_conf(config), name }
    }
}

impl PutRecords for Stream {
    async fn put(&self, entries: &[Entry]) -> Result<Vec<Put>, Error> {
        let what = || format!("put {} records to the stream {}", entries.len(), self.name);
        let wanted = |_| Error { what: what(), kind: Kind::Permanent, source: None };
        let records = entries.iter().map(|entry| {
            PutRecordsRequestEntry::builder()
                .partition_key(&entry.partition_key)
                .data(Blob::new(entry.data.as_slice()))
                .build()
        });
        let records = records.collect::<Result<_, _>>().map_err(wanted)?;
        let call = self.client.put_records().stream_name(&self.name).set_records(Some(records));
        let answer = Box::pin(call.send()).await; // boxed: the SDK's futures are large
        let answer = answer.map_err(|error| failed(what(), error.into_service_error()))?;
        let put = |code: Option<&str>| match code {
            None => Put::Done,
            Some("ProvisionedThroughputExceededException") => Put::Throttled,
            Some(_) => Put::Failed,
        };
        Ok(answer.records().iter().map(|record| put(record.error_code())).collect())
    }
}
